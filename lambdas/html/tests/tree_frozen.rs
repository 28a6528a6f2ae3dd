//! Pages, self-made and by others, with the trees lxml made of them, frozen by `oracle/tree_oracle.py freeze`. The first line of a file
//! names the versions.

mod documents;
mod tree_dump;

use documents::Documents;
use serde_json::Value as Json;
use weir_html::{Limits, Parser};

const FROZEN: &str = include_str!("tree_frozen.jsonl");
const OTHERS: &str = include_str!("tree_others.jsonl");

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
fn every_document_by_others_becomes_the_tree_that_lxml_made_of_it() {
    let documents = Documents::open();
    let mut parser = Parser::new(Limits::default());
    let mut lines = OTHERS.lines();
    let versions = lines.next().expect("a header");
    assert!(versions.contains("2.14.6"), "{versions}");
    let (mut files, mut inputs) = (0, 0);
    for line in lines {
        let line: Json = serde_json::from_str(line).expect("a document and its tree");
        let page = documents.text(&line);
        let found = tree_dump::dump(parser.parse(&page).expect("within the limits"));
        assert_eq!(found, line["tree"].as_str().expect("a tree"), "{} {}", line["file"], line["input"]);
        *(if line["input"].is_null() { &mut files } else { &mut inputs }) += 1;
    }
    assert!(files >= 100 && inputs >= 1500, "only {files} files and {inputs} inputs of html5lib's tests");
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
