//! XML nodes as lxml's `tostring(method="xml")` writes them: the outermost element also gets the namespaces around it.

use crate::tree::{AttrId, Kind, NodeId, Tree};

pub(super) fn serialize(tree: Tree<'_>, top: NodeId, out: &mut String) {
    if tree.kind(top) == Kind::Text {
        out.push_str(&tree.text(top));
        return;
    }
    let mut open = top;
    for at in top.0..tree.end(top) {
        let node = NodeId(at);
        while open != node && at >= tree.end(open) {
            open = close(tree, open, out);
        }
        match tree.kind(node) {
            Kind::Element => {
                start_tag(tree, node, node == top, out);
                open = node;
            }
            Kind::Text => escape(&tree.text(node), false, out),
            Kind::Comment => {
                out.push_str("<!--");
                out.push_str(&tree.text(node));
                out.push_str("-->");
            }
            Kind::Pi => {
                out.push_str("<?");
                out.push_str(&tree.text(node));
                out.push_str("?>");
            }
            Kind::Document => {}
        }
    }
    loop {
        let last = open == top;
        open = close(tree, open, out);
        if last {
            return;
        }
    }
}

fn close(tree: Tree<'_>, node: NodeId, out: &mut String) -> NodeId {
    if tree.kind(node) == Kind::Element && tree.first_child(node).is_some() {
        out.push_str("</");
        out.push_str(&tree.qualified_name(node, tree.name_id(node), true));
        out.push('>');
    }
    tree.parent(node).unwrap_or(node)
}

fn start_tag(tree: Tree<'_>, node: NodeId, outermost: bool, out: &mut String) {
    out.push('<');
    let name = tree.qualified_name(node, tree.name_id(node), true);
    out.push_str(&name);
    for attribute in namespaces(tree, node, &name, outermost) {
        let prefix = tree.declares(attribute).unwrap_or("");
        out.push_str(if prefix.is_empty() { " xmlns" } else { " xmlns:" });
        out.push_str(prefix);
        value(tree, attribute, out);
    }
    for attribute in tree.attrs(node).map(AttrId).filter(|&attribute| tree.declares(attribute).is_none()) {
        out.push(' ');
        out.push_str(&tree.qualified_name(node, tree.attr_name_id(attribute), false));
        value(tree, attribute, out);
    }
    out.push_str(if tree.first_child(node).is_none() { "/>" } else { ">" });
}

/// Declarations to write at an element: its own as they stand in the page; at the outermost one also what is in scope
/// around it, the namespaces that it uses itself first.
fn namespaces(tree: Tree<'_>, node: NodeId, name: &str, outermost: bool) -> Vec<AttrId> {
    let own = |node: NodeId| -> Vec<AttrId> {
        let declared = tree.attrs(node).map(AttrId).take_while(|&attribute| tree.declares(attribute).is_some());
        // The tree holds them in reverse.
        declared.collect::<Vec<_>>().into_iter().rev().collect()
    };
    let mut all = own(node);
    if !outermost {
        return all;
    }
    let add = |attribute: AttrId, all: &mut Vec<AttrId>| {
        if !all.iter().any(|&known| tree.declares(known) == tree.declares(attribute)) {
            all.push(attribute);
        }
    };
    let prefix_of = |name: &str| name.split_once(':').map_or(String::new(), |(prefix, _)| prefix.to_string());
    let mut used = vec![prefix_of(name)];
    for attribute in tree.attrs(node).map(AttrId).filter(|&attribute| tree.declares(attribute).is_none()) {
        let name = tree.qualified_name(node, tree.attr_name_id(attribute), false);
        if name.contains(':') {
            used.push(prefix_of(&name));
        }
    }
    for prefix in used {
        if let Some(attribute) = tree.declarations(node).find(|&attribute| tree.declares(attribute) == Some(&prefix)) {
            add(attribute, &mut all);
        }
    }
    let mut around = tree.parent(node);
    while let Some(ancestor) = around {
        for attribute in own(ancestor) {
            add(attribute, &mut all);
        }
        around = tree.parent(ancestor);
    }
    all
}

fn value(tree: Tree<'_>, attribute: AttrId, out: &mut String) {
    out.push_str("=\"");
    escape(&tree.attr_value(attribute), true, out);
    out.push('"');
}

fn escape(text: &str, is_attribute: bool, out: &mut String) {
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '\r' => out.push_str("&#13;"),
            '"' if is_attribute => out.push_str("&quot;"),
            '\n' if is_attribute => out.push_str("&#10;"),
            '\t' if is_attribute => out.push_str("&#9;"),
            c => out.push(c),
        }
    }
}
