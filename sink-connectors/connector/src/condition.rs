//! A condition on a field as a person writes it behind `--where`: `price<=300`, `town=London`, `title~garden`. Pure.
//!
//! What it means is decided in `filter`, once for all sinks.

use crate::{ErrorClass, SinkError};

/// How a field stands to a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `!=`; a missing value is not equal.
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `~`: text that holds all the words.
    Contains,
}

/// One condition; several are all to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// The field's name.
    pub field: String,
    /// See there.
    pub comparison: Comparison,
    /// The value as text.
    pub value: String,
}

/// Longer ones first.
const SIGNS: [(&str, Comparison); 7] = [
    ("!=", Comparison::NotEqual),
    ("<=", Comparison::LessOrEqual),
    (">=", Comparison::GreaterOrEqual),
    ("=", Comparison::Equal),
    ("<", Comparison::Less),
    (">", Comparison::Greater),
    ("~", Comparison::Contains),
];

impl Condition {
    /// Reads field, sign and value; the value may stand in quotes.
    pub fn parse(text: &str) -> Result<Condition, SinkError> {
        let wrong = || {
            SinkError::new(
                ErrorClass::Configuration,
                format!("{text:?} is no condition"),
                "--where",
                "a field, one of = != < <= > >= ~, and a value",
                "Write for example --where 'price<=300' or --where 'title~garden'",
            )
        };
        let at = text.find(['!', '<', '>', '=', '~']).ok_or_else(wrong)?;
        let (field, rest) = text.split_at(at);
        let (sign, comparison) = SIGNS.into_iter().find(|(sign, _)| rest.starts_with(sign)).ok_or_else(wrong)?;
        let (field, value) = (field.trim(), rest[sign.len()..].trim());
        let unquoted = ['"', '\''].into_iter().find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote));
        if field.is_empty() || value.is_empty() {
            return Err(wrong());
        }
        Ok(Condition { field: field.to_owned(), comparison, value: unquoted.unwrap_or(value).to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_read_as_people_write_them() {
        for (text, field, comparison, value) in [
            ("price<=300", "price", Comparison::LessOrEqual, "300"),
            ("price < 300", "price", Comparison::Less, "300"),
            ("town = 'St. John''s'", "town", Comparison::Equal, "St. John''s"),
            ("title~two beds", "title", Comparison::Contains, "two beds"),
            ("town!=London", "town", Comparison::NotEqual, "London"),
            ("note=\"\"", "note", Comparison::Equal, ""),
            ("url=http://h/?a=b", "url", Comparison::Equal, "http://h/?a=b"),
            ("rooms>=-1", "rooms", Comparison::GreaterOrEqual, "-1"),
        ] {
            let expected = Condition { field: field.to_owned(), comparison, value: value.to_owned() };
            assert_eq!(Condition::parse(text), Ok(expected), "{text}");
        }
        for text in ["", "price", "=3", "price=", "price!3"] {
            assert!(Condition::parse(text).unwrap_err().todo.contains("price<=300"), "{text}");
        }
    }
}
