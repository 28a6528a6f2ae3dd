#!/usr/bin/env python3
"""Compares our XML trees with lxml's, whole pages at a time: names, namespaces, text, and every node written out again.

    cargo build --release -p weir-html --example tree_dump
    PYTHON oracle/xml_oracle.py right [--count N] [--seed S]      random well-formed pages: all must be equal
    PYTHON oracle/xml_oracle.py wrong [--count N] [--seed S]      the same, mutated, and random tokens
    PYTHON oracle/xml_oracle.py files FILE...                     pages by others
    PYTHON oracle/xml_oracle.py freeze                            writes tests/xml_frozen.jsonl: made pages and lxml's trees

PYTHON needs lxml 6.1 (libxml2 2.14.6). Prints counts and the first differences; exit code 1 if there are any.
"""
import argparse
import json
import pathlib
import random
import subprocess
import sys
import tempfile

from lxml import etree

HERE = pathlib.Path(__file__).resolve().parent
ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"})


def lxml_root(page):
    """As parsel's create_root_node does it for type="xml"."""
    body = page.strip().replace("\x00", "").encode("utf-8") or b"<html/>"
    parser = etree.XMLParser(recover=True, encoding="utf-8", huge_tree=True, resolve_entities=False)
    root = etree.fromstring(body, parser=parser)
    if root is None:
        root = etree.fromstring(b"<html/>", parser=parser)
    return root


def dump(page):
    """None where lxml itself fails: it cannot read the surrogates that libxml2 lets pass."""
    try:
        return dumped(lxml_root(page))
    except UnicodeDecodeError:
        return None


def dumped(root):
    out = []
    stack = [(node, 1) for node in reversed(root.xpath("/node()"))]
    while stack:
        node, depth = stack.pop()
        if isinstance(node, str):
            fields = [f"{depth} T |", str(node)]
        else:
            kind = "E" if isinstance(node.tag, str) else "C" if node.tag is etree.Comment else "P"
            fields = [f"{depth} {kind} {node.xpath('namespace-uri()')}|{node.xpath('name()')}"]
            if kind == "E":
                for index, value in enumerate(node.xpath("@*"), 1):
                    fields.append(f"{node.xpath(f'namespace-uri(@*[{index}])')}|{node.xpath(f'name(@*[{index}])')}={value}")
                spaces = node.xpath("namespace::*")
                fields.append(f"{len(spaces)}.0")
                fields += [f"({prefix and chr(39) + prefix + chr(39)}, '{uri}')" for prefix, uri in spaces]
            else:
                fields.append(node.xpath("string()"))
            fields.append(etree.tostring(node, method="xml", encoding="unicode", with_tail=False))
            if kind == "E":
                stack.extend((child, depth + 1) for child in reversed(node.xpath("node()")))
        out.append("\t".join(field.translate(ESCAPES) for field in fields))
    return "".join(line + "\n" for line in out)


def ours(pages, binary):
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
        for page in pages:
            file.write(json.dumps(page) + "\n")
        file.flush()
        run = subprocess.run([binary, file.name, "xml"], capture_output=True, check=True)
    return [json.loads(line) for line in run.stdout.splitlines()]


PREFIXES = ["a", "b", "p", "media", "é"]
URIS = ["u", "v", "http://a.example/", "http://www.w3.org/2005/Atom", "w&amp;w", "x y", "<"]
NAMES = ["a", "b", "Link", "link", "item", "url", "loc", "x-y", "x.1", "_z", "été", "a" * 120, "日本", "html", "br"]
TEXTS = ["x", " ", "\n", "a b", "&amp;", "&lt;", "&gt;", "&quot;", "&apos;", "&#65;", "&#x41;", "&#10;", "&#13;", "é", "\r\n", "\r", "\t",
         "]", "]]", ">", "\"", "'", "日本", "\U0001f600", "\x7f", "\u0085", "\u2028"]
MISC = ["<!--c-->", "<!---->", "<!-- a - b\r\né -->", "<?p?>", "<?p ?>", "<?p  a b ?>", "<?p-q\r\n é?>", "<?xml-stylesheet href='x'?>"]
SECTIONS = ["<![CDATA[]]>", "<![CDATA[x]]>", "<![CDATA[<a>&amp;]]]]>", "<![CDATA[\r\né]]>"]
VALUES = ["", "x", "a b", " a  b ", "\n", "\r\nx", "\t", "&amp;", "&lt;b&gt;", "&#10;", "&#9;x", "&#38;lt;", "é", "'", "]]>", "-->", ">"]


