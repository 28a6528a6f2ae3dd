//! Selectors: the one module that knows the HTML engine's programs.
//!
//! Decides that a selector is compiled once, when the spider is loaded, and that a page over the evaluator's budget is
//! unreadable rather than half read.

use crate::error::Unreadable;
use crate::load::doc::{Complaint, Doc};
use std::borrow::Cow;
use std::ops::Range;
use weir_html::select::{Evaluator, Hit, Program};
use weir_html::tree::Tree;

/// A compiled XPath expression or CSS selector.
pub(crate) struct Selector {
    program: Program,
}

/// The language of a selector.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    XPath,
    Css,
}

/// Longest selector that is accepted.
const SELECTOR_BYTES_MAX: usize = 4_000;

impl Selector {
    /// Compiles a selector, or complains at the place of the mistake.
    pub fn compile(doc: &Doc<'_>, language: Language, text: &str, span: &Range<usize>) -> Option<Selector> {
        let name = if language == Language::XPath { "an XPath expression" } else { "a CSS selector" };
        if text.len() > SELECTOR_BYTES_MAX {
            let complaint = Complaint::new(format!("{name} has at most {SELECTOR_BYTES_MAX} bytes"));
            doc.complain(span.clone(), complaint);
            return None;
        }
        let compiled = match language {
            Language::XPath => Program::xpath(text),
            Language::Css => Program::css(text),
        };
        match compiled {
            Ok(program) => Some(Selector { program }),
            Err(error) => {
                let mut complaint = Complaint::new(format!("not {name}: {}", error.message)).maybe_hint(error.hint);
                if let Some(expected) = error.expected {
                    complaint = complaint.expected(expected);
                }
                doc.complain(doc.within(span, text, error.offset), complaint);
                None
            }
        }
    }

    /// Whether the result is a set of nodes, not one text.
    pub fn selects_nodes(&self) -> bool {
        self.program.selects_nodes()
    }

    /// Appends the texts that the selector finds from `context`, as parsel's `getall()` gives them.
    pub fn strings<'p>(
        &self,
        evaluator: &mut Evaluator,
        tree: Tree<'p>,
        context: Hit,
        out: &mut Vec<Cow<'p, str>>,
    ) -> Result<(), Unreadable> {
        evaluator.strings(&self.program, tree, context, out).map_err(|error| Unreadable::new(error.to_string()))
    }

    /// Appends the nodes that the selector finds from `context`; nothing when its result is no node-set.
    pub fn nodes(
        &self,
        evaluator: &mut Evaluator,
        tree: Tree<'_>,
        context: Hit,
        out: &mut Vec<Hit>,
    ) -> Result<(), Unreadable> {
        evaluator.nodes(&self.program, tree, context, out).map_err(|error| Unreadable::new(error.to_string()))
    }
}

/// Character references decoded, as in a page's text.
pub(crate) fn decode_entities(value: Cow<'_, str>) -> Cow<'_, str> {
    if !value.contains('&') {
        return value;
    }
    // The engine decodes texts of pages: a page with nothing but this text, in which no tag can begin.
    let page = format!("<p>{}", value.replace('<', "&lt;"));
    let mut parser = weir_html::Parser::new(weir_html::Limits::default());
    let Ok(tree) = parser.parse(&page) else { return value };
    let mut out = String::with_capacity(value.len());
    for node in (0..tree.len()).map(weir_html::NodeId) {
        if tree.kind(node) == weir_html::Kind::Text {
            out.push_str(&tree.text(node));
        }
    }
    Cow::Owned(out)
}
