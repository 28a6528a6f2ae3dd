//! The arena tree: what a page looks like to the evaluator.
//!
//! Decides how nodes, attributes and text are laid out. Knows nothing of tokens, of libxml2's rules (`parse`) or of XPath
//! (`xpath`). Invariants: **index = document order**; the subtree of `n` is exactly `n .. end(n)`; attributes of one
//! element are one slice, in source order; text and attribute values stay ranges of the page until they are taken.

use std::borrow::Cow;
use std::ops::Range;

use crate::names::Names;
use crate::parse::decode::{Refs, decode, needs_decoding};

/// A node's index in document order. `NodeId(0)` is the document node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u32);

/// An attribute's index. Attributes of one element are adjacent, in source order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttrId(pub u32);

/// An interned name of an element or attribute (lower-case unless the page is XML), or one of the kinds below.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NameId(pub u32);

impl NameId {
    /// "Name" of the document node.
    pub const DOCUMENT: NameId = NameId(0);
    /// "Name" of text nodes.
    pub const TEXT: NameId = NameId(1);
    /// "Name" of comments.
    pub const COMMENT: NameId = NameId(2);
    /// "Name" of processing instructions. By HTML's rules they are comments, so only XML trees hold them.
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

/// The longest page a tree can hold: the two high bits of a position carry flags.
pub(crate) const PAGE_BYTES_MAX: usize = (1 << 30) - 1;

/// Set in `b` of a text node: `a..b` is a range of `pieces`, each a range of the page.
pub(crate) const FLAG_PIECES: u32 = 1 << 31;
/// Set in `b`: what `a..b` holds is final, no reference or CR is replaced in it.
pub(crate) const FLAG_FINAL: u32 = 1 << 30;
/// Set in `a`: the range is one of `extra`, not of the page.
pub(crate) const FLAG_EXTRA: u32 = 1 << 31;
/// Set in `a` of a text node: no reference is replaced in it (script, style and their like).
pub(crate) const FLAG_RAW: u32 = 1 << 30;
/// The bits of `a` and `b` that are a position.
pub(crate) const POSITION: u32 = (1 << 30) - 1;

/// One node, 24 bytes; its name stands in the column beside it. For an element `a..b` are its attributes; for text and
/// comments a range of the page, or what the flags above say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Node {
    pub parent: u32,
    pub next: u32,
    pub prev: u32,
    pub end: u32,
    pub a: u32,
    pub b: u32,
}

/// One attribute. `a == NONE`: it was written without a value and counts as its own name (`checked`).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attr {
    pub name: NameId,
    pub a: u32,
    pub b: u32,
}

/// A reference to an entity that stays unexpanded: in `parent`, before node `at` or at the end; its name in the page.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reference {
    pub at: u32,
    pub parent: u32,
    pub from: u32,
    pub to: u32,
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
    /// Name of each node, same index.
    pub(crate) columns: Vec<NameId>,
    pub(crate) attrs: Vec<Attr>,
    /// Ranges of the page that make up a text which something ignored has broken.
    pub(crate) pieces: Vec<(u32, u32)>,
    /// Text that stands nowhere in the page.
    pub(crate) extra: String,
    pub(crate) names: Names,
    /// XML only: the prefix of each node's name, and of each attribute's, as the name of its declaration (see `xml`).
    pub(crate) prefixes: Vec<NameId>,
    pub(crate) attr_prefixes: Vec<NameId>,
    /// XML only, in document order.
    pub(crate) references: Vec<Reference>,
    pub(crate) truncated: bool,
}

impl Arena {
    /// Forgets the last page and starts a tree with nothing but the document node.
    pub(crate) fn clear(&mut self) {
        self.nodes.clear();
        self.columns.clear();
        self.attrs.clear();
        self.pieces.clear();
        self.extra.clear();
        self.names.forget_page();
        self.prefixes.clear();
        self.attr_prefixes.clear();
        self.references.clear();
        self.truncated = false;
        self.nodes.push(Node { parent: NONE, next: NONE, prev: NONE, end: 1, a: 0, b: 0 });
        self.columns.push(NameId::DOCUMENT);
    }

    /// Bytes this arena holds on to, capacity included: what a worker keeps between pages.
    pub fn bytes_held(&self) -> usize {
        self.nodes.capacity() * size_of::<Node>()
            + self.columns.capacity() * size_of::<NameId>()
            + self.attrs.capacity() * size_of::<Attr>()
            + self.pieces.capacity() * size_of::<(u32, u32)>()
            + self.extra.capacity()
            + (self.prefixes.capacity() + self.attr_prefixes.capacity()) * size_of::<NameId>()
            + self.references.capacity() * size_of::<Reference>()
            + self.names.bytes_held()
    }
}

