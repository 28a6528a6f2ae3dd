#!/usr/bin/env python3
"""Writes src/parse/table.rs (element rules, observed from lxml) and src/parse/entities.rs (from html.entities).

Run: /path/to/python-with-lxml oracle/tree_tables.py
Nothing is taken from libxml2's sources: every rule below is asked of lxml by parsing a small page and looking at the tree.
"""
import pathlib
from html.entities import html5
from lxml import etree, html

OUT = pathlib.Path(__file__).resolve().parent.parent / "src" / "parse"

ELEMENTS = """html head body a abbr acronym address applet area article aside audio b base basefont bdi bdo bgsound big blink
blockquote br button canvas caption center cite code col colgroup command data datalist dd del details dfn dialog dir div dl dt em
embed fieldset figcaption figure font footer form frame frameset g h1 h2 h3 h4 h5 h6 header hgroup hr i iframe image img input ins
isindex kbd keygen label layer legend li link listing main map mark marquee math menu menuitem meta meter multicol nav nextid nobr
noembed noframes nolayer noscript object ol optgroup option output p param path picture plaintext pre progress q rb rbc rp rt rtc
ruby s samp script section select server slot small source spacer span strike strong style sub summary sup svg table tbody td
template textarea tfoot th thead time title tr track tt u ul use var video wbr xmp""".split()

ATTRIBUTES = """accept accept-charset action align alt aria-hidden aria-label as async autocomplete background bgcolor border
cellpadding cellspacing charset checked class color cols colspan compact content content-type coords crossorigin d data-id data-src
datetime declare defer dir disabled enctype fill for frameborder headers height hidden href hreflang http-equiv id integrity ismap
itemid itemprop itemscope itemtype label lang language link maxlength media method multiple name nohref noresize noshade novalidate
nowrap onclick onload placeholder property readonly rel required role rows rowspan scope selected shape size sizes span src srcset
style summary tabindex target text title type usemap valign value viewbox width xmlns xml:lang""".split()


def parse(page):
    parser = html.HTMLParser(recover=True, encoding="utf-8", huge_tree=True)
    return etree.fromstring(page.encode(), parser=parser)


def is_void(name):
    root = parse(f"<body><div><{name}><!--m--></div>")
    return next(root.iter(etree.Comment)).getparent().tag != name if name not in RAW else False


def raw_kind(name):
    """0: content is parsed; 1: text with references; 2: text without; 3: text to the end of the page; 4: script."""
    root = parse(f"<body><div><{name}><u>&amp;</{name}>x")
    element = next(iter(root.iter(name)), None)
    if name in ("html", "head", "body") or element is None or len(element):
        return 0
    if element.text is None:
        return 0
    if element.text == "<u>&":
        return 1
    if "x" in element.text:
        return 3
    probe = next(parse(f"<body><div><{name}><!--<{name}></{name}>Q--></{name}>").iter(name)).text
    return 4 if "Q" in probe else 2


def closes(old, new):
    """Does a start tag `new` close the open element `old`?"""
    lead = "<html>" if old == "head" else "<html><head></head>" if old == "body" else "<html><head></head><body>"
    if old == "html":
        return False
    root = parse(f"{lead}<{old} id=o><{new} id=n><!--m-->z</{new}>")
    place = root.xpath("//*[@id='n']") or root.xpath("//comment()") or root.xpath("//text()/..")
    olds = root.xpath("//*[@id='o']")
    if not olds:
        return False
    return olds[0] not in list(place[0].iterancestors()) + ([place[0]] if place[0].get("id") != "n" else [])


def outranks(inner, outer):
    """Is </outer> ignored while `inner` is open within? (An unknown element between keeps auto-closing out of it.)"""
    root = parse(f"<html><head></head><body><{outer} id=o><zz><{inner} id=i></{outer}><!--m-->")
    mark = next(root.iter(etree.Comment))
    return any(e.get("id") == "i" for e in mark.iterancestors())


def priorities():
    """Rank of each element for end tags: the more elements it shields from their end tags, the higher."""
    probes = [n for n in ELEMENTS if n not in VOID and n not in RAW and n not in ("html", "head", "body", "frameset")]
    shields = {n: sum(outranks(n, o) for o in probes) for n in probes}
    steps = sorted(set(shields.values()))
    rank = {n: steps.index(count) for n, count in shields.items() if count}
    # None of these stops </body>, nothing stops </html>.
    assert all(not list(parse(f"<body><{n}></body><!--m-->").iter("body"))[0].xpath(".//comment()") for n in probes)
    rank["head"] = rank["body"] = len(steps)
    rank["html"] = len(steps) + 1
    return rank


