//! EXSLT's regular expressions. lxml runs them with Python's `re`; here the `regex` crate runs them, in linear time. Python's
//! syntax is rewritten where the two differ; what needs back-tracking (look-around, back-references) is refused by name.

use std::borrow::Cow;

use regex::{Captures, Regex, RegexBuilder};

use super::error::SelectorError;

/// Largest compiled pattern, in bytes: repetition of large classes grows quickly.
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// A compiled pattern with its EXSLT flags. As in lxml, `i` and `g` have a meaning and the rest are ignored.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    regex: Regex,
    global: bool,
}

impl Pattern {
    /// `only_test`: nobody asks where the match ends, so `$` may take in a final newline as Python's does.
    pub(crate) fn new(pattern: &str, flags: &str, only_test: bool) -> Result<Pattern, SelectorError> {
        let source = rust_syntax(pattern, only_test)?;
        let regex = RegexBuilder::new(&source)
            .case_insensitive(flags.contains('i'))
            .size_limit(PATTERN_BYTES_MAX)
            .dfa_size_limit(PATTERN_BYTES_MAX)
            .build()
            .map_err(|error| match error {
                regex::Error::CompiledTooBig(max) => {
                    SelectorError::new(0, format!("the pattern compiles to more than {max} bytes"))
                        .hint("make its counted repetitions smaller")
                }
                other => {
                    let text = other.to_string();
                    let why = text.lines().rev().find_map(|line| line.strip_prefix("error: ")).unwrap_or(&text);
                    SelectorError::new(0, format!("the pattern {pattern:?} is wrong: {why}"))
                }
            })?;
        Ok(Pattern { regex, global: flags.contains('g') })
    }

    pub(crate) fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// What `re:match` gives: the match and its groups, or with `g` every match (of groups: joined).
    pub(crate) fn matches(&self, text: &str, mut each: impl FnMut(String)) {
        if self.global {
            for found in self.regex.captures_iter(text) {
                each(if found.len() > 1 { groups(&found).collect() } else { found[0].to_string() });
            }
        } else if let Some(found) = self.regex.captures(text) {
            each(found[0].to_string());
            groups(&found).for_each(|group| each(group.to_string()));
        }
    }

    pub(crate) fn replace<'t>(&self, text: &'t str, template: &Template) -> Cow<'t, str> {
        let count = if self.global { 0 } else { 1 };
        self.regex.replacen(text, count, |found: &Captures<'_>| template.expand(found))
    }
}

fn groups<'c>(found: &'c Captures<'_>) -> impl Iterator<Item = &'c str> {
    found.iter().skip(1).map(|group| group.map_or("", |group| group.as_str()))
}

/// A replacement in Python's notation: `\1`, `\g<name>`, `\n`.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug)]
enum Piece {
    Text(String),
    Group(usize),
}

impl Template {
    pub(crate) fn new(text: &str, pattern: &Pattern) -> Result<Template, SelectorError> {
        let mut pieces = vec![Piece::Text(String::new())];
        let mut rest = text;
        while let Some(at) = rest.find('\\') {
            literal(&mut pieces, &rest[..at]);
            rest = &rest[at + 1..];
            let Some(c) = rest.chars().next() else {
                return Err(SelectorError::new(0, "the replacement ends with a single backslash"));
            };
            let mut length = c.len_utf8();
            match c {
                '1'..='9' => {
                    length = 1 + usize::from(rest.as_bytes().get(1).is_some_and(u8::is_ascii_digit));
                    pieces.push(Piece::Group(group(pattern, &rest[..length])?));
                }
                'g' => {
                    let name = rest[1..].strip_prefix('<').and_then(|named| named.split_once('>'));
                    let Some((name, _)) = name else {
                        return Err(SelectorError::new(0, "`\\g` in the replacement without <name>"));
                    };
                    length = name.len() + 3;
                    pieces.push(Piece::Group(group(pattern, name)?));
                }
                'n' => literal(&mut pieces, "\n"),
                't' => literal(&mut pieces, "\t"),
                'r' => literal(&mut pieces, "\r"),
                '0' => literal(&mut pieces, "\0"),
                '\\' => literal(&mut pieces, "\\"),
                c if c.is_ascii_alphabetic() => {
                    return Err(SelectorError::new(0, format!("`\\{c}` in the replacement means nothing"))
                        .expected("`\\1` to `\\99`, `\\g<name>`, `\\n`, `\\t`, `\\r` or `\\\\`"));
                }
                c => literal(&mut pieces, &format!("\\{c}")),
            }
            rest = &rest[length..];
        }
        literal(&mut pieces, rest);
        Ok(Template { pieces })
    }

