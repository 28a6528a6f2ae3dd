//! Bytes of large bodies in memory, over all requests and threads of a process.
//!
//! Decides who may hold how much; knows nothing of what is held. Invariant: a request asks once, before it reads on, for all
//! that it may still need, and never waits while it holds; so two requests never wait for each other's rest, and whoever holds
//! bytes can always finish. What a body was given is held until the body is dropped.

use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

const UNIT: u64 = 1024;

/// The common budget.
#[derive(Debug)]
pub struct ByteBudget {
    units: Arc<Semaphore>,
    all: u32,
}

/// Room for a body, given back when dropped.
#[derive(Debug)]
pub struct Room {
    held: OwnedSemaphorePermit,
}

impl ByteBudget {
    /// A budget of so many bytes.
    #[must_use]
    pub fn new(bytes: u64) -> ByteBudget {
        let all = u32::try_from((bytes / UNIT).max(1)).unwrap_or(u32::MAX).min(Semaphore::MAX_PERMITS as u32);
        ByteBudget { units: Arc::new(Semaphore::new(all as usize)), all }
    }

    /// Waits until `bytes` are free (at most the whole budget is asked for), in the order of asking.
    pub async fn take(&self, bytes: u64) -> Room {
        let asked = Arc::clone(&self.units).acquire_many_owned(self.units(bytes));
        Room { held: asked.await.expect("the semaphore is never closed") }
    }

    /// Room for `bytes` if they are free now and nobody waits for them.
    #[must_use]
    pub fn try_take(&self, bytes: u64) -> Option<Room> {
        let held = Arc::clone(&self.units).try_acquire_many_owned(self.units(bytes)).ok()?;
        Some(Room { held })
    }

    fn units(&self, bytes: u64) -> u32 {
        u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX).clamp(1, self.all)
    }

    /// Bytes that nobody holds.
    #[must_use]
    pub fn free_bytes(&self) -> u64 {
        self.units.available_permits() as u64 * UNIT
    }
}

impl Room {
    /// Gives back what is more than `bytes`.
    pub fn shrink(&mut self, bytes: u64) {
        let needed = usize::try_from(bytes.div_ceil(UNIT)).unwrap_or(usize::MAX);
        let surplus = self.held.num_permits().saturating_sub(needed);
        drop(self.held.split(surplus));
    }

    /// Holds another's too.
    pub fn join(&mut self, other: Room) {
        self.held.merge(other.held);
    }

    /// Bytes held.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.held.num_permits() as u64 * UNIT
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::future::join_all;

    #[tokio::test(flavor = "current_thread")]
    async fn requests_larger_than_all_there_is_take_turns() {
        let budget = ByteBudget::new(10 * UNIT);
        let at_once = std::cell::Cell::new(0);
        join_all((1..50).map(|size| {
            let (budget, at_once) = (&budget, &at_once);
            async move {
                let permit = budget.take(size * UNIT).await;
                at_once.set(at_once.get() + size.min(10));
                tokio::task::yield_now().await;
                assert!(at_once.get() <= 10, "never more than the budget");
                at_once.set(at_once.get() - size.min(10));
                drop(permit);
            }
        }))
        .await;
        assert_eq!(budget.free_bytes(), 10 * UNIT);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn what_a_body_did_not_need_is_free_for_others_at_once() {
        let budget = ByteBudget::new(10 * UNIT);
        let mut room = budget.take(10 * UNIT).await;
        assert!(budget.try_take(1).is_none());
        room.shrink(3 * UNIT + 1);
        assert_eq!((room.bytes(), budget.free_bytes()), (4 * UNIT, 6 * UNIT));
        room.shrink(9 * UNIT);
        assert_eq!(room.bytes(), 4 * UNIT, "shrinking never grows");
        assert!(budget.try_take(6 * UNIT).is_some());
        room.shrink(0);
        drop(room);
        assert_eq!(budget.free_bytes(), 10 * UNIT);
    }
}
