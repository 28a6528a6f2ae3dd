//! A node back to HTML, as lxml's `tostring(method="html", with_tail=False)` writes it: that is what parsel's `getall()`
//! gives for elements and comments. Walks the arena in index order; no recursion.

mod xml;

use crate::tree::{AttrId, FLAG_EXTRA, Kind, NONE, NodeId, POSITION, Tree};
use crate::xpath::hit::Hit;

/// Elements without content or end tag.
const VOID: [&str; 13] =
    ["area", "base", "basefont", "br", "col", "frame", "hr", "img", "input", "isindex", "link", "meta", "param"];
/// Attributes that libxml2 writes without a value.
const BARE: [&str; 13] = [
    "checked", "compact", "declare", "defer", "disabled", "ismap", "multiple", "nohref", "noresize", "noshade",
    "nowrap", "readonly", "selected",
];

/// Appends a node or attribute as parsel shows it: elements and comments as HTML, everything else as its string value.
pub fn serialize(tree: Tree<'_>, hit: Hit, out: &mut String) {
    if !hit.is_node() {
        out.push_str(&crate::xpath::run::string_value(tree, hit));
        return;
    }
    if tree.is_xml() {
        return xml::serialize(tree, hit.node(), out);
    }
    let top = hit.node();
    if tree.kind(top) == Kind::Text {
        out.push_str(&tree.text(top));
        return;
    }
    let mut open = top;
    let end = tree.end(top);
    let mut at = top.0;
    while at < end {
        let node = NodeId(at);
        // Close what ended before this node.
        while open != node && at >= tree.end(open) {
            open = close(tree, open, out);
        }
        match tree.kind(node) {
            Kind::Element => {
                let name = tree.name_text(tree.name_id(node));
                start_tag(tree, node, name, out);
                open = node;
            }
            Kind::Text => {
                let raw = tree.parent(node).is_some_and(|parent| is_raw(tree, parent));
                if raw { out.push_str(&tree.text(node)) } else { escape_text(&tree.text(node), out) }
            }
            Kind::Comment => {
                out.push_str("<!--");
                out.push_str(&tree.text(node));
                out.push_str("-->");
            }
            Kind::Pi => {
                out.push_str("<?");
                out.push_str(&tree.text(node));
                out.push('>');
            }
            Kind::Document => {}
        }
        at += 1;
    }
    loop {
        let last = open == top;
        open = close(tree, open, out);
        if last {
            return;
        }
    }
}

/// Writes the end tag of `node` if it has one, and returns the element around it.
fn close(tree: Tree<'_>, node: NodeId, out: &mut String) -> NodeId {
    if tree.kind(node) == Kind::Element {
        let name = tree.name_text(tree.name_id(node));
        // libxml2 saves the end tag of an empty li.
        let saved = name == "li" && tree.first_child(node).is_none();
        if !saved && !VOID.contains(&name) {
            out.push_str("</");
            out.push_str(name);
            out.push('>');
        }
    }
    tree.parent(node).unwrap_or(node)
}

fn is_raw(tree: Tree<'_>, element: NodeId) -> bool {
    matches!(tree.name_text(tree.name_id(element)), "script" | "style") && tree.kind(element) == Kind::Element
}

fn start_tag(tree: Tree<'_>, node: NodeId, name: &str, out: &mut String) {
    out.push('<');
    out.push_str(name);
    for attribute in tree.attrs(node).map(AttrId) {
        let key = tree.name_text(tree.attr_name_id(attribute));
        out.push(' ');
        out.push_str(key);
        if BARE.contains(&key) || is_bare(tree, attribute) {
            continue;
        }
        out.push('=');
        let value = tree.attr_value(attribute);
        if matches!(key, "href" | "action" | "src") || (key == "name" && name == "a") {
            quoted(&escape_uri(&value), out);
        } else {
            quoted(&value, out);
        }
    }
    out.push('>');
}

/// An attribute that stands in the page without `=`: an empty value, and no quote or `=` before it.
fn is_bare(tree: Tree<'_>, attribute: AttrId) -> bool {
    let attr = &tree.arena.attrs[attribute.0 as usize];
    let (from, to) = ((attr.a & POSITION) as usize, (attr.b & POSITION) as usize);
    if attr.a == NONE || attr.a & FLAG_EXTRA != 0 || from != to {
        return attr.a == NONE;
    }
    let before = tree.source().as_bytes()[..from].iter().rev().find(|byte| !byte.is_ascii_whitespace());
    !matches!(before, Some(b'"' | b'\'' | b'='))
}

/// A result of `re:match`, as lxml wraps it.
pub(crate) fn match_element(text: &str) -> String {
    let mut out = String::from("<match>");
    escape(text, false, &mut out);
    out.push_str("</match>");
    out
}

fn escape_text(text: &str, out: &mut String) {
    escape(text, false, out);
}

/// Double quotes, unless only they would need escaping.
fn quoted(value: &str, out: &mut String) {
    let single = value.contains('"') && !value.contains('\'');
    let mark = if single { '\'' } else { '"' };
    out.push(mark);
    escape(value, !single, out);
    out.push(mark);
}

fn escape(text: &str, quotes: bool, out: &mut String) {
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|b| matches!(b, b'<' | b'>' | b'&') || (quotes && b == b'"')) {
        out.push_str(&rest[..at]);
        out.push_str(match rest.as_bytes()[at] {
            b'<' => "&lt;",
            b'>' => "&gt;",
            b'&' => "&amp;",
            _ => "&quot;",
        });
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
}

/// libxml2 writes URL attributes without leading blanks, and everything but printable ASCII as `%XX`.
fn escape_uri(value: &str) -> std::borrow::Cow<'_, str> {
    let value = value.trim_start_matches([' ', '\t', '\r', '\n']);
    if value.bytes().all(|byte| byte.is_ascii_graphic()) {
        return value.into();
    }
    let mut out = String::with_capacity(value.len() + 16);
    for byte in value.bytes() {
        if byte.is_ascii_graphic() {
            out.push(char::from(byte));
        } else {
            const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
            out.push('%');
            out.push(char::from(DIGITS[usize::from(byte >> 4)]));
            out.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }
    out.into()
}
