//! Reads pages (one JSON string a line) from the file named first and writes each one's tree (one JSON string a line).
//! `oracle/tree_oracle.py` compares these with lxml's. A second argument `html5` takes the other engine.

use std::io::{BufRead, BufWriter, Write};

use weir_html::{AttrId, Kind, Limits, NodeId, Parser, Tree};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("which file of pages?")?;
    let mut parser = Parser::new(Limits::default());
    let mut out = BufWriter::new(std::io::stdout().lock());
    for line in std::io::BufReader::new(std::fs::File::open(path)?).lines() {
        let page: String = serde_json::from_str(&line?)?;
        let tree = parser.parse(&page)?;
        writeln!(out, "{}", serde_json::to_string(&dump(tree))?)?;
    }
    Ok(())
}

/// One line a node: depth, kind, then name and attributes, or text.
fn dump(tree: Tree<'_>) -> String {
    let mut out = String::new();
    let mut depth = vec![0u32; tree.len() as usize];
    for index in 1..tree.len() {
        let node = NodeId(index);
        let parent = tree.parent(node).map_or(0, |p| p.0);
        depth[index as usize] = depth[parent as usize] + 1;
        out.push_str(&depth[index as usize].to_string());
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
            Kind::Text => {
                out.push_str(" T ");
                escape(&tree.text(node), &mut out);
            }
            _ => {
                out.push_str(" C ");
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