RAW = {}
for n in ELEMENTS:
    kind = raw_kind(n)
    if kind:
        RAW[n] = kind
VOID = {n for n in ELEMENTS if n not in ("html", "head", "body") and is_void(n)}
PAIRS = {(o, n) for o in ELEMENTS if o not in VOID and o not in RAW for n in ELEMENTS if closes(o, n)}
RANK = priorities()
BOOLEAN = {a for a in ATTRIBUTES if parse(f"<p {a}>").find(".//p").get(a) == a}

# New tags that close the same set of old ones form a class; an old element holds a mask of the classes that close it.
columns = {}
for n in ELEMENTS:
    olds = frozenset(o for o, m in PAIRS if m == n)
    if olds:
        columns.setdefault(olds, []).append(n)
classes = sorted(columns.items(), key=lambda kv: kv[1][0])
assert len(classes) < 32, len(classes)
class_of = {n: i + 1 for i, (_, names) in enumerate(classes) for n in names}
mask_of = {o: sum(1 << (i + 1) for i, (olds, _) in enumerate(classes) if o in olds) for o in ELEMENTS}

IMPLIED = {"html": 1, "head": 2, "body": 2, "script": 3, "style": 3, "meta": 3, "link": 3, "title": 3, "base": 3,
           "noframes": 4, "frame": 4, "frameset": 4}


def implied(name):
    """What a start tag on an empty page brings with it, as lxml shows it."""
    root = parse(f"<{name}>x") if name not in VOID else parse(f"<{name}>")
    tags = [e.tag for e in root.iter() if isinstance(e.tag, str)]
    path = tags[: tags.index(name)] if name in tags else tags
    if name == "html":
        return 1
    if path == ["html"]:
        return 2 if name in ("head", "body") else 4
    return 3 if path[-1] == "head" else 0


for n in ELEMENTS:
    assert implied(n) == IMPLIED.get(n, 0), (n, implied(n))

lines = [
    "//! Element rules by name. Generated by `oracle/tree_tables.py` from what lxml does; do not edit.",
    "",
    "use super::rules::Rule;",
    "",
    f"/// Names every parser knows from the start, with their rules. {len(PAIRS)} (open, new) pairs close in all.",
    "#[rustfmt::skip]",
    "pub(crate) static SEEDED: &[(&str, Rule)] = &[",
]
seen = set()
for n in ELEMENTS + ATTRIBUTES:
    if n in seen:
        continue
    seen.add(n)
    rule = (f"Rule {{ closed_by: {mask_of.get(n, 0):#x}, closes: {class_of.get(n, 0)}, rank: {RANK.get(n, 0)}, "
            f"raw: {RAW.get(n, 0)}, implied: {IMPLIED.get(n, 0)}, void: {str(n in VOID).lower()}, "
            f"boolean: {str(n in BOOLEAN).lower()} }}")
    lines.append(f'    ("{n}", {rule}),')
lines.append("];")
(OUT / "table.rs").write_text("\n".join(lines) + "\n")

names = {}
for key, value in html5.items():
    bare = key.rstrip(";")
    legacy = names.get(bare, (value, False))[1] or not key.endswith(";")
    names[bare] = (value, legacy)


def escape(value):
    return "".join(f"\\u{{{ord(c):x}}}" for c in value)


rows = [f'("{n}", "{escape(v)}", {str(legacy).lower()}),' for n, (v, legacy) in sorted(names.items())]
body, line = [], "   "
for row in rows:
    if len(line) + 1 + len(row) > 118:
        body.append(line)
        line = "   "
    line += " " + row
body.append(line)
(OUT / "entities.rs").write_text("\n".join([
    "//! Named character references, sorted. Generated by `oracle/tree_tables.py` from Python's `html.entities.html5`; do not edit.",
    "",
    f"/// (name without `;`, its text, whether it counts without `;` too): {len(rows)} names, {len(html5)} spellings.",
    "#[rustfmt::skip]",
    f"pub(super) static ENTITIES: [(&str, &str, bool); {len(rows)}] = [",
    *body,
    "];",
]) + "\n")
print(f"{len(PAIRS)} pairs, {len(classes)} classes, {len(VOID)} void, raw {RAW}, ranks {RANK}, boolean {sorted(BOOLEAN)}")
