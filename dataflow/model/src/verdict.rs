//! Verdicts: how a URL's way ends, and outcomes: how a job ends. Every exit has a name and a counter.

use crate::FailureClass;
use serde::{Deserialize, Serialize};

/// Why a URL was rejected or dead-lettered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Reason {
    /// Not a URL that can be crawled (syntax, scheme).
    BadUrl = 1,
    /// Outside `allowed_domains`.
    Offsite = 2,
    /// On the blacklist.
    Blacklisted = 3,
    /// robots.txt forbids it.
    Robots = 4,
    /// Deeper than the spider allows.
    TooDeep = 5,
    /// An HTTP status that is no page (404, 403 ...) and is not retried.
    Status = 6,
    /// More redirects than allowed, or a loop of them.
    TooManyRedirects = 7,
    /// A redirect to what is no http or https URL.
    BadRedirect = 8,
    /// A retried status after the last attempt.
    StatusRetriesExhausted = 9,
    /// Network failures after the last attempt.
    FailedDns = 10,
    /// See above.
    FailedConnect = 11,
    /// See above.
    FailedTls = 12,
    /// See above.
    FailedProtocol = 13,
    /// See above.
    FailedTimeout = 14,
    /// Body over a limit.
    TooLarge = 15,
    /// Body that does not decode.
    Decode = 16,
    /// Address guard.
    ForbiddenAddress = 17,
    /// Page that could not be processed.
    Unreadable = 18,
    /// Its lease ran out again and again: it kills the function.
    KilledTheFunction = 19,
    /// A page budget of its domain or job.
    Budget = 20,
    /// An item of the page was refused by a required sink.
    SinkRefused = 21,
    /// A redirect out of `allowed_domains`.
    OffsiteRedirect = 22,
}

impl Reason {
    /// All reasons, in order of their codes.
    pub const ALL: [Reason; 22] = [
        Reason::BadUrl,
        Reason::Offsite,
        Reason::Blacklisted,
        Reason::Robots,
        Reason::TooDeep,
        Reason::Status,
        Reason::TooManyRedirects,
        Reason::BadRedirect,
        Reason::StatusRetriesExhausted,
        Reason::FailedDns,
        Reason::FailedConnect,
        Reason::FailedTls,
        Reason::FailedProtocol,
        Reason::FailedTimeout,
        Reason::TooLarge,
        Reason::Decode,
        Reason::ForbiddenAddress,
        Reason::Unreadable,
        Reason::KilledTheFunction,
        Reason::Budget,
        Reason::SinkRefused,
        Reason::OffsiteRedirect,
    ];

    /// The reason with this code.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Reason> {
        Reason::ALL.get(usize::from(code).checked_sub(1)?).copied()
    }

    /// Name in counters.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::BadUrl => "bad_url",
            Reason::Offsite => "offsite",
            Reason::Blacklisted => "blacklisted",
            Reason::Robots => "robots",
            Reason::TooDeep => "too_deep",
            Reason::Status => "status",
            Reason::TooManyRedirects => "too_many_redirects",
            Reason::BadRedirect => "bad_redirect",
            Reason::StatusRetriesExhausted => "status_retries_exhausted",
            Reason::FailedDns => "dns",
            Reason::FailedConnect => "connect",
            Reason::FailedTls => "tls",
            Reason::FailedProtocol => "protocol",
            Reason::FailedTimeout => "timeout",
            Reason::TooLarge => "too_large",
            Reason::Decode => "decode",
            Reason::ForbiddenAddress => "forbidden_address",
            Reason::Unreadable => "unreadable",
            Reason::KilledTheFunction => "killed_the_function",
            Reason::Budget => "budget",
            Reason::SinkRefused => "sink_refused",
            Reason::OffsiteRedirect => "offsite_redirect",
        }
    }

    /// The reason for giving up after failures of a class.
    #[must_use]
    pub fn of_failure(class: FailureClass) -> Reason {
        match class {
            FailureClass::Dns => Reason::FailedDns,
            FailureClass::Connect => Reason::FailedConnect,
            FailureClass::Tls => Reason::FailedTls,
            FailureClass::Protocol => Reason::FailedProtocol,
            FailureClass::Timeout => Reason::FailedTimeout,
            FailureClass::TooLarge => Reason::TooLarge,
            FailureClass::Decode => Reason::Decode,
            FailureClass::ForbiddenAddress => Reason::ForbiddenAddress,
            FailureClass::BadRequest => Reason::BadUrl,
        }
    }

    /// Rejections are decisions about the URL; dead letters are things that went wrong and may be replayed.
    #[must_use]
    pub fn is_dead_letter(self) -> bool {
        matches!(
            self,
            Reason::StatusRetriesExhausted
                | Reason::FailedDns
                | Reason::FailedConnect
                | Reason::FailedTls
                | Reason::FailedProtocol
                | Reason::FailedTimeout
                | Reason::TooLarge
                | Reason::Decode
                | Reason::Unreadable
                | Reason::KilledTheFunction
                | Reason::SinkRefused
        )
    }
}

/// How a URL's way ended. Exactly one for every URL that was ever offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "verdict", content = "reason", rename_all = "snake_case")]
pub enum Verdict {
    /// Fetched, and all in it settled, even if it held nothing.
    Delivered,
    /// Already admitted.
    Duplicate,
    /// Decided against, or gone wrong for good (`reason.is_dead_letter()`).
    Rejected(Reason),
    /// A redirect: the target carries on as its own URL.
    Redirected,
    /// A stop condition or a cancel.
    Abandoned,
}

/// How a job ended, in the vocabulary of the Scrapy Cloud dashboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Outcome {
    /// All URLs have a verdict.
    Finished = 1,
    /// Stopped by Ctrl-C or a signal; resumable.
    Shutdown = 2,
    /// Stopped by a command.
    Cancelled = 3,
    /// Stop condition on items.
    ClosespiderItemcount = 4,
    /// Stop condition on pages.
    ClosespiderPagecount = 5,
    /// Stop condition on errors.
    ClosespiderErrorcount = 6,
    /// Stop condition on seconds.
    ClosespiderTimeout = 7,
    /// Could not go on (disk full, a required sink refuses everything).
    Failed = 8,
    /// What it costs has reached its budget.
    Budget = 9,
}

impl Outcome {
    /// Name on the dashboard and in the closing line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Finished => "finished",
            Outcome::Shutdown => "shutdown",
            Outcome::Cancelled => "cancelled",
            Outcome::ClosespiderItemcount => "closespider_itemcount",
            Outcome::ClosespiderPagecount => "closespider_pagecount",
            Outcome::ClosespiderErrorcount => "closespider_errorcount",
            Outcome::ClosespiderTimeout => "closespider_timeout",
            Outcome::Failed => "failed",
            Outcome::Budget => "budget",
        }
    }

    /// The outcome with this code.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Outcome> {
        [
            Outcome::Finished,
            Outcome::Shutdown,
            Outcome::Cancelled,
            Outcome::ClosespiderItemcount,
            Outcome::ClosespiderPagecount,
            Outcome::ClosespiderErrorcount,
            Outcome::ClosespiderTimeout,
            Outcome::Failed,
            Outcome::Budget,
        ]
        .into_iter()
        .find(|o| *o as u8 == code)
    }
}
