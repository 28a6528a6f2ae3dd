//! Conditions of hooks, in a part of CEL (the Common Expression Language): comparisons, logic, membership, a few functions.
//!
//! Decides what a condition means; knows nothing of pages. Pure: it ends, changes nothing and asks nobody. Invariants: a condition that
//! was read names only values that its hook has; what cannot be compared is an error of that one evaluation, and as in CEL an error beside
//! `false &&` or `true ||` does not count.

mod read;

pub(crate) use read::read;
use regex::Regex;
use serde_json::Value as Json;
use std::borrow::Cow;
use weir_model::Value;

/// A value that a condition can ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Variable {
    /// A field of the item.
    Field(usize),
    /// Of the request.
    Url,
    Priority,
    /// The item type that the request's page yields; empty: none.
    Parse,
    /// A start URL's number, from 0.
    Index,
    ResponseUrl,
    ResponseStatus,
    Spider,
    Carry(Box<str>),
    Arg(Box<str>),
}

/// A condition.
#[derive(Debug)]
pub(crate) struct Condition(Node);

#[derive(Debug)]
pub(crate) enum Node {
    Literal(Literal),
    Variable(Variable),
    /// A value of an object.
    Member(Box<Node>, Box<str>),
    List(Vec<Node>),
    Not(Box<Node>),
    And(Box<Node>, Box<Node>),
    Or(Box<Node>, Box<Node>),
    Compare(Operator, Box<Node>, Box<Node>),
    In(Box<Node>, Box<Node>),
    Text(TextTest, Box<Node>, Box<Node>),
    Matches(Box<Node>, Regex),
    Has(Box<Node>),
    Size(Box<Node>),
    Lower(Box<Node>),
}