def element(rng, depth, scope):
    """A well-formed element; `scope` maps prefixes in scope to URIs."""
    scope = dict(scope)
    declared = {}
    for _ in range(rng.choice([0, 0, 0, 1, 1, 2])):
        prefix = rng.choice(["", *PREFIXES])
        declared[prefix] = rng.choice(URIS[:6] if prefix else [*URIS[:6], ""])
    scope.update(declared)
    prefixes = [prefix for prefix in scope if prefix]

    def qualified(chance):
        name = rng.choice(NAMES)
        return f"{rng.choice(prefixes)}:{name}" if prefixes and rng.random() < chance else name
    name = qualified(.4)
    attributes, known = [f"xmlns{':' if prefix else ''}{prefix}=\"{uri}\"" for prefix, uri in declared.items()], set()
    for _ in range(rng.choice([0, 0, 1, 2, 3])):
        key = rng.choice(["xml:lang", "xml:space", "id", "class"]) if rng.random() < .3 else qualified(.3)
        prefix, _, local = key.rpartition(":")
        expanded = (scope.get(prefix, prefix) if prefix else "", local)
        if expanded not in known:
            known.add(expanded)
            quote = rng.choice("\"'")
            value = rng.choice(VALUES).replace(quote, "")
            attributes.append(f"{key}{rng.choice(['=', '=', ' = '])}{quote}{value}{quote}")
    rng.shuffle(attributes)
    tag = "".join(rng.choice([" ", " ", "\n", "\r\n", "  "]) + attribute for attribute in attributes)
    content = ""
    if depth < 5:
        for _ in range(rng.choice([0, 1, 2, 4])):
            content += "".join(rng.choice(TEXTS) for _ in range(rng.choice([0, 0, 1, 3])))
            content += element(rng, depth + 1, scope) if rng.random() < .6 else rng.choice([*MISC, *SECTIONS])
    if rng.random() < .5:
        content += rng.choice(TEXTS)
    content = content.replace("]]>", "]] >") if "CDATA" not in content else content
    if not content and rng.random() < .6:
        return f"<{name}{tag}{rng.choice(['', ' '])}/>"
    return f"<{name}{tag}>{content}</{name}{rng.choice(['', '', ' '])}>"


def right(rng):
    page = rng.choice(["", "", '<?xml version="1.0"?>', "<?xml version='1.0' encoding='UTF-8' standalone='no'?>\n", '<?xml version="1.1" encoding="latin-1" ?>'])
    page += rng.choice(["", "", "\n", *MISC])
    if rng.random() < .2:
        page += rng.choice(["<!DOCTYPE a>", '<!DOCTYPE a SYSTEM "x>y">', "<!DOCTYPE html PUBLIC '-//W3C//DTD' 'x'>\n", "<!DOCTYPE a [<!ELEMENT a ANY>\n<!--]>-->]>",
                            "<!DOCTYPE a SYSTEM 'x' [<!ENTITY e '>]'><?p ]>?>] >"])
        page += rng.choice(["", "\n", *MISC])
    page += element(rng, 1, {})
    return page + rng.choice(["", "\n", *MISC])


SPLICES = ["<", ">", "</", "/>", "<!--", "-->", "<a>", "</a>", "<b ", "<a b='1'", " b=\"", "<![CDATA[", "]]>", "&", "&amp", "&amp;", "&nbsp;", "&#x41;", "&#65",
           "&#0;", "&#1;", "&#1114112;", "\"", "'", "=", "\r", "\r\n", "\x00", "\x01", "\ufffe", "\ufeff", "é", "<?", "?>", "<?xml version='1.0'?>", "<p:q>", "</p:q>",
           " xmlns='u'", " xmlns:p='v'", " xmlns:p=''", " p:x='1'", " xml:lang='en'", ":", "<a:b:c>", "<:a/>", "<1>", "--", "--->", "<!DOCTYPE a>", "]", " ", "\n"]


def wrong(rng):
    if rng.random() < .4:
        return "<r>" + "".join(rng.choice([*SPLICES, *TEXTS, *MISC, *SECTIONS]) for _ in range(rng.randint(1, 25)))
    page = right(rng)
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(page) + 1)
        to = min(len(page), at + rng.choice([1, 1, 2, 5, 20]))
        page = rng.choice([page[:at] + page[to:], page[:at] + page[at:to] * 2 + page[to:], page[:at] + rng.choice(SPLICES) + page[at:]])
    return page


def compare(pages, binary, shown_max=5):
    """pages: (label, text). Prints counts; returns the number that differ."""
    pages = list(pages)
    found = ours([text for _, text in pages], binary)
    differ = unread = 0
    for (label, text), mine in zip(pages, found, strict=True):
        theirs = dump(text)
        unread += theirs is None
        if theirs in (None, mine):
            continue
        differ += 1
        if differ <= shown_max:
            print(f"--- {label}: {text[:400]!r}")
            a, b = theirs.splitlines(), mine.splitlines()
            for i in range(max(len(a), len(b))):
                x, y = (s[i] if i < len(s) else None for s in (a, b))
                if x != y:
                    print(f"   line {i}: lxml {x!r:.400}\n            ours {y!r:.400}")
                    break
    print(f"{len(pages)} pages, {len(pages) - differ} equal, {differ} differ, {unread} not readable by lxml, {sum(len(t) for _, t in pages):,} characters")
    return differ


