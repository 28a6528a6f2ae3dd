//! A policy in the YAML of Scrapy Cluster's domain settings: `blacklist: [..]`, `domains: {name: {window, hits, scale}}`.
//!
//! Decides only how it is written as TOML: what is right and what is wrong is decided by `read`, whose mistakes are told at their
//! place in the YAML. A window that is a number is in seconds, as there. Everything that the TOML file may say may stand here, too.

use super::read;
use super::{Policy, PolicyError};
use saphyr::{LoadableYamlNode, MarkedYaml, Marker, Scalar, YamlData};

pub(super) fn policy(text: &str, file: &str) -> Result<Policy, PolicyError> {
    let documents = MarkedYaml::load_from_str(text)
        .map_err(|error| mistake(file, *error.marker(), "", format!("this is no YAML: {}", error.info())))?;
    let mut toml = Toml { file, text: String::new(), places: Vec::new() };
    match documents.as_slice() {
        [] => {}
        [one] => toml.document(one)?,
        [_, second, ..] => {
            return Err(mistake(file, second.span.start, "", "expected one document, found a second one".into()));
        }
    }
    read::policy(&toml.text, file).map_err(|error| {
        let place = toml.places.get(error.line.saturating_sub(1));
        let (line, column) = place.map_or((1, 1), |place| (place.line(), place.col() + 1));
        PolicyError { line, column, ..error }
    })
}

fn mistake(file: &str, place: Marker, key: &str, message: String) -> PolicyError {
    let (line, column) = (place.line(), place.col() + 1);
    PolicyError { file: file.to_owned(), line, column, key: key.to_owned(), message, hint: None }
}

type Node<'y> = MarkedYaml<'y>;

/// The TOML, and where each of its lines comes from.
struct Toml<'a> {
    file: &'a str,
    text: String,
    places: Vec<Marker>,
}

