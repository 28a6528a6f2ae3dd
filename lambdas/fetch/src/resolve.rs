//! Names to addresses: `localhost` without a look-up (RFC 6761), literals as they are, others through the system's resolver,
//! remembered for a while, one look-up in flight a name.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::Mutex;
use weir_model::Tick;

/// Names remembered at once; beyond it the oldest half is forgotten.
const NAMES_MAX: usize = 4096;

#[derive(Default)]
struct Entry {
    addresses: Rc<[IpAddr]>,
    until: Tick,
}

type Slot = Rc<Mutex<Entry>>;

/// One thread's resolver.
pub(crate) struct Resolver {
    names: RefCell<HashMap<Box<str>, Slot, BuildHasherDefault<DefaultHasher>>>,
    ttl: Duration,
    loopback: Rc<[IpAddr]>,
}

impl Resolver {
    pub fn new(ttl: Duration) -> Resolver {
        let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        Resolver { names: RefCell::default(), ttl, loopback: Rc::new(loopback) }
    }

    /// Addresses of a host, in the order to try them.
    pub async fn resolve(&self, host: &str, now: Tick) -> std::io::Result<Rc<[IpAddr]>> {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = bare.parse::<IpAddr>() {
            return Ok(Rc::new([address]));
        }
        let name = bare.trim_end_matches('.');
        if name.eq_ignore_ascii_case("localhost") || name.len() > 10 && name[name.len() - 10..].eq_ignore_ascii_case(".localhost") {
            return Ok(Rc::clone(&self.loopback));
        }
        let slot = self.slot(name);
        let mut entry = slot.lock().await;
        if entry.until <= now {
            let found: Vec<IpAddr> = tokio::net::lookup_host((name, 0)).await?.map(|address| address.ip()).collect();
            *entry = Entry { addresses: found.into(), until: now.after(self.ttl) };
        }
        Ok(Rc::clone(&entry.addresses))
    }

    fn slot(&self, name: &str) -> Slot {
        let mut names = self.names.borrow_mut();
        if names.len() >= NAMES_MAX {
            let mut ends: Vec<Tick> = names.values().filter_map(|slot| slot.try_lock().ok().map(|entry| entry.until)).collect();
            ends.sort_unstable();
            let middle = ends.get(ends.len() / 2).copied().unwrap_or(Tick::NEVER);
            names.retain(|_, slot| slot.try_lock().is_ok_and(|entry| entry.until > middle));
        }
        Rc::clone(names.entry(name.into()).or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn localhost_and_literals_need_no_look_up() {
        let resolver = Resolver::new(Duration::from_secs(1));
        for name in ["localhost", "LocalHost.", "shop.localhost"] {
            let found = resolver.resolve(name, Tick(1)).await.expect("an address");
            assert_eq!(found[0], IpAddr::V4(Ipv4Addr::LOCALHOST), "{name}");
        }
        assert_eq!(&*resolver.resolve("[::2]", Tick(1)).await.expect("a literal"), ["::2".parse::<IpAddr>().expect("v6")]);
        assert!(resolver.names.borrow().is_empty());
    }
}
