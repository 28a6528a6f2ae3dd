//! Settings of a geocoder, each limit with its reason.

/// Settings, equal on all workers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GeoConfig {
    /// Whether there is a cache outside (Redis, or the embedded store) that is asked before a provider.
    pub outer_cache: bool,
    /// How long the outer cache may take; then it counts as a miss. It being slow or down must not stop a crawl.
    pub cache_timeout_us: u64,
    /// Bytes of remembered addresses. 64 MiB hold about 200,000.
    pub memory_bytes_max: usize,
    /// Items that wait for a location at once; beyond, items are delivered without. Before that, who counts the bytes of waiting items
    /// slows down what brings them.
    pub waiters_max: usize,
    /// How long an item waits; then it is delivered without a location, and that is counted.
    pub give_up_us: u64,
    /// Bytes of an address, normalised. Longer ones are no addresses, and providers refuse them.
    pub address_bytes_max: usize,
    /// How long "no provider knows it" is believed: map data grows.
    pub negative_keep_us: u64,
    /// How long an address whose providers failed is not asked again: without this each of its items would be a call.
    pub failed_keep_us: u64,
    /// Calls for one address at one provider, the first included.
    pub attempts_max: u32,
    /// Pause after a failure; doubled with each further one.
    pub backoff_us: u64,
    /// Longest pause, also of a `Retry-After`.
    pub backoff_max_us: u64,
    /// How long a provider that denied us (a wrong key) is not asked; doubled with each further denial up to an hour.
    pub denied_us: u64,
    /// How long a call's slot stays open: it is sent within it or not at all.
    pub slot_us: u64,
    /// Bounds the clocks' difference and a process standing still between check and write. 0 in process.
    pub margin_us: u64,
    /// The longest a call takes from its first byte to its end.
    pub call_timeout_us: u64,
    /// How long past slot and time-out an answer may stay away; then the call is lost.
    pub lease_grace_us: u64,
    /// Seed of the tables, so that pages cannot choose addresses that collide. Any number of the process's own.
    pub hash_seed: u64,
}

impl Default for GeoConfig {
    fn default() -> Self {
        const SECOND: u64 = 1_000_000;
        GeoConfig {
            outer_cache: false,
            cache_timeout_us: 2 * SECOND,
            memory_bytes_max: 64 << 20,
            waiters_max: 1_000_000,
            give_up_us: 3_600 * SECOND,
            address_bytes_max: 1_024,
            negative_keep_us: 86_400 * SECOND,
            failed_keep_us: 300 * SECOND,
            attempts_max: 5,
            backoff_us: SECOND,
            backoff_max_us: 60 * SECOND,
            denied_us: 60 * SECOND,
            slot_us: SECOND,
            margin_us: 0,
            call_timeout_us: 10 * SECOND,
            lease_grace_us: 5 * SECOND,
            hash_seed: 0x7765_6972,
        }
    }
}

impl GeoConfig {
    /// Pause after the `count`-th failure, from 1.
    pub(crate) fn backoff(&self, count: u32) -> u64 {
        let doubled = 1u64.checked_shl(count.saturating_sub(1)).unwrap_or(u64::MAX);
        self.backoff_us.saturating_mul(doubled).min(self.backoff_max_us)
    }

    /// Pause after the `count`-th denial, from 1.
    pub(crate) fn denied(&self, count: u32) -> u64 {
        let doubled = 1u64.checked_shl(count.saturating_sub(1)).unwrap_or(u64::MAX);
        self.denied_us.saturating_mul(doubled).min(3_600_000_000)
    }
}
