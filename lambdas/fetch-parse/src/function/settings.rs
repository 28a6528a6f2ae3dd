//! How the function is deployed: environment variables, all of them checked before the first message.
//!
//! | variable | is | default |
//! |---|---|---|
//! | `WEIR_BUCKET` | the artifact bucket | needed |
//! | `WEIR_CLAIM_TABLE` | the table of claims | needed |
//! | `WEIR_USER_AGENT` | sent when a job names none | `weir/VERSION` |
//! | `WEIR_ALLOW_HOSTS` | hosts that may be on private addresses, by commas; `loopback` means this machine | none |
//! | `WEIR_CONCURRENCY` | requests at once | 200 |
//! | `WEIR_IDLE_MS` | the longest wait for a slot | 5000 |
//! | `WEIR_MARGIN_MS` | how far clocks may differ | 50 |
//! | `WEIR_CLAIM_TTL_HOURS` | how long a claim is kept: longer than the fetch queue keeps a message | 120 |
//! | `WEIR_REPORT_BYTES` | size of a message of reports | 65536 |
//! | `WEIR_BODY_MEMORY_MB` | memory for large bodies | a quarter of the function's |

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::time::Duration;
use url::{Host, Url};
use weir_fetch::{FetchSettings, Guard};
use weir_model::json::FetchRules;
use weir_queue::CLAIM_TTL;

/// As deployed.
#[derive(Clone, Debug, PartialEq)]
pub struct FunctionSettings {
    /// The artifact bucket.
    pub bucket: String,
    /// The table of claims.
    pub claim_table: String,
    /// What holds for requests unless their job says otherwise.
    pub fetch: FetchSettings,
    /// Hosts that may be on private addresses.
    pub allowed: AllowedHosts,
    /// Sockets that nobody may be sent to: the function's own runtime, the emulator.
    pub refused: Vec<SocketAddr>,
    /// Requests at once, over all messages.
    pub concurrency: usize,
    /// The longest wait for a slot: waiting costs as much as working.
    pub idle_max: Duration,
    /// Kept back at the end of an invocation, to send reports.
    pub report_reserve: Duration,
    /// Kept back before that, for answers to what was sent last.
    pub answer_reserve: Duration,
    /// How long a claim is kept.
    pub claim_ttl: Duration,
    /// A message of reports is filled to this: one billed unit.
    pub report_bytes: usize,
    /// Large bodies in memory, over all requests.
    pub body_memory_bytes: u64,
    /// The function's memory, which its time is billed by.
    pub memory_mb: u32,
}

/// Hosts that the deployment allows to be where others may not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedHosts {
    /// `localhost`, names under it, and loopback addresses.
    pub loopback: bool,
    /// Exactly these.
    pub exact: Vec<String>,
}

impl AllowedHosts {
    /// Reads `loopback,intranet.example`.
    #[must_use]
    pub fn parse(text: &str) -> AllowedHosts {
        let mut allowed = AllowedHosts::default();
        for host in text.split(',').map(str::trim).filter(|host| !host.is_empty()) {
            if host == "loopback" {
                allowed.loopback = true;
            } else {
                allowed.exact.push(host.to_owned());
            }
        }
        allowed
    }

    /// The host of a URL when it is this machine by name or number, and that is allowed.
    #[must_use]
    pub fn local_host(&self, url: &str) -> Option<String> {
        if !self.loopback {
            return None;
        }
        let url = Url::parse(url).ok()?;
        let local = match url.host()? {
            Host::Domain(name) => {
                let name = name.trim_end_matches('.');
                name == "localhost" || name.ends_with(".localhost")
            }
            Host::Ipv4(address) => address.is_loopback(),
            Host::Ipv6(address) => address.is_loopback(),
        };
        local.then(|| url.host_str().unwrap_or_default().to_owned())
    }
}

