//! What an SDK error is for retry, and what a person reads of it: what failed, why, and what to do.

use aws_sdk_sqs::config::http::HttpResponse;
use aws_sdk_sqs::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use weir_queue::{QueueError, QueueErrorClass};

/// Codes that mean "later", whatever the HTTP status.
const LATER: &[&str] = &[
    "RequestThrottled",
    "ThrottlingException",
    "Throttling",
    "TooManyRequestsException",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "TransactionInProgressException",
    "ServiceUnavailable",
    "InternalError",
    "InternalFailure",
    "InternalServerError",
    "RequestTimeout",
    "RequestTimeoutException",
    "SlowDown",
    "OverLimit",
    "ConditionalRequestConflict",
    "OperationAborted",
    "RequestTimeTooSkewed",
    "KmsThrottled",
    "KMS.ThrottlingException",
];

/// Codes of one queue's, bucket's or table's absence.
const ABSENT: &[&str] =
    &["QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue", "NoSuchBucket", "ResourceNotFoundException"];

/// Codes of requests that nobody lets in.
const DENIED: &[&str] = &["AccessDenied", "AccessDeniedException", "AccessDeniedFault", "UnauthorizedOperation"];

/// Codes of credentials that are not (or no longer) good.
const STRANGERS: &[&str] = &[
    "InvalidClientTokenId",
    "UnrecognizedClientException",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidToken",
    "InvalidSignatureException",
    "AuthFailure",
];

/// Judges an error of a call; `what` is for people: `sqs SendMessageBatch to http://...`.
pub(crate) fn judge<E>(what: &str, error: SdkError<E, HttpResponse>) -> QueueError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let status = error.raw_response().map(|response| response.status().as_u16());
    let code = error.code().unwrap_or_default().to_owned();
    let (class, hint) = match &error {
        SdkError::ServiceError(_) => by_code(&code, status),
        SdkError::TimeoutError(_) | SdkError::ResponseError(_) => (QueueErrorClass::Transient, ""),
        SdkError::DispatchFailure(failure) if failure.is_timeout() || failure.is_io() => {
            (QueueErrorClass::Transient, "; is the network, or the emulator at AWS_ENDPOINT_URL, up?")
        }
        _ => (QueueErrorClass::Permanent, ""),
    };
    let text = match error.message() {
        Some(message) => format!("{code}: {message}"),
        None => DisplayErrorContext(&error).to_string(),
    };
    let text = shortened(&text);
    let hint = if hint.is_empty() && text.to_lowercase().contains("credential") {
        "; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile (AWS_PROFILE), or the role of the task"
    } else if hint.is_empty() && text.to_lowercase().contains("region") {
        "; set AWS_REGION"
    } else {
        hint
    };
    QueueError::new(class, format!("{what}: {text}{hint}"))
}

/// The class of a service's answer, and what to do.
pub(crate) fn by_code(code: &str, status: Option<u16>) -> (QueueErrorClass, &'static str) {
    let is = |codes: &[&str]| codes.contains(&code);
    match status {
        _ if is(LATER) => (QueueErrorClass::Transient, ""),
        _ if is(ABSENT) => {
            (QueueErrorClass::Permanent, "; is the stack deployed, and are account and region the right ones?")
        }
        _ if is(DENIED) => (QueueErrorClass::Permanent, "; the role or user lacks this permission"),
        _ if is(STRANGERS) => (QueueErrorClass::Permanent, "; the credentials are not valid here, or no longer"),
        _ if matches!(code, "ReceiptHandleIsInvalid" | "NoSuchKey" | "MessageNotInflight") => {
            (QueueErrorClass::NotFound, "")
        }
        _ if code == "PreconditionFailed" => (QueueErrorClass::Exists, ""),
        _ if matches!(code, "BatchRequestTooLong" | "EntityTooLarge") => (QueueErrorClass::TooLarge, ""),
        Some(429 | 500..) => (QueueErrorClass::Transient, ""),
        Some(404) => (QueueErrorClass::NotFound, ""),
        Some(412) => (QueueErrorClass::Exists, ""),
        _ => (QueueErrorClass::Permanent, ""),
    }
}

/// An error's chain can quote whole answers.
fn shortened(text: &str) -> String {
    text.chars().filter(|c| *c != '\n').take(400).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_judged_by_what_helps() {
        use QueueErrorClass::*;
        for (code, status, class) in [
            ("RequestThrottled", 403, Transient),
            ("Whatever", 503, Transient),
            ("QueueDoesNotExist", 400, Permanent),
            ("AccessDenied", 403, Permanent),
            ("ReceiptHandleIsInvalid", 400, NotFound),
            ("NoSuchKey", 404, NotFound),
            ("NoSuchBucket", 404, Permanent),
            ("PreconditionFailed", 412, Exists),
            ("InvalidMessageContents", 400, Permanent),
        ] {
            assert_eq!(by_code(code, Some(status)).0, class, "{code}");
        }
    }
}
