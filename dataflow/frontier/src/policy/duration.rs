//! Durations as people write them in files and on the command line: always with a unit.

use std::fmt;
use std::time::Duration;
use thiserror::Error;

/// Why a text is no duration.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("expected a duration such as \"500ms\", \"1.5s\", \"2m\" or \"1h\", found {found:?}{}", hint_of(.hint))]
pub struct DurationError {
    /// The text.
    pub found: String,
    /// What was probably meant.
    pub hint: Option<String>,
}

fn hint_of(hint: &Option<String>) -> String {
    hint.as_ref().map_or_else(String::new, |hint| format!(" ({hint})"))
}

const UNITS: [(&str, u64); 4] =
    [("ms", 1_000_000), ("s", 1_000_000_000), ("m", 60_000_000_000), ("h", 3_600_000_000_000)];

/// Parses a number and its unit (`ms`, `s`, `m`, `h`), to the nanosecond: `"60s"`, `"1.5 h"`.
///
/// # Errors
/// No number, a negative one, no unit, an unknown one, or more than 584 years.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let trimmed = text.trim();
    let error = |hint: Option<String>| DurationError { found: text.to_owned(), hint };
    let split = trimmed.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(trimmed.len());
    let (number, unit) = (&trimmed[..split], trimmed[split..].trim_start());
    if number.is_empty() {
        return Err(error(trimmed.starts_with('-').then(|| "not below zero".to_owned())));
    }
    let Some((_, nanos)) = UNITS.iter().find(|(name, _)| *name == unit) else {
        return Err(error(Some(match unit {
            "" => format!("a unit is missing: write \"{number}s\" for seconds"),
            "sec" | "secs" | "second" | "seconds" | "S" => format!("write \"{number}s\""),
            "min" | "mins" | "minute" | "minutes" | "M" => format!("write \"{number}m\""),
            "hour" | "hours" | "hr" | "hrs" | "H" => format!("write \"{number}h\""),
            _ => "units are ms, s, m, h".to_owned(),
        })));
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if fraction.contains('.') || (whole.is_empty() && fraction.is_empty()) {
        return Err(error(None));
    }
    let whole: u64 =
        if whole.is_empty() { 0 } else { whole.parse().map_err(|_| error(Some("too long".to_owned())))? };
    let mut total = whole.checked_mul(*nanos).ok_or_else(|| error(Some("too long".to_owned())))?;
    let mut place = *nanos;
    for digit in fraction.bytes() {
        place /= 10;
        total = total.checked_add(place * u64::from(digit - b'0')).ok_or_else(|| error(Some("too long".to_owned())))?;
    }
    Ok(Duration::from_nanos(total))
}

/// A duration as `parse_duration` reads it, in the largest unit in which it is whole (down to fractions of a millisecond).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WithUnit(pub Duration);

impl fmt::Display for WithUnit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos();
        for (name, unit) in UNITS.iter().rev() {
            if nanos.is_multiple_of(u128::from(*unit)) && (nanos > 0 || *name == "s") {
                return write!(f, "{}{name}", nanos / u128::from(*unit));
            }
        }
        let digits = format!("{:06}", nanos % 1_000_000);
        write!(f, "{}.{}ms", nanos / 1_000_000, digits.trim_end_matches('0'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_carry_a_unit() {
        for (text, millis) in [
            ("60s", 60_000),
            ("1.5s", 1_500),
            ("500ms", 500),
            ("2m", 120_000),
            (" 1 h ", 3_600_000),
            (".5s", 500),
            ("0s", 0),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        assert_eq!(parse_duration("0.1ms"), Ok(Duration::from_micros(100)));
    }

    #[test]
    fn what_is_wrong_with_a_duration_is_said() {
        let hint = |text| parse_duration(text).expect_err(text).hint;
        assert_eq!(hint("60").as_deref(), Some("a unit is missing: write \"60s\" for seconds"));
        assert_eq!(hint("5 minutes").as_deref(), Some("write \"5m\""));
        assert_eq!(hint("1d").as_deref(), Some("units are ms, s, m, h"));
        assert_eq!(hint("-1s").as_deref(), Some("not below zero"));
        assert_eq!(hint("99999999999h").as_deref(), Some("too long"));
        for text in ["", "s", ".s", "1.2.3s", "1e3s", "one second", "١s"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_written_duration_reads_as_itself(nanos in any::<u64>(), round in 0u32..12) {
            let duration = Duration::from_nanos(nanos - nanos % 10u64.pow(round));
            prop_assert_eq!(parse_duration(&WithUnit(duration).to_string()), Ok(duration));
        }

        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = parse_duration(&text);
        }
    }
}