impl FunctionSettings {
    /// Settings with defaults for everything but names.
    #[must_use]
    pub fn new(bucket: &str, claim_table: &str) -> FunctionSettings {
        FunctionSettings {
            bucket: bucket.to_owned(),
            claim_table: claim_table.to_owned(),
            fetch: FetchSettings { margin: Duration::from_millis(50), ..FetchSettings::default() },
            allowed: AllowedHosts::default(),
            refused: Vec::new(),
            concurrency: 200,
            idle_max: Duration::from_secs(5),
            report_reserve: Duration::from_secs(4),
            answer_reserve: Duration::from_secs(10),
            claim_ttl: CLAIM_TTL,
            report_bytes: 64 << 10,
            body_memory_bytes: 32 << 20,
            memory_mb: 128,
        }
    }

    /// Settings from the environment; `get` gives a variable.
    ///
    /// # Errors
    /// All mistakes at once, each with its variable and what is expected.
    pub fn from_env(get: impl Fn(&str) -> Option<String>) -> Result<FunctionSettings, String> {
        let mut wrong = Vec::new();
        let mut need = |name: &str, what: &str| {
            let value = get(name).filter(|value| !value.is_empty());
            value.unwrap_or_else(|| {
                wrong.push(format!("{name} is not set: the deployment gives it the name of {what}"));
                String::new()
            })
        };
        let (bucket, table) = (need("WEIR_BUCKET", "the artifact bucket"), need("WEIR_CLAIM_TABLE", "the claim table"));
        let mut settings = FunctionSettings::new(&bucket, &table);
        let mut number = |name: &str, default: u64, least: u64, most: u64| match get(name).map(|text| text.parse()) {
            None => default,
            Some(Ok(value)) if (least..=most).contains(&value) => value,
            Some(_) => {
                let found = get(name).unwrap_or_default();
                wrong.push(format!("{name}={found:?}: a whole number from {least} to {most} is expected"));
                default
            }
        };
        settings.concurrency = number("WEIR_CONCURRENCY", 200, 1, 10_000) as usize;
        settings.idle_max = Duration::from_millis(number("WEIR_IDLE_MS", 5_000, 0, 900_000));
        settings.fetch.margin = Duration::from_millis(number("WEIR_MARGIN_MS", 50, 0, 10_000));
        settings.claim_ttl = Duration::from_secs(3600 * number("WEIR_CLAIM_TTL_HOURS", 120, 1, 24 * 365));
        settings.report_bytes = number("WEIR_REPORT_BYTES", 64 << 10, 1 << 10, 1 << 20) as usize;
        let memory = number("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", 128, 1, 1 << 20);
        settings.memory_mb = memory as u32;
        settings.body_memory_bytes = number("WEIR_BODY_MEMORY_MB", (memory / 4).max(1), 1, 1 << 20) << 20;
        settings.allowed = AllowedHosts::parse(&get("WEIR_ALLOW_HOSTS").unwrap_or_default());
        if let Some(agent) = get("WEIR_USER_AGENT").filter(|agent| !agent.is_empty()) {
            if http::HeaderValue::from_str(&agent).is_err() {
                wrong.push(format!("WEIR_USER_AGENT={agent:?} is no value of an HTTP header"));
            } else {
                settings.fetch.user_agent = agent;
            }
        }
        let own = [get("AWS_LAMBDA_RUNTIME_API"), get("AWS_ENDPOINT_URL")];
        settings.refused = own.into_iter().flatten().flat_map(|address| sockets(&address)).collect();
        if wrong.is_empty() { Ok(settings) } else { Err(wrong.join("; ")) }
    }

    /// The guard: strict, but for what the deployment allows.
    pub(super) fn guard<'a>(&'a self, local: impl Iterator<Item = &'a String>) -> Guard {
        let mut guard = Guard::new();
        for host in self.allowed.exact.iter().chain(local) {
            guard.allow_host(host);
        }
        for socket in &self.refused {
            guard.refuse_socket(*socket);
        }
        guard
    }

    /// The settings of requests under a job's rules.
    pub(super) fn fetch_for(&self, rules: &FetchRules) -> FetchSettings {
        let mut fetch = self.fetch.clone();
        let ms = Duration::from_millis;
        if let Some(agent) = &rules.user_agent {
            fetch.user_agent.clone_from(agent);
        }
        fetch.total_timeout = rules.total_timeout_ms.map_or(fetch.total_timeout, ms);
        fetch.connect_timeout = rules.connect_timeout_ms.map_or(fetch.connect_timeout, ms);
        fetch.headers_timeout = rules.headers_timeout_ms.map_or(fetch.headers_timeout, ms);
        fetch.body_bytes_max = rules.body_bytes_max.unwrap_or(fetch.body_bytes_max);
        fetch.wire_bytes_max = rules.wire_bytes_max.unwrap_or(fetch.wire_bytes_max);
        fetch
    }
}

