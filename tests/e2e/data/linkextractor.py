"""A small hostile site, and what Scrapy's LinkExtractor finds on it. Run by hand: python linkextractor.py (needs scrapy).

Writes the pages into site/ (in their charsets) and golden.json: every page that a breadth-first walk with LinkExtractor() reaches,
with its status, its title and its links. tests/real_site.rs serves site/ by the rules of `answer` and crawls it.
"""

import json
import shutil
import sys
from collections import deque
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit

from scrapy.http import HtmlResponse
from scrapy.linkextractors import LinkExtractor
from w3lib.url import canonicalize_url

HERE = Path(__file__).parent
SITE = HERE / "site"
PORT = "9312"
ORIGIN = f"http://localhost:{PORT}"


def page(title, *links, head="", body=""):
    rows = "\n".join(f'<li><a href="{link}">x</a>' for link in links)
    return f"<html><head>{head}<title>{title}</title></head><body><h1>{title}</h1>{body}<ul>\n{rows}\n</ul></body></html>\n"


def meta(charset):
    return f'<meta http-equiv="Content-Type" content="text/html; charset={charset}">'


def leaf(title):
    return page(title, "/index.html")


PAGES = {
    "index.html": page(
        "Start", "relative.html", "schemes.html", "odd.html", "markup.html", "charsets.html", "bases/index.html",
        "a/b/c/d/e/deep.html", "area.html", "frames.html", "queries.html", "extensions.html", "big.html", "missing.html",
        "big.html#end", "folder/", "folder", "empty.html", "nothing.html", "control.html"),
    "relative.html": page(
        "Relative", "a/../r1.html", "./r2.html", "a/./b/../../r3.html", "/../../r4.html", "a/b/../../../r5.html", "..", ".",
        "./", "a//b/double.html", "//localhost:{PORT}/r6.html", "r7.html/", "a/b/c/../../../folder/../r8.html", "%2e/r9.html",
        "a/%2e%2e/r10.html", "%72%31.html", "r1.html?", "r1.html#", "r1.html?#"),
    "schemes.html": page(
        "Schemes", "HTTP://LOCALHOST:{PORT}/s1.html", "Http://LocalHost:{PORT}/s2.html", "javascript:void(0)", "JavaScript:alert(1)",
        "mailto:a@b.example", "MAILTO:a@b.example", "tel:+123", "data:text/html,<a href=x>", "ftp://localhost/s3.html",
        "about:blank", "blob:x", "file:///etc/passwd", "http:s4.html", "unknown:s5.html", "http://", "http://[bad/x.html",
        "//", "http://localhost:99999/x.html", "http://localhost:{PORT}", "http://localhost:{PORT}?q=root",
        "https:", "://x.html", "s6.html"),
    "odd.html": page(
        "Odd", "", " ", "#", "#top", "?", "?only=query", " o1.html ", "\to2.html\n", "o 3.html", "o%203.html", "o%20 4.html",
        "o&#32;5.html", "o%.html", "o%zz.html", "o%C3%A9.html", "oé.html", "oe\u0301.html", "o|6.html", "o{7}.html",
        "o[8].html", "o^9.html", "o`10.html", "o'11.html", "o&quot;12.html", "o&lt;13&gt;.html", "o;14.html", "o,15.html", "o@16.html",
        "o:17.html", "./o:18.html", "o+19.html", "o~20.html", "o*21.html", "o!22.html", "o(23).html", "o$24.html", "o=25.html",
        "日本語.html", "o%E6%97%A5.html", "o%2F26.html", "o%2f27.html", "O28.html", "o28.html", "o%41.html", "oA.html", "\u00a0o29.html",
        "o30.html\u00a0", "o\u200b31.html", "😀.html"),
    "control.html": page("Control", "c\t1.html", "c\n2.html", "c\r\n3.html", "\x01c4.html", "c5.html\x1f", "c&#9;6.html", "c&#10;7.html"),
    "queries.html": page(
        "Queries", "q.html?a=1", "q.html?a=1&amp;b=2", "q.html?b=3&a=4", "q.html?a=5&copy=6", "q.html?a=5&amp;copy=7", "q.html?a=",
        "q.html?a", "q.html?=1", "q.html?a=1#x", "q.html?a=b c", "q.html?a=b+c", "q.html?a=b%20d", "q.html?a=é", "q.html?a=%C3%A9",
        "q.html?a=%E9", "q.html?a[]=1", "q.html?u=http://x.example/?y=1", "q.html?a='1'", "q.html?a=%", "q.html?a=1;b=2", "q.html??", "q.html?a=/../x"),
    "extensions.html": page(
        "Extensions", "e.png", "e.PNG", "e.pdf", "e.zip", "e.tar.gz", "e.css", "e.js", "e.html.png", "e.png.html", "e.png?x=e.html",
        "e.html?x=e.png", "e.php", "e.xml", "e.json", "e.mp3", "e.doc", "e.svg", "e.7z", "e", ".hidden", "e.png/", "e.png/in.html", "e.html;x.png"),
    "markup.html": """<!DOCTYPE html><html><head><title>Mark &amp; up &eacute;</title></head><body>
<a href=m1.html>unquoted<a href='m2.html'>nested<b></a>x</b>
<A HREF="m3.html">upper</A><a href = "m4.html" >spaces</a><a
href="m5.html"
>lines</a><a name=x>no href</a><a href>empty</a><a href="m6.html" href="m7.html">twice</a>
<!-- <a href="m8.html">comment</a> --><script>document.write('<a href="m9.html">script</a>')</script>
<noscript><a href="m10.html">noscript</a></noscript><textarea><a href="m11.html">textarea</a></textarea>
<template><a href="m12.html">template</a></template><style><a href="m13.html">style</a></style>
<table><a href="m14.html">in a table</a><tr><td><a href="m15.html">cell</td></table>
<svg><a href="m16.html">svg</a><a xlink:href="m17.html">xlink</a></svg><math><a href="m18.html">math</a></math>
<link rel="next" href="m19.html"><form action="m20.html"><button formaction="m21.html"></button></form>
<img src="m22.html"><a href="m23.html" rel="nofollow">nofollow</a><a href=m24.html/>slash</a><a/href="m25.html">odd</a>
<a href="m26.html">&lt;a href="m27.html"&gt;</a><p><a href="m28.html"><p><a href="m29.html"></a></p>
<select><option><a href="m30.html">option</a></select><title>second <a href="m31.html">x</a></title>
<a href="m&#51;2.html">entity</a><a href="m&#x33;3.html">hex</a><a href="m34.html&num;x">named</a><a href="&#109;35.html">m</a>
<xmp><a href="m36.html">xmp</a></xmp><iframe src="m37.html"><a href="m38.html">in iframe</a></iframe>
<object data="m39.html"><a href="m40.html">in object</a></object><details><summary><a href="m41.html">x</a></summary></details>
<x-own><a href="m42.html">custom</a></x-own><a class=y href="m43.html"
</body></html><a href="m44.html">after the end</a>
<a href="m45.html">not closed""",
    "area.html": page("Area", body='<map name="m"><area shape="rect" href="ar1.html"><AREA HREF="ar2.html"><area nohref></map>'),
    "frames.html": "<html><head><title>Frames</title></head><frameset><frame src='f1.html'><frame src='f2.html'>"
    "<noframes><body><a href='f3.html'>x</a></body></noframes></frameset></html>",
    "folder/index.html": page("Folder", "in.html", "../r1.html", "sub/index.html", "?page=2"),
    "folder/in.html": leaf("In the folder"),
    "folder/sub/index.html": page("Sub", "../../r2.html", "../in.html", "/folder/sub/../in.html?x"),
    "a/b/c/d/e/deep.html": page("Deep", "../../../../../r1.html", "../f/other.html", "page.html"),
    "a/b/c/d/e/page.html": leaf("Page"),
    "a/b/c/d/f/other.html": leaf("Other"),
    "bases/index.html": page("Bases", "absolute.html", "relative.html", "late.html", "two.html", "empty.html", "other.html", "query.html", "body.html", "spaces.html"),
    "bases/absolute.html": page("Base absolute", "b1.html", head='<base href="http://localhost:{PORT}/based/">'),
    "bases/relative.html": page("Base relative", "b2.html", head='<base href="../based/x/y.html">'),
    "bases/late.html": page("Base late", "b3.html", body='<a href="b4.html">x</a><base href="/based/">'),
    "bases/two.html": page("Base two", "b5.html", head='<base target="_top"><base href="/based/"><base href="/wrong/">'),
    "bases/empty.html": page("Base empty", "b6.html", head='<base href="">'),
    "bases/other.html": page("Base other", "b7.html", head='<base href="http://elsewhere.example/">'),
    "bases/query.html": page("Base query", "b8.html", "?x=1", "#y", head='<base href="/based/q.html?z=1">'),
    "bases/body.html": page("Base in body", "b9.html", body='<div><base href="/based/"></div>'),
    "bases/spaces.html": page("Base spaces", "b10.html", head='<base href=" /based/ ">'),
    "charsets.html": page(
        "Charsets", "cyrillic.html", "polish.html", "japanese.html", "chinese.html", "wide.html", "wide-be.html", "bom.html",
        "header.charset-iso-8859-2.html", "meta-wrong.charset-utf-8.html", "latin.html", "unknown.html", "sjis.charset-shift_jis.html",
        "korean.html", "short.html", "turkish.html"),
    "empty.html": "",
    "nothing.html": "no markup at all, only r1.html and http://localhost/x",
}
LEAVES = (
    [f"r{n}.html" for n in range(1, 11)] + [f"s{n}.html" for n in (1, 2, 4, 6)] + [f"m{n}.html" for n in range(1, 46)]
    + [f"c{n}.html" for n in range(1, 8)] + ["ar1.html", "ar2.html", "f3.html", "q.html", "e.html", "e.php", "e.png.html", "e.html;x.png"]
    + [f"based/b{n}.html" for n in range(1, 11)] + ["based/x/b2.html", "bases/b3.html", "bases/b4.html", "bases/b6.html"]
    + ["o1.html", "o2.html", "o 3.html", "o  4.html", "o 5.html", "oé.html", "o|6.html", "o{7}.html", "o[8].html", "o^9.html", "o`10.html"]
    + ["o'11.html", "o;14.html", "o,15.html", "o@16.html", "o:18.html", "o+19.html", "o~20.html", "日本語.html", "o28.html", "oA.html", "😀.html"]
    + ["end-of-big.html", "Привет.html", "ąę.html", "表.html", "中文.html", "한.html"]
)
# name: (charset of the bytes, charset that the page names or None, a word, links)
CHARSETS = {
    "cyrillic.html": ("windows-1251", "windows-1251", "Привет мир", ["Привет.html", "q.html?c=Привет"]),
    "polish.html": ("iso-8859-2", "ISO-8859-2", "Zażółć gęślą", ["ąę.html", "q.html?c=ąę"]),
    "japanese.html": ("shift_jis", "Shift_JIS", "表示ソ能", ["表.html", "q.html?c=表"]),
    "chinese.html": ("gb18030", "gb18030", "中文網頁𠀀", ["中文.html", "q.html?c=中文"]),
    "korean.html": ("euc_kr", "euc-kr", "한국어", ["한.html", "q.html?c=한"]),
    "turkish.html": ("iso-8859-9", "iso-8859-9", "İğnş", ["q.html?c=ğ"]),
    "latin.html": ("windows-1252", "latin1", "caf\u00e9 \u201cquoted\u201d", ["oé.html", "q.html?c=é2"]),
    "unknown.html": ("utf-8", "x-unheard-of", "Über", ["oé.html?unknown"]),
    "short.html": ("utf-8", None, "Ünnamed", ["oé.html?short"]),
    "wide.html": ("utf-16", None, "Wide Привет", ["Привет.html?wide"]),
    "wide-be.html": ("utf-16-be-bom", None, "Wide BE", ["oé.html?wide-be"]),
    "bom.html": ("utf-8-sig", "iso-8859-1", "Mark é", ["oé.html?bom"]),
    "header.charset-iso-8859-2.html": ("iso-8859-2", None, "Nagłówek", ["ąę.html?header"]),
    "meta-wrong.charset-utf-8.html": ("utf-8", "iso-8859-1", "Nagłówek wins", ["ąę.html?wins"]),
    "sjis.charset-shift_jis.html": ("shift_jis", None, "ソース", ["表.html?sjis"]),
}


