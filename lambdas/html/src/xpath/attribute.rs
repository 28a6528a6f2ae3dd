//! Questions about one attribute, answered from the page's bytes: most need no decoding to be answered.

use super::cursor::MISSING;
use super::hit::Hit;
use super::plan::{AttributeTest, How};
use super::run::Run;
use crate::tree::{AttrId, FLAG_EXTRA, FLAG_FINAL, NONE, NodeId, POSITION, Tree};

impl Run<'_, '_> {
    /// The attribute of that name, if the hit is an element that has it.
    #[inline]
    pub(crate) fn attribute(&self, name: u32, hit: Hit) -> Option<AttrId> {
        if name == MISSING || !hit.is_node() || hit.made_index().is_some() {
            return None;
        }
        self.tree.attr_named(hit.node(), name)
    }

    /// Answers a question about one attribute, from the page's bytes where they need no decoding.
    #[inline]
    pub(crate) fn attribute_holds(&self, test: AttributeTest, hit: Hit) -> bool {
        match self.attribute(self.names[test.name as usize], hit) {
            None => false,
            Some(_) if test.how == How::Exists => true,
            Some(attribute) => {
                let (written, decoded) = self.tree.attr_written(attribute);
                match self.compare_written(test, written, decoded) {
                    Some(holds) => holds,
                    None => self.compare_attribute(test, self.tree.attr_value(attribute).as_bytes()),
                }
            }
        }
    }

    /// The answer, when the value as it stands in the page is enough for it.
    #[inline]
    fn compare_written(&self, test: AttributeTest, written: &[u8], decoded: bool) -> Option<bool> {
        let needle = &self.plan.texts[test.text as usize];
        if test.how == How::Equal && needle.plain {
            // Up to where they part nothing needs decoding; what stands there decides, unless it does.
            let wanted = needle.text.as_bytes();
            let parted = match (written.first(), wanted.first()) {
                (Some(a), Some(b)) if a != b => 0,
                _ if written == wanted => return Some(true),
                _ => written.iter().zip(wanted).position(|(a, b)| a != b).unwrap_or(wanted.len().min(written.len())),
            };
            return match written.get(parted) {
                Some(b'&' | b'\r') if !decoded => None,
                _ => Some(false),
            };
        }
        if !decoded && written.iter().fold(false, |any, &byte| any | (byte == b'&') | (byte == b'\r')) {
            return None;
        }
        Some(self.compare_attribute(test, written))
    }

    fn compare_attribute(&self, test: AttributeTest, value: &[u8]) -> bool {
        let needle = &self.plan.texts[test.text as usize];
        match test.how {
            How::Exists => true,
            How::Equal => value == needle.text.as_bytes(),
            How::NotEqual => value != needle.text.as_bytes(),
            How::StartsWith => value.starts_with(needle.text.as_bytes()),
            How::Contains => needle.find(value, 0).is_some(),
            How::Token(blanks) => {
                let length = needle.text.len();
                let free = |byte: Option<&u8>| byte.is_none_or(|&byte| blanks.has(byte));
                let mut from = 0;
                while let Some(start) = needle.find(value, from) {
                    if free(start.checked_sub(1).and_then(|before| value.get(before)))
                        && free(value.get(start + length))
                    {
                        return true;
                    }
                    from = start + 1;
                }
                false
            }
        }
    }
}

impl<'t> Tree<'t> {
    /// The attribute of a node that has this name.
    #[inline]
    pub(super) fn attr_named(self, node: NodeId, name: u32) -> Option<AttrId> {
        let attributes = self.attrs(node);
        let from = attributes.start;
        let slice = &self.arena.attrs[attributes.start as usize..attributes.end as usize];
        slice.iter().position(|attr| attr.name.0 == name).map(|at| AttrId(from + at as u32))
    }

    /// An attribute's value as it stands in the page, and whether it is final (no reference or CR in it is to be replaced).
    #[inline]
    fn attr_written(self, attribute: AttrId) -> (&'t [u8], bool) {
        let attr = &self.arena.attrs[attribute.0 as usize];
        if attr.a == NONE {
            return (self.arena.names.text(attr.name).as_bytes(), true);
        }
        let held: &'t str = if attr.a & FLAG_EXTRA != 0 { &self.arena.extra } else { self.source };
        (&held.as_bytes()[(attr.a & POSITION) as usize..(attr.b & POSITION) as usize], attr.b & FLAG_FINAL != 0)
    }
}
