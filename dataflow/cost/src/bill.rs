//! What is billed, and what it comes to.

use crate::{Architecture, Prices};
use serde::Serialize;

/// Quantities that are billed. All at least 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Usage {
    /// Memory of functions times how long they ran, waiting included.
    pub function_gb_seconds: f64,
    /// Invocations.
    pub invocations: f64,
    /// Requests to SQS, each of up to 64 KiB.
    pub queue_requests: f64,
    /// Writes to the claim table.
    pub claims: f64,
    /// Objects written.
    pub objects_written: f64,
    /// Objects read.
    pub objects_read: f64,
    /// Bytes of logs.
    pub log_bytes: f64,
    /// Hours of metrics.
    pub metric_hours: f64,
    /// Bytes sent to sites.
    pub sent_bytes: f64,
    /// Processors of stages times hours.
    pub vcpu_hours: f64,
    /// Memory of stages times hours.
    pub stage_gb_hours: f64,
    /// Public addresses times hours.
    pub address_hours: f64,
    /// Bytes written to the state.
    pub state_bytes: f64,
}

/// What a bill tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// Lambda, by GB-seconds.
    FunctionTime,
    /// Lambda, by invocations.
    FunctionCalls,
    /// SQS.
    Queues,
    /// DynamoDB.
    Claims,
    /// S3.
    Objects,
    /// CloudWatch.
    Logs,
    /// Data out.
    Network,
    /// Fargate and its address.
    Stages,
    /// EFS.
    States,
}

impl Line {
    /// What a person reads.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Line::FunctionTime => "functions: time, waiting included",
            Line::FunctionCalls => "functions: invocations",
            Line::Queues => "queues: requests by 64 KiB",
            Line::Claims => "claims",
            Line::Objects => "artifacts: objects written and read",
            Line::Logs => "logs and metrics",
            Line::Network => "bytes sent to sites",
            Line::Stages => "stages: processor, memory, address",
            Line::States => "states: bytes written",
        }
    }
}

/// Dollars by line, all lines, in order.
#[derive(Clone, Debug, PartialEq)]
pub struct Bill {
    /// What each comes to.
    pub lines: Vec<(Line, f64)>,
}

impl Bill {
    /// Quantities times prices.
    #[must_use]
    pub fn of(usage: &Usage, prices: &Prices, architecture: Architecture) -> Bill {
        let million = |count: f64, price: f64| count / 1e6 * price;
        let gb = |bytes: f64, price: f64| bytes / 1e9 * price;
        let lambda = prices.lambda.of(architecture);
        let fargate = prices.fargate.of(architecture);
        let stages = usage.vcpu_hours * fargate.vcpu_hour
            + usage.stage_gb_hours * fargate.gb_hour
            + usage.address_hours * prices.network.ipv4_hour;
        let objects =
            usage.objects_written / 1e3 * prices.s3.thousand_puts + usage.objects_read / 1e3 * prices.s3.thousand_gets;
        let logs = gb(usage.log_bytes, prices.logs.gb_ingested)
            + usage.metric_hours / HOURS_A_MONTH * prices.logs.metric_month;
        Bill {
            lines: vec![
                (Line::FunctionTime, usage.function_gb_seconds * lambda.gb_second),
                (Line::FunctionCalls, million(usage.invocations, prices.lambda.million_requests)),
                (Line::Queues, million(usage.queue_requests, prices.sqs.million_requests)),
                (Line::Claims, million(usage.claims, prices.dynamodb.million_writes)),
                (Line::Objects, objects),
                (Line::Logs, logs),
                (Line::Network, gb(usage.sent_bytes, prices.network.gb_out)),
                (Line::Stages, stages),
                (Line::States, gb(usage.state_bytes, prices.efs.gb_written)),
            ],
        }
    }

    /// All lines together.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.lines.iter().map(|(_, dollars)| dollars).sum()
    }

    /// The line that costs most.
    #[must_use]
    pub fn dominant(&self) -> Line {
        let most = self.lines.iter().max_by(|one, other| one.1.total_cmp(&other.1));
        most.expect("a bill has all its lines").0
    }
}

/// Of a month as AWS reckons it.
const HOURS_A_MONTH: f64 = 730.0;