/// The evaluator's whole view of a page. Every engine's tree is read through these. Ids come from this tree; an id of
/// another tree may panic or name another node.
impl<'a> Tree<'a> {
    /// Number of nodes, the document node included.
    pub fn len(self) -> u32 {
        self.arena.columns.len() as u32
    }
    /// Never true: the document node is always there.
    pub fn is_empty(self) -> bool {
        false
    }
    /// What `n` is.
    #[inline]
    pub fn kind(self, n: NodeId) -> Kind {
        match self.name_id(n) {
            NameId::DOCUMENT => Kind::Document,
            NameId::TEXT => Kind::Text,
            NameId::COMMENT => Kind::Comment,
            NameId::PI => Kind::Pi,
            _ => Kind::Element,
        }
    }
    /// The name's id (`NameId::TEXT` and so on for nodes that are no elements).
    #[inline]
    pub fn name_id(self, n: NodeId) -> NameId {
        self.arena.columns[n.0 as usize]
    }
    /// The column of name ids, index = node: `//x` is a scan of it.
    #[inline]
    pub fn name_ids(self) -> &'a [NameId] {
        &self.arena.columns
    }
    /// The text of a name; empty for the kinds that have none.
    pub fn name_text(self, id: NameId) -> &'a str {
        self.arena.names.text(id)
    }
    /// The id of a name; `None` means that nothing here has that name. Names are lower-case (ASCII) unless the page is XML.
    pub fn find_name(self, name: &str) -> Option<NameId> {
        self.arena.names.find(name)
    }
    /// The parent; `None` for the document node.
    #[inline]
    pub fn parent(self, n: NodeId) -> Option<NodeId> {
        some(self.node(n).parent)
    }
    /// The next sibling.
    #[inline]
    pub fn next(self, n: NodeId) -> Option<NodeId> {
        some(self.node(n).next)
    }
    /// The previous sibling.
    #[inline]
    pub fn prev(self, n: NodeId) -> Option<NodeId> {
        some(self.node(n).prev)
    }
    /// The first child.
    #[inline]
    pub fn first_child(self, n: NodeId) -> Option<NodeId> {
        (self.node(n).end > n.0 + 1).then_some(NodeId(n.0 + 1))
    }
    /// One past the last node of the subtree of `n`: descendants are `n+1 .. end(n)`.
    #[inline]
    pub fn end(self, n: NodeId) -> u32 {
        self.node(n).end
    }
    /// The attributes of `n`, as indices; empty for anything but an element.
    #[inline]
    pub fn attrs(self, n: NodeId) -> Range<u32> {
        if self.name_id(n).0 < NameId::FIRST_REAL {
            return 0..0;
        }
        let node = self.node(n);
        node.a..node.b
    }
    /// The name id of an attribute.
    #[inline]
    pub fn attr_name_id(self, a: AttrId) -> NameId {
        self.arena.attrs[a.0 as usize].name
    }
    /// The value of an attribute, entities decoded.
    pub fn attr_value(self, a: AttrId) -> Cow<'a, str> {
        match self.attr_raw(a) {
            (raw, true) => Cow::Borrowed(raw),
            (raw, false) => decode(raw, Refs::InAttribute),
        }
    }
    /// The value as it stands in the page when it needs no decoding (no `&`, no CR); `None` otherwise.
    #[inline]
    pub fn attr_plain(self, a: AttrId) -> Option<&'a str> {
        match self.attr_raw(a) {
            (raw, true) => Some(raw),
            _ => None,
        }
    }
    /// The content of a text node, comment or processing instruction, entities decoded; empty for others.
    pub fn text(self, n: NodeId) -> Cow<'a, str> {
        let refs = match self.name_id(n) {
            NameId::TEXT => Refs::InText,
            NameId::COMMENT | NameId::PI => Refs::None,
            _ => return Cow::Borrowed(""),
        };
        let node = self.node(n);
        let refs = if node.a & FLAG_RAW != 0 { Refs::None } else { refs };
        let (start, end) = (node.a & POSITION, node.b & POSITION);
        if node.b & FLAG_PIECES != 0 {
            let mut whole = String::new();
            for &(a, b) in &self.arena.pieces[start as usize..end as usize] {
                whole.push_str(&decode(&self.source[a as usize..b as usize], refs));
            }
            return Cow::Owned(whole);
        }
        let raw = self.span(node.a, node.b);
        if node.b & FLAG_FINAL != 0 { Cow::Borrowed(raw) } else { decode(raw, refs) }
    }
    /// The page as the parser saw it: trimmed, without NULs. Positions are of this text.
    pub fn source(self) -> &'a str {
        self.source
    }
    /// The last child.
    pub fn last_child(self, n: NodeId) -> Option<NodeId> {
        let mut last = self.first_child(n)?;
        let end = self.end(n);
        // The last child is the ancestor of the subtree's last node whose parent is n.
        if self.end(last) != end {
            last = NodeId(end - 1);
            while self.node(last).parent != n.0 {
                last = NodeId(self.node(last).parent);
            }
        }
        Some(last)
    }
    /// Was the page cut short because it nests deeper than `Limits::depth_max`? What came before is all here.
    pub fn truncated(self) -> bool {
        self.arena.truncated
    }

    #[inline]
    fn node(self, n: NodeId) -> &'a Node {
        &self.arena.nodes[n.0 as usize]
    }

    /// What a range with its flags stands for, before any decoding.
    #[inline]
    pub(crate) fn span(self, a: u32, b: u32) -> &'a str {
        let held: &'a str = if a & FLAG_EXTRA != 0 { &self.arena.extra } else { self.source };
        &held[(a & POSITION) as usize..(b & POSITION) as usize]
    }

    /// The value as stored, and whether it is final.
    #[inline]
    fn attr_raw(self, a: AttrId) -> (&'a str, bool) {
        let attr = &self.arena.attrs[a.0 as usize];
        if attr.a == NONE {
            return (self.arena.names.text(attr.name), true);
        }
        let raw = self.span(attr.a, attr.b);
        (raw, attr.b & FLAG_FINAL != 0 || !needs_decoding(raw, Refs::InAttribute))
    }
}

#[inline]
fn some(index: u32) -> Option<NodeId> {
    (index != NONE).then_some(NodeId(index))
}
