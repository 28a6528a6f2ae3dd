//! Names to addresses: `localhost` without a look-up (RFC 6761), literals as they are, others through the system's resolver,
//! remembered for as long as their name servers say (`lifetime`), one look-up in flight a name.
//!
//! Invariant: a look-up goes on when those who waited for it have gone, so that a slow resolver is never asked twice at once.

use crate::lifetime;
use crate::settings::FetchSettings;
use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use weir_model::{Clock, Tick};

/// A time to live is believed within these bounds: a shorter one would ask for every connection, a longer one outlasts no function.
const TTL_MIN: Duration = Duration::from_secs(1);
const TTL_MAX: Duration = Duration::from_secs(3600);
/// Names remembered at once; beyond it those that ran out, or else the older half, are forgotten.
const NAMES_MAX: usize = 4096;

/// Addresses of a name, or why it has none.
pub(crate) type Found = Result<Rc<[IpAddr]>, Rc<str>>;

#[derive(Clone)]
enum Entry {
    Asked(Rc<Notify>),
    Known { found: Found, until: Tick },
}

type Names = HashMap<Box<str>, Entry, BuildHasherDefault<DefaultHasher>>;
type Fixed = HashMap<Box<str>, Rc<[IpAddr]>, BuildHasherDefault<DefaultHasher>>;

/// One thread's resolver; a clone shares its memory.
#[derive(Clone)]
pub struct Resolver {
    names: Rc<RefCell<Names>>,
    fixed: Rc<Fixed>,
    clock: Arc<dyn Clock>,
    servers: Rc<[SocketAddr]>,
    ttl: Duration,
    failure_ttl: Duration,
    loopback: Rc<[IpAddr]>,
}

impl Resolver {
    /// One that remembers nothing yet.
    #[must_use]
    pub fn new(settings: &FetchSettings, clock: Arc<dyn Clock>) -> Resolver {
        let fixed = settings
            .hosts
            .iter()
            .map(|(name, addresses)| (name.to_ascii_lowercase().into(), Rc::from(addresses.as_slice())));
        let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        Resolver {
            names: Rc::default(),
            fixed: Rc::new(fixed.collect()),
            clock,
            servers: settings.name_servers.clone().unwrap_or_else(lifetime::servers).into(),
            ttl: settings.dns_ttl,
            failure_ttl: settings.dns_failure_ttl,
            loopback: Rc::new(loopback),
        }
    }

    /// Addresses of a host (lower case), in the order to try them.
    pub(crate) async fn resolve(&self, host: &str) -> Found {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(Rc::new([address]));
        }
        let name = host.trim_end_matches('.');
        if let Some(addresses) = self.fixed.get(name) {
            return Ok(Rc::clone(addresses));
        }
        if name == "localhost" || name.ends_with(".localhost") {
            return Ok(Rc::clone(&self.loopback));
        }
        loop {
            let known = self.names.borrow().get(name).cloned();
            match known {
                Some(Entry::Known { found, until }) if self.clock.now() < until => return found,
                Some(Entry::Asked(answered)) => answered.notified().await,
                _ => self.ask(name),
            }
        }
    }

    /// Starts a look-up in a task of its own.
    fn ask(&self, name: &str) {
        let answered = Rc::new(Notify::new());
        self.remember(name, Entry::Asked(Rc::clone(&answered)));
        let (resolver, name) = (self.clone(), Box::<str>::from(name));
        tokio::task::spawn_local(async move {
            let asked_at = resolver.clock.now();
            let (servers, asked) = (Rc::clone(&resolver.servers), name.clone());
            // Both at once. What the name server says may come later than the addresses: until then they hold for the usual time.
            let lifetime =
                tokio::task::spawn_local(async move { lifetime::of(&servers, &asked, asked_at.0 as u16).await });
            let (found, ttl) = match tokio::net::lookup_host((&*name, 0)).await {
                Ok(addresses) => (Ok(addresses.map(|address| address.ip()).collect::<Vec<_>>().into()), resolver.ttl),
                Err(error) => (Err(Rc::from(error.to_string())), resolver.failure_ttl),
            };
            let is_known = found.is_ok();
            let until = resolver.clock.now().after(ttl);
            resolver.remember(&name, Entry::Known { found, until });
            answered.notify_waiters();
            if !is_known {
                lifetime.abort();
            } else if let Ok(Some(ttl)) = lifetime.await {
                resolver.holds_until(&name, asked_at.after(ttl.clamp(TTL_MIN, TTL_MAX)));
            }
        });
    }

    /// Takes note of how long the addresses hold; of a name that is asked anew meanwhile nothing is changed.
    fn holds_until(&self, name: &str, at: Tick) {
        if let Some(Entry::Known { found: Ok(_), until }) = self.names.borrow_mut().get_mut(name) {
            *until = at;
        }
    }

    fn remember(&self, name: &str, entry: Entry) {
        let mut names = self.names.borrow_mut();
        if names.len() >= NAMES_MAX {
            forget(&mut names, self.clock.now());
        }
        names.insert(name.into(), entry);
    }
}

