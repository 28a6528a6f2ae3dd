//! One field of an item, or one carried value: its source, how its values become one, and its type.

use super::Loader;
use super::doc::{Complaint, Spot, did_you_mean, kind_of};
use super::language::{self, Language, TYPES};
use super::section::Section;
use crate::compiled::{ContextValue, FieldRule, Gather, Pipeline, Plan, Source};
use crate::convert;
use std::borrow::Cow;
use toml::de::DeValue;
use weir_model::{FieldKind, Value};

const KINDS: [FieldKind; 8] = [
    FieldKind::Str,
    FieldKind::Int,
    FieldKind::Float,
    FieldKind::Bool,
    FieldKind::Datetime,
    FieldKind::Date,
    FieldKind::GeoPoint,
    FieldKind::Json,
];

impl Loader<'_, '_> {
    /// Reads a field; `language` says which keys it has.
    pub fn field(&self, name: &str, spot: &Spot<'_>, language: &'static Language) -> Option<FieldRule> {
        if let DeValue::String(text) = spot.get_ref() {
            let complaint = Complaint::new(format!("the field `{name}` is a table, found a string"))
                .expected(format!("{name} = {{ xpath = \"...\" }}"))
                .hint(guess(name, text));
            self.doc.complain(spot.span(), complaint);
            return None;
        }
        let section = Section::open(self.doc, spot, language)?;
        let written = section.text("type").and_then(|text| {
            let kind = TYPES.iter().position(|known| *known == text.value).map(|at| KINDS[at]);
            if kind.is_none() {
                let alias = match text.value {
                    "string" | "text" => Some("did you mean `str`?".to_owned()),
                    "integer" | "number" => Some("did you mean `int` or `float`?".to_owned()),
                    "boolean" => Some("did you mean `bool`?".to_owned()),
                    "geo" | "point" | "location" => Some("did you mean `geo_point`?".to_owned()),
                    "list" => Some("a list is `many = true`".to_owned()),
                    other => did_you_mean(other, TYPES.iter().copied()),
                };
                let complaint = Complaint::new(format!("there is no type `{}`", text.value))
                    .expected(format!("one of {}", TYPES.join(", ")))
                    .maybe_hint(alias);
                self.doc.complain(text.span, complaint);
            }
            kind
        });
        let many = section.boolean("many").unwrap_or(false);
        let gather = match section.text("join") {
            Some(_) if many => {
                let complaint = Complaint::new("`many` and `join` exclude each other")
                    .expected("`many = true` for a list, or `join = \" \"` for one text");
                section.complain("join", complaint);
                Gather::Many
            }
            Some(text) => Gather::Join(text.value.into()),
            None if many => Gather::Many,
            None => Gather::First,
        };
        let format: Option<Box<str>> = section.text("format").map(|text| text.value.into());
        let (plan, natural) = self.plan(&section, written, &gather)?;
        let kind = written.unwrap_or(natural);
        if let Some(format) = &format {
            self.check_format(&section, format, kind);
        }
        let carried = std::ptr::eq(language, &language::CARRIED);
        let volatile = !carried && section.boolean("volatile").unwrap_or(false);
        Some(FieldRule {
            name: name.into(),
            volatile: volatile || is_volatile(&plan),
            plan,
            gather,
            kind,
            format,
            required: !carried && section.boolean("required").unwrap_or(false),
            name_hash: xxhash_rust::xxh3::xxh3_64(name.as_bytes()),
        })
    }

    /// The plan, and the type that it has when none is written.
    fn plan(
        &self,
        section: &Section<'_, '_>,
        written: Option<FieldKind>,
        gather: &Gather,
    ) -> Option<(Plan, FieldKind)> {
        let plain = !section.has("regex") && !section.has("map");
        if section.language.keys.iter().any(|key| key.name == "geocode") && section.has("geocode") {
            return self.geocode(section, written);
        }
        if section.language.keys.iter().any(|key| key.name == "compute") && section.has("compute") {
            return self.compute(section, written);
        }
        if section.has("const") && plain {
            self.one_of(section, &["xpath", "css", "json", "url", "carry", "value", "const", "from"], false)?;
            return self.literal(section, written, gather);
        }
        let pipeline = self.pipeline(section)?;
        if let (Source::Context(which), true, Gather::First) = (&pipeline.source, plain, gather) {
            let natural = match which {
                ContextValue::Status => FieldKind::Int,
                ContextValue::Now => FieldKind::Datetime,
                _ => FieldKind::Str,
            };
            let direct = written.is_none_or(|kind| kind == natural) && !matches!(which, ContextValue::Carry(_));
            return Some(if direct {
                (Plan::Context(which.clone()), natural)
            } else {
                (Plan::Pipeline(pipeline), natural)
            });
        }
        Some((Plan::Pipeline(pipeline), FieldKind::Str))
    }

    fn geocode(&self, section: &Section<'_, '_>, written: Option<FieldKind>) -> Option<(Plan, FieldKind)> {
        section.text("geocode")?;
        for key in [
            "xpath", "css", "json", "url", "carry", "value", "const", "from", "regex", "map", "many", "join",
            "required",
        ] {
            if section.has(key) {
                let complaint = Complaint::new(format!("a `geocode` field has no `{key}`"))
                    .expected("{ geocode = \"FIELD\", type = \"geo_point\" }");
                self.doc.complain(section.key_span(key), complaint);
            }
        }
        if written.is_some_and(|kind| kind != FieldKind::GeoPoint) {
            section.complain("type", Complaint::new("a `geocode` field is a `geo_point`"));
        }
        Some((Plan::Geocode, FieldKind::GeoPoint))
    }

