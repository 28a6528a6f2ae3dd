//! Journal records of geocoding. A record is bytes without a frame: the stage puts length, type and slot in front.
//!
//! Invariants: `decode(encode(x)) == x`; a reader refuses what a writer did not make and never panics.

use crate::address::NormalisedAddress;
use crate::entry::Entry;
use crate::message::CallId;
use weir_model::Tick;
use weir_model::wire::{Reader, WireError, put_bytes, put_fixed, put_u64};

const LEARNED: u8 = 1;
const CALLED: u8 = 2;
const RETURNED: u8 = 3;

/// What must survive a crash.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// An address has an entry.
    Learned {
        /// The address.
        address: NormalisedAddress,
        /// What is known of it.
        entry: Entry,
    },
    /// A call may leave.
    Called {
        /// Hash of the provider's name.
        provider: u64,
        /// The call.
        call: CallId,
        /// Its slot.
        not_before: Tick,
        /// Latest instant at which it can arrive.
        hit: Tick,
    },
    /// A call has come back.
    Returned {
        /// Hash of the provider's name.
        provider: u64,
        /// The call.
        call: CallId,
        /// Where its hit lies from now on; `None`: it was not sent.
        hit: Option<Tick>,
        /// What it was, for the use that is counted.
        what: Returned,
        /// The provider is not asked before this.
        held_until: Tick,
    },
}

/// What a call came back with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Returned {
    /// Nothing was sent.
    Unsent,
    /// A place.
    Found,
    /// No place.
    NotFound,
    /// Too many calls.
    OverLimit,
    /// A failure, a refusal, a denial.
    Failed,
}

impl Record {
    /// Appends the bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Record::Learned { address, entry } => {
                out.push(LEARNED);
                put_bytes(out, address.as_str().as_bytes());
                put_bytes(out, &entry.encode(address));
            }
            Record::Called { provider, call, not_before, hit } => {
                out.push(CALLED);
                put_fixed(out, *provider);
                put_fixed(out, call.0);
                put_u64(out, not_before.0);
                put_u64(out, hit.0);
            }
            Record::Returned { provider, call, hit, what, held_until } => {
                out.push(RETURNED);
                put_fixed(out, *provider);
                put_fixed(out, call.0);
                out.push(u8::from(hit.is_some()));
                put_u64(out, hit.unwrap_or_default().0);
                out.push(match what {
                    Returned::Unsent => 0,
                    Returned::Found => 1,
                    Returned::NotFound => 2,
                    Returned::OverLimit => 3,
                    Returned::Failed => 4,
                });
                put_u64(out, held_until.0);
            }
        }
    }

    /// Reads what `encode` wrote.
    ///
    /// # Errors
    /// When the bytes are anything else.
    pub fn decode(bytes: &[u8]) -> Result<Record, WireError> {
        let mut reader = Reader::new(bytes);
        let record = match reader.u8()? {
            LEARNED => {
                let address = NormalisedAddress::known(reader.str()?);
                let entry = Entry::decode(&address, reader.bytes()?);
                Record::Learned { entry: entry.map_err(|_| WireError { expected: "a geocode entry" })?, address }
            }
            CALLED => Record::Called {
                provider: reader.fixed()?,
                call: CallId(reader.fixed()?),
                not_before: Tick(reader.u64()?),
                hit: Tick(reader.u64()?),
            },
            RETURNED => {
                let (provider, call) = (reader.fixed()?, CallId(reader.fixed()?));
                let is_sent = reader.u8()? != 0;
                let hit = Tick(reader.u64()?);
                let what = match reader.u8()? {
                    0 => Returned::Unsent,
                    1 => Returned::Found,
                    2 => Returned::NotFound,
                    3 => Returned::OverLimit,
                    4 => Returned::Failed,
                    _ => return Err(WireError { expected: "what a geocode call came back with" }),
                };
                let held_until = Tick(reader.u64()?);
                Record::Returned { provider, call, hit: is_sent.then_some(hit), what, held_until }
            }
            _ => return Err(WireError { expected: "a geocode record" }),
        };
        if reader.is_empty() { Ok(record) } else { Err(WireError { expected: "the end of a geocode record" }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::normalise;
    use proptest::prelude::*;
    use weir_model::UnixMs;

    fn record() -> impl Strategy<Value = Record> {
        let what = prop::sample::select(vec![
            Returned::Unsent,
            Returned::Found,
            Returned::NotFound,
            Returned::OverLimit,
            Returned::Failed,
        ]);
        prop_oneof![
            ("[a-z ]{1,20}", any::<u64>()).prop_map(|(address, expires)| Record::Learned {
                address: normalise(&address),
                entry: Entry::NotFound { expires: UnixMs(expires) },
            }),
            any::<[u64; 4]>().prop_map(|[provider, call, not_before, hit]| Record::Called {
                provider,
                call: CallId(call),
                not_before: Tick(not_before),
                hit: Tick(hit),
            }),
            (any::<[u64; 3]>(), prop::option::of(any::<u64>()), what).prop_map(
                |([provider, call, held], hit, what)| {
                    Record::Returned { provider, call: CallId(call), hit: hit.map(Tick), what, held_until: Tick(held) }
                }
            ),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

        #[test]
        fn a_record_comes_back(record in record(), bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let mut out = Vec::new();
            record.encode(&mut out);
            prop_assert_eq!(Record::decode(&out), Ok(record));
            prop_assert!(Record::decode(&out[..out.len() - 1]).is_err());
            out.push(0);
            prop_assert!(Record::decode(&out).is_err());
            let _ = Record::decode(&bytes);
        }
    }
}
