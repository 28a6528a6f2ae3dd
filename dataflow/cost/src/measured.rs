//! What a job has used so far, from what its stages counted.

use crate::{Fleet, Rates, Usage};

/// What stages counted of a job.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Measured {
    /// Milliseconds that functions ran for it, times their megabytes: waiting included.
    pub function_mb_ms: u64,
    /// Invocations, each for one fetch message.
    pub invocations: u64,
    /// Messages of reports, by units of 64 KiB.
    pub report_units: u64,
    /// Requests to sites.
    pub requests: u64,
    /// How long each stage has had the job open, all of them together, in milliseconds.
    pub stage_ms: u64,
}

impl Measured {
    /// As it is billed. Several jobs at once have the same stages, and each is reckoned with all of their time.
    #[must_use]
    pub fn usage(&self, fleet: &Fleet, rates: &Rates) -> Usage {
        let hours = self.stage_ms as f64 / 3.6e6;
        let invocations = self.invocations as f64;
        let requests = self.requests as f64;
        let fixed = fleet.while_open(hours, rates);
        Usage {
            function_gb_seconds: self.function_mb_ms as f64 / 1024.0 / 1000.0,
            invocations,
            // A fetch message is far below a unit; a few of them are tickets.
            queue_requests: fixed.queue_requests + rates.requests_a_message * (invocations + self.report_units as f64),
            claims: invocations,
            log_bytes: fixed.log_bytes + invocations * rates.invocation_log_bytes,
            sent_bytes: requests * rates.request_bytes,
            state_bytes: requests * rates.page_state_bytes,
            ..fixed
        }
    }
}
