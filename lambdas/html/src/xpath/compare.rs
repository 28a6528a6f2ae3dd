//! Comparisons: a node set holds when one of its nodes does (XPath 1.0, section 3.4). Two node sets are compared in one pass
//! over each, not pair by pair.

use std::collections::HashSet;

use super::ast::{Comparison, Type};
use super::number;
use super::path::Goal;
use super::plan::{Op, OpId, Sides};
use super::run::{Context, Run};

pub(crate) fn holds(
    run: &mut Run<'_, '_>,
    comparison: Comparison,
    left: OpId,
    right: OpId,
    Sides(left_type, right_type): Sides,
    context: Context,
) -> bool {
    match (left_type, right_type) {
        (Type::Nodes, Type::Nodes) => sets(run, comparison, left, right, context),
        (Type::Nodes, other) => set_and_value(run, comparison, left, right, other, context),
        (other, Type::Nodes) => set_and_value(run, comparison.mirrored(), right, left, other, context),
        (a, b) => {
            let equality = matches!(comparison, Comparison::Equal | Comparison::NotEqual);
            if equality && (a == Type::Boolean || b == Type::Boolean) {
                (run.truth(left, context) == run.truth(right, context)) == (comparison == Comparison::Equal)
            } else if equality && a == Type::Text && b == Type::Text {
                let (a, b) = (run.text(left, context), run.text(right, context));
                let holds = (a == b) == (comparison == Comparison::Equal);
                run.recycle(a);
                run.recycle(b);
                holds
            } else {
                let (a, b) = (run.number(left, context), run.number(right, context));
                comparison.numbers(a, b)
            }
        }
    }
}

fn set_and_value(
    run: &mut Run<'_, '_>,
    comparison: Comparison,
    set: OpId,
    value: OpId,
    kind: Type,
    context: Context,
) -> bool {
    let equality = matches!(comparison, Comparison::Equal | Comparison::NotEqual);
    match kind {
        Type::Boolean => {
            let (a, b) = (run.truth(set, context), run.truth(value, context));
            comparison.numbers(f64::from(u8::from(a)), f64::from(u8::from(b)))
        }
        Type::Text if equality => {
            let wanted = run.text(value, context);
            let found = any(run, set, context, Goal::Text(comparison, &wanted));
            run.recycle(wanted);
            found
        }
        _ => {
            let wanted = run.number(value, context);
            any(run, set, context, Goal::Number(comparison, wanted))
        }
    }
}

fn any(run: &mut Run<'_, '_>, set: OpId, context: Context, mut goal: Goal<'_>) -> bool {
    let plan = run.plan;
    if let Op::Path(path) = run.op(set) {
        return run.any(&plan.paths[path as usize], context, &mut goal);
    }
    let hits = run.nodes(set, context, usize::MAX);
    let found = hits.iter().any(|&hit| run.reached(hit, &mut goal));
    run.give_hits(hits);
    found
}

fn sets(run: &mut Run<'_, '_>, comparison: Comparison, left: OpId, right: OpId, context: Context) -> bool {
    let a = run.nodes(left, context, usize::MAX);
    let b = run.nodes(right, context, usize::MAX);
    let found = match comparison {
        _ if a.is_empty() || b.is_empty() => false,
        Comparison::Equal => {
            let values: HashSet<_> = a.iter().map(|&hit| run.value(hit)).collect();
            b.iter().any(|&hit| values.contains(&run.value(hit)))
        }
        Comparison::NotEqual => {
            // Only sets that hold one and the same string throughout have no unequal pair.
            let one = run.value(a[0]);
            a.iter().chain(&b).any(|&hit| run.value(hit) != one)
        }
        _ => {
            // Some pair is in this order exactly when the extremes are. NaN is in no order.
            let greater = matches!(comparison, Comparison::Greater | Comparison::GreaterOrEqual);
            let mut extreme = |hits: &[super::hit::Hit], largest: bool| {
                let values = hits.iter().map(|&hit| number::from_text(&run.value(hit))).filter(|n| !n.is_nan());
                if largest { values.reduce(f64::max) } else { values.reduce(f64::min) }
            };
            match (extreme(&a, greater), extreme(&b, !greater)) {
                (Some(a), Some(b)) => comparison.numbers(a, b),
                _ => false,
            }
        }
    };
    run.give_hits(a);
    run.give_hits(b);
    found
}