    fn expand(&self, found: &Captures<'_>) -> String {
        let mut out = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Group(number) => out.push_str(found.get(*number).map_or("", |group| group.as_str())),
            }
        }
        out
    }
}

fn literal(pieces: &mut Vec<Piece>, more: &str) {
    match pieces.last_mut() {
        Some(Piece::Text(text)) => text.push_str(more),
        _ => pieces.push(Piece::Text(more.to_string())),
    }
}

fn group(pattern: &Pattern, name: &str) -> Result<usize, SelectorError> {
    let known = match name.parse::<usize>() {
        Ok(number) => (number < pattern.regex.captures_len()).then_some(number),
        Err(_) => pattern.regex.capture_names().position(|known| known == Some(name)),
    };
    known.ok_or_else(|| SelectorError::new(0, format!("the replacement names group {name}, the pattern has none")))
}

/// Python's pattern syntax in the `regex` crate's.
pub fn rust_syntax(pattern: &str, only_test: bool) -> Result<String, SelectorError> {
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut rest = pattern;
    let multi_line = pattern.contains("(?m") || pattern.contains("(?sm") || pattern.contains("(?im");
    while let Some(c) = rest.chars().next() {
        let offset = pattern.len() - rest.len();
        let mut length = c.len_utf8();
        match c {
            '\\' => length = escape(rest, offset, false, &mut out)?,
            '[' => length = class(rest, offset, &mut out)?,
            '(' => {
                check_group(rest, offset)?;
                if rest.starts_with("(?#") {
                    length = rest.find(')').map_or(rest.len(), |end| end + 1);
                } else {
                    out.push('(');
                }
            }
            '{' => match quantifier(rest) {
                Some((text, taken)) => {
                    out.push_str(&text);
                    length = taken;
                }
                None => out.push_str("\\{"),
            },
            '}' => out.push_str("\\}"),
            '$' if only_test && !multi_line => out.push_str("(?:\\n?\\z)"),
            c => out.push(c),
        }
        rest = &rest[length..];
    }
    Ok(out)
}

/// Refuses groups that need back-tracking.
fn check_group(rest: &str, offset: usize) -> Result<(), SelectorError> {
    let what = match rest {
        _ if ["(?=", "(?!", "(?<=", "(?<!"].iter().any(|start| rest.starts_with(start)) => "look-around",
        _ if rest.starts_with("(?P=") => "a back-reference",
        _ if rest.starts_with("(?(") => "a conditional group",
        _ if rest.starts_with("(?>") => "an atomic group",
        _ => return Ok(()),
    };
    Err(needs_backtracking(what, offset))
}

fn needs_backtracking(what: &str, offset: usize) -> SelectorError {
    SelectorError::new(offset, format!("the pattern uses {what} (byte {offset} of the pattern)"))
        .expected("a pattern that runs in linear time")
        .hint("match more with a group around the part that you want, or compare twice")
}

/// An escape at the start of `rest`; returns its length.
fn escape(rest: &str, offset: usize, in_class: bool, out: &mut String) -> Result<usize, SelectorError> {
    let Some(c) = rest[1..].chars().next() else {
        return Err(SelectorError::new(offset, "the pattern ends with a single backslash"));
    };
    match c {
        'Z' if !in_class => out.push_str("\\z"),
        'b' if in_class => out.push_str("\\x08"),
        '1'..='9' => return Err(needs_backtracking("a back-reference", offset)),
        '0' => out.push_str("\\x00"),
        'a'..='z' | 'A'..='Z' => {
            out.push('\\');
            out.push(c);
        }
        ' ' => out.push_str("\\x20"),
        c if in_class && c.is_ascii() => {
            out.push('\\');
            out.push(c);
        }
        c => out.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
    }
    Ok(1 + c.len_utf8())
}

