#!/usr/bin/env python3
"""Makes tests/golden.jsonl and tests/golden_others.jsonl: what parsel over lxml answers to expressions on pages.

    python golden_make.py [FOLDER]        (needs parsel 1.12, lxml 6.1 and w3lib 2.5; FOLDER defaults to ../tests)

The pages of the first are in golden_pages.py, half of them awkward on purpose; those of the second are documents by others
(others.py), read as Scrapy reads them. A line is either a page, {"page", "html"} or {"page", "xml"}, or {"page", "kind", "chars"} with
"file" and perhaps "content_type" (bytes to be read as the product reads them) or "input" (a line of html5lib.jsonl); or a case:
{"page", "lang", "expr", "vars"?, "namespaces"?, "scope"?} with "results" (a list of strings) or "error": true. With "scope" the
expression is evaluated relative to each node that the scope finds, and results are those of all nodes in turn.
"""

import json
import pathlib
import sys

import lxml.etree
import parsel

from golden_cases import CASES, EVERYWHERE, NAMESPACES
from golden_pages import PAGES, XML_PAGES
from others import documents
from others_cases import CASES as OTHERS_CASES
from others_cases import EVERY, OF_INPUTS, ROUND

# Cases in turn for a document, and for an input of html5lib's tests; every so many of these inputs are asked.
TURNS, INPUT_TURNS, INPUT_STEP = 12, 3, 7
# Longer answers say no more, and would be most of the file.
ANSWER_CHARS_MAX = 3000


def answer(page, kind, case):
    selector = parsel.Selector(text=page, type=kind)

    def run(node):
        if case["lang"] == "css":
            return node.css(case["expr"])
        return node.xpath(case["expr"], namespaces=case.get("namespaces"), **case.get("vars", {}))

    try:
        scopes = selector.xpath(case["scope"]) if "scope" in case else [selector]
        return {"results": [text for scope in scopes for text in run(scope).getall()]}
    except Exception:  # what parsel refuses with whatever exception, weir refuses with an error
        return {"error": True}


def asked(case, kind):
    case = {"lang": "xpath", "expr": case} if isinstance(case, str) else dict({"lang": "xpath"}, **case)
    if case["expr"].startswith("css:"):
        case = {**case, "lang": "css", "expr": case["expr"][4:]}
    return {**case, "namespaces": case.get("namespaces", NAMESPACES)} if kind == "xml" else case


def ours():
    """Lines of the self-made pages."""
    pages = [(name, "html", page) for name, page in PAGES.items()] + [(name, "xml", page) for name, page in XML_PAGES.items()]
    for name, kind, page in pages:
        yield {"page": name, kind: page}
        for case in CASES.get(name, []) + [case for case in EVERYWHERE if kind == "html" or not case.startswith("css:")]:
            case = asked(case, kind)
            yield {"page": name, **case, **answer(page, kind, case)}


def others():
    """Lines of the documents by others."""
    turn, inputs = 0, 0
    left = set(OTHERS_CASES)
    for name, kind, where, page in documents():
        if "input" in where:
            inputs += 1
            if inputs % INPUT_STEP:
                continue
        fixed, turns = (OF_INPUTS, INPUT_TURNS) if "input" in where else (EVERY + OTHERS_CASES.get(name, []), TURNS)
        left.discard(name)
        yield {"page": name, "kind": kind, "chars": len(page), **where}
        given, first = 0, turn
        for case in fixed:
            case = asked(case, kind)
            if kind == "html" or case["lang"] == "xpath":
                yield {"page": name, **case, **answer(page, kind, case)}
        while given < turns and turn < first + len(ROUND):
            case = asked(ROUND[turn % len(ROUND)], kind)
            turn += 1
            line = {"page": name, **case, **answer(page, kind, case)}
            if kind == "xml" and case["lang"] == "css" or sum(map(len, line.get("results", []))) > ANSWER_CHARS_MAX:
                continue
            # Nothing is an answer, too, but one in five is enough of it.
            if any(line.get("results", [])) or turn % 5 == 0:
                given += 1
                yield line
    assert not left, f"cases for documents that are not there: {left}"


def main():
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent / "tests"
    made_by = {"made_by": f"parsel {parsel.__version__}, lxml {lxml.etree.__version__}, libxml2 " + ".".join(map(str, lxml.etree.LIBXML_VERSION))}
    for out, found in (("golden.jsonl", ours()), ("golden_others.jsonl", others())):
        lines = [made_by, *found]
        (folder / out).write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
        cases = [line for line in lines if "expr" in line]
        empty = sum(line.get("results") == [] for line in cases)
        refused = sum("error" in line for line in cases)
        print(f"{out}: {len(cases)} cases on {len({line['page'] for line in cases})} pages; {empty} find nothing, {refused} are refused")


main()
