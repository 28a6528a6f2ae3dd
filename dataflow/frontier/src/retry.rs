//! Whether a failed attempt is repeated, when, and with which priority: by class, never by text, within a bounded budget.
//!
//! A pure function of what happened and how often. It must not know the queues: it says "again" or "give up: why", the frontier does
//! it. As in Scrapy an answer whose status is not retried, or that must not be, simply stands.

use std::time::Duration;
use weir_model::{FailureClass, FetchOutcome, Reason};

/// Statuses that are retried unless a job says otherwise (Scrapy's list).
pub const RETRY_STATUSES: [u16; 8] = [408, 429, 500, 502, 503, 504, 522, 524];
/// Failures that are retried unless a job says otherwise: those that the network may not repeat.
pub const RETRY_FAILURES: [FailureClass; 5] =
    [FailureClass::Dns, FailureClass::Connect, FailureClass::Tls, FailureClass::Protocol, FailureClass::Timeout];

/// What became of one attempt, as retry sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// An answer.
    Answered {
        /// HTTP status.
        status: u16,
    },
    /// No usable answer.
    Failed(FailureClass),
    /// Answered, but the page could not be processed.
    Unreadable,
    /// Not sent.
    Unfetched,
    /// Its lease ran out unreported.
    Lost,
}

impl From<&FetchOutcome> for Attempt {
    fn from(outcome: &FetchOutcome) -> Self {
        match outcome {
            FetchOutcome::Response { status }
            | FetchOutcome::Redirect { status, .. }
            | FetchOutcome::Robots { status, .. } => Attempt::Answered { status: *status },
            FetchOutcome::Failed { class, .. } => Attempt::Failed(*class),
            FetchOutcome::Unreadable { .. } => Attempt::Unreadable,
            FetchOutcome::Unfetched { .. } => Attempt::Unfetched,
        }
    }
}

/// How a job retries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// False: nothing is retried.
    pub enabled: bool,
    /// Attempts after the first.
    pub max_retry_times: u8,
    /// Statuses that are retried.
    pub statuses: Box<[u16]>,
    /// Failures that are retried.
    pub failures: Box<[FailureClass]>,
    /// Added to the priority of a repeated request.
    pub priority_adjust: i16,
    /// The wait before the first repetition; it doubles with each.
    pub backoff_base: Duration,
    /// The longest wait.
    pub backoff_max: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        RetryPolicy {
            enabled: true,
            max_retry_times: 2,
            statuses: RETRY_STATUSES.into(),
            failures: RETRY_FAILURES.into(),
            priority_adjust: -1,
            backoff_base: Duration::from_secs(1),
            backoff_max: Duration::from_secs(60),
        }
    }
}

/// What one request says about its own retries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RetryMeta {
    /// Never repeat it.
    pub dont_retry: bool,
    /// Instead of the policy's number.
    pub max_retry_times: Option<u8>,
}

/// What is done after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryDecision {
    /// The answer stands: no matter for retry.
    Stands,
    /// Back to its queue as it was; no attempt was used.
    PutBack,
    /// Back to its queue.
    Again {
        /// Failed attempts so far, this one included.
        attempts: u8,
        /// Its new priority.
        priority: i16,
    },
    /// Never again.
    GiveUp(Reason),
}

impl RetryPolicy {
    /// Whether an answer with this status is retried at all.
    #[must_use]
    pub fn retries_status(&self, status: u16) -> bool {
        self.enabled && self.statuses.contains(&status)
    }

    /// The wait before repetition number `attempts` (1, 2 ...): doubling from the base, at most the bound, of which `jitter` (0 for
    /// none, `u16::MAX` for all) takes off up to a half, so that requests that failed together come back apart.
    #[must_use]
    pub fn backoff(&self, attempts: u8, jitter: u16) -> Duration {
        let doublings = u32::from(attempts.saturating_sub(1)).min(31);
        let full = self.backoff_base.saturating_mul(1 << doublings).min(self.backoff_max);
        full - full.mul_f64(f64::from(jitter) / f64::from(u16::MAX) / 2.0)
    }
}

