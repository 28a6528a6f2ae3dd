#!/usr/bin/env python3
"""Documents by others, for the golden file and the frozen trees: which, from where, under which licence.

    python others.py CLONES     takes them anew from git clones: CLONES/httpd, CLONES/libxml2, ... (CLONES/NAME may be bare or a link)
    python others.py            says what is there

Writes ../tests/others: the documents byte for byte, html5lib.jsonl (the inputs of html5lib's tree construction tests, [name, text] a
line), the licences, and NOTICE.md. Fuzzers' findings that their project keeps compressed are kept unpacked. `documents()` is what
golden_make.py and tree_oracle.py read: it needs w3lib.
"""

import gzip
import json
import pathlib
import subprocess
import sys

HOME = pathlib.Path(__file__).resolve().parent.parent / "tests" / "others"

# name: (address, commit, licence, its file, what it is)
SOURCES = {
    "httpd": ("https://github.com/apache/httpd", "b8fa4bf958e7e6aa0b634c9585032f29c22948c9", "Apache-2.0", "LICENSE",
              "Apache HTTP Server 1.3: welcome pages and manual pages, in the charsets of their languages"),
    "httpd2": ("https://github.com/apache/httpd", "f045e3e26265d34d3ad3bc397df0b91b23496915", "Apache-2.0", "LICENSE",
               "Apache HTTP Server 2.0: the same"),
    "libxml2": ("https://github.com/GNOME/libxml2", "c8eaf2236ff16667970f96f3f01e119c99d38ab2", "MIT", "Copyright",
                "libxml2: inputs of its HTML tests (those that are no copies of somebody's site)"),
    "libxslt": ("https://github.com/GNOME/libxslt", "22f12ce58eb5f41d23bb205530034b29aac03700", "MIT", "Copyright", "libxslt: pages of its site, laid out by nested tables"),
    "nokogiri": ("https://github.com/sparklemotion/nokogiri", "9507094faa5448c1c45edd50ec29f40f14a2b0c5", "MIT", "LICENSE.md",
                 "Nokogiri: files of its tests"),
    "scrapy": ("https://github.com/scrapy/scrapy", "11079cb1c85b9e75a39a7269943c69d1a975d485", "BSD-3-Clause", "LICENSE",
               "Scrapy: sample data of its tests"),
    "go-net": ("https://github.com/golang/net", "0ca694d2a5adcce7f36d4d65e5f8d72390d94051", "BSD-3-Clause", "LICENSE",
               "Go's x/net: charset tests, made from the W3C's internationalization test suite (W3C 3-clause BSD)"),
    "jsoup": ("https://github.com/jhy/jsoup", "46b620860af930eedc193a705eaf7cea5aec89a6", "MIT", "LICENSE", "jsoup: what fuzzers found, and byte order marks"),
    "h5bp": ("https://github.com/h5bp/html5-boilerplate", "b7e31d67f4cf83e23d51f4decc73618bf8bd77ba", "MIT", "LICENSE.txt", "HTML5 Boilerplate: its two pages"),
    "html5lib": ("https://github.com/html5lib/html5lib-tests", "9329e64694e7835d0dcff9811e22856ef6ad16f9", "MIT", "LICENSE",
                 "html5lib-tests: the inputs of its tree construction tests (html5lib.jsonl)"),
}

# What a licence wants beside itself.
BESIDE = [("httpd", "NOTICE"), ("httpd2", "NOTICE"), ("go-net", "html/charset/testdata/README")]

# (source, folder in it, file below that, Content-Type that a server would send or None)
FILES = []


def add(source, folder, names, header=None):
    FILES.extend((source, folder, name, header) for name in names.split())


def served(source, folder, suffixes):
    """Welcome pages: the server tells the charset by the file's suffix."""
    for pair in suffixes.split():
        suffix, _, charset = pair.partition("=")
        FILES.append((source, folder, f"index.html.{suffix}", f"text/html; charset={charset}" if charset else None))


