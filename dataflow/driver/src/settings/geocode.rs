//! Settings of geocoding: those of the stage, and one table a provider.
//!
//! Decides what a provider's settings are called and how they are written. Whether they fit together is `weir-geo`'s to say.

use super::raw::Raw;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use weir_frontier::Limits;
use weir_geo::{GeoConfig, Provider, ProviderConfig, ProviderError, ProviderKind, SecretName};

/// What a provider may be told.
pub(super) const PROVIDER_KEYS: &str = "kind, url, key, rate, parallel, keep, user_agent, language, region";

/// How addresses become locations.
#[derive(Clone, Debug, PartialEq)]
pub struct GeocodeSettings {
    /// A CSV file of known places: name, lat, lon.
    pub gazetteer: Option<PathBuf>,
    /// URL of the cache that is asked before a provider; `None`: the state itself is the cache.
    pub cache: Option<String>,
    /// How long an item waits for its location.
    pub wait_max: Duration,
    /// Bytes of remembered addresses.
    pub memory_bytes_max: usize,
    /// Items that wait at once.
    pub waiters_max: usize,
    /// How long it is believed that no provider knows an address.
    pub negative_keep: Duration,
    /// How long an address whose providers failed is not asked again.
    pub failed_keep: Duration,
    /// Calls for one address at one provider.
    pub attempts_max: u32,
    /// Pause after a failure, doubled with each further one.
    pub backoff: Duration,
    /// Whom to ask, in this order.
    pub providers: Vec<ProviderSettings>,
}

/// A provider as far as it was set.
#[derive(Clone, Debug, PartialEq)]
pub struct ProviderSettings {
    kind: Option<ProviderKind>,
    config: ProviderConfig,
}

impl Default for GeocodeSettings {
    fn default() -> Self {
        let config = GeoConfig::default();
        GeocodeSettings {
            gazetteer: None,
            cache: None,
            wait_max: Duration::from_micros(config.give_up_us),
            memory_bytes_max: config.memory_bytes_max,
            waiters_max: config.waiters_max,
            negative_keep: Duration::from_micros(config.negative_keep_us),
            failed_keep: Duration::from_micros(config.failed_keep_us),
            attempts_max: config.attempts_max,
            backoff: Duration::from_micros(config.backoff_us),
            providers: Vec::new(),
        }
    }
}

impl GeocodeSettings {
    /// Whether there is anybody to ask: a provider, a gazetteer or a cache.
    #[must_use]
    pub fn is_configured(&self) -> bool {
        self.gazetteer.is_some() || self.cache.is_some() || !self.providers.is_empty()
    }

    /// The geocoder's own settings.
    #[must_use]
    pub fn config(&self) -> GeoConfig {
        let us = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let defaults = GeoConfig::default();
        GeoConfig {
            outer_cache: self.cache.is_some(),
            give_up_us: us(self.wait_max),
            memory_bytes_max: self.memory_bytes_max,
            waiters_max: self.waiters_max,
            negative_keep_us: us(self.negative_keep),
            failed_keep_us: us(self.failed_keep),
            attempts_max: self.attempts_max,
            backoff_us: us(self.backoff),
            backoff_max_us: defaults.backoff_max_us.max(us(self.backoff)),
            ..defaults
        }
    }

    /// The providers, checked. One without a user agent of its own has the crawl's.
    ///
    /// # Errors
    /// Names the setting that has to change.
    pub fn providers(&self, user_agent: Option<&str>) -> Result<Vec<Arc<Provider>>, ProviderError> {
        let provider = |provider: &ProviderSettings| {
            let mut config = provider.config.clone();
            config.kind = provider.kind.ok_or_else(|| ProviderError {
                provider: config.name.clone(),
                setting: "kind",
                problem: "it is not set".to_owned(),
                expected: "google or nominatim",
            })?;
            config.user_agent = config.user_agent.or_else(|| user_agent.map(str::to_owned));
            Provider::new(config).map(Arc::new)
        };
        self.providers.iter().map(provider).collect()
    }

    /// Sets `geocode.providers.NAME.KEY`; `name` is what comes behind `geocode.providers.`.
    pub(super) fn set_provider(&mut self, name: &str, value: &Raw<'_>) -> Result<(), String> {
        let Some((name, key)) = name.split_once('.') else {
            return Err(format!("geocode.providers.{name} is a table; it has {PROVIDER_KEYS}"));
        };
        let at = match self.providers.iter().position(|provider| provider.config.name == name) {
            Some(at) => at,
            None if self.providers.len() == weir_geo::provider::PROVIDERS_MAX => {
                return Err(format!("there are more than {} providers", weir_geo::provider::PROVIDERS_MAX));
            }
            None => {
                let config = ProviderConfig::new(name, ProviderKind::Google);
                self.providers.push(ProviderSettings { kind: None, config });
                self.providers.len() - 1
            }
        };
        self.providers[at].set(key, value).map_err(|expected| match expected {
            Some(expected) => format!("geocode.providers.{name}.{key} is {}, expected {expected}", value.shown()),
            None => format!("a geocode provider has no setting {key:?}; it has {PROVIDER_KEYS}"),
        })
    }
}

