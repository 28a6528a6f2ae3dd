//! Numbers as libxml2 reads and writes them, and as Python prints them (parsel shows a top-level number so).

/// Digits a double keeps through text and back.
const DIGITS: i32 = 15;
/// Fraction digits that are read; more say nothing.
const FRACTION_DIGITS_MAX: i32 = 20;

/// A number at the start of `text`, which begins with a digit or with `.` and a digit; and its length in bytes.
pub(crate) fn literal(text: &str) -> (f64, usize) {
    let bytes = text.as_bytes();
    let digit = |at: usize| bytes.get(at).filter(|b| b.is_ascii_digit()).map(|b| f64::from(b - b'0'));
    let mut at = 0;
    let mut value = 0.0;
    while let Some(d) = digit(at) {
        value = value * 10.0 + d;
        at += 1;
    }
    if bytes.get(at) == Some(&b'.') {
        at += 1;
        let mut places = 0;
        while bytes.get(at) == Some(&b'0') {
            places += 1;
            at += 1;
        }
        let most = places + FRACTION_DIGITS_MAX;
        let mut fraction = 0.0;
        while let Some(d) = digit(at) {
            if places < most {
                fraction = fraction * 10.0 + d;
                places += 1;
            }
            at += 1;
        }
        value += fraction / 10f64.powi(places);
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        at += 1;
        let negative = bytes.get(at) == Some(&b'-');
        if matches!(bytes.get(at), Some(b'-' | b'+')) {
            at += 1;
        }
        let mut exponent = 0.0;
        while let Some(d) = digit(at) {
            if exponent < 1_000_000.0 {
                exponent = exponent * 10.0 + d;
            }
            at += 1;
        }
        value *= 10f64.powf(if negative { -exponent } else { exponent });
    }
    (value, at)
}

/// XPath's `number(string)`.
pub(crate) fn from_text(text: &str) -> f64 {
    let text = text.trim_matches([' ', '\t', '\r', '\n']);
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text),
    };
    let starts = matches!(digits.as_bytes(), [b'0'..=b'9', ..] | [b'.', b'0'..=b'9', ..]);
    if !starts {
        return f64::NAN;
    }
    let (value, length) = literal(digits);
    if length == digits.len() { sign * value } else { f64::NAN }
}

/// XPath's `string(number)`, with libxml2's exponents for the very large and very small.
pub(crate) fn to_text(value: f64) -> String {
    if value.is_nan() {
        return "NaN".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity".into() } else { "-Infinity".into() };
    }
    if value == 0.0 {
        return "0".into();
    }
    if value.fract() == 0.0 && value > f64::from(i32::MIN) && value < f64::from(i32::MAX) {
        return format!("{value:.0}");
    }
    let size = value.abs();
    if (1e-5..=1e9).contains(&size) {
        let whole = size.log10() as i32;
        let places = if whole > 0 { DIGITS - whole - 1 } else { DIGITS - whole };
        return trim_zeros(&format!("{value:.*}", places.max(0) as usize)).to_string();
    }
    let text = format!("{value:.*e}", DIGITS as usize - 1);
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    format!("{}{}", trim_zeros(mantissa), c_exponent(exponent))
}

/// An exponent as C and Python write it: a sign and at least two digits.
fn c_exponent(digits: &str) -> String {
    let exponent: i32 = digits.parse().unwrap_or(0);
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("e{sign}{:02}", exponent.abs())
}

fn trim_zeros(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

/// Python's `str(float)`: shortest digits that read back the same, exponent outside 1e-4 .. 1e16.
pub(crate) fn to_python(value: f64) -> String {
    if value.is_nan() {
        return "nan".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf".into() } else { "-inf".into() };
    }
    let text = format!("{value:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if value == 0.0 || (-4..16).contains(&exponent) {
        let plain = format!("{value}");
        return if plain.contains('.') { plain } else { format!("{plain}.0") };
    }
    format!("{mantissa}{}", c_exponent(&exponent.to_string()))
}

/// XPath's `round()`: halves upwards, and -0 below zero.
pub(crate) fn round(value: f64) -> f64 {
    if (-0.5..0.5).contains(&value) {
        return value * 0.0;
    }
    let whole = value.floor();
    if value - whole >= 0.5 { whole + 1.0 } else { whole }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_of_numbers_are_those_of_libxml2() {
        for (value, text) in [
            (1.0 / 3.0, "0.333333333333333"),
            (100.0 / 3.0, "33.3333333333333"),
            (1_000_000_001.0, "1000000001"),
            (2_147_483_647.0, "2.147483647e+09"),
            (1_000_000_000.5, "1.0000000005e+09"),
            (1.234_567_890_123_456_7, "1.234567890123457"),
            (0.000_012_345_678_901_234_567, "0.0000123456789012346"),
            (1.234_567_890_123_456_7e-15, "1.23456789012346e-15"),
            (0.00001, "0.00001"),
            (0.000001, "1e-06"),
            (1e300, "1e+300"),
            (-0.0, "0"),
            (-1.5, "-1.5"),
            (999_999_999.999_999_99, "1000000000"),
        ] {
            assert_eq!(to_text(value), text);
        }
    }

    #[test]
    fn numbers_print_as_python_prints_them() {
        for (value, text) in [
            (12.0, "12.0"),
            (-0.0, "-0.0"),
            (0.1 + 0.2, "0.30000000000000004"),
            (1e-5, "1e-05"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.234567890123457e19, "1.234567890123457e+19"),
            (f64::NAN, "nan"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(to_python(value), text);
        }
    }

    #[test]
    fn strings_that_are_no_numbers_are_nan() {
        for text in ["", "+1", "- 5", "0x10", "e3", "12.5abc", "Infinity", ".", "-"] {
            assert!(from_text(text).is_nan(), "{text}");
        }
        assert_eq!(from_text(" -.5 "), -0.5);
        assert_eq!(from_text("1e3"), 1000.0);
        assert_eq!(from_text("5."), 5.0);
    }
}
