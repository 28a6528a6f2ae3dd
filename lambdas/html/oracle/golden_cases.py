"""The expressions of the golden file: by page, and those asked on every page. A string is an XPath expression, one that
starts with `css:` a CSS selector; a dict has more."""

EVERYWHERE = [
    ".",
    "//text()",
    "//@*",
    "//*[not(*)]/..",
    "count(//*)",
    "string(/)",
    "//p[1]",
    "//*[last()]/@*[1]",
    "//comment()",
    "css:p, a::attr(href)",
    "css:*:not(p) > *::text",
]

CASES = {}

CASES["listing"] = [
    "//article/@data-id",
    "//article//a/text()",
    '//*[@itemprop="url"]/@href',
    '//*[@itemprop="price"][1]/text()',
    '(//*[@itemprop="price"])[1]/text()',
    '(//*[@itemprop="price"])[last()]/text()',
    '//*[@itemprop="price"][last()]/text()',
    '//*[contains(@class,"next")]//@href',
    '//a[@rel="next"]/@href',
    '//div[@class="pager"]/a[2]',
    '//div[contains(concat(" ", normalize-space(@class), " "), " grid ")]/article[position() < 3]/@data-id',
    '//div[contains(concat(" ", @class, " "), " grid ")]/@id',
    '//span[starts-with(@class, "price")]/text()',
    '//span[@class != "price"]/text()',
    "//article[2]/span[1]",
    "//article[h2/a = 'Loft']/@data-id",
    "//article[.//b]/@data-id",
    "//article[not(p)]/@data-id",
    "//article[p and span[@class='beds'] > 1]/@data-id",
    "//article[span[@class='price'] = '£850']/h2/a/@href",
    "normalize-space(//article[1]/h2)",
    "string(//article/p)",
    "//article/p/text()",
    "//article/p//text()",
    "//article/p/br/following-sibling::node()",
    "//article[2]/preceding-sibling::article/@data-id",
    "//article[2]/following-sibling::*/@data-id",
    "//b/ancestor::*/@class",
    "//b/ancestor-or-self::*[2]/@class",
    "//b/preceding::a/@href",
    "//b/following::a[1]/@href",
    "//h2/parent::article/@data-id",
    "//h2/..//span[last()]/text()",
    "//nav/descendant::a[2]/text()",
    "//nav/descendant-or-self::*/@id",
    "//script/text()",
    "//meta/@charset | //link/@href | //title/text()",
    "/html/head/title/text()",
    "/html/body/div/article/h2/a/@href",
    "//a/attribute::href", "//article/attribute::*", "/child::html/child::body/child::div/attribute::id", "html", "body/nav", "./body/nav/ul/li/a/text()", ".//li", "*", "..", "/", "/*", "//self::nav", "self::html/@lang",
    "substring-before(//title, ' | ')", "substring-after(//title/text(), '| ')",
    "sum(//span[@class='beds'])", "count(//article[span[2]])", "//article[count(span) = 3]/@data-id",
    "number(translate(//span[@class='price'], '£,', ''))",
    "//article[@data-id > 17]/@data-id", "//article[@data-id = //article[3]/@data-id]/@data-id",
    "//article[@data-id mod 2 = 1]/@data-id",
    "//article[@data-id='18' or @data-id='19']/h2//text()",
    "//a[has-class('next')]/@href", "//a[has-class('btn', 'next')]/@href", "//article[has-class('card featured')]/@data-id",
    "//div[has-class('results grid')]/@id", "has-class()", "has-class(.)", "//a[has-class('')]",
    "//a[re:test(@href, '^/p/\\d+$')]/@href", "//a[re:test(@href, '^/P/', 'i')]/text()",
    "re:match(//title, '(\\w+) to (\\w+)')", "re:match(//title, '[A-Z]\\w+', 'g')", "re:match(//title, '[A-Z]\\w+', 'g')[2]",
    "re:match(//title, 'x')", "re:match(//title, '[A-Z]\\w+', 'g')/text()", "count(re:match(//title, 'e', 'g'))",
    "re:replace(//title, '(\\w+) to', 'g', '\\1 for')", "re:replace(//title, '[aeiou]', '', '_')",
    "re:replace(//title, '(?P<first>\\w)', 'g', '<\\g<first>>')",
    "re:test(//nothing, '^$')", "re:test(12, '12.0')", "re:test(//title, //span[@class='beds'])", "string(re:match(//title,'L(e+)ds'))",
    {"expr": "//article[@data-id=$id]/h2//text()", "vars": {"id": "18"}},
    {"expr": "//article[position()=$n]/@data-id", "vars": {"n": 2}},
    {"expr": "//article[$flag]/@data-id", "vars": {"flag": False}},
    {"expr": "concat($a, ' and ', $a)", "vars": {"a": "it's \"q\""}},
    {"expr": "$missing"},
    {"scope": "//article", "expr": ".//a/@href"},
    {"scope": "//article", "expr": "./span[@class='beds']/text()"},
    {"scope": "//article", "expr": "@data-id"},
    {"scope": "//article", "expr": "string(h2)"},
    {"scope": "//article", "expr": "count(//article)"},
    {"scope": "//article", "expr": "css:span.price::text"},
    {"scope": "//article", "expr": "css::scope > h2 a::attr(href)"},
    {"scope": "//article/h2", "expr": "following-sibling::span[1]/text()"},
    "css:article", "css:article.card > h2 a::attr(href)", "css:#results .price::text", "css:.price:not(.old)::text",
    "css:article:nth-child(2)::attr(data-id)", "css:article:nth-child(odd)::attr(data-id)", "css:article:first-child h2 a::text",
    "css:article:last-child::attr(data-id)", "css:span + span::text", "css:span ~ p::text", "css:a[href^='/p']::text",
    "css:a[href$='3']::text", "css:a[href*='page']::text", "css:[class~=grid]::attr(id)", "css:html[lang|=en]::attr(lang)",
    "css:a[rel=next i]::text", "css:article:has(b)::attr(data-id)", "css:article:has(> p):not(:has(b))::attr(data-id)",
    "css:a:contains('Garden')::attr(href)", "css::is(h2, nav) a::text", "css::where(.beds, .price)::text",
    "css:span:nth-of-type(2)::text", "css:span:nth-last-of-type(1)::text", "css:h2, .beds", "css:body > *", "css::root", "css:a:link::text",
    "css:a:not([rel])::text", "css:span.price.old::text", "css:title::text, meta::attr(charset)", "css:*::text",
    "css:article p ::text", "css:nav ::attr(href)", "css:div >", "css:a:unknown", "css:a[", "css:a::before",
]