EDGES = ["", " ", "x", "<", "<a", "<a>", "<a/>", "<a/>x<b/>", "<1/>", "<!--c-->", "<a><![CDATA[]]></a>", "<a>&foo;</a>", "<a>x&foo;y&bar;<b/>&c;</a>", "<a>&amp;&nbsp;&amp;</a>",
         "<a b='1&foo;2'/>", "<a x='1' x='2'/>", "<a xmlns:p='u' xmlns:q='u' p:x='1' q:x='2'/>", "<a x=1 y='2'>z</a>", "<r><a x=1 y='2'>z</a></r>", "<r><a x y='2'>z</a></r>",
         "<r><a x='1'y='2'>z</a></r>", "<r><a x>z</a></r>", "<r>x]]>y</r>", "<r>é]]>y</r>", "<r>a\r\nx]]>y</r>", "<r><!-- a --->x<!-- b --></r>", "<r><!--é a --->x<!-- b --></r>",
         "<a xmlns='u'><b xmlns=''><c/></b></a>", "<a xmlns:p='u'><b xmlns:p=''><p:c/></b></a>", "<a xmlns='u' xmlns:p='u'><p:b p:x='1'/><b/></a>", "<a:b:c/>", "<:a/>", "<a:/>",
         "<a xmlns:b='u'><b:c:d b:f:g='1'/></a>", "<a xmlns:xml='u' xmlns:xmlns='v' xmlns='http://www.w3.org/XML/1998/namespace'/>", "<a xmlns:p='http://www.w3.org/2000/xmlns/'><p:b/></a>",
         "<xml:a xml:b='1'/>", "<xmlns:a/>", "<a xmlns:p='1' xmlns:p='2'><p:b/></a>", "<!DOCTYPE a SYSTEM 'x'><a>&foo;&amp;</a>", "<!DOCTYPE a [%p;]><a>&foo;&amp;</a>",
         "<!DOCTYPE a bogus><a>1</a>", "<!doctype a><a>1</a>", "<!DOCTYPE><a>1</a>", "<!DOCTYPE a [ x ]><a/>", "<a/><!DOCTYPE a><b/>", "<a><!DOCTYPE b>x</a>", "<a><b></a>x</b>y</a>",
         "<a></ a>x", "<a><b></b x>y</a>", "<?xml version='2.0'?><a>&amp;</a>", "<?xml?><a>&amp;</a>", "<?xml version='1.0' foo='1'?><a>&amp;</a>", "<?xml encoding='utf-8'?><a>&amp;</a>",
         "<!--x--><?xml version='1.0'?><a>&amp;</a>", "\ufeff<a/>", "\ufeff", "<a>&#1;\x01\ufffe</a>", "<a b='&#1;\x01\ufffe'/>", "<a b='&#0;'>x</a>", "<r><a b='1&#0;2' c='3'>x</a></r>",
         "<a>&#65</a>", "<a>&#x;</a>", "<a>&#x110000;&#99999999999;</a>", "<a>" * 30 + "x", "<a b='x\r\ny\rz\t\n'/>", "<a>\r\nx\ry\r\r\n</a>", "<a b='<'>&amp;</a>"]


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("what", choices=["right", "wrong", "files", "freeze"])
    args.add_argument("where", nargs="*")
    args.add_argument("--count", type=int, default=10000)
    args.add_argument("--seed", type=int, default=1)
    args.add_argument("--dump", default=str(HERE.parent.parent.parent / "target/release/examples/tree_dump"))
    args = args.parse_intermixed_args()
    rng = random.Random(args.seed)
    if args.what == "files":
        differ = compare(((name, pathlib.Path(name).read_bytes().decode("utf-8", "replace")) for name in args.where), args.dump)
    elif args.what == "freeze":
        pages = [(f"edge {i}", page) for i, page in enumerate(EDGES)]
        pages += [(f"right {i}", right(rng)) for i in range(300)]
        pages += [(f"wrong {i}", wrong(rng)) for i in range(300)]
        pages = [(label, page) for label, page in pages if dump(page) is not None and len(dump(page)) < 3_000]
        with open(HERE.parent / "tests/xml_frozen.jsonl", "w") as out:
            version = ".".join(map(str, etree.LIBXML_VERSION))
            out.write(json.dumps({"lxml": etree.__version__, "libxml2": version, "by": "oracle/xml_oracle.py freeze"}) + "\n")
            for _, text in pages:
                out.write(json.dumps([text, dump(text)], ensure_ascii=False) + "\n")
        differ = compare(pages, args.dump)
    else:
        make = {"right": right, "wrong": wrong}[args.what]
        differ = compare(((f"{args.what} {i}", make(rng)) for i in range(args.count)), args.dump)
    sys.exit(bool(differ))


if __name__ == "__main__":
    main()