impl Toml<'_> {
    fn line(&mut self, place: Marker, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
        self.places.push(place);
    }

    fn document(&mut self, document: &Node<'_>) -> Result<(), PolicyError> {
        let entries = self.entries(document, "")?;
        // What stands in no table comes first.
        for (key, place, value) in &entries {
            match key.as_str() {
                "default" | "domains" => {}
                "blacklist" => self.blacklist(value)?,
                _ => {
                    let value = self.scalar(value, key)?;
                    self.line(*place, &format!("{} = {value}", quoted(key)));
                }
            }
        }
        for (key, place, value) in &entries {
            match key.as_str() {
                "default" => self.law("default", *place, value)?,
                "domains" => {
                    for (name, place, law) in self.entries(value, "domains")? {
                        self.law(&format!("domains.{}", quoted(&name)), place, &law)?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn blacklist(&mut self, value: &Node<'_>) -> Result<(), PolicyError> {
        match &value.data {
            YamlData::Value(Scalar::Null) => return Ok(()),
            YamlData::Sequence(names) => {
                self.line(value.span.start, "blacklist = [");
                for name in names {
                    let text = self.scalar(name, "blacklist")?;
                    self.line(name.span.start, &format!("{text},"));
                }
                self.line(value.span.start, "]");
            }
            _ => {
                let text = self.scalar(value, "blacklist")?;
                self.line(value.span.start, &format!("blacklist = {text}"));
            }
        }
        Ok(())
    }

    fn law(&mut self, table: &str, place: Marker, value: &Node<'_>) -> Result<(), PolicyError> {
        self.line(place, &format!("[{table}]"));
        for (key, _, value) in self.entries(value, table)? {
            let mut text = self.scalar(&value, &format!("{table}.{key}"))?;
            if key == "window" && matches!(value.data, YamlData::Value(Scalar::Integer(_) | Scalar::FloatingPoint(_))) {
                text = format!("\"{text}s\"");
            }
            self.line(value.span.start, &format!("{} = {text}", quoted(&key)));
        }
        Ok(())
    }

    /// The entries of a mapping; nothing is an empty one.
    fn entries<'y>(&self, node: &Node<'y>, key: &str) -> Result<Vec<(String, Marker, Node<'y>)>, PolicyError> {
        let mapping = match &node.data {
            YamlData::Mapping(mapping) => mapping,
            YamlData::Value(Scalar::Null) => return Ok(Vec::new()),
            _ => {
                let message = "expected a mapping (name: value)".to_owned();
                return Err(mistake(self.file, node.span.start, key, message));
            }
        };
        let entry = |(name, value): (&Node<'y>, &Node<'y>)| match &name.data {
            YamlData::Value(Scalar::String(text)) => Ok((text.clone().into_owned(), name.span.start, value.clone())),
            _ => Err(mistake(self.file, name.span.start, key, "expected a name; put it into quotes".to_owned())),
        };
        mapping.iter().map(entry).collect()
    }

    fn scalar(&self, node: &Node<'_>, key: &str) -> Result<String, PolicyError> {
        Ok(match &node.data {
            YamlData::Value(Scalar::String(text)) => quoted(text),
            YamlData::Value(Scalar::Integer(number)) => number.to_string(),
            YamlData::Value(Scalar::FloatingPoint(number)) if number.is_finite() => format!("{:?}", **number),
            YamlData::Value(Scalar::Boolean(yes)) => yes.to_string(),
            _ => {
                return Err(mistake(
                    self.file,
                    node.span.start,
                    key,
                    "expected a value: text, number or true or false".into(),
                ));
            }
        })
    }
}

/// As TOML writes it.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Law;

    #[test]
    fn the_file_of_scrapy_cluster_reads_as_it_says() {
        let text = "blacklist:\n  - domain3.com\n  - domain4.com\ndomains:\n  wikipedia.org:\n    window: 60\n    hits: 60\n    scale: 0.5\n  \
                    domain1.com: {window: 1.5, hits: 30}\n";
        let policy = Policy::parse_file(text, "crawler.yaml").expect("a policy");
        assert!(policy.is_blacklisted("www.domain3.com") && policy.is_blacklisted("domain4.com"));
        let law = Law { hits: 60, window_us: 60_000_000, moderated: true, scale: 0.5 };
        assert_eq!(policy.law_for("wikipedia.org", false), Some(law));
        let law = Law { hits: 30, window_us: 1_500_000, moderated: true, scale: 1.0 };
        assert_eq!(policy.law_for("domain1.com", false), Some(law));
        assert_eq!(Policy::parse_file("", "empty.yml"), Ok(Policy::default()));
        assert_eq!(Policy::parse_file("blacklist:\ndomains:\n", "empty.yml"), Ok(Policy::default()));
        let own = "profile: broad\ndefault:\n  hits: 3\n  window: 500ms\n  moderated: false\n";
        let same = "profile = \"broad\"\n[default]\nhits = 3\nwindow = \"500ms\"\nmoderated = false";
        assert_eq!(Policy::parse_file(own, "law.yaml"), Policy::parse(same, "law.toml"));
    }

    #[test]
    fn a_mistake_is_told_at_its_place_in_the_yaml() {
        for (text, told) in [
            ("domains:\n  a.com:\n    hits: many\n", "l.yaml:3:11: domains.\"a.com\".hits: expected a whole number"),
            ("domains:\n  a.com:\n    hitz: 3\n", "l.yaml:3:11: domains.\"a.com\".hitz: unknown key"),
            (
                "domains:\n  www.a.com:\n    hits: 3\n",
                "l.yaml:2:3: domains.\"www.a.com\": expected a registered domain",
            ),
            ("blacklist:\n  - a.com\n  - http://b.com/\n", "l.yaml:3:5: blacklist: expected a name"),
            ("blaklist: 3\n", "l.yaml:1:1: blaklist: unknown key"),
            ("domains:\n  a.com: 3\n", "l.yaml:2:10: domains.\"a.com\": expected a mapping"),
            ("domains: [\n", "l.yaml:2:1: this is no YAML"),
            ("--- {}\n--- {}\n", "l.yaml:2:5: expected one document"),
            ("3: {}\n", "l.yaml:1:1: expected a name"),
        ] {
            let error = Policy::parse_file(text, "l.yaml").expect_err(text).to_string();
            assert!(error.starts_with(told), "{told:?} in {error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_file_panics(text in "[a-z:\\-\\[\\]{}&* .0-9\n\"']{0,80}") {
            let _ = Policy::parse_file(&text, "l.yaml");
        }
    }
}