CASES["item"] = [
    '//*[@itemprop="name"][1]/text()', '//*[@itemprop="price"][1]/text()', '//*[@itemprop="description"][1]/text()',
    '//*[@itemtype="http://schema.org/Place"][1]/text()', '//*[@itemprop="image"][1]/@src', '//*[@itemprop="image"]/@src', "//img",
    "//*[@itemprop][2]", "//*[@itemscope]", "//dt[.='Baths']/following-sibling::dd[1]/text()", "//dd[preceding-sibling::dt[1]='Beds']",
    "//dl/*[2]/text()", "//dl/node()[position() = last()]", "//dl/*[position() mod 2 = 0]/text()", '//*[@class="tel"][1]/@href', "//a",
    "number(//dd)", "//dd + 1", "//dd * 2 - 1", "- //dd", "//dd[1] div //dd[2]", "//dd mod 3", "number(//b)", "boolean(//b)", "not(//b)", "string(//dd > 3)",
    "//dd > 3", "//dd < 3", "//dd != 4", "//dd = 2", "//dd >= 5", "//dd = //dd[2]", "//dd != //dd", "//dd < //dd", "//dt = //dd", "//none = ''", "//none != ''",
    "//dd = true()", "//none = false()", "//dd > true()", "'a' = 'a'", "'a' < 'b'", "1 < 2 < 0.5", "1 = '1'", "true() = 'x'", "'' = false()",
    "concat(//dt[1], ': ', //dd[1])", "concat('a')", "string-length(//p)", "string-length()", "normalize-space(//p)", "normalize-space()",
    "starts-with(//p, ' A')", "starts-with('a', '')", "contains(//p, 'stone')", "contains('', '')", "substring(//h1, 2, 3)", "substring('12345', 1.5, 2.6)",
    "substring('12345', 0 div 0, 3)", "substring('12345', -42, 1 div 0)", "substring('12345', 2)", "substring('12345', -1 div 0, 1 div 0)",
    "substring-before('a-b', '-')", "substring-before('a', 'x')", "substring-after('a-b-c', '-')", "substring-after('ab', '')", "translate('bar', 'abc', 'AB')",
    "translate('aab', 'aa', 'xy')", "round(2.5)", "round(-2.5)", "round(-0.2)", "string(round(-0.2))", "floor(-1.5)", "ceiling(1.2)", "1 div 0", "-1 div 0", "0 div 0", "string(1 div 0)",
    "string(1 div 3)", "string(1e15)", "string(100000000000)", "string(0.000001)", "string(123456.789)", "1 div 3", "1e16", "1e15", "0.00001", "5 mod -2", "-5 mod 2", "1.5 mod 0.5",
    "true()", "false()", "boolean('false')", "boolean(0)", "boolean(0 div 0)", "number('')", "number(' 1.5 ')", "number('+1')", "number('1e3')", "number(true())", "name(//img)", "name()",
    "local-name(//@itemprop)", "name(//text())", "name(//none)", "namespace-uri(//img)", "lang('en')", "sum(//dd)", "sum(//b)", "count(//dd | //dt | //dd)", "id('x')",
    "position()", "last()", "//dd[position() = last()]", "//dd[last() - 1]", "//dd[0]", "//dd[1.5]", "//dd['x']", "//dd['']", "//dd[true()]", "//dd[position()]", "//dd[-1]",
    "//dd[1][1]", "//dd[2][1]", "//dd[.][2]", "(//dt | //dd)[3]", "(//dt | //dd)[position() > 1][2]", "(//dl)/dd", "(//dd)[2]/preceding-sibling::*", "(//dd)[2]/preceding-sibling::*[1]",
    "//b/text() | //b/@itemprop | //b", "//@src | //@href", "//h1/@itemprop/..", "//h1/@itemprop/../text()", "//b/namespace::*", "//b/namespace::xml", "name(//b/namespace::*)", "count(//namespace::node())",
    "//b/@itemprop/self::node()", "//b/@itemprop/following::*", "//b/@itemprop/preceding::*[1]", "//b/@itemprop/ancestor::*[1]", "//b/@itemprop/following-sibling::*", "//b/@*/ancestor-or-self::node()",
    "//b/@xml:lang", "//xml:b", "//re:b", "//foo:b", "foo()", "foo:bar()", "//b[", "//b]", "b/", "//", "1 +", "'open", "a::b", "//b/text", "//b/string()", "count(1)", "1 | 2", "(1)[1]", "'a'/b", "..b", ".[1]", "a b", "=", "",
    "processing-instruction()", "processing-instruction('x')", "processing-instruction(x)", "text(1)", "div div div", "* * *", "or or or", "//dd[. = 4 and ../dt]", "//dd[../dt[2] = 'Baths'][1]",
    "set:difference(//dd, //dd[1])", "set:intersection(//dl/*, //dd)", "set:distinct(//@itemprop)", "set:has-same-node(//dd, //dl/*)", "set:has-same-node(//dd, //dt)", "set:leading(//dl/*, //dd[2])",
    "set:trailing(//dl/*, //dd[1])", "set:leading(//dl/*, //none)", "set:trailing(//dl/*, //b)", "set:difference(1, 2)", "set:nothing(//b)", "re:test(/, 'a')", "re:test(//none | /, '^$')", "re:replace(/ | //dd, '\\d', 'g', '<\\g<0>>')", "re:test('a', /)", "re:match(/, '^')", "re:replace(//b/namespace::*, 'xml', 'g', 'q')", "re:test(//comment() | //dd, '4')", "re:test('a')", "re:test('a', '[')", "re:test('ab', 'a(?=b)')", "re:replace('aa', '(a)\\1', '', 'x')", "re:replace('a', 'a', '')", "re:test('a','A')", "re:match('aXbX', 'X', 'g')[last()]",
    "css:dl > dt + dd::text", "css:dd:last-of-type::text", "css:[itemprop=image]::attr(src)", "css:img:first-of-type", "css:[itemprop='description']::text", "css:p:nth-last-child(2)", "css:h1:only-of-type", "css:b:only-of-type::text", "css:a[class]::attr(href)",
]

