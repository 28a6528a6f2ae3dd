"""Small made pages for the frozen trees: what sites of several decades write, and one page a parser rule."""

EDGES = [
    # implied html, head, body
    "x", " x", "<p>x", "<title>t</title>x", "<meta charset=utf-8><p>x", "<head> x</head> y", "<head>\n<title>a</title>\n</head>\n<body>\n<p>b",
    "<head>&#32;&Tab;&nbsp;x", "<script>a</script><p>b", "<p>a<title>t</title>", "<html><link><body>", "<frameset><frame><script>x</script></frameset>",
    "<frameset>text< b", "<noframes>x</noframes>y", "</head>x", "<body></body>x<title>t</title>", "<body></body><body a=1>x", "<head></head><head>x",
    "<html a=1><html b=2>x</html>y</html>z", "<body><p>a<body>b</body>c</body>d", "<p><head><title>x</title></head>y", "<div><html/>x", "<b><body/>y",
    "<p>a</html> <p>b", "<p>a</html>x", "<!--a--><p>b</p></body></html><!--c-->d", "<html></html><!--x-->a<p>b", "<head/><p>x", "<html/>x", "<body/>x",
    # auto-closing and end tags
    "<p>a<p>b<div>c<p>d</div>e", "<ul><li>a<li>b<ul><li>c</ul>d</ul>", "<dl><dt>a<dd>b<dt>c</dl>", "<table><tr><td>a<td>b<tr><th>c<tbody><tr><td>d</table>",
    "<table><td>a</tr>b</table>", "<table><caption>a<tr><td>b", "<table><colgroup><col><col><tr><td>x", "<select><option>a<option>b<optgroup><option>c</select>",
    "<a>x<a>y", "<a>x<table><tr><td><a>y", "<b><p>x</b>y", "<i>a<p>b</i>c", "<h1>a<p>b<h2>c", "<form><form><input></form>x</form>y", "<span><td>x",
    "<div><p></div></p>x", "<p><table></p><tr><td></table>x", "<td>a</div>b", "<table><tr><td></table></td>x", "<div><span></div></span>x", "<zz><div></zz>x",
    "<div><zz></div>x</zz>y", "<thead><tr></tbody></tr>x", "<p></p></p></p>x", "</p>x", "<br></br>x", "<address><ul><li>a</address>b", "<pre><dl><dt>a",
    # tags
    "<P CLASS=A Id='b'>x</P >", "<p a=1 A=2 a>", "<p a/b/c=d/>x", "<p a=b/>x", "<p / >x", "<p =x>", "<p a==b>", "<p a= 'b' c = d\ne>", "<p a='1'b=\"2\"c>", "<p a=\"x>y",
    "<input checked CHECKED=1 disabled readonly=>", "<p a=&amp;b=&copy=1&copy;&copyx>", "<a href='?a=1&copy=2&lt=3&amp;x'>", "<br/>x<hr/ >y<img>z", "<div/>x",
    "<x:y z:w=1 xmlns:z='u'>", "<a\"b>x", "<é ü=ö>x", "<p é=1 É=2>", "<a<b>x", "<p\x01q>x", "<p a='\r\n1\r2'>", "<p a=1", "<p", "<", "</", "</>", "</ >", "</p", "<3", "< p>",
    "<" + "n" * 99 + "é x>", "<p " + "k" * 130 + "=1>", "<" + "m" * 100 + ">x</" + "m" * 100 + ">y", "<p " + " ".join(f"a{i}={i}" for i in range(40)) + ">",
    "</p a='>'>x", "</div/>x", "</p/x>y", "<div></DIV\n>x", "<div></divx></div>y",
    # comments, declarations
    "<!---->x", "<!-->x", "<!--->x", "<!--a--!>x", "<!--a-->x", "<!--a--->x", "<!-- a -- b -->x", "<!--a", "<!--a-", "<!--a--", "<!--a--!", "<!--\r\na\r-->", "<!a>x", "<!>x",
    "<?a b?>x", "<?php echo '>' ?>x", "<![CDATA[a]]>x", "a<!DOCTYPE html>b", "<!doctype html public '>' \"x\">y", "<!DOCTYPE", "<!--&amp;--><p>", "<p>a<!--b-->c",
    # text
    "a<b", "a < b", "a &lt; b", "&amp;&lt;&gt;&quot;&apos;&nbsp;", "&ampx &notit; &notin; &not", "&#65;&#x42;&#X43;", "&#0;&#128;&#159;&#xD800;&#x110000;&#99999999999;",
    "&#;&#x;&#xg;&", "&NotEqualTilde;&nGt;&CounterClockwiseContourIntegral;", "a\rb\r\nc\n\rd", "&#13;&#10;", "a</b>b</i>c", "a</b>\r</i>\nc", "&am</b>p;", "x\x0c\x0by\x1fz", "\ufeff", "\ufeffx",
    "\u00a0x\u00a0", "\u2028x", "a\x00b<p\x00>c", "日本語<p>テキスト",
    # raw text
    "<script>if (a < b && c > d) { x('</p>') }</script>y", "<script>a<!--b<script>c</script>d--></script>e", "<script><!--a</script>b", "<script><!--<script></script>", "<script><!--></script>x",
    "<script><!--<SCRIPT ></scripT >--></script>x", "<script>a</scriptx></script>y", "<script>a</script", "<script>&amp;\r\n</script>", "<style>a > b { c: '&amp;' }</style>x",
    "<textarea>\n&lt;<p></textarea>x", "<title>a<b>&amp;</TITLE>x", "<xmp><b></xmp>x", "<iframe><p></iframe>x", "<noembed><p></noembed>x", "<plaintext><b></plaintext>x",
    "<noscript><p>x</noscript>y", "<textarea/>x", "<script/>x", "<style></style >x</style>", "<svg><title>a<b></title>x", "<template><p>a</template>b", "<math><mi>x</math>",
]


