//! Claims: of all copies of a fetch message, one invocation makes its requests.

use crate::QueueError;
use crate::queue::BoxFuture;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use weir_model::UnixMs;

/// What came of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// This owner has it.
    Won,
    /// Another one had it before.
    Lost,
}

/// How long a claim is kept: longer than a fetch message lives.
pub const CLAIM_TTL: Duration = Duration::from_secs(120 * 3600);

/// Where claims are made.
pub trait Claims: Send + Sync {
    /// Claims `key` for `owner`, a name that no other reception of any message has: the same owner wins again, so that a
    /// repeated call does not lose against itself. The claim may be forgotten after `until`.
    fn claim<'a>(&'a self, key: &'a str, owner: &'a str, until: UnixMs) -> BoxFuture<'a, Result<Claim, QueueError>>;
}

/// Claims of one process; forgets none.
#[derive(Debug, Default)]
pub struct MemoryClaims {
    owners: Mutex<BTreeMap<String, String>>,
}

impl Claims for MemoryClaims {
    fn claim<'a>(&'a self, key: &'a str, owner: &'a str, _until: UnixMs) -> BoxFuture<'a, Result<Claim, QueueError>> {
        let mut owners = self.owners.lock().unwrap_or_else(PoisonError::into_inner);
        let first = owners.entry(key.to_owned()).or_insert_with(|| owner.to_owned());
        let claim = if first == owner { Claim::Won } else { Claim::Lost };
        Box::pin(async move { Ok(claim) })
    }
}