/// Makes room: what ran out goes, or else the half that runs out first.
fn forget(names: &mut Names, now: Tick) {
    let end = |entry: &Entry| match entry {
        Entry::Known { until, .. } => *until,
        Entry::Asked(_) => Tick::NEVER,
    };
    names.retain(|_, entry| end(entry) > now);
    if names.len() > NAMES_MAX / 2 {
        let mut ends: Vec<Tick> = names.values().map(end).collect();
        ends.sort_unstable();
        let middle = ends[ends.len() / 2];
        names.retain(|_, entry| end(entry) > middle);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    struct Moving(Arc<AtomicU64>);

    impl Clock for Moving {
        fn now(&self) -> Tick {
            Tick(self.0.load(Ordering::Relaxed))
        }
    }

    struct Still;

    impl Clock for Still {
        fn now(&self) -> Tick {
            Tick(1)
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn localhost_literals_and_fixed_names_need_no_look_up() {
        let inside = IpAddr::V4(Ipv4Addr::new(10, 1, 2, 3));
        let settings = FetchSettings { hosts: vec![("Intranet".into(), vec![inside])], ..FetchSettings::default() };
        let resolver = Resolver::new(&settings, Arc::new(Still));
        for name in ["localhost", "localhost.", "shop.localhost"] {
            let found = resolver.resolve(name).await.expect("an address");
            assert_eq!(found[0], IpAddr::V4(Ipv4Addr::LOCALHOST), "{name}");
        }
        assert_eq!(*resolver.resolve("::2").await.expect("a literal"), ["::2".parse::<IpAddr>().expect("v6")]);
        assert_eq!(*resolver.resolve("intranet").await.expect("a name"), [inside]);
        assert!(resolver.names.borrow().is_empty());
    }

    #[tokio::test]
    async fn a_name_is_asked_once_for_all_who_wait_and_again_when_its_time_is_over() {
        let now = Arc::new(AtomicU64::new(1));
        let resolver = Resolver::new(&FetchSettings::default(), Arc::new(Moving(Arc::clone(&now))));
        // It is under way already: whoever wants it waits for the same answer.
        let answered = Rc::new(Notify::new());
        resolver.remember("shop.example", Entry::Asked(Rc::clone(&answered)));
        let local = tokio::task::LocalSet::new();
        let wanted = local.run_until(async {
            let waiting: Vec<_> = (0..3)
                .map(|_| {
                    let resolver = resolver.clone();
                    tokio::task::spawn_local(async move { resolver.resolve("shop.example").await.is_ok() })
                })
                .collect();
            tokio::task::yield_now().await;
            assert!(matches!(resolver.names.borrow()["shop.example"], Entry::Asked(_)), "nobody asks beside it");
            let until = Tick(100);
            resolver.remember("shop.example", Entry::Known { found: Ok(Rc::new([Ipv4Addr::LOCALHOST.into()])), until });
            answered.notify_waiters();
            let mut found = 0;
            for each in waiting {
                found += u32::from(each.await.expect("no panic"));
            }
            // As long as it is fresh nobody asks, afterwards it is asked anew.
            now.store(99, Ordering::Relaxed);
            assert!(resolver.resolve("shop.example").await.is_ok());
            assert!(matches!(resolver.names.borrow()["shop.example"], Entry::Known { .. }));
            now.store(100, Ordering::Relaxed);
            let again = resolver.clone();
            let late = tokio::task::spawn_local(async move { again.resolve("shop.example").await.is_ok() });
            tokio::task::yield_now().await;
            assert!(matches!(resolver.names.borrow()["shop.example"], Entry::Asked(_)), "its time is over");
            late.abort();
            found
        });
        assert_eq!(wanted.await, 3);
    }

    #[tokio::test]
    async fn addresses_hold_as_long_as_their_name_server_says() {
        let resolver = Resolver::new(&FetchSettings::default(), Arc::new(Still));
        resolver.remember("shop.example", Entry::Known { found: Ok(Rc::clone(&resolver.loopback)), until: Tick(100) });
        resolver.remember("gone.example", Entry::Known { found: Err("none".into()), until: Tick(100) });
        resolver.remember("asked.example", Entry::Asked(Rc::default()));
        for name in ["shop.example", "gone.example", "asked.example", "other.example"] {
            resolver.holds_until(name, Tick(20));
        }
        let ends = |name: &str| match resolver.names.borrow().get(name) {
            Some(Entry::Known { until, .. }) => Some(until.0),
            _ => None,
        };
        assert_eq!(
            ["shop.example", "gone.example", "asked.example", "other.example"].map(ends),
            [Some(20), Some(100), None, None]
        );
    }

    #[test]
    fn names_are_forgotten_before_there_are_too_many() {
        let resolver = Resolver::new(&FetchSettings::default(), Arc::new(Still));
        for number in 0..3 * NAMES_MAX as u64 {
            let until = Tick(2 + number);
            resolver.remember(&format!("{number}.example"), Entry::Known { found: Err("none".into()), until });
            assert!(resolver.names.borrow().len() <= NAMES_MAX);
        }
        let newest = format!("{}.example", 3 * NAMES_MAX - 1);
        assert!(resolver.names.borrow().contains_key(&*newest));
    }
}
