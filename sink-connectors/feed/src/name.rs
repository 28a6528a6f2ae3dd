//! Names of feeds: `%(name)s`, `%(time)s`, `%(batch)s` and the spider's arguments, as Scrapy's users write them.
//!
//! Pure. Invariants: one job's part has one name, whenever it is asked for; a value never adds a folder to a path.

use std::collections::BTreeMap;
use weir_connector::{ErrorClass, JobInfo, SinkError, redact, text};

/// A name with places to be filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    text: String,
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Spider,
    Time,
    Job,
    /// The part's number, from 1, with zeros in front up to this width.
    Number {
        width: usize,
    },
}

const NUMBER_WIDTH_MAX: usize = 20;

impl Template {
    /// Reads a name. `%(batch)s` is the spider's argument of that name when it has one, else the number of the part, which
    /// `%(batch_id)d` always is; `%%` is a percent sign.
    ///
    /// # Errors
    /// A name in brackets that nobody knows, with those that are known.
    pub fn parse(text: &str, args: &BTreeMap<String, String>) -> Result<Template, SinkError> {
        let wrong = |what: String| {
            let mut known = ["%(name)s", "%(time)s", "%(job)s", "%(batch)s", "%(batch_id)05d"].join(", ");
            for arg in args.keys() {
                known.push_str(&format!(", %({arg})s"));
            }
            SinkError::new(
                ErrorClass::Configuration,
                what,
                format!("-o {}", redact(text)),
                known,
                "Correct the name, or write %% for a percent sign",
            )
        };
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('%') {
            plain.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            if let Some(behind) = rest.strip_prefix('(') {
                let (name, behind) = behind.split_once(')').ok_or_else(|| wrong("a bracket is not closed".into()))?;
                let digits = behind.find(|c: char| !c.is_ascii_digit()).unwrap_or(behind.len());
                let (width, behind) = behind.split_at(digits);
                let (conversion, behind) = match behind.chars().next() {
                    Some(c @ ('s' | 'd')) => (c, &behind[1..]),
                    _ => return Err(wrong(format!("%({name}) ends without s or d"))),
                };
                rest = behind;
                let number = name == "batch_id" || (name == "batch" && !args.contains_key(name));
                if !number && (conversion == 'd' || !width.is_empty()) {
                    return Err(wrong(format!("%({name}){width}{conversion} is no number")));
                }
                if let Some(value) = args.get(name).filter(|_| !number) {
                    plain.push_str(&component(value));
                    continue;
                }
                let piece = match name {
                    "name" => Piece::Spider,
                    "time" => Piece::Time,
                    "job" => Piece::Job,
                    _ if number => Piece::Number { width: width.parse().unwrap_or(0).min(NUMBER_WIDTH_MAX) },
                    _ => return Err(wrong(format!("unknown name %({name}){conversion}"))),
                };
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
                pieces.push(piece);
            } else {
                plain.push('%');
                rest = rest.strip_prefix('%').unwrap_or(rest);
            }
        }
        plain.push_str(rest);
        pieces.push(Piece::Text(plain));
        Ok(Template { text: text.to_owned(), pieces })
    }

    /// A name in which nothing is filled in.
    #[must_use]
    pub fn verbatim(text: &str) -> Template {
        Template { text: text.to_owned(), pieces: vec![Piece::Text(text.to_owned())] }
    }

    /// As it was written.
    #[must_use]
    pub fn as_written(&self) -> &str {
        &self.text
    }

    /// True when parts have names of their own.
    #[must_use]
    pub fn has_number(&self) -> bool {
        self.pieces.iter().any(|piece| matches!(piece, Piece::Number { .. }))
    }

    /// The name of a job's part.
    #[must_use]
    pub fn name(&self, job: &JobInfo, number: u64) -> String {
        let mut out = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Spider => out.push_str(&component(&job.spider)),
                Piece::Time => out.push_str(&time(job)),
                Piece::Job => out.push_str(&job.job.0.to_string()),
                Piece::Number { width } => out.push_str(&format!("{number:0width$}")),
            }
        }
        out
    }
}

/// The job's beginning as Scrapy writes it: `2026-11-21T11-40-44+00-00`.
fn time(job: &JobInfo) -> String {
    let mut out = Vec::new();
    text::put_datetime(&mut out, i64::try_from(job.started.0 / 1000 * 1000).unwrap_or(i64::MAX));
    String::from_utf8_lossy(&out).replace(':', "-").replace('Z', "+00-00")
}

/// A value as a part of one folder's or file's name.
fn component(value: &str) -> String {
    let plain: String =
        value.chars().map(|c| if matches!(c, '/' | '\\') || c.is_control() { '-' } else { c }).collect();
    match plain.as_str() {
        "" | "." | ".." => "-".to_owned(),
        _ => plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_connector::contract;
    use weir_model::UnixMs;

    fn args(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn name(text: &str, pairs: &[(&str, &str)], number: u64) -> String {
        let job = JobInfo { started: UnixMs(1_763_725_244_567), ..contract::job(None) };
        Template::parse(text, &args(pairs)).expect(text).name(&job, number)
    }

    #[test]
    fn names_are_filled_in_as_scrapy_does() {
        assert_eq!(name("out/%(name)s/%(time)s.jsonl", &[], 1), "out/contract/2025-11-21T11-40-44+00-00.jsonl");
        assert_eq!(name("p%(batch_id)05d-%(batch)s.csv", &[], 12), "p00012-12.csv");
        assert_eq!(name("%(area)s-%(job)s.csv", &[("area", "leeds")], 1), "leeds-7.csv");
        assert_eq!(name("a%%b%20c%.csv", &[], 1), "a%b%20c%.csv");
        assert_eq!(
            name("%(batch)s-%(batch_id)d.jl", &[("batch", "x")], 3),
            "x-3.jl",
            "an argument wins over the number"
        );
    }

    #[test]
    fn a_value_never_adds_a_folder() {
        assert_eq!(name("o/%(a)s/x.csv", &[("a", "../../etc")], 1), "o/..-..-etc/x.csv");
        assert_eq!(name("o/%(a)s/x.csv", &[("a", "..")], 1), "o/-/x.csv");
        assert_eq!(name("o/%(a)s/x.csv", &[("a", "")], 1), "o/-/x.csv");
    }

    #[test]
    fn an_unknown_name_is_refused_with_those_that_are_known() {
        for bad in ["%(batch_time)s.csv", "%(name.csv", "%(name)x.csv", "%(name)05d.csv", "%(area)d.csv"] {
            let error = Template::parse(bad, &args(&[("area", "1")])).expect_err(bad).to_string();
            assert!(error.contains("%(time)s") && error.contains("%(area)s"), "{error}");
        }
    }
}