CASES["nested"] = [
    "//div//p/@id", "//div/p/@id", "//div//div/p/@id", "//div//div//p", "//div/..//p/@id", "//p/../@id", "//p/ancestor::div/@id", "//p/ancestor::div[1]/@id", "//p/ancestor::div[last()]/@id",
    "//p[ancestor::div[@id='b']]/@id", "//div//text()", "//div/text()", "//div[p]/@id", "//div[.//p[@id='c2']]/@id", "//div//p[1]/@id", "//div//p[2]/@id", "//div/descendant::p[2]/@id", "(//div//p)[2]/@id",
    "//p[last()]/@id", "//p/following::p/@id", "//p/following::p[1]/@id", "//p/preceding::p/@id", "//p/preceding::p[1]/@id", "//p/following-sibling::*/@id", "//p/preceding-sibling::*[1]/@id", "//div/following-sibling::div/@id",
    "//div/descendant-or-self::div/@id", "//i/ancestor::node()", "//i/preceding::node()", "//div[@id='c']/preceding::*/@id", "//div[@id='b']/following::node()", "//*[@id='c']/node()", "//div/div/div/text()[2]", "//div/*[1]/@id", "//div/*[last()]/@id",
    "//*[self::p or self::i]/text()", "//*[name()='p'][2]/@id", "//@id[. > 'b']", "//@id[starts-with(., 'c')]", "//div//@id", "//div[@id='b']//@id", "//div/@id/../p/@id", "//p[string-length(.) > 4]/@id", "//p[not(following-sibling::p)]/@id",
    "//p[count(ancestor::div) = 3]/@id", "//div[count(.//p) > 2]/@id", "//div[count(p) = 2]/@id", "//p[. = 'two']/@id", "//p[text() = 'two']/@id", "//p[contains(., 'twox')]/@id", "//*[. = 'x']", "//p | //div/@id", "id('b1 a1 zz')", "id(//p/@id)/..", "id('c')/p/@id",
    "//div[position() = 1]/@id", "//div[2]/@id", "//div//div[1]/@id", "/descendant::div[2]/@id", "/descendant::p[last()]/@id", "//node()[3]", "//div/node()[last()]", "//p[preceding::i]/@id", "//p[following::i]/@id", "//div[div[div]]/@id", "//div[not(div)]/@id",
    "css:div div p::attr(id)", "css:div > p::attr(id)", "css:div p:first-child::attr(id)", "css:div > div > p + p::attr(id)", "css:p ~ p::attr(id)", "css:div:has(> div > div)::attr(id)", "css:p:not(div div p)::attr(id)", "css:p:nth-child(2)::attr(id)", "css:div *::attr(id)", "css:div ::text", "css:div > ::text", "css:p:empty", "css:div:not(:has(div))::attr(id)",
    {"scope": "//div", "expr": ".//p/@id"}, {"scope": "//div", "expr": "p[1]/@id"}, {"scope": "//div", "expr": "(.//p)[1]/@id"}, {"scope": "//p", "expr": "ancestor::div[1]/@id"}, {"scope": "//p/text()", "expr": "."}, {"scope": "//div", "expr": "count(preceding::*)"},
]

