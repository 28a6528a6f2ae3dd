//! The address guard: where a crawler may connect to, decided for every resolved address at connect time.
//!
//! Refuses the IANA special-purpose registries (IPv4, IPv6) and multicast, also where an IPv4 address is wrapped in an IPv6 one
//! (mapped, compatible, 6to4, NAT64, Teredo). The few entries that the registries call globally reachable (anycast of PCP and
//! TURN, AS112, AMT, ORCHID) serve no pages and are refused with the rest; NAT64 alone is judged by what it wraps. The exception:
//! hosts that the operator's own start URLs name, exactly these. Invariant: metadata services and the function's own runtime are
//! closed to everybody. Knows nothing of names and look-ups.

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
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
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
        if METADATA.contains(&address) || self.refuses(address, socket.port()) {
            return false;
        }
        let global = is_global(socket.ip());
        match self.allowed.get(&normal(host)) {
            // A public name that the operator gave stays public: its owner cannot move it into the operator's network later.
            Some(public) => global || public.get() != Some(&true),
            None => global,
        }
    }

    /// A service of this machine answers under each of the machine's own addresses.
    fn refuses(&self, address: IpAddr, port: u16) -> bool {
        let own = |address: IpAddr| address.is_loopback() || address.is_unspecified();
        self.refused.iter().any(|refused| {
            let at = unwrapped(refused.ip());
            refused.port() == port && (at == address || own(at) && own(address))
        })
    }

    /// Tells what was connected to: the first answer fixes whether an allowed name is a public or a private one.
    pub(crate) fn note_connected(&self, host: &str, address: IpAddr) {
        if let Some(public) = self.allowed.get(&normal(host)) {
            // The first one stays.
            let _ = public.set(is_global(address));
        }
    }
}

/// The IPv4 address that an IPv6 one wraps, if it does: a packet may end there.
fn unwrapped(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    let wrapped = match v6.segments() {
        // Loopback and unspecified look like compatible addresses.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        // Compatible, mapped, NAT64 with its own prefix and with a local one.
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0x64, 0xff9b, 0 | 1, _, _, _, high, low] => Some(embedded(high, low)),
        [0x2002, high, low, ..] => Some(embedded(high, low)),
        // Teredo: the client's address, inverted.
        [0x2001, 0, _, _, _, _, high, low] => Some(embedded(!high, !low)),
        _ => None,
    };
    wrapped.map_or(address, IpAddr::V4)
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

    /// The registries' entries and multicast, as of 2025: blocks of which every address is refused.
    const REGISTRY: &str = "0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.0.0/29 \
        192.0.0.8/32 192.0.0.9/32 192.0.0.10/32 192.0.0.170/32 192.0.0.171/32 192.0.2.0/24 192.31.196.0/24 192.52.193.0/24 \
        192.88.99.0/24 192.88.99.2/32 192.168.0.0/16 192.175.48.0/24 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 \
        240.0.0.0/4 255.255.255.255/32 \
        ::1/128 ::/128 64:ff9b:1::/48 100::/64 100:0:0:1::/64 2001::/23 2001::/32 2001:1::1/128 2001:1::2/128 2001:1::3/128 \
        2001:2::/48 2001:3::/32 2001:4:112::/48 2001:10::/28 2001:20::/28 2001:30::/28 2001:db8::/32 2002::/16 2620:4f:8000::/48 \
        3fff::/20 5f00::/16 fc00::/7 fe80::/10 fec0::/10 ff00::/8";

    #[test]
    fn every_block_of_the_registries_is_refused_from_its_first_to_its_last_address() {
        for block in REGISTRY.split_ascii_whitespace() {
            let (first, bits) = block.split_once('/').expect("a block");
            let bits: u32 = bits.parse().expect("a length");
            let (first, last) = match first.parse().expect("an address") {
                IpAddr::V4(first) => {
                    let rest = u32::MAX.checked_shr(bits).unwrap_or(0);
                    (IpAddr::V4(first), IpAddr::V4((u32::from(first) | rest).into()))
                }
                IpAddr::V6(first) => {
                    let rest = u128::MAX.checked_shr(bits).unwrap_or(0);
                    (IpAddr::V6(first), IpAddr::V6((u128::from(first) | rest).into()))
                }
            };
            assert!(!is_global(first) && !is_global(last), "{block}");
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
        for metadata in [
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
            "2001:0:1:2:3:4:5601:5601",
            "168.63.129.16",
            "fd00:ec2::254",
        ] {
            assert!(!guard.permits("here", socket(metadata)), "{metadata}");
        }
        assert!(!guard.permits("here", runtime));
        for own in ["::ffff:127.0.0.1", "::1", "127.8.8.8", "0.0.0.0", "::", "::7f00:1"] {
            assert!(!guard.permits("here", SocketAddr::new(own.parse().expect("an address"), 9001)), "{own}");
        }
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
