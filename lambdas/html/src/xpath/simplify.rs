//! Recognises the shapes that real selectors are made of (SPIDERS-IN-THE-WILD.md): `@a="x"`, `contains(@class, "x")`,
//! the class-token idiom, `[n]`, `[last()]`. Each rewriting keeps the meaning exactly.

use super::ast::{Comparison, Expr, Start};
use super::compile::{Compiler, either_way};
use super::functions::Function;
use super::plan::{AttributeTest, Blanks, How};

/// Shapes of single expressions.
pub(super) mod shape {
    use super::super::ast::{Axis, Comparison, Expr, Path, Start, Test};
    use super::super::compile::either_way;
    use super::super::functions::Function;
    use super::super::plan::Predicate;

    /// `@name` of the context node.
    pub(crate) fn own_attribute(expr: &Expr) -> Option<&str> {
        match expr {
            Expr::Path(Path { start: Start::Context, steps }) => match steps.as_slice() {
                [step] if step.axis == Axis::Attribute && step.predicates.is_empty() => match &step.test {
                    Test::Name(name) => Some(name),
                    _ => None,
                },
                _ => None,
            },
            _ => None,
        }
    }

    /// `count(nodes) = 0`, `> 0` and the like: whether there is any decides.
    pub(crate) fn any_or_none(expr: &Expr) -> Option<(&Expr, bool)> {
        either_way(expr).find_map(|(comparison, left, right)| {
            let (Expr::Call(Function::Count, nodes, _), Expr::Number(bound)) = (left, right) else { return None };
            let wanted = match comparison {
                Comparison::Equal | Comparison::LessOrEqual if *bound == 0.0 => false,
                Comparison::NotEqual | Comparison::Greater if *bound == 0.0 => true,
                Comparison::Less if *bound == 1.0 => false,
                Comparison::GreaterOrEqual if *bound == 1.0 => true,
                _ => return None,
            };
            Some((nodes.first()?, wanted))
        })
    }

    /// Predicates that only count.
    pub(crate) fn counting(expr: &Expr) -> Option<Predicate> {
        if let Expr::Number(value) = expr {
            return Some(index(*value));
        }
        if is(expr, Function::Last) {
            return Some(Predicate::Last);
        }
        either_way(expr).find_map(|(comparison, left, right)| {
            if !is(left, Function::Position) {
                return None;
            }
            match (comparison, right) {
                (Comparison::Equal, Expr::Number(value)) => Some(index(*value)),
                (Comparison::Equal, other) if is(other, Function::Last) => Some(Predicate::Last),
                (Comparison::LessOrEqual, Expr::Number(value)) => Some(upto(value.floor())),
                (Comparison::Less, Expr::Number(value)) => Some(upto(value.ceil() - 1.0)),
                _ => None,
            }
        })
    }

    pub(crate) fn is(expr: &Expr, wanted: Function) -> bool {
        matches!(expr, Expr::Call(function, ..) if *function == wanted)
    }

    /// Positions are whole: any other number is never reached, as position 0 is not.
    fn index(value: f64) -> Predicate {
        let whole = value.fract() == 0.0 && (1.0..4e9).contains(&value);
        Predicate::Index(if whole { value as u32 } else { 0 })
    }

    fn upto(value: f64) -> Predicate {
        Predicate::Upto(if value >= 1.0 { value.min(4e9) as u32 } else { 0 })
    }
}

