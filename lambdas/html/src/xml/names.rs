//! Namespaces as they lie in the tree (see the layout in `xml`).

use std::borrow::Cow;

use crate::tree::{AttrId, NameId, NodeId, Tree};

/// What only XML trees have.
impl<'a> Tree<'a> {
    /// Whether this is an XML tree: its document node lists namespaces.
    #[inline]
    pub(crate) fn is_xml(self) -> bool {
        let document = &self.arena.nodes[0];
        document.a != document.b
    }

    /// The namespace of a name, and its local part. HTML names are local as a whole.
    pub(crate) fn expanded_name(self, id: NameId) -> (Option<&'a str>, &'a str) {
        let text = self.name_text(id);
        if !self.is_xml() {
            return (None, text);
        }
        match text.split_once(' ') {
            Some((number, local)) => {
                let uri =
                    number.parse::<u32>().ok().map(|number| self.attr_value(AttrId(self.arena.nodes[0].a + number)));
                match uri {
                    Some(Cow::Borrowed(uri)) => (Some(uri), local),
                    _ => (None, local),
                }
            }
            None => (None, text),
        }
    }

    /// Whether an attribute declares a namespace, and of which prefix.
    pub(crate) fn declares(self, attribute: AttrId) -> Option<&'a str> {
        if !self.is_xml() {
            return None;
        }
        self.name_text(self.attr_name_id(attribute)).strip_prefix(' ')
    }

    /// The attributes that declare namespaces for `node`, innermost first, those of one element in libxml2's order.
    pub(crate) fn declarations(self, node: NodeId) -> impl Iterator<Item = AttrId> {
        let up = std::iter::successors(Some(node), move |&node| self.parent(node));
        up.flat_map(move |node| {
            self.attrs(node).map(AttrId).take_while(move |&attribute| self.declares(attribute).is_some())
        })
    }

    /// An element's name as the page writes it, with its prefix.
    pub(crate) fn qualified_name(self, node: NodeId) -> Cow<'a, str> {
        self.written_name(self.name_id(node), self.arena.prefixes[node.0 as usize])
    }

    /// An attribute's name as the page writes it, with its prefix.
    pub(crate) fn qualified_attr_name(self, attribute: AttrId) -> Cow<'a, str> {
        self.written_name(self.attr_name_id(attribute), self.arena.attr_prefixes[attribute.0 as usize])
    }

    fn written_name(self, name: NameId, prefix: NameId) -> Cow<'a, str> {
        let (_, local) = self.expanded_name(name);
        match self.name_text(prefix).get(1..) {
            None | Some("") => Cow::Borrowed(local),
            Some(prefix) => Cow::Owned(format!("{prefix}:{local}")),
        }
    }
}
