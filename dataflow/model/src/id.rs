//! Names for things, each its own type. Invariant: no function takes two bare integers.

use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);
    };
}

id!(
    /// A job: one crawl of one spider with one set of arguments. Unique in a state directory (or a stack).
    JobId(u64)
);
id!(
    /// 64 bits over job, method, canonical URL, body and `parse` target. Dedup compares these.
    Fingerprint(u64)
);
id!(
    /// xxh3 of the registered domain (or of the host, for addresses and single labels). The exchange key of politeness.
    DomainKey(u64)
);
id!(
    /// One release of one request: what a report answers to. Never reused, not even after a restart.
    ReleaseId(u64)
);
id!(
    /// One fetch message. A function claims it once.
    MessageId(u64)
);
id!(
    /// One received queue message whose receipt is still to be deleted.
    ReceiptId(u64)
);
id!(
    /// Index of a target in a spider: what to do with a page. `TargetId::START` is "a start page".
    TargetId(u16)
);
id!(
    /// Index of a sink in a job's list of sinks (at most 32).
    SinkId(u8)
);

impl TargetId {
    /// Start pages: searched for links, and parsed when the spider says `start_parse`.
    pub const START: TargetId = TargetId(0);
}

/// 128 bits over spider, item type and key values: what identifies a listing across crawls, and its key in every sink.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ItemId(pub u128);

impl ItemId {
    /// 32 lower-case hexadecimal digits, as sinks store it.
    #[must_use]
    pub fn to_hex(self) -> String {
        format!("{:032x}", self.0)
    }
}

impl std::fmt::Display for ItemId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl Serialize for ItemId {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ItemId {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
        u128::from_str_radix(&text, 16)
            .map(ItemId)
            .map_err(|_| serde::de::Error::custom(format!("an item id is 32 hexadecimal digits, found {text:?}")))
    }
}
