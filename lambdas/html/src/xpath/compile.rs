//! `ast` to `plan`: numbers names and texts, fuses steps, sorts predicates into those that need positions and those that
//! do not, and turns the common questions about attributes into comparisons of bytes.

use std::sync::OnceLock;

use super::ast::{Axis, Comparison, Expr, Path, Start, Step, Test, Type};
use super::error::SelectorError;
use super::functions::Function;
use super::pattern::{Pattern, Template};
use super::plan::*;
use super::simplify::{attribute_test, shape, uses_position};
use crate::names::Names;
use crate::tree::NameId;

/// Predicates that count, at one step without `last()`: the evaluator keeps this many counters.
pub(crate) const COUNTERS_MAX: usize = 4;

/// A depth-first walk recurses once a step: longer paths are walked set by set.
const STREAMED_STEPS_MAX: usize = 8;

/// Compiles a parsed expression.
pub(crate) fn compile(expr: &Expr) -> Result<Plan, SelectorError> {
    let mut compiler = Compiler {
        plan: Plan {
            ops: Vec::new(),
            paths: Vec::new(),
            steps: Vec::new(),
            predicates: Vec::new(),
            operands: Vec::new(),
            names: Vec::new(),
            texts: Vec::new(),
            patterns: Vec::new(),
            templates: Vec::new(),
            root: 0,
            kind: expr.kind(),
        },
    };
    compiler.plan.root = compiler.op(expr)?;
    Ok(compiler.plan)
}

/// The id that a name has on every page, because every table of names begins with it.
fn fixed(name: &str) -> Option<NameId> {
    static BEGINNING: OnceLock<Names> = OnceLock::new();
    BEGINNING.get_or_init(Names::default).find(name)
}

pub(super) struct Compiler {
    plan: Plan,
}

fn id(length: usize) -> u32 {
    u32::try_from(length).expect("an expression of at most 64 KiB has fewer parts than 2^32")
}

impl Compiler {
    fn push(&mut self, op: Op) -> OpId {
        self.plan.ops.push(op);
        id(self.plan.ops.len() - 1)
    }

    pub(super) fn name(&mut self, name: &str) -> NameSlot {
        let known = self.plan.names.iter().position(|n| &*n.text == name);
        id(known.unwrap_or_else(|| {
            self.plan.names.push(Name { text: name.into(), id: fixed(name).map(|id| id.0) });
            self.plan.names.len() - 1
        }))
    }

    pub(super) fn text(&mut self, text: &str) -> TextId {
        let known = self.plan.texts.iter().position(|n| &*n.text == text);
        id(known.unwrap_or_else(|| {
            self.plan.texts.push(Needle::new(text));
            self.plan.texts.len() - 1
        }))
    }

    fn operands(&mut self, exprs: &[Expr], conditions: bool) -> Result<Run, SelectorError> {
        let mut ids = Vec::with_capacity(exprs.len());
        for expr in exprs {
            ids.push(if conditions { self.condition(expr)? } else { self.op(expr)? });
        }
        let from = id(self.plan.operands.len());
        self.plan.operands.extend(ids);
        Ok(Run { from, to: id(self.plan.operands.len()) })
    }

    fn op(&mut self, expr: &Expr) -> Result<OpId, SelectorError> {
        if let Some(test) = attribute_test(self, expr) {
            return Ok(self.push(Op::Attribute(test)));
        }
        if let Some((nodes, wanted)) = shape::any_or_none(expr) {
            let condition = self.condition(nodes)?;
            let from = id(self.plan.operands.len());
            self.plan.operands.push(condition);
            let function = if wanted { Function::Boolean } else { Function::Not };
            return Ok(self.push(Op::Call(function, Run { from, to: from + 1 })));
        }
        let op = match expr {
            Expr::Number(value) => Op::Number(*value),
            Expr::Text(text) => Op::Text(self.text(text)),
            Expr::Boolean(value) => Op::Boolean(*value),
            Expr::Path(path) => Op::Path(self.path(path)?),
            Expr::Or(any) => Op::Or(self.operands(any, true)?),
            Expr::And(all) => {
                let kept = super::simplify::without_implied(all);
                Op::And(self.operands(&kept, true)?)
            }
            Expr::Union(parts) => Op::Union(self.operands(parts, false)?),
            Expr::Compare(comparison, left, right) => {
                let sides = Sides(left.kind(), right.kind());
                Op::Compare(*comparison, self.op(left)?, self.op(right)?, sides)
            }
            Expr::Arithmetic(operation, left, right) => Op::Arithmetic(*operation, self.op(left)?, self.op(right)?),
            Expr::Negate(inner) => Op::Negate(self.op(inner)?),
            Expr::Call(Function::True, ..) => Op::Boolean(true),
            Expr::Call(Function::False, ..) => Op::Boolean(false),
            Expr::Call(function, arguments, offset) => self.call(*function, arguments, *offset)?,
        };
        Ok(self.push(op))
    }

