//! Whose server a host is: the registered domain, which one law and one owner belong to.
//!
//! By the Public Suffix List, private section included (`user.github.io` is a domain of its own). IP addresses, names of one label
//! and public suffixes are themselves; so is every name under `localhost`, since the practice site serves any of them as a site of
//! its own. It must not resolve names.

use std::net::{Ipv4Addr, Ipv6Addr};
use xxhash_rust::xxh3::xxh3_64;

pub use weir_model::DomainKey;

/// The registered domain of a host in lower case: always an end of it, without a dot at the end.
///
/// An IPv6 address may stand in brackets, and keeps them.
#[must_use]
pub fn registered_domain(host: &str) -> &str {
    let host = host.strip_suffix('.').unwrap_or(host);
    if !host.contains('.') || is_localhost(host) || is_ip(host) {
        return host;
    }
    match psl::domain(host.as_bytes()) {
        Some(domain) => &host[host.len() - domain.as_bytes().len()..],
        None => host,
    }
}

/// The key of a registered domain.
#[must_use]
pub fn domain_key(domain: &str) -> DomainKey {
    DomainKey(xxh3_64(domain.as_bytes()))
}

/// True for an IPv4 or IPv6 address, with or without brackets.
#[must_use]
pub fn is_ip(host: &str) -> bool {
    host.parse::<Ipv4Addr>().is_ok() || parse_ipv6(host).is_some()
}

fn parse_ipv6(host: &str) -> Option<Ipv6Addr> {
    let inner = host.strip_prefix('[').map_or(Some(host), |rest| rest.strip_suffix(']'))?;
    inner.parse().ok()
}

/// True for `localhost` and every name under it (RFC 6761).
#[must_use]
pub fn is_localhost(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    host.strip_suffix("localhost").is_some_and(|before| before.is_empty() || before.ends_with('.'))
}

/// True when the host means this machine: `localhost` and names under it, 127.0.0.0/8, `::1`, and `::ffff:127.0.0.0/104`.
#[must_use]
pub fn is_loopback(host: &str) -> bool {
    is_localhost(host)
        || host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
        || parse_ipv6(host).is_some_and(|address| {
            address.is_loopback() || address.to_ipv4_mapped().is_some_and(|address| address.is_loopback())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_public_suffix_list_says_where_a_domain_begins() {
        for (host, domain) in [
            ("www.example.com", "example.com"),
            ("example.com", "example.com"),
            ("a.b.example.co.uk", "example.co.uk"),
            ("co.uk", "co.uk"),
            ("x.user.github.io", "user.github.io"),
            ("foo.bar.internal", "bar.internal"),
            ("www.example.com.", "example.com"),
            ("www.xn--bcher-kva.de", "xn--bcher-kva.de"),
            ("server", "server"),
            ("", ""),
        ] {
            assert_eq!(registered_domain(host), domain, "{host}");
        }
    }

    #[test]
    fn an_address_is_its_own_domain() {
        for host in ["192.168.1.10", "127.0.0.1", "[::1]", "::1", "[2001:db8::1]"] {
            assert_eq!(registered_domain(host), host);
            assert!(is_ip(host));
        }
        assert!(!is_ip("1.2.3"));
        assert!(!is_ip("[::1"));
    }

    #[test]
    fn every_name_under_localhost_is_a_domain_of_its_own() {
        for host in ["localhost", "a.localhost", "b.a.localhost"] {
            assert_eq!(registered_domain(host), host);
            assert!(is_loopback(host));
        }
        assert_ne!(domain_key("a.localhost"), domain_key("b.localhost"));
        assert!(!is_loopback("notlocalhost"));
        assert!(!is_loopback("localhost.example.com"));
    }

    #[test]
    fn loopback_is_known_in_every_form() {
        assert!(is_loopback("127.3.2.1") && is_loopback("[::1]") && is_loopback("[::ffff:127.0.0.1]"));
        assert!(!is_loopback("10.0.0.1") && !is_loopback("[2001:db8::1]"));
    }
}
