//! The address guard: where a crawler may connect to, decided for every resolved address at connect time.
//!
//! Refuses everything that the IANA special-purpose registries (IPv4, IPv6) do not call globally reachable, also where it is
//! wrapped in an IPv6 address (mapped, compatible, 6to4, NAT64, Teredo). The exception: hosts that the operator's own start
//! URLs name, exactly these.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::OnceLock;

/// Who may be connected to.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    /// Host, and whether its first address was a public one.
    allowed: BTreeMap<String, OnceLock<bool>>,
    refused: BTreeSet<SocketAddr>,
}

/// IPv4 blocks of the registry that are not globally reachable: address, prefix length.
const V4_REFUSED: &[(Ipv4Addr, u8)] = &[
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 31, 196, 0), 24),
    (Ipv4Addr::new(192, 52, 193, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(192, 175, 48, 0), 24),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

/// IPv6 blocks inside 2000::/3 that are not ordinary unicast; everything outside 2000::/3 is refused anyway.
const V6_REFUSED: &[(Ipv6Addr, u8)] = &[
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    (Ipv6Addr::new(0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0), 48),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
];

/// Where clouds answer with credentials: refused even to hosts that are allowed.
const METADATA: &[IpAddr] = &[
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 2)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 23)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23)),
];

impl Guard {
    /// A guard that lets nobody into special-purpose ranges.
    #[must_use]
    pub fn new() -> Guard {
        Guard::default()
    }

    /// Lets this exact host be anywhere: the operator's start URLs name it.
    pub fn allow_host(&mut self, host: &str) {
        self.allowed.entry(normal(host)).or_default();
    }

    /// Refuses a socket to everybody, allowed hosts too: the Lambda runtime's own.
    pub fn refuse_socket(&mut self, socket: SocketAddr) {
        self.refused.insert(socket);
    }

    /// Whether a connection for `host` may go to `socket`.
    #[must_use]
    pub fn permits(&self, host: &str, socket: SocketAddr) -> bool {
        let address = unwrapped(socket.ip());
        if METADATA.contains(&address) || self.refused.contains(&SocketAddr::new(address, socket.port())) {
            return false;
        }
        let global = is_global(address);
        match self.allowed.get(&normal(host)) {
            // A public name that the operator gave stays public: its owner cannot move it into the operator's network later.
            Some(public) => global || public.get() != Some(&true),
            None => global,
        }
    }

    /// Tells what was connected to: the first answer fixes whether an allowed name is a public or a private one.
    pub(crate) fn note_connected(&self, host: &str, address: IpAddr) {
        if let Some(public) = self.allowed.get(&normal(host)) {
            // The first one stays.
            let _ = public.set(is_global(unwrapped(address)));
        }
    }
}

/// The IPv4 address in an IPv4-mapped one.
fn unwrapped(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

fn normal(host: &str) -> String {
    host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.').to_ascii_lowercase()
}

/// Globally reachable by the registries, wrappings unwrapped.
#[must_use]
pub fn is_global(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => !V4_REFUSED.iter().any(|(block, bits)| u32::from(v4) ^ u32::from(*block) < bound32(*bits)),
        IpAddr::V6(v6) => is_global_v6(v6),
    }
}

fn bound32(bits: u8) -> u32 {
    1 << (32 - bits)
}

fn is_global_v6(v6: Ipv6Addr) -> bool {
    let s = v6.segments();
    // ::ffff:a.b.c.d is what a dual-stack socket makes of an IPv4 address: judged as that address.
    if s[..6] == [0, 0, 0, 0, 0, 0xffff] {
        return is_global(IpAddr::V4(embedded(s[6], s[7])));
    }
    // NAT64 (64:ff9b::/96): goes on to the embedded address.
    if s[..6] == [0x64, 0xff9b, 0, 0, 0, 0] {
        return is_global(IpAddr::V4(embedded(s[6], s[7])));
    }
    let unicast = s[0] & 0xe000 == 0x2000;
    let refused = V6_REFUSED
        .iter()
        .any(|(block, bits)| (u128::from(v6) ^ u128::from(*block)).checked_shr(128 - u32::from(*bits)) == Some(0));
    unicast && !refused
}

