//! The open elements, and what opens and closes them without being asked.
//!
//! Decides where a node hangs: auto-closing, implied html, head and body, and which end tags count. Must not know how tags
//! are written. Invariants: a new node hangs below the innermost open element; "which element of this name is open" and
//! "does one of higher rank lie above it" are one look-up each, however deep the page.

use super::rules::{Rule, implied};
use crate::tree::{Arena, Attr, FLAG_PIECES, FLAG_RAW, NONE, NameId, Node};

/// The first three names of the generated table.
pub(super) const HTML: NameId = NameId(4);
pub(super) const HEAD: NameId = NameId(5);
pub(super) const BODY: NameId = NameId(6);
const RANKS: usize = 8;

/// An open element, or (at the bottom) the document.
#[derive(Clone, Copy)]
pub(super) struct Open {
    pub node: u32,
    pub name: NameId,
    /// Its last child so far.
    last: u32,
    /// What `Entry::open` was before: the next outer element of this name.
    same: u32,
    /// The same for its rank.
    same_rank: u32,
    closed_by: u32,
    rank: u8,
    /// Bytes of `name>`; the page has them after `</` in the plainest end tag. `close_mask` 0: look closer.
    pub close_len: u8,
    pub close_word: u64,
    pub close_mask: u64,
}

impl Open {
    const DOCUMENT: Open = Open {
        node: 0,
        name: NameId::DOCUMENT,
        last: NONE,
        same: 0,
        same_rank: 0,
        closed_by: 0,
        rank: 0,
        close_len: 0,
        close_word: 1,
        close_mask: 0,
    };
}

/// A tree under construction.
pub(super) struct Builder<'p> {
    pub arena: &'p mut Arena,
    /// The innermost open element.
    pub top: Open,
    /// Those around it, outermost first; empty when `top` is the document.
    around: &'p mut Vec<Open>,
    /// For each rank, the depth of the innermost open element that has it; 0 for none.
    rank_open: [u32; RANKS],
    /// The text node that the next text belongs to: the last child of `top`, or `NONE`.
    text: u32,
    pub seen_head: bool,
    pub seen_body: bool,
    /// Start tags of html, head and body dropped so far: each takes one later end tag of these with it.
    pub dropped: u32,
    depth_max: u32,
    /// The page nests too deep: nothing more is added.
    pub stopped: bool,
}

