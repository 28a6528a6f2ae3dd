//! `count(preceding-sibling::x)` and `count(following-sibling::x)`: what `:nth-child()` and its kin ask of every element.
//! Counted from the nearest sibling that was counted before, so that asking all of a thousand rows is linear.

use super::ast::Axis;
use super::cursor::Match;
use super::plan::{Op, OpId, StartPlan, StepPlan, Walk};
use super::run::{Context, Run};
use crate::tree::NodeId;

/// Siblings that are walked before looking whether one of them was counted.
const WALKED_MAX: u32 = 16;

/// What was counted last below a parent, by one path.
#[derive(Clone, Copy)]
pub(crate) struct Counted {
    node: NodeId,
    count: u32,
}

impl Run<'_, '_> {
    /// The count, if `path` is one step along a sibling axis without predicates.
    pub(crate) fn siblings(&mut self, path: OpId, context: Context) -> Option<f64> {
        let Op::Path(index) = self.op(path) else { return None };
        let plan = &self.plan.paths[index as usize];
        let (StartPlan::Context, [step]) = (plan.start, &self.plan.steps[plan.steps.range()]) else { return None };
        let step: StepPlan = *step;
        let backward = match step.walk {
            Walk::Along(Axis::PrecedingSibling) => true,
            Walk::Along(Axis::FollowingSibling) => false,
            _ => return None,
        };
        if !step.predicates.is_empty() || !context.hit.is_node() || context.hit.made_index().is_some() {
            return None;
        }
        let test = Match::new(step.walk, step.test, self.names, &self.plan.names);
        let node = context.hit.node();
        let parent = self.tree.parent(node)?;
        let key = (index, parent.0);
        let known = self.scratch.siblings.get(&key).copied();
        let count =
            self.count_to_known(node, test, backward, known).unwrap_or_else(|| self.count_to_end(node, test, backward));
        // A few siblings are counted sooner than remembered.
        if known.is_some() || count > WALKED_MAX {
            self.scratch.siblings.insert(key, Counted { node, count });
        }
        Some(f64::from(count))
    }

    /// Backwards to a sibling whose count is known, or to the first.
    fn count_to_known(&mut self, node: NodeId, test: Match, backward: bool, known: Option<Counted>) -> Option<u32> {
        let names = self.tree.name_ids();
        let takes = |node: NodeId| u32::from(test.takes(names[node.0 as usize]));
        let mut between = 0;
        let mut at = node;
        loop {
            if let Some(known) = known.filter(|known| known.node == at) {
                return match backward {
                    true => Some(known.count + between),
                    // The known one has those after it that stand between, this node among them, and those after it.
                    false => known.count.checked_sub(between + takes(node) * u32::from(at != node)),
                };
            }
            self.steps_left -= 1;
            if self.steps_left < 0 || known.is_some_and(|known| known.node > at) {
                return None;
            }
            match self.tree.prev(at) {
                Some(previous) => {
                    // Backward, every sibling passed counts; forward, those strictly between.
                    between += if backward {
                        takes(previous)
                    } else if at != node {
                        takes(at)
                    } else {
                        0
                    };
                    at = previous;
                }
                None => return backward.then_some(between),
            }
        }
    }

    fn count_to_end(&mut self, node: NodeId, test: Match, backward: bool) -> u32 {
        let names = self.tree.name_ids();
        let mut count = 0;
        let mut at = node;
        while let Some(next) = if backward { self.tree.prev(at) } else { self.tree.next(at) } {
            count += u32::from(test.takes(names[next.0 as usize]));
            at = next;
            self.steps_left -= 1;
            if self.steps_left < 0 {
                break;
            }
        }
        count
    }
}