    /// An operand of which only the truth is asked.
    fn condition(&mut self, expr: &Expr) -> Result<OpId, SelectorError> {
        if let Some(name) = shape::own_attribute(expr) {
            let test = AttributeTest { name: self.name(name), how: How::Exists, text: self.text("") };
            return Ok(self.push(Op::Attribute(test)));
        }
        match expr {
            Expr::Call(Function::Boolean, arguments, _) => self.condition(&arguments[0]),
            _ => self.op(expr),
        }
    }

    fn call(&mut self, function: Function, arguments: &[Expr], offset: usize) -> Result<Op, SelectorError> {
        let at = |error: SelectorError| SelectorError { offset, ..error };
        if let (Function::ReTest | Function::ReMatch | Function::ReReplace, Expr::Text(pattern)) =
            (function, arguments.get(1).unwrap_or(&Expr::Boolean(false)))
        {
            let flags = match arguments.get(2) {
                None => Some(""),
                Some(Expr::Text(flags)) => Some(flags.as_str()),
                Some(_) => None,
            };
            if let Some(flags) = flags {
                let pattern = Pattern::new(pattern, flags, function == Function::ReTest).map_err(at)?;
                if function != Function::ReReplace {
                    self.plan.patterns.push(pattern);
                    let slot = id(self.plan.patterns.len() - 1);
                    return Ok(Op::Pattern(function, self.operands(&arguments[..1], false)?, slot));
                }
                if let Some(Expr::Text(replacement)) = arguments.get(3) {
                    let template = Template::new(replacement, &pattern).map_err(at)?;
                    self.plan.patterns.push(pattern);
                    self.plan.templates.push(template);
                    let (pattern, template) = (id(self.plan.patterns.len() - 1), id(self.plan.templates.len() - 1));
                    return Ok(Op::Replace(self.op(&arguments[0])?, pattern, template));
                }
            }
        }
        let conditions = matches!(function, Function::Not | Function::Boolean);
        Ok(Op::Call(function, self.operands(arguments, conditions)?))
    }

    fn path(&mut self, path: &Path) -> Result<u32, SelectorError> {
        let start = match &path.start {
            Start::Context => StartPlan::Context,
            Start::Root => StartPlan::Root,
            Start::Filter(base, predicates) => {
                let base = self.op(base)?;
                StartPlan::Filter(base, self.predicates(predicates)?)
            }
        };
        let mut steps = Vec::new();
        let mut rest = path.steps.as_slice();
        while let Some((step, more)) = rest.split_first() {
            rest = more;
            if step.predicates.is_empty() && step.test == Test::Node {
                if step.axis == Axis::Itself {
                    continue;
                }
                if let (Axis::DescendantOrSelf, Some((next, beyond))) = (step.axis, more.split_first())
                    && let Some(walk) = fused(next)
                {
                    steps.push(self.step(walk, next)?);
                    rest = beyond;
                    continue;
                }
            }
            steps.push(self.step(Walk::Along(step.axis), step)?);
        }
        let from = id(self.plan.steps.len());
        let streams = steps.len() <= STREAMED_STEPS_MAX
            && steps.iter().filter(|step| fans_out(step.walk)).count() <= 1
            && !steps.iter().any(|step| step.walk == Walk::ChildrenBelow);
        let in_order = keeps_order(&steps);
        self.plan.steps.extend(steps);
        let steps = Run { from, to: id(self.plan.steps.len()) };
        self.plan.paths.push(PathPlan { start, steps, streams, in_order });
        Ok(id(self.plan.paths.len() - 1))
    }

