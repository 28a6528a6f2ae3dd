//! What an outcome means for its URL, retries decided by `retry`.

use crate::job::JobSpec;
use crate::record::Entry;
use crate::retry::{Attempt, RetryDecision, RetryMeta, decide};
use weir_model::{FetchOutcome, Reason, Tick};

/// What becomes of a URL after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// A page: its links and items go on.
    Page { status: u16 },
    /// The target carries on.
    Redirect,
    /// Back as it was.
    Unsent,
    /// Another attempt.
    Retry(Again),
    /// Never again.
    End(Reason),
}

/// Another attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Again {
    pub attempts: u8,
    pub lost: u8,
    pub priority: i16,
    pub not_before: Tick,
}

pub(super) fn fate_of(outcome: &FetchOutcome, entry: &Entry<'_>, spec: &JobSpec, now: Tick) -> Fate {
    match outcome {
        // Redirects are not followed: the status is the answer.
        FetchOutcome::Redirect { .. } if spec.redirects_max == 0 => return Fate::End(Reason::Status),
        FetchOutcome::Redirect { .. } => return Fate::Redirect,
        // Not modified: the page's items stand.
        FetchOutcome::Response { status: status @ (200..=299 | 304) } => return Fate::Page { status: *status },
        _ => {}
    }
    match decide(Attempt::from(outcome), entry.attempts, entry.priority, &spec.retry, RetryMeta::default()) {
        RetryDecision::Stands => Fate::End(Reason::Status),
        RetryDecision::PutBack => Fate::Unsent,
        RetryDecision::GiveUp(reason) => Fate::End(reason),
        RetryDecision::Again { attempts, priority } => {
            let wait = spec.retry.backoff(attempts, jitter(entry, attempts));
            let not_before = if wait.is_zero() { Tick(0) } else { now.after(wait) };
            Fate::Retry(Again { attempts, lost: entry.lost, priority, not_before })
        }
    }
}

/// The next attempt of a URL whose lease ran out; none when its budget is spent.
pub(super) fn after_loss(entry: &Entry<'_>, spec: &JobSpec) -> Option<Again> {
    match decide(Attempt::Lost, entry.attempts, entry.priority, &spec.retry, RetryMeta::default()) {
        RetryDecision::Again { attempts, priority } => {
            Some(Again { attempts, lost: entry.lost.saturating_add(1), priority, not_before: Tick(0) })
        }
        _ => None,
    }
}

/// Spreads what failed together; the same on every run.
fn jitter(entry: &Entry<'_>, attempts: u8) -> u16 {
    (entry.fingerprint.0.rotate_left(u32::from(attempts) * 7) >> 32) as u16
}
