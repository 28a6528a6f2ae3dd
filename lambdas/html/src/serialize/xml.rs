//! XML nodes as lxml's `tostring(method="xml")` writes them: the outermost element also gets the namespaces around it.
//! Not followed: below an XHTML document type lxml writes XHTML (a space before `/>`, a `meta` of its own).

use std::collections::{HashMap, HashSet};

use crate::tree::{AttrId, Kind, NameId, NodeId, Reference, Tree};

pub(super) fn serialize(tree: Tree<'_>, top: NodeId, out: &mut String) {
    if tree.kind(top) == Kind::Text {
        out.push_str(&tree.text(top));
        return;
    }
    let references = &tree.arena.references[..];
    let mut due = &references[references.partition_point(|reference| reference.at <= top.0)..];
    let mut open = top;
    let mut at = top.0;
    loop {
        // What comes before this node: references, and the ends of what lies behind.
        loop {
            let reference = due.first().filter(|reference| (reference.at, reference.parent) == (at, open.0));
            if let Some(reference) = reference {
                due = &due[1..];
                out.push('&');
                out.push_str(&tree.source()[reference.from as usize..reference.to as usize]);
                out.push(';');
            } else if at >= tree.end(open) {
                close(tree, open, out);
                if open == top {
                    return;
                }
                open = tree.parent(open).unwrap_or(top);
            } else {
                break;
            }
        }
        let node = NodeId(at);
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
        at += 1;
    }
}

/// Whether an element has anything in it to write.
fn is_empty(tree: Tree<'_>, node: NodeId) -> bool {
    let references = &tree.arena.references;
    let refers = |reference: &Reference| (reference.at, reference.parent) == (node.0 + 1, node.0);
    let first = references.partition_point(|reference| reference.at <= node.0);
    tree.first_child(node).is_none() && !references.get(first).is_some_and(refers)
}

fn close(tree: Tree<'_>, node: NodeId, out: &mut String) {
    if tree.kind(node) == Kind::Element && !is_empty(tree, node) {
        out.push_str("</");
        out.push_str(&tree.qualified_name(node));
        out.push('>');
    }
}

fn start_tag(tree: Tree<'_>, node: NodeId, outermost: bool, out: &mut String) {
    out.push('<');
    out.push_str(&tree.qualified_name(node));
    for attribute in namespaces(tree, node, outermost) {
        let prefix = tree.declares(attribute).unwrap_or("");
        out.push_str(if prefix.is_empty() { " xmlns" } else { " xmlns:" });
        out.push_str(prefix);
        value(tree, attribute, out);
    }
    for attribute in tree.attrs(node).map(AttrId).filter(|&attribute| tree.declares(attribute).is_none()) {
        out.push(' ');
        out.push_str(&tree.qualified_attr_name(attribute));
        value(tree, attribute, out);
    }
    out.push_str(if is_empty(tree, node) { "/>" } else { ">" });
}

/// Declarations to write at an element: its own as they stand in the page; at the outermost one also what is in scope
/// around it, the namespaces that it uses itself first.
fn namespaces(tree: Tree<'_>, node: NodeId, outermost: bool) -> Vec<AttrId> {
    // The tree holds them in reverse.
    let own = |node: NodeId, all: &mut Vec<AttrId>| {
        let from = all.len();
        all.extend(tree.attrs(node).map(AttrId).take_while(|&attribute| tree.declares(attribute).is_some()));
        all[from..].reverse();
    };
    let mut all = Vec::new();
    own(node, &mut all);
    if !outermost {
        return all;
    }
    let mut known: HashSet<NameId> = all.iter().map(|&attribute| tree.attr_name_id(attribute)).collect();
    let prefixes = &tree.arena.attr_prefixes;
    let used = tree.attrs(node).map(|attribute| prefixes[attribute as usize]);
    let mut around: Vec<AttrId> = Vec::new();
    let mut ancestor = tree.parent(node);
    while let Some(element) = ancestor {
        own(element, &mut around);
        ancestor = tree.parent(element);
    }
    // Only the innermost declaration of a prefix counts.
    let mut seen = HashSet::new();
    around.retain(|&attribute| seen.insert(tree.attr_name_id(attribute)));
    let mut first: HashMap<NameId, AttrId> =
        around.iter().map(|&attribute| (tree.attr_name_id(attribute), attribute)).collect();
    for prefix in std::iter::once(tree.arena.prefixes[node.0 as usize]).chain(used) {
        if !known.contains(&prefix)
            && let Some(attribute) = first.remove(&prefix)
        {
            known.insert(prefix);
            all.push(attribute);
        }
    }
    all.extend(around.into_iter().filter(|&attribute| known.insert(tree.attr_name_id(attribute))));
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
            c if c < ' ' && !matches!(c, '\n' | '\t') => out.push_str("&#xFFFD;"),
            c => out.push(c),
        }
    }
}