served("httpd", "htdocs", "cz=iso-8859-2 de=iso-8859-1 ee=iso-8859-1 el=iso-8859-7 he.iso8859-8=iso-8859-8 hu=iso-8859-2 ja.jis=iso-2022-jp "
       "kr.iso-kr=euc-kr lb.utf8 po.iso-pl=iso-8859-2 ru.cp-1251=windows-1251 ru.cp866=ibm866 ru.iso-ru ru.koi8-r ru.ucs2=utf-16 "
       "ru.ucs4=utf-32 ru.utf8 zh-tw.big5=big5")
served("httpd2", "docs/docroot", "ja.iso2022-jp=iso-2022-jp ko.euc-kr=euc-kr zh-cn.gb2312=gb2312 hr.iso8859-2=iso-8859-2")
add("httpd", "htdocs/manual", "bind.html.fr mod/mod_dir.html.en sourcereorg.html misc/howto.html")
add("httpd", "htdocs/manual", "mod/module-dict.html.ja.jis mod/mod_asis.html.ja.jis", "text/html; charset=iso-2022-jp")
add("httpd2", "docs/manual", "faq/index.html.ko.euc-kr programs/index.html.ru.koi8-r faq/index.html.tr.utf8 ssl/index.html.ja.utf8 programs/index.html.es")
add("libxml2", "test/HTML", "758518-entity.html 758518-tag.html 758605.html 758606_2.html", "text/html; charset=utf-8")
add("libxml2", "test/HTML", "758606.html Down.html attr-ents.html attrents.html "
    "autoclose.html autoclose2.html autoclose3.html cf_128.html chardata.html comments.html comments2.html comments3.html entities.html "
    "entities2.html html5_enc.html implied1.html issue318.html issue380.html liclose.html lt.html names.html noscript.html pre.html reg1.html "
    "reg2.html reg3.html reg4.html repeat.html script.html script2.html xml-declaration-1.html")
add("libxslt", "doc", "API.html FAQ.html intro.html")
add("nokogiri", "test/files", "encoding.html encoding.xhtml shift_jis.html GH_1042.html")
add("nokogiri", "test/files", "noencoding.html")
add("nokogiri", "test/files", "metacharset.html", "text/html; charset=iso-2022-jp")
add("nokogiri", "test/files", "shift_jis_no_charset.html", "text/html; charset=shift_jis")
add("nokogiri", "test/files", "po.xml iso-8859-1.xml shift_jis.xml")
add("scrapy", "tests/sample_data", "link_extractor/linkextractor.html link_extractor/linkextractor_latin1.html "
    "link_extractor/linkextractor_no_href.html test_site/index.html test_site/item1.html test_site/item2.html feeds/feed-sample1.xml "
    "feeds/feed-sample2.xml")
add("scrapy", "tests/sample_data", "link_extractor/linkextractor_noenc.html")
add("go-net", "html/charset/testdata", "UTF-16BE-BOM.html UTF-16LE-BOM.html UTF-8-BOM-vs-meta-charset.html meta-charset-attribute.html "
    "meta-content-attribute.html")
add("go-net", "html/charset/testdata", "HTTP-charset.html HTTP-vs-UTF-8-BOM.html HTTP-vs-meta-charset.html HTTP-vs-meta-content.html",
    "text/html; charset=iso-8859-15")
add("jsoup", "src/test/resources", "bomtests/bom_utf16be.html bomtests/bom_utf16le.html bomtests/bom_utf32be.html bomtests/bom_utf32le.html "
    "bomtests/bom_utf8.html")
add("jsoup", "src/test/resources/fuzztests", "1538.html.gz 1543.html.gz 1595.html.gz 1607.html.gz 1611.html.gz 1639.html.gz 1642.html.gz 2393.html.gz "
    "2397.html.gz 399497256.html.gz 48116.html.gz 63202.html.gz 63236.html.gz 63242.html.gz 65147.html.gz 67469.html.gz 9056.html.gz "
    "as-replace.html.gz so-proc16-insert.html.gz ex-inselect16.html garble.html", "text/html; charset=utf-8")
add("h5bp", "dist", "index.html 404.html")

TREE_TESTS = """adoption01 adoption02 blocks comments01 doctype01 entities01 entities02 html5test-com inbody01 isindex main-element math
menuitem-element namespace-sensitivity noscript01 plain-text-unsafe quirks01 ruby scriptdata01 search-element svg tables01 template tests1
tests2 tests3 tests4 tests5 tests6 tests7 tests8 tests9 tests10 tests11 tests12 tests14 tests15 tests16 tests17 tests18 tests19 tests20 tests21
tests22 tests23 tests24 tests25 tests26 tricky01 void-in-phrasing webkit01 webkit02""".split()


