//! What a condition means for the type of its field: the same for every sink. Pure.
//!
//! A sink may ask its server with it (`wanted`, `comparison`) or look at what it has read (`holds`); both give the same answer.
//! Of a list one value must do; for `!=` none may be equal, and what is missing is not equal. A day stands for all its instants
//! in UTC. Text is compared by its characters' numbers, capitals and all; `~` asks for whole words, whatever their capitals.

use crate::words;
use crate::{Comparison, Condition, ErrorClass, SinkError};
use serde_json::Value as Json;
use std::cmp::Ordering;
use weir_model::{Field, FieldKind};

/// A condition's value, by the type of its field.
#[derive(Clone, Debug, PartialEq)]
pub enum Wanted {
    /// A whole number.
    Int(i64),
    /// Another number.
    Float(f64),
    /// True or false.
    Bool(bool),
    /// Text, or a date, which sorts as text.
    Text(String),
    /// Words, in small letters.
    Words(Vec<String>),
    /// Instants from the first to the last, milliseconds since the Unix epoch.
    Span(i64, i64),
}

/// A condition that fits its field.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter {
    /// The field.
    pub field: Field,
    /// How it stands to the value.
    pub comparison: Comparison,
    /// The value.
    pub wanted: Wanted,
}

const DAY_MS: i64 = 86_400_000;

impl Condition {
    /// Reads the condition for an item type.
    pub fn on(&self, fields: &[Field]) -> Result<Filter, SinkError> {
        let refuse = |what: String, expected: String| {
            let todo = "Correct the condition, for example --where 'price<=300' or --where 'title~garden'";
            SinkError::new(ErrorClass::Configuration, what, "--where", expected, todo)
        };
        let Some(field) = fields.iter().find(|field| field.name == self.field) else {
            let names: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
            return Err(refuse(format!("there is no field {:?}", self.field), names.join(", ")));
        };
        let name = &field.name;
        let ordered = !matches!(self.comparison, Comparison::Equal | Comparison::NotEqual | Comparison::Contains);
        match field.kind {
            FieldKind::GeoPoint | FieldKind::Json => {
                return Err(refuse(
                    format!("{name} is a {}", crate::fields::described(field)),
                    "a field of text, numbers, true and false, or dates".to_owned(),
                ));
            }
            FieldKind::Str if self.comparison == Comparison::Contains => {
                let words = words::words(&self.value);
                if words.is_empty() {
                    return Err(refuse(format!("{name}~{} names no word", self.value), "a word or more".to_owned()));
                }
                return Ok(Filter { field: field.clone(), comparison: self.comparison, wanted: Wanted::Words(words) });
            }
            _ if self.comparison == Comparison::Contains => {
                return Err(refuse(format!("{name} holds no words"), "a field of text behind ~".to_owned()));
            }
            FieldKind::Bool if ordered => {
                return Err(refuse(format!("{name} is true or false"), "= or != behind it".to_owned()));
            }
            _ => {}
        }
        let wanted = self.typed(field.kind).ok_or_else(|| {
            let expected = match field.kind {
                FieldKind::Int | FieldKind::Float => "a number",
                FieldKind::Bool => "true or false",
                FieldKind::Date => "a date such as 2026-01-31",
                _ => "a date such as 2026-01-31, or an instant such as 2026-01-31T12:00:00Z",
            };
            refuse(format!("{name}: {:?} is no {}", self.value, crate::fields::described(field)), expected.to_owned())
        })?;
        Ok(Filter { field: field.clone(), comparison: self.comparison, wanted })
    }

    fn typed(&self, kind: FieldKind) -> Option<Wanted> {
        let value = self.value.as_str();
        let day = || Some(value).filter(|value| value.len() == 10)?.parse::<jiff::civil::Date>().ok();
        Some(match kind {
            FieldKind::Int | FieldKind::Float => match value.parse::<i64>() {
                Ok(whole) => Wanted::Int(whole),
                Err(_) => Wanted::Float(value.parse::<f64>().ok().filter(|number| number.is_finite())?),
            },
            FieldKind::Bool => Wanted::Bool(value.parse().ok()?),
            FieldKind::Date => Wanted::Text(day()?.to_string()),
            FieldKind::Datetime => match day() {
                Some(day) => {
                    let from = day.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_millisecond();
                    Wanted::Span(from, from + DAY_MS - 1)
                }
                None => {
                    let at = value.parse::<jiff::Timestamp>().ok()?.as_millisecond();
                    Wanted::Span(at, at)
                }
            },
            FieldKind::Str => Wanted::Text(value.to_owned()),
            FieldKind::GeoPoint | FieldKind::Json => return None,
        })
    }
}

