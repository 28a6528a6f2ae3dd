//! Numbers of the command line: read as people write them, and told what was expected.

/// A job's number.
///
/// # Errors
/// What was expected.
pub fn job(text: &str) -> Result<u64, String> {
    text.trim()
        .parse()
        .map_err(|_| "expected a job's number, such as 3: weir jobs, or the stats of a crawl, show it".to_owned())
}

/// A count from `MIN` to `MAX`: `1000000`, `1_000_000`, `1e6`.
///
/// # Errors
/// What was expected.
pub fn count<const MIN: u64, const MAX: u64>(text: &str) -> Result<u64, String> {
    let plain = text.trim().replace('_', "");
    // Up to 2^53 a float holds every whole number.
    let written = |number: f64| (number.fract() == 0.0 && (0.0..=9e15).contains(&number)).then_some(number as u64);
    let number = plain.parse().ok().or_else(|| plain.parse().ok().and_then(written));
    number
        .filter(|number| (MIN..=MAX).contains(number))
        .ok_or_else(|| format!("expected a whole number from {MIN} to {MAX}, such as {} or 1e6", MIN.max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_as_people_write_them() {
        let pages = count::<1, 1_000_000_000>;
        for text in ["1000000", "1_000_000", "1e6", "1E6", " 1000000 "] {
            assert_eq!(pages(text), Ok(1_000_000), "{text}");
        }
        for text in ["0", "2e9", "1.5", "-1", "many", "", "inf", "NaN"] {
            assert!(pages(text).is_err_and(|told| told.contains("from 1 to 1000000000")), "{text}");
        }
        assert_eq!(job("3"), Ok(3));
        assert!(job("x").is_err_and(|told| told.contains("a job's number")));
    }
}