impl ProviderSettings {
    /// `Err(None)`: there is no such setting.
    fn set(&mut self, key: &str, value: &Raw<'_>) -> Result<(), Option<&'static str>> {
        let config = &mut self.config;
        match key {
            "kind" => {
                self.kind = Some(match value.text()?.as_str() {
                    "google" => ProviderKind::Google,
                    "nominatim" => ProviderKind::Nominatim,
                    _ => return Err(Some("google or nominatim")),
                });
            }
            "url" => config.url = Some(value.text()?),
            "key" => config.key = Some(SecretName(value.text()?)),
            "rate" => config.law = Some(rate(value)?),
            "parallel" => config.parallel_max = Some(value.within(1, 1_000, "a whole number from 1 to 1000")? as usize),
            "keep" => config.keep_us = Some(u64::try_from(value.long_duration()?.as_micros()).unwrap_or(u64::MAX)),
            "user_agent" => config.user_agent = Some(value.header()?),
            "language" => config.language = Some(value.text()?),
            "region" => config.region = Some(value.text()?),
            _ => return Err(None),
        }
        Ok(())
    }
}

/// `5` (a second), or `60 in 1m`.
fn rate(value: &Raw<'_>) -> Result<Limits, &'static str> {
    let expected = "calls a second, such as 5, or calls and a duration, such as \"60 in 1m\"";
    let limits = |hits: u64, window: Duration| {
        let hits = u32::try_from(hits).ok().filter(|hits| *hits > 0).ok_or(expected)?;
        let window_us = u64::try_from(window.as_micros()).map_err(|_| expected)?;
        // Below a millisecond a clock's resolution would decide; a day is the longest that anybody asks for.
        if !(1_000..=86_400_000_000).contains(&window_us) {
            return Err(expected);
        }
        Ok(Limits { hits, window_us, moderated: false })
    };
    if let Ok(hits) = value.integer() {
        return limits(hits, Duration::from_secs(1));
    }
    let text = value.text().map_err(|_| expected)?;
    let (hits, window) = text.split_once(" in ").ok_or(expected)?;
    let hits = hits.trim().parse().map_err(|_| expected)?;
    limits(hits, Raw::Text(window.trim()).long_duration().map_err(|_| expected)?)
}

#[cfg(test)]
mod tests {
    use crate::Settings;
    use std::time::Duration;
    use weir_geo::ProviderKind;

    #[test]
    fn providers_come_from_files_and_from_the_command_line_in_their_order() {
        let file: toml::Table = "[geocode]\nwait_max = \"2m\"\n[geocode.providers.osm]\nkind = \"nominatim\"\nurl = \"http://localhost:1/search\"\nkeep = \"90d\"\n[geocode.providers.big]\nkind = \"google\"\nurl = \"http://localhost:2/json\"\nrate = \"60 in 1m\""
            .parse()
            .expect("toml");
        let mut settings = Settings::default();
        assert!(!settings.geocode.is_configured());
        settings.apply_table(&file, "weir.toml").expect("file");
        settings.set("geocode.providers.osm.url=http://localhost:3/search").expect("command line");
        settings.set("geocode.providers.osm.rate=5").expect("command line");
        assert!(settings.geocode.is_configured());
        assert_eq!(settings.geocode.wait_max, Duration::from_secs(120));
        let providers = settings.geocode.providers(Some("me (+mailto:me@example.com)")).expect("they fit");
        let found: Vec<_> = providers.iter().map(|one| (&**one.name(), one.kind(), one.law().hits)).collect();
        assert_eq!(found, [("osm", ProviderKind::Nominatim, 5), ("big", ProviderKind::Google, 60)]);
        assert_eq!(providers[0].keep_us(), 90 * 86_400_000_000);
        let request = providers[0].request("x");
        assert!(request.url.starts_with("http://localhost:3/"), "{}", request.url);
        assert_eq!(request.user_agent.as_deref(), Some("me (+mailto:me@example.com)"));
    }

    #[test]
    fn mistakes_name_the_setting_and_what_is_right() {
        for (text, said) in [
            ("geocode.providers.osm=1", "geocode.providers.osm is a table"),
            ("geocode.providers.osm.kid=google", "no setting \"kid\"; it has kind, url"),
            ("geocode.providers.osm.kind=bing", "kind is bing, expected google or nominatim"),
            ("geocode.providers.osm.rate=0", "rate is 0, expected calls a second"),
            ("geocode.providers.osm.rate=5 in 1x", "expected calls a second"),
            ("geocode.providers.osm.keep=90", "expected a duration with its unit"),
            ("geocode.wait=1s", "did you mean \"geocode.wait_max\""),
        ] {
            let error = Settings::default().set(text).expect_err(text).to_string();
            assert!(error.contains(said), "{error}");
        }
        let mut settings = Settings::default();
        settings.set("geocode.providers.osm.url=http://localhost:3/search").expect("a setting");
        let error = settings.geocode.providers(None).expect_err("no kind").to_string();
        assert_eq!(error, "geocode.providers.osm.kind: it is not set; expected google or nominatim");
    }
}
