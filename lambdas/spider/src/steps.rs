//! The steps of `map`: each takes the list of values and leaves a list of values.
//!
//! Decides what every step does; `load::steps` reads them. Invariant: a step that changes nothing copies nothing.

use crate::context::{Context, Notes};
use crate::json::Path;
use crate::links::Resolver;
use crate::template::Template;
use crate::text;
use regex::Regex;
use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::BuildHasherDefault;

/// A table with a fixed seed, so that nothing differs from run to run.
pub(crate) type Table = HashMap<Box<str>, Box<str>, BuildHasherDefault<xxhash_rust::xxh3::Xxh3Default>>;

/// One step.
pub(crate) enum Step {
    Trim,
    StripChars(Box<str>),
    Lower,
    Upper,
    TitleCase,
    Capitalize,
    CollapseWhitespace,
    AbsoluteUrl,
    DecodeEntities,
    StripTags,
    DecimalComma,
    Unique,
    Reverse,
    Remove(Vec<Box<str>>),
    Replace(Vec<(Box<str>, Box<str>)>),
    Regex(Regex),
    RegexReplace(Regex, Box<str>),
    Prefix(Box<str>),
    Suffix(Box<str>),
    RemovePrefix(Vec<Box<str>>),
    RemoveSuffix(Vec<Box<str>>),
    Split(Box<str>),
    Default(Template),
    Lookup(Table, Option<Template>),
    Slice(Option<i64>, Option<i64>),
    Truncate(usize),
    Nth(i64),
    Keep(Regex),
    Drop(Regex),
    Template(Template),
    Query(Box<str>),
    Json(Path),
}

/// Values of one field of one page at most, so that a split of a big page stays bounded.
const VALUES_MAX: usize = 100_000;

/// Bytes of one value at most: steps can multiply a text, page after page of it.
const VALUE_BYTES_MAX: usize = 16 << 20;

/// What steps may look at.
pub(crate) struct Env<'e, 'p, 'o> {
    pub context: &'e Context<'p>,
    pub resolver: &'e Resolver<'p>,
    pub notes: &'e mut Notes<'o>,
    /// Item (or `links`) and field, for notes.
    pub names: (&'e str, &'e str),
}

impl Env<'_, '_, '_> {
    /// Counts a remark about the field.
    pub fn note(&mut self, what: &str, example: &str) {
        self.notes.count([self.names.0, self.names.1, what], example);
    }
}

/// Runs all steps over `values`; `spare` is scratch.
pub(crate) fn run<'p>(
    steps: &[Step],
    values: &mut Vec<Cow<'p, str>>,
    spare: &mut Vec<Cow<'p, str>>,
    env: &mut Env<'_, 'p, '_>,
) {
    for step in steps {
        step.apply(values, spare, env);
        if values.len() > VALUES_MAX {
            values.truncate(VALUES_MAX);
            env.note("too_many_values", "");
        }
    }
}

