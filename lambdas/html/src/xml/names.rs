//! Namespaces as they lie in the tree (see the layout in `xml`).

use std::borrow::Cow;

use super::XML_URI;
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

    /// The name as the page writes it, with the prefix that is in scope at `node` for its namespace.
    pub(crate) fn qualified_name(self, node: NodeId, id: NameId, is_element: bool) -> String {
        let (uri, local) = self.expanded_name(id);
        let Some(uri) = uri else { return local.to_string() };
        if uri == XML_URI {
            return format!("xml:{local}");
        }
        let prefix = self.declarations(node).find_map(|attribute| {
            let prefix = self.declares(attribute)?;
            (self.attr_value(attribute) == uri && (is_element || !prefix.is_empty())).then_some(prefix)
        });
        match prefix {
            Some(prefix) if !prefix.is_empty() => format!("{prefix}:{local}"),
            _ => local.to_string(),
        }
    }
}
