#!/usr/bin/env python3
"""Makes tests/golden.jsonl: what parsel over lxml answers to expressions on pages.

    python golden_make.py [OUT]        (needs parsel 1.12 and lxml 6.1; OUT defaults to ../tests/golden.jsonl)

The pages are in golden_pages.py, half of them awkward on purpose. A line is either a page, {"page", "html"} or {"page",
"xml"}, or a case: {"page", "lang", "expr", "vars"?, "namespaces"?, "scope"?} with "results" (a list of strings) or "error": true. With "scope" the
expression is evaluated relative to each node that the scope finds, and results are those of all nodes in turn.
"""

import json
import pathlib
import sys

import lxml.etree
import parsel

from golden_cases import CASES, EVERYWHERE, NAMESPACES
from golden_pages import PAGES, XML_PAGES


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


def main():
    here = pathlib.Path(__file__).parent
    out = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else here.parent / "tests" / "golden.jsonl"
    lines, count = [], 0
    lines.append({"made_by": f"parsel {parsel.__version__}, lxml {lxml.etree.__version__}, libxml2 "
                  + ".".join(map(str, lxml.etree.LIBXML_VERSION))})
    pages = [(name, "html", page) for name, page in PAGES.items()] + [(name, "xml", page) for name, page in XML_PAGES.items()]
    for name, kind, page in pages:
        lines.append({"page": name, kind: page})
        cases = CASES.get(name, []) + [case for case in EVERYWHERE if kind == "html" or not case.startswith("css:")]
        for case in cases:
            case = {"lang": "xpath", "expr": case} if isinstance(case, str) else dict({"lang": "xpath"}, **case)
            if isinstance(case["expr"], str) and case["expr"].startswith("css:"):
                case = {**case, "lang": "css", "expr": case["expr"][4:]}
            if kind == "xml":
                case = {**case, "namespaces": NAMESPACES}
            lines.append({"page": name, **case, **answer(page, kind, case)})
            count += 1
    with out.open("w", encoding="utf-8") as file:
        for line in lines:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
    print(f"{count} cases on {len(pages)} pages: {out}")


main()
