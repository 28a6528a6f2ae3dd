//! `retry.jsonl`: what Scrapy's retry middleware does after a status or an exception.

use super::Checker;
use crate::case::{Case, Checked};
use serde_json::{Value, json};
use weir_frontier::retry::{Attempt, RetryDecision, RetryMeta, RetryPolicy, decide};
use weir_model::FailureClass;

/// The file.
pub struct Retry;

impl Checker for Retry {
    fn check(&mut self, case: &Case) -> Checked {
        let attempt = match (case.field("status").as_u64(), case.field("exception").as_str()) {
            (Some(status), _) => Attempt::Answered { status: u16::try_from(status).unwrap_or(u16::MAX) },
            (None, Some(name)) => Attempt::Failed(class_of(name)),
            (None, None) => return Checked::NotCounted,
        };
        let before = small(case.field("retry_times_before")).unwrap_or(0);
        let priority = case.field("priority_before").as_i64().and_then(|p| i16::try_from(p).ok()).unwrap_or(0);
        let meta = RetryMeta {
            dont_retry: case.field("meta")["dont_retry"] == Value::Bool(true),
            max_retry_times: small(&case.field("meta")["max_retry_times"]),
        };
        let got = match decide(attempt, before, priority, &policy(case), meta) {
            RetryDecision::Again { attempts, priority } => ("retry", json!(attempts), json!(priority)),
            RetryDecision::PutBack => ("put_back", Value::Null, Value::Null),
            RetryDecision::Stands => ("give_up_pass_response", Value::Null, Value::Null),
            RetryDecision::GiveUp(_) if matches!(attempt, Attempt::Failed(_)) => {
                ("give_up_raise", Value::Null, Value::Null)
            }
            RetryDecision::GiveUp(_) => ("give_up_pass_response", Value::Null, Value::Null),
        };
        let got = json!({ "outcome": got.0, "retry_times_after": got.1, "priority_after": got.2 });
        let expected = json!({
            "outcome": case.field("outcome"),
            "retry_times_after": case.field("retry_times_after"),
            "priority_after": case.field("priority_after"),
        });
        Checked::compare(&expected, got)
    }
}

fn small(value: &Value) -> Option<u8> {
    value.as_u64().and_then(|number| u8::try_from(number).ok())
}

fn policy(case: &Case) -> RetryPolicy {
    let mut policy = RetryPolicy::default();
    let settings = case.field("settings");
    if let Some(times) = small(case.field("max_retry_times")) {
        policy.max_retry_times = times;
    }
    if let Some(codes) = case.field("retry_http_codes").as_array() {
        policy.statuses = codes.iter().filter_map(Value::as_u64).filter_map(|code| u16::try_from(code).ok()).collect();
    }
    if let Some(names) = settings["RETRY_EXCEPTIONS"].as_array() {
        let name = |value: &Value| {
            let text = value.as_str().or(value["repr"].as_str()).unwrap_or_default();
            text.trim_end_matches("'>").rsplit(['.', '\'']).next().unwrap_or_default().to_owned()
        };
        policy.failures = names.iter().map(|value| class_of(&name(value))).collect();
    }
    if settings["RETRY_ENABLED"] == Value::Bool(false) {
        policy.enabled = false;
    }
    if let Some(adjust) = settings["RETRY_PRIORITY_ADJUST"].as_i64() {
        policy.priority_adjust = i16::try_from(adjust).unwrap_or(i16::MIN);
    }
    policy
}

/// The class of a Python exception. What is no network failure is a request that cannot be made.
fn class_of(name: &str) -> FailureClass {
    match name {
        "CannotResolveHostError" | "DNSLookupError" => FailureClass::Dns,
        "ConnectError"
        | "ConnectionRefusedError"
        | "DownloadConnectionRefusedError"
        | "TunnelError"
        | "TCPTimedOutError" => FailureClass::Connect,
        "ConnectionDone"
        | "ConnectionLost"
        | "ResponseFailed"
        | "ResponseNeverReceived"
        | "DownloadFailedError"
        | "OSError"
        | "IOError"
        | "ResponseDataLossError" => FailureClass::Protocol,
        "DownloadTimeoutError" | "TimeoutError" => FailureClass::Timeout,
        _ => FailureClass::BadRequest,
    }
}