CASES["table"] = [
    "//table/tr", "//table/tbody/tr", "//tr/td[2]/text()", "//tr[td]/td[1]/text()", "//tr[th]", "//tr[last()]/td[last()]/text()", "sum(//table[1]//td[2])", "//td[. > 2.6]", "//tr[@class]/td", "//table//table//td/text()", "//table[@id='t']/@border", "//caption",
    "//tr/following-sibling::tr[1]/td[1]", "//td[position() mod 2 = 0]", "//td/ancestor::table", "//tr[position() > 1]/td[1]/text()", "css:table tr td:nth-child(2)::text", "css:table > tr:first-child th::text", "css:tr:nth-child(n+3) td::text", "css:table table td::text", "css:tr:not(.total) > td:last-child::text", "//table//tr[2]", "//table//tr[1]/*[1]",
]

CASES["form"] = [
    "//form", "//input/@name", "//input[@checked]", "//input[@type='hidden']/@value", "//input[@checked='checked']/@name", "//option[@selected]/text()", "//option[last()]", "//textarea", "//textarea/text()", "//form/@action", "//*[@disabled]/@name", "//input[@value]", "//@disabled", "//label/@for", "//input[@name=//label/@for]/@type",
    "css:input:checked::attr(name)", "css:option:checked::text", "css::disabled", "css::enabled::attr(name)", "css:input[type=radio]:disabled::attr(name)", "css:select option::attr(value)", "css:button:disabled::text", "css:input:not([type])::attr(name)", "css:[disabled]::attr(name)",
]

