//! One evaluation: the plan, the page, what is left of the budget, and the conversions between the four types.
//!
//! Nothing here fails half-way: when the budget is spent, cursors end and strings are empty, so everything unwinds at once,
//! and `Run::exceeded` is asked at the end.

use std::borrow::Cow;
use std::collections::HashMap;

use super::ast::{Arithmetic, Type};
use super::hit::Hit;
use super::pattern::Pattern;
use super::plan::{Op, OpId, Plan, StartPlan};
use super::siblings::Counted;
use super::{compare, number};
use crate::tree::{NameId, NodeId, Tree};

/// Buffers that live from page to page.
#[derive(Default)]
pub(crate) struct Scratch {
    pub hits: Vec<Vec<Hit>>,
    pub strings: Vec<String>,
    /// Counters by parent, with the generation that wrote them.
    pub counts: Vec<Counts>,
    /// Siblings counted in this evaluation, by path and parent.
    pub siblings: HashMap<(u32, u32), Counted>,
    /// Results of `re:match` in this evaluation.
    pub made: Vec<String>,
    /// Patterns that a page's text became, by flags and source.
    pub patterns: HashMap<(String, String), Result<Pattern, String>>,
}

/// A counter for every node, cleared by taking the next generation.
#[derive(Default)]
pub(crate) struct Counts {
    pub generation: u32,
    pub of: Vec<(u32, u32)>,
}

/// The context of an expression.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context {
    pub hit: Hit,
    pub position: u32,
    pub size: u32,
}

impl Context {
    pub(crate) fn of(hit: Hit) -> Context {
        Context { hit, position: 1, size: 1 }
    }
}

pub(crate) struct Run<'e, 's> {
    pub plan: &'e Plan,
    pub tree: Tree<'e>,
    pub names: &'s [u32],
    pub scratch: &'s mut Scratch,
    pub steps_left: i64,
    pub text_left: i64,
    pub pattern_error: Option<String>,
    pub patterns_max: usize,
}

