//! What an expression finds: a node, an attribute, or (rarely) the namespace node that every element has.

use crate::tree::{AttrId, Kind, NodeId, Tree};

/// A node or attribute of one page, in 8 bytes. Their order is document order: a node, its namespace, its attributes, its
/// children.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hit {
    node: u32,
    /// 0: the node itself; 1: its namespace node; from 2: an attribute.
    part: u32,
}

const NAMESPACE: u32 = 1;
const ATTRIBUTES: u32 = 2;
/// From here on `node` counts results of `re:match`, which are in no page: even ones elements, odd ones their text.
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

    /// A node.
    pub fn of(node: NodeId) -> Hit {
        Hit { node: node.0, part: 0 }
    }

    /// An attribute of `node`.
    pub fn of_attribute(node: NodeId, attribute: AttrId) -> Hit {
        Hit { node: node.0, part: attribute.0 + ATTRIBUTES }
    }

    pub(crate) fn of_namespace(node: NodeId) -> Hit {
        Hit { node: node.0, part: NAMESPACE }
    }

    pub(crate) fn made(index: usize) -> Hit {
        Hit { node: MADE + 2 * u32::try_from(index).unwrap_or(MADE / 4), part: 0 }
    }

    /// The node, or the element that has the attribute.
    pub fn node(self) -> NodeId {
        NodeId(self.node)
    }

    /// The attribute, when this is one.
    pub fn attribute(self) -> Option<AttrId> {
        self.part.checked_sub(ATTRIBUTES).map(AttrId)
    }

    /// Whether this is a node of the tree, not an attribute or a namespace.
    pub fn is_node(self) -> bool {
        self.part == 0
    }

    pub(crate) fn is_namespace(self) -> bool {
        self.part == NAMESPACE
    }

    /// The number of a `re:match` result, and whether this is its text.
    pub(crate) fn made_index(self) -> Option<(usize, bool)> {
        self.node.checked_sub(MADE).map(|index| ((index / 2) as usize, index % 2 == 1))
    }

    pub(crate) fn made_text(self) -> Hit {
        Hit { node: self.node | 1, part: 0 }
    }
}