CASES["lists"] = [
    "//li", "//li/text()", "//ul/li/text()", "//li[ul]/text()", "//li//li/text()", "//li[not(node())]", "//ul/li[3]", "//ol/li/..", "//dt/following-sibling::dd[1]/text()", "//dl", "//li[1]", "//li[last()]/text()", "//li[position() = 2]/text()", "css:ul > li::text", "css:li:empty", "css:li li::text", "css:li:first-child::text", "css:dt + dd", "css:ul li:nth-of-type(2)::text", "css:li:only-child::text",
]

CASES["numbers"] = [
    "//li[. = 10]", "//li[. = '10']", "//li[. > 5]", "//li[. < 0]", "//li[number(.) = number(.)]", "sum(//li[number(.) = number(.)])", "sum(//li)", "//li[. != 10]", "//p > //li", "//p < //li", "//p = //li", "//p != //li", "count(//li[normalize-space() = '10'])", "//li[string-length(normalize-space()) = 0]", "number(//li[4])", "//p[2] + //p[1]", "//p[1] - //p[2]", "//li[position() = //p[2]]", "//li[number(//li[1])]", "floor(//li[3])", "round(//li[3])", "ceiling(//li[3])", "string(//li[3] * 2)", "//li[3] = -2.5", "-//li[3]", "--//li[3]", "//p[. >= 42]", "//p[7 > .]", "//p[42 <= .]",
]