impl<'e> Run<'e, '_> {
    pub(crate) fn exhausted(&self) -> bool {
        self.steps_left < 0 || self.text_left < 0 || self.pattern_error.is_some()
    }

    pub(crate) fn take_hits(&mut self) -> Vec<Hit> {
        self.scratch.hits.pop().unwrap_or_default()
    }

    pub(crate) fn give_hits(&mut self, mut hits: Vec<Hit>) {
        hits.clear();
        self.scratch.hits.push(hits);
    }

    pub(crate) fn take_string(&mut self) -> String {
        self.scratch.strings.pop().unwrap_or_default()
    }

    /// Takes the buffer of a string that is no longer needed.
    pub(crate) fn recycle(&mut self, text: Cow<'_, str>) {
        if let Cow::Owned(mut text) = text
            && self.scratch.strings.len() < 8
        {
            text.clear();
            self.scratch.strings.push(text);
        }
    }

    pub(crate) fn op(&self, id: OpId) -> Op {
        self.plan.ops[id as usize]
    }

    /// The truth of any expression.
    pub(crate) fn truth(&mut self, id: OpId, context: Context) -> bool {
        match self.op(id) {
            Op::Boolean(value) => value,
            Op::Attribute(test) => self.attribute_holds(test, context.hit),
            Op::Number(value) => value != 0.0 && !value.is_nan(),
            Op::Text(text) => !self.plan.texts[text as usize].text.is_empty(),
            Op::Or(any) => any.range().any(|at| self.truth(self.plan.operands[at], context)),
            Op::And(all) => all.range().all(|at| self.truth(self.plan.operands[at], context)),
            Op::Union(parts) => parts.range().any(|at| self.truth(self.plan.operands[at], context)),
            Op::Compare(comparison, left, right, sides) => {
                compare::holds(self, comparison, left, right, sides, context)
            }
            Op::Path(path) => {
                let plan = self.plan;
                self.any(&plan.paths[path as usize], context, &mut super::path::Goal::Exists)
            }
            Op::Arithmetic(..) | Op::Negate(_) => {
                let value = self.number(id, context);
                value != 0.0 && !value.is_nan()
            }
            Op::Call(function, _) => match function.result() {
                Type::Boolean => self.call_truth(id, context),
                Type::Number => {
                    let value = self.number(id, context);
                    value != 0.0 && !value.is_nan()
                }
                Type::Text => {
                    let text = self.text(id, context);
                    let truth = !text.is_empty();
                    self.recycle(text);
                    truth
                }
                Type::Nodes => {
                    let nodes = self.nodes(id, context, usize::MAX);
                    let truth = !nodes.is_empty();
                    self.give_hits(nodes);
                    truth
                }
            },
            Op::Pattern(..) => self.call_truth(id, context),
            Op::Replace(..) => !self.text(id, context).is_empty(),
        }
    }

    /// Any expression as a number.
    pub(crate) fn number(&mut self, id: OpId, context: Context) -> f64 {
        match self.op(id) {
            Op::Number(value) => value,
            Op::Negate(inner) => -self.number(inner, context),
            Op::Arithmetic(operation, left, right) => {
                let (a, b) = (self.number(left, context), self.number(right, context));
                match operation {
                    Arithmetic::Add => a + b,
                    Arithmetic::Subtract => a - b,
                    Arithmetic::Multiply => a * b,
                    Arithmetic::Divide => a / b,
                    Arithmetic::Modulo => a % b,
                }
            }
            Op::Call(function, _) if function.result() == Type::Number => self.call_number(id, context),
            _ if self.kind(id) == Type::Boolean => f64::from(u8::from(self.truth(id, context))),
            _ => {
                let text = self.text(id, context);
                let value = number::from_text(&text);
                self.recycle(text);
                value
            }
        }
    }

    /// Any expression as a string.
    pub(crate) fn text(&mut self, id: OpId, context: Context) -> Cow<'e, str> {
        match self.op(id) {
            Op::Text(text) => Cow::Borrowed(&self.plan.texts[text as usize].text),
            Op::Number(value) => Cow::Owned(number::to_text(value)),
            Op::Arithmetic(..) | Op::Negate(_) => Cow::Owned(number::to_text(self.number(id, context))),
            Op::Replace(..) => self.call_text(id, context),
            _ => match self.kind(id) {
                Type::Text => self.call_text(id, context),
                Type::Number => Cow::Owned(number::to_text(self.number(id, context))),
                Type::Boolean => Cow::Borrowed(if self.truth(id, context) { "true" } else { "false" }),
                Type::Nodes => match self.first(id, context) {
                    Some(hit) => self.value(hit),
                    None => Cow::Borrowed(""),
                },
            },
        }
    }

    pub(crate) fn kind(&self, id: OpId) -> Type {
        match self.op(id) {
            Op::Number(_) | Op::Arithmetic(..) | Op::Negate(_) => Type::Number,
            Op::Text(_) | Op::Replace(..) => Type::Text,
            Op::Boolean(_) | Op::Or(_) | Op::And(_) | Op::Compare(..) | Op::Attribute(_) => Type::Boolean,
            Op::Path(_) | Op::Union(_) => Type::Nodes,
            Op::Call(function, _) | Op::Pattern(function, ..) => function.result(),
        }
    }

    /// The nodes of an expression of that type, in document order; with `limit`, perhaps only the first so many.
    pub(crate) fn nodes(&mut self, id: OpId, context: Context, limit: usize) -> Vec<Hit> {
        let plan = self.plan;
        match self.op(id) {
            Op::Path(path) => self.path(&plan.paths[path as usize], context, limit),
            Op::Union(parts) => {
                let mut all = self.take_hits();
                for at in parts.range() {
                    let some = self.nodes(plan.operands[at], context, usize::MAX);
                    all.extend_from_slice(&some);
                    self.give_hits(some);
                }
                in_document_order(&mut all);
                all
            }
            Op::Call(..) | Op::Pattern(..) => self.call_nodes(id, context),
            // Types were checked when the expression was parsed.
            _ => self.take_hits(),
        }
    }

    /// The first node in document order.
    pub(crate) fn first(&mut self, id: OpId, context: Context) -> Option<Hit> {
        let plan = self.plan;
        if let Op::Path(path) = self.op(id) {
            let path = &plan.paths[path as usize];
            if path.in_order && path.streams && !matches!(path.start, StartPlan::Filter(..)) {
                let mut goal = super::path::Goal::First(None);
                self.any(path, context, &mut goal);
                return match goal {
                    super::path::Goal::First(found) => found,
                    _ => None,
                };
            }
        }
        let nodes = self.nodes(id, context, 1);
        let first = nodes.first().copied();
        self.give_hits(nodes);
        first
    }

    /// The string value of anything an expression finds.
    pub(crate) fn value(&mut self, hit: Hit) -> Cow<'e, str> {
        if self.exhausted() {
            return Cow::Borrowed("");
        }
        if let Some((index, _)) = hit.made_index() {
            return Cow::Owned(self.scratch.made.get(index).cloned().unwrap_or_default());
        }
        if hit.is_node() && self.tree.name_id(hit.node()) != NameId::TEXT {
            let (node, end) = (hit.node(), self.tree.end(hit.node()));
            self.steps_left -= i64::from(end - node.0) >> 2;
            let spare = self.take_string();
            let value = element_value(self.tree, node, spare);
            self.text_left -= value.len() as i64;
            return value;
        }
        string_value(self.tree, hit)
    }
}

