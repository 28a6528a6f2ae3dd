//! A setting's value as it was written, and the types it may be read as.
//!
//! Decides what counts as a number, a truth, a duration or a number of bytes. Knows no setting. A value that does not fit is
//! answered with what was expected, in words for a person.

use std::time::Duration;
use weir_frontier::policy::parse_duration;

/// A value before its type is known: from TOML, or as typed on the command line.
#[derive(Clone, Debug)]
pub(super) enum Raw<'a> {
    Toml(&'a toml::Value),
    Text(&'a str),
}

impl Raw<'_> {
    pub fn shown(&self) -> String {
        match self {
            Raw::Toml(value) => value.to_string(),
            Raw::Text(text) => (*text).to_owned(),
        }
    }

    /// True of 0, 0s, 0MiB and the like.
    pub fn is_zero(&self) -> bool {
        let shown = self.shown();
        let text = shown.trim_matches('"');
        text.starts_with('0') && !text.contains(|c: char| matches!(c, '1'..='9' | '-'))
    }

    pub fn integer(&self) -> Result<u64, &'static str> {
        let number = match self {
            Raw::Toml(toml::Value::Integer(number)) => u64::try_from(*number).ok(),
            Raw::Toml(_) => None,
            Raw::Text(text) => text.replace('_', "").parse().ok(),
        };
        number.ok_or("a whole number, 0 or greater")
    }

    /// A whole number within bounds; `expected` says which.
    pub fn within(&self, min: u64, max: u64, expected: &'static str) -> Result<u64, &'static str> {
        self.integer().ok().filter(|number| (min..=max).contains(number)).ok_or(expected)
    }

    /// Dollars, in millionths.
    pub fn dollars(&self) -> Result<u64, &'static str> {
        let expected = "a number of dollars, 0 or greater, such as 5.00";
        let dollars = match self {
            Raw::Toml(toml::Value::Integer(whole)) => *whole as f64,
            Raw::Toml(toml::Value::Float(dollars)) => *dollars,
            Raw::Toml(_) => return Err(expected),
            Raw::Text(text) => text.trim().trim_start_matches('$').parse().map_err(|_| expected)?,
        };
        if !(0.0..=1e9).contains(&dollars) {
            return Err(expected);
        }
        Ok((dollars * 1e6).round() as u64)
    }

    pub fn truth(&self) -> Result<bool, &'static str> {
        match self {
            Raw::Toml(toml::Value::Boolean(truth)) => Ok(*truth),
            // On a command line people write what they are used to.
            Raw::Text(text) => match text.to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" | "1" => Ok(true),
                "false" | "no" | "off" | "0" => Ok(false),
                _ => Err("true or false"),
            },
            _ => Err("true or false"),
        }
    }

    pub fn text(&self) -> Result<String, &'static str> {
        match self {
            Raw::Toml(toml::Value::String(text)) => Ok(text.clone()),
            Raw::Toml(_) => Err("a text"),
            Raw::Text(text) => Ok((*text).to_owned()),
        }
    }

    /// The value of a header: printable ASCII.
    pub fn header(&self) -> Result<String, &'static str> {
        let text = self.text()?;
        let fits = !text.trim().is_empty() && text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        if fits { Ok(text) } else { Err("printable ASCII, as the value of an HTTP header") }
    }

    /// A duration with its unit; under a Scrapy name a bare number means seconds, as it does there.
    pub fn duration(&self, scrapy: bool) -> Result<Duration, &'static str> {
        match self.shown().parse::<f64>() {
            Ok(seconds) if scrapy => {
                Duration::try_from_secs_f64(seconds).map_err(|_| "a number of seconds, 0 or greater")
            }
            _ => self.long_duration(),
        }
    }

    /// A duration with its unit, days too.
    pub fn long_duration(&self) -> Result<Duration, &'static str> {
        let expected = "a duration with its unit, such as \"5m\" or \"30d\"";
        let text = self.text().map_err(|_| expected)?;
        match text.trim().strip_suffix('d').map(|days| days.trim().parse::<u64>()) {
            Some(Ok(days)) => days.checked_mul(86_400).map(Duration::from_secs).ok_or(expected),
            _ => parse_duration(&text).map_err(|_| expected),
        }
    }

    pub fn bytes(&self) -> Result<u64, &'static str> {
        let expected = "a number of bytes, such as 1048576 or \"10MiB\"";
        if let Ok(number) = self.integer() {
            return Ok(number);
        }
        let text = self.text().map_err(|_| expected)?;
        let units = [("GiB", 1u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];
        for (unit, factor) in units {
            if let Some(number) = text.strip_suffix(unit) {
                let number = number.trim().parse::<u64>().map_err(|_| expected)?;
                return number.checked_mul(factor).ok_or(expected);
            }
        }
        Err(expected)
    }
}