def local(source, name):
    """Where a document lies below tests/others."""
    return f"{source}/{name.replace('/', '_').removesuffix('.gz')}"


def documents():
    """(name, kind, where, text): `where` goes into the golden lines, so that the test finds the bytes and reads them as weir does. The text is
    what Scrapy would hand to parsel: w3lib's reading of the bytes."""
    from w3lib.encoding import html_to_unicode

    for source, _, name, header in FILES:
        name = local(source, name)
        body = (HOME / name).read_bytes()
        text = html_to_unicode(header, body)[1]
        where = {"file": name} | ({"content_type": header} if header else {})
        yield name, "xml" if name.endswith(".xml") else "html", where, text
    for line in (HOME / "html5lib.jsonl").open(encoding="utf-8"):
        name, text = json.loads(line)
        yield name, "html", {"input": name}, text


def inputs(dat):
    """The inputs of a tree construction test file, those for fragments left out."""
    for test in dat.split("#data\n")[1:]:
        data, _, rest = test.partition("\n#errors")
        if "\n#document-fragment" not in rest:
            yield data


def take(clones):
    def show(source, path):
        clone = clones / {"httpd2": "httpd"}.get(source, source)
        commit = SOURCES[source][1]
        return subprocess.run(["git", "-C", str(clone), "show", f"{commit}:{path}"], capture_output=True, check=True).stdout

    (HOME / "licences").mkdir(parents=True, exist_ok=True)
    for source, (_, _, _, licence, _) in SOURCES.items():
        (HOME / "licences" / f"{source}.txt").write_bytes(show(source, licence))
    for source, path in BESIDE:
        (HOME / "licences" / f"{source}.{path.rsplit('/', 1)[-1]}.txt").write_bytes(show(source, path))
    (HOME / ".gitattributes").write_text("* -text\n")
    assert len({local(source, name) for source, _, name, _ in FILES}) == len(FILES), "two documents of one name"
    for source, folder, name, _ in FILES:
        body = show(source, f"{folder}/{name}")
        file = HOME / local(source, name)
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(gzip.decompress(body) if name.endswith(".gz") else body)
    seen = set()
    with (HOME / "html5lib.jsonl").open("w", encoding="utf-8") as out:
        for test in TREE_TESTS:
            dat = show("html5lib", f"tree-construction/{test}.dat").decode("utf-8", "surrogatepass")
            for number, text in enumerate(inputs(dat), 1):
                if text not in seen and len(text) < 4000 and not any("\ud800" <= c <= "\udfff" for c in text):
                    seen.add(text)
                    out.write(json.dumps([f"html5lib/{test}#{number}", text], ensure_ascii=False) + "\n")
    notice()


def notice():
    out = ["# Documents by others", "",
           "What lies here was written by others and is kept byte for byte, so that the extraction engine is judged on pages that nobody",
           "wrote for it. `oracle/others.py` says which files, and takes them anew. The licences are beside, in `licences/`.", ""]
    for source, (address, commit, licence, _, what) in SOURCES.items():
        out += [f"## {source}", "", f"{what}.", "", f"From {address} at {commit}, {licence} (`licences/{source}.txt`).", ""]
        if source == "html5lib":
            out += ["Of `tree-construction/*.dat` the inputs only; those for fragments and repetitions are left out.", ""]
        files = [f"- `{local(s, name)}`: `{folder}/{name}`" for s, folder, name, _ in FILES if s == source]
        out += files + [""] if files else []
    (HOME / "NOTICE.md").write_text("\n".join(out).rstrip() + "\n")


def main():
    if len(sys.argv) > 1:
        take(pathlib.Path(sys.argv[1]))
    pages = list(documents())
    size = sum(file.stat().st_size for file in HOME.rglob("*") if file.is_file())
    print(f"{len(pages)} documents, {sum(len(text) for _, _, _, text in pages):,} characters, {size:,} bytes with licences in {HOME}")


if __name__ == "__main__":
    main()
