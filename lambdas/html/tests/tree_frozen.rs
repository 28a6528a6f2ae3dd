//! Pages with the trees lxml made of them, frozen by `oracle/tree_oracle.py freeze`. The first line names the versions.

mod tree_dump;

use weir_html::{Limits, Parser};

const FROZEN: &str = include_str!("tree_frozen.jsonl");

#[test]
fn every_frozen_page_becomes_the_tree_that_lxml_made_of_it() {
    let mut parser = Parser::new(Limits::default());
    let mut lines = FROZEN.lines();
    let versions = lines.next().expect("a header");
    assert!(versions.contains("2.14.6"), "{versions}");
    let mut count = 0;
    for line in lines {
        let [page, tree]: [String; 2] = serde_json::from_str(line).expect("a page and its tree");
        let found = tree_dump::dump(parser.parse(&page).expect("within the limits"));
        assert_eq!(found, tree, "page: {page:?}");
        count += 1;
    }
    assert!(count >= 500, "only {count} pages");
}

#[test]
fn a_page_does_not_show_in_the_next_ones_tree() {
    let mut reused = Parser::new(Limits::default());
    for line in FROZEN.lines().skip(1).step_by(7) {
        let [page, tree]: [String; 2] = serde_json::from_str(line).expect("a page and its tree");
        let with_rest = format!("{page}<unseen-name unseen-attribute=1><b><!--");
        let _ = reused.parse(&with_rest).expect("within the limits").len();
        assert_eq!(tree_dump::dump(reused.parse(&page).expect("within the limits")), tree);
    }
}
