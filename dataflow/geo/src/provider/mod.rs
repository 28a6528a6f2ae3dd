//! Providers: whom addresses may be asked of, how, and what their answers mean.
//!
//! Decides URLs, rules of use and the meaning of bytes. Makes no request: that is the driver's, which also knows the keys. Here a
//! key is only the name of a secret. Invariants: no URL here holds a key; a provider with rules that are published (Google's
//! cache limit, the public Nominatim's rate) cannot be configured to break them; no answer panics.

mod google;
mod nominatim;
mod reading;

pub use reading::{BODY_BYTES_MAX, HttpAnswer, Reading};

use crate::entry::Precision;
use std::fmt;
use std::sync::Arc;
use url::{Host, Url};
use weir_frontier::Limits;

/// Microseconds of a second.
const SECOND_US: u64 = 1_000_000;
/// Microseconds of a day.
const DAY_US: u64 = 86_400 * SECOND_US;
/// Google's terms (Maps service specific terms, geocoding): latitude and longitude may be cached for up to 30 consecutive days.
const GOOGLE_KEEP_MAX_US: u64 = 30 * DAY_US;
/// OpenStreetMap's licence (ODbL) sets no limit and its Nominatim asks users to cache; places move, so half a year.
const NOMINATIM_KEEP_US: u64 = 180 * DAY_US;
/// Providers of one geocoder: an id fits the low bits of a call's id.
pub const PROVIDERS_MAX: usize = 16;

/// Which interface a provider has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProviderKind {
    /// `GET URL?address=...&key=...`, JSON with `status` and `results`.
    Google,
    /// `GET URL?q=...&format=jsonv2&limit=1`, a JSON list of places.
    Nominatim,
}

/// The name under which the driver finds a secret. Its value never comes here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretName(pub String);

/// How a provider is set up. What is `None` has the default of its kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderConfig {
    /// Name: the source of its locations, and what its rate is remembered under.
    pub name: String,
    /// Interface.
    pub kind: ProviderKind,
    /// Endpoint without query; default: the public one of its kind.
    pub url: Option<String>,
    /// The secret that holds the key.
    pub key: Option<SecretName>,
    /// At most so many calls in so long. Default: 50 a second (Google), one a second (Nominatim).
    pub law: Option<Limits>,
    /// Calls under way at once. Default: 16 (Google), 1 (Nominatim).
    pub parallel_max: Option<usize>,
    /// How long an answer may be kept, microseconds. Default: 30 days (Google), 180 days (Nominatim).
    pub keep_us: Option<u64>,
    /// Sent as `User-Agent`. The public Nominatim requires one with a contact.
    pub user_agent: Option<String>,
    /// Language of the address (`en`), when known.
    pub language: Option<String>,
    /// Country that is preferred (`gb`), when known.
    pub region: Option<String>,
}

impl ProviderConfig {
    /// A provider with the defaults of its kind.
    #[must_use]
    pub fn new(name: &str, kind: ProviderKind) -> ProviderConfig {
        ProviderConfig {
            name: name.to_owned(),
            kind,
            url: None,
            key: None,
            law: None,
            parallel_max: None,
            keep_us: None,
            user_agent: None,
            language: None,
            region: None,
        }
    }
}

/// A provider that cannot be used as it is configured.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("geocode.providers.{provider}.{setting}: {problem}; expected {expected}")]
pub struct ProviderError {
    /// The provider's name.
    pub provider: String,
    /// The setting to change.
    pub setting: &'static str,
    /// What is wrong.
    pub problem: String,
    /// What would be right.
    pub expected: &'static str,
}

/// One request to a provider, without its key: safe to log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallRequest {
    /// `GET` this.
    pub url: String,
    /// A query parameter to append, and the secret that is its value.
    pub key: Option<(&'static str, SecretName)>,
    /// `User-Agent`, when the provider has its own.
    pub user_agent: Option<Arc<str>>,
}

/// A URL that holds a key. Shows itself without it.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretUrl {
    shown: String,
    whole: String,
}

