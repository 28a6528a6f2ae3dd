//! The arena tree: what a page looks like to the evaluator.
//!
//! Decides how nodes, attributes and text are laid out. Knows nothing of tokens, of libxml2's rules (`parse`) or of XPath
//! (`xpath`). Invariants: **index = document order**; the subtree of `n` is exactly `n .. end(n)`; attributes of one
//! element are one slice, in source order; text and attribute values stay ranges of the page until they are taken.

use std::borrow::Cow;
use std::ops::Range;

/// A node's index in document order. `NodeId(0)` is the document node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u32);

/// An attribute's index. Attributes of one element are adjacent, in source order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttrId(pub u32);

/// An interned, lower-cased name of an element or attribute, or one of the kinds below.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NameId(pub u32);

impl NameId {
    /// "Name" of the document node.
    pub const DOCUMENT: NameId = NameId(0);
    /// "Name" of text nodes.
    pub const TEXT: NameId = NameId(1);
    /// "Name" of comments.
    pub const COMMENT: NameId = NameId(2);
    /// "Name" of processing instructions.
    pub const PI: NameId = NameId(3);
    /// The first id of an element's or attribute's name.
    pub const FIRST_REAL: u32 = 4;
}

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The document node, `NodeId(0)`.
    Document,
    /// An element.
    Element,
    /// A text node.
    Text,
    /// A comment.
    Comment,
    /// A processing instruction.
    Pi,
}

/// No node, no attribute.
pub(crate) const NONE: u32 = u32::MAX;

/// One node, 28 bytes. For an element `a..b` are its attributes; for text and comments `a..b` is a range of the page, or
/// (with `FLAG_PIECES`/`FLAG_EXTRA` in the column beside it) of `pieces` or `extra`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Node {
    pub name: NameId,
    pub parent: u32,
    pub next: u32,
    pub prev: u32,
    pub end: u32,
    pub a: u32,
    pub b: u32,
}

/// A parsed page. `Copy`: two references. The page's text and the arena outlive it.
#[derive(Clone, Copy)]
pub struct Tree<'a> {
    pub(crate) source: &'a str,
    pub(crate) arena: &'a Arena,
}

/// The storage that a parser fills and reuses from page to page.
#[derive(Default)]
pub struct Arena {
    pub(crate) nodes: Vec<Node>,
    // The parser's owner adds: the column of names, attributes, pieces, extra text, the interner ...
}

/// The evaluator's whole view of a page. Every engine's tree is read through these.
impl<'a> Tree<'a> {
    /// Number of nodes, the document node included.
    pub fn len(self) -> u32 {
        todo!()
    }
    /// What `n` is.
    pub fn kind(self, n: NodeId) -> Kind {
        todo!()
    }
    /// The name's id (`NameId::TEXT` and so on for nodes that are no elements).
    pub fn name_id(self, n: NodeId) -> NameId {
        todo!()
    }
    /// The column of name ids, index = node: `//x` is a scan of it.
    pub fn name_ids(self) -> &'a [NameId] {
        todo!()
    }
    /// The text of a name.
    pub fn name_text(self, id: NameId) -> &'a str {
        todo!()
    }
    /// The id of a name that this page holds; `None` means that nothing here has that name.
    pub fn find_name(self, name: &str) -> Option<NameId> {
        todo!()
    }
    /// The parent; `None` for the document node.
    pub fn parent(self, n: NodeId) -> Option<NodeId> {
        todo!()
    }
    /// The next sibling.
    pub fn next(self, n: NodeId) -> Option<NodeId> {
        todo!()
    }
    /// The previous sibling.
    pub fn prev(self, n: NodeId) -> Option<NodeId> {
        todo!()
    }
    /// The first child.
    pub fn first_child(self, n: NodeId) -> Option<NodeId> {
        todo!()
    }
    /// One past the last node of the subtree of `n`: descendants are `n+1 .. end(n)`.
    pub fn end(self, n: NodeId) -> u32 {
        todo!()
    }
    /// The attributes of `n`, as indices; empty for anything but an element.
    pub fn attrs(self, n: NodeId) -> Range<u32> {
        todo!()
    }
    /// The name id of an attribute.
    pub fn attr_name_id(self, a: AttrId) -> NameId {
        todo!()
    }
    /// The value of an attribute, entities decoded.
    pub fn attr_value(self, a: AttrId) -> Cow<'a, str> {
        todo!()
    }
    /// The value as it stands in the page when it needs no decoding (no `&`, no CR, no NUL); `None` otherwise.
    pub fn attr_plain(self, a: AttrId) -> Option<&'a str> {
        todo!()
    }
    /// The content of a text node, comment or processing instruction, entities decoded; empty for others.
    pub fn text(self, n: NodeId) -> Cow<'a, str> {
        todo!()
    }
}