    fn step(&mut self, walk: Walk, step: &Step) -> Result<StepPlan, SelectorError> {
        let test = match &step.test {
            Test::Name(name) => TestPlan::Name(self.name(name)),
            Test::Any => TestPlan::Any,
            Test::Node => TestPlan::Node,
            Test::Text => TestPlan::Text,
            Test::Comment => TestPlan::Comment,
            Test::Pi => TestPlan::Pi,
        };
        let predicates = self.predicates(&step.predicates)?;
        let compiled = &self.plan.predicates[predicates.range()];
        let counting = compiled.iter().filter(|p| !matches!(p, Predicate::Test(_) | Predicate::Attribute(_))).count();
        let sized = counting > COUNTERS_MAX
            || step.predicates.iter().any(|p| uses_position(p).1)
            || compiled.iter().any(|p| matches!(p, Predicate::Last));
        Ok(StepPlan { walk, test, predicates, positional: counting > 0, sized })
    }

    fn predicates(&mut self, predicates: &[Expr]) -> Result<Run, SelectorError> {
        let mut compiled = Vec::new();
        for predicate in predicates {
            self.predicate(predicate, &mut compiled)?;
        }
        let from = id(self.plan.predicates.len());
        self.plan.predicates.extend(compiled);
        Ok(Run { from, to: id(self.plan.predicates.len()) })
    }

    fn predicate(&mut self, expr: &Expr, out: &mut Vec<Predicate>) -> Result<(), SelectorError> {
        if let Some(counting) = shape::counting(expr) {
            out.push(counting);
            return Ok(());
        }
        let (position, size) = uses_position(expr);
        if expr.kind() == Type::Number {
            let op = self.op(expr)?;
            out.push(Predicate::Number(op));
            return Ok(());
        }
        if position || size {
            let op = self.op(expr)?;
            out.push(Predicate::Positional(op));
            return Ok(());
        }
        if let Expr::And(all) = expr {
            // Without positions, `[a and b]` is `[a][b]`.
            for part in super::simplify::without_implied(all) {
                let op = self.condition(&part)?;
                out.push(self.tested(op));
            }
            return Ok(());
        }
        let op = self.condition(expr)?;
        out.push(self.tested(op));
        Ok(())
    }

    fn tested(&mut self, op: OpId) -> Predicate {
        match self.plan.ops[op as usize] {
            Op::Attribute(test) => Predicate::Attribute(test),
            _ => Predicate::Test(op),
        }
    }
}

/// What `descendant-or-self::node()/next` is in one step, if it is one.
fn fused(next: &Step) -> Option<Walk> {
    let (mut positional, mut sized) = (false, false);
    let mut counting = 0;
    for predicate in &next.predicates {
        let (position, size) = uses_position(predicate);
        let counts = position || size || predicate.kind() == Type::Number;
        positional |= counts;
        counting += usize::from(counts);
        sized |= size;
    }
    sized |= counting > 1;
    match next.axis {
        Axis::Child if !positional => Some(Walk::Along(Axis::Descendant)),
        Axis::Child if !sized => Some(Walk::ChildrenBelow),
        Axis::Descendant if !positional => Some(Walk::Along(Axis::Descendant)),
        Axis::DescendantOrSelf | Axis::Itself if !positional => Some(Walk::Along(Axis::DescendantOrSelf)),
        Axis::Attribute if !positional => Some(Walk::AttributesBelow),
        _ => None,
    }
}

/// Whether a step from several nodes can reach one node twice.
fn fans_out(walk: Walk) -> bool {
    !matches!(walk, Walk::Along(Axis::Child | Axis::Attribute | Axis::Itself | Axis::Parent | Axis::Namespace))
}

/// Children of children come in order from one node; behind a step into the depth only what stays at its nodes does.
fn keeps_order(steps: &[StepPlan]) -> bool {
    let mut deep = false;
    steps.iter().all(|step| match step.walk {
        Walk::Along(Axis::Attribute | Axis::Itself | Axis::Namespace) => true,
        Walk::Along(Axis::Child) => !deep,
        Walk::Along(Axis::Descendant | Axis::DescendantOrSelf) | Walk::AttributesBelow => {
            !std::mem::replace(&mut deep, true)
        }
        Walk::Along(Axis::FollowingSibling) => steps.len() == 1,
        _ => false,
    })
}

/// A comparison of two expressions whichever way round they stand.
pub(super) fn either_way(expr: &Expr) -> impl Iterator<Item = (Comparison, &Expr, &Expr)> {
    let sides = match expr {
        Expr::Compare(comparison, left, right) => Some((*comparison, &**left, &**right)),
        _ => None,
    };
    sides
        .into_iter()
        .flat_map(|(comparison, left, right)| [(comparison, left, right), (comparison.mirrored(), right, left)])
}