impl SecretUrl {
    /// The URL with its key, for the one who makes the request.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.whole
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Display for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl CallRequest {
    /// The URL to ask, with the value of the secret that `key` names.
    #[must_use]
    pub fn with_key(&self, value: &str) -> SecretUrl {
        let Some((parameter, _)) = &self.key else {
            return SecretUrl { shown: self.url.clone(), whole: self.url.clone() };
        };
        let value: String = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
        SecretUrl { shown: format!("{}&{parameter}=***", self.url), whole: format!("{}&{parameter}={value}", self.url) }
    }
}

/// A provider whose settings were found to be right.
#[derive(Clone, Debug)]
pub struct Provider {
    name: Arc<str>,
    kind: ProviderKind,
    url: Url,
    key: Option<SecretName>,
    law: Limits,
    parallel_max: usize,
    keep_us: u64,
    user_agent: Option<Arc<str>>,
    language: Option<String>,
    region: Option<String>,
}

impl Provider {
    /// Checks a configuration.
    ///
    /// # Errors
    /// Names the setting that has to change.
    pub fn new(config: ProviderConfig) -> Result<Provider, ProviderError> {
        let name = config.name.clone();
        let wrong = |setting, problem: String, expected| {
            Err(ProviderError { provider: name.clone(), setting, problem, expected })
        };
        if config.name.is_empty() || config.name.len() > 32 || !config.name.bytes().all(is_name) {
            return wrong("name", format!("{:?} is no name", config.name), "1 to 32 of a-z, 0-9, - and _");
        }
        let written = config.url.as_deref().unwrap_or(match config.kind {
            ProviderKind::Google => google::URL,
            ProviderKind::Nominatim => nominatim::URL,
        });
        let url = match Url::parse(written) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => url,
            _ => return wrong("url", "no http or https URL".to_owned(), "such as https://geo.example.org/search"),
        };
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
            let problem = "it has a user, a query or a fragment".to_owned();
            return wrong("url", problem, "the endpoint alone; a key belongs in a secret that `key` names");
        }
        let public = Public::of(&url);
        if public == Some(Public::Google) && config.key.is_none() {
            return wrong(
                "key",
                "Google answers nobody without a key".to_owned(),
                "the name of the secret that holds it",
            );
        }
        if config.key.is_some() && url.scheme() == "http" && !is_loopback(&url) {
            return wrong("url", "a key would travel unencrypted".to_owned(), "https");
        }
        let (law, parallel_max) = match config.kind {
            ProviderKind::Google => (Limits { hits: 50, window_us: SECOND_US, moderated: false }, 16),
            ProviderKind::Nominatim => (Limits { hits: 1, window_us: SECOND_US, moderated: false }, 1),
        };
        let law = config.law.unwrap_or(law);
        let parallel_max = config.parallel_max.unwrap_or(parallel_max);
        if law.hits == 0 || law.window_us == 0 {
            return wrong("rate", "no call would ever be allowed".to_owned(), "at least one call in a window");
        }
        if parallel_max == 0 {
            return wrong("parallel", "0".to_owned(), "at least 1");
        }
        let keep_us = config.keep_us.unwrap_or(match config.kind {
            ProviderKind::Google => GOOGLE_KEEP_MAX_US,
            ProviderKind::Nominatim => NOMINATIM_KEEP_US,
        });
        if public == Some(Public::Google) && keep_us > GOOGLE_KEEP_MAX_US {
            let problem = format!("{} days is longer than Google's terms allow", keep_us / DAY_US);
            return wrong("keep", problem, "at most 30d");
        }
        if public == Some(Public::Nominatim) {
            // Its usage policy: an absolute maximum of one request a second, one thread, a user agent that identifies the application.
            if u128::from(law.hits) * u128::from(SECOND_US) > u128::from(law.window_us) || parallel_max != 1 {
                let problem = "faster than the public Nominatim allows".to_owned();
                return wrong("rate", problem, "at most 1 in 1s, parallel = 1; or a Nominatim of your own in `url`");
            }
            let contact = |agent: &str| agent.contains('@') || agent.contains("http");
            if !config.user_agent.as_deref().is_some_and(contact) {
                let problem = "the public Nominatim serves nobody who does not identify himself".to_owned();
                return wrong("user_agent", problem, "a user_agent with a URL or an e-mail address");
            }
        }
        if config.user_agent.as_deref().is_some_and(|agent| agent.chars().any(char::is_control)) {
            return wrong("user_agent", "it has control characters".to_owned(), "one line of text");
        }
        Ok(Provider {
            name: config.name.into(),
            kind: config.kind,
            url,
            key: config.key,
            law,
            parallel_max,
            keep_us,
            user_agent: config.user_agent.map(Arc::from),
            language: config.language,
            region: config.region,
        })
    }

    /// The provider as one of so many stages may ask it: they know nothing of each other's calls, so each has its part of the rate.
    ///
    /// # Errors
    /// When there are fewer calls than stages, or whoever serves it wants one caller.
    pub fn shared_by(&self, stages: u32) -> Result<Provider, ProviderError> {
        let refused = |problem: String, expected| {
            Err(ProviderError { provider: self.name.to_string(), setting: "rate", problem, expected })
        };
        if stages > 1 && Public::of(&self.url) == Some(Public::Nominatim) {
            return refused(
                format!("the public Nominatim wants to be asked by one caller, and there are {stages} stages"),
                "one stage, a Nominatim of your own in `url`, or another provider",
            );
        }
        let hits = self.law.hits / stages.max(1);
        if hits == 0 {
            return refused(
                format!("{stages} stages share {} calls in {} ms", self.law.hits, self.law.window_us / 1_000),
                "at least one call a stage, such as a longer window with more calls",
            );
        }
        let parallel_max = (self.parallel_max / stages.max(1) as usize).max(1);
        Ok(Provider { law: Limits { hits, ..self.law }, parallel_max, ..self.clone() })
    }

    /// Its name: the source of its locations.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Its interface.
    #[must_use]
    pub fn kind(&self) -> ProviderKind {
        self.kind
    }

    /// The name of the secret that holds its key.
    #[must_use]
    pub fn key(&self) -> Option<&SecretName> {
        self.key.as_ref()
    }

    /// How often it may be asked.
    #[must_use]
    pub fn law(&self) -> Limits {
        self.law
    }

    /// Calls under way at once.
    #[must_use]
    pub fn parallel_max(&self) -> usize {
        self.parallel_max
    }

    /// How long an answer may be kept, microseconds.
    #[must_use]
    pub fn keep_us(&self) -> u64 {
        self.keep_us
    }

    /// The endpoint's host: what the operator allows by naming it.
    #[must_use]
    pub fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    /// The request that asks for an address.
    #[must_use]
    pub fn request(&self, address: &str) -> CallRequest {
        let mut url = self.url.clone();
        let key = match self.kind {
            ProviderKind::Google => google::write(&mut url, address, self.language.as_deref(), self.region.as_deref()),
            ProviderKind::Nominatim => {
                nominatim::write(&mut url, address, self.language.as_deref(), self.region.as_deref())
            }
        };
        CallRequest {
            url: url.into(),
            key: self.key.clone().map(|secret| (key, secret)),
            user_agent: self.user_agent.clone(),
        }
    }

    /// What an answer says.
    #[must_use]
    pub fn read(&self, answer: &HttpAnswer) -> Reading {
        match self.kind {
            ProviderKind::Google => google::read(answer),
            ProviderKind::Nominatim => nominatim::read(answer),
        }
    }
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_')
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(host)) => host == "localhost" || host.ends_with(".localhost"),
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

/// Services of others whose rules are known.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Public {
    Google,
    Nominatim,
}

impl Public {
    fn of(url: &Url) -> Option<Public> {
        let host = url.host_str()?.trim_end_matches('.');
        if host == "googleapis.com" || host.ends_with(".googleapis.com") {
            Some(Public::Google)
        } else if host == "nominatim.openstreetmap.org" {
            Some(Public::Nominatim)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests;
