//! The extraction engine: a page becomes an arena tree by lxml's rules (or html5ever's), and XPath 1.0 and CSS are evaluated
//! over it. Pure: no clock, no I/O. See `tree` for the layout, `parse` for the rules, `xpath` and `css` for the language.

mod css;
mod html5;
mod names;
pub mod parse;
pub mod select;
mod serialize;
pub mod tree;
mod xml;
mod xpath;

pub use parse::{Limits, ParseError, Parser};
pub use tree::{AttrId, Kind, NameId, NodeId, Tree};