/// A character class: in it `[`, `&&`, `--` and `~~` mean themselves to Python.
fn class(rest: &str, offset: usize, out: &mut String) -> Result<usize, SelectorError> {
    let mut at = 1;
    out.push('[');
    if rest[at..].starts_with('^') {
        out.push('^');
        at += 1;
    }
    if rest[at..].starts_with(']') {
        out.push_str("\\]");
        at += 1;
    }
    while let Some(c) = rest[at..].chars().next() {
        match c {
            ']' => {
                out.push(']');
                return Ok(at + 1);
            }
            '\\' => {
                at += escape(&rest[at..], offset + at, true, out)?;
                continue;
            }
            '[' | '&' | '~' => {
                out.push('\\');
                out.push(c);
            }
            '-' if rest[at..].starts_with("--") => out.push_str("\\-"),
            c => out.push(c),
        }
        at += c.len_utf8();
    }
    Err(SelectorError::new(offset, "a character class in the pattern is not closed").expected("`]`"))
}

/// A counted repetition; to Python `{,3}` is one and `{x}` is text.
fn quantifier(rest: &str) -> Option<(String, usize)> {
    let inner = &rest[1..rest.find('}')?];
    let (least, most) = inner.split_once(',').unwrap_or((inner, inner));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if inner.is_empty() || !digits(least) || !digits(most) {
        return None;
    }
    let least = if least.is_empty() { "0" } else { least };
    let text = if inner.contains(',') { format!("{{{least},{most}}}") } else { format!("{{{least}}}") };
    Some((text, inner.len() + 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(pattern: &str, flags: &str, text: &str) -> Vec<String> {
        let mut out = Vec::new();
        Pattern::new(pattern, flags, false).unwrap().matches(text, |m| out.push(m));
        out
    }

    #[test]
    fn matches_give_the_match_and_its_groups_or_every_match() {
        assert_eq!(found("b(c)", "", "abcabc"), ["bc", "c"]);
        assert_eq!(found("(x)?b", "", "ab"), ["b", ""]);
        assert_eq!(found("([a-z]+)([0-9]+)", "g", "ab12cd34"), ["ab12", "cd34"]);
        assert_eq!(found("(a)|(b)", "g", "ab"), ["a", "b"]);
    }

    #[test]
    fn python_syntax_is_understood_where_it_differs() {
        for (pattern, text) in [
            ("x$", "x\n"),
            ("x\\Z", "x"),
            ("[[]a", "[a"),
            ("[a&&b]", "&"),
            ("a{,2}c", "c"),
            ("a{x}", "a{x}"),
            ("\\<a", "<a"),
        ] {
            assert!(Pattern::new(pattern, "", true).unwrap().is_match(text), "{pattern}");
        }
    }

    #[test]
    fn what_needs_backtracking_is_refused_by_name() {
        for (pattern, name) in [("(?=a)", "look-around"), ("(a)\\1", "back-reference"), ("(?<!a)b", "look-around")] {
            assert!(Pattern::new(pattern, "", true).unwrap_err().message.contains(name));
        }
        assert!(Pattern::new("(?:[a-z]{1000}){1000}", "", true).unwrap_err().message.contains("bytes"));
    }

    #[test]
    fn replacements_expand_groups_by_number_and_name() {
        let pattern = Pattern::new("(?P<n>b)", "g", false).unwrap();
        let template = Template::new("<\\g<n>>\\1\\n", &pattern).unwrap();
        assert_eq!(pattern.replace("abb", &template), "a<b>b\n<b>b\n");
        assert!(Template::new("\\2", &pattern).is_err());
        assert!(Template::new("\\q", &pattern).is_err());
    }
}