CASES["misnested"] = ["//b", "//i", "//p", "//a", "//p/b/i/text()", "//b/p", "//a/a", "//div", "//h1/ancestor::*", "//em", "//u/..", "/html/body/*", "//body/following::node()", "//text()[. = 'm']/..", "css:b i::text", "css:p b", "css:a[href='2']::text", "css:body > *"]
CASES["scripts"] = ["//script", "//script/text()", "//style/text()", "//style", "//noscript//img/@src", "//noscript", "//iframe", "//iframe//text()", "//textarea", "//title", "//xmp", "//p", "//div", "string(//body)", "//script[contains(., 'not an element')]", "substring-before(substring-after(//script, 'var a = '), ';')", "//*[contains(., 'shown')]", "css:script::text", "css:noscript img::attr(src)", "//head/*", "//body/*"]
CASES["comments"] = ["//comment()", "/comment()", "/html/comment()", "//p/comment()", "//p[comment()]", "//p/node()", "//p/text()", "/node()", "//comment()[contains(., 'IE')]", "string(//comment())", "//comment()/..", "//comment()/following-sibling::text()", "//processing-instruction()", "//p", "//body/node()", "//comment()[last()]", "name(//comment())", "//p[2]/comment()/preceding-sibling::node()", "/comment()[1]/following::p", "//p/text()[2]"]
CASES["entities"] = ["//p", "//p/@title", "//p[1]/text()", "//a/@href", "//a", "//a[contains(@href, '©')]", "//p[contains(@title, '<a>')]/@title", "//p[@title]", "//p[2]", "contains(//p, '€')", "string-length(//p[1])", "normalize-space(//p[2])", "//p[starts-with(@title, '<')]", "translate(//p[1], '€é', 'E')", "css:p[title*='\"b\"']::attr(title)", "css:a[href*='&']::attr(href)", "//a[@href != '']", "substring(//p[1], 1, 4)"]
CASES["upper"] = ["//DIV", "//div", "//div/@class", "//@onclick", "//@onClick", "//a/@href", "//img", "//input", "//body/@bgcolor", "//*[@id='Top']", "//*[@id='top']", "//div[contains(@class, 'RED')]", "//div[contains(translate(@class, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz'), 'red')]/@id", "css:DIV A::attr(HREF)", "css:.Big", "css:.big", "css:[TYPE=CHECKBOX]", "css:[type=checkbox i]", "css:#Top > *", "name(//div)", "//font"]
CASES["duplicates"] = ["//p/@id", "//p/@class", "//p/@data-a", "//p", "//*[@id='x']", "//*[@id='y']", "id('x')", "id('m')", "id('n')", "id('x n m')", "//div/@class", "//div", "//div[@class='']", "//div[@class]", "//div[not(@id)]", "//div[contains(@class, 'a')]", "//div[has-class('a')]", "//div[has-class('b')]", "//div[has-class('a', 'c')]", "//div[has-class('a b')]", "//*[contains(concat(' ', normalize-space(@class), ' '), ' a ')]", "//*[contains(concat(' ', @class, ' '), ' a ')]", "//*[contains(concat(' ', @class, ' '), ' b ')]", "css:.a", "css:.b", "css:.a.c", "css:.a.b.c::text", "css:.ab", "css:[class='']", "css:[class~=c]", "css:div[class|=a]", "css:#x", "css:[id='']", "css:[class!=a]", "css:div:not([id])", "set:distinct(//@id)", "//a[@name='n']/@id"]
CASES["foreign"] = ["//svg", "//@viewbox", "//@viewBox", "//lineargradient", "//linearGradient", "//*[name()='lineargradient']/@id", "//foreignobject/p", "//svg//p/text()", "//math", "//math//p", "//*[name()='o:p']", "//*[local-name()='p']/text()", "//*[local-name()='o:p']", "//o:p", "//custom-tag/@*", "//@*[name()='data-x:y']", "//@*[name()='xlink:href']", "//@xlink:href", "//*[@xml:lang]", "//p[lang('de')]", "//*[name()='o:p'][lang('en')]", "namespace-uri(//svg)", "//svg/namespace::*", "css:svg p::text", "css:custom-tag::text", "css:o|p", "css:*|p::text", "css:p:lang(de)", "css:p:lang(en)", "css:b:lang(de-AT)", "css:o\\:p::text", "css:[data-x\\:y]::text", "css:custom-tag::attr(data-x\\:y)", "//path", "//a"]
CASES["charsets"] = ["//title/text()", "//p[@class='値段']", "//p[@class='цена']/text()", "//p[contains(., 'ﬁ')]", "string-length(//p[1])", "string-length(//p[last()])", "substring(//p[1], 2, 2)", "//été", "//été/@id", "//*[@id='élan']", "id('élan')", "translate(//p[3], 'Üïöé', 'Uioe')", "//a", "//a/@href", "//p[contains(., '👍')]", "string-length('👍🏽')", "substring('👍a𝒳', 2)", "//p[re:test(., '\\w+円')]", "//p[re:test(., 'цена', 'i')]/@class", "re:replace(//p[2], '\\s+', 'g', '-')", "re:match(//p[2], '\\d+', 'g')", "css:.値段::text", "css:.цена::text", "css:#élan", "css:été::text", "css:p:contains('Цена')", "normalize-space(//p[3])", "//p[starts-with(., 'Цена')]", "substring-after(//p[2], ': ')", "re:test('İ', 'i', 'i')", "//title"]
CASES["soup"] = ["//td", "//table", "//table//p", "//select", "//br", "//hr/following-sibling::node()", "//image", "//unknown", "//h1", "//h2", "//a/@*", "//a", "//p", "//div", "/html/body/node()", "//td/ancestor::*", "css:table p::text", "css:td::text", "css:h1 h2::text", "//*[@b]", "//li", "//dd"]
CASES["spaces"] = ["//p/text()", "//p[normalize-space()]", "//p[not(normalize-space())]", "normalize-space(/)", "//p/text()[normalize-space()]", "//pre", "//b/text()", "//b[. = 'b']", "string-length(//pre)", "//p[string-length() = 0]", "//p[. = ' ']", "//p[contains(., '\n')]", "css:p:empty", "css:p:not(:empty)::text", "//b/preceding-sibling::text()", "//body/text()", "//p[starts-with(., ' ')]", "normalize-space(//p[4])"]
CASES["frames"] = ["//frame/@src", "//frame", "//frameset", "//noframes", "/html/*", "css:frame[name]::attr(src)", "//frameset/@cols", "//p"]
CASES["twice"] = ["//title/text()", "//body/@*", "//html/@*", "/*", "//p", "//head", "//body", "css:body > p::text", "/html[1]", "/html[2]", "//p[last()]", "css::root"]
CASES["unclosed"] = ["//div", "//div/h2", "//h2/text()", "//ul/li", "//b/i", "//i", "//a", "//div[@class='card'][2]", "//div//text()", "css:.card h2::text", "css:.card li::text", "//h2/following-sibling::*"]
CASES["broken_attributes"] = ["//p/@*", "//p", "//a/@*", "//a", "//img", "//img/@alt", "//@title", "//@*[name() = 'x']", "//*[@d]", "//@*[not(normalize-space())]", "name(//p[1]/@*[2])", "css:[d]", "css:p[b]::attr(b)", "//p[@title='\"']", "//p[contains(@class, \"'\")]"]
CASES["empty"] = ["/*", "//node()", "css:html", "css::root::text", "name(/*)", "boolean(/)", "/"]
CASES["text_only"] = ["/html/body/p", "//p/text()", "css:p::text", "/*", "//body/node()"]

