//! Start URLs: patterns with ranges and lists, counted and reached by index, so that a shard needs no list of them.
//!
//! Invariants: `get(i)` for `i` in `0..len()` equals the i-th of `iter()`; the rightmost range varies fastest.

use crate::hook::StartHooks;
use crate::load::doc::{Complaint, Doc, shorten};
use crate::template::Template;
use std::ops::Range;
use std::sync::Arc;
use weir_model::{LinkBatch, LinkExtra, TargetId};

/// One start request.
#[derive(Clone, Debug, PartialEq)]
pub struct StartUrl {
    /// Absolute URL.
    pub url: String,
    /// What to do with the page: always `TargetId::START`.
    pub target: TargetId,
    /// Higher goes first.
    pub priority: i16,
    /// Method, body, headers when it is not a plain GET.
    pub extra: Option<Box<LinkExtra>>,
}

/// All start URLs of a spider. Cheap to clone.
#[derive(Clone, Debug)]
pub struct StartUrls {
    patterns: Arc<[Pattern]>,
    hooks: Arc<StartHooks>,
}

#[derive(Debug)]
struct Pattern {
    parts: Vec<Part>,
    /// Index of its first URL among all.
    first: u64,
    count: u64,
    priority: i16,
    extra: Option<Box<LinkExtra>>,
}

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Text(Box<str>),
    Range { first: u64, step: u64, down: bool, count: u64, width: usize },
    List(Vec<Box<str>>),
}

impl Part {
    fn count(&self) -> u64 {
        match self {
            Part::Text(_) => 1,
            Part::Range { count, .. } => *count,
            Part::List(list) => list.len() as u64,
        }
    }

    fn write(&self, index: u64, out: &mut String) {
        match self {
            Part::Text(text) => out.push_str(text),
            Part::List(list) => out.push_str(&list[usize::try_from(index).expect("a list's index fits")]),
            Part::Range { first, step, down, width, .. } => {
                let value = if *down { first - step * index } else { first + step * index };
                let start = out.len();
                use std::fmt::Write;
                write!(out, "{value:0width$}").expect("writing to a string");
                debug_assert!(out.len() > start);
            }
        }
    }
}

impl StartUrls {
    /// How many there are, exactly; those that hooks drop included.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.patterns.last().map_or(0, |last| last.first + last.count)
    }

    /// True when there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The start request of an index below `len`, before its hooks.
    #[must_use]
    pub fn get(&self, index: u64) -> Option<StartUrl> {
        let mut url = String::new();
        let pattern = self.write(index, &mut url)?;
        Some(StartUrl { url, target: TargetId::START, priority: pattern.priority, extra: pattern.extra.clone() })
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = StartUrl> + '_ {
        (0..self.len()).filter_map(|index| self.get(index))
    }

    /// Adds the start requests of a range of indices to `batch` (a shard), without an allocation each. What hooks drop is not there.
    pub fn fill(&self, indices: Range<u64>, batch: &mut LinkBatch) {
        let mut url = String::new();
        for index in indices {
            url.clear();
            let Some(pattern) = self.write(index, &mut url) else { break };
            let (priority, extra) = (pattern.priority, pattern.extra.clone());
            if self.hooks.hooks.is_empty() {
                batch.push_extra(&url, TargetId::START, priority, extra);
            } else {
                self.hooks.push(index, &url, (priority, extra), batch);
            }
        }
    }

    fn write(&self, index: u64, out: &mut String) -> Option<&Pattern> {
        let at = self.patterns.partition_point(|pattern| pattern.first + pattern.count <= index);
        let pattern = self.patterns.get(at)?;
        pattern.write(index - pattern.first, out);
        Some(pattern)
    }
}

impl Pattern {
    fn write(&self, index: u64, out: &mut String) {
        let mut block = self.count;
        let mut rest = index;
        for part in &self.parts {
            block /= part.count();
            part.write(rest / block, out);
            rest %= block;
        }
    }
}

/// Collects patterns while a spider is loaded.
#[derive(Default)]
pub(crate) struct StartBuilder {
    patterns: Vec<Pattern>,
    total: u64,
}

impl StartBuilder {
    /// Adds one pattern; complains about what is wrong with it.
    pub fn add(
        &mut self,
        doc: &Doc<'_>,
        text: &str,
        span: &Range<usize>,
        priority: i16,
        extra: Option<Box<LinkExtra>>,
    ) {
        let before = doc.count();
        let Some(parts) = parse(doc, text, span) else { return };
        let count = parts.iter().try_fold(1u64, |product, part| product.checked_mul(part.count()));
        let Some((count, total)) = count.and_then(|n| Some((n, self.total.checked_add(n)?))) else {
            doc.complain(span.clone(), Complaint::new("more start URLs than can be counted"));
            return;
        };
        let pattern = Pattern { parts, first: self.total, count, priority, extra };
        let mut urls = [String::new(), String::new()];
        pattern.write(0, &mut urls[0]);
        pattern.write(count - 1, &mut urls[1]);
        if doc.count() > before || urls.iter().any(|url| !check(doc, url, span)) {
            return;
        }
        self.total = total;
        self.patterns.push(pattern);
    }

