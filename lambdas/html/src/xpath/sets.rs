//! Functions that give node sets: `id()`, EXSLT's `set:*`, and `re:match`, whose results are made, not found.

use std::collections::HashSet;

use super::ast::Type;
use super::functions::Function;
use super::hit::Hit;
use super::plan::{Op, OpId, Run as Slice};
use super::run::{Context, Run, in_document_order};
use crate::tree::{AttrId, NameId, NodeId};

impl Run<'_, '_> {
    pub(crate) fn call_nodes(&mut self, id: OpId, context: Context) -> Vec<Hit> {
        let plan = self.plan;
        let (function, operands) = match self.op(id) {
            Op::Call(function, operands) => (function, operands),
            Op::Pattern(_, input, pattern) => {
                let text = self.python_text(plan.operands[input.from as usize], context);
                self.charge_scan(text.len());
                return self.made_matches(&plan.patterns[pattern as usize], &text);
            }
            _ => return self.take_hits(),
        };
        match function {
            Function::Id => self.by_id(operands, context),
            Function::ReMatch => {
                let text = self.python_text(plan.operands[operands.from as usize], context);
                self.charge_scan(text.len());
                match self.pattern(operands, context, false) {
                    Some(pattern) => self.made_matches(&pattern, &text),
                    None => self.take_hits(),
                }
            }
            Function::SetDistinct => {
                let mut nodes = self.nodes(plan.operands[operands.from as usize], context, usize::MAX);
                let mut seen = HashSet::new();
                nodes.retain(|&hit| seen.insert(self.value(hit).into_owned()));
                nodes
            }
            _ => {
                let (mut a, b) = self.two_sets(operands, context);
                match (function, b.first()) {
                    (Function::SetIntersection, _) => a.retain(|hit| b.binary_search(hit).is_ok()),
                    (Function::SetDifference, _) => a.retain(|hit| b.binary_search(hit).is_err()),
                    // Before or after the first of the second set, which has to be in the first one.
                    (_, None) => {}
                    (_, Some(mark)) => match a.binary_search(mark) {
                        Err(_) => a.clear(),
                        Ok(at) if function == Function::SetLeading => a.truncate(at),
                        Ok(at) => drop(a.drain(..=at)),
                    },
                }
                self.give_hits(b);
                a
            }
        }
    }

    pub(crate) fn two_sets(&mut self, operands: Slice, context: Context) -> (Vec<Hit>, Vec<Hit>) {
        let (first, second) =
            (self.plan.operands[operands.from as usize], self.plan.operands[operands.from as usize + 1]);
        (self.nodes(first, context, usize::MAX), self.nodes(second, context, usize::MAX))
    }

    fn made_matches(&mut self, pattern: &super::pattern::Pattern, text: &str) -> Vec<Hit> {
        let mut hits = self.take_hits();
        let (made, steps, bytes) = (&mut self.scratch.made, &mut self.steps_left, &mut self.text_left);
        pattern.matches(text, |found| {
            *steps -= 4;
            *bytes -= found.len() as i64;
            if *steps >= 0 && *bytes >= 0 {
                made.push(found);
                hits.push(Hit::made(made.len() - 1));
            }
        });
        hits
    }

    /// Elements whose `id` (or `name`, of an `a`) is one of the tokens; of several the first, as libxml2 registers them.
    fn by_id(&mut self, operands: Slice, context: Context) -> Vec<Hit> {
        let op = self.plan.operands[operands.from as usize];
        let mut wanted: HashSet<String> = HashSet::new();
        let mut tokens = |text: &str| wanted.extend(text.split([' ', '\t', '\r', '\n']).map(str::to_string));
        if self.kind(op) == Type::Nodes {
            let nodes = self.nodes(op, context, usize::MAX);
            for &hit in &nodes {
                tokens(&self.value(hit));
            }
            self.give_hits(nodes);
        } else {
            tokens(&self.text(op, context));
        }
        wanted.remove("");
        let mut hits = self.take_hits();
        let tree = self.tree;
        let (id, name, a) = match tree.is_xml() {
            true => (tree.find_name("0 id"), None, None),
            false => (tree.find_name("id"), tree.find_name("name"), tree.find_name("a")),
        };
        for at in 0..tree.len() {
            self.steps_left -= 1;
            if wanted.is_empty() || self.exhausted() {
                break;
            }
            let node = NodeId(at);
            let element = tree.name_id(node);
            if element.0 < NameId::FIRST_REAL {
                continue;
            }
            for attribute in tree.attrs(node).map(AttrId) {
                let this = Some(tree.attr_name_id(attribute));
                let identifies = this == id || (this == name && this.is_some() && Some(element) == a);
                if identifies && wanted.remove(&*tree.attr_value(attribute)) {
                    hits.push(Hit::of(node));
                }
            }
        }
        in_document_order(&mut hits);
        hits
    }
}
