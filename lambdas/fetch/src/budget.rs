//! Bytes of large bodies in memory, over all requests and threads of a process.
//!
//! Invariant: a request asks once, before it reads on, for all that it may still need; so two requests never wait for each
//! other's rest, and whoever holds bytes can always finish.

use tokio::sync::{Semaphore, SemaphorePermit};

const UNIT: u64 = 1024;

/// The common budget.
#[derive(Debug)]
pub struct ByteBudget {
    units: Semaphore,
    all: u32,
}

impl ByteBudget {
    /// A budget of so many bytes.
    #[must_use]
    pub fn new(bytes: u64) -> ByteBudget {
        let all = u32::try_from((bytes / UNIT).max(1)).unwrap_or(u32::MAX).min(Semaphore::MAX_PERMITS as u32);
        ByteBudget { units: Semaphore::new(all as usize), all }
    }

    /// Waits until `bytes` are free (at most the whole budget is asked for), in the order of asking.
    pub async fn take(&self, bytes: u64) -> SemaphorePermit<'_> {
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX).clamp(1, self.all);
        self.units.acquire_many(units).await.expect("the semaphore is never closed")
    }

    /// Bytes that nobody holds.
    #[must_use]
    pub fn free_bytes(&self) -> u64 {
        self.units.available_permits() as u64 * UNIT
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
}
