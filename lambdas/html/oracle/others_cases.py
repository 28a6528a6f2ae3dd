"""What the golden file asks of documents by others. `EVERY` is asked of each, `ROUND` in turn, a few a document, so that every axis,
function and kind of CSS selector meets many documents; `CASES` is written for one document each."""

EVERY = ["count(//node())", "name((//*)[last()])", "css:title::text"]

# The inputs of html5lib's tests are short: this of each that is asked.
OF_INPUTS = ["string-length(/)", "//@*"]

ROUND = [
    # axes
    "//a/ancestor::*[1]/@*", "name(//b/ancestor-or-self::*[last() - 1])", "//a[1]/attribute::*", "/child::*/child::*/child::*[2]", "count(//descendant::text())",
    "name(//body/descendant-or-self::*[3])", "count((//p)[1]/following::*)", "//h1/following-sibling::*[1]", "name((//a)[last()]/preceding::*[1])", "//a/preceding-sibling::a/@href",
    "//li/parent::*/@class", "//td/self::td[1]", "count(//namespace::*)", "name(//namespace::node()[1])", "//*[self::h1 or self::h2 or self::h3]/text()",
    "//text()[preceding::b][1]", "//text()[following-sibling::br][1]", "count(//comment()/following::node())", "name((//text())[last()]/parent::node())",
    "//p/preceding::text()[1]", "(//*[not(*)])[last()]/ancestor::node()[2]/@*", "//br/following::text()[1]", "count(//tr/ancestor::table)",
    # nodes and positions
    "//comment()[1]", "(//text()[normalize-space()])[3]", "(//text()[normalize-space()])[last()]", "//p[last()]/text()", "//a[position() = 2]/@href", "//li[position() < 3]/text()",
    "(//a/@href)[position() mod 2 = 1]", "//*[@*][1]/@*[1]", "//tr[2]/td[1]//text()", "//table//tr[last()]//text()", "//td[not(.//table)]/text()[1]", "//dl/dt[1] | //dl/dd[1]",
    "//*[count(*) > 3][1]/*[3]", "//processing-instruction()", "//script/text()", "//style/text()", "//noscript/node()", "//meta/@content", "//img/@src | //img/@alt", "//font/@color | //font/@size",
    "//form//@name", "//input/@value", "//link/@href", "/html/body/@*", "/html/head/*[1]", "/*/node()[1]", "//*[@id][last()]/@id", "//*[@class]/@class", "(//node())[7]", "//*[1][last()]/text()[1]",
    # functions
    "string(//title)", "concat(name(/*), '|', name(/*/*[last()]), '|', count(//a))", "starts-with(//title, 'T')", "contains(/, 'Apache')", "substring-before(//a/@href, '.')",
    "substring-after(//a/@href, '/')", "substring(normalize-space(/), 11, 30)", "string-length(normalize-space(/))", "normalize-space(//p)", "translate(normalize-space(//title), 'aeiouаеиоу', 'AEIOUАЕИОУ')",
    "boolean(//table)", "not(//script)", "true() = boolean(//b)", "false() or //i", "lang('en')", "//*[lang('ja')][1]/@*", "number(//td)", "number(//*[number(.) = number(.)])",
    "sum(//@width[number(.) = number(.)])", "floor(count(//*) div 3)", "ceiling(count(//text()) div 7)", "round(string-length(/) div 11)", "local-name(//@*)", "namespace-uri(//*[last()])", "name(//@*[last()])",
    "id(//@id)/@id", "id('top')", "position() = last()", "count(//a[contains(@href, '#')])", "//a[starts-with(@href, 'http')]/@href", "//*[string-length(text()) > 40][1]/text()",
    "//*[has-class('note')]/text()", "count(//*[has-class('a')])", "//a[re:test(@href, '^https?://[^/]+/?$')]/@href", "re:match(//title, '\\w+', 'g')", "re:match(string(//a/@href), '([a-z]+)\\.([a-z]+)')",
    "re:replace(string(//title), '[^a-z]+', 'gi', '-')", "//text()[re:test(., '\\d{4}')]", "count(set:distinct(//a/@href))", "count(set:difference(//*, //body//*))", "count(set:intersection(//a, //p//a))",
    "set:leading(//body/*, //body/*[3])", "count(set:trailing(//*, //p))", "set:has-same-node(//a, //p/a)", "//a[@href = //a/@href[2]]", "//*[. = ../*[2]][1]/text()", "//td = //th", "//a/@href > 1",
    # CSS
    "css:p", "css:a::attr(href)", "css:body > *::text", "css:p a::text", "css:h1 + *::text", "css:h1 ~ p::text", "css:a[href^=http]::attr(href)", "css:a[href$='html']::text", "css:a[href*='.']::attr(href)",
    "css:[name]::attr(name)", "css:[class~=note] ::text", "css:[lang|=ja]::attr(lang)", "css:meta[http-equiv='Content-Type' i]::attr(content)", "css:li:first-child::text", "css:li:last-child::text", "css:tr:nth-child(2n) td::text",
    "css:td:nth-of-type(2)::text", "css:p:nth-last-of-type(1)::text", "css:*:only-child:not(:root)::text", "css:p:empty", "css::root::attr(lang)", "css:p:has(> a) > a::text", "css:a:not([href])::attr(name)",
    "css:h1, h2, h3", "css::is(b, i, em, strong)::text", "css:td > table td::text", "css:a:contains('e')::text", "css:#top::text, #footer ::text", "css:table:not(:has(table)) tr:first-of-type ::text", "css:div:where(.example, .note)::text",
    "css:*:not(script):not(style) > b::text", "css:input:checked::attr(name), option:checked::text", "css:a:link::attr(href)", "css:ul li:nth-child(odd)::text", "css:body ::attr(align)",
]

