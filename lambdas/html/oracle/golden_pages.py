"""The pages of the golden file. The first ones are as pages should be, the rest as pages are."""

PAGES = {}

PAGES["listing"] = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Flats to let in Leeds | Homes</title>
<link rel="canonical" href="/to-let/leeds"><script type="application/ld+json">{"@type":"ItemList","n":2}</script></head>
<body class="page listing">
<nav id="nav"><ul class="crumbs"><li><a href="/">Home</a></li><li><a href="/leeds">Leeds</a></li></ul></nav>
<div id="results" class="results  grid">
 <article class="card featured" data-id="17"><h2><a href="/p/17" itemprop="url">Canal  view</a></h2>
  <span class="price" itemprop="price">&pound;1,250</span> <span class="beds">2</span>
  <p class="desc">Bright &amp; airy.<br>Near <b>station</b>.</p></article>
 <article class="card" data-id="18"><h2><a href="/p/18" itemprop="url">Garden flat</a></h2>
  <span class="price old" itemprop="price">&pound;900</span> <span class="price" itemprop="price">&pound;850</span> <span class="beds">1</span>
  <p class="desc">Quiet.</p></article>
 <article class="card" data-id="19"><h2><a href="/p/19" itemprop="url">Loft</a></h2>
  <span class="price" itemprop="price">&pound;2,000</span> <span class="beds">3</span></article>
</div>
<div class="pager"><a class="prev" href="?page=1">Prev</a> <a class="page">2</a> <a class="next btn" rel="next" href="?page=3">Next</a></div>
<!-- 3 results --></body></html>"""

PAGES["item"] = """<html><head><title>Mill House</title></head><body>
<h1 itemprop="name">Mill House</h1><h1 itemprop="name">Second name</h1>
<div itemscope itemtype="http://schema.org/Place">Mill Lane, York<span itemprop="postcode">YO1 1AA</span></div>
<img itemprop="image" src="images/a.jpg"><img itemprop="image" src="images/b c.jpg?x=1&amp;y=2">
<p itemprop="description"> A stone house. </p><p itemprop="description">With a garden.</p>
<b itemprop="price">325,000.50</b><dl><dt>Beds</dt><dd>4</dd><dt>Baths</dt><dd>2</dd></dl>
<a href="tel:+44 113 496 0000" class="tel">0113</a></body></html>"""

PAGES["nested"] = """<div id="a"><p id="a1">one</p><div id="b"><p id="b1">two<i>x</i></p><div id="c"><p id="c1">three</p>
tail<p id="c2">four</p></div></div><p id="a2">five</p></div><div id="d"><p id="d1">six</p></div>"""

PAGES["table"] = """<table id="t" border=1><caption>Prices</caption><tr><th>Name<th>Price</tr>
<tr><td>Tea<td>2.50<tr><td>Cake<td>3<tr class=total><td>Sum<td>5.50</table>
<table><thead><tr><th>h</th></tr></thead><tbody><tr><td>1</td><td><table><tr><td>in</td></tr></table></td></tr></tbody></table>"""

PAGES["form"] = """<form action="/search?a=1&b=2" method=post><input type=hidden name=token value="a'b&quot;c"><input type=checkbox name=c checked>
<input type=radio name=r disabled><select name=s><option value=1>One<option value=2 selected>Two</select><textarea name=t>
 a <b> &lt; </textarea><button disabled>Go</button><fieldset disabled><legend><input name=l></legend><input name=f></fieldset>
<label for=c>Yes</label><optgroup disabled><option>x</option></optgroup></form>"""

PAGES["lists"] = """<ul><li>1<ul><li>1.1<li>1.2</ul><li>2<ol><li>2.1</li></ol></li><li></li><li>3</ul><dl><dt>a<dd>b<dt>c<dd>d</dl>"""

PAGES["numbers"] = """<ul class="n"><li>3</li><li> 10 </li><li>-2.5</li><li>1e3</li><li>x7</li><li></li><li>10</li></ul><p>42</p><p>7</p>"""

PAGES["misnested"] = """<p>a<b>b<i>c</b>d</i>e</p><b><p>f</b>g</p><a href=1>h<a href=2>i</a></a><p><div>j</div>k</p>
<span><h1>l</span>m</h1></div></p></body>late<em>r</html>after<u>v</u>"""

PAGES["scripts"] = """<head><script>var a = "<p>not an element</p>"; if (a < b && c) {}</script><style>p > a { content: "&lt;" }</style>
<noscript><img src="x.gif"></noscript></head><body><script type="text/template"><div class="x">&amp;</div></script>
<p>shown</p><iframe src="y"><b>in</b></iframe><textarea><i>t</i></textarea><title>&lt;second></title><xmp><b>x</b></xmp></body>"""

PAGES["comments"] = """<!-- before --><!DOCTYPE html><!--> short --><html><!-- in html --><body><p>a<!-- b --c -->d</p><?php echo "x" ?>
<![CDATA[ raw <b> ]]><p>e<!--[if IE]><b>ie</b><![endif]-->f</p><! bogus ><!-- open</body></html>"""

PAGES["entities"] = """<p title="&lt;a&gt; &quot;b&quot; &#39;c&#39; &copy &notanentity; &amp;amp;">&eacute;&Eacute;&nbsp;&#8364;&#x20AC;&#128;&#0;&lt;tag&gt; &copy2 &amp &
AT&T &#xD800; &#99999999; &hellip;&rarr;</p><a href="?a=1&copy=2&reg;=3&lt=4">x</a><p>a&#13;b&#10;c&#9;d</p>"""

