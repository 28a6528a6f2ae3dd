//! Bytes of large bodies in memory, over all requests and threads of a process.
//!
//! A request asks once, before it reads on, for all it may still need; so two requests never wait for each other's rest.

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

    /// Waits until `bytes` are free (at most the whole budget is asked for).
    pub async fn take(&self, bytes: u64) -> SemaphorePermit<'_> {
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX).clamp(1, self.all);
        self.units.acquire_many(units).await.expect("the semaphore is never closed")
    }
}