impl<'p> Builder<'p> {
    /// Starts on an arena that was cleared.
    pub(super) fn new(arena: &'p mut Arena, around: &'p mut Vec<Open>, depth_max: u32) -> Builder<'p> {
        around.clear();
        Builder {
            arena,
            top: Open::DOCUMENT,
            around,
            rank_open: [0; RANKS],
            text: NONE,
            seen_head: false,
            seen_body: false,
            dropped: 0,
            depth_max,
            stopped: false,
        }
    }

    /// Number of open elements.
    #[inline]
    pub(super) fn depth(&self) -> u32 {
        self.around.len() as u32
    }

    #[inline]
    pub(super) fn rule(&self, name: NameId) -> Rule {
        self.arena.names.entry(name).rule
    }

    /// Appends a node below the innermost open element.
    #[inline]
    fn append(&mut self, name: NameId, a: u32, b: u32) -> u32 {
        let index = self.arena.nodes.len() as u32;
        let prev = self.top.last;
        if prev != NONE {
            self.arena.nodes[prev as usize].next = index;
        }
        self.top.last = index;
        self.arena.nodes.push(Node { parent: self.top.node, next: NONE, prev, end: index + 1, a, b });
        self.arena.columns.push(name);
        index
    }

    /// Appends an element that can have no content.
    #[inline]
    pub(super) fn append_void(&mut self, name: NameId, attrs: u32) {
        if self.depth() >= self.depth_max {
            self.stop(attrs);
            return;
        }
        let end = self.arena.attrs.len() as u32;
        self.append(name, attrs, end);
        self.text = NONE;
    }

    /// Appends an element and opens it. Its attributes are those from `attrs` on.
    #[inline]
    pub(super) fn open(&mut self, name: NameId, attrs: u32) {
        if self.depth() >= self.depth_max {
            self.stop(attrs);
            return;
        }
        let end = self.arena.attrs.len() as u32;
        let node = self.append(name, attrs, end);
        self.around.push(self.top);
        let depth = self.around.len() as u32;
        let entry = self.arena.names.entry_mut(name);
        let same = std::mem::replace(&mut entry.open, depth);
        let Rule { closed_by, rank, .. } = entry.rule;
        // `</name>` in one word, for names up to seven bytes; html, head and body need a closer look, see `dropped`.
        let len = entry.word_len();
        let (close_word, close_mask) = if len != 0 && name.0 > BODY.0 {
            (entry.word | (b'>' as u64) << (8 * len), u64::MAX >> (56 - 8 * len))
        } else {
            (1, 0)
        };
        let mut same_rank = 0;
        if rank != 0 {
            same_rank = std::mem::replace(&mut self.rank_open[rank as usize & (RANKS - 1)], depth);
            self.seen_body |= name == BODY;
            self.seen_head |= name == HEAD || name == BODY;
        }
        let close_len = len as u8 + 1;
        self.top = Open { node, name, last: NONE, same, same_rank, closed_by, rank, close_len, close_word, close_mask };
        self.text = NONE;
    }

    #[cold]
    fn stop(&mut self, attrs: u32) {
        self.arena.attrs.truncate(attrs as usize);
        self.arena.truncated = true;
        self.stopped = true;
    }

    /// Closes the innermost open element; the document stays open.
    #[inline]
    pub(super) fn close(&mut self) {
        let Some(outer) = self.around.pop() else { return };
        let top = &self.top;
        self.arena.nodes[top.node as usize].end = self.arena.nodes.len() as u32;
        self.arena.names.entry_mut(top.name).open = top.same;
        if top.rank != 0 {
            self.rank_open[top.rank as usize & (RANKS - 1)] = top.same_rank;
        }
        self.top = outer;
        self.text = NONE;
    }

    /// Closes everything, the document too. Must run before the arena is used, on a failed parse too.
    pub(super) fn finish(&mut self) {
        while !self.around.is_empty() {
            self.close();
        }
        self.arena.nodes[0].end = self.arena.nodes.len() as u32;
    }

    /// Closes the elements that a start tag closes: the innermost, while it is one of those.
    #[inline]
    pub(super) fn close_for(&mut self, closes: u8) {
        while self.top.closed_by & (1 << closes) != 0 {
            self.close();
        }
    }

    /// Opens the html, head or body that a start tag or text brings with it.
    #[inline]
    pub(super) fn imply(&mut self, kind: u8) {
        if !self.seen_body || self.around.is_empty() {
            self.imply_slowly(kind);
        }
    }

    fn imply_slowly(&mut self, kind: u8) {
        if kind == implied::HTML {
            return;
        }
        let attrs = self.arena.attrs.len() as u32;
        if self.around.is_empty() {
            self.open(HTML, attrs);
        }
        if kind == implied::HEAD_OR_BODY {
            return;
        }
        if kind == implied::METADATA && self.depth() <= 1 {
            if !self.seen_head {
                self.open(HEAD, attrs);
            }
        } else if kind != implied::FRAMES && !self.seen_body && self.arena.names.entry(HEAD).open == 0 {
            self.open(BODY, attrs);
        }
    }

    /// Makes a place for text that is not white space.
    pub(super) fn imply_for_text(&mut self) {
        if self.top.name == HEAD {
            self.close();
        }
        self.imply(implied::CONTENT);
    }

    /// An end tag: closes down to the innermost open element of this name, unless one of higher rank shields it.
    pub(super) fn close_named(&mut self, name: NameId) {
        if self.dropped > 0 && name.0 <= BODY.0 {
            self.dropped -= 1;
            return;
        }
        let entry = self.arena.names.entry(name);
        let depth = entry.open;
        let shields = &self.rank_open[entry.rule.rank as usize + 1..];
        if depth == 0 || shields.iter().any(|&shield| shield > depth) {
            return;
        }
        while self.depth() >= depth {
            self.close();
        }
    }

    /// Appends a comment: `a..b` of the page.
    pub(super) fn comment(&mut self, a: usize, b: usize) {
        self.append(NameId::COMMENT, a as u32, b as u32);
        self.text = NONE;
    }

    /// Appends `a..b` of the page as text with references.
    #[inline]
    pub(super) fn text(&mut self, a: usize, b: usize) {
        if self.text == NONE {
            self.text = self.append(NameId::TEXT, a as u32, b as u32);
        } else {
            self.text_again(a as u32, b as u32);
        }
    }

    /// The same without references. An element's raw text is its only child.
    pub(super) fn raw_text(&mut self, a: usize, b: usize) {
        self.append(NameId::TEXT, a as u32 | FLAG_RAW, b as u32);
        self.text = NONE;
    }

    /// Adds to the text node that is last: something between the two was ignored.
    fn text_again(&mut self, a: u32, b: u32) {
        let node = &mut self.arena.nodes[self.text as usize];
        let pieces = &mut self.arena.pieces;
        if node.b & FLAG_PIECES == 0 {
            if node.b == a {
                node.b = b;
                return;
            }
            pieces.push((node.a, node.b));
            node.a = pieces.len() as u32 - 1;
            node.b = pieces.len() as u32 | FLAG_PIECES;
        }
        match pieces.last_mut() {
            Some(last) if last.1 == a => last.1 = b,
            _ => {
                pieces.push((a, b));
                node.b += 1;
            }
        }
    }

    /// Adds an attribute of the start tag number `tag`, unless the tag has one of that name.
    #[inline]
    pub(super) fn attr(&mut self, name: NameId, tag: u32, a: u32, b: u32) {
        let entry = self.arena.names.entry_mut(name);
        if entry.stamp != tag {
            entry.stamp = tag;
            self.arena.attrs.push(Attr { name, a, b });
        }
    }
}