fn embedded(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(high) << 16 | u32::from(low))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn global(text: &str) -> bool {
        is_global(text.parse().expect("an address"))
    }

    #[test]
    fn special_purpose_ranges_are_refused_at_their_edges() {
        for inside in [
            "0.0.0.0",
            "0.255.255.255",
            "10.0.0.1",
            "100.64.0.0",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.255",
            "169.254.169.254",
            "172.16.0.0",
            "172.31.255.255",
            "192.0.0.8",
            "192.168.0.0",
            "192.168.255.255",
            "198.18.0.0",
            "198.19.255.255",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::7f00:1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2001::1",
            "2001:db8::1",
            "fc00::1",
            "fe80::1",
            "ff02::1",
            "fd00:ec2::254",
            "100::1",
            "5f00::1",
            "3fff::1",
        ] {
            assert!(!global(inside), "{inside} is special");
        }
        for outside in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "172.15.255.255",
            "172.32.0.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2606:4700::1",
            "2a00:1450::1",
            "::ffff:1.1.1.1",
            "64:ff9b::101:101",
        ] {
            assert!(global(outside), "{outside} is global");
        }
    }

    fn socket(text: &str) -> SocketAddr {
        SocketAddr::new(text.parse().expect("an address"), 80)
    }

    #[test]
    fn only_the_host_that_the_operator_named_may_be_private() {
        let mut guard = Guard::new();
        guard.allow_host("localhost");
        let loopback = socket("127.0.0.1");
        assert!(guard.permits("localhost", loopback) && guard.permits("LOCALHOST.", loopback));
        assert!(!guard.permits("evil.localhost", loopback) && !guard.permits("example.com", loopback));
        assert!(guard.permits("example.com", socket("1.1.1.1")));
    }

    #[test]
    fn metadata_and_the_functions_own_runtime_are_closed_to_everybody() {
        let mut guard = Guard::new();
        guard.allow_host("here");
        let runtime = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 9001);
        guard.refuse_socket(runtime);
        for metadata in ["169.254.169.254", "::ffff:169.254.169.254", "fd00:ec2::254"] {
            assert!(!guard.permits("here", socket(metadata)), "{metadata}");
        }
        assert!(!guard.permits("here", runtime));
        assert!(!guard.permits("here", SocketAddr::new("::ffff:127.0.0.1".parse().expect("v6"), 9001)));
        assert!(guard.permits("here", SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 9002)));
    }

    #[test]
    fn a_public_start_host_cannot_move_into_the_private_network() {
        let mut guard = Guard::new();
        guard.allow_host("shop.example");
        guard.allow_host("intranet");
        guard.note_connected("shop.example", "1.1.1.1".parse().expect("v4"));
        guard.note_connected("intranet", "10.0.0.1".parse().expect("v4"));
        assert!(!guard.permits("shop.example", socket("10.0.0.1")) && guard.permits("shop.example", socket("1.0.0.1")));
        assert!(guard.permits("intranet", socket("10.0.0.2")));
    }

    proptest! {
        #[test]
        fn wrapping_an_address_never_opens_a_door(bits: u32) {
            let v4 = Ipv4Addr::from(bits);
            let plain = is_global(IpAddr::V4(v4));
            prop_assert_eq!(is_global(IpAddr::V6(v4.to_ipv6_mapped())), plain);
            let o = v4.octets();
            let nat64 = Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, u16::from_be_bytes([o[0], o[1]]), u16::from_be_bytes([o[2], o[3]]));
            prop_assert_eq!(is_global(IpAddr::V6(nat64)), plain);
            let six = Ipv6Addr::new(0x2002, u16::from_be_bytes([o[0], o[1]]), u16::from_be_bytes([o[2], o[3]]), 0, 0, 0, 0, 1);
            prop_assert!(!is_global(IpAddr::V6(six)));
        }

        #[test]
        fn what_the_standard_library_calls_private_is_never_global(bits: u32) {
            let v4 = Ipv4Addr::from(bits);
            let special = v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_broadcast() || v4.is_documentation()
                || v4.is_multicast() || v4.is_unspecified();
            prop_assert!(!special || !is_global(IpAddr::V4(v4)));
        }
    }
}
