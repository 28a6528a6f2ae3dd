//! Selectors to XPath text, step for step as parsel's `HTMLTranslator` does it: also its oddities, since they decide results
//! (`:not()` inside a conjunction, `:scope`, `+` by position).

use super::pseudo::{function, pseudo_class};
use super::selector::{Attribute, Complex, Compound, Condition, PseudoElement, Selector};
use super::token::{Kind, Token};
use crate::xpath::error::SelectorError;

pub(super) type Translated<T> = Result<T, SelectorError>;

pub(super) const UPPER: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
pub(super) const LOWER: &str = "abcdefghijklmnopqrstuvwxyz";

/// An expression in the making: steps so far, and the last step's node test and condition.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    path: String,
    pub element: String,
    condition: String,
}

impl Draft {
    pub(super) fn and(&mut self, condition: &str) {
        self.condition = match self.condition.is_empty() {
            true => condition.to_string(),
            false => format!("({}) and ({condition})", self.condition),
        };
    }

    fn written(&self) -> String {
        match self.condition.is_empty() {
            true => format!("{}{}", self.path, self.element),
            false => format!("{}{}[{}]", self.path, self.element, self.condition),
        }
    }

    /// Turns the node test into a condition of `*`.
    pub(super) fn name_as_condition(&mut self) {
        if self.element == "*" {
            return;
        }
        let element = std::mem::replace(&mut self.element, "*".to_string());
        let (prefix, local) = match element.split_once(':') {
            Some((prefix, local)) => (prefix, Some(local)),
            None => (element.as_str(), None),
        };
        if is_plain(prefix) && local.is_none_or(|local| local == "*" || is_plain(local)) {
            self.and(&format!("self::{element}"));
        } else {
            self.and(&format!("name() = {}", literal(&element)));
        }
    }

    fn join(&mut self, combinator: &str, other: Draft) {
        *self = Draft { path: format!("{}{combinator}{}", self.written(), other.path), ..other };
    }
}

/// A name that may stand in XPath as it is.
fn is_plain(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

/// A string constant; XPath has no escapes, so one with both kinds of quotes is put together.
pub(super) fn literal(text: &str) -> String {
    if !text.contains('\'') {
        return format!("'{text}'");
    }
    if !text.contains('"') {
        return format!("\"{text}\"");
    }
    let parts: Vec<String> = text
        .split_inclusive('\'')
        .flat_map(|piece| {
            let (before, quote) =
                piece.strip_suffix('\'').map_or((piece, None), |before| (before, Some("\"'\"".to_string())));
            let before = (!before.is_empty()).then(|| format!("'{before}'"));
            before.into_iter().chain(quote)
        })
        .collect();
    format!("concat({})", parts.join(","))
}

/// One selector as an expression relative to the node that it is asked on.
pub(super) fn selector(selector: &Selector) -> Translated<String> {
    let mut path = complex(&selector.complex)?.written();
    if let Some(element) = &selector.pseudo_element {
        path = pseudo_element(path, element)?;
    }
    Ok(format!("descendant-or-self::{path}"))
}

fn pseudo_element(mut path: String, element: &PseudoElement) -> Translated<String> {
    match (element.name.as_str(), &element.arguments) {
        ("text", None) => {
            if path == "*" {
                return Ok("text()".to_string());
            }
            match path.strip_suffix("::*/*") {
                Some(start) => Ok(format!("{start}::text()")),
                None => Ok(path + "/text()"),
            }
        }
        ("attr", Some(arguments)) => {
            let name = single_argument(arguments, "::attr()", element.at)?;
            if path.ends_with("::*/*") {
                path.truncate(path.len() - 2);
            }
            match is_plain(name) {
                true => Ok(format!("{path}/@{name}")),
                false => Ok(format!("{path}/attribute::*[name() = {}]", literal(name))),
            }
        }
        (name, arguments) => {
            let brackets = if arguments.is_some() { "()" } else { "" };
            Err(SelectorError::new(element.at, format!("there is no pseudo-element ::{name}{brackets}"))
                .expected("::text or ::attr(name)"))
        }
    }
}

pub(super) fn single_argument<'t>(arguments: &'t [Token], what: &str, at: usize) -> Translated<&'t str> {
    match arguments {
        [Token { kind: Kind::Text | Kind::Ident, value, .. }] => Ok(value),
        _ => Err(SelectorError::new(at, format!("{what} takes one argument")).expected("a name or a string in quotes")),
    }
}

fn complex(complex: &Complex) -> Translated<Draft> {
    let mut draft = compound(&complex.first)?;
    for (combinator, next) in &complex.rest {
        let next = compound(next)?;
        match combinator {
            '>' => draft.join("/", next),
            '~' => draft.join("/following-sibling::", next),
            '+' => {
                draft.join("/following-sibling::", next);
                draft.name_as_condition();
                draft.and("position() = 1");
            }
            _ if next.element == "*" && next.condition.is_empty() => draft.join("/descendant-or-self::*/", next),
            _ => draft.join("/descendant::", next),
        }
    }
    Ok(draft)
}

