//! Selectors: an XPath or CSS expression, compiled once, evaluated on any number of pages.
//!
//! Decides the public face: what a program is, what it finds, what bounds it. Results are those of parsel 1.12 over lxml 6.1
//! (`Selector(text=...).xpath(...).getall()`), in document order and unique. Knows no clock: what bounds a hostile
//! expression on a hostile page is a count of steps.

use std::borrow::Cow;
use std::sync::Arc;

pub use crate::serialize::serialize;
use crate::tree::{Kind, Tree};
use crate::xpath::ast::Type;
pub use crate::xpath::error::SelectorError;
pub use crate::xpath::hit::Hit;
pub use crate::xpath::parse::Constant;
use crate::xpath::plan::Plan;
pub use crate::xpath::run::string_value;
use crate::xpath::run::{Context, Run, Scratch};
use crate::xpath::{self, MISSING};

/// A compiled selector. Cheap to clone, shared between threads.
#[derive(Clone, Debug)]
pub struct Program {
    plan: Arc<Plan>,
}

impl Program {
    /// Compiles an XPath 1.0 expression. Also known: `has-class`, `re:test`, `re:match`, `re:replace`, `set:*`.
    ///
    /// # Errors
    /// Whatever can be wrong with an expression without a page: syntax, unknown functions and prefixes, types of arguments,
    /// `$names`, regular expressions that are constants.
    pub fn xpath(expr: &str) -> Result<Program, SelectorError> {
        Self::xpath_with(expr, &[])
    }

    /// Compiles an XPath expression in which `$name` stands for a value.
    ///
    /// # Errors
    /// As [`Program::xpath`], and a `$name` that is not among `variables`.
    pub fn xpath_with(expr: &str, variables: &[(&str, Constant)]) -> Result<Program, SelectorError> {
        Self::xpath_in(expr, variables, &[])
    }

    /// Compiles an XPath expression for XML pages: `namespaces` are prefixes with the URIs that they stand for.
    ///
    /// # Errors
    /// As [`Program::xpath_with`], and a prefix that is not among `namespaces`.
    pub fn xpath_in(
        expr: &str,
        variables: &[(&str, Constant)],
        namespaces: &[(&str, &str)],
    ) -> Result<Program, SelectorError> {
        let parsed = xpath::parse::parse(expr, variables, namespaces)?;
        Ok(Program { plan: Arc::new(xpath::compile::compile(&parsed)?) })
    }

    /// Compiles a CSS selector group, with `::text` and `::attr(name)`.
    ///
    /// # Errors
    /// What is wrong with the selector, with its offset.
    pub fn css(expr: &str) -> Result<Program, SelectorError> {
        let translated = crate::css::to_xpath(expr)?;
        let parsed = xpath::parse::parse(&translated, &[], &[]).map_err(|error| SelectorError {
            offset: 0,
            hint: Some(format!("it means the XPath {translated}")),
            ..error
        })?;
        Ok(Program { plan: Arc::new(xpath::compile::compile(&parsed)?) })
    }

    /// Whether the result is a set of nodes (else it is one string, number or boolean).
    pub fn selects_nodes(&self) -> bool {
        self.plan.kind == Type::Nodes
    }
}

/// What an expression gives.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// Nodes and attributes, in document order, each once.
    Nodes(Vec<Hit>),
    /// A string.
    String(Cow<'a, str>),
    /// A number.
    Number(f64),
    /// A boolean.
    Boolean(bool),
    /// What `re:match` found: strings of the text, which are in no tree.
    Matches(Vec<String>),
}

/// Bounds of one evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Nodes looked at, with the work of functions converted into nodes. 20 million take 0.06 to 0.5 s; an ordinary
    /// expression on a page of 1 MB takes under 100,000.
    pub steps_max: u64,
    /// Bytes of strings put together. Text of nested elements counts once a level.
    pub text_bytes_max: u64,
    /// Regular expressions kept that came from page text (constants are compiled with the program).
    pub patterns_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { steps_max: 20_000_000, text_bytes_max: 128 << 20, patterns_max: 64 }
    }
}

/// An evaluation that was ended by its limits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BudgetExceeded {
    /// Too many nodes were looked at.
    #[error("the selector looked at more than {max} nodes of the page: make it more specific")]
    Steps {
        /// `Limits::steps_max`.
        max: u64,
    },
    /// Too much text was put together.
    #[error("the selector put more than {max} bytes of text together: select smaller elements")]
    Text {
        /// `Limits::text_bytes_max`.
        max: u64,
    },
    /// A regular expression that is computed on the page cannot be compiled.
    #[error("a regular expression taken from the page is not usable: {why}")]
    Pattern {
        /// What is wrong with it.
        why: String,
    },
}

/// Evaluates programs; keeps its buffers from page to page. One a thread.
pub struct Evaluator {
    limits: Limits,
    names: Vec<u32>,
    scratch: Scratch,
}

impl Default for Evaluator {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

impl Evaluator {
    /// An evaluator with these limits for each evaluation.
    pub fn new(limits: Limits) -> Self {
        Evaluator { limits, names: Vec::new(), scratch: Scratch::default() }
    }