PAGES["upper"] = """<HTML><BODY BGCOLOR=#FFF><DIV CLASS="Big RED" ID=Top onClick="x()"><A HREF='/X' Title=Q>Link</A><IMG SRC=a.PNG ALT="">
<INPUT TYPE=CHECKBOX CHECKED></DIV><Br><FONT COLOR=red>f</FONT></BODY></HTML>"""

PAGES["duplicates"] = """<p id=x id=y class="a" CLASS="b" data-a=1 data-a=2>first</p><p id=x>second</p><a name=n id=m>third</a><a name=x>fourth</a>
<div class="" id="">empty</div><div class>bare</div><div class="  a
b	c  ">spaced</div><div class=a-b>dash</div><div class="ab">run</div>"""

PAGES["foreign"] = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 10 10"><linearGradient id="g"><stop offset="0%"/></linearGradient>
<foreignObject><p>in svg</p></foreignObject><a xlink:href="#q"><text>t</text></a><path d="M0 0"/></svg>
<math><mi>x</mi><annotation-xml encoding="text/html"><p>in math</p></annotation-xml></math>
<o:p xml:lang="en">office</o:p><custom-tag data-x:y="1">c</custom-tag><p lang="de-AT"><b>t</b></p><p lang=EN>e</p>"""

PAGES["charsets"] = """<html lang=ja><head><meta charset=shift_jis><title>日本語のページ</title></head><body><p class="値段">１２３円</p>
<p class=цена>Цена: 5 000 ₽</p><p>Ünïcödé – “quotes” … ﬁ</p><été id=élan>ça</été><p>עברית</p><p>👍🏽 emoji 𝒳</p>
<a href="/путь/файл?q=é ü">href</a><p>İıſK</p></body></html>"""

PAGES["soup"] = """<td>cell<p>x<table><p>in table</p><tr>text<td>y</table><li>li<dd>dd<option>o<select><b>z</select></p></p></br><br/><hr>text</hr>
<p/>self<div/>closed<img><image src=i></span></unknown><unknown>u<h1>a<h2>b</h1>c</h2><<p>>q</ p></p x=1>r<a b='c'd="e"f=g/h>i</a>"""

PAGES["spaces"] = """

  <p>  lead</p>  <p>mid
 line	tab </p>\r\n<pre>
 keep
   this </pre><p> nbsp </p><p></p><p> </p><b> a </b> <b>b</b>
"""

PAGES["frames"] = """<html><head><title>f</title></head><frameset cols="1,2"><frame src="a.html" name=a><frame src=b.html><noframes><p>no</p></noframes></frameset></html>"""

PAGES["twice"] = """<html><head><title>1</title></head><body id=one><p>x</body><body id=two class=k><p>y</html><html lang=fr><head><title>2</title><p>z"""

PAGES["unclosed"] = """<div class="card"><h2>Title<p>para <b>bold <i>both</b> it</i><ul><li>a<li>b</div><div class="card"><h2>Other</h2><a href="q"""

PAGES["broken_attributes"] = """<p a=1b="2" c='3"4' ="x" d e= f><a href=foo"bar title='it''s' / x/y=z>t</a><img src="a.png"alt="x"/><p =a b==c d=`e f`>u</p><p class="a'b" title='"'>v"""

PAGES["empty"] = ""

PAGES["text_only"] = "just text & nothing <else"

XML_PAGES = {}

XML_PAGES["rss"] = """<?xml version="1.0" encoding="utf-8"?>
<!-- feed --><?style sheet="x"?>
<rss version="2.0" xmlns:media="http://search.example/mrss/" xmlns:dc="u:dc"><channel><title>News &amp; more</title>
<item><title><![CDATA[A <b>bold</b> title]]> and more</title><link>http://localhost/1?a=1&amp;b=2</link><media:thumbnail url="t.jpg" width="1"/><dc:creator>Ann</dc:creator></item>
<item><title>Second</title><link>http://localhost/2</link><dc:creator>Bo</dc:creator><Guid isPermaLink="false">g-2</Guid></item></channel></rss>"""

XML_PAGES["atom"] = """<feed xmlns="http://www.w3.org/2005/Atom" xml:lang="en-GB"><title type='text'>T</title><entry><link rel="a" href="/1"/>
<content type="xhtml"><div xmlns="http://www.w3.org/1999/xhtml">in <b>x</b></div></content></entry><entry xmlns:x="u:x" x:a="1" b="&lt;&#10;\t
"><x:y/><link href="/2"/></entry><plain xmlns="">p<q/></plain><m xmlns:x="u:other"><x:n/></m></feed>"""

XML_PAGES["sitemap"] = """<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"><url><loc> http://localhost/a </loc><lastmod>2026-11-01</lastmod></url>\r\n<url><loc>http://localhost/b</loc></url></urlset>"""

XML_PAGES["plain_xml"] = """<Root><Child id="1">x</Child><child ID="2" xml:id="k">y<deep><deeper/></deep></child><!--c--><?target some data?></Root><!--after-->"""

XML_PAGES["bad_xml"] = """<a><b>1</c><d>2 & 3</c><e x="1">open"""
