//! What is counted, by the names under which people know it: `geo_pipeline/...` are the book's.

macro_rules! counts {
    ($($(#[$doc:meta])* $field:ident = $name:literal),* $(,)?) => {
        /// Counters of one job, or what changed of them.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct GeoCounts {
            $($(#[$doc])* pub $field: u64,)*
        }

        impl GeoCounts {
            /// Adds another worker's or another step's counts.
            pub fn add(&mut self, other: &GeoCounts) {
                $(self.$field += other.$field;)*
            }

            /// Every counter with its name.
            pub fn named(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
                [$(($name, self.$field),)*].into_iter()
            }
        }
    };
}

counts! {
    /// Items whose location was there before anybody was asked in this run: set by the page, or known from an earlier run.
    already_set = "geo_pipeline/already_set",
    /// Addresses that no cache knew, so that a provider was to be asked.
    misses = "geo_pipeline/misses",
    /// Addresses that a provider did not answer for in the end: failed, refused, denied, away, or too late for those who waited.
    errors = "geo_pipeline/errors",
    /// Calls that were made again: over the limit, failed, lost.
    retries = "geo_pipeline/retries",
    /// Items whose address was to be looked up.
    wanted = "geocode/wanted",
    /// Items that got a location.
    found = "geocode/found",
    /// Items whose address nobody knows.
    not_found = "geocode/not_found",
    /// Items delivered without a location because nobody answered in time.
    unanswered = "geocode/unanswered",
    /// Items without an address.
    no_address = "geocode/no_address",
    /// Items without an answer because there is neither gazetteer, cache nor provider.
    not_configured = "geocode/not_configured",
    /// Items whose address was too long to be one (also `unanswered`).
    too_long = "geocode/too_long",
    /// Items that would have waited beyond the bound (also `unanswered`).
    full = "geocode/too_many_waiting",
    /// Items answered by the gazetteer.
    gazetteer = "geocode/from_gazetteer",
    /// Items answered from memory.
    memory = "geocode/from_memory",
    /// Addresses answered by the cache outside.
    outer = "geocode/from_cache",
    /// Requests to the cache outside that failed, came too late or held damaged bytes.
    cache_errors = "geocode/cache_errors",
    /// Calls that were sent to providers; a call that was given up and may have been sent is one.
    calls = "geocode/calls",
    /// Answers that came after their call was given up; they change nothing.
    late = "geocode/late_answers",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_have_the_names_of_the_book() {
        let mut counts = GeoCounts { misses: 1, ..GeoCounts::default() };
        counts.add(&GeoCounts { misses: 34, retries: 2, ..GeoCounts::default() });
        let named: Vec<_> = counts.named().filter(|(_, count)| *count > 0).collect();
        assert_eq!(named, [("geo_pipeline/misses", 35), ("geo_pipeline/retries", 2)]);
    }
}
