#!/usr/bin/env python3
"""Compares our trees with lxml's, whole pages at a time.

    cargo build --release -p weir-html --example tree_dump
    PYTHON oracle/tree_oracle.py [--dump PATH] files DIR...       every *.htm(l) below these folders
    PYTHON oracle/tree_oracle.py mutate DIR... [--count N] [--seed S]
    PYTHON oracle/tree_oracle.py salad [--count N] [--seed S]     random tokens
    PYTHON oracle/tree_oracle.py lines FILE                       one JSON string a line
    PYTHON oracle/tree_oracle.py freeze                           writes tests/tree_frozen.jsonl: made pages and lxml's trees, and
                                                                  tests/tree_others.jsonl: lxml's trees of the documents by others

PYTHON needs lxml 6.1 (libxml2 2.14.6) and w3lib 2.5. Prints counts and the first differences; exit code 1 if there are any.
"""
import argparse
import json
import pathlib
import random
import subprocess
import sys
import tempfile

from lxml import etree, html

from others import documents
from tree_made import EDGES, made

HERE = pathlib.Path(__file__).resolve().parent
ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"})


def lxml_root(page):
    """As parsel's create_root_node does it."""
    body = page.strip().replace("\x00", "").encode("utf-8") or b"<html/>"
    parser = html.HTMLParser(recover=True, encoding="utf-8", huge_tree=True)
    root = etree.fromstring(body, parser=parser)
    if root is None:
        root = etree.fromstring(b"<html/>", parser=parser)
    return root


def dump(page):
    root = lxml_root(page)
    while root.getprevious() is not None:
        root = root.getprevious()
    out = []
    # (node, depth, done): an element comes back after its children for its tail.
    stack = []
    top = root
    while top is not None:
        stack.append((top, 1, False))
        top = top.getnext()
    stack.reverse()
    while stack:
        node, depth, done = stack.pop()
        if not done:
            if isinstance(node.tag, str):
                attrs = "".join(f"\t{k}={v}" for k, v in ((k.translate(ESCAPES), v.translate(ESCAPES)) for k, v in node.attrib.items()))
                out.append(f"{depth} E {node.tag.translate(ESCAPES)}{attrs}")
                if node.text is not None:
                    out.append(f"{depth + 1} T {node.text.translate(ESCAPES)}")
                stack.append((node, depth, True))
                stack.extend((child, depth + 1, False) for child in reversed(node))
                continue
            out.append(f"{depth} C {(node.text or '').translate(ESCAPES)}")
        if node.tail is not None:
            out.append(f"{depth} T {node.tail.translate(ESCAPES)}")
    return "".join(line + "\n" for line in out)


def ours(pages, binary):
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
        for page in pages:
            file.write(json.dumps(page) + "\n")
        file.flush()
        run = subprocess.run([binary, file.name], capture_output=True, check=True)
    return [json.loads(line) for line in run.stdout.splitlines()]


def files(folders):
    for folder in folders:
        path = pathlib.Path(folder)
        found = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.suffix.lower() in (".html", ".htm", ".xhtml"))
        for file in found:
            if file.is_file():
                yield str(file), file.read_bytes().decode("utf-8", "replace")


SPLICES = ["<", ">", "</", "/>", "<!--", "-->", "<p>", "</p>", "<div>", "</div>", "<table>", "</table>", "<td>", "<tr>", "</tr>",
           "<li>", "</ul>", "<b>", "</b>", "<script>", "</script>", "<style>", "<title>", "</title>", "<textarea>", "<select><option>",
           "<!DOCTYPE html>", "<?pi x?>", "<![CDATA[", "]]>", "&", "&amp", "&notit;", "&#x41;", "&#128;", "&#0;", "\"", "'", "=",
           "\r", "\r\n", "\n", " ", "\x00", "\x0c", "\x01", "</html>", "</body>", "<body>", "<html>", "<head>", "</head>", "é", "\u2028",
           "<form>", "</form>", "<a href=x>", "</a>", "<h1>", "<br/>", "<img src='a'", "<frameset>", "<noscript>", "<svg:a b:c=d/>"]


