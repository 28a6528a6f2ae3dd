//! What an expression finds: a node, an attribute, or (rarely) the namespace node that every element has.

use crate::tree::{AttrId, Kind, NodeId, Tree};

/// A node or attribute of one page, in 8 bytes. Their order is document order: a node, its namespace, its attributes, its
/// children.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hit(u64);

// The upper half is the node. The lower half is the part of it that is meant: 0 for the node itself.
const NAMESPACE: u32 = 1;
const ATTRIBUTES: u32 = 2;
/// From here on the node counts results of `re:match`, which are in no page: even ones elements, odd ones their text.
const MADE: u32 = 1 << 31;

impl Hit {
    /// The document node: the context for expressions about the whole document.
    pub fn document() -> Hit {
        Hit::of(NodeId(0))
    }

    /// The root element, on which parsel evaluates a selector's expressions (the document, when there is no element).
    pub fn root(tree: Tree<'_>) -> Hit {
        let mut child = tree.first_child(NodeId(0));
        while let Some(node) = child {
            if tree.kind(node) == Kind::Element {
                return Hit::of(node);
            }
            child = tree.next(node);
        }
        Hit::document()
    }

    const fn new(node: u32, part: u32) -> Hit {
        Hit((node as u64) << 32 | part as u64)
    }

    #[inline]
    fn part(self) -> u32 {
        self.0 as u32
    }

    /// A node.
    #[inline]
    pub fn of(node: NodeId) -> Hit {
        Hit::new(node.0, 0)
    }

    /// An attribute of `node`.
    pub fn of_attribute(node: NodeId, attribute: AttrId) -> Hit {
        Hit::new(node.0, attribute.0 + ATTRIBUTES)
    }

    pub(crate) fn of_namespace(node: NodeId) -> Hit {
        Hit::new(node.0, NAMESPACE)
    }

    pub(crate) fn made(index: usize) -> Hit {
        Hit::new(MADE + 2 * u32::try_from(index).unwrap_or(MADE / 4), 0)
    }

    /// The node, or the element that has the attribute.
    #[inline]
    pub fn node(self) -> NodeId {
        NodeId((self.0 >> 32) as u32)
    }

    /// The attribute, when this is one.
    #[inline]
    pub fn attribute(self) -> Option<AttrId> {
        self.part().checked_sub(ATTRIBUTES).map(AttrId)
    }

    /// Whether this is a node of the tree, not an attribute or a namespace.
    #[inline]
    pub fn is_node(self) -> bool {
        self.part() == 0
    }

    #[inline]
    pub(crate) fn is_namespace(self) -> bool {
        self.part() == NAMESPACE
    }

    /// The number of a `re:match` result, and whether this is its text.
    #[inline]
    pub(crate) fn made_index(self) -> Option<(usize, bool)> {
        self.node().0.checked_sub(MADE).map(|index| ((index / 2) as usize, index % 2 == 1))
    }

    pub(crate) fn made_text(self) -> Hit {
        Hit::new(self.node().0 | 1, 0)
    }
}

impl std::fmt::Debug for Hit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.attribute() {
            Some(attribute) => write!(f, "Hit({}@{})", self.node().0, attribute.0),
            None => write!(f, "Hit({})", self.node().0),
        }
    }
}
