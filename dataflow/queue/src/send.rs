//! Sending and settling with bounded retries, entry by entry.

use crate::QueueError;
use crate::queue::{MessageQueue, Receipt};
use std::time::Duration;

/// How often and how long apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// Attempts in all.
    pub attempts: u32,
    /// Pause before the second; each further one is twice as long.
    pub first: Duration,
    /// No pause is longer.
    pub longest: Duration,
}

impl Default for Backoff {
    /// Five attempts over about 1.5 s: a queue that is throttled recovers in that time, and a function cannot wait longer.
    fn default() -> Self {
        Backoff { attempts: 5, first: Duration::from_millis(100), longest: Duration::from_secs(5) }
    }
}

impl Backoff {
    /// The pause after this many failed attempts.
    #[must_use]
    pub fn pause(&self, failed: u32) -> Duration {
        self.first.saturating_mul(1 << failed.saturating_sub(1).min(16)).min(self.longest)
    }
}

/// Sends all bodies; those that failed for now are tried again, and no other. One outcome a body, in order.
pub async fn send_all(queue: &dyn MessageQueue, bodies: Vec<String>, backoff: Backoff) -> Vec<Result<(), QueueError>> {
    let mut outcomes: Vec<Result<(), QueueError>> = bodies.iter().map(|_| Ok(())).collect();
    let mut left: Vec<(usize, String)> = bodies.into_iter().enumerate().collect();
    for attempt in 1..=backoff.attempts {
        let (places, bodies): (Vec<usize>, Vec<String>) = left.into_iter().unzip();
        let sent = queue.send(&bodies).await;
        assert_eq!(sent.len(), bodies.len(), "one outcome an entry");
        left = Vec::new();
        for ((place, body), outcome) in places.into_iter().zip(bodies).zip(sent) {
            if outcome.as_ref().is_err_and(QueueError::is_transient) {
                left.push((place, body));
            }
            outcomes[place] = outcome;
        }
        if left.is_empty() || attempt == backoff.attempts {
            break;
        }
        tokio::time::sleep(backoff.pause(attempt)).await;
    }
    outcomes
}

/// Settles all receipts; those that failed for now are tried again. Gives how many could not be settled, and the last error.
pub async fn settle_all(
    queue: &dyn MessageQueue,
    mut left: Vec<Receipt>,
    backoff: Backoff,
) -> (usize, Option<QueueError>) {
    let (mut lost, mut last) = (0, None);
    for attempt in 1..=backoff.attempts {
        let outcomes = queue.settle(&left).await;
        assert_eq!(outcomes.len(), left.len(), "one outcome an entry");
        let mut again = Vec::new();
        for (receipt, outcome) in left.into_iter().zip(outcomes) {
            match outcome {
                Ok(()) => {}
                Err(error) if error.is_transient() => {
                    last = Some(error);
                    again.push(receipt);
                }
                Err(error) => {
                    last = Some(error);
                    lost += 1;
                }
            }
        }
        left = again;
        if left.is_empty() || attempt == backoff.attempts {
            break;
        }
        tokio::time::sleep(backoff.pause(attempt)).await;
    }
    (lost + left.len(), last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::QueueErrorClass;
    use crate::queue::{BoxFuture, Received};
    use std::sync::Mutex;

    /// Fails the entries that its script names: attempt by attempt, by body.
    struct Scripted {
        script: Mutex<Vec<Vec<(&'static str, QueueErrorClass)>>>,
        seen: Mutex<Vec<Vec<String>>>,
    }

    impl Scripted {
        fn outcomes(&self, entries: Vec<String>) -> Vec<Result<(), QueueError>> {
            let mut script = self.script.lock().expect("no panic");
            let failing = if script.is_empty() { Vec::new() } else { script.remove(0) };
            let outcome = |entry: &String| match failing.iter().find(|(name, _)| name == entry) {
                Some((_, class)) => Err(QueueError::new(*class, "scripted")),
                None => Ok(()),
            };
            let outcomes = entries.iter().map(outcome).collect();
            self.seen.lock().expect("no panic").push(entries);
            outcomes
        }
    }

    impl MessageQueue for Scripted {
        fn name(&self) -> &str {
            "scripted"
        }
        fn body_bytes_max(&self) -> usize {
            1 << 20
        }
        fn send<'a>(&'a self, bodies: &'a [String]) -> BoxFuture<'a, Vec<Result<(), QueueError>>> {
            Box::pin(async { self.outcomes(bodies.to_vec()) })
        }
        fn receive(&self, _: usize, _: Duration) -> BoxFuture<'_, Result<Vec<Received>, QueueError>> {
            Box::pin(async { Ok(Vec::new()) })
        }
        fn extend<'a>(&'a self, _: &'a [Receipt], _: Duration) -> BoxFuture<'a, Vec<Result<(), QueueError>>> {
            Box::pin(async { Vec::new() })
        }
        fn settle<'a>(&'a self, receipts: &'a [Receipt]) -> BoxFuture<'a, Vec<Result<(), QueueError>>> {
            Box::pin(async { self.outcomes(receipts.iter().map(|receipt| receipt.0.to_string()).collect()) })
        }
    }

    fn scripted(script: Vec<Vec<(&'static str, QueueErrorClass)>>) -> Scripted {
        Scripted { script: Mutex::new(script), seen: Mutex::default() }
    }

    use QueueErrorClass::{Permanent, Transient};

    #[tokio::test(start_paused = true)]
    async fn only_the_entries_that_failed_for_now_are_sent_again() {
        let queue = scripted(vec![vec![("b", Transient), ("c", Permanent)], vec![("b", Transient)]]);
        let bodies = ["a", "b", "c", "d"].map(str::to_owned).to_vec();
        let outcomes = send_all(&queue, bodies, Backoff::default()).await;
        assert_eq!(outcomes.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, true, false, true]);
        assert_eq!(*queue.seen.lock().expect("no panic"), [vec!["a", "b", "c", "d"], vec!["b"], vec!["b"]]);
    }

    #[tokio::test(start_paused = true)]
    async fn retries_end() {
        let queue = scripted(vec![vec![("a", Transient)]; 100]);
        let outcomes = send_all(&queue, vec!["a".into(), "b".into()], Backoff::default()).await;
        assert_eq!(outcomes.iter().map(Result::is_ok).collect::<Vec<_>>(), [false, true]);
        assert_eq!(queue.seen.lock().expect("no panic").len(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn receipts_are_settled_entry_by_entry() {
        let queue = scripted(vec![vec![("a", Transient), ("b", QueueErrorClass::NotFound)]]);
        let receipts = ["a", "b", "c"].map(|name| Receipt(name.into())).to_vec();
        let (lost, last) = settle_all(&queue, receipts, Backoff::default()).await;
        assert_eq!((lost, last.expect("an error").class), (1, QueueErrorClass::NotFound));
        assert_eq!(*queue.seen.lock().expect("no panic"), [vec!["a", "b", "c"], vec!["a"]]);
    }
}