impl Step {
    fn apply<'p>(&self, values: &mut Vec<Cow<'p, str>>, spare: &mut Vec<Cow<'p, str>>, env: &mut Env<'_, 'p, '_>) {
        match self {
            Step::Trim => each(values, text::trim),
            Step::StripChars(chars) => each(values, |v| text::trim_by(v, |c| chars.contains(c))),
            Step::Lower => each(values, text::lower),
            Step::Upper => each(values, text::upper),
            Step::TitleCase => each(values, text::title_case),
            Step::Capitalize => each(values, text::capitalize),
            Step::CollapseWhitespace => each(values, text::collapse),
            Step::StripTags => each(values, text::strip_tags),
            Step::DecimalComma => each(values, text::decimal_comma),
            Step::DecodeEntities => each(values, crate::selector::decode_entities),
            Step::Remove(needles) => each(values, |v| text::remove(v, needles)),
            Step::Replace(pairs) => each(values, |mut v| {
                for pair in pairs {
                    if v.matches(pair.0.as_ref()).count().saturating_mul(pair.1.len()) > VALUE_BYTES_MAX {
                        env.note("too_large", &v);
                        return Cow::Borrowed("");
                    }
                    v = text::replace(v, pair);
                }
                v
            }),
            Step::RegexReplace(regex, with) => each(values, |v| {
                let at_most = v.len().saturating_mul(with.len() + 1);
                if at_most > VALUE_BYTES_MAX && regex.find_iter(&v).count().saturating_mul(with.len()) > VALUE_BYTES_MAX
                {
                    env.note("too_large", &v);
                    return Cow::Borrowed("");
                }
                let Cow::Owned(changed) = regex.replace_all(&v, with.as_ref()) else { return v };
                Cow::Owned(changed)
            }),
            Step::Prefix(prefix) => each(values, |mut v| {
                v.to_mut().insert_str(0, prefix);
                v
            }),
            Step::Suffix(suffix) => each(values, |mut v| {
                v.to_mut().push_str(suffix);
                v
            }),
            Step::RemovePrefix(list) => each(values, |v| {
                let start = list.iter().find(|p| v.starts_with(p.as_ref())).map_or(0, |p| p.len());
                let end = v.len();
                text::cut(v, start..end)
            }),
            Step::RemoveSuffix(list) => each(values, |v| {
                let end = v.len() - list.iter().find(|s| v.ends_with(s.as_ref())).map_or(0, |s| s.len());
                text::cut(v, 0..end)
            }),
            Step::Slice(start, end) => each(values, |v| {
                let range = text::slice(&v, *start, *end);
                text::cut(v, range)
            }),
            Step::Truncate(max) => each(values, |v| match v.char_indices().nth(*max) {
                None => v,
                Some((end, _)) => {
                    env.note("truncated", &v);
                    text::cut(v, 0..end)
                }
            }),
            Step::Template(template) => each(values, |v| {
                let made = render(template, &v, env.context);
                if made.len() > VALUE_BYTES_MAX {
                    env.note("too_large", &v);
                    return Cow::Borrowed("");
                }
                made
            }),
            Step::Default(template) => {
                if values.is_empty() {
                    values.push(render(template, "", env.context));
                } else {
                    each(values, |v| if v.is_empty() { render(template, "", env.context) } else { v });
                }
            }
            Step::Unique => {
                let mut seen = std::collections::BTreeSet::new();
                values.retain(|v| seen.insert(v.clone()));
            }
            Step::Reverse => values.reverse(),
            Step::Keep(regex) => values.retain(|v| regex.is_match(v)),
            Step::Drop(regex) => values.retain(|v| !regex.is_match(v)),
            Step::Nth(index) => {
                let at = if *index < 0 {
                    values.len().checked_sub(usize::try_from(index.unsigned_abs()).unwrap_or(usize::MAX))
                } else {
                    usize::try_from(*index).ok()
                };
                let kept = at.filter(|at| *at < values.len()).map(|at| values.swap_remove(at));
                values.clear();
                values.extend(kept);
            }
            Step::Regex(regex) => expand(values, spare, |v, out| matches(regex, v, out)),
            Step::Split(separator) => expand(values, spare, |v, out| match v {
                Cow::Borrowed(text) => out.extend(text.split(separator.as_ref()).map(Cow::Borrowed)),
                Cow::Owned(text) => out.extend(text.split(separator.as_ref()).map(|s| Cow::Owned(s.to_owned()))),
            }),
            Step::Lookup(table, default) => expand(values, spare, |v, out| match (table.get(v.as_ref()), default) {
                (Some(found), _) => out.push(Cow::Owned(found.to_string())),
                (None, Some(template)) => out.push(render(template, &v, env.context)),
                (None, None) => env.note("not_in_lookup", &v),
            }),
            Step::AbsoluteUrl => expand(values, spare, |v, out| match env.resolver.absolute(v) {
                Ok(url) => out.push(url),
                Err(v) => env.note("not_a_url", &v),
            }),
            Step::Query(name) => expand(values, spare, |v, out| out.extend(query_parameter(&v, name).map(Cow::Owned))),
            Step::Json(path) => expand(values, spare, |v, out| match serde_json::from_str::<serde_json::Value>(&v) {
                Ok(json) => {
                    let mut nodes = Vec::new();
                    path.query(&json, &mut nodes);
                    out.extend(
                        nodes
                            .into_iter()
                            .filter_map(|node| crate::json::text_of(node).map(|text| Cow::Owned(text.into_owned()))),
                    );
                }
                Err(_) => env.note("not_json", &v),
            }),
        }
    }
}

fn render<'p>(template: &Template, value: &str, context: &Context<'_>) -> Cow<'p, str> {
    let mut out = String::new();
    template.render(&mut out, |variable| context.variable(variable, value));
    Cow::Owned(out)
}

fn each<'p>(values: &mut [Cow<'p, str>], mut step: impl FnMut(Cow<'p, str>) -> Cow<'p, str>) {
    for value in values {
        *value = step(std::mem::take(value));
    }
}

fn expand<'p>(
    values: &mut Vec<Cow<'p, str>>,
    spare: &mut Vec<Cow<'p, str>>,
    mut step: impl FnMut(Cow<'p, str>, &mut Vec<Cow<'p, str>>),
) {
    spare.clear();
    for value in values.drain(..) {
        step(value, spare);
    }
    std::mem::swap(values, spare);
}

/// Every match as Python's `findall` has it: all groups of each match in order (an unused group is an empty text), or the
/// whole match when there is no group. A group named `extract` alone is taken, as parsel does.
pub(crate) fn matches<'p>(regex: &Regex, value: Cow<'p, str>, out: &mut Vec<Cow<'p, str>>) {
    match value {
        Cow::Borrowed(text) => find(regex, text, |found| out.push(Cow::Borrowed(found))),
        Cow::Owned(text) => find(regex, &text, |found| out.push(Cow::Owned(found.to_owned()))),
    }
}

fn find<'t>(regex: &Regex, text: &'t str, mut push: impl FnMut(&'t str)) {
    if regex.captures_len() == 1 {
        regex.find_iter(text).for_each(|found| push(found.as_str()));
        return;
    }
    if regex.capture_names().flatten().any(|name| name == "extract") {
        if let Some(found) = regex.captures(text).and_then(|groups| groups.name("extract")) {
            push(found.as_str());
        }
        return;
    }
    for groups in regex.captures_iter(text) {
        groups.iter().skip(1).for_each(|group| push(group.map_or("", |found| found.as_str())));
    }
}

fn query_parameter(url: &str, name: &str) -> Option<String> {
    let query = url.split_once('?')?.1;
    let query = query.split_once('#').map_or(query, |(query, _)| query);
    url::form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}