    fn compute(&self, section: &Section<'_, '_>, written: Option<FieldKind>) -> Option<(Plan, FieldKind)> {
        section.text("compute")?;
        for key in [
            "xpath", "css", "json", "url", "carry", "value", "const", "from", "geocode", "regex", "map", "join",
            "required",
        ] {
            if section.has(key) {
                let complaint = Complaint::new(format!("a `compute` field has no `{key}`"))
                    .expected("{ compute = \"NAME\", type = \"float\" }");
                self.doc.complain(section.key_span(key), complaint);
            }
        }
        Some((Plan::Compute, written.unwrap_or(FieldKind::Str)))
    }

    fn literal(
        &self,
        section: &Section<'_, '_>,
        written: Option<FieldKind>,
        gather: &Gather,
    ) -> Option<(Plan, FieldKind)> {
        let spot = section.get("const")?;
        let natural = |value: &DeValue<'_>| match value {
            DeValue::Integer(_) => FieldKind::Int,
            DeValue::Float(_) => FieldKind::Float,
            DeValue::Boolean(_) => FieldKind::Bool,
            DeValue::Datetime(d) if d.time.is_none() => FieldKind::Date,
            DeValue::Datetime(_) => FieldKind::Datetime,
            DeValue::Table(_) => FieldKind::Json,
            _ => FieldKind::Str,
        };
        let one = |spot: &Spot<'_>, kind: FieldKind| {
            let value = match spot.get_ref() {
                DeValue::String(text) => {
                    let text = crate::template::Template::fixed(self.doc, text, &spot.span());
                    convert::from_text(Cow::Owned(text), kind, None)
                }
                other => convert::from_json(&super::request::json_of(other), kind, None),
            };
            value.unwrap_or_else(|misfit| {
                let name = TYPES[KINDS.iter().position(|k| *k == kind).unwrap_or(0)];
                let complaint =
                    Complaint::new(format!("this literal does not convert to `{name}`: {}", misfit.replace('_', " ")))
                        .expected(format!("a value of type `{name}`"));
                self.doc.complain(spot.span(), complaint);
                Value::Null
            })
        };
        match (spot.get_ref(), gather) {
            (DeValue::Array(list), Gather::Many) => {
                let kind = written
                    .unwrap_or_else(|| list.iter().next().map_or(FieldKind::Str, |first| natural(first.get_ref())));
                Some((Plan::Literal(Value::List(list.iter().map(|entry| one(entry, kind)).collect())), kind))
            }
            (DeValue::Array(_), _) if written != Some(FieldKind::Json) => {
                let complaint = Complaint::new(format!("`const` is {} without `many`", kind_of(spot.get_ref())))
                    .expected("many = true, or type = \"json\"");
                self.doc.complain(spot.span(), complaint);
                None
            }
            (value, gather) => {
                let kind = written.unwrap_or(natural(value));
                let value = one(spot, kind);
                let value = if matches!(gather, Gather::Many) { Value::List(vec![value]) } else { value };
                Some((Plan::Literal(value), kind))
            }
        }
    }

    fn check_format(&self, section: &Section<'_, '_>, format: &str, kind: FieldKind) {
        if !matches!(kind, FieldKind::Date | FieldKind::Datetime) {
            let complaint = Complaint::new("`format` is for types `date` and `datetime`").expected("type = \"date\"");
            section.complain("format", complaint);
            return;
        }
        let problem = match written(format) {
            Some(text) if format.contains('%') => {
                if convert::from_text(Cow::Borrowed(&text), kind, Some(format)).is_ok() {
                    return;
                }
                format!(
                    "`{format}` leaves the date open: {text:?}, which is {SAMPLE} in it, does not say the whole date"
                )
            }
            _ => format!("`{format}` is no format of a date"),
        };
        let complaint = Complaint::new(problem)
            .expected("directives as strptime has them, with year, month and day: %Y-%m-%d, %d/%m/%Y %H:%M, %d %B %Y");
        section.complain("format", complaint);
    }
}

/// It is written and read back: a directive that is not known, or a date without its year, fails at it.
const SAMPLE: &str = "2001-02-03 04:05:06";

/// The sample in a format; `None`: there is a directive that is not known.
fn written(format: &str) -> Option<String> {
    let sample = jiff::civil::date(2001, 2, 3).at(4, 5, 6, 0).to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    jiff::fmt::strtime::format(format, &sample).ok()
}

fn guess(name: &str, text: &str) -> String {
    let key = if text.starts_with('$') {
        "json"
    } else if text.starts_with(['/', '.', '(']) && !text.contains('{') {
        "xpath"
    } else {
        "const"
    };
    let quote = if text.contains('\'') { "\"" } else { "'" };
    format!("write {name} = {{ {key} = {quote}{text}{quote} }}")
}

/// True when the value differs from fetch to fetch though the page is the same: its source is `now`, `job` or `server`.
fn is_volatile(plan: &Plan) -> bool {
    fn context(which: &ContextValue) -> bool {
        matches!(which, ContextValue::Now | ContextValue::Job | ContextValue::Server)
    }
    fn source(pipeline: &Pipeline) -> bool {
        match &pipeline.source {
            Source::Context(which) => context(which),
            Source::First(list) => list.iter().any(source),
            _ => false,
        }
    }
    match plan {
        Plan::Context(which) => context(which),
        Plan::Pipeline(pipeline) => source(pipeline),
        Plan::Literal(_) | Plan::Geocode | Plan::Compute => false,
    }
}
