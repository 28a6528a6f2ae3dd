//! Where the two engines differ, and that each does what it is for.

mod tree_dump;

use weir_html::{Limits, Parser};

fn lxml(page: &str) -> String {
    tree_dump::dump(Parser::new(Limits::default()).parse(page).expect("within the limits"))
}

fn html5(page: &str) -> String {
    tree_dump::dump(Parser::new(Limits::default()).parse_html5(page).expect("within the limits"))
}

#[test]
fn tables_get_a_body_from_html5_alone() {
    let page = "<table><tr><td>x";
    assert_eq!(lxml(page), "1 E html\n2 E body\n3 E table\n4 E tr\n5 E td\n6 T x\n");
    assert_eq!(html5(page), "1 E html\n2 E head\n2 E body\n3 E table\n4 E tbody\n5 E tr\n6 E td\n7 T x\n");
}

#[test]
fn what_noscript_holds_is_parsed_by_both() {
    let page = "<body><noscript><img src=a></noscript>";
    assert!(lxml(page).contains("E img\tsrc=a"));
    assert!(html5(page).contains("E img\tsrc=a"));
}

#[test]
fn html5_keeps_attribute_order_prefixes_and_template_content() {
    let page = "<body><svg viewBox='0 0 1 1' xlink:href='#a' b=2 a=1></svg><template><i>x</i></template>";
    let tree = html5(page);
    assert!(tree.contains("E svg\tviewbox=0 0 1 1\txlink:href=#a\tb=2\ta=1\n"), "{tree}");
    assert!(tree.contains("3 E template\n4 E i\n5 T x\n"), "{tree}");
}

#[test]
fn doctypes_are_no_nodes_and_references_are_replaced() {
    let page = "<!DOCTYPE html><!--c--><p title='&lt;&amp'>&eacute;&ampx";
    assert_eq!(lxml(page), "1 C c\n1 E html\n2 E body\n3 E p\ttitle=<&\n4 T é&x\n");
    assert_eq!(html5(page), "1 C c\n1 E html\n2 E head\n2 E body\n3 E p\ttitle=<&\n4 T é&x\n");
}

#[test]
fn a_parser_serves_both_engines_in_turn() {
    let mut parser = Parser::new(Limits::default());
    let page = "<p class=a id=b>x<p class=c id=d>";
    let (first, second) = (lxml(page), html5(page));
    for _ in 0..3 {
        assert_eq!(tree_dump::dump(parser.parse(page).expect("within the limits")), first);
        assert_eq!(tree_dump::dump(parser.parse_html5(page).expect("within the limits")), second);
    }
}

#[test]
fn nothing_but_comments_or_space_is_a_page_with_a_lone_html() {
    for page in ["", "  \n", "<!-- x -->", "\0", "<!DOCTYPE html>"] {
        assert_eq!(lxml(page), "1 E html\n", "{page:?}");
    }
}