CASES = {}

# Foreign charsets: words of the page's own language in expressions, its letters in classes, its digits in numbers.
CASES["httpd/index.html.ru.koi8-r"] = ["//a[contains(., 'Apache')]/@href", "//text()[contains(., 'Если')]", "string-length(//title)", "translate(//title, 'АБВГДЕЖЗИКЛМНОПРСТУФХЦЧШЩЭЮЯ', 'абвгдежзиклмнопрстуфхцчшщэюя')",
                                       "re:match(string(//title), '[а-яё]+', 'g')", "re:test(/, 'APACHE', 'i')", "css:a:contains('Apache')::attr(href)", "normalize-space(//body)", "//title"]
CASES["httpd/index.html.ru.cp-1251"] = ["normalize-space(//body)", "//comment()", "//text()[contains(., 'сервер')]", "re:match(string(//body), '\\b[А-Я]\\w+', 'g')"]
CASES["httpd/index.html.ru.cp866"] = ["normalize-space(//body)", "//meta/@content", "//text()[re:test(., 'ё', 'i')]"]
CASES["httpd/index.html.ru.iso-ru"] = ["normalize-space(//body)", "//title/text()"]
CASES["httpd/index.html.ru.ucs2"] = ["normalize-space(//body)", "//title/text()", "//a/text()"]
CASES["httpd/index.html.ru.ucs4"] = ["normalize-space(//body)", "//title/text()", "css:a::text"]
CASES["httpd/index.html.ru.utf8"] = ["normalize-space(//body)", "//title/text()"]
CASES["httpd/index.html.el"] = ["normalize-space(//body)", "//text()[contains(., 'Apache')]", "re:match(string(//body), '[Α-Ωα-ωάέήίόύώ]+', 'g')[3]"]
CASES["httpd/index.html.he.iso8859-8"] = ["//title", "//@dir | //@lang", "//a/text()", "substring(normalize-space(//body), 1, 120)"]
CASES["httpd/index.html.ja.jis"] = ["//title/text()", "string-length(//title)", "normalize-space(//body)", "//a/@href"]
CASES["httpd/index.html.kr.iso-kr"] = ["normalize-space(//body)", "//title", "re:match(string(//body), '[가-힣]+')"]
CASES["httpd/index.html.zh-tw.big5"] = ["//title/text()", "normalize-space(//body)", "substring(//title, 2, 3)", "css:title, a"]
CASES["httpd/index.html.cz"] = ["normalize-space(//body)", "//text()[contains(., 'ž')]", "translate(//title, 'áéíóúýčďěňřšťůž', 'aeiouycdenrstuz')"]
CASES["httpd/index.html.hu"] = ["normalize-space(//body)", "//title"]
CASES["httpd/index.html.de"] = ["//text()[contains(., 'ü')]", "re:match(string(//body), '\\w*ü\\w*', 'g')"]
CASES["httpd/index.html.po.iso-pl"] = ["normalize-space(//body)", "//title/text()"]
CASES["httpd2/index.html.zh-cn.gb2312"] = ["normalize-space(//body)", "//title"]
CASES["httpd2/index.html.hr.iso8859-2"] = ["normalize-space(//body)", "//a/text()"]
CASES["httpd2/faq_index.html.ko.euc-kr"] = ["//h1", "//div[@id='preamble']//text()", "css:#toc a::attr(href)", "//a[has-class('up')]/../@class", "//dl/dt[1]//text()", "//*[lang('ko')][2]/@class",
                                            {"scope": "//dl/dt", "expr": "following-sibling::dd[1]/p/text()"}]
