//! Limits of one request. Every one has a default and a reason.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Headers for which hyper has room without an allocation.
pub(crate) const HEADER_COUNT_INLINE: usize = 100;

/// How requests are made, and what ends them.
#[derive(Clone, Debug, PartialEq)]
pub struct FetchSettings {
    /// Sent as `User-Agent`.
    pub user_agent: String,
    /// Resolving and connecting, TLS included. Longer waits mean an overloaded or filtered host.
    pub connect_timeout: Duration,
    /// From the request to the end of the answer's headers.
    pub headers_timeout: Duration,
    /// From the request to the end of the answer. Scrapy's default.
    pub total_timeout: Duration,
    /// Bytes a second below which a body is given up, measured over each `rate_grace`: a dripping server holds a slot for ever.
    pub rate_min: u64,
    /// How long a body may be slow.
    pub rate_grace: Duration,
    /// Body on the wire.
    pub wire_bytes_max: u64,
    /// Body, decoded.
    pub body_bytes_max: u64,
    /// Decoded bytes a wire byte, beyond the first 64 KiB: a bomb is found long before it is large. DEFLATE reaches 1,032; real
    /// pages stay under 100.
    pub ratio_max: u64,
    /// Bytes of the answer's headers.
    pub header_bytes_max: usize,
    /// Number of the answer's headers. At hyper's own default of 100 its table needs no allocation; Python's limit is the same.
    pub header_count_max: usize,
    /// Body bytes that a request may hold without asking the common budget; also what is read of an answer that is no page.
    pub free_bytes: u64,
    /// Idle connections kept to one origin.
    pub idle_per_origin_max: usize,
    /// Idle connections kept in all.
    pub idle_max: usize,
    /// How long an idle connection is kept: shorter than servers keep theirs.
    pub idle_timeout: Duration,
    /// Requests at once on an HTTP/2 connection; the server may allow fewer.
    pub streams_max: usize,
    /// How long a look-up is believed whose name server does not say.
    pub dns_ttl: Duration,
    /// How long a failed look-up is believed: a dead name is asked for once, not once a request.
    pub dns_failure_ttl: Duration,
    /// Addresses of names, asked before the system's resolver, as `/etc/hosts` is. The guard judges them like any other.
    pub hosts: Vec<(String, Vec<IpAddr>)>,
    /// Who is asked how long addresses hold; `None`: the system's name servers.
    pub name_servers: Option<Vec<SocketAddr>>,
    /// Bytes of a robots.txt that are read (RFC 9309, section 2.5).
    pub robots_bytes_max: usize,
    /// Added to `not_before`: how far this machine's clock may be ahead of the stage's. 0 in process.
    pub margin: Duration,
}

impl Default for FetchSettings {
    fn default() -> Self {
        FetchSettings {
            user_agent: concat!("weir/", env!("CARGO_PKG_VERSION")).to_owned(),
            connect_timeout: Duration::from_secs(10),
            headers_timeout: Duration::from_secs(60),
            total_timeout: Duration::from_secs(180),
            rate_min: 128,
            rate_grace: Duration::from_secs(10),
            wire_bytes_max: 10 << 20,
            body_bytes_max: 10 << 20,
            ratio_max: 200,
            header_bytes_max: 64 << 10,
            header_count_max: HEADER_COUNT_INLINE,
            free_bytes: 256 << 10,
            idle_per_origin_max: 128,
            idle_max: 1024,
            idle_timeout: Duration::from_secs(15),
            streams_max: 100,
            dns_ttl: Duration::from_secs(60),
            dns_failure_ttl: Duration::from_secs(5),
            hosts: Vec::new(),
            name_servers: None,
            robots_bytes_max: 500 << 10,
            margin: Duration::ZERO,
        }
    }
}
