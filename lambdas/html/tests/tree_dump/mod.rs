//! A whole tree as text, one line a node: depth, kind, then name and attributes, or text. `oracle/tree_oracle.py` writes
//! lxml's trees in the same form. Shared by the tests and `examples/tree_dump.rs`.

#![allow(dead_code)] // Each of those who share it takes what it needs.

use weir_html::select::{Evaluator, Hit, Program};
use weir_html::{AttrId, Kind, NodeId, Tree};

/// The lines.
pub fn dump(tree: Tree<'_>) -> String {
    let mut out = String::new();
    let mut depths = vec![0u32; tree.len() as usize];
    for node in (1..tree.len()).map(NodeId) {
        let parent = tree.parent(node).expect("only the document has no parent");
        let depth = depths[parent.0 as usize] + 1;
        depths[node.0 as usize] = depth;
        out.push_str(&depth.to_string());
        match tree.kind(node) {
            Kind::Element => {
                out.push_str(" E ");
                escape(tree.name_text(tree.name_id(node)), &mut out);
                for attr in tree.attrs(node).map(AttrId) {
                    out.push('\t');
                    escape(tree.name_text(tree.attr_name_id(attr)), &mut out);
                    out.push('=');
                    escape(&tree.attr_value(attr), &mut out);
                }
            }
            kind => {
                out.push_str(if kind == Kind::Text { " T " } else { " C " });
                escape(&tree.text(node), &mut out);
            }
        }
        out.push('\n');
    }
    out
}

fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c => out.push(c),
        }
    }
}

/// The lines of an XML tree: names with their namespaces, the namespaces in scope, and every element written out again.
/// `oracle/xml_oracle.py` asks lxml for the same.
pub fn dump_xml(tree: Tree<'_>) -> String {
    let program = |expr: &str| Program::xpath(expr).expect("a right expression");
    let (name, uri, data) = (program("name()"), program("namespace-uri()"), program("string()"));
    let (spaces, attributes) = (program("namespace::*"), program("@*"));
    let mut evaluator = Evaluator::default();
    let mut ask = |program: &Program, hit: Hit| {
        let mut found = Vec::new();
        evaluator.strings(program, tree, hit, &mut found).expect("within the limits");
        found.into_iter().map(|text| text.into_owned()).collect::<Vec<_>>()
    };
    let mut out = String::new();
    let mut depths = vec![0u32; tree.len() as usize];
    for node in (1..tree.len()).map(NodeId) {
        let depth = depths[tree.parent(node).expect("only the document has no parent").0 as usize] + 1;
        depths[node.0 as usize] = depth;
        let hit = Hit::of(node);
        let kind = match tree.kind(node) {
            Kind::Element => "E",
            Kind::Text => "T",
            Kind::Comment => "C",
            _ => "P",
        };
        let mut fields = vec![format!("{depth} {kind} {}|{}", ask(&uri, hit)[0], ask(&name, hit)[0])];
        if kind == "E" {
            let values = ask(&attributes, hit);
            let hidden = ask(&program("count(namespace::*)"), hit);
            let declared = tree.attrs(node).len() - values.len();
            for (attribute, value) in tree.attrs(node).skip(declared).map(AttrId).zip(values) {
                let hit = Hit::of_attribute(node, attribute);
                fields.push(format!("{}|{}={value}", ask(&uri, hit)[0], ask(&name, hit)[0]));
            }
            fields.push(hidden.concat());
            fields.extend(ask(&spaces, hit));
        } else {
            fields.push(ask(&data, hit).concat());
        }
        if kind != "T" {
            let mut written = String::new();
            weir_html::select::serialize(tree, hit, &mut written);
            fields.push(written);
        }
        for (index, field) in fields.iter().enumerate() {
            out.push_str(if index == 0 { "" } else { "\t" });
            escape(field, &mut out);
        }
        out.push('\n');
    }
    out
}
