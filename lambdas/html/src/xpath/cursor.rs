//! The axes: a cursor stands at a node and moves along one, giving what passes a node test. No recursion, no allocation;
//! every node looked at is paid from the budget, and a cursor whose budget is spent has reached its end.

use std::collections::HashSet;

use super::ast::Axis;
use super::hit::Hit;
use super::plan::{Name, TestPlan, Walk};
use crate::tree::{AttrId, Kind, NameId, NodeId, Tree};

/// What a name or kind must be on this page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Match {
    /// This name, or this kind by its pseudo-name.
    Id(u32),
    /// Any element.
    Element,
    /// Anything.
    Any,
    /// The namespace node of the prefix `xml`.
    XmlPrefix,
    /// Nothing on this page.
    Never,
}

/// The id of a name that a page does not have.
pub(crate) const MISSING: u32 = u32::MAX;

impl Match {
    /// A test along an axis; `names` are the plan's names as this page numbers them.
    pub(crate) fn new(walk: Walk, test: TestPlan, names: &[u32], known: &[Name]) -> Match {
        match (walk, test) {
            (_, TestPlan::Node) => Match::Any,
            (Walk::Along(Axis::Namespace), TestPlan::Name(slot)) if &*known[slot as usize].text == "xml" => {
                Match::XmlPrefix
            }
            (Walk::Along(Axis::Namespace | Axis::Attribute) | Walk::AttributesBelow, TestPlan::Any) => Match::Any,
            (Walk::Along(Axis::Namespace), _) => Match::Never,
            (_, TestPlan::Name(slot)) => match names[slot as usize] {
                MISSING => Match::Never,
                id => Match::Id(id),
            },
            (Walk::Along(Axis::Attribute) | Walk::AttributesBelow, _) => Match::Never,
            (_, TestPlan::Any) => Match::Element,
            (_, TestPlan::Text) => Match::Id(NameId::TEXT.0),
            (_, TestPlan::Comment) => Match::Id(NameId::COMMENT.0),
            (_, TestPlan::Pi) => Match::Id(NameId::PI.0),
        }
    }

    #[inline]
    pub(crate) fn takes(self, name: NameId) -> bool {
        match self {
            Match::Id(id) => name.0 == id,
            Match::Element => name.0 >= NameId::FIRST_REAL,
            Match::Any => true,
            Match::XmlPrefix | Match::Never => false,
        }
    }
}

/// A place on an axis.
#[derive(Clone, Debug)]
pub(crate) enum Cursor {
    End,
    /// Exactly this, then the end.
    One(Hit),
    /// Namespaces of an XML element.
    List(std::vec::IntoIter<Hit>),
    /// Nodes `at..end`.
    Forward {
        at: u32,
        end: u32,
    },
    /// Nodes below `at`, without the ancestors.
    Backward {
        at: u32,
        ancestor: Option<NodeId>,
    },
    Next(Option<NodeId>),
    Prev(Option<NodeId>),
    /// The namespaces of an element of an XML page, not yet gathered.
    Namespaces(NodeId),
    Up(Option<NodeId>),
    /// A hit that is no node, then its element and upwards.
    SelfThenUp(Hit),
    Attributes {
        node: NodeId,
        at: u32,
        end: u32,
    },
    AttributesBelow {
        node: NodeId,
        end: u32,
        at: u32,
        attributes_end: u32,
    },
}