    /// Evaluates `program` with `context` as its context node: `Hit::root(tree)` does what parsel's `Selector` does.
    ///
    /// # Errors
    /// When a limit ended it.
    pub fn evaluate<'a>(
        &mut self,
        program: &Program,
        tree: Tree<'a>,
        context: Hit,
    ) -> Result<Value<'a>, BudgetExceeded> {
        self.run(program, tree, context, |run, root, context| match run.plan.kind {
            Type::Nodes => {
                let hits = run.nodes(root, context, usize::MAX);
                if hits.iter().any(|hit| hit.made_index().is_some()) {
                    return Value::Matches(hits.iter().map(|&hit| run.value(hit).into_owned()).collect());
                }
                Value::Nodes(hits)
            }
            Type::Text => Value::String(Cow::Owned(run.text(root, context).into_owned())),
            Type::Number => Value::Number(run.number(root, context)),
            Type::Boolean => Value::Boolean(run.truth(root, context)),
        })
    }

    /// Every result as a string the way parsel's `getall()` gives it, pushed to `out`.
    ///
    /// # Errors
    /// When a limit ended it; `out` is then as it was.
    pub fn strings<'a>(
        &mut self,
        program: &Program,
        tree: Tree<'a>,
        context: Hit,
        out: &mut Vec<Cow<'a, str>>,
    ) -> Result<(), BudgetExceeded> {
        let before = out.len();
        let result = self.run(program, tree, context, |run, root, context| match run.plan.kind {
            Type::Nodes => {
                let hits = run.nodes(root, context, usize::MAX);
                out.reserve(hits.len());
                for &hit in &hits {
                    if let Some(text) = shown(run, tree, hit) {
                        out.push(text);
                    }
                }
                run.give_hits(hits);
            }
            Type::Text => out.push(Cow::Owned(run.text(root, context).into_owned())),
            Type::Number => out.push(Cow::Owned(xpath::number::to_python(run.number(root, context)))),
            Type::Boolean => out.push(Cow::Borrowed(if run.truth(root, context) { "1" } else { "0" })),
        });
        if result.is_err() {
            out.truncate(before);
        }
        result
    }

    /// The nodes that `program` finds, pushed to `out`: scopes for relative programs. Nothing, when it gives no nodes.
    ///
    /// # Errors
    /// When a limit ended it; `out` is then as it was.
    pub fn nodes(
        &mut self,
        program: &Program,
        tree: Tree<'_>,
        context: Hit,
        out: &mut Vec<Hit>,
    ) -> Result<(), BudgetExceeded> {
        let before = out.len();
        let result = self.run(program, tree, context, |run, root, context| {
            if run.plan.kind == Type::Nodes {
                let hits = run.nodes(root, context, usize::MAX);
                out.extend(hits.iter().filter(|hit| hit.made_index().is_none()));
                run.give_hits(hits);
            }
        });
        if result.is_err() {
            out.truncate(before);
        }
        result
    }

    fn run<'e, 't: 'e, R>(
        &mut self,
        program: &'e Program,
        tree: Tree<'t>,
        context: Hit,
        body: impl FnOnce(&mut Run<'e, '_>, u32, Context) -> R,
    ) -> Result<R, BudgetExceeded> {
        self.names.clear();
        self.names.extend(
            program
                .plan
                .names
                .iter()
                .map(|name| name.id.unwrap_or_else(|| tree.find_name(&name.text).map_or(MISSING, |id| id.0))),
        );
        self.scratch.made.clear();
        self.scratch.siblings.clear();
        let mut run = Run {
            plan: &program.plan,
            tree,
            names: &self.names,
            scratch: &mut self.scratch,
            steps_left: i64::try_from(self.limits.steps_max).unwrap_or(i64::MAX),
            text_left: i64::try_from(self.limits.text_bytes_max).unwrap_or(i64::MAX),
            pattern_error: None,
            patterns_max: self.limits.patterns_max,
        };
        let result = body(&mut run, program.plan.root, Context::of(context));
        if let Some(why) = run.pattern_error {
            Err(BudgetExceeded::Pattern { why })
        } else if run.steps_left < 0 {
            Err(BudgetExceeded::Steps { max: self.limits.steps_max })
        } else if run.text_left < 0 {
            Err(BudgetExceeded::Text { max: self.limits.text_bytes_max })
        } else {
            Ok(result)
        }
    }
}

/// A namespace as lxml hands it to Python, prefix and address in a tuple; nothing when it is none.
pub(crate) fn namespace_pair<'t>(tree: Tree<'t>, hit: Hit) -> Option<Cow<'t, str>> {
    if hit.is_namespace() {
        return Some(Cow::Borrowed("('xml', 'http://www.w3.org/XML/1998/namespace')"));
    }
    let attribute = hit.attribute()?;
    let prefix = tree.declares(attribute)?;
    let value = tree.attr_value(attribute);
    Some(if prefix.is_empty() { format!("(None, '{value}')") } else { format!("('{prefix}', '{value}')") }.into())
}

/// One result as parsel shows it; the document node is none.
fn shown<'a>(run: &mut Run<'_, '_>, tree: Tree<'a>, hit: Hit) -> Option<Cow<'a, str>> {
    if let Some((_, is_text)) = hit.made_index() {
        let text = run.value(hit).into_owned();
        return Some(Cow::Owned(if is_text { text } else { crate::serialize::match_element(&text) }));
    }
    if let Some(pair) = namespace_pair(tree, hit) {
        return Some(pair);
    }
    if let Some(attribute) = hit.attribute() {
        return Some(tree.attr_value(attribute));
    }
    match tree.kind(hit.node()) {
        Kind::Text => Some(tree.text(hit.node())),
        Kind::Document => None,
        Kind::Element | Kind::Comment | Kind::Pi => {
            let mut html = String::new();
            run.steps_left -= i64::from(tree.end(hit.node()) - hit.node().0);
            if tree.is_xml() && !run.exhausted() {
                // The namespaces around it are gathered.
                run.steps_left -= tree.declarations(hit.node()).count() as i64;
            }
            if run.exhausted() {
                return None;
            }
            serialize(tree, hit, &mut html);
            run.text_left -= html.len() as i64;
            Some(Cow::Owned(html))
        }
    }
}
