//! Walking paths. Two ways: step by step with whole sets in document order, or depth first when only "is there one that
//! ..." is asked. Sets stay sorted and unique: a step into the depth skips nodes whose subtree was already walked, and any
//! other step is sorted only when its result is found out of order.

use std::borrow::Cow;

use super::ast::{Axis, Comparison};
use super::compile::COUNTERS_MAX;
use super::cursor::{Cursor, Match, find_id};
use super::hit::Hit;
use super::number;
use super::plan::{PathPlan, Predicate, Run as Slice, StartPlan, StepPlan, Walk};
use super::run::{Context, Counts, Run, in_document_order};
use crate::tree::{NameId, NodeId};

/// What a depth-first walk looks for.
pub(crate) enum Goal<'g> {
    Exists,
    /// A node whose string compares so.
    Text(Comparison, &'g str),
    /// A node whose number compares so.
    Number(Comparison, f64),
    First(Option<Hit>),
}

/// How often each counting predicate of a step let a node through.
#[derive(Default)]
struct Counters([u32; COUNTERS_MAX]);

/// What the predicates of a step say about a node.
enum Outcome {
    Kept,
    Dropped,
    /// Kept, and nothing after it can be.
    LastKept,
}

impl<'e> Run<'e, '_> {
    /// The nodes of a path in document order; `limit` allows it to stop early.
    pub(crate) fn path(&mut self, path: &PathPlan, context: Context, limit: usize) -> Vec<Hit> {
        let mut current = self.start(path, context, if path.steps.is_empty() { limit } else { usize::MAX });
        for at in path.steps.range() {
            if current.is_empty() {
                break;
            }
            let step = self.plan.steps[at];
            let last = at + 1 == path.steps.to as usize;
            let mut next = self.take_hits();
            self.step_from_all(step, &current, &mut next, if last { limit } else { usize::MAX });
            self.give_hits(std::mem::replace(&mut current, next));
        }
        current.truncate(limit);
        current
    }

    fn start(&mut self, path: &PathPlan, context: Context, limit: usize) -> Vec<Hit> {
        match path.start {
            StartPlan::Context | StartPlan::Root => {
                let mut hits = self.take_hits();
                hits.push(if matches!(path.start, StartPlan::Root) { Hit::document() } else { context.hit });
                hits
            }
            StartPlan::Filter(base, predicates) => {
                let enough = match self.plan.predicates[predicates.range()].first() {
                    None => limit,
                    Some(Predicate::Index(n) | Predicate::Upto(n)) => *n as usize,
                    Some(_) => usize::MAX,
                };
                let mut hits = self.nodes(base, context, enough);
                self.filter(&mut hits, predicates);
                hits
            }
        }
    }

    fn step_from_all(&mut self, step: StepPlan, from: &[Hit], out: &mut Vec<Hit>, limit: usize) {
        let test = Match::new(step.walk, step.test, self.names, &self.plan.names);
        if test == Match::Never {
            return;
        }
        let walk = match step.walk {
            Walk::Along(Axis::Descendant | Axis::DescendantOrSelf) | Walk::AttributesBelow if step.positional => None,
            Walk::Along(Axis::Descendant | Axis::DescendantOrSelf) | Walk::AttributesBelow | Walk::ChildrenBelow => {
                Some(step.walk)
            }
            _ => None,
        };
        if walk.is_some() {
            self.step_down(step, test, from, out, limit);
        } else {
            let ordered = from.len() == 1 && matches!(step.walk, Walk::Along(axis) if !axis.is_reverse());
            let enough = if ordered { limit } else { usize::MAX };
            match (step.walk, test) {
                (Walk::Along(Axis::Attribute), Match::Id(id)) if step.predicates.is_empty() => {
                    let attributes = from.iter().filter_map(|&hit| {
                        self.attribute(id, hit).map(|attribute| Hit::of_attribute(hit.node(), attribute))
                    });
                    out.extend(attributes);
                    self.steps_left -= 2 * from.len() as i64;
                }
                (Walk::Along(Axis::Child), _) if !step.positional && enough == usize::MAX => {
                    self.children(step, test, from, out);
                }
                _ => from.iter().for_each(|&hit| self.step_from_one(step, test, hit, out, enough)),
            }
        }
        in_document_order(out);
    }

    /// Into the depth: whatever was below an earlier node is not walked again.
    fn step_down(&mut self, step: StepPlan, test: Match, from: &[Hit], out: &mut Vec<Hit>, limit: usize) {
        let mut counts = if step.positional { self.new_counts() } else { Counts::default() };
        let mut covered = 0;
        for &hit in from {
            if !hit.is_node() || hit.made_index().is_some() || step.walk == Walk::AttributesBelow {
                if hit.is_node() && hit.made_index().is_none() {
                    if hit.node().0 < covered {
                        continue;
                    }
                    covered = self.tree.end(hit.node());
                }
                let mut cursor = Cursor::new(self.tree, step.walk, hit);
                while out.len() < limit
                    && let Some(found) = cursor.next(self.tree, test, &mut self.steps_left)
                {
                    if self.plain(step.predicates, found) {
                        out.push(found);
                    }
                }
                continue;
            }
            let node = hit.node().0;
            if node < covered {
                continue;
            }
            covered = self.tree.end(hit.node());
            let mut at = if step.walk == Walk::Along(Axis::DescendantOrSelf) { node } else { node + 1 };
            // What is looked at is paid in advance, what passes the test when it does.
            self.steps_left -= 1 + (i64::from(covered - at) >> 3);
            let names = &self.tree.name_ids()[..covered as usize];
            while out.len() < limit && self.steps_left >= 0 {
                let window = &names[at as usize..];
                let offset = match test {
                    Match::Id(id) => find_id(window, id),
                    _ => window.iter().position(|&name| test.takes(name)),
                };
                let Some(offset) = offset else { break };
                at += offset as u32 + 1;
                self.steps_left -= 1;
                let found = Hit::of(NodeId(at - 1));
                let kept = match step.positional {
                    false => self.plain(step.predicates, found),
                    true => self.counted_by_parent(step.predicates, found, &mut counts),
                };
                if kept {
                    out.push(found);
                }
            }
        }
        if step.positional {
            self.scratch.counts.push(counts);
        }
    }

    /// Children that pass; counted by nobody.
    fn children(&mut self, step: StepPlan, test: Match, from: &[Hit], out: &mut Vec<Hit>) {
        let names = self.tree.name_ids();
        for &hit in from {
            if !hit.is_node() || hit.made_index().is_some() {
                self.step_from_one(step, test, hit, out, usize::MAX);
                continue;
            }
            let mut place = self.tree.first_child(hit.node());
            while let Some(child) = place {
                self.steps_left -= 1;
                if test.takes(names[child.0 as usize]) && self.plain(step.predicates, Hit::of(child)) {
                    out.push(Hit::of(child));
                }
                if self.steps_left < 0 {
                    return;
                }
                place = self.tree.next(child);
            }
        }
    }

    /// Counters by parent, all at zero.
    fn new_counts(&mut self) -> Counts {
        let mut counts = self.scratch.counts.pop().unwrap_or_default();
        counts.generation = counts.generation.wrapping_add(1);
        if counts.generation == 0 || counts.of.len() < self.tree.len() as usize {
            counts.of.clear();
            counts.of.resize(self.tree.len() as usize, (0, 0));
            counts.generation = 1;
            self.steps_left -= i64::from(self.tree.len()) >> 4;
        }
        counts
    }

    fn step_from_one(&mut self, step: StepPlan, test: Match, from: Hit, out: &mut Vec<Hit>, limit: usize) {
        let mut cursor = Cursor::new(self.tree, step.walk, from);
        if step.sized {
            let mut candidates = self.take_hits();
            while let Some(found) = cursor.next(self.tree, test, &mut self.steps_left) {
                candidates.push(found);
            }
            self.filter(&mut candidates, step.predicates);
            out.extend_from_slice(&candidates);
            self.give_hits(candidates);
            return;
        }
        let mut counters = Counters::default();
        while out.len() < limit
            && let Some(found) = cursor.next(self.tree, test, &mut self.steps_left)
        {
            match self.predicates(step.predicates, found, &mut counters) {
                Outcome::Kept => out.push(found),
                Outcome::Dropped => {}
                Outcome::LastKept => {
                    out.push(found);
                    return;
                }
            }
        }
    }

    /// Predicates that ask about the node alone.
    #[inline]
    fn plain(&mut self, predicates: Slice, hit: Hit) -> bool {
        let plan = self.plan;
        plan.predicates[predicates.range()].iter().all(|predicate| match *predicate {
            Predicate::Attribute(test) => self.attribute_holds(test, hit),
            Predicate::Test(op) => self.truth(op, Context::of(hit)),
            _ => true,
        })
    }

    /// Predicates in turn, counting what each lets through; without `last()`.
    fn predicates(&mut self, predicates: Slice, hit: Hit, counters: &mut Counters) -> Outcome {
        let mut counter = 0;
        let mut last = false;
        for at in predicates.range() {
            let predicate = self.plan.predicates[at];
            let holds = match predicate {
                Predicate::Attribute(test) => self.attribute_holds(test, hit),
                Predicate::Test(op) => self.truth(op, Context::of(hit)),
                counting => {
                    counters.0[counter] += 1;
                    let position = counters.0[counter];
                    counter += 1;
                    // Whatever comes later has a higher position here and will not pass.
                    last |= matches!(counting, Predicate::Index(n) | Predicate::Upto(n) if position == n);
                    self.counts(counting, hit, position, 0)
                }
            };
            if !holds {
                return Outcome::Dropped;
            }
        }
        if last { Outcome::LastKept } else { Outcome::Kept }
    }

    /// `//x[n]`: the one counting predicate counts among the children of the node's parent.
    fn counted_by_parent(&mut self, predicates: Slice, hit: Hit, counts: &mut Counts) -> bool {
        for at in predicates.range() {
            let holds = match self.plan.predicates[at] {
                Predicate::Attribute(test) => self.attribute_holds(test, hit),
                Predicate::Test(op) => self.truth(op, Context::of(hit)),
                counting => {
                    let parent = self.tree.parent(hit.node()).map_or(0, |parent| parent.0);
                    let Some(slot) = counts.of.get_mut(parent as usize) else { return false };
                    if slot.0 != counts.generation {
                        *slot = (counts.generation, 0);
                    }
                    slot.1 += 1;
                    let position = slot.1;
                    self.counts(counting, hit, position, 0)
                }
            };
            if !holds {
                return false;
            }
        }
        true
    }

    fn counts(&mut self, predicate: Predicate, hit: Hit, position: u32, size: u32) -> bool {
        match predicate {
            Predicate::Index(n) => position == n,
            Predicate::Upto(n) => position <= n,
            Predicate::Last => position == size,
            Predicate::Positional(op) => self.truth(op, Context { hit, position, size }),
            Predicate::Number(op) => self.number(op, Context { hit, position, size }) == f64::from(position),
            Predicate::Test(op) => self.truth(op, Context { hit, position, size }),
            Predicate::Attribute(test) => self.attribute_holds(test, hit),
        }
    }

    /// Applies predicates one after the other to a whole list in axis order, so that sizes are known.
    pub(crate) fn filter(&mut self, hits: &mut Vec<Hit>, predicates: Slice) {
        for at in predicates.range() {
            let predicate = self.plan.predicates[at];
            let size = u32::try_from(hits.len()).unwrap_or(u32::MAX);
            let mut position = 0;
            self.steps_left -= i64::from(size) >> 3;
            hits.retain(|&hit| {
                position += 1;
                !self.exhausted() && self.counts(predicate, hit, position, size)
            });
        }
    }

    /// Whether a node of the path fulfils the goal.
    pub(crate) fn any(&mut self, path: &PathPlan, context: Context, goal: &mut Goal<'_>) -> bool {
        if path.streams {
            match path.start {
                StartPlan::Context => return self.stream(path.steps, context.hit, goal),
                StartPlan::Root => return self.stream(path.steps, Hit::document(), goal),
                StartPlan::Filter(..) => {}
            }
        }
        let limit = if matches!(goal, Goal::Exists | Goal::First(_)) { 1 } else { usize::MAX };
        let hits = self.path(path, context, limit);
        let found = hits.iter().any(|&hit| self.reached(hit, goal));
        self.give_hits(hits);
        found
    }

    /// Depth first; recursion is as deep as the path has steps.
    fn stream(&mut self, steps: Slice, from: Hit, goal: &mut Goal<'_>) -> bool {
        if steps.is_empty() {
            return self.reached(from, goal);
        }
        let step = self.plan.steps[steps.from as usize];
        let rest = Slice { from: steps.from + 1, to: steps.to };
        let test = Match::new(step.walk, step.test, self.names, &self.plan.names);
        if test == Match::Never {
            return false;
        }
        if step.sized {
            let mut hits = self.take_hits();
            self.step_from_one(step, test, from, &mut hits, usize::MAX);
            let found = hits.iter().any(|&hit| self.stream(rest, hit, goal));
            self.give_hits(hits);
            return found;
        }
        let mut cursor = Cursor::new(self.tree, step.walk, from);
        let mut counters = Counters::default();
        while let Some(found) = cursor.next(self.tree, test, &mut self.steps_left) {
            let outcome = self.predicates(step.predicates, found, &mut counters);
            if !matches!(outcome, Outcome::Dropped) && self.stream(rest, found, goal) {
                return true;
            }
            if matches!(outcome, Outcome::LastKept) {
                return false;
            }
        }
        false
    }

    pub(crate) fn reached(&mut self, hit: Hit, goal: &mut Goal<'_>) -> bool {
        match goal {
            Goal::Exists => true,
            Goal::First(found) => {
                *found = Some(hit);
                true
            }
            Goal::Text(comparison, wanted) => {
                let value = self.compared_value(hit);
                let holds = match comparison {
                    Comparison::NotEqual => *value != **wanted,
                    _ => *value == **wanted,
                };
                self.recycle(value);
                holds
            }
            Goal::Number(comparison, wanted) => {
                let value = self.compared_value(hit);
                let holds = comparison.numbers(number::from_text(&value), *wanted);
                self.recycle(value);
                holds
            }
        }
    }

    fn compared_value(&mut self, hit: Hit) -> Cow<'e, str> {
        self.steps_left -= 1;
        match hit.attribute() {
            Some(attribute) => match self.tree.attr_plain(attribute) {
                Some(plain) => Cow::Borrowed(plain),
                None => self.tree.attr_value(attribute),
            },
            None if hit.is_node() && hit.made_index().is_none() && self.tree.name_id(hit.node()) == NameId::TEXT => {
                self.tree.text(hit.node())
            }
            None => self.value(hit),
        }
    }
}
