//! What holds for the tree of any page at all, and nothing ever panics.

use std::borrow::Cow;

use proptest::prelude::*;
use weir_html::{AttrId, Kind, Limits, NodeId, Parser, Tree};

/// The invariants that the evaluator relies on.
fn check(tree: Tree<'_>) {
    assert_eq!(tree.name_ids().len(), tree.len() as usize);
    assert_eq!(tree.kind(NodeId(0)), Kind::Document);
    assert_eq!((tree.parent(NodeId(0)), tree.end(NodeId(0))), (None, tree.len()));
    assert!(tree.name_ids().iter().any(|&name| name.0 >= 4), "no element");
    let mut attrs_seen = 0;
    for node in (0..tree.len()).map(NodeId) {
        let end = tree.end(node);
        assert!(end > node.0 && end <= tree.len());
        // The children tile the subtree, and every link has its counterpart.
        let (mut child, mut at, mut before) = (tree.first_child(node), node.0 + 1, None);
        while let Some(this) = child {
            assert_eq!((this.0, tree.parent(this), tree.prev(this)), (at, Some(node), before));
            assert!(
                before.is_none_or(|b| tree.kind(b) != Kind::Text || tree.kind(this) != Kind::Text),
                "two texts side by side"
            );
            (at, before, child) = (tree.end(this), Some(this), tree.next(this));
        }
        assert_eq!((at, before), (end, tree.last_child(node)));
        match tree.kind(node) {
            Kind::Element => {
                let attrs = tree.attrs(node);
                assert_eq!(attrs.start, attrs_seen, "attributes of one element follow those of the one before");
                attrs_seen = attrs.end;
                let name = tree.name_text(tree.name_id(node));
                assert!(!name.is_empty() && name.len() <= 100);
                assert_eq!(tree.find_name(name), Some(tree.name_id(node)));
                let names: Vec<_> = attrs.clone().map(|a| tree.attr_name_id(AttrId(a))).collect();
                assert!(names.iter().enumerate().all(|(i, n)| !names[..i].contains(n)), "an attribute twice");
                for attr in attrs.map(AttrId) {
                    let value = tree.attr_value(attr);
                    if let Some(plain) = tree.attr_plain(attr) {
                        assert_eq!(plain, value);
                    }
                }
                assert_eq!(tree.text(node), "");
            }
            Kind::Document => assert!(tree.attrs(node).is_empty()),
            kind => {
                assert!(tree.attrs(node).is_empty() && end == node.0 + 1);
                assert!(kind != Kind::Text || !tree.text(node).is_empty());
            }
        }
    }
}

/// Every text that needed no change is a stretch of the page, and they come in the page's order.
fn check_texts(tree: Tree<'_>) {
    let page = tree.source().as_bytes().as_ptr_range();
    let mut last = page.start;
    for node in (0..tree.len()).map(NodeId) {
        if let (Cow::Borrowed(text), true) = (tree.text(node), tree.kind(node) == Kind::Text) {
            assert!(text.as_ptr() >= last && text.as_bytes().as_ptr_range().end <= page.end);
            last = text.as_ptr();
        }
    }
}

fn markup() -> impl Strategy<Value = String> {
    let token = prop_oneof![
        "<[a-z]{1,9}( [a-z]{1,9}(=\"?[a-z&;<>]{0,9}\"?)?){0,3} ?/?>",
        "</?(p|li|td|tr|table|div|b|a|html|head|body|title|script|textarea|frameset|select|option)>",
        "</?(p|table|div|head|script|style|x-y) ?[a-z=\"']{0,5}>?",
        "[ \na-z&;#0-9]{0,12}",
        "<!(--)?[a-z>-]{0,6}(--)?!?>",
        "&(#x?[0-9a-f]{1,8}|[a-zA-Z]{1,8});?",
        "\\PC{0,4}",
        "[\\x00-\\x20<>/=\"'!?-]{0,6}",
    ];
    prop::collection::vec(token, 0..40).prop_map(|tokens| tokens.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_string_becomes_a_well_formed_tree(page in any::<String>()) {
        let mut parser = Parser::new(Limits::default());
        let tree = parser.parse(&page).expect("within the limits");
        check(tree);
        check_texts(tree);
    }

    #[test]
    fn any_markup_becomes_a_well_formed_tree(page in markup()) {
        let mut parser = Parser::new(Limits::default());
        let tree = parser.parse(&page).expect("within the limits");
        check(tree);
        check_texts(tree);
    }

    #[test]
    fn any_markup_becomes_a_well_formed_html5_tree(page in markup()) {
        let mut parser = Parser::new(Limits::default());
        check(parser.parse_html5(&page).expect("within the limits"));
    }

    #[test]
    fn small_limits_hold_and_the_parser_stays_usable(page in markup(), nodes in 6u32..20, depth in 1u32..6) {
        let limits = Limits { nodes_max: nodes, attrs_max: 3, names_max: 300, depth_max: depth, ..Limits::default() };
        let mut parser = Parser::new(limits);
        if let Ok(tree) = parser.parse(&page) {
            check(tree);
        }
        check(parser.parse("<a>b").expect("five nodes are within any of these limits"));
    }
}

/// Bytes from a fixed seed: what a fuzzer would start with, the same on every run.
#[test]
fn random_bytes_become_well_formed_trees() {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let alphabet = b"<>/=\"' !-?&#;x\n\r\tabdhilprst[]0A\xc3\xa9\xe2\x80\xa8\xff\x00";
    let mut parser = Parser::new(Limits::default());
    for round in 0..4000 {
        let len = (next() % 300) as usize;
        let bytes: Vec<u8> = (0..len)
            .map(|_| if round % 2 == 0 { next() as u8 } else { alphabet[(next() % alphabet.len() as u64) as usize] })
            .collect();
        let page = String::from_utf8_lossy(&bytes);
        let tree = parser.parse(&page).expect("within the limits");
        check(tree);
        check_texts(tree);
    }
}
