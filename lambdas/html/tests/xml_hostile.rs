//! XML pages written to hurt: time grows with the page and no faster, nothing is expanded, limits hold, nothing panics.
#![allow(clippy::disallowed_methods)] // It measures time: nothing is decided by it but the ratio.

mod growth;
mod tree_dump;

use std::borrow::Cow;

use proptest::prelude::*;
use weir_html::select::{Evaluator, Hit, Program, serialize};
use weir_html::{AttrId, Kind, Limits, NodeId, ParseError, Parser, Tree};

fn read(parser: &mut Parser, page: &str) {
    let tree = parser.parse_xml(page).expect("within the limits");
    let texts: usize = (0..tree.len()).map(|n| tree.text(NodeId(n)).len()).sum();
    let values: usize =
        (0..tree.len()).flat_map(|n| tree.attrs(NodeId(n))).map(|a| tree.attr_value(AttrId(a)).len()).sum();
    assert!(texts + values <= page.len() * 3);
    let mut written = String::new();
    serialize(tree, Hit::root(tree), &mut written);
    assert!(!written.is_empty());
}

#[test]
fn time_grows_with_the_page_and_no_faster() {
    let kinds: [(&str, &str, &str); 28] = [
        ("<r>", "<a>", ""),
        ("<r>", "<a/>", "</r>"),
        ("<r>", "<", ""),
        ("<r>", "</", ""),
        ("<r>", "<a ", ""),
        ("<r>", "<a b=\"", ""),
        ("<r>", "<!--", ""),
        ("<r>", "<!--\u{1}", ""),
        ("<r><!--", "-", ""),
        ("<r>", "<![CDATA[", ""),
        ("<r>", "<![CDATA[\u{1}", ""),
        ("<r>", "<![CDATA[x]]>&#65;", ""),
        ("<r>", "<?p \u{1}", ""),
        ("", "<?p?>", ""),
        ("<r>", "]]>", ""),
        ("<r>é", "]]>", ""),
        ("<r>", "]", ""),
        ("<r>", "x\r\n", ""),
        ("<r>", "&", ""),
        ("<r>", "&x;", ""),
        ("<r>", "&amp;", ""),
        ("<r>", "&#", ""),
        ("<r>", "&#1", ""),
        ("<r ", "a='1' ", ">"),
        ("<r a='", "&amp;\n", "'>"),
        ("<!DOCTYPE r [", "<!ENTITY e 'x'>", "]><r>&e;</r>"),
        ("<!DOCTYPE r [", "%p;", "]><r>&e;</r>"),
        ("<!DOCTYPE r [<!ENTITY", " ' '", "]><r/>"),
    ];
    let mut parser = Parser::new(Limits::default());
    for (lead, unit, tail) in kinds {
        let [small, large] = [60_000, 480_000].map(|bytes| growth::page_of(lead, unit, tail, bytes));
        growth::assert_linear(&format!("{lead}{unit}"), &small, &large, |page| read(&mut parser, page));
    }
}

#[test]
fn prefixes_and_namespaces_by_the_ten_thousand_are_told_apart_in_linear_time() {
    let many = |count: usize, lead: &str, each: fn(usize) -> String, tail: &str| {
        format!("{lead}{}{tail}", (0..count).map(each).collect::<String>())
    };
    // One element declares all; each uses one of all; each declares its own; two prefixes of one namespace meet.
    let wide = |count| {
        let declared = many(count, "<r", |i| format!(" xmlns:p{i}='u{i}'"), ">");
        many(count, &declared, |i| format!("<p{i}:a p{i}:b='1'/>"), "</r>")
    };
    let own = |count| many(count, "<r>", |i| format!("<a xmlns='u{i}' xmlns:p='v{i}' p:b='1'/>"), "</r>");
    let same = |count| {
        let declared = many(count, "<r", |i| format!(" xmlns:p{i}='u'"), "><a");
        many(count, &declared, |i| format!(" p{i}:b='1'"), "/></r>")
    };
    let mut parser = Parser::new(Limits::default());
    growth::assert_linear("wide", &wide(2_000), &wide(16_000), |page| read(&mut parser, page));
    growth::assert_linear("own", &own(2_000), &own(16_000), |page| read(&mut parser, page));
    growth::assert_linear("same", &same(2_000), &same(16_000), |page| read(&mut parser, page));
}

