//! The compiled form: flat tables that refer to each other by index. What can be known about an expression without a page
//! is in here (fused steps, kinds of predicates, finders, regexes), so that evaluating only looks at nodes.

use std::ops::Range;

use memchr::memmem::Finder;

use super::ast::{Arithmetic, Axis, Comparison, Type};
use super::functions::Function;
use super::pattern::{Pattern, Template};

/// Index into `Plan::ops`.
pub(crate) type OpId = u32;
/// Index into `Plan::names`, and into what those names resolve to on a page.
pub(crate) type NameSlot = u32;
/// Index into `Plan::texts`.
pub(crate) type TextId = u32;

/// A run of entries in one of the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub from: u32,
    pub to: u32,
}

impl Run {
    pub(crate) fn range(self) -> Range<usize> {
        self.from as usize..self.to as usize
    }

    pub(crate) fn is_empty(self) -> bool {
        self.from == self.to
    }
}

/// A compiled expression.
#[derive(Debug)]
pub(crate) struct Plan {
    pub ops: Vec<Op>,
    pub paths: Vec<PathPlan>,
    pub steps: Vec<StepPlan>,
    pub predicates: Vec<Predicate>,
    /// Operands of calls, unions and connectives.
    pub operands: Vec<OpId>,
    pub names: Vec<Name>,
    pub texts: Vec<Needle>,
    pub patterns: Vec<Pattern>,
    pub templates: Vec<Template>,
    pub root: OpId,
    pub kind: Type,
}

/// A name, and its id if every page numbers it alike (the names that the table of names begins with).
#[derive(Debug)]
pub(crate) struct Name {
    pub text: Box<str>,
    pub id: Option<u32>,
}

/// A string constant and what finds it.
#[derive(Debug)]
pub(crate) struct Needle {
    pub text: Box<str>,
    pub finder: Finder<'static>,
    /// Neither `&` nor CR is in it: then it can be compared with undecoded text.
    pub plain: bool,
}

impl Needle {
    pub(crate) fn new(text: &str) -> Needle {
        let plain = !text.bytes().any(|byte| matches!(byte, b'&' | b'\r'));
        Needle { text: text.into(), finder: Finder::new(text).into_owned(), plain }
    }

    /// Where it stands in `hay` at `from` or later. Attributes are short: setting up the finder would cost more than looking.
    #[inline]
    pub(crate) fn find(&self, hay: &[u8], from: usize) -> Option<usize> {
        let needle = self.text.as_bytes();
        let Some((&first, rest)) = needle.split_first() else { return Some(from) };
        if hay.len() > 96 {
            return self.finder.find(hay.get(from..)?).map(|at| from + at);
        }
        let last = hay.len().checked_sub(needle.len())?;
        (from..=last).find(|&at| hay[at] == first && &hay[at + 1..at + needle.len()] == rest)
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Op {
    Number(f64),
    Text(TextId),
    Boolean(bool),
    Path(u32),
    Or(Run),
    And(Run),
    Union(Run),
    Compare(Comparison, OpId, OpId, Sides),
    Arithmetic(Arithmetic, OpId, OpId),
    Negate(OpId),
    /// A question about one attribute of the context node, answered from the page's bytes.
    Attribute(AttributeTest),
    Call(Function, Run),
    /// `re:*` whose pattern is a constant.
    Pattern(Function, Run, u32),
    /// `re:replace` whose pattern and replacement are constants.
    Replace(OpId, u32, u32),
}

/// The static types of the two sides of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sides(pub Type, pub Type);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AttributeTest {
    pub name: NameSlot,
    pub how: How,
    pub text: TextId,
}

/// How an attribute is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    Exists,
    Equal,
    NotEqual,
    Contains,
    StartsWith,
    /// One of its tokens, cut at these characters.
    Token(Blanks),
}

/// What separates tokens of an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blanks {
    /// The space alone.
    Space,
    /// XPath's white space: space, tab, LF, CR.
    XPath,
    /// HTML's: form feed as well.
    Html,
}

impl Blanks {
    pub(crate) fn has(self, byte: u8) -> bool {
        match self {
            Blanks::Space => byte == b' ',
            Blanks::XPath => matches!(byte, b' ' | b'\t' | b'\n' | b'\r'),
            Blanks::Html => matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0C),
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct PathPlan {
    pub start: StartPlan,
    pub steps: Run,
    /// At most one step fans out, so walking it depth first visits nothing twice.
    pub streams: bool,
    /// Walked depth first from one node it gives nodes in document order.
    pub in_order: bool,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum StartPlan {
    Context,
    Root,
    /// Nodes of an expression, with predicates that count over all of them.
    Filter(OpId, Run),
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct StepPlan {
    pub walk: Walk,
    pub test: TestPlan,
    pub predicates: Run,
    /// A predicate depends on the position.
    pub positional: bool,
    /// A predicate depends on how many nodes there are.
    pub sized: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Walk {
    Along(Axis),
    /// `//x[n]`: descendants, counted among the children of their own parent.
    ChildrenBelow,
    /// `//@x`: attributes of the node and of its descendants.
    AttributesBelow,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TestPlan {
    Name(NameSlot),
    Any,
    Node,
    Text,
    Comment,
    Pi,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Predicate {
    /// `[n]`
    Index(u32),
    /// `[position() <= n]`
    Upto(u32),
    /// `[last()]`
    Last,
    /// About the node alone.
    Test(OpId),
    /// `Test` of an attribute, without the detour.
    Attribute(AttributeTest),
    /// A boolean that depends on position or size.
    Positional(OpId),
    /// A number that is compared with the position.
    Number(OpId),
}