def made(rng, index):
    """A page of one of five manners."""
    word = lambda: rng.choice("garden price open valley stone river &amp; m&sup2; &pound;3 caf\u00e9 <b>new</b> 1&ndash;2 <br>".split())  # noqa: E731
    text = lambda n: " ".join(word() for _ in range(n))  # noqa: E731
    eol = rng.choice(["\n", "\n", "\r\n", ""])
    rows = range(rng.randint(1, 6))
    manner = index % 5
    if manner == 0:
        items = eol.join(
            f'<article class="card c{i}" data-id={i}><h2><a href="/p/{i}.html?x=1&amp;y={i}">{text(2)}</a></h2>'
            f'<p class=price>&euro;{i}00</p><ul><li>{text(1)}<li>{text(2)}</ul><img src=/i/{i}.jpg alt="" loading=lazy></article>' for i in rows)
        return (f'<!DOCTYPE html>{eol}<html lang=en>{eol}<head>{eol}<meta charset="utf-8">{eol}<title>{text(3)}</title>{eol}'
                f'<script>var a = "<b>" && 1 < 2;</script>{eol}</head>{eol}<body class="x">{eol}<!-- top -->{eol}<main>{items}</main>{eol}</body>{eol}</html>{eol}')
    if manner == 1:
        cells = eol.join(f"<TR><TD WIDTH=100 BGCOLOR=#FFFFFF><FONT SIZE=2 FACE=Arial>{text(2)}<TD NOWRAP><A HREF=item{i}.htm>{text(1)}</A>" for i in rows)
        return (f'<HTML>{eol}<HEAD><TITLE>{text(2)}</TITLE></HEAD>{eol}<BODY BGCOLOR=white>{eol}<CENTER><H1>{text(2)}</H1></CENTER>{eol}'
                f'<P>{text(5)}{eol}<P>{text(4)}<HR>{eol}<TABLE BORDER=1>{eol}{cells}{eol}</TABLE><DL><DT>{text(1)}<DD>{text(3)}</DL></BODY></HTML>')
    if manner == 2:
        return eol.join(f"<div><form action=/s{i}><label>{text(1)}</label><input name=q value='{i}' disabled><select><option selected>{text(1)}<option value={i}>b</select>"
                        f"<textarea rows=2>{text(2)}</textarea><button>Go</form></div>" for i in rows)
    if manner == 3:
        inner = "".join(f"<tr><th scope=row>{text(1)}</th><td>{text(2)}<table><tr><td>{i}</table></td></tr>{eol}" for i in rows)
        return f'<?xml version="1.0"?><!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Strict//EN" "x.dtd"><html xmlns="http://www.w3.org/1999/xhtml" xml:lang="en"><head><title/><link rel="a" /></head><body><table><thead/><tbody>{inner}</tbody></table><br /><svg viewBox="0 0 1 1"><path d="M0"/><g/></svg></body></html>'
    return eol.join(f"<section><h3>{text(2)}</h3><blockquote><p>{text(4)}<ol><li>{text(1)}<p>{text(2)}<li>b</ol></blockquote><pre>\n  {text(2)}\n</pre>"
                    f"<script type=application/ld+json>{{\"a\": \"<\\/script>\", \"n\": {i}}}</script><noscript><img src=t{i}.gif></noscript></section>" for i in rows)