fn compound(compound: &Compound) -> Translated<Draft> {
    let mut draft = Draft { path: String::new(), element: "*".to_string(), condition: String::new() };
    if let Some(name) = &compound.element {
        let lower = name.to_lowercase();
        match compound.namespace.as_deref() {
            Some("*") => draft.and(&format!("local-name() = {}", literal(&lower))),
            namespace => {
                let full = namespace.map_or(lower.clone(), |prefix| format!("{prefix}:{lower}"));
                if is_plain(name) && namespace.is_none_or(is_plain) {
                    draft.element = full;
                } else {
                    draft.and(&format!("name() = {}", literal(&full)));
                }
            }
        }
    } else if let Some(prefix) = compound.namespace.as_deref().filter(|prefix| *prefix != "*") {
        draft.element = format!("{prefix}:*");
    }
    for condition in &compound.conditions {
        add(&mut draft, condition)?;
    }
    Ok(draft)
}

fn add(draft: &mut Draft, condition: &Condition) -> Translated<()> {
    match condition {
        Condition::Hash(id) => draft.and(&format!("@id = {}", literal(id))),
        Condition::Class(class) => draft.and(&includes("@class", class)),
        Condition::Attribute(attribute) => draft.and(&compared(attribute)),
        Condition::Pseudo { name, at } => return pseudo_class(draft, name, *at),
        Condition::Function { name, arguments, at } => return function(draft, name, arguments, *at),
        Condition::Not(negated) => match matched(negated, negated.rest.len())? {
            None => draft.and("0"),
            Some(condition) => draft.and(&format!("not({condition})")),
        },
        Condition::Is(list) => {
            let mut any = String::new();
            for each in list {
                let mut each = compound(each)?;
                each.name_as_condition();
                if each.condition.is_empty() {
                    // One of them matches every element.
                    return Ok(());
                }
                any = if any.is_empty() { each.condition } else { format!("({any}) or ({})", each.condition) };
            }
            draft.and(&any);
        }
        Condition::Has(list) => {
            let mut any = String::new();
            for (combinator, each) in list {
                let mut each = complex(each)?;
                let condition = match combinator {
                    '>' => format!("./{}", each.written()),
                    '~' => format!("following-sibling::{}", each.written()),
                    '+' => {
                        if each.path.is_empty() {
                            each.element = format!("self::{}", each.element);
                        } else {
                            each.path = format!("self::{}", each.path);
                        }
                        format!("following-sibling::*[1]/{}", each.written())
                    }
                    _ => format!("descendant::{}", each.written()),
                };
                any = if any.is_empty() { condition } else { format!("({any}) or ({condition})") };
            }
            draft.and(&any);
        }
    }
    Ok(())
}

/// A condition that holds for what the first `length + 1` compounds match; `None` when that is everything. Combinators are
/// walked backwards.
fn matched(complex: &Complex, length: usize) -> Translated<Option<String>> {
    let condition = |which: &Compound| {
        let mut draft = compound(which)?;
        draft.name_as_condition();
        Ok::<_, SelectorError>((!draft.condition.is_empty()).then_some(draft.condition))
    };
    let mut so_far = condition(&complex.first)?;
    for (combinator, next) in &complex.rest[..length] {
        let axis = match combinator {
            '>' => "parent::*",
            '+' => "preceding-sibling::*[1]",
            '~' => "preceding-sibling::*",
            _ => "ancestor::*",
        };
        let back = so_far.map_or(axis.to_string(), |left| format!("{axis}[{left}]"));
        so_far = Some(condition(next)?.map_or(back.clone(), |right| format!("{right} and {back}")));
    }
    Ok(so_far)
}

fn includes(attribute: &str, token: &str) -> String {
    if token.is_empty() || token.contains([' ', '\t', '\r', '\n', '\u{C}']) {
        return "0".to_string();
    }
    let (value, spaced) = (literal(token), literal(&format!(" {token} ")));
    format!(
        "{attribute} and contains({attribute}, {value}) and contains(concat(' ', normalize-space({attribute}), ' '), {spaced})"
    )
}

fn compared(attribute: &Attribute) -> String {
    let name = attribute.name.to_lowercase();
    let mut left = match attribute.namespace.as_deref() {
        Some("*") => format!("attribute::*[local-name() = {}]", literal(&name)),
        Some(prefix) if is_plain(&name) && is_plain(prefix) => format!("@{prefix}:{name}"),
        Some(prefix) => format!("attribute::*[name() = {}]", literal(&format!("{prefix}:{name}"))),
        None if is_plain(&name) => format!("@{name}"),
        None => format!("attribute::*[name() = {}]", literal(&name)),
    };
    let Some((operator, value)) = &attribute.compared else { return left };
    let mut value = value.clone();
    if attribute.ignore_case && !value.is_empty() {
        left = format!("translate({left}, '{UPPER}', '{LOWER}')");
        value = value.to_ascii_lowercase();
    }
    let right = literal(&value);
    match operator.as_str() {
        "=" => format!("{left} = {right}"),
        "!=" if value.is_empty() => format!("{left} != {right}"),
        "!=" => format!("not({left}) or {left} != {right}"),
        "~=" => includes(&left, &value),
        "|=" => format!("{left} and ({left} = {right} or starts-with({left}, {}))", literal(&format!("{value}-"))),
        _ if value.is_empty() => "0".to_string(),
        "^=" => format!("{left} and starts-with({left}, {right})"),
        "*=" => format!("{left} and contains({left}, {right})"),
        // `$=`: the parser lets no other through.
        _ => {
            let before = value.chars().count() - 1;
            format!("{left} and substring({left}, string-length({left})-{before}) = {right}")
        }
    }
}
