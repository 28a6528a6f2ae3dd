//! The second engine: the tree that html5ever (through scraper) makes, in the same arena.
//!
//! Decides how that tree is copied and how much of a page html5ever is shown. Must not know libxml2's rules, except that
//! the first engine's reader is a cheap measure of how deep a page nests. Invariants: those of `tree`; names are
//! lower-cased (`viewbox`) and carry their prefix (`xlink:href`), so that one path serves both engines; scripts do not
//! run here, so what `noscript` holds is parsed, as a browser without them does.
//!
//! html5ever takes time quadratic in depth (50,000 nested `div`: 3 seconds) and re-opens every formatting element that is
//! left open (`<b><i><u>`) in each new paragraph. So the page is cut where either passes `Limits::html5_depth_max`, and it
//! is fed in pieces, with the nodes counted between them.

use html5ever::driver::{ParseOpts, parse_document};
use html5ever::tendril::{StrTendril, TendrilSink};
use html5ever::tokenizer::TokenizerOpts;
use html5ever::tree_builder::TreeBuilderOpts;
use memchr::memchr_iter;
use scraper::{Html, HtmlTreeSink, Node as Theirs};

use crate::names::NAME_BYTES_MAX;
use crate::parse::{Limits, ParseError};
use crate::tree::{Arena, Attr, FLAG_EXTRA, FLAG_FINAL, NONE, NameId, Node};

/// Fed at once; the nodes are counted after each.
const PIECE_BYTES: usize = 4096;

/// Elements that html5ever opens again after it closed them for someone else's sake.
const FORMATTING: [&str; 14] =
    ["a", "b", "big", "code", "em", "font", "i", "nobr", "s", "small", "strike", "strong", "tt", "u"];

/// Parses a page into a cleared arena. `tag` numbers the start tags of all pages.
pub(crate) fn build(page: &str, arena: &mut Arena, tag: &mut u32, limits: &Limits) -> Result<(), ParseError> {
    let options = ParseOpts {
        tokenizer: TokenizerOpts::default(),
        tree_builder: TreeBuilderOpts { scripting_enabled: false, drop_doctype: true, ..TreeBuilderOpts::default() },
    };
    let mut parser = parse_document(HtmlTreeSink::new(Html::new_document()), options);
    let mut rest = page;
    while !rest.is_empty() {
        let (piece, left) = rest.split_at(rest.floor_char_boundary(PIECE_BYTES.min(rest.len())));
        parser.process(StrTendril::from_slice(piece));
        rest = left;
        let nodes = parser.tokenizer.sink.sink.0.borrow().tree.nodes().len();
        if nodes > limits.html5_nodes_max.min(limits.nodes_max) as usize {
            return Err(ParseError::TooManyNodes { max: limits.html5_nodes_max.min(limits.nodes_max) });
        }
    }
    copy(&parser.finish(), arena, tag, limits)
}

/// Where more than `max` formatting elements would be open if none but their own end tags closed them.
pub(crate) fn formatting_cut(page: &str, max: u32) -> Option<usize> {
    let bytes = page.as_bytes();
    let mut open = 0u32;
    for at in memchr_iter(b'<', bytes) {
        let after = &bytes[at + 1..];
        let (end, name) = match after.strip_prefix(b"/") {
            Some(name) => (true, name),
            None => (false, after),
        };
        let len = name.iter().take(7).position(|b| !b.is_ascii_alphabetic()).unwrap_or(0);
        if !FORMATTING.iter().any(|f| f.as_bytes().eq_ignore_ascii_case(&name[..len])) {
            continue;
        }
        open = if end { open.saturating_sub(1) } else { open + 1 };
        if open > max {
            return Some(at);
        }
    }
    None
}

fn copy(html: &Html, arena: &mut Arena, tag: &mut u32, limits: &Limits) -> Result<(), ParseError> {
    // (their node, our parent), the next one last; our last child of each open parent.
    let mut due: Vec<_> = html.tree.root().children().rev().map(|child| (child, 0u32)).collect();
    let mut last_child = vec![NONE];
    while let Some((theirs, parent)) = due.pop() {
        let (name, a, b) = match theirs.value() {
            Theirs::Element(element) => {
                *tag += 1;
                let start = arena.attrs.len() as u32;
                for (name, value) in &element.attrs {
                    let prefix = name.prefix.as_deref().unwrap_or("");
                    let name = intern(arena, prefix, &name.local);
                    let (a, b) = keep(arena, value)?;
                    let entry = arena.names.entry_mut(name);
                    if entry.stamp != *tag {
                        entry.stamp = *tag;
                        arena.attrs.push(Attr { name, a, b });
                    }
                }
                let name = intern(arena, "", element.name());
                (name, start, arena.attrs.len() as u32)
            }
            Theirs::Text(text) => {
                let (a, b) = keep(arena, text)?;
                (NameId::TEXT, a, b)
            }
            Theirs::Comment(comment) => {
                let (a, b) = keep(arena, comment)?;
                (NameId::COMMENT, a, b)
            }
            Theirs::ProcessingInstruction(pi) => {
                let (a, b) = keep(arena, &pi.data)?;
                (NameId::PI, a, b)
            }
            // What a template holds hangs below the template itself, as in the other engine's trees.
            Theirs::Fragment => {
                due.extend(theirs.children().rev().map(|child| (child, parent)));
                continue;
            }
            Theirs::Document | Theirs::Doctype(_) => continue,
        };
        let index = arena.nodes.len() as u32;
        let prev = last_child[parent as usize];
        if prev != NONE {
            arena.nodes[prev as usize].next = index;
        }
        last_child[parent as usize] = index;
        last_child.push(NONE);
        arena.nodes.push(Node { parent, next: NONE, prev, end: index + 1, a, b });
        arena.columns.push(name);
        due.extend(theirs.children().rev().map(|child| (child, index)));
        if arena.attrs.len() > limits.attrs_max as usize {
            return Err(ParseError::TooManyAttrs { max: limits.attrs_max });
        }
        if arena.names.len() > limits.names_max as usize {
            return Err(ParseError::TooManyNames { max: limits.names_max });
        }
    }
    // A parent stands before its children, so one pass from the back carries every end outwards.
    for index in (1..arena.nodes.len()).rev() {
        let Node { parent, end, .. } = arena.nodes[index];
        let outer = &mut arena.nodes[parent as usize].end;
        *outer = end.max(*outer);
    }
    Ok(())
}

/// Stores text beside the page: its position, flagged.
fn keep(arena: &mut Arena, text: &str) -> Result<(u32, u32), ParseError> {
    let start = arena.extra.len();
    let end = start + text.len();
    if end > crate::tree::PAGE_BYTES_MAX {
        return Err(ParseError::PageTooLong { bytes: end, max: crate::tree::PAGE_BYTES_MAX });
    }
    arena.extra.push_str(text);
    Ok((start as u32 | FLAG_EXTRA, end as u32 | FLAG_FINAL))
}

fn intern(arena: &mut Arena, prefix: &str, local: &str) -> NameId {
    let mut name = String::with_capacity(prefix.len() + 1 + local.len());
    if !prefix.is_empty() {
        name.push_str(prefix);
        name.push(':');
    }
    name.push_str(local);
    name.truncate(name.floor_char_boundary(NAME_BYTES_MAX));
    name.make_ascii_lowercase();
    arena.names.intern(name.as_bytes())
}