CASES["httpd2/programs_index.html.ru.koi8-r"] = ["//h2/text()", "//dl/dt", "//code/text()", "css:dl.programs dt + dd::text, dl dd::text", "//div[@id='path']/a[last()]", {"scope": "//dt", "expr": "concat(., ': ', normalize-space(following-sibling::dd))"}]
CASES["httpd2/ssl_index.html.ja.utf8"] = ["//h1", "//ul/li/a/text()", "css:.section h2::text", "//table//a/@href"]
CASES["httpd/mod_module-dict.html.ja.jis"] = ["//h1", "//h2/text()", "//h2/a/@name", "//h2[a[@name='Status' or @name='status']]/following-sibling::p[1]", "//hr/following::a[1]/@href", "//a[@name]/..", "//strong | //b"]
CASES["nokogiri/encoding.html"] = ["//title", "//p[3]", "count(//p[contains(., '。')])", "//p[last()]/text()"]
CASES["nokogiri/shift_jis.html"] = ["//h2", "//h2 = //title", "css:h2::text"]
CASES["nokogiri/metacharset.html"] = ["//title/text()", "normalize-space(/)", "//meta/@charset"]
CASES["go-net/meta-charset-attribute.html"] = ["//*[@class='ýäè']/@class", "//*[@class='test']/*/@class", "css:.test div::attr(class)", "//link/@href", "//script/text()", "//div[@id]/@id"]
CASES["go-net/UTF-16BE-BOM.html"] = ["//*[contains(@class, 'ê') or @class]/@class", "//title/text()"]
CASES["go-net/HTTP-vs-meta-charset.html"] = ["//div[@class]/@class", "//style/text()", "//meta/@charset"]

# Tables: cells without ends, tables in cells, layout by tables.
CASES["libxml2/cf_128.html"] = ["//table//table//td//text()", "//tr/td/@bgcolor", "count(//td/ancestor::table)", "//td[table]/text()", "css:td > table td::text", "//p"]
CASES["libxml2/reg4.html"] = ["//*", "//p/following-sibling::*", "/html/body/node()"]
CASES["libxslt/FAQ.html"] = ["//table//table//td[1]//text()[normalize-space()][1]", "//h1", "count(//table)", "//td[@bgcolor]/@bgcolor", "//td/a/@href", "//table[last()]//a[last()]/@href", "//ol/li[2]", "css:td table td b ::text",
                             "css:table table table a::attr(href)", "//a[starts-with(@href, 'mailto:')]", "//pre", "//li[.//pre]/ol | //li[em]/em/text()", {"scope": "//ol/li", "expr": "normalize-space(em)"}, {"scope": "//table[not(.//table)]", "expr": "count(.//tr)"}]
CASES["libxslt/intro.html"] = ["//p[2]", "//ul/li/a/@href", "//img/@alt", "css:form input::attr(value)", "//input/@type", "//td[form]", "//center//text()[normalize-space()]"]
CASES["libxslt/API.html"] = ["//ul//a/text()", "//li/a[contains(., 'xslt')]/@href", "css:ul > li:nth-child(2) a::text"]
CASES["httpd/mod_mod_dir.html.en"] = ["//h2/a/@name", "//a[@rel='Help' or @rel]/@href", "//blockquote/text()", "//pre | //code", "//strong[contains(., 'Syntax')]/..", "//h2[a]/following-sibling::text()[normalize-space()][1]", "//hr/@*", "//img/@alt",
                                      {"scope": "//h2", "expr": "following-sibling::a[1]/@href"}]
CASES["httpd/misc_howto.html"] = ["//h1", "//li/a/text()", "//dl/dt", "//dd/p/text()", "//pre/text()", "//blockquote//code", "css:ul li a::attr(href)", "//dt/following-sibling::dd[1]"]

