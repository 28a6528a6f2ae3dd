//! How much of each billed thing a page, a message and an hour take: measured where weir could measure it, said where not.

/// SQS bills a request for each 64 KiB of its messages.
pub const BILLED_UNIT_BYTES: u64 = 64 << 10;

/// Figures that do not depend on the crawl.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates {
    /// Requests to SQS for one message: sent, received, deleted. Measured: the function's event source and a stage's inbox both
    /// receive and delete one by one when messages are a few a second.
    pub requests_a_message: f64,
    /// A report, packed, of many in a message. Measured (`report_bytes`, an example of weir-fetch-parse): 228 bytes a listing, 246 an index
    /// page with 30 links.
    pub report_bytes: f64,
    /// A release in a fetch message.
    pub release_bytes: f64,
    /// Processor time of a page, microseconds: what does not depend on its size (from the two page sizes of docs/benchmarks.md).
    pub page_cpu_us: f64,
    /// Processor time of a kilobyte of a page, microseconds.
    pub kilobyte_cpu_us: f64,
    /// Packing a report, microseconds.
    pub pack_cpu_us: f64,
    /// A TLS handshake, microseconds of processor time. Measured: a page over TLS on a new connection takes 230 to 260 more than one on a kept
    /// connection without (docs/benchmarks.md, "The function").
    pub handshake_cpu_us: f64,
    /// A function's processor against the one that was measured. Taken.
    pub slower: f64,
    /// Memory that comes with one whole processor, MB (AWS).
    pub processor_mb: f64,
    /// Claim, sending reports and the rest of an invocation, milliseconds. Taken.
    pub invocation_ms: f64,
    /// The start of a new function, milliseconds, billed as work. Measured: some 5 ms to the first poll on a whole processor; the rest is taken.
    pub start_ms: f64,
    /// From the stage to a function or back through a queue, milliseconds. Taken.
    pub transit_ms: f64,
    /// What an invocation writes to the log: its line, its metrics, and Lambda's three lines.
    pub invocation_log_bytes: f64,
    /// Metrics that functions and stages keep in CloudWatch while they run.
    pub function_metrics: f64,
    /// Those of a stage.
    pub stage_metrics: f64,
    /// What a stage writes to its log in an hour: a heartbeat a minute.
    pub stage_log_bytes_hour: f64,
    /// Bytes to the site for a request on a kept connection. Measured: 232 of weir's own; and a longer agent and URL, TLS, headers of packets.
    pub request_bytes: f64,
    /// Bytes to the site for a new connection, TLS included.
    pub connection_bytes: f64,
    /// How long a connection is kept, milliseconds.
    pub keep_alive_ms: f64,
    /// What a page adds to the state, bytes: its admission, its item, its end. Measured: 630 a page of the practice site (a journal of
    /// 32,577,881 bytes after 51,667 pages), and the release under a law.
    pub page_state_bytes: f64,
    /// A synced group writes at least this, bytes.
    pub group_bytes: f64,
    /// Groups a second, at most.
    pub groups_a_second: f64,
    /// Pollers that ask an empty queue every 20 s: of the function's event source.
    pub function_pollers: f64,
    /// Those of a stage.
    pub stage_pollers: f64,
}

impl Default for Rates {
    fn default() -> Self {
        Rates {
            requests_a_message: 3.0,
            report_bytes: 250.0,
            release_bytes: 250.0,
            page_cpu_us: 33.5,
            kilobyte_cpu_us: 3.4,
            pack_cpu_us: 20.0,
            handshake_cpu_us: 250.0,
            slower: 2.0,
            processor_mb: 1_769.0,
            invocation_ms: 40.0,
            start_ms: 100.0,
            transit_ms: 100.0,
            invocation_log_bytes: 1_800.0,
            function_metrics: 15.0,
            stage_metrics: 4.0,
            stage_log_bytes_hour: 60.0 * 600.0,
            request_bytes: 420.0,
            connection_bytes: 900.0,
            keep_alive_ms: 15_000.0,
            page_state_bytes: 680.0,
            group_bytes: 4_096.0,
            groups_a_second: 50.0,
            function_pollers: 5.0,
            stage_pollers: 3.0,
        }
    }
}

impl Rates {
    /// Requests to SQS for `messages` of `bytes` each on average: every 64 KiB begun counts.
    #[must_use]
    pub fn queue_requests(&self, messages: f64, bytes: f64) -> f64 {
        messages * self.requests_a_message * (bytes / BILLED_UNIT_BYTES as f64).ceil().max(1.0)
    }

    /// Objects that a stage writes in so many seconds of a job: its status and its part of the job every two seconds at first, then every
    /// hundredth of the job's age, at last every 30 seconds.
    #[must_use]
    pub fn objects(&self, seconds: f64) -> f64 {
        let (first, last) = (200.0, 3_000.0);
        let growing = 200.0 * (seconds.clamp(first, last) / first).ln();
        seconds.min(first) + growing + (seconds - last).max(0.0) / 15.0
    }

    /// Processor time of a page of so many bytes, in milliseconds, of which `new` have a new connection.
    #[must_use]
    pub fn page_cpu_ms(&self, page_bytes: f64, new: f64) -> f64 {
        let parsed = self.page_cpu_us + self.kilobyte_cpu_us * page_bytes / 1000.0;
        self.slower * (parsed + self.pack_cpu_us + new * self.handshake_cpu_us) / 1000.0
    }
}
