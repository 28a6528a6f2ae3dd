//! What a stage puts into the URLs of its sinks: passwords that come apart from them, and the names of a job. Keys of geocoders come
//! the same way.

use crate::cmd::Usage;
use std::collections::BTreeMap;

/// Passwords by kind of sink, and keys by the names that settings call them: `{"mysql": "...", "redis": "...", "MAPS_KEY": "..."}`.
#[derive(Default)]
pub struct Secrets(BTreeMap<String, String>);

/// Reads the JSON of a secret.
pub fn read(text: Option<&str>) -> Result<Secrets, Usage> {
    let Some(text) = text else { return Ok(Secrets::default()) };
    serde_json::from_str(text).map(Secrets).map_err(|_| {
        // The parser's words could quote the secret.
        Usage("WEIR_SINK_SECRETS: JSON with passwords by kind of sink is expected, such as {\"mysql\": \"...\"}".into())
    })
}

impl Secrets {
    /// A key.
    pub fn key(&self, name: &str) -> Option<String> {
        self.0.get(name).cloned()
    }

    /// The URL with its password, when there is one for its kind and none in it.
    pub fn fill(&self, url: &str) -> Result<String, Usage> {
        let Some((scheme, rest)) = url.split_once("://") else { return Ok(url.to_owned()) };
        let Some(password) = self.0.get(scheme) else { return Ok(url.to_owned()) };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
        if user.contains(':') {
            return Err(Usage(format!(
                "{}: a password in the URL and one in WEIR_SINK_SECRETS: leave the URL's out",
                weir_connector::redact(url)
            )));
        }
        let behind = &rest[authority.len()..];
        Ok(format!("{scheme}://{user}:{}@{host}{behind}", encoded(password)))
    }
}

/// Everything but letters, digits and `-._~` as %XX.
fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// `%(name)s`, `%(job)s` and `%(time)s` (milliseconds since 1970) of a job, and `%(stage)s`, the number of the stage.
pub fn expand(url: &str, spider: &str, job: u64, opened_at_ms: u64, stage: u32) -> String {
    let values = [
        ("name", spider),
        ("job", &job.to_string()),
        ("time", &opened_at_ms.to_string()),
        ("stage", &stage.to_string()),
    ];
    values.iter().fold(url.to_owned(), |url, (name, value)| url.replace(&format!("%({name})s"), value))
}

/// `%(stage)s` alone.
pub fn of_stage(url: &str, stage: u32) -> String {
    url.replace("%(stage)s", &stage.to_string())
}

/// Whether two jobs of one spider have two places.
pub fn differs_by_job(url: &str) -> bool {
    url.contains("%(job)s") || url.contains("%(time)s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_come_into_urls_that_have_none() {
        let secrets = read(Some("{\"mysql\": \"p@ss:w/rd\", \"redis\": \"x\"}")).expect("JSON");
        for (url, filled) in [
            ("mysql://weir@db.example/shop/items", "mysql://weir:p%40ss%3Aw%2Frd@db.example/shop/items"),
            ("redis://cache:6379/0", "redis://:x@cache:6379/0"),
            ("elasticsearch://es:9200/i", "elasticsearch://es:9200/i"),
            ("items.jsonl", "items.jsonl"),
        ] {
            assert_eq!(secrets.fill(url).expect("no conflict"), filled);
        }
        let error = secrets.fill("mysql://weir:secret@db/x/y").expect_err("two passwords").to_string();
        assert!(!error.contains("secret@"), "{error}");
        assert!(read(Some("mysql=geheim")).is_err_and(|error| !error.to_string().contains("geheim")));
    }

    #[test]
    fn feeds_are_named_by_their_job_and_stage() {
        assert_eq!(expand("out/%(name)s-%(job)s-%(stage)s.jsonl", "shop", 7, 0, 2), "out/shop-7-2.jsonl");
    }
}