/// What a job says of its requests must be usable.
pub(super) fn check_rules(rules: &FetchRules) -> Result<(), String> {
    match &rules.user_agent {
        Some(agent) if http::HeaderValue::from_str(agent).is_err() => {
            Err(format!("user_agent {agent:?} is no value of an HTTP header"))
        }
        _ => Ok(()),
    }
}

/// The sockets of `host:port`, with or without a scheme. A look-up happens once, at start.
fn sockets(address: &str) -> Vec<SocketAddr> {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let rest = rest.split('/').next().unwrap_or_default();
    let Ok(found) = rest.to_socket_addrs() else { return Vec::new() };
    // Whoever listens on all addresses of this machine answers on each.
    let mut sockets: Vec<SocketAddr> = found.collect();
    if let Some(port) = sockets.iter().find(|socket| socket.ip().is_loopback()).map(SocketAddr::port) {
        sockets.extend(
            [IpAddr::from([127, 0, 0, 1]), IpAddr::from(1u128.to_be_bytes())].map(|ip| SocketAddr::new(ip, port)),
        );
    }
    sockets.sort_unstable();
    sockets.dedup();
    sockets
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(pairs: &[(&str, &str)]) -> Result<FunctionSettings, String> {
        let pairs: Vec<(String, String)> = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        FunctionSettings::from_env(move |name| {
            pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone())
        })
    }

    #[test]
    fn names_are_needed_and_the_rest_has_defaults() {
        let settings = from(&[("WEIR_BUCKET", "b"), ("WEIR_CLAIM_TABLE", "t")]).expect("complete");
        assert_eq!(settings, FunctionSettings::new("b", "t"));
        let error = from(&[("WEIR_CONCURRENCY", "many")]).expect_err("three mistakes");
        for told in ["WEIR_BUCKET is not set", "WEIR_CLAIM_TABLE is not set", "WEIR_CONCURRENCY=\"many\"", "1 to 10000"]
        {
            assert!(error.contains(told), "{told} in {error}");
        }
    }

    #[test]
    fn the_guard_is_strict_unless_the_deployment_says_otherwise() {
        let names = [("WEIR_BUCKET", "b"), ("WEIR_CLAIM_TABLE", "t")];
        let here: SocketAddr = "127.0.0.1:80".parse().expect("a socket");
        let strict = from(&names).expect("complete");
        assert_eq!(strict.allowed.local_host("http://localhost/"), None);
        assert!(!strict.guard([].iter()).permits("localhost", here));
        let local = [("WEIR_ALLOW_HOSTS", "loopback, intranet.test"), ("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9001")];
        let open = from(&[names.as_slice(), &local].concat()).expect("complete");
        for (url, host) in [
            ("http://localhost:9312/x", Some("localhost")),
            ("http://shop.localhost/", Some("shop.localhost")),
            ("http://127.0.0.9/", Some("127.0.0.9")),
            ("http://[::1]:80/", Some("[::1]")),
            ("http://localhost.example/", None),
            ("http://10.0.0.1/", None),
        ] {
            assert_eq!(open.allowed.local_host(url).as_deref(), host, "{url}");
        }
        let guard = open.guard(["localhost".to_owned()].iter());
        assert!(guard.permits("localhost", here));
        assert!(guard.permits("intranet.test", "10.0.0.1:80".parse().expect("a socket")));
        assert!(!guard.permits("other.test", "10.0.0.1:80".parse().expect("a socket")));
        assert!(!guard.permits("localhost", "127.0.0.1:9001".parse().expect("a socket")), "the runtime's own port");
    }
}