/// Sorts and removes duplicates; already sorted hits cost one look each.
pub(crate) fn in_document_order(hits: &mut Vec<Hit>) {
    if !hits.windows(2).all(|pair| pair[0] < pair[1]) {
        hits.sort_unstable();
        hits.dedup();
    }
}

/// The text of a subtree: a borrow when it is one piece, else gathered in `spare`.
fn element_value<'t>(tree: Tree<'t>, node: NodeId, mut spare: String) -> Cow<'t, str> {
    let names = tree.name_ids();
    if !matches!(tree.name_id(node), NameId::DOCUMENT) && tree.name_id(node).0 < NameId::FIRST_REAL {
        let text = tree.text(node);
        if tree.name_id(node) != NameId::PI {
            return text;
        }
        // A processing instruction's value is what follows its target.
        let data = text.trim_start_matches(|c: char| !c.is_ascii_whitespace()).trim_start();
        return Cow::Owned(data.to_string());
    }
    let mut only: Option<NodeId> = None;
    let mut many = false;
    for at in node.0 + 1..tree.end(node) {
        if names[at as usize] != NameId::TEXT {
            continue;
        }
        match only {
            None => only = Some(NodeId(at)),
            Some(first) => {
                if !many {
                    spare.clear();
                    spare.push_str(&tree.text(first));
                    many = true;
                }
                spare.push_str(&tree.text(NodeId(at)));
            }
        }
    }
    match only {
        None => Cow::Borrowed(""),
        Some(_) if many => Cow::Owned(spare),
        Some(text) => tree.text(text),
    }
}

/// The XPath string value of a node or attribute: an element's is all text in it.
pub fn string_value<'t>(tree: Tree<'t>, hit: Hit) -> Cow<'t, str> {
    if hit.made_index().is_some() {
        Cow::Borrowed("")
    } else if let Some(attribute) = hit.attribute() {
        tree.attr_value(attribute)
    } else if hit.is_namespace() {
        Cow::Borrowed("http://www.w3.org/XML/1998/namespace")
    } else {
        element_value(tree, hit.node(), String::new())
    }
}
