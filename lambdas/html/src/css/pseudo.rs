//! Pseudo-classes as conditions on an element.

use super::token::{Kind, Token};
use super::translate::{Draft, LOWER, Translated, UPPER, literal, single_argument};
use crate::xpath::error::{SelectorError, nearest};

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

pub(super) fn pseudo_class(draft: &mut Draft, name: &str, at: usize) -> Translated<()> {
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

pub(super) fn function(draft: &mut Draft, name: &str, arguments: &[Token], at: usize) -> Translated<()> {
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