#[test]
fn a_long_uri_costs_nothing_at_each_element_that_it_covers() {
    let page = |kilobytes: usize| {
        format!("<r xmlns='{}'>{}</r>", "u".repeat(kilobytes * 1000), "<a b='1'/>".repeat(kilobytes * 100))
    };
    let mut parser = Parser::new(Limits::default());
    growth::assert_linear("uri", &page(30), &page(240), |page| read(&mut parser, page));
}

#[test]
fn asking_for_what_lies_under_many_declarations_ends_by_its_budget() {
    // Each of 20,000 elements, written out, has 2,000 levels of hidden declarations around it.
    let around = "<a xmlns:p='1' xmlns:q='2' xmlns:s='3' xmlns:t='4'>".repeat(2000);
    let page = format!("{around}{}", "<b/>".repeat(20_000));
    let mut parser = Parser::new(Limits::default());
    let tree = parser.parse_xml(&page).expect("within the limits");
    let few = weir_html::select::Limits { steps_max: 500_000, ..Default::default() };
    for expr in ["//b", "//b/namespace::*"] {
        let program = Program::xpath(expr).expect("a right expression");
        let outcome = Evaluator::new(few).strings(&program, tree, Hit::root(tree), &mut Vec::new());
        assert!(outcome.is_err(), "{expr}");
    }
}

#[test]
fn entities_are_neither_expanded_nor_fetched() {
    let declared = "<!ENTITY a 'ha'><!ENTITY b '&a;&a;'><!ENTITY c '&b;&b;'><!ENTITY f SYSTEM 'file:///etc/passwd'>";
    let page = format!("<!DOCTYPE r [{declared}]><r x='&c;'>&c;&f;&amp;</r>");
    let mut parser = Parser::new(Limits::default());
    let tree = parser.parse_xml(&page).expect("within the limits");
    let mut written = String::new();
    serialize(tree, Hit::root(tree), &mut written);
    assert_eq!(written, "<r x=\"\">&c;&f;&amp;</r>");
    let mut texts = Vec::new();
    let program = Program::xpath("string()").expect("a right expression");
    Evaluator::default().strings(&program, tree, Hit::root(tree), &mut texts).expect("within the limits");
    assert_eq!(texts, ["&"]);
}

#[test]
fn a_page_is_cut_where_it_nests_deeper_than_lxml_goes() {
    let mut parser = Parser::new(Limits::default());
    let page = "<a>x".repeat(50_000);
    let tree = parser.parse_xml(&page).expect("within the limits");
    assert!(tree.truncated());
    assert_eq!(tree.len(), 1 + 2 * 2048);
    assert!(!parser.parse_xml("<a/>").expect("within the limits").truncated());
}

#[test]
fn a_page_over_a_limit_is_refused_by_the_limits_name() {
    let limits =
        Limits { nodes_max: 100, attrs_max: 100, names_max: 500, page_bytes_max: 100_000, ..Limits::default() };
    let mut parser = Parser::new(limits);
    let attrs: String = (0..101).map(|i| format!(" a{i}=''")).collect();
    let names: String = (0..400).map(|i| format!(" a{i}:b=''")).collect();
    let pages = [
        (format!("<r>{}", "<a/>".repeat(101)), ParseError::TooManyNodes { max: 100 }),
        (format!("<r>{}", "&x;".repeat(101)), ParseError::TooManyNodes { max: 100 }),
        (format!("<r{attrs}/>"), ParseError::TooManyAttrs { max: 100 }),
        (" ".repeat(100_001), ParseError::PageTooLong { bytes: 100_001, max: 100_000 }),
    ];
    for (page, error) in pages {
        assert_eq!(parser.parse_xml(&page).err(), Some(error));
        assert_eq!(parser.parse_xml("<a>b</a>").expect("within the limits").len(), 3);
    }
    let mut parser = Parser::new(Limits { attrs_max: 1000, ..limits });
    assert_eq!(parser.parse_xml(&format!("<r{names}/>")).err(), Some(ParseError::TooManyNames { max: 500 }));
}

