//! CSS tokens, of the CSS 2.1 grammar that cssselect reads: identifiers, hashes, strings, numbers, single characters.

use crate::xpath::error::SelectorError;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Ident,
    Hash,
    Text,
    Number,
    Space,
    Delim,
    End,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub kind: Kind,
    /// Escapes resolved.
    pub value: String,
    pub at: usize,
}

impl Token {
    pub(super) fn is(&self, delim: &str) -> bool {
        self.kind == Kind::Delim && self.value == delim
    }

    /// As it is called in messages.
    pub(super) fn shown(&self) -> String {
        match self.kind {
            Kind::End => "the end".to_string(),
            Kind::Space => "a space".to_string(),
            Kind::Text => format!("the string {:?}", self.value),
            _ => format!("`{}`", self.value),
        }
    }
}

pub(super) fn tokens(css: &str) -> Result<Vec<Token>, SelectorError> {
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(c) = css[at..].chars().next() {
        let rest = &css[at..];
        let (kind, value, length) = if is_space(c) {
            (Kind::Space, " ".to_string(), rest.len() - rest.trim_start_matches(is_space).len())
        } else if let Some((value, length)) = ident(rest) {
            (Kind::Ident, value, length)
        } else if let Some((value, length)) = rest.strip_prefix('#').map(name).filter(|(_, length)| *length > 0) {
            (Kind::Hash, value, length + 1)
        } else if matches!(c, '"' | '\'') {
            let (value, length) = string(rest, c, at)?;
            (Kind::Text, value, length)
        } else if let Some(length) = number(rest) {
            (Kind::Number, rest[..length].to_string(), length)
        } else if let Some(comment) = rest.strip_prefix("/*") {
            at += comment.find("*/").map_or(rest.len(), |end| end + 4);
            continue;
        } else {
            (Kind::Delim, if c == '\0' { '\u{FFFD}' } else { c }.to_string(), c.len_utf8())
        };
        out.push(Token { kind, value, at });
        at += length;
    }
    out.push(Token { kind: Kind::End, value: String::new(), at });
    Ok(out)
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n' | '\u{C}')
}

fn is_name_char(c: char) -> bool {
    c == '_' || c == '-' || c.is_ascii_alphanumeric() || !c.is_ascii() || c == '\0'
}

fn ident(rest: &str) -> Option<(String, usize)> {
    let body = rest.strip_prefix('-').unwrap_or(rest);
    let starts = match body.chars().next()? {
        '\\' => escape(body).is_some(),
        c => is_name_char(c) && c != '-' && !c.is_ascii_digit(),
    };
    starts.then(|| name(rest))
}

/// Name characters and escapes, as many as there are.
fn name(rest: &str) -> (String, usize) {
    let mut value = String::new();
    let mut at = 0;
    while let Some(c) = rest[at..].chars().next() {
        if c == '\\' {
            let Some((c, length)) = escape(&rest[at..]) else { break };
            value.push(c);
            at += length;
        } else if is_name_char(c) {
            value.push(if c == '\0' { '\u{FFFD}' } else { c });
            at += c.len_utf8();
        } else {
            break;
        }
    }
    (value, at)
}

/// `\` and up to six hexadecimal digits with one space behind them, or any other character.
fn escape(rest: &str) -> Option<(char, usize)> {
    let body = &rest[1..];
    let digits = body.bytes().take(6).take_while(u8::is_ascii_hexdigit).count();
    if digits > 0 {
        let code = u32::from_str_radix(&body[..digits], 16).unwrap_or(0);
        let c = char::from_u32(code).filter(|&c| c != '\0').unwrap_or('\u{FFFD}');
        let after = &body[digits..];
        let space = if after.starts_with("\r\n") { 2 } else { usize::from(after.starts_with(is_space)) };
        return Some((c, 1 + digits + space));
    }
    let c = body.chars().next().filter(|c| !matches!(c, '\n' | '\r' | '\u{C}'))?;
    Some((c, 1 + c.len_utf8()))
}

fn string(rest: &str, quote: char, offset: usize) -> Result<(String, usize), SelectorError> {
    let mut value = String::new();
    let mut at = 1;
    while let Some(c) = rest[at..].chars().next() {
        if c == quote {
            return Ok((value, at + 1));
        }
        if c == '\\' {
            let after = &rest[at + 1..];
            let newline =
                if after.starts_with("\r\n") { 2 } else { usize::from(after.starts_with(['\n', '\r', '\u{C}'])) };
            if newline > 0 {
                at += 1 + newline;
            } else if let Some((c, length)) = escape(&rest[at..]) {
                value.push(c);
                at += length;
            } else {
                break;
            }
        } else if matches!(c, '\n' | '\r' | '\u{C}') {
            return Err(
                SelectorError::new(offset, "the string runs over the end of its line").expected(format!("`{quote}`"))
            );
        } else {
            value.push(c);
            at += c.len_utf8();
        }
    }
    Err(SelectorError::new(offset, "the string is not closed").expected(format!("`{quote}`")))
}

fn number(rest: &str) -> Option<usize> {
    let bytes = rest.as_bytes();
    let digits = |from: usize| bytes[from.min(bytes.len())..].iter().take_while(|b| b.is_ascii_digit()).count();
    let sign = usize::from(matches!(bytes.first(), Some(b'+' | b'-')));
    let whole = digits(sign);
    if bytes.get(sign + whole) == Some(&b'.') {
        let fraction = digits(sign + whole + 1);
        if fraction > 0 {
            return Some(sign + whole + 1 + fraction);
        }
    }
    (whole > 0).then_some(sign + whole)
}
