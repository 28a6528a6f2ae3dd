//! XML pages with what lxml says about every node of them, frozen by `oracle/xml_oracle.py freeze`. The first line names the
//! versions.

mod tree_dump;

use weir_html::{Limits, Parser};

const FROZEN: &str = include_str!("xml_frozen.jsonl");

#[test]
fn every_frozen_page_becomes_the_tree_that_lxml_made_of_it() {
    let mut parser = Parser::new(Limits::default());
    let mut lines = FROZEN.lines();
    let versions = lines.next().expect("a header");
    assert!(versions.contains("2.14.6"), "{versions}");
    let mut count = 0;
    for line in lines {
        let [page, tree]: [String; 2] = serde_json::from_str(line).expect("a page and its tree");
        let found = tree_dump::dump_xml(parser.parse_xml(&page).expect("within the limits"));
        assert_eq!(found, tree, "page: {page:?}");
        count += 1;
    }
    assert!(count >= 400, "only {count} pages");
}

#[test]
fn pages_of_both_kinds_take_turns_in_one_parser() {
    let mut parser = Parser::new(Limits::default());
    let html = "<DIV CLASS=a>x<p>&nbsp;<b>y</DIV><Link>";
    let wanted = tree_dump::dump(parser.parse(html).expect("within the limits"));
    for line in FROZEN.lines().skip(1).step_by(5) {
        let [page, tree]: [String; 2] = serde_json::from_str(line).expect("a page and its tree");
        assert_eq!(tree_dump::dump(parser.parse(html).expect("within the limits")), wanted, "after {page:?}");
        assert_eq!(tree_dump::dump_xml(parser.parse_xml(&page).expect("within the limits")), tree);
    }
}