    /// Hosts of the first and last URL of each pattern.
    pub fn hosts(&self) -> Vec<String> {
        let mut hosts = Vec::new();
        for pattern in &self.patterns {
            // A list in the host names few; a range is not looked at beyond its ends.
            for index in (0..pattern.count.min(100)).chain([pattern.count - 1]) {
                let mut url = String::new();
                pattern.write(index, &mut url);
                if let Some(host) = url::Url::parse(&url).ok().and_then(|u| u.host_str().map(str::to_owned))
                    && !hosts.contains(&host)
                {
                    hosts.push(host);
                }
            }
        }
        hosts
    }

    pub fn build(self, hooks: StartHooks) -> StartUrls {
        StartUrls { patterns: self.patterns.into(), hooks: Arc::new(hooks) }
    }
}

/// Checks that a URL can be crawled.
pub(crate) fn check(doc: &Doc<'_>, url: &str, span: &Range<usize>) -> bool {
    let complaint = match url::Url::parse(url) {
        Ok(parsed) if matches!(parsed.scheme(), "http" | "https") => return true,
        // A host and its port look like a scheme and what is behind it.
        Ok(parsed) => Complaint::new(format!("`{}:` cannot be crawled", parsed.scheme())).maybe_hint(
            parsed
                .path()
                .starts_with(|c: char| c.is_ascii_digit())
                .then(|| format!("write `http://{}`", shorten(url, 80))),
        ),
        Err(error) => Complaint::new(format!("`{}` is no URL: {error}", shorten(url, 80)))
            .maybe_hint((!url.contains("://")).then(|| "a URL begins with https:// or http://".to_owned())),
    };
    doc.complain(span.clone(), complaint.expected("an absolute http or https URL"));
    false
}

/// Parses a pattern. Arguments are put in first in ranges, and as they are elsewhere: a `{` in an argument is a `{`.
fn parse(doc: &Doc<'_>, text: &str, span: &Range<usize>) -> Option<Vec<Part>> {
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut at = 0;
    let bytes = text.as_bytes();
    while at < bytes.len() {
        let rest = &text[at..];
        let next = rest.find(['{', '$']).unwrap_or(rest.len());
        literal.push_str(&rest[..next]);
        at += next;
        let rest = &text[at..];
        if rest.starts_with("${") {
            let end = rest.find('}').map_or(rest.len(), |end| end + 1);
            literal.push_str(&Template::fixed(doc, &rest[..end], &doc.within(span, text, at)));
            at += end;
        } else if rest.starts_with("$${") {
            literal.push_str("${");
            at += 3;
        } else if rest.starts_with('{') {
            let Some(end) = closing(rest) else {
                doc.complain(doc.within(span, text, at), Complaint::new("`{` without `}`").expected(EXPECTED));
                return None;
            };
            let here = doc.within(span, text, at);
            let inner = Template::fixed(doc, &rest[1..end], &here);
            let part = range(&inner).or_else(|| list(&inner));
            let Some(part) = part else {
                let complaint = Complaint::new(format!("`{{{inner}}}` is no range")).expected(EXPECTED).maybe_hint(
                    doc.args.contains_key(&inner).then(|| format!("an argument is written `${{{inner}}}`")),
                );
                doc.complain(here, complaint);
                return None;
            };
            if !literal.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut literal).into()));
            }
            parts.push(part);
            at += end + 1;
        } else if !rest.is_empty() {
            literal.push('$');
            at += 1;
        }
    }
    if !literal.is_empty() || parts.is_empty() {
        parts.push(Part::Text(literal.into()));
    }
    Some(parts)
}

const EXPECTED: &str = "a range `{000..100}`, a range with a step `{0..90..30}`, or a list `{a,b}`";

/// The `}` of the `{` that `text` begins with, past the `${...}` inside.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0usize;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

fn range(inner: &str) -> Option<Part> {
    let mut pieces = inner.split("..");
    let (from, to, step) = (pieces.next()?, pieces.next()?, pieces.next());
    if pieces.next().is_some() {
        return None;
    }
    let first = number(from)?;
    let last = number(to)?;
    let step = match step {
        None => 1,
        Some(step) => number(step).filter(|n| *n > 0)?,
    };
    let padded = |text: &str| text.len() > 1 && text.starts_with('0');
    let width = if padded(from) || padded(to) { from.len().max(to.len()) } else { 0 };
    let count = (first.abs_diff(last) / step).checked_add(1)?;
    Some(Part::Range { first, step, down: last < first, count, width })
}

fn number(text: &str) -> Option<u64> {
    (text.len() <= 18 && !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}

fn list(inner: &str) -> Option<Part> {
    inner.contains(',').then(|| Part::List(inner.split(',').map(|entry| entry.trim().into()).collect()))
}