/// The invariants that the evaluator relies on.
fn check(tree: Tree<'_>) {
    assert_eq!((tree.kind(NodeId(0)), tree.parent(NodeId(0)), tree.end(NodeId(0))), (Kind::Document, None, tree.len()));
    assert!(Hit::root(tree) != Hit::document(), "no element");
    let mut attrs_seen = 0;
    for node in (0..tree.len()).map(NodeId) {
        // The children tile the subtree, and every link has its counterpart.
        let (mut child, mut at, mut before) = (tree.first_child(node), node.0 + 1, None);
        while let Some(this) = child {
            assert_eq!((this.0, tree.parent(this), tree.prev(this)), (at, Some(node), before));
            (at, before, child) = (tree.end(this), Some(this), tree.next(this));
        }
        assert_eq!((at, before), (tree.end(node), tree.last_child(node)));
        let attrs = tree.attrs(node);
        if tree.kind(node) == Kind::Element {
            assert_eq!(attrs.start, attrs_seen, "attributes of one element follow those of the one before");
            attrs_seen = attrs.end;
            let name = tree.name_text(tree.name_id(node));
            assert_eq!(tree.find_name(name), Some(tree.name_id(node)));
        } else {
            assert!(attrs.is_empty());
        }
        for attr in attrs.map(AttrId) {
            assert!(matches!(tree.attr_value(attr), Cow::Borrowed(_)), "values are decoded once");
        }
        assert!(matches!(tree.text(node), Cow::Borrowed(_)), "texts are decoded once");
    }
    let mut written = String::new();
    serialize(tree, Hit::root(tree), &mut written);
}

fn markup() -> impl Strategy<Value = String> {
    let token = prop_oneof![
        "<[a-z:]{1,5}( [a-z:]{1,5}=[\"'][a-z&;<>]{0,5}[\"']){0,3} ?/?>",
        "</[a-z:]{0,3} ?>",
        "<[ab] xmlns(:[ab])?='[uv]?'>",
        "<[ab]:[ab] [ab]:[xy]=''>",
        "[ \na-z&;#0-9]{0,12}",
        "<!(--|\\[CDATA\\[)?[a-z>-]{0,6}(--|\\]\\])?>",
        "<\\?[a-z]{0,3} ?[a-z]{0,3}\\??>?",
        "<!DOCTYPE [a-z]{0,2} ?(\\[[a-z<!>%;'\\]]{0,9})?>",
        "&(#x?[0-9a-f]{1,8}|[a-zA-Z]{1,4});?",
        "\\PC{0,4}",
        "[\\x00-\\x20<>/=\"'!?\\[\\]:-]{0,6}",
    ];
    prop::collection::vec(token, 0..40).prop_map(|tokens| tokens.concat())
}

/// An element with whatever may stand in it.
fn well_formed() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("<a/>".to_string()),
        "<[ab] xmlns='[uv]' c='(x|&amp;|&#9;|&gt;)'/>",
        Just("<b xmlns:p='u' xmlns:q='u' q:c=' &#10;&quot;'><p:a/></b>".to_string()),
    ];
    let content = "(x|é| |\n|&amp;|&lt;|&#13;|<!--c-->|<\\?p d\\?>|<!\\[CDATA\\[<&\\]\\]>){0,4}";
    leaf.prop_recursive(6, 40, 4, move |inner| {
        (prop::collection::vec((inner, content), 0..4), "[ab]", "( xmlns=''| xmlns:r='w' r:d=\"\"| xml:lang='en')?")
            .prop_map(|(children, name, attributes)| {
                let children: String = children.into_iter().map(|(element, text)| element + &text).collect();
                format!("<{name}{attributes}>{children}</{name}>")
            })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_string_becomes_a_tree(page in any::<String>(), rooted in any::<bool>()) {
        let page = if rooted { format!("<r>{page}") } else { page };
        check(Parser::new(Limits::default()).parse_xml(&page).expect("within the limits"));
    }

    #[test]
    fn any_markup_becomes_a_tree(page in markup(), rooted in any::<bool>()) {
        let page = if rooted { format!("<r>{page}") } else { page };
        check(Parser::new(Limits::default()).parse_xml(&page).expect("within the limits"));
    }

    #[test]
    fn a_well_formed_page_is_written_and_read_as_the_same(page in well_formed()) {
        let written = |page: &str| {
            let mut parser = Parser::new(Limits::default());
            let tree = parser.parse_xml(page).expect("within the limits");
            let mut out = String::new();
            serialize(tree, Hit::root(tree), &mut out);
            (tree_dump::dump_xml(tree), out)
        };
        let (tree, once) = written(&page);
        prop_assert_eq!(written(&once), (tree, once));
    }

    #[test]
    fn small_limits_hold_and_the_parser_stays_usable(page in markup(), nodes in 4u32..20, depth in 1u32..6) {
        let limits = Limits { nodes_max: nodes, attrs_max: 4, names_max: 300, depth_max: depth, ..Limits::default() };
        let mut parser = Parser::new(limits);
        if let Ok(tree) = parser.parse_xml(&format!("<r>{page}")) {
            check(tree);
        }
        check(parser.parse_xml("<a>b</a>").expect("three nodes are within any of these limits"));
    }
}
