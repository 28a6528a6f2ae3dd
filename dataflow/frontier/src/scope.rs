//! Which hosts a job may visit, as Scrapy's off-site filter decides it: an allowed name, or any name under it; ports do not count.
//!
//! Compiled once; a check allocates nothing. It must not know why a URL is asked about.

use crate::url::Scheme;
use thiserror::Error;

/// What the scope says of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ScopeVerdict {
    /// May be visited.
    Inside,
    /// Neither an allowed name nor under one.
    Offsite,
    /// http or https, but the job takes the other one only.
    Scheme,
}

/// An entry of `allowed_domains` that can never match: it is left out.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("allowed_domains: {entry:?} is {found}, expected a name like \"example.com\"{}", .hint.as_ref().map_or(String::new(), |h| format!(" (write {h:?})")))]
pub struct ScopeWarning {
    /// The entry.
    pub entry: String,
    /// What it looks like.
    pub found: &'static str,
    /// What was probably meant.
    pub hint: Option<String>,
}

/// Compiled `allowed_domains`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Sorted, in lower case, without dots around them.
    names: Box<[Box<str>]>,
    /// False: no list was given, everything is inside.
    restricted: bool,
    https_only: bool,
}

impl Scope {
    /// Every host.
    #[must_use]
    pub fn everything() -> Scope {
        Scope::default()
    }

    /// The scope of a list of names, and the entries that name no host. An empty list allows everything; a list in which nothing is
    /// usable allows nothing.
    #[must_use]
    pub fn compile<S: AsRef<str>>(allowed_domains: &[S]) -> (Scope, Vec<ScopeWarning>) {
        let mut names = Vec::with_capacity(allowed_domains.len());
        let mut warnings = Vec::new();
        for entry in allowed_domains {
            match name_of(entry.as_ref()) {
                Ok(name) => names.push(name),
                Err(warning) => warnings.push(warning),
            }
        }
        names.sort_unstable();
        names.dedup();
        (Scope { names: names.into(), restricted: !allowed_domains.is_empty(), https_only: false }, warnings)
    }

    /// The same scope for https URLs only.
    #[must_use]
    pub fn https_only(mut self) -> Scope {
        self.https_only = true;
        self
    }

    /// What it says of a host in lower case (an IPv6 address in brackets).
    #[must_use]
    pub fn check(&self, scheme: Scheme, host: &str) -> ScopeVerdict {
        if self.https_only && scheme != Scheme::Https {
            return ScopeVerdict::Scheme;
        }
        if !self.restricted || self.names_host(host) { ScopeVerdict::Inside } else { ScopeVerdict::Offsite }
    }

    fn names_host(&self, host: &str) -> bool {
        let has = |name: &str| self.names.binary_search_by(|own| own.as_ref().cmp(name)).is_ok();
        let mut rest = host.strip_suffix('.').unwrap_or(host);
        loop {
            if has(rest) {
                return true;
            }
            match rest.split_once('.') {
                Some((_, parent)) => rest = parent,
                None => return false,
            }
        }
    }
}

fn name_of(entry: &str) -> Result<Box<str>, ScopeWarning> {
    let warning = |found, hint| ScopeWarning { entry: entry.to_owned(), found, hint };
    let trimmed = entry.trim().trim_start_matches('.').trim_end_matches('.');
    if trimmed.is_empty() {
        return Err(warning("empty", None));
    }
    if let Some((_, rest)) = trimmed.split_once("://") {
        let host = rest.split(['/', '?', '#', ':']).next().unwrap_or_default().to_ascii_lowercase();
        return Err(warning("a URL", Some(host).filter(|host| !host.is_empty())));
    }
    if trimmed.starts_with('[') || trimmed.parse::<std::net::Ipv6Addr>().is_ok() {
        let inner = trimmed.trim_start_matches('[').trim_end_matches(']');
        return match url::Host::parse(&format!("[{inner}]")) {
            Ok(host) => Ok(host.to_string().into()),
            Err(_) => Err(warning("no address", None)),
        };
    }
    if let Some((host, _)) = trimmed.split_once('/') {
        return Err(warning("a path", Some(host.to_ascii_lowercase()).filter(|host| !host.is_empty())));
    }
    if let Some((host, _)) = trimmed.split_once(':') {
        return Err(warning("a name with a port (ports do not count)", Some(host.to_ascii_lowercase())));
    }
    match url::Host::parse(trimmed) {
        Ok(host) => Ok(host.to_string().into()),
        Err(_) => Err(warning("no host name", None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inside(allowed: &[&str], host: &str) -> bool {
        Scope::compile(allowed).0.check(Scheme::Http, host) == ScopeVerdict::Inside
    }

    #[test]
    fn a_name_allows_itself_and_what_is_under_it() {
        assert!(inside(&["example.com"], "example.com"));
        assert!(inside(&["example.com"], "sub.example.com"));
        assert!(inside(&["Example.COM"], "a.b.example.com"));
        assert!(!inside(&["sub.example.com"], "example.com"));
        assert!(!inside(&["example.com"], "example.com.example"));
        assert!(!inside(&["a.example"], "nota.example"));
        assert!(!inside(&["b.a.example"], "notb.a.example"));
        assert!(inside(&["b.example", "a.example", "c.example"], "x.a.example"));
        assert!(inside(&["bücher.de"], "www.xn--bcher-kva.de"));
        assert!(inside(&["::1"], "[::1]") && inside(&["127.0.0.1"], "127.0.0.1"));
    }

    #[test]
    fn no_list_allows_everything_and_an_unusable_one_nothing() {
        assert!(inside(&[], "example.com"));
        let (scope, warnings) = Scope::compile(&["https://b.example", "c.example:8000", "d.example/x", "a.example"]);
        assert_eq!(warnings.len(), 3);
        assert_eq!(warnings[0].hint.as_deref(), Some("b.example"));
        assert_eq!(warnings[1].hint.as_deref(), Some("c.example"));
        assert_eq!(scope.check(Scheme::Http, "a.example"), ScopeVerdict::Inside);
        assert_eq!(scope.check(Scheme::Http, "b.example"), ScopeVerdict::Offsite);
        assert!(!inside(&["https://b.example"], "b.example"));
    }

    #[test]
    fn a_scope_for_https_refuses_http() {
        let scope = Scope::everything().https_only();
        assert_eq!(scope.check(Scheme::Http, "a.example"), ScopeVerdict::Scheme);
        assert_eq!(scope.check(Scheme::Https, "a.example"), ScopeVerdict::Inside);
    }
}
