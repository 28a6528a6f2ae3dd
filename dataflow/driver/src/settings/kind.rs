//! What a setting may be: its type with its bounds, which read a value, show one, and say what is expected.
//!
//! Knows no setting. Invariant: what `shown` gives is read again as the same value.

use super::raw::Raw;
use std::time::Duration;
use weir_frontier::policy::WithUnit;

/// The longest that one request may take: beyond it nobody is there any more.
pub(super) const HOUR: Duration = Duration::from_secs(3_600);
/// The largest body: its declared length is reserved in memory before it comes.
pub(super) const BODY_BYTES_MAX: u64 = 1 << 30;

/// A value of its type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// Nothing was chosen.
    Unset,
    Text(String),
    Truth(bool),
    /// A count, bytes, millionths of a dollar, the place in a list of choices.
    Number(u64),
    Time(Duration),
}

/// A type with its bounds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Text,
    /// The value of an HTTP header.
    Header,
    Truth,
    Count {
        min: u64,
        max: u64,
    },
    Bytes {
        min: u64,
        max: u64,
    },
    /// A duration.
    Time {
        min: Duration,
        max: Duration,
    },
    /// In millionths.
    Dollars,
    /// One of these; each with its synonyms behind it.
    OneOf(&'static [&'static [&'static str]]),
    /// Where geocodes are kept: a server, or nothing but the state.
    Cache,
}

impl Kind {
    pub const COUNT: Kind = Kind::Count { min: 0, max: u64::MAX };
    pub const BYTES: Kind = Kind::Bytes { min: 0, max: u64::MAX };
    pub const TIME: Kind = Kind::Time { min: Duration::ZERO, max: Duration::MAX };

    /// Reads a value; `scrapy`: it came under one of Scrapy's names, where a bare number of a duration means seconds.
    ///
    /// # Errors
    /// What was expected.
    pub fn read(self, raw: &Raw<'_>, scrapy: bool) -> Result<Value, String> {
        let expected = || self.expected();
        let within = |number: u64, min: u64, max: u64| {
            (min..=max).contains(&number).then_some(Value::Number(number)).ok_or_else(expected)
        };
        match self {
            Kind::Text => raw.text().map(Value::Text).map_err(str::to_owned),
            Kind::Header => raw.header().map(Value::Text).map_err(str::to_owned),
            Kind::Truth => raw.truth().map(Value::Truth).map_err(str::to_owned),
            Kind::Count { min, max } => within(raw.integer().map_err(|_| expected())?, min, max),
            Kind::Bytes { min, max } => within(raw.bytes().map_err(|_| expected())?, min, max),
            Kind::Time { min, max } => {
                let time = raw.duration(scrapy).map_err(|_| expected())?;
                (min..=max).contains(&time).then_some(Value::Time(time)).ok_or_else(expected)
            }
            Kind::Dollars => raw.dollars().map(Value::Number).map_err(str::to_owned),
            Kind::OneOf(choices) => {
                let text = raw.text().map_err(|_| expected())?;
                let at = choices.iter().position(|words| words.iter().any(|word| word.eq_ignore_ascii_case(&text)));
                at.map(|at| Value::Number(at as u64)).ok_or_else(expected)
            }
            Kind::Cache => match raw.text().map_err(|_| expected())? {
                text if text == EMBEDDED => Ok(Value::Unset),
                text if text.starts_with("redis://") || text.starts_with("rediss://") => Ok(Value::Text(text)),
                _ => Err(expected()),
            },
        }
    }

    /// A value as it is written; `None`: nothing was chosen.
    pub fn shown(self, value: &Value) -> Option<String> {
        Some(match (self, value) {
            (Kind::Cache, Value::Unset) => EMBEDDED.to_owned(),
            (_, Value::Unset) => return None,
            (Kind::Bytes { .. }, Value::Number(bytes)) => bytes_text(*bytes),
            (Kind::Dollars, Value::Number(0)) => "0".to_owned(),
            (Kind::Dollars, Value::Number(micros)) => format!("{:.2}", *micros as f64 / 1e6),
            (Kind::OneOf(choices), Value::Number(at)) => choices[*at as usize][0].to_owned(),
            (_, Value::Number(number)) => number.to_string(),
            (_, Value::Text(text)) => text.clone(),
            (_, Value::Truth(truth)) => truth.to_string(),
            (_, Value::Time(time)) => WithUnit(*time).to_string(),
        })
    }

    /// The type in a few characters.
    pub fn name(self) -> String {
        match self {
            Kind::Text | Kind::Header => "text".to_owned(),
            Kind::Truth => "true or false".to_owned(),
            Kind::Count { max: u64::MAX, .. } => "number".to_owned(),
            Kind::Count { min, max } => format!("{min} to {max}"),
            Kind::Bytes { min: 0, max: u64::MAX } => "bytes".to_owned(),
            Kind::Bytes { min, max: u64::MAX } => format!("bytes, from {}", bytes_text(min)),
            Kind::Bytes { min, max } => format!("bytes, {} to {}", bytes_text(min), bytes_text(max)),
            Kind::Time { max: Duration::MAX, .. } => "time".to_owned(),
            Kind::Time { min, max } => format!("time, {} to {}", WithUnit(min), WithUnit(max)),
            Kind::Dollars => "dollars".to_owned(),
            Kind::OneOf(choices) => choices.iter().map(|words| words[0]).collect::<Vec<_>>().join(", "),
            Kind::Cache => "redis URL, embedded".to_owned(),
        }
    }

    /// What would be right, for a sentence.
    fn expected(self) -> String {
        match self {
            Kind::Text => "a text".to_owned(),
            Kind::Header => "printable ASCII, as the value of an HTTP header".to_owned(),
            Kind::Truth => "true or false".to_owned(),
            Kind::Count { min: 0, max: u64::MAX } => "a whole number, 0 or greater".to_owned(),
            Kind::Count { min, max } => format!("a whole number from {min} to {max}"),
            Kind::Bytes { min: 0, max: u64::MAX } => "a number of bytes, such as 1048576 or \"10MiB\"".to_owned(),
            Kind::Bytes { min, max: u64::MAX } => format!("a number of bytes, at least {}", bytes_text(min)),
            Kind::Bytes { min, max } => {
                format!("a number of bytes from {} to {}, such as \"10MiB\"", bytes_text(min), bytes_text(max))
            }
            Kind::Time { max: Duration::MAX, .. } => {
                "a duration with its unit, such as \"15s\", \"2m\" or \"30d\"".to_owned()
            }
            Kind::Time { min, max } => {
                let (min, max) = (WithUnit(min), WithUnit(max));
                format!("a duration with its unit from {min} to {max}, such as \"{max}\"")
            }
            Kind::Dollars => "a number of dollars, 0 or greater, such as 5.00".to_owned(),
            Kind::OneOf(choices) => {
                let words: Vec<&str> = choices.iter().map(|words| words[0]).collect();
                let (last, others) = words.split_last().expect("there is a choice");
                format!("{} or {last}", others.join(", "))
            }
            Kind::Cache => "a redis:// or rediss:// URL, or \"embedded\"".to_owned(),
        }
    }
}

/// No cache but the state.
const EMBEDDED: &str = "embedded";

/// In the largest unit in which it is whole.
fn bytes_text(bytes: u64) -> String {
    let units = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
    let found = units.iter().find(|(_, bits)| bytes > 0 && bytes.trailing_zeros() >= *bits);
    found.map_or_else(|| bytes.to_string(), |(unit, bits)| format!("{}{unit}", bytes >> bits))
}
