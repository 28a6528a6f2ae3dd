//! The lines of a robots.txt, read as tolerantly as Google's parser does, and the values of the extensions.

use super::{ROBOTS_BYTES_MAX, RequestRate, TimeOfDay};
use std::time::Duration;

/// Bytes of one line that are read (Google's limit: eight times the longest URL that browsers took, less an end mark).
const LINE_BYTES_MAX: usize = 2083 * 8 - 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    UserAgent,
    Allow,
    Disallow,
    Sitemap,
    CrawlDelay,
    RequestRate,
    VisitTime,
    Host,
}

/// Keys by how they begin. Misspellings are those that Google's parser takes.
const KEYS: &[(&str, Key)] = &[
    ("user-agent", Key::UserAgent),
    ("useragent", Key::UserAgent),
    ("user agent", Key::UserAgent),
    ("allow", Key::Allow),
    ("disallow", Key::Disallow),
    ("dissallow", Key::Disallow),
    ("dissalow", Key::Disallow),
    ("disalow", Key::Disallow),
    ("diasllow", Key::Disallow),
    ("disallaw", Key::Disallow),
    ("sitemap", Key::Sitemap),
    ("site-map", Key::Sitemap),
    ("crawl-delay", Key::CrawlDelay),
    ("crawl delay", Key::CrawlDelay),
    ("crawldelay", Key::CrawlDelay),
    ("request-rate", Key::RequestRate),
    ("request rate", Key::RequestRate),
    ("visit-time", Key::VisitTime),
    ("visit time", Key::VisitTime),
    ("host", Key::Host),
];

fn key_of(text: &[u8]) -> Option<Key> {
    let begins = |name: &str| text.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name.as_bytes()));
    KEYS.iter().find(|(name, _)| begins(name)).map(|(_, key)| *key)
}

/// The lines: ended by LF, CR or CR LF; without a byte-order mark (whole or cut); the file and each line cut at their limits.
pub(super) fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let bytes = match bytes.get(..ROBOTS_BYTES_MAX) {
        // A line cut in two may mean something else: `Disallow: /` of `Disallow: /private`.
        Some(head) if bytes.len() > ROBOTS_BYTES_MAX => {
            &head[..head.iter().rposition(|b| matches!(b, b'\n' | b'\r')).unwrap_or(0)]
        }
        _ => bytes,
    };
    let mark = bytes.iter().zip(b"\xef\xbb\xbf").take_while(|(a, b)| a == b).count();
    bytes[mark..].split(|b| matches!(b, b'\n' | b'\r')).map(|line| &line[..line.len().min(LINE_BYTES_MAX)])
}

/// Key and value of a line that has both.
pub(super) fn key_and_value(line: &[u8]) -> Option<(Key, &[u8])> {
    let end = line.iter().position(|b| matches!(b, b'#' | b'\0')).unwrap_or(line.len());
    let line = line[..end].trim_ascii();
    if line.is_empty() {
        return None;
    }
    let Some(colon) = memchr::memchr(b':', line) else { return without_colon(line, true) };
    let (name, value) = (line[..colon].trim_ascii(), &line[colon + 1..]);
    // `Sitemap https://example.com/`: the colon is the value's.
    let inner_space = name.iter().any(u8::is_ascii_whitespace);
    let bare_value = !value.first().is_none_or(u8::is_ascii_whitespace);
    if inner_space && bare_value && !is_two_words(name) {
        let second_chance = without_colon(line, false);
        if second_chance.is_some() {
            return second_chance;
        }
    }
    Some((key_of(name)?, value.trim_ascii()))
}

fn is_two_words(name: &[u8]) -> bool {
    KEYS.iter().any(|(known, _)| known.contains(' ') && name.eq_ignore_ascii_case(known.as_bytes()))
}

/// `disallow /path`: a key and one value, or a key of two words. `strict` also refuses a value of several words, as Google does.
fn without_colon(line: &[u8], strict: bool) -> Option<(Key, &[u8])> {
    for (name, key) in KEYS.iter().filter(|(name, _)| name.contains(' ')) {
        let head = line.get(..name.len()).filter(|head| head.eq_ignore_ascii_case(name.as_bytes()));
        if head.is_some() && line.get(name.len()).is_some_and(u8::is_ascii_whitespace) {
            return Some((*key, line[name.len()..].trim_ascii()));
        }
    }
    let space = line.iter().position(|b| matches!(b, b' ' | b'\t'))?;
    let value = line[space..].trim_ascii();
    if strict && value.iter().any(|b| matches!(b, b' ' | b'\t')) {
        return None;
    }
    Some((key_of(&line[..space])?, value))
}

/// A number of seconds, with a fraction.
pub(super) fn seconds(text: &str) -> Option<Duration> {
    let seconds: f64 = text.trim().parse().ok()?;
    (seconds.is_finite() && seconds >= 0.0).then(|| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
}

/// `requests/time`, time in seconds or with `s`, `m`, `h`, `d`, then perhaps `HHMM-HHMM`.
pub(super) fn request_rate(text: &str) -> Option<RequestRate> {
    let mut words = text.split_whitespace();
    let (requests, time) = words.next()?.split_once('/')?;
    let period = match (words.next(), words.next()) {
        (Some(period), None) => Some(time_period(period, '-')?),
        _ => None,
    };
    let (number, unit) = match time.char_indices().last()? {
        (at, unit @ ('s' | 'm' | 'h' | 'd' | 'S' | 'M' | 'H' | 'D')) => (&time[..at], unit.to_ascii_lowercase()),
        _ => (time, 's'),
    };
    let factor = match unit {
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => 1,
    };
    let requests: u32 = requests.parse().ok()?;
    let seconds = number.parse::<u32>().ok()?.checked_mul(factor)?;
    (requests > 0 && seconds > 0).then_some(RequestRate { requests, seconds, period })
}

/// `0400-0845` or `0400 0845`.
pub(super) fn visit_time(text: &str) -> Option<(TimeOfDay, TimeOfDay)> {
    time_period(text, '-').or_else(|| time_period(text, ' '))
}

fn time_period(text: &str, separator: char) -> Option<(TimeOfDay, TimeOfDay)> {
    let (start, end) = text.split_once(separator)?;
    Some((time_of_day(start.trim())?, time_of_day(end.trim())?))
}

fn time_of_day(text: &str) -> Option<TimeOfDay> {
    if !(3..=4).contains(&text.len()) || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let (hour, minute) = text.split_at(text.len() - 2);
    let time = TimeOfDay { hour: hour.parse().ok()?, minute: minute.parse().ok()? };
    (time.hour < 24 && time.minute < 60).then_some(time)
}
