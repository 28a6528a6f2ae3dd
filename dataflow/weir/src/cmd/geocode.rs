//! How locations are found, put together from settings: gazetteer file, providers with their keys, cache.

use crate::cmd::Usage;
use crate::cmd::sink_secrets::Secrets;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use weir_driver::{CacheFuture, GeocodeCache, GeocodeOptions, Settings};
use weir_geo::{Gazetteer, Provider};
use weir_redis::RedisCache;
use weir_spider::Spider;
use weir_stage::Geocoding;

/// What a crawl finds locations with; `None` when nobody is set up, or nothing wants one.
pub fn options(settings: &Settings, spider: &Spider) -> Result<Option<GeocodeOptions>, Usage> {
    // Mistakes are told whether or not this spider needs it; a server is asked only when it does.
    let is_needed = !spider.geocodes().is_empty();
    let options = gathered(settings, 1, &Secrets::default(), is_needed)?;
    Ok(options.filter(|_| is_needed))
}

/// What one of so many stages finds locations with, whatever its jobs want; `None` when nobody is set up. What the environment does
/// not have may be among its secrets.
pub fn for_stage(settings: &Settings, stages: u32, secrets: &Secrets) -> Result<Option<GeocodeOptions>, Usage> {
    gathered(settings, stages, secrets, true)
}

fn gathered(
    settings: &Settings,
    stages: u32,
    secrets: &Secrets,
    is_needed: bool,
) -> Result<Option<GeocodeOptions>, Usage> {
    let geocode = &settings.geocode;
    let providers = geocode.providers(settings.user_agent.as_deref());
    let shared = |providers: Vec<Arc<Provider>>| {
        providers.iter().map(|provider| provider.shared_by(stages).map(Arc::new)).collect::<Result<Vec<_>, _>>()
    };
    let providers = providers.and_then(shared).map_err(|error| Usage(error.to_string()))?;
    let keys =
        keys(&providers, |name| std::env::var(name).ok().filter(|key| !key.is_empty()).or_else(|| secrets.key(name)))?;
    let gazetteer = geocode.gazetteer.as_deref().map(gazetteer).transpose()?.unwrap_or_default();
    let cache = geocode.cache.as_deref().map(|url| cache(&secrets.fill(url)?, is_needed)).transpose()?;
    if !geocode.is_configured() {
        return Ok(None);
    }
    let geocoding = Geocoding { config: Arc::new(geocode.config()), gazetteer: Arc::new(gazetteer), providers };
    let agent = settings.user_agent.as_deref().unwrap_or(weir_driver::fetching::USER_AGENT);
    Ok(Some(GeocodeOptions { geocoding, keys, cache, user_agent: agent.to_owned() }))
}

/// The values of the secrets that providers name: environment variables.
fn keys(
    providers: &[Arc<Provider>],
    variable: impl Fn(&str) -> Option<String>,
) -> Result<BTreeMap<String, String>, Usage> {
    let mut keys = BTreeMap::new();
    for provider in providers {
        let Some(secret) = provider.key() else { continue };
        match variable(&secret.0).filter(|value| !value.is_empty()) {
            Some(value) => keys.insert(secret.0.clone(), value),
            None => {
                return Err(Usage(format!(
                    "geocode.providers.{}.key: the environment has no variable {:?}; expected the name of one that holds the key",
                    provider.name(),
                    secret.0
                )));
            }
        };
    }
    Ok(keys)
}

fn gazetteer(path: &Path) -> Result<Gazetteer, Usage> {
    let name = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|error| {
        Usage(format!(
            "geocode.gazetteer: {name}: cannot be read: {error}; expected a CSV file with the columns name, lat, lon"
        ))
    })?;
    Gazetteer::read(&name, &bytes).map_err(|error| Usage(error.to_string()))
}

fn cache(url: &str, is_needed: bool) -> Result<Box<dyn GeocodeCache>, Usage> {
    let made = if is_needed { RedisCache::checked(url) } else { RedisCache::from_url(url) };
    let cache = made.map_err(|error| Usage(format!("geocode.cache: {error}")))?;
    Ok(Box::new(Redis(cache)))
}

struct Redis(RedisCache);

impl GeocodeCache for Redis {
    fn get_many<'a>(&'a self, addresses: &'a [String]) -> CacheFuture<'a, Vec<Option<Vec<u8>>>> {
        Box::pin(async move { self.0.get_many(addresses).await.map_err(|error| error.to_string()) })
    }

    fn set_many<'a>(&'a self, entries: &'a [(String, Vec<u8>, Duration)]) -> CacheFuture<'a, ()> {
        Box::pin(async move { self.0.set_many(entries).await.map_err(|error| error.to_string()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_geo::{ProviderConfig, ProviderKind, SecretName};

    #[test]
    fn a_key_that_is_not_in_the_environment_is_named_and_never_shown() {
        let key = Some(SecretName("GEO_KEY".to_owned()));
        let config = ProviderConfig { key, ..ProviderConfig::new("big", ProviderKind::Google) };
        let providers = [Arc::new(Provider::new(config).expect("a right configuration"))];
        let found = keys(&providers, |_| Some("very secret".to_owned())).expect("it is there");
        assert_eq!(found["GEO_KEY"], "very secret");
        for missing in [None, Some(String::new())] {
            let error = keys(&providers, |_| missing.clone()).expect_err("it is not").to_string();
            assert!(error.contains("geocode.providers.big.key") && error.contains("GEO_KEY"), "{error}");
        }
    }
}