impl Cursor {
    pub(crate) fn new(tree: Tree<'_>, walk: Walk, hit: Hit) -> Cursor {
        if hit.made_index().is_some() {
            return made(walk, hit);
        }
        let node = hit.node();
        if !hit.is_node() {
            return beside(tree, walk, hit);
        }
        match walk {
            Walk::Along(Axis::Child) => Cursor::Next(tree.first_child(node)),
            Walk::Along(Axis::Descendant) | Walk::ChildrenBelow => {
                Cursor::Forward { at: node.0 + 1, end: tree.end(node) }
            }
            Walk::Along(Axis::DescendantOrSelf) => Cursor::Forward { at: node.0, end: tree.end(node) },
            Walk::Along(Axis::Attribute) => {
                let attributes = tree.attrs(node);
                Cursor::Attributes { node, at: attributes.start, end: attributes.end }
            }
            Walk::AttributesBelow => {
                let attributes = tree.attrs(node);
                Cursor::AttributesBelow {
                    node,
                    end: tree.end(node),
                    at: attributes.start,
                    attributes_end: attributes.end,
                }
            }
            Walk::Along(Axis::Itself) => Cursor::One(hit),
            Walk::Along(Axis::Parent) => tree.parent(node).map_or(Cursor::End, |parent| Cursor::One(Hit::of(parent))),
            Walk::Along(Axis::Ancestor) => Cursor::Up(tree.parent(node)),
            Walk::Along(Axis::AncestorOrSelf) => Cursor::Up(Some(node)),
            Walk::Along(Axis::Following) => Cursor::Forward { at: tree.end(node), end: tree.len() },
            Walk::Along(Axis::FollowingSibling) => Cursor::Next(tree.next(node)),
            Walk::Along(Axis::Preceding) => Cursor::Backward { at: node.0, ancestor: tree.parent(node) },
            Walk::Along(Axis::PrecedingSibling) => Cursor::Prev(tree.prev(node)),
            Walk::Along(Axis::Namespace) => match tree.kind(node) {
                Kind::Element if tree.is_xml() => Cursor::Namespaces(node),
                Kind::Element => Cursor::One(Hit::of_namespace(node)),
                _ => Cursor::End,
            },
        }
    }

    /// The next node along the axis that `test` takes.
    #[inline]
    pub(crate) fn next(&mut self, tree: Tree<'_>, test: Match, steps_left: &mut i64) -> Option<Hit> {
        if *steps_left < 0 || test == Match::Never {
            return None;
        }
        let names = tree.name_ids();
        if let Cursor::Namespaces(node) = *self {
            // Those that an inner one hides are paid for, too.
            *steps_left -= tree.declarations(node).count() as i64;
            *self = Cursor::List(namespaces(tree, node).into_iter());
        }
        match self {
            Cursor::End | Cursor::Namespaces(_) => None,
            Cursor::One(hit) => {
                let hit = *hit;
                *self = Cursor::End;
                *steps_left -= 1;
                takes_hit(names, test, hit).then_some(hit)
            }
            Cursor::List(hits) => hits.find(|&hit| {
                *steps_left -= 1;
                takes_hit(names, test, hit)
            }),
            Cursor::Forward { at, end } => {
                let from = *at as usize;
                let window = names.get(from..*end as usize)?;
                let found = match test {
                    Match::Any => (!window.is_empty()).then_some(0),
                    Match::Element => window.iter().position(|name| name.0 >= NameId::FIRST_REAL),
                    Match::Id(id) => find_id(window, id),
                    Match::XmlPrefix | Match::Never => None,
                };
                let looked_at = found.map_or(window.len(), |offset| offset + 1);
                *steps_left -= 1 + (looked_at as i64 >> 3);
                *at = (from + looked_at) as u32;
                found.map(|offset| Hit::of(NodeId((from + offset) as u32)))
            }
            Cursor::Backward { at, ancestor } => {
                while *at > 0 {
                    *at -= 1;
                    *steps_left -= 1;
                    let node = NodeId(*at);
                    if *ancestor == Some(node) {
                        *ancestor = tree.parent(node);
                    } else if test.takes(names[node.0 as usize]) {
                        return Some(Hit::of(node));
                    }
                    if *steps_left < 0 {
                        return None;
                    }
                }
                None
            }
            Cursor::Next(place) => chain(place, |node| tree.next(node), names, test, steps_left),
            Cursor::Prev(place) => chain(place, |node| tree.prev(node), names, test, steps_left),
            Cursor::Up(place) => chain(place, |node| tree.parent(node), names, test, steps_left),
            Cursor::SelfThenUp(hit) => {
                let hit = *hit;
                *self = Cursor::Up(Some(hit.node()));
                if test == Match::Any { Some(hit) } else { self.next(tree, test, steps_left) }
            }
            Cursor::Attributes { node, at, end } => {
                while at < end {
                    let attribute = AttrId(*at);
                    *at += 1;
                    *steps_left -= 1;
                    if test.takes(tree.attr_name_id(attribute)) && tree.declares(attribute).is_none() {
                        return Some(Hit::of_attribute(*node, attribute));
                    }
                }
                None
            }
            Cursor::AttributesBelow { node, end, at, attributes_end } => loop {
                while at < attributes_end {
                    let attribute = AttrId(*at);
                    *at += 1;
                    if test.takes(tree.attr_name_id(attribute)) && tree.declares(attribute).is_none() {
                        *steps_left -= 1;
                        return Some(Hit::of_attribute(*node, attribute));
                    }
                }
                *steps_left -= 1;
                node.0 += 1;
                if node.0 >= *end || *steps_left < 0 {
                    node.0 = (*end).max(1) - 1;
                    *at = *attributes_end;
                    return None;
                }
                if names[node.0 as usize].0 >= NameId::FIRST_REAL {
                    let attributes = tree.attrs(*node);
                    (*at, *attributes_end) = (attributes.start, attributes.end);
                }
            },
        }
    }
}

