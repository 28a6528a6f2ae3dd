//! Selectors to XPath text, step for step as parsel's `HTMLTranslator` does it: also its oddities, since they decide results
//! (`:not()` inside a conjunction, `:scope`, `+` by position).

use super::parse::{Attribute, Complex, Compound, Condition, PseudoElement, Selector};
use super::token::{Kind, Token};
use crate::xpath::error::{SelectorError, nearest};

type Translated<T> = Result<T, SelectorError>;

const UPPER: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const LOWER: &str = "abcdefghijklmnopqrstuvwxyz";

/// An expression in the making: steps so far, and the last step's node test and condition.
#[derive(Clone, Debug)]
struct Draft {
    path: String,
    element: String,
    condition: String,
}

impl Draft {
    fn and(&mut self, condition: &str) {
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
    fn name_as_condition(&mut self) {
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
fn literal(text: &str) -> String {
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

fn single_argument<'t>(arguments: &'t [Token], what: &str, at: usize) -> Translated<&'t str> {
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

const PSEUDO_CLASSES: [&str; 19] = [
    "active",
    "checked",
    "disabled",
    "empty",
    "enabled",
    "first-child",
    "first-of-type",
    "focus",
    "hover",
    "last-child",
    "last-of-type",
    "link",
    "only-child",
    "only-of-type",
    "root",
    "scope",
    "target",
    "visited",
    "nth-child",
];

fn pseudo_class(draft: &mut Draft, name: &str, at: usize) -> Translated<()> {
    let controls = "self::input or self::button or self::select or self::textarea";
    let held = "ancestor::fieldset[@disabled] and not(count(ancestor::legend | ancestor::fieldset[@disabled]/legend[1]) \
                < count(ancestor::legend) + count(ancestor::fieldset[@disabled]/legend[1]))";
    let condition = match name {
        "root" => "not(parent::*)".to_string(),
        "scope" => {
            draft.name_as_condition();
            "position() = 1".to_string()
        }
        "first-child" => "count(preceding-sibling::*) = 0".to_string(),
        "last-child" => "count(following-sibling::*) = 0".to_string(),
        "only-child" => "count(preceding-sibling::*) = 0 and count(following-sibling::*) = 0".to_string(),
        "first-of-type" | "last-of-type" | "only-of-type" => {
            let element = of_type(draft, name, at)?;
            let before = format!("count(preceding-sibling::{element}) = 0");
            let after = format!("count(following-sibling::{element}) = 0");
            match name {
                "first-of-type" => before,
                "last-of-type" => after,
                _ => format!("{before} and {after}"),
            }
        }
        "empty" => "not(*) and not(string-length())".to_string(),
        "link" => "@href and (self::a or self::link or self::area)".to_string(),
        "checked" => "(@selected and self::option) or \
                      (@checked and (self::input or self::command) and (@type = 'checkbox' or @type = 'radio'))"
            .to_string(),
        "disabled" => format!(
            "(@disabled and ({controls} or self::fieldset or self::optgroup or self::option)) or \
             (({controls}) and {held}) or (self::option and ancestor::optgroup[@disabled])"
        ),
        "enabled" => format!(
            "((self::fieldset or self::optgroup) and not(@disabled)) or \
             (({controls}) and not(@disabled) and not({held})) or \
             (self::option and not(@disabled or ancestor::optgroup[@disabled]))"
        ),
        "visited" | "hover" | "active" | "focus" | "target" => "0".to_string(),
        _ => {
            let error = SelectorError::new(at, format!("there is no pseudo-class :{name}"));
            return Err(match (name, nearest(name, PSEUDO_CLASSES)) {
                ("text" | "attr", _) => error.hint(format!("it is a pseudo-element: ::{name}")),
                (_, Some(near)) => error.hint(format!("did you mean :{near}?")),
                (_, None) => error.expected("a pseudo-class such as :first-child"),
            });
        }
    };
    draft.and(&condition);
    Ok(())
}

fn of_type<'d>(draft: &'d Draft, name: &str, at: usize) -> Translated<&'d str> {
    if draft.element == "*" || draft.element.ends_with(":*") {
        return Err(SelectorError::new(at, format!(":{name} needs the name of an element")).hint(format!("p:{name}")));
    }
    Ok(&draft.element)
}

fn function(draft: &mut Draft, name: &str, arguments: &[Token], at: usize) -> Translated<()> {
    match name {
        "nth-child" | "nth-last-child" => nth(draft, arguments, name, at, "*".to_string()),
        "nth-of-type" | "nth-last-of-type" => {
            let element = of_type(draft, name, at)?.to_string();
            nth(draft, arguments, name, at, element)
        }
        "contains" => {
            let text = single_argument(arguments, ":contains()", at)?;
            draft.and(&format!("contains(., {})", literal(text)));
            Ok(())
        }
        "lang" => {
            let language = single_argument(arguments, ":lang()", at)?;
            draft.and(&format!(
                "ancestor-or-self::*[@lang][1][starts-with(concat(translate(@lang, '{UPPER}', '{LOWER}'), '-'), {})]",
                literal(&format!("{}-", language.to_lowercase()))
            ));
            Ok(())
        }
        _ => Err(SelectorError::new(at, format!("there is no pseudo-class :{name}()"))
            .expected(":not(), :is(), :where(), :has(), :contains(), :lang() or :nth-child() and its kin")),
    }
}

/// `an+b`: how many siblings stand before (or after) the element.
fn nth(draft: &mut Draft, arguments: &[Token], name: &str, at: usize, test: String) -> Translated<()> {
    let (a, b) = series(arguments).ok_or_else(|| {
        SelectorError::new(at, format!("the argument of :{name}() is no series")).expected("odd, even, 3 or 2n+1")
    })?;
    let least = b - 1;
    if a == 1 && least <= 0 {
        return Ok(());
    }
    if a < 0 && least < 0 {
        draft.and("0");
        return Ok(());
    }
    let axis = if name.contains("last") { "following-sibling" } else { "preceding-sibling" };
    let count = format!("count({axis}::{test})");
    if a == 0 {
        draft.and(&format!("{count} = {least}"));
        return Ok(());
    }
    let mut all = Vec::new();
    if a < 0 {
        all.push(format!("{count} <= {least}"));
    } else if least > 0 {
        all.push(format!("{count} >= {least}"));
    }
    if a.abs() != 1 {
        let shift = (-least).rem_euclid(a.abs());
        let left = if shift == 0 { count } else { format!("({count} +{shift})") };
        all.push(format!("{left} mod {a} = 0"));
    }
    match all.as_slice() {
        [one] => draft.and(one),
        several => {
            let bracketed: Vec<String> = several.iter().map(|each| format!("({each})")).collect();
            draft.and(&bracketed.join(" and "));
        }
    }
    Ok(())
}

fn series(arguments: &[Token]) -> Option<(i64, i64)> {
    if arguments.iter().any(|token| token.kind == Kind::Text) {
        return None;
    }
    let text: String = arguments.iter().map(|token| token.value.as_str()).collect::<String>().to_ascii_lowercase();
    // A bound that no page reaches keeps the sums below from overflowing.
    let number = |text: &str| text.parse::<i32>().ok().map(i64::from);
    match text.as_str() {
        "odd" => return Some((2, 1)),
        "even" => return Some((2, 0)),
        _ => {}
    }
    let Some((a, b)) = text.split_once('n') else { return Some((0, number(&text)?)) };
    let a = match a {
        "" | "+" => 1,
        "-" => -1,
        a => number(a)?,
    };
    let b = if b.is_empty() { 0 } else { number(b)? };
    Some((a, b))
}