# Nesting that ends elsewhere, forms and lists without ends.
CASES["libxml2/autoclose3.html"] = ["//ul/li", "//li//li", "/html/body/*"]
CASES["libxml2/liclose.html"] = ["//li", "//ul/li[2]/text()", "//ul//ul", "css:ul > li:last-child"]
CASES["libxml2/reg1.html"] = ["//a/@href", "//p/node()"]
CASES["libxml2/Down.html"] = ["//object | //applet", "//param/@*", "//body/*", "//a/following::text()"]
CASES["libxml2/issue318.html"] = ["//node()", "//text()", "//comment()"]
CASES["libxml2/issue380.html"] = ["/html/node()", "//*/@*"]
CASES["libxml2/comments.html"] = ["//comment()", "//p", "//text()[normalize-space()]"]
CASES["libxml2/comments2.html"] = ["//comment()", "//h2 | //h1"]
CASES["libxml2/comments3.html"] = ["//comment()", "count(//comment())"]
CASES["jsoup/garble.html"] = ["//*", "//text()", "//table/node()", "css:table ~ *::text"]
CASES["jsoup/ex-inselect16.html"] = ["//select", "//b/ancestor::*[1]", "//i/text()", "//template/node()"]
CASES["jsoup/1595.html"] = ["//a/ancestor::*[2]/@*", "name((//*)[20])", "//b[1]/@*"]
CASES["jsoup/9056.html"] = ["count(//table)", "//b/i/text()", "name((//text())[4]/..)"]
CASES["nokogiri/GH_1042.html"] = ["//script/text()", "//div/@*", "css:div ::text", "//*[@class]/text()"]

# Scripts, styles and other raw text.
CASES["libxml2/script.html"] = ["//script/text()", "//script/@*", "//body/node()"]
CASES["libxml2/script2.html"] = ["//script", "//div[@id='portal']/script[1]/text()", "//script/following-sibling::node()", "css:#portal script::text"]
CASES["libxml2/chardata.html"] = ["//title/text()", "//textarea/text()", "//iframe/text()", "//noembed", "//noframes/node()", "//style/text()", "//script/text()", "//plaintext/text()", "//body/text()[normalize-space()]", "//xmp"]
CASES["libxml2/noscript.html"] = ["//noscript/node()", "//head/*", "//img/@src | //link/@href"]
CASES["libxml2/attrents.html"] = ["//a/@href", "//@*", "//a/text()", "string-length(//a/@href)"]
CASES["libxml2/attr-ents.html"] = ["//@*", "//a"]
CASES["libxml2/entities2.html"] = ["//text()", "//@*"]
CASES["libxml2/names.html"] = ["//@*", "name(//@*)", "//*[@*]"]
CASES["libxml2/lt.html"] = ["//text()", "//*"]
CASES["libxml2/pre.html"] = ["//pre/text()", "//pre"]
CASES["h5bp/404.html"] = ["//style/text()", "//h1", "//meta/@name | //meta/@content", "css:meta[name=viewport]::attr(content)"]
CASES["h5bp/index.html"] = ["//script/@src", "//meta/@property", "//link/@rel", "css:link[rel=icon]::attr(href)", "//meta[@property]/@property", "/html/@*"]

# What Scrapy's own tests look for.
CASES["scrapy/test_site_item1.html"] = ["//h1", "//p/text()", "re:match(string(//p[2]), '\\d+')", "//ul/li/text() | //a/@href"]
CASES["scrapy/link_extractor_linkextractor.html"] = ["//a/@href", "//a[img]/@href | //area/@href", "//div[@id='subwrapper']//a/@href", "css:#inner a::attr(href)", "//a/text()", "//img/@alt", "//base/@href"]
CASES["scrapy/link_extractor_linkextractor_latin1.html"] = ["//a/@href", "//a/text()", "//a/img/@src", "//div//a[contains(., 'ñ') or contains(@href, 'ñ')]/@href"]
CASES["scrapy/feeds_feed-sample1.xml"] = ["//product/@*", "count(//*)", "//product[1]/*[1]", "//category/text()", "name(//*[last()])", "//price | //pricecode", "string(//product[2])", "//*[@name][1]/@*"]
CASES["scrapy/feeds_feed-sample2.xml"] = ["count(//item)", "//item/*[1]", "//channel/title/text()", "//item[2]/title", {"expr": "//g:price/text()", "namespaces": {"g": "http://base.google.com/ns/1.0"}}, "name(//item/*[last()])", "namespace-uri(//item/*[last()])", "//item/link/text()"]
CASES["nokogiri/po.xml"] = ["//item/@*", "//shipTo/name/text() | //name", "sum(//quantity)", "//comment", "//USPrice[. > 100]/..", "//item[last()]/*", "//comment()"]
CASES["nokogiri/iso-8859-1.xml"] = ["/*", "//text()", "//@*"]
CASES["nokogiri/shift_jis.xml"] = ["/*", "//text()", "name(/*/*)"]