/// What to do after an attempt of a request that failed `attempts` times before and was queued with `priority`.
#[must_use]
pub fn decide(attempt: Attempt, attempts: u8, priority: i16, policy: &RetryPolicy, meta: RetryMeta) -> RetryDecision {
    let (retried, reason) = match attempt {
        Attempt::Unfetched => return RetryDecision::PutBack,
        Attempt::Unreadable => return RetryDecision::GiveUp(Reason::Unreadable),
        Attempt::Answered { status } if meta.dont_retry || !policy.retries_status(status) => {
            return RetryDecision::Stands;
        }
        Attempt::Answered { .. } => (true, Reason::StatusRetriesExhausted),
        Attempt::Failed(class) => (policy.enabled && policy.failures.contains(&class), Reason::of_failure(class)),
        // Nobody saw it fail: the function may have died of something else.
        Attempt::Lost => (true, Reason::KilledTheFunction),
    };
    let budget = meta.max_retry_times.unwrap_or(policy.max_retry_times);
    if !retried || meta.dont_retry || attempts >= budget {
        return RetryDecision::GiveUp(reason);
    }
    RetryDecision::Again { attempts: attempts + 1, priority: priority.saturating_add(policy.priority_adjust) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(attempt: Attempt, attempts: u8) -> RetryDecision {
        decide(attempt, attempts, 10, &RetryPolicy::default(), RetryMeta::default())
    }

    #[test]
    fn a_busy_server_is_asked_twice_more_with_falling_priority() {
        let busy = Attempt::Answered { status: 503 };
        assert_eq!(after(busy, 0), RetryDecision::Again { attempts: 1, priority: 9 });
        assert_eq!(after(busy, 1), RetryDecision::Again { attempts: 2, priority: 9 });
        assert_eq!(after(busy, 2), RetryDecision::GiveUp(Reason::StatusRetriesExhausted));
    }

    #[test]
    fn an_answer_that_is_final_stands() {
        for status in [200, 301, 404, 403, 501] {
            assert_eq!(after(Attempt::Answered { status }, 0), RetryDecision::Stands, "{status}");
        }
        let meta = RetryMeta { dont_retry: true, ..RetryMeta::default() };
        let decision = decide(Attempt::Answered { status: 503 }, 0, 0, &RetryPolicy::default(), meta);
        assert_eq!(decision, RetryDecision::Stands);
    }

    #[test]
    fn a_failure_is_repeated_only_when_the_network_may_not_repeat_it() {
        for class in RETRY_FAILURES {
            assert!(matches!(after(Attempt::Failed(class), 0), RetryDecision::Again { .. }), "{class:?}");
            assert_eq!(after(Attempt::Failed(class), 2), RetryDecision::GiveUp(Reason::of_failure(class)));
        }
        for class in
            [FailureClass::TooLarge, FailureClass::Decode, FailureClass::ForbiddenAddress, FailureClass::BadRequest]
        {
            assert_eq!(after(Attempt::Failed(class), 0), RetryDecision::GiveUp(Reason::of_failure(class)));
        }
    }

    #[test]
    fn what_was_not_sent_costs_no_attempt() {
        assert_eq!(after(Attempt::Unfetched, 200), RetryDecision::PutBack);
    }

    #[test]
    fn a_page_that_kills_functions_is_given_up() {
        assert!(matches!(after(Attempt::Lost, 0), RetryDecision::Again { .. }));
        assert_eq!(after(Attempt::Lost, 2), RetryDecision::GiveUp(Reason::KilledTheFunction));
    }

    #[test]
    fn a_request_may_bring_its_own_budget() {
        let meta = RetryMeta { max_retry_times: Some(0), ..RetryMeta::default() };
        let decision = decide(Attempt::Answered { status: 500 }, 0, 0, &RetryPolicy::default(), meta);
        assert_eq!(decision, RetryDecision::GiveUp(Reason::StatusRetriesExhausted));
        let meta = RetryMeta { max_retry_times: Some(255), ..RetryMeta::default() };
        let decision = decide(Attempt::Failed(FailureClass::Dns), 255, 0, &RetryPolicy::default(), meta);
        assert_eq!(decision, RetryDecision::GiveUp(Reason::FailedDns), "the count cannot overflow");
    }

    #[test]
    fn waits_double_to_a_bound_and_jitter_only_shortens_them() {
        let policy = RetryPolicy::default();
        let seconds: Vec<u64> = (1..=8).map(|attempts| policy.backoff(attempts, 0).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(policy.backoff(2, u16::MAX), Duration::from_secs(1));
        assert_eq!(policy.backoff(255, 0), Duration::from_secs(60));
    }
}
