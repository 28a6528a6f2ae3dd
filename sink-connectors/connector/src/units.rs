//! Numbers with a unit, as options of a sink's URL say them. Pure.

use std::time::Duration;

/// A hundred years: what a server adds to its clock stays far from its limit.
const DURATION_MAX_MS: u64 = 3_155_760_000_000;

/// `500ms`, `10s`, `5m`, `12h`, `30d`; never nothing.
#[must_use]
pub fn duration(text: &str) -> Option<Duration> {
    let units = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
    measured(text, &units).filter(|ms| *ms <= DURATION_MAX_MS).map(Duration::from_millis)
}

/// `512KB`, `4MB`, in units of 1024; never nothing.
#[must_use]
pub fn bytes(text: &str) -> Option<usize> {
    measured(text, &[("KB", 1 << 10), ("MB", 1 << 20)]).and_then(|count| usize::try_from(count).ok())
}

fn measured(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    digits.parse::<u64>().ok()?.checked_mul(*factor).filter(|count| *count > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_needs_its_unit_and_is_not_nothing() {
        assert_eq!(duration("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(duration("30d"), Some(Duration::from_secs(30 * 86_400)));
        assert_eq!(bytes("4MB"), Some(4 << 20));
        for text in
            ["", "30", "s", "0s", "-1s", "1.5s", "1 s", "36526d", "99999999999999999999s", "18446744073709551615d"]
        {
            assert_eq!(duration(text), None, "{text}");
        }
        assert_eq!((bytes("4"), bytes("0KB"), bytes("4mb")), (None, None, None));
    }
}
