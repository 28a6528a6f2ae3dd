//! A calendar day, for the date knob and for `Last-Modified`. No clock: days come from paths.

use jiff::civil::Date;

/// A day of the Gregorian calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day(Date);

impl Day {
    /// Reads `YYYY-MM-DD`; `None` when it is no day.
    pub fn parse(text: &str) -> Option<Day> {
        // `Date` accepts more spellings (a time, a sign) than a path of the site has.
        let shape = text.len() == 10 && text.bytes().enumerate().all(|(at, b)| matches!(at, 4 | 7) == (b == b'-'));
        if shape { text.parse().ok().map(Day) } else { None }
    }

    /// The day `count` days later (earlier when negative), within the years that `jiff` knows.
    pub fn plus(self, count: i64) -> Option<Day> {
        self.0.checked_add(jiff::Span::new().try_days(count).ok()?).ok().map(Day)
    }

    /// Days since 1970-01-01.
    pub fn number(self) -> i64 {
        self.0.duration_since(jiff::civil::date(1970, 1, 1)).as_hours() / 24
    }

    /// `Sat, 21 Nov 2026 00:00:00 GMT` (RFC 9110, 5.6.7), for the first second of the day.
    pub(crate) fn push_http(self, out: &mut String) {
        const WEEKDAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
        const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let weekday = self.0.weekday().to_monday_zero_offset();
        out.push_str(WEEKDAYS[usize::try_from(weekday).expect("0 to 6")]);
        out.push_str(", ");
        super::push_number(out, i64::from(self.0.day()).unsigned_abs(), 2);
        out.push(' ');
        out.push_str(MONTHS[usize::try_from(self.0.month() - 1).expect("0 to 11")]);
        out.push(' ');
        super::push_number(out, i64::from(self.0.year()).unsigned_abs(), 4);
        out.push_str(" 00:00:00 GMT");
    }

    /// A fixed day, from which others are counted: 2026-01-01.
    pub(crate) fn base() -> Day {
        Day(jiff::civil::date(2026, 1, 1))
    }
}

impl std::fmt::Display for Day {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_read_and_written() {
        let day = Day::parse("2026-11-21").unwrap();
        assert_eq!(day.to_string(), "2026-11-21");
        let mut text = String::new();
        day.push_http(&mut text);
        assert_eq!(text, "Sat, 21 Nov 2026 00:00:00 GMT");
        assert_eq!(Day::parse("1970-01-02").unwrap().number(), 1);
        assert_eq!(Day::parse("1969-12-31").unwrap().number(), -1);
        assert_eq!(day.plus(10).unwrap().to_string(), "2026-12-01");
        for wrong in ["2026-13-01", "2026-2-1", "20261121", "2026-11-21T00", "", "2026-11-3x"] {
            assert_eq!(Day::parse(wrong), None, "{wrong}");
        }
    }
}
