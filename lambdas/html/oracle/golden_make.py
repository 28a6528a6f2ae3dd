#!/usr/bin/env python3
"""Makes tests/golden.jsonl: what parsel over lxml answers to expressions on pages.

    python golden_make.py [OUT]        (needs parsel 1.12 and lxml 6.1; OUT defaults to ../tests/golden.jsonl)

The pages are in golden_pages.py, half of them awkward on purpose. A line is either a page, {"page", "html"}, or a case:
{"page", "lang", "expr", "vars"?, "scope"?} with "results" (a list of strings) or "error": true. With "scope" the
expression is evaluated relative to each node that the scope finds, and results are those of all nodes in turn.
"""

import json
import pathlib
import sys

import lxml.etree
import parsel

from golden_cases import CASES, EVERYWHERE
from golden_pages import PAGES


def answer(html, case):
    selector = parsel.Selector(text=html)
    run = lambda s: (s.xpath(case["expr"], **case.get("vars", {})) if case["lang"] == "xpath" else s.css(case["expr"]))
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
    for name, html in PAGES.items():
        lines.append({"page": name, "html": html})
        cases = CASES.get(name, []) + EVERYWHERE
        for case in cases:
            case = {"lang": "xpath", "expr": case} if isinstance(case, str) else dict({"lang": "xpath"}, **case)
            if isinstance(case["expr"], str) and case["expr"].startswith("css:"):
                case = {**case, "lang": "css", "expr": case["expr"][4:]}
            lines.append({"page": name, **case, **answer(html, case)})
            count += 1
    with out.open("w", encoding="utf-8") as file:
        for line in lines:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
    print(f"{count} cases on {len(PAGES)} pages: {out}")


main()