NAMESPACES = {"media": "http://search.example/mrss/", "dc": "u:dc", "atom": "http://www.w3.org/2005/Atom", "h": "http://www.w3.org/1999/xhtml", "x": "u:x", "s": "http://www.sitemaps.org/schemas/sitemap/0.9"}

CASES["rss"] = [
    "//item/title/text()", "//item/link/text()", "//media:thumbnail/@url", "//dc:creator/text()", "//dc:*", "//thumbnail", "//*[name()='media:thumbnail']", "//*[local-name()='creator']/text()", "//item[dc:creator='Bo']/title",
    "//Guid/@isPermaLink", "//guid", "//item[2]", "//item/@*", "count(//item)", "/rss/channel/title", "namespace-uri(//dc:creator)", "name(//media:thumbnail)", "local-name(//media:thumbnail)", "//rss/namespace::*", "count(//item[1]/namespace::*)", "/rss/namespace::xml",
    "//unknown:a", "//processing-instruction()", "//processing-instruction('style')", "//processing-instruction('x')", "/node()", "//item[1]/*[last()]", "//dc:creator[1]/text()", "(//dc:creator)[1]", "//title[contains(., '<b>')]", "//item/dc:creator/preceding-sibling::*[1]", "//media:thumbnail/..", "//xml:a", "//@xml:lang",
]
CASES["atom"] = [
    "//entry", "//atom:entry", "//atom:link/@href", "//h:b/text()", "//h:div", "//atom:entry[2]/@*", "//@x:a", "//x:y", "//x:n", "//plain", "//plain/q", "//atom:plain", "//*[lang('en')]", "//*[lang('de')]", "//@xml:lang", "name(//@xml:lang)", "namespace-uri(//@xml:lang)", "//atom:*", "//*", "//atom:m/*", "name(//atom:m/*)", "//atom:title/@type", "//plain/namespace::*", "//atom:entry[2]/namespace::*", "//atom:m/namespace::*", "//atom:entry//text()", "atom:title", "./atom:entry/atom:link", "//*[namespace-uri() = 'u:x']",
]
CASES["sitemap"] = ["//s:loc/text()", "//loc", "//s:url[s:lastmod]/s:loc", "//s:url", "//*[local-name()='loc']", "normalize-space(//s:loc)", "//text()", "/s:urlset/s:url[2]/s:loc/text()"]
CASES["plain_xml"] = ["//child", "//Child", "//CHILD", "//@id", "//@ID", "id('k')", "id('1')", "//deep", "/Root/node()", "//comment()", "//processing-instruction()", "name(//processing-instruction())", "string(//processing-instruction())", "//deeper/ancestor::*[1]", "name(/*)"]
CASES["bad_xml"] = ["//b", "//d", "//d/text()", "//e", "//e/@x"]
