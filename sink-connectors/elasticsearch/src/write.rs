//! A batch of items: written where they are newer, looked up where they are not.
//!
//! Items go out with `version_type=external`: the server itself refuses what is not newer. `external_gte` would let an equal version
//! overwrite whatever its hash, and could not tell "the same again" from "stored". Only refused ones are looked up: an item that turns
//! out to win all the same (equal version and greater hash, or a mark that raised the document's own version) is written on
//! condition that the document is still as it was seen.
//!
//! Invariants: a document's `_version` is never below its `weir_version`, so no write with a lower one gets through; the race of two
//! writers ends as if one had come after the other.

use crate::bulk::{Action, Bulk, Done, Guard};
use crate::error::{self, Meaning};
use crate::index::Index;
use crate::link::Link;
use crate::lookup::{Known, look_up};
use crate::row::{self, Doc};
use std::cmp::Ordering;
use std::sync::Arc;
use weir_connector::{ItemOutcome, SinkError};
use weir_model::{Item, crash};

/// How often an item that others keep changing is looked up again.
pub(crate) const ROUNDS_MAX: u32 = 8;

/// Items to write.
pub(crate) struct Batch<'a> {
    pub indices: &'a [Index],
    pub spider: &'a str,
    pub items: &'a [Arc<Item>],
}

impl Batch<'_> {
    /// One outcome an item, in order.
    pub async fn write(&self, link: &mut Link, bulk: &mut Bulk) -> Result<Vec<ItemOutcome>, SinkError> {
        let mut outcomes: Vec<Option<ItemOutcome>> = self.items.iter().map(|item| self.misfit(item)).collect();
        let fitting: Vec<usize> = (0..self.items.len()).filter(|at| outcomes[*at].is_none()).collect();
        let first: Vec<(usize, Guard)> =
            fitting.iter().map(|at| (*at, Guard::Newer(self.items[*at].version))).collect();
        let mut contested = self.send(link, bulk, &first, &mut outcomes).await?;
        for _ in 0..ROUNDS_MAX {
            if contested.is_empty() {
                break;
            }
            contested.sort_unstable();
            let asked: Vec<_> = contested.iter().map(|at| (self.index(*at), self.items[*at].id)).collect();
            let known = look_up(link, &asked).await?;
            let mut again = Vec::new();
            for (at, known) in contested.drain(..).zip(known) {
                let item = &self.items[at];
                match known {
                    // Deleted by someone since: the server remembers its version for a minute, then it is as if it never was.
                    None => again.push((at, Guard::Newer(item.version))),
                    Some(known) => match compare(item, &known) {
                        Ordering::Greater => again.push((at, Guard::Seen(known.seen))),
                        Ordering::Equal => outcomes[at] = Some(ItemOutcome::Unchanged),
                        Ordering::Less => outcomes[at] = Some(ItemOutcome::Stale),
                    },
                }
            }
            contested = self.send(link, bulk, &again, &mut outcomes).await?;
        }
        for at in contested {
            let reason = "the document is changed or was deleted by someone else just now".to_owned();
            outcomes[at] = Some(ItemOutcome::Retry { reason });
        }
        settled(&link.place.shown, outcomes.into_iter().flatten().collect())
    }

    fn index(&self, at: usize) -> &Index {
        &self.indices[usize::from(self.items[at].schema)]
    }

    fn misfit(&self, item: &Item) -> Option<ItemOutcome> {
        let reason = match self.indices.get(usize::from(item.schema)) {
            Some(index) => row::misfit(&index.schema, item)?,
            None => format!("the item is of type number {}, the job has {}", item.schema, self.indices.len()),
        };
        Some(ItemOutcome::Refused { reason })
    }

    /// Sends some of the items and writes down what became of them; gives those whose guard did not hold.
    async fn send(
        &self,
        link: &mut Link,
        bulk: &mut Bulk,
        some: &[(usize, Guard)],
        outcomes: &mut [Option<ItemOutcome>],
    ) -> Result<Vec<usize>, SinkError> {
        crash::point("elasticsearch: bulk");
        let done = bulk.send(link, some.len(), |number, lines| {
            let (at, guard) = some[number];
            let (item, index) = (&self.items[at], self.index(at));
            lines.put(&Action::Index(index.head(item.id, guard)));
            lines.put(&Doc { item, schema: &index.schema, spider: self.spider });
        });
        let mut contested = Vec::new();
        for ((at, _), done) in some.iter().zip(done.await?) {
            outcomes[*at] = match done {
                Done::Stored => Some(ItemOutcome::Stored),
                Done::Conflict | Done::Missing => {
                    contested.push(*at);
                    None
                }
                Done::Later(reason) => Some(ItemOutcome::Retry { reason }),
                Done::Refused(reason) => Some(ItemOutcome::Refused { reason }),
            };
        }
        Ok(contested)
    }
}

/// How an item stands to the document that is there: greater is to be written.
fn compare(item: &Item, known: &Known) -> Ordering {
    item.version.cmp(&known.version).then_with(|| row::hash_hex(item.hash).as_str().cmp(&known.hash))
}

/// A batch of which nothing could be settled is no progress: an error, so that whoever drives the sink backs off and keeps all.
pub(crate) fn settled(shown: &str, outcomes: Vec<ItemOutcome>) -> Result<Vec<ItemOutcome>, SinkError> {
    match outcomes.first() {
        Some(ItemOutcome::Retry { reason }) if !outcomes.iter().any(ItemOutcome::is_settled) => {
            Err(error::by_meaning("write", shown, Meaning::Busy, reason))
        }
        _ => Ok(outcomes),
    }
}
