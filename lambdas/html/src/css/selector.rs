//! What a parsed selector is.

use super::token::Token;

/// One of the selectors between commas.
#[derive(Debug)]
pub(super) struct Selector {
    pub complex: Complex,
    pub pseudo_element: Option<PseudoElement>,
}

#[derive(Debug)]
pub(super) struct PseudoElement {
    pub name: String,
    pub arguments: Option<Vec<Token>>,
    pub at: usize,
}

/// Compounds and the combinators between them.
#[derive(Debug)]
pub(super) struct Complex {
    pub first: Compound,
    pub rest: Vec<(char, Compound)>,
}

/// An element and its conditions, in the order of the text.
#[derive(Debug, Default)]
pub(super) struct Compound {
    pub namespace: Option<String>,
    pub element: Option<String>,
    pub conditions: Vec<Condition>,
}

#[derive(Debug)]
pub(super) enum Condition {
    Hash(String),
    Class(String),
    Attribute(Attribute),
    Pseudo {
        name: String,
        at: usize,
    },
    Function {
        name: String,
        arguments: Vec<Token>,
        at: usize,
    },
    Not(Complex),
    /// `:is()`, `:where()`, `:matches()`
    Is(Vec<Compound>),
    Has(Vec<(char, Complex)>),
}

#[derive(Debug)]
pub(super) struct Attribute {
    pub namespace: Option<String>,
    pub name: String,
    /// Operator and value, unless it need only exist.
    pub compared: Option<(String, String)>,
    pub ignore_case: bool,
}