impl Filter {
    /// Whether a field's value, as the item's JSON, is as the condition wants it.
    #[must_use]
    pub fn holds(&self, value: &Json) -> bool {
        let values = match value {
            Json::Null => &[],
            Json::Array(values) => values.as_slice(),
            one => std::slice::from_ref(one),
        };
        if let Wanted::Words(wanted) = &self.wanted {
            let text: Vec<&str> = values.iter().filter_map(Json::as_str).collect();
            return words::has_all(&text.join("\n"), wanted);
        }
        let any = |holds: fn(Ordering) -> bool| values.iter().any(|value| self.compare(value).is_some_and(holds));
        match self.comparison {
            Comparison::Equal => any(Ordering::is_eq),
            Comparison::NotEqual => !any(Ordering::is_eq),
            Comparison::Less => any(Ordering::is_lt),
            Comparison::LessOrEqual => any(Ordering::is_le),
            Comparison::Greater => any(Ordering::is_gt),
            Comparison::GreaterOrEqual => any(Ordering::is_ge),
            Comparison::Contains => false, // its value is words
        }
    }

    /// How one value stands to the wanted one; `None`: it is of another type.
    fn compare(&self, value: &Json) -> Option<Ordering> {
        match &self.wanted {
            Wanted::Int(wanted) => match value.as_i64() {
                Some(value) => Some(value.cmp(wanted)),
                None => value.as_f64()?.partial_cmp(&(*wanted as f64)),
            },
            Wanted::Float(wanted) => value.as_f64()?.partial_cmp(wanted),
            Wanted::Bool(wanted) => Some(value.as_bool()?.cmp(wanted)),
            Wanted::Text(wanted) => Some(value.as_str()?.cmp(wanted)),
            Wanted::Span(from, last) => {
                let at = value.as_str()?.parse::<jiff::Timestamp>().ok()?.as_millisecond();
                Some(if at < *from {
                    Ordering::Less
                } else if at > *last {
                    Ordering::Greater
                } else {
                    Ordering::Equal
                })
            }
            Wanted::Words(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn holds(condition: &str, value: Json) -> bool {
        let filter = Condition::parse(condition).and_then(|condition| condition.on(&crate::contract::schema().fields));
        filter.expect("a right condition").holds(&value)
    }

    #[test]
    fn a_condition_means_what_its_fields_type_says() {
        for (condition, value, expected) in [
            ("price<=300", json!(300.0), true),
            ("price<300", json!(300.0), false),
            ("price>299.5", json!(300.0), true),
            ("rooms>2.5", json!(3), true),
            ("rooms=2.5", json!(2), false),
            ("rooms!=3", json!(null), true),
            ("rooms=3", json!(null), false),
            ("url=http://h/A", json!("http://h/a"), false),
            ("url<http://h/b", json!("http://h/a"), true),
            ("url~H garden", json!("Garden\nh"), true),
            ("tags=c", json!(["b", "c"]), true),
            ("tags!=c", json!(["b", "c"]), false),
            ("tags~big shed", json!(["a shed", "Big"]), true),
            ("new=true", json!(true), true),
            ("new!=true", json!(true), false),
            ("seen=2015-01-01", json!("2015-01-01T23:59:59.999Z"), true),
            ("seen>2015-01-01", json!("2015-01-01T23:59:59.999Z"), false),
            ("seen>2015-01-01", json!("2015-01-02T00:00:00Z"), true),
            ("seen<=2015-01-01", json!("2015-01-01T23:59:59.999Z"), true),
            ("seen<2015-01-01T01:01:01Z", json!("2015-01-01T01:01:00Z"), true),
            ("seen=2015-01-01T02:01:01+01:00", json!("2015-01-01T01:01:01Z"), true),
        ] {
            assert_eq!(holds(condition, value.clone()), expected, "{condition} of {value}");
        }
    }

    #[test]
    fn what_cannot_be_asked_is_refused_by_name() {
        for (condition, word) in [
            ("prise<3", "prise"),
            ("price<cheap", "cheap"),
            ("seen<soon", "soon"),
            ("seen<2015", "2015"),
            ("new=yes", "yes"),
            ("new<true", "true or false"),
            ("location=1", "geo_point"),
            ("extra=1", "json"),
            ("price~3", "no words"),
            ("url~-", "no word"),
        ] {
            let read = Condition::parse(condition).expect("it is one");
            let error = read.on(&crate::contract::schema().fields).expect_err(condition);
            assert!(error.class == ErrorClass::Configuration && error.what.contains(word), "{condition}: {error}");
        }
    }
}