def mutate(rng, page):
    """A few random cuts, copies, swaps and splices."""
    if not page:
        return page
    # Long pages are slow on lxml's side; a window of one is as good.
    if len(page) > 20000:
        start = rng.choice([0, rng.randrange(len(page) - 20000)])
        page = page[start:start + 20000]
    for _ in range(rng.randint(1, 12)):
        at = rng.randrange(len(page) + 1)
        to = min(len(page), at + rng.choice([1, 1, 2, 5, 20, 200]))
        kind = rng.randrange(5)
        if kind == 0:
            page = page[:at] + page[to:]
        elif kind == 1:
            page = page[:at] + page[at:to] * 2 + page[to:]
        elif kind == 2:
            page = page[:at] + rng.choice(SPLICES) + page[at:]
        elif kind == 3:
            page = page[:at] + page[at:to].swapcase() + page[to:]
        else:
            other = rng.randrange(len(page) + 1)
            page = page[:at] + page[other:other + 50] + page[at:]
    return page


NAMES = """html head body a abbr address area article b base big blockquote br button caption center cite code col colgroup custom-el
dd del dir div dl dt em embed fieldset font form frame frameset h1 h2 h3 hr i iframe img input ins isindex label legend li link
listing main map menu meta nav noembed noframes noscript object ol optgroup option p param plaintext pre q s samp script section
select small span strike strong style sub sup svg table tbody td template textarea tfoot th thead title tr tt u ul var video wbr
xmp x:y g path math""".split()
ATTRS = ["class", "id", "href", "CHECKED", "checked", "data-a-long-name", "a", "A", "x:y", "xmlns", "é", "\"", "=", "disabled", "onclick", "alt"]
VALUES = ["", "x", "a b", "&amp;", "&copy=1", "&copy;", "a&b", "1\r\n2", "é", "<p>", "a/b", "x" * 40, "&#x26;", "&notit;", "&lt", "'", "/"]
TEXTS = ["x", " ", "\n", "a b ", "&amp;", "&lt", "&notit;", "&#65;", "&#x80;", "&#xd800;", "&#99999999;", "&", "&#", "&#x", "\r", "\r\n", "\t",
         "&nbsp;", "&Tab;", "&#32;", "&NotEqualTilde;", "&CounterClockwiseContourIntegral;", "&ampx", "<", "< ", "<3", ">", "]]>", "--", "-->",
         "\u00a0", "日本", "\x0c", "\x0b", "\x1f", "\u0085", "\ufeff", "\x00"]


def tag(rng):
    def case(name):
        return name if rng.random() < .8 else name.upper() if rng.random() < .5 else name.title()
    attrs = ""
    for _ in range(rng.choice([0, 0, 0, 1, 1, 2, 4])):
        attrs += rng.choice([" ", " ", "\n", "/", "  ", "\t "]) + rng.choice(ATTRS)
        if rng.random() < .7:
            value = rng.choice(VALUES)
            quote = rng.choice(['"', '"', "'", ""])
            attrs += rng.choice(["=", "=", " = ", "=\n"]) + quote + value + quote
    return f"<{case(rng.choice(NAMES))}{attrs}{rng.choice(['>', '>', '>', '>', ' >', '/>', ' />', '', '/ >'])}"


def salad(rng):
    names, out = [], []
    pool = rng.sample(NAMES, rng.randint(2, 12)) if rng.random() < .7 else NAMES
    for _ in range(rng.randint(1, 40)):
        kind = rng.random()
        if kind < .4:
            if rng.random() < .5:
                name = rng.choice(pool)
                out.append(f"<{name}>")
                names.append(name)
            else:
                out.append(tag(rng))
        elif kind < .65:
            name = rng.choice(names) if names and rng.random() < .7 else rng.choice(pool)
            out.append(rng.choice([f"</{name}>"] * 8 + [f"</{name.upper()} >", f"</{name} a='>'>", f"</{name}", f"</{name}/>", f"</{name}x>"]))
        elif kind < .9:
            out.append(rng.choice(TEXTS))
        else:
            out.append(rng.choice(["<!---->", "<!-->", "<!--->", "<!-- a -- b -->", "<!--a--!>", "<!--a", "<!doctype html>", "<!DOCTYPE html PUBLIC '>' \"x\">",
                                   "<!x>", "<?x y?>", "</>", "</ x>", "</1>", "<![CDATA[x]]>", "<!--\r\n-->", "<script>a<!--b<script>c</script>d--></script>",
                                   "<script>", "<!--<script>", "</script>", "<style>a<b>&amp;</style>", "<textarea>&lt;<p></textarea>", "<title>\n&#65;</title>", "<"]))
    return "".join(out)


