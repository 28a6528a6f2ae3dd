//! Pages written to hurt: eight times the page takes about eight times as long, whatever it says.
//!
//! `growth` says how that is measured.
#![allow(clippy::disallowed_methods)] // It measures time: nothing is decided by it but the ratio.

mod growth;

use weir_html::{Limits, NodeId, ParseError, Parser};

/// Texts are taken too: a text of many pieces must not be joined over and over.
fn read(parser: &mut Parser, page: &str) {
    let tree = parser.parse(page).expect("within the limits");
    assert!((0..tree.len()).map(|n| tree.text(NodeId(n)).len()).sum::<usize>() <= page.len() * 2);
}

#[test]
fn time_grows_with_the_page_and_no_faster() {
    let kinds: [(&str, &str, &str); 21] = [
        ("", "<div>", ""),
        ("", "<b><i><p>", ""),
        ("", "<", ""),
        ("", "<!--", ""),
        ("", "<!-- - -", ""),
        ("<!--", "-", ""),
        ("<p>", "<table></p>", ""),
        ("<div><p>", "</p></b></zz>", ""),
        ("<p>", "a</b>", ""),
        ("<p>", "</", ""),
        ("<p ", "a ", ">"),
        ("<p a=\"", "x&amp;", "\">"),
        ("<p a=", "x", ">"),
        ("<script>", "<!--<script>", ""),
        ("<script>", "</scrip", ""),
        ("<textarea>", "</textare", ""),
        ("<p>", "&", ""),
        ("<p>", "&#", ""),
        ("<p>", "&CounterClockwiseContourIntegra", ""),
        ("<table>", "<tr><td>x", ""),
        ("<select>", "<option>x", ""),
    ];
    let mut parser = Parser::new(Limits::default());
    for (lead, unit, tail) in kinds {
        let [small, large] = [60_000, 480_000].map(|bytes| growth::page_of(lead, unit, tail, bytes));
        growth::assert_linear(&format!("{lead}{unit}"), &small, &large, |page| read(&mut parser, page));
    }
}

#[test]
fn distinct_names_by_the_hundred_thousand_are_told_apart_in_linear_time() {
    let page = |count: usize| {
        let attrs: String = (0..count).map(|i| format!(" a{i}=1")).collect();
        let tags: String = (0..count).map(|i| format!("<t{i}>")).collect();
        format!("<p{attrs}>{tags}")
    };
    let mut parser = Parser::new(Limits { depth_max: 1_000_000, ..Limits::default() });
    growth::assert_linear("names", &page(10_000), &page(80_000), |page| read(&mut parser, page));
}

#[test]
fn a_tree_ends_where_the_page_nests_deeper_than_lxml_goes() {
    let mut parser = Parser::new(Limits::default());
    let page = "<div>x".repeat(50_000);
    let tree = parser.parse(&page).expect("within the limits");
    assert!(tree.truncated());
    // html, body and 2,046 divs with their texts: what lxml keeps.
    assert_eq!(tree.len(), 1 + 2 + 2046 * 2);
    assert!(!parser.parse("<div>x").expect("within the limits").truncated());
}

#[test]
fn html5_trees_end_before_the_other_parser_grows_slow() {
    let mut parser = Parser::new(Limits::default());
    for unit in ["<div>", "<p><font>x</p>", "<b><i a=1><u>"] {
        let page = unit.repeat(50_000);
        let tree = parser.parse_html5(&page).expect("within the limits");
        assert!(tree.truncated() && tree.len() > 100, "{unit}: {}", tree.len());
    }
}

#[test]
fn a_page_over_a_limit_is_refused_by_the_limits_name() {
    let limits =
        Limits { nodes_max: 100, attrs_max: 100, names_max: 400, page_bytes_max: 100_000, ..Limits::default() };
    let mut parser = Parser::new(limits);
    let attrs: String = (0..101).map(|i| format!(" a{i}")).collect();
    let names: String = (0..400).map(|i| format!("<a{i}/>")).collect();
    let pages = [
        ("<br>".repeat(101), ParseError::TooManyNodes { max: 100 }),
        (format!("<p{attrs}>"), ParseError::TooManyAttrs { max: 100 }),
        (" ".repeat(100_001), ParseError::PageTooLong { bytes: 100_001, max: 100_000 }),
    ];
    for (page, expected) in pages {
        assert_eq!(parser.parse(&page).err(), Some(expected));
    }
    let mut parser = Parser::new(Limits { names_max: 400, ..Limits::default() });
    assert_eq!(parser.parse(&names).err(), Some(ParseError::TooManyNames { max: 400 }));
    assert_eq!(parser.parse("<p>x").expect("one page does not tell on the next").len(), 5);
}
