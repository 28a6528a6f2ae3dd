//! The parsed form of an XPath expression, before names are numbered and paths are fused (`compile`).

use super::functions::Function;

/// The thirteen axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Axis {
    Ancestor,
    AncestorOrSelf,
    Attribute,
    Child,
    Descendant,
    DescendantOrSelf,
    Following,
    FollowingSibling,
    Namespace,
    Parent,
    Preceding,
    PrecedingSibling,
    Itself,
}

impl Axis {
    pub(crate) const NAMES: [(&'static str, Axis); 13] = [
        ("ancestor", Axis::Ancestor),
        ("ancestor-or-self", Axis::AncestorOrSelf),
        ("attribute", Axis::Attribute),
        ("child", Axis::Child),
        ("descendant", Axis::Descendant),
        ("descendant-or-self", Axis::DescendantOrSelf),
        ("following", Axis::Following),
        ("following-sibling", Axis::FollowingSibling),
        ("namespace", Axis::Namespace),
        ("parent", Axis::Parent),
        ("preceding", Axis::Preceding),
        ("preceding-sibling", Axis::PrecedingSibling),
        ("self", Axis::Itself),
    ];

    pub(crate) fn named(name: &str) -> Option<Axis> {
        Self::NAMES.iter().find(|(n, _)| *n == name).map(|&(_, axis)| axis)
    }

    /// Whether positions count backwards in document order.
    pub(crate) fn is_reverse(self) -> bool {
        matches!(self, Axis::Ancestor | Axis::AncestorOrSelf | Axis::Preceding | Axis::PrecedingSibling)
    }
}

/// A node test.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Test {
    /// `name`
    Name(String),
    /// `*`
    Any,
    /// `node()`
    Node,
    /// `text()`
    Text,
    /// `comment()`
    Comment,
    /// `processing-instruction()`
    Pi,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Step {
    pub axis: Axis,
    pub test: Test,
    pub predicates: Vec<Expr>,
}

impl Step {
    pub(crate) fn descendant_or_self() -> Step {
        Step { axis: Axis::DescendantOrSelf, test: Test::Node, predicates: Vec::new() }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Start {
    /// A relative path.
    Context,
    /// A path that begins with `/`.
    Root,
    /// `(expr)[predicate]...` and the path behind it.
    Filter(Box<Expr>, Vec<Expr>),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Path {
    pub start: Start,
    pub steps: Vec<Step>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    /// The comparison with its sides exchanged.
    pub(crate) fn mirrored(self) -> Self {
        match self {
            Self::Less => Self::Greater,
            Self::LessOrEqual => Self::GreaterOrEqual,
            Self::Greater => Self::Less,
            Self::GreaterOrEqual => Self::LessOrEqual,
            same => same,
        }
    }

    pub(crate) fn numbers(self, a: f64, b: f64) -> bool {
        match self {
            Self::Equal => a == b,
            Self::NotEqual => a != b,
            Self::Less => a < b,
            Self::LessOrEqual => a <= b,
            Self::Greater => a > b,
            Self::GreaterOrEqual => a >= b,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Expr {
    Number(f64),
    Text(String),
    Boolean(bool),
    Path(Path),
    Or(Vec<Expr>),
    And(Vec<Expr>),
    Union(Vec<Expr>),
    Compare(Comparison, Box<Expr>, Box<Expr>),
    Arithmetic(Arithmetic, Box<Expr>, Box<Expr>),
    Negate(Box<Expr>),
    /// A call, with the offset of its name for messages of later stages.
    Call(Function, Vec<Expr>, usize),
}

/// XPath 1.0 is statically typed once variables are bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    Nodes,
    Text,
    Number,
    Boolean,
}

impl Expr {
    pub(crate) fn kind(&self) -> Type {
        match self {
            Expr::Number(_) | Expr::Arithmetic(..) | Expr::Negate(_) => Type::Number,
            Expr::Text(_) => Type::Text,
            Expr::Boolean(_) | Expr::Or(_) | Expr::And(_) | Expr::Compare(..) => Type::Boolean,
            Expr::Path(_) | Expr::Union(_) => Type::Nodes,
            Expr::Call(function, ..) => function.result(),
        }
    }
}