/// Whether an expression depends on the position and on the size of its own context (not of predicates inside it).
pub(super) fn uses_position(expr: &Expr) -> (bool, bool) {
    let over = |exprs: &[Expr]| exprs.iter().map(uses_position).fold((false, false), |a, b| (a.0 || b.0, a.1 || b.1));
    match expr {
        Expr::Number(_) | Expr::Text(_) | Expr::Boolean(_) => (false, false),
        Expr::Path(path) => match &path.start {
            Start::Filter(base, _) => uses_position(base),
            Start::Context | Start::Root => (false, false),
        },
        Expr::Or(parts) | Expr::And(parts) | Expr::Union(parts) => over(parts),
        Expr::Compare(_, left, right) | Expr::Arithmetic(_, left, right) => {
            let (a, b) = (uses_position(left), uses_position(right));
            (a.0 || b.0, a.1 || b.1)
        }
        Expr::Negate(inner) => uses_position(inner),
        Expr::Call(Function::Position, ..) => (true, false),
        Expr::Call(Function::Last, ..) => (false, true),
        Expr::Call(_, arguments, _) => over(arguments),
    }
}

/// The same question as a comparison of one attribute's bytes, if it is one.
pub(super) fn attribute_test(compiler: &mut Compiler, expr: &Expr) -> Option<AttributeTest> {
    let (name, how, text) = attribute_shape(expr)?;
    Some(AttributeTest { name: compiler.name(name), how, text: compiler.text(text) })
}

fn attribute_shape(expr: &Expr) -> Option<(&str, How, &str)> {
    if let Some(found) = either_way(expr).find_map(|(comparison, left, right)| {
        let how = match comparison {
            Comparison::Equal => How::Equal,
            Comparison::NotEqual => How::NotEqual,
            _ => return None,
        };
        match right {
            Expr::Text(text) => Some((shape::own_attribute(left)?, how, text.as_str())),
            _ => None,
        }
    }) {
        return Some(found);
    }
    let Expr::Call(function, arguments, _) = expr else { return None };
    match (function, arguments.as_slice()) {
        // An empty string is found in a missing attribute too.
        (Function::Contains | Function::StartsWith, [_, Expr::Text(text)]) if text.is_empty() => None,
        (Function::Contains, [hay, Expr::Text(text)]) => match shape::own_attribute(hay) {
            Some(name) => Some((name, How::Contains, text)),
            None => class_token(hay, text),
        },
        (Function::StartsWith, [hay, Expr::Text(text)]) => Some((shape::own_attribute(hay)?, How::StartsWith, text)),
        (Function::HasClass, [Expr::Text(class)]) if is_token(class) => {
            Some(("class", How::Token(Blanks::Html), class))
        }
        _ => None,
    }
}

/// `contains(concat(" ", normalize-space(@class), " "), " x ")`, also without `normalize-space`.
fn class_token<'e>(hay: &'e Expr, text: &'e str) -> Option<(&'e str, How, &'e str)> {
    let token = text.strip_prefix(' ')?.strip_suffix(' ')?;
    let Expr::Call(Function::Concat, parts, _) = hay else { return None };
    let [Expr::Text(before), middle, Expr::Text(after)] = parts.as_slice() else { return None };
    if before != " " || after != " " || !is_token(token) {
        return None;
    }
    match middle {
        Expr::Call(Function::NormalizeSpace, inner, _) => {
            let [attribute] = inner.as_slice() else { return None };
            Some((shape::own_attribute(attribute)?, How::Token(Blanks::XPath), token))
        }
        attribute => Some((shape::own_attribute(attribute)?, How::Token(Blanks::Space), token)),
    }
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && !text.bytes().any(|byte| Blanks::Html.has(byte))
}

/// A conjunction without the parts that another part implies: what CSS translation writes for a class asks thrice.
pub(super) fn without_implied(all: &[Expr]) -> Vec<Expr> {
    let implied = |part: &Expr| {
        all.iter().filter_map(attribute_shape).any(|(name, how, text)| match attribute_shape(part) {
            None => shape::own_attribute(part) == Some(name),
            Some((other, How::Contains, needle)) => other == name && needle == text && matches!(how, How::Token(_)),
            Some(_) => false,
        })
    };
    let kept: Vec<Expr> = all.iter().filter(|part| !implied(part)).cloned().collect();
    if kept.is_empty() { all.to_vec() } else { kept }
}
