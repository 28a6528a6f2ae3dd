//! XPath 1.0 over the arena tree, as lxml's XPath over libxml2's tree answers it.
//!
//! `parse` reads an expression into `ast`, `compile` (with `simplify`) makes a flat `plan` of it, `run` and its neighbours
//! evaluate the plan on a page. Knows the tree only through its accessors. Invariants: results are in document order and
//! unique; no recursion on the depth of a page; every look at a node is paid from a budget.

pub(crate) mod ast;
mod attribute;
mod call;
mod compare;
pub(crate) mod compile;
mod cursor;
pub(crate) mod error;
mod functions;
pub(crate) mod hit;
pub(crate) mod number;
pub(crate) mod parse;
mod path;
pub(crate) mod pattern;
pub(crate) mod plan;
pub(crate) mod run;
mod sets;
mod siblings;
mod simplify;
mod strings;

pub(crate) use cursor::MISSING;
