//! `${...}` in URLs, headers and bodies: parsed when the spider is loaded, filled in when a link is made.
//!
//! Decides the syntax. Arguments are put in at load time, so that only what differs from page to page is left.

use crate::load::doc::{Complaint, Doc, did_you_mean};
use std::borrow::Cow;
use std::ops::Range;

/// A variable that differs from page to page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Variable {
    Value,
    Carry(Box<str>),
    Url,
    Status,
    Now,
    Spider,
    Job,
    Server,
}

/// How a variable is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Plain,
    /// Padded with zeros to this width.
    Zeros(u8),
    /// Percent-encoded, everything but letters, digits and `-._~`.
    Encode,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Text(Box<str>),
    Variable(Variable, Format),
}

/// A text with variables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Template {
    pub parts: Vec<Part>,
}

/// What a template may use beside arguments.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Allowed {
    /// Only arguments: the text is fixed when the spider is loaded.
    Arguments,
    /// Values of the page and its link.
    Page,
}

/// Where filling in a template ends.
const RENDERED_BYTES_MAX: usize = 16 << 20;

const PAGE_NAMES: [&str; 7] = ["value", "response.url", "response.status", "now", "spider", "job", "server"];

impl Template {
    /// Parses `text`; complains and returns what it can.
    pub fn parse(doc: &Doc<'_>, text: &str, span: &Range<usize>, allowed: Allowed) -> Template {
        let mut parts: Vec<Part> = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            literal.push_str(&rest[..at]);
            let tail = &rest[at..];
            let offset = text.len() - tail.len();
            if let Some(after) = tail.strip_prefix("$${") {
                literal.push_str("${");
                rest = after;
            } else if let Some(inner) = tail.strip_prefix("${") {
                let Some(end) = inner.find('}') else {
                    let complaint =
                        Complaint::new("`${` without `}`").hint("write `$${` for the two characters themselves");
                    doc.complain(doc.within(span, text, offset), complaint);
                    rest = "";
                    break;
                };
                rest = &inner[end + 1..];
                match variable(doc, &inner[..end], &doc.within(span, text, offset), allowed) {
                    Some(Part::Text(value)) => literal.push_str(&value),
                    Some(part) => {
                        if !literal.is_empty() {
                            parts.push(Part::Text(std::mem::take(&mut literal).into()));
                        }
                        parts.push(part);
                    }
                    None => {}
                }
            } else {
                literal.push('$');
                rest = &tail[1..];
            }
        }
        literal.push_str(rest);
        if !literal.is_empty() || parts.is_empty() {
            parts.push(Part::Text(literal.into()));
        }
        Template { parts }
    }

    /// Parses a text in which only arguments are allowed.
    pub fn fixed(doc: &Doc<'_>, text: &str, span: &Range<usize>) -> String {
        let template = Template::parse(doc, text, span, Allowed::Arguments);
        let mut out = String::with_capacity(text.len());
        for part in &template.parts {
            if let Part::Text(text) = part {
                out.push_str(text);
            }
        }
        out
    }

    /// The one variable that this template is, when it is nothing else.
    pub fn sole_variable(&self) -> Option<&Variable> {
        match self.parts.as_slice() {
            [Part::Variable(variable, Format::Plain)] => Some(variable),
            _ => None,
        }
    }

    /// The text, when there is no variable.
    pub fn literal(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Appends the filled-in text to `out`; ends with the part that makes it longer than 16 MiB, which nobody accepts.
    pub fn render<'v>(&self, out: &mut String, lookup: impl Fn(&Variable) -> Cow<'v, str>) {
        for part in &self.parts {
            if out.len() > RENDERED_BYTES_MAX {
                return;
            }
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Variable(variable, format) => write_value(out, &lookup(variable), *format),
            }
        }
    }
}

fn write_value(out: &mut String, value: &str, format: Format) {
    match format {
        Format::Plain => out.push_str(value),
        Format::Zeros(width) => {
            let (sign, digits) = match value.strip_prefix('-') {
                Some(digits) => ("-", digits),
                None => ("", value),
            };
            out.push_str(sign);
            for _ in value.chars().count()..usize::from(width) {
                out.push('0');
            }
            out.push_str(digits);
        }
        Format::Encode => encode(out, value),
    }
}

/// Appends `value`, percent-encoded.
pub(crate) fn encode(out: &mut String, value: &str) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(DIGITS[usize::from(byte >> 4)]));
            out.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }
}

fn variable(doc: &Doc<'_>, inner: &str, span: &Range<usize>, allowed: Allowed) -> Option<Part> {
    let (name, format) = match inner.split_once(':') {
        None => (inner, Format::Plain),
        Some((name, "encode")) => (name, Format::Encode),
        Some((name, width)) => {
            let zeros = width.strip_prefix('0').and_then(|digits| digits.parse::<u8>().ok()).filter(|n| *n <= 64);
            let Some(zeros) = zeros else {
                let complaint = Complaint::new(format!("`:{width}` is no way to write a value"))
                    .expected("`:06` (zeros up to 6 digits) or `:encode` (percent-encoded)");
                doc.complain(span.clone(), complaint);
                return None;
            };
            (name, Format::Zeros(zeros))
        }
    };
    let page = match name {
        "value" => Some(Variable::Value),
        "response.url" => Some(Variable::Url),
        "response.status" => Some(Variable::Status),
        "now" => Some(Variable::Now),
        "spider" => Some(Variable::Spider),
        "job" => Some(Variable::Job),
        "server" => Some(Variable::Server),
        _ => name.strip_prefix("carry.").filter(|rest| !rest.is_empty()).map(|rest| Variable::Carry(rest.into())),
    };
    if let Some(variable) = page {
        if allowed == Allowed::Page {
            return Some(Part::Variable(variable, format));
        }
        let complaint = Complaint::new(format!("`${{{name}}}` differs from page to page and cannot stand here"))
            .expected("an argument of [args]");
        doc.complain(span.clone(), complaint);
        return None;
    }
    let arg = name.strip_prefix("args.").unwrap_or(name);
    if let Some(value) = doc.args.get(arg) {
        let mut text = String::new();
        write_value(&mut text, value, format);
        return Some(Part::Text(text.into()));
    }
    let mut known: Vec<&str> = doc.args.keys().map(String::as_str).collect();
    if allowed == Allowed::Page {
        known.extend(PAGE_NAMES);
    }
    let mut expected = known.join(", ");
    if allowed == Allowed::Page {
        expected.push_str(", carry.NAME");
    }
    let complaint = Complaint::new(format!("there is no argument `{arg}`"))
        .expected(if expected.is_empty() { "an argument declared in [args]".to_owned() } else { expected })
        .hint(format!("declare it: [args] {arg} = \"...\""))
        .maybe_hint(did_you_mean(name, known.iter().copied()));
    doc.complain(span.clone(), complaint);
    None
}