def compare(pages, binary, shown_max=5):
    """pages: (label, text). Prints counts; returns the number that differ."""
    pages = list(pages)
    found = ours([text for _, text in pages], binary)
    differ = 0
    for (label, text), mine in zip(pages, found, strict=True):
        theirs = dump(text)
        if mine == theirs:
            continue
        differ += 1
        if differ <= shown_max:
            print(f"--- {label}: {text[:300]!r}")
            a, b = theirs.splitlines(), mine.splitlines()
            for i in range(max(len(a), len(b))):
                x, y = (s[i] if i < len(s) else None for s in (a, b))
                if x != y:
                    print(f"   line {i}: lxml {x!r:.300}\n            ours {y!r:.300}")
                    break
    print(f"{len(pages)} pages, {len(pages) - differ} equal, {differ} differ, {sum(len(t) for _, t in pages):,} characters")
    return differ


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("what", choices=["files", "mutate", "salad", "lines", "freeze"])
    args.add_argument("where", nargs="*")
    args.add_argument("--count", type=int, default=10000)
    args.add_argument("--seed", type=int, default=1)
    args.add_argument("--dump", default=str(HERE.parent.parent.parent / "target/release/examples/tree_dump"))
    args = args.parse_intermixed_args()
    rng = random.Random(args.seed)
    if args.what == "files":
        batch, differ, size = [], 0, 0
        for item in files(args.where):
            batch.append(item)
            size += len(item[1])
            if size > 20_000_000:
                differ += compare(batch, args.dump)
                batch, size = [], 0
        differ += compare(batch, args.dump)
    elif args.what == "mutate":
        texts = [text for _, text in files(args.where)]
        differ = compare(((f"mutation {i}", mutate(rng, rng.choice(texts))) for i in range(args.count)), args.dump)
    elif args.what == "salad":
        differ = compare(((f"salad {i}", salad(rng)) for i in range(args.count)), args.dump)
    elif args.what == "lines":
        differ = compare(((f"line {i + 1}", json.loads(line)) for i, line in enumerate(open(args.where[0]))), args.dump)
    else:
        pages = [(f"edge {i}", page) for i, page in enumerate(EDGES)]
        made_pages = [made(rng, i) for i in range(60)]
        pages += [(f"made {i}", page) for i, page in enumerate(made_pages)]
        pages += [(f"mutation {i}", mutate(rng, rng.choice(made_pages))) for i in range(240)]
        pages += [(f"salad {i}", salad(rng)) for i in range(400)]
        found = [(name, where, text) for name, kind, where, text in documents() if kind == "html"]
        versions = {"lxml": etree.__version__, "libxml2": ".".join(map(str, etree.LIBXML_VERSION)), "by": "oracle/tree_oracle.py freeze"}
        with open(HERE.parent / "tests/tree_frozen.jsonl", "w") as out, open(HERE.parent / "tests/tree_others.jsonl", "w") as others:
            out.write(json.dumps(versions) + "\n")
            for _, text in pages:
                out.write(json.dumps([text, dump(text)], ensure_ascii=False) + "\n")
            others.write(json.dumps(versions) + "\n")
            for _, where, text in found:
                others.write(json.dumps({**where, "tree": dump(text)}, ensure_ascii=False) + "\n")
        pages += [(name, text) for name, _, text in found]
        differ = compare(pages, args.dump)
    sys.exit(bool(differ))


if __name__ == "__main__":
    main()