def make():
    shutil.rmtree(SITE, ignore_errors=True)
    pages = {name: text.encode() for name, text in PAGES.items()}
    pages |= {name: leaf(f"Leaf {name}").encode() for name in LEAVES}
    for name, (charset, said, word, links) in CHARSETS.items():
        head = f'<meta charset="{said}">' if said and len(said) % 2 else meta(said) if said else ""
        text = page(word, *links, head=head)
        pages[name] = b"\xfe\xff" + text.encode("utf-16-be") if charset == "utf-16-be-bom" else text.encode(charset)
    for name, body in pages.items():
        path = SITE / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)


def answer(target):
    """Status, content type and body for the path and query of a request."""
    path = unquote_to_bytes(target.split("?", 1)[0])
    if b"\0" in path or b".." in path.split(b"/"):
        return 404, "text/html", b""
    if path == b"/big.html":
        row = '<p><a href="/folder/in.html?n={}">%s</a></p>\n' % ("filler " * 12)
        rows = "".join(row.format(n % 50) for n in range(40_000))
        return 200, "text/html", f'<title>Big</title>{rows}<a href="/end-of-big.html">end</a>'.encode()
    name = path.decode("utf-8", "surrogateescape").lstrip("/")
    file = SITE / (name + "index.html" if name == "" or name.endswith("/") else name)
    if not file.is_file():
        return 404, "text/html", leaf("Not found").encode()
    charset = next((part.removeprefix("charset-") for part in file.name.split(".") if part.startswith("charset-")), None)
    kind = "text/html" + (f"; charset={charset}" if charset else "")
    return 200, kind, file.read_bytes().replace(b"{PORT}", PORT.encode())


def golden():
    extractor, seen, pages, queue = LinkExtractor(), set(), {}, deque([ORIGIN + "/index.html"])
    while queue:
        url = queue.popleft()
        if (fingerprint := canonicalize_url(url)) in seen:
            continue
        seen.add(fingerprint)
        parts = urlsplit(url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        status, kind, body = answer(target)
        found = {"status": status}
        if status == 200:
            response = HtmlResponse(url, body=body, headers={"Content-Type": kind})
            links = [link.url for link in extractor.extract_links(response)]
            found |= {"title": response.css("title::text").get()}
            if parts.path != "/big.html":
                found |= {"links": [link.replace(ORIGIN, "") for link in links]}
            queue.extend(link for link in links if urlsplit(link)[:2] == ("http", f"localhost:{PORT}"))
        pages[target] = found
    return pages


if __name__ == "__main__":
    make()
    pages = golden()
    (HERE / "golden.json").write_text(json.dumps(pages, ensure_ascii=False, indent=1, sort_keys=True) + "\n")
    print(len(pages), "pages,", sum(found["status"] != 200 for found in pages.values()), "missing", file=sys.stderr)