/// The place of `id` in a stretch of the column of names: eight at a time, so that the compiler may compare them at once.
#[inline]
pub(crate) fn find_id(window: &[NameId], id: u32) -> Option<usize> {
    // Text stands beside every other node: look at the nearest first.
    let near = window.len().min(4);
    if let Some(at) = window[..near].iter().position(|name| name.0 == id) {
        return Some(at);
    }
    let mut chunks = window[near..].chunks_exact(8);
    let mut offset = near;
    for chunk in &mut chunks {
        let mut any = false;
        for name in chunk {
            any |= name.0 == id;
        }
        if any {
            return chunk.iter().position(|name| name.0 == id).map(|at| offset + at);
        }
        offset += 8;
    }
    chunks.remainder().iter().position(|name| name.0 == id).map(|at| offset + at)
}

#[inline]
fn chain(
    place: &mut Option<NodeId>,
    onward: impl Fn(NodeId) -> Option<NodeId>,
    names: &[NameId],
    test: Match,
    steps_left: &mut i64,
) -> Option<Hit> {
    while let Some(node) = *place {
        *place = onward(node);
        *steps_left -= 1;
        if test.takes(names[node.0 as usize]) {
            return Some(Hit::of(node));
        }
        if *steps_left < 0 {
            return None;
        }
    }
    None
}

fn takes_hit(names: &[NameId], test: Match, hit: Hit) -> bool {
    if hit.made_index().is_some_and(|(_, text)| !text) {
        return matches!(test, Match::Any | Match::Element);
    }
    if hit.made_index().is_some() {
        return matches!(test, Match::Any) || test == Match::Id(NameId::TEXT.0);
    }
    if test == Match::XmlPrefix {
        return hit.is_namespace();
    }
    // An attribute or namespace is nothing that a name or `*` takes, except along its own axis (there `Any`).
    if hit.is_node() { test.takes(names[hit.node().0 as usize]) } else { test == Match::Any }
}

/// The namespaces in scope at an element: XML's own, then the declarations that no inner one hides.
fn namespaces(tree: Tree<'_>, node: NodeId) -> Vec<Hit> {
    let mut hits = vec![Hit::of_namespace(node)];
    let mut prefixes = HashSet::new();
    for attribute in tree.declarations(node) {
        if prefixes.insert(tree.attr_name_id(attribute)) {
            hits.push(Hit::of_attribute(node, attribute));
        }
    }
    hits
}

/// Axes from an attribute or namespace node. As libxml2 has it, what follows an attribute follows its element.
fn beside(tree: Tree<'_>, walk: Walk, hit: Hit) -> Cursor {
    let owner = hit.node();
    match walk {
        Walk::Along(Axis::Itself | Axis::DescendantOrSelf) => Cursor::One(hit),
        Walk::Along(Axis::Parent) => Cursor::One(Hit::of(owner)),
        Walk::Along(Axis::Ancestor) => Cursor::Up(Some(owner)),
        Walk::Along(Axis::AncestorOrSelf) => Cursor::SelfThenUp(hit),
        Walk::Along(Axis::Following) if !hit.is_namespace() => Cursor::Forward { at: tree.end(owner), end: tree.len() },
        Walk::Along(Axis::Preceding) if !hit.is_namespace() => {
            Cursor::Backward { at: owner.0, ancestor: tree.parent(owner) }
        }
        _ => Cursor::End,
    }
}

/// Axes from a result of `re:match`: an element `match` with one text, and no page around it.
fn made(walk: Walk, hit: Hit) -> Cursor {
    let is_text = hit.made_index().is_some_and(|(_, text)| text);
    match walk {
        Walk::Along(Axis::Itself | Axis::DescendantOrSelf | Axis::AncestorOrSelf) => Cursor::One(hit),
        Walk::Along(Axis::Child | Axis::Descendant) if !is_text => Cursor::One(hit.made_text()),
        _ => Cursor::End,
    }
}