#[derive(Clone, Debug)]
pub(crate) enum Literal {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Box<str>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TextTest {
    Contains,
    StartsWith,
    EndsWith,
}

/// A value while a condition is judged.
#[derive(Clone, Debug)]
pub(crate) enum Seen<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Cow<'a, str>),
    List(Vec<Seen<'a>>),
    Object(&'a serde_json::Map<String, Json>),
}

impl<'a> Seen<'a> {
    /// A value of an item.
    pub fn of(value: &'a Value) -> Seen<'a> {
        match value {
            Value::Null => Seen::Null,
            Value::Str(text) => Seen::Text(Cow::Borrowed(text)),
            Value::Int(number) => Seen::Int(*number),
            Value::Float(number) => Seen::Float(*number),
            Value::Bool(truth) => Seen::Bool(*truth),
            Value::Datetime(ms) => Seen::Text(Cow::Owned(crate::convert::rfc3339(*ms))),
            Value::Geo { lat, lon } => Seen::List(vec![Seen::Float(*lat), Seen::Float(*lon)]),
            Value::List(values) => Seen::List(values.iter().map(Seen::of).collect()),
            Value::Json(json) => Seen::of_json(json),
        }
    }

    /// A JSON value.
    pub fn of_json(json: &'a Json) -> Seen<'a> {
        match json {
            Json::Null => Seen::Null,
            Json::Bool(truth) => Seen::Bool(*truth),
            Json::Number(number) => match number.as_i64() {
                Some(number) => Seen::Int(number),
                None => number.as_f64().map_or(Seen::Null, Seen::Float),
            },
            Json::String(text) => Seen::Text(Cow::Borrowed(text)),
            Json::Array(list) => Seen::List(list.iter().map(Seen::of_json).collect()),
            Json::Object(map) => Seen::Object(map),
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Seen::Null => "null",
            Seen::Bool(_) => "a bool",
            Seen::Int(_) | Seen::Float(_) => "a number",
            Seen::Text(_) => "a text",
            Seen::List(_) => "a list",
            Seen::Object(_) => "an object",
        }
    }

    fn number(&self) -> Option<f64> {
        match self {
            Seen::Int(number) => Some(*number as f64),
            Seen::Float(number) => Some(*number),
            _ => None,
        }
    }

    fn equals(&self, other: &Seen<'_>) -> bool {
        match (self, other) {
            (Seen::Null, Seen::Null) => true,
            (Seen::Bool(one), Seen::Bool(two)) => one == two,
            (Seen::Int(one), Seen::Int(two)) => one == two,
            (Seen::Text(one), Seen::Text(two)) => one == two,
            (Seen::List(one), Seen::List(two)) => {
                one.len() == two.len() && one.iter().zip(two).all(|(one, two)| one.equals(two))
            }
            (Seen::Object(one), Seen::Object(two)) => one == two,
            _ => self.number().is_some_and(|one| other.number() == Some(one)),
        }
    }

    fn order(&self, other: &Seen<'_>) -> Result<std::cmp::Ordering, String> {
        let order = match (self, other) {
            (Seen::Int(one), Seen::Int(two)) => Some(one.cmp(two)),
            (Seen::Text(one), Seen::Text(two)) => Some(one.cmp(two)),
            _ => self.number().zip(other.number()).and_then(|(one, two)| one.partial_cmp(&two)),
        };
        order.ok_or_else(|| format!("{} and {} have no order", self.kind(), other.kind()))
    }
}

impl Condition {
    /// Whether it holds. `Err` says why nobody can tell.
    pub fn holds<'a>(&'a self, value: &dyn Fn(&Variable) -> Seen<'a>) -> Result<bool, String> {
        truth(&self.0, value)
    }
}

fn truth<'a>(node: &'a Node, value: &dyn Fn(&Variable) -> Seen<'a>) -> Result<bool, String> {
    match judge(node, value)? {
        Seen::Bool(truth) => Ok(truth),
        other => Err(format!("{} where true or false is needed", other.kind())),
    }
}

fn judge<'a>(node: &'a Node, value: &dyn Fn(&Variable) -> Seen<'a>) -> Result<Seen<'a>, String> {
    Ok(match node {
        Node::Literal(literal) => match literal {
            Literal::Null => Seen::Null,
            Literal::Bool(truth) => Seen::Bool(*truth),
            Literal::Int(number) => Seen::Int(*number),
            Literal::Float(number) => Seen::Float(*number),
            Literal::Text(text) => Seen::Text(Cow::Borrowed(text)),
        },
        Node::Variable(variable) => value(variable),
        Node::Member(of, name) => match judge(of, value)? {
            Seen::Object(map) => map.get(name.as_ref()).map_or(Seen::Null, Seen::of_json),
            Seen::Null => Seen::Null,
            other => return Err(format!("{} has no {name}", other.kind())),
        },
        Node::List(nodes) => Seen::List(nodes.iter().map(|node| judge(node, value)).collect::<Result<_, _>>()?),
        Node::Not(node) => Seen::Bool(!truth(node, value)?),
        Node::And(one, two) => Seen::Bool(either(truth(one, value), || truth(two, value), false)?),
        Node::Or(one, two) => Seen::Bool(either(truth(one, value), || truth(two, value), true)?),
        Node::Compare(operator, one, two) => {
            let (one, two) = (judge(one, value)?, judge(two, value)?);
            Seen::Bool(match operator {
                Operator::Equal => one.equals(&two),
                Operator::Unequal => !one.equals(&two),
                Operator::Less => one.order(&two)?.is_lt(),
                Operator::LessOrEqual => one.order(&two)?.is_le(),
                Operator::Greater => one.order(&two)?.is_gt(),
                Operator::GreaterOrEqual => one.order(&two)?.is_ge(),
            })
        }
        Node::In(one, two) => {
            let one = judge(one, value)?;
            Seen::Bool(match (judge(two, value)?, &one) {
                (Seen::List(list), one) => list.iter().any(|other| other.equals(one)),
                (Seen::Object(map), Seen::Text(name)) => map.contains_key(name.as_ref()),
                (other, _) => return Err(format!("nothing is `in` {}", other.kind())),
            })
        }
        Node::Text(test, one, two) => {
            let (one, two) = (text(judge(one, value)?)?, text(judge(two, value)?)?);
            Seen::Bool(match test {
                TextTest::Contains => one.contains(two.as_ref()),
                TextTest::StartsWith => one.starts_with(two.as_ref()),
                TextTest::EndsWith => one.ends_with(two.as_ref()),
            })
        }
        Node::Matches(one, regex) => Seen::Bool(regex.is_match(&text(judge(one, value)?)?)),
        Node::Has(one) => Seen::Bool(!matches!(judge(one, value)?, Seen::Null)),
        Node::Size(one) => Seen::Int(match judge(one, value)? {
            Seen::Text(text) => text.chars().count() as i64,
            Seen::List(list) => list.len() as i64,
            Seen::Object(map) => map.len() as i64,
            other => return Err(format!("{} has no size", other.kind())),
        }),
        Node::Lower(one) => Seen::Text(Cow::Owned(text(judge(one, value)?)?.to_ascii_lowercase())),
    })
}

fn text(value: Seen<'_>) -> Result<Cow<'_, str>, String> {
    match value {
        Seen::Text(text) => Ok(text),
        other => Err(format!("{} is no text", other.kind())),
    }
}

/// `&&` (`decides` is false) and `||` (true): one side that decides is enough, even if the other is an error.
fn either(
    one: Result<bool, String>,
    two: impl FnOnce() -> Result<bool, String>,
    decides: bool,
) -> Result<bool, String> {
    if one == Ok(decides) {
        return Ok(decides);
    }
    match (one, two()) {
        (_, Ok(two)) if two == decides => Ok(decides),
        (Err(error), _) | (_, Err(error)) => Err(error),
        (Ok(_), Ok(_)) => Ok(!decides),
    }
}
