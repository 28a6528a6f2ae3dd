//! XML's lexical matters: names, line ends, references.

/// Bytes of the name that begins `text`.
pub(super) fn name_length(text: &str) -> usize {
    let starts = text.chars().next().is_some_and(|c| c.is_alphabetic() || c == '_' || c == ':' || !c.is_ascii());
    let ends = |c: char| c.is_ascii() && !c.is_ascii_alphanumeric() && !matches!(c, '_' | ':' | '-' | '.');
    if starts { text.find(ends).unwrap_or(text.len()) } else { 0 }
}

/// A document type with what stands in its square brackets.
pub(super) fn doctype_length(text: &str) -> usize {
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        match c {
            '[' => depth += 1,
            ']' => depth -= 1,
            '>' if depth <= 0 => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Line ends as XML has them: LF alone.
pub(super) fn push_lines(text: &str, out: &mut String) {
    let mut rest = text;
    while let Some(at) = rest.find('\r') {
        out.push_str(&rest[..at]);
        out.push('\n');
        rest = &rest[at + 1..];
        rest = rest.strip_prefix('\n').unwrap_or(rest);
    }
    out.push_str(rest);
}

/// References replaced; in an attribute white space becomes spaces.
pub(super) fn decode(raw: &str, is_attribute: bool, out: &mut String) {
    let plain = |text: &str, out: &mut String| {
        let from = out.len();
        push_lines(text, out);
        if is_attribute && out[from..].contains(['\n', '\t']) {
            let spaced = out.split_off(from).replace(['\n', '\t'], " ");
            out.push_str(&spaced);
        }
    };
    let mut rest = raw;
    while let Some(at) = rest.find('&') {
        plain(&rest[..at], out);
        rest = &rest[at + 1..];
        let name = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '#').unwrap_or(rest.len());
        if !rest[name..].starts_with(';') {
            // A bare `&` is dropped.
            continue;
        }
        let reference = &rest[..name];
        rest = &rest[name + 1..];
        let code = match reference.strip_prefix('#') {
            Some(number) => match number.strip_prefix('x') {
                Some(hex) => u32::from_str_radix(hex, 16).ok().and_then(char::from_u32),
                None => number.parse().ok().and_then(char::from_u32),
            },
            None => match reference {
                "amp" => Some('&'),
                "lt" => Some('<'),
                "gt" => Some('>'),
                "quot" => Some('"'),
                "apos" => Some('\''),
                _ => None,
            },
        };
        out.extend(code.filter(|&c| c >= ' ' || matches!(c, '\t' | '\n' | '\r')));
    }
    plain(rest, out);
}
