//! A whole tree as text, one line a node: depth, kind, then name and attributes, or text. `oracle/tree_oracle.py` writes
//! lxml's trees in the same form. Shared by the tests and `examples/tree_dump.rs`.

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
