//! SQS behind the queue trait: batches of ten within 1 MiB, long polling, outcomes entry by entry.
//!
//! Invariant: an entry that the service's answer does not name failed for now.

use crate::batch::{BATCH_BYTES_MAX, BATCH_ENTRIES_MAX, batches};
use crate::error::{by_code, judge};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{
    BatchResultErrorEntry, ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry,
    MessageSystemAttributeName, SendMessageBatchRequestEntry,
};
use futures_util::stream::{self, StreamExt};
use std::time::Duration;
use weir_queue::{BoxFuture, MessageQueue, QueueError, QueueErrorClass, Receipt, Received};

/// The largest body that a queue takes, in bytes of UTF-8.
pub const SQS_BODY_BYTES_MAX: usize = BATCH_BYTES_MAX;
/// Batch calls at once.
const CALLS_MAX: usize = 4;
/// The longest wait of one call.
const WAIT_MAX: Duration = Duration::from_secs(20);
/// The longest time that a message can be hidden.
const VISIBILITY_MAX: Duration = Duration::from_secs(12 * 3600);

/// One queue.
#[derive(Clone, Debug)]
pub struct SqsQueue {
    client: Client,
    url: String,
    visibility: Option<Duration>,
}

type Outcomes = Vec<Result<(), QueueError>>;

impl SqsQueue {
    /// The queue at `url`.
    #[must_use]
    pub fn new(client: Client, url: &str) -> SqsQueue {
        SqsQueue { client, url: url.to_owned(), visibility: None }
    }

    /// Hides what it receives for so long, whatever the queue's own time is: also what is received and never arrives, because the receiver
    /// has died or left meanwhile.
    #[must_use]
    pub fn hiding(self, visibility: Duration) -> SqsQueue {
        SqsQueue { visibility: Some(visibility), ..self }
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    fn what(&self, call: &str) -> String {
        format!("sqs {call} on {}", self.url)
    }

    async fn send_batch(&self, bodies: Vec<(usize, &String)>) -> Vec<(usize, Result<(), QueueError>)> {
        let entry = |(at, (_, body)): (usize, &(usize, &String))| {
            let entry = SendMessageBatchRequestEntry::builder().id(at.to_string()).message_body(*body);
            entry.build().expect("id and body are set")
        };
        let entries = bodies.iter().enumerate().map(entry).collect();
        let sent = self.client.send_message_batch().queue_url(&self.url).set_entries(Some(entries)).send().await;
        let what = self.what("SendMessageBatch");
        let outcomes = match sent {
            Ok(sent) => {
                let done = sent.successful().iter().map(|entry| entry.id());
                sort_out(&what, bodies.len(), done, sent.failed())
            }
            Err(error) => all_failed(bodies.len(), judge(&what, error)),
        };
        bodies.into_iter().map(|(place, _)| place).zip(outcomes).collect()
    }

    async fn extend_batch(&self, receipts: &[Receipt], seconds: i32) -> Outcomes {
        let entry = |(at, receipt): (usize, &Receipt)| {
            let entry = ChangeMessageVisibilityBatchRequestEntry::builder()
                .id(at.to_string())
                .receipt_handle(&*receipt.0)
                .visibility_timeout(seconds);
            entry.build().expect("id and receipt are set")
        };
        let entries = receipts.iter().enumerate().map(entry).collect();
        let call = self.client.change_message_visibility_batch().queue_url(&self.url).set_entries(Some(entries));
        let what = self.what("ChangeMessageVisibilityBatch");
        match call.send().await {
            Ok(done) => {
                sort_out(&what, receipts.len(), done.successful().iter().map(|entry| entry.id()), done.failed())
            }
            Err(error) => all_failed(receipts.len(), judge(&what, error)),
        }
    }

    async fn settle_batch(&self, receipts: &[Receipt]) -> Outcomes {
        let entry = |(at, receipt): (usize, &Receipt)| {
            let entry = DeleteMessageBatchRequestEntry::builder().id(at.to_string()).receipt_handle(&*receipt.0);
            entry.build().expect("id and receipt are set")
        };
        let entries = receipts.iter().enumerate().map(entry).collect();
        let done = self.client.delete_message_batch().queue_url(&self.url).set_entries(Some(entries)).send().await;
        let what = self.what("DeleteMessageBatch");
        match done {
            Ok(done) => {
                sort_out(&what, receipts.len(), done.successful().iter().map(|entry| entry.id()), done.failed())
            }
            Err(error) => all_failed(receipts.len(), judge(&what, error)),
        }
    }

    async fn receive_some(&self, max: usize, wait: Duration) -> Result<Vec<Received>, QueueError> {
        let max = i32::try_from(max.clamp(1, BATCH_ENTRIES_MAX)).expect("at most ten");
        let call = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(max)
            .wait_time_seconds(seconds(wait.min(WAIT_MAX)))
            .set_visibility_timeout(self.visibility.map(|visibility| seconds(visibility.min(VISIBILITY_MAX))))
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount);
        let received = call.send().await.map_err(|error| judge(&self.what("ReceiveMessage"), error))?;
        Ok(received.messages.unwrap_or_default().into_iter().map(received_message).collect())
    }
}

/// Whole seconds, rounded up: a wait of 200 ms is one of a second, not none.
fn seconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis().div_ceil(1000)).unwrap_or(i32::MAX)
}

fn received_message(message: aws_sdk_sqs::types::Message) -> Received {
    let counts = message.attributes.unwrap_or_default();
    let count = counts.get(&MessageSystemAttributeName::ApproximateReceiveCount);
    let nothing = || QueueError::new(QueueErrorClass::Permanent, "the queue gave a message without a body");
    Received {
        id: message.message_id.unwrap_or_default(),
        body: message.body.ok_or_else(nothing),
        receipt: Receipt(message.receipt_handle.unwrap_or_default().into()),
        receive_count: count.and_then(|count| count.parse().ok()).unwrap_or(1),
    }
}

fn all_failed(count: usize, error: QueueError) -> Outcomes {
    vec![Err(error); count]
}

/// The outcome of each entry of a batch call whose ids are 0, 1, 2 ...
fn sort_out<'a>(
    what: &str,
    count: usize,
    done: impl Iterator<Item = &'a str>,
    failed: &[BatchResultErrorEntry],
) -> Outcomes {
    let silent = QueueError::new(QueueErrorClass::Transient, format!("{what}: the answer does not name this entry"));
    let mut outcomes = all_failed(count, silent);
    for id in done {
        if let Some(outcome) = id.parse().ok().and_then(|at: usize| outcomes.get_mut(at)) {
            *outcome = Ok(());
        }
    }
    for entry in failed {
        if let Some(outcome) = entry.id().parse().ok().and_then(|at: usize| outcomes.get_mut(at)) {
            // Without a status the code decides, and whose fault the service says it is.
            let status = if entry.sender_fault() { 400 } else { 500 };
            let (class, hint) = by_code(entry.code(), Some(status));
            let text = entry.message().unwrap_or("no reason given");
            *outcome = Err(QueueError::new(class, format!("{what}: {}: {text}{hint}", entry.code())));
        }
    }
    outcomes
}

impl MessageQueue for SqsQueue {
    fn name(&self) -> &str {
        &self.url
    }

    fn body_bytes_max(&self) -> usize {
        SQS_BODY_BYTES_MAX
    }

    fn send<'a>(&'a self, bodies: &'a [String]) -> BoxFuture<'a, Outcomes> {
        Box::pin(async move {
            let mut outcomes: Outcomes = Vec::with_capacity(bodies.len());
            let mut fitting = Vec::with_capacity(bodies.len());
            for (place, body) in bodies.iter().enumerate() {
                if body.is_empty() || body.len() > SQS_BODY_BYTES_MAX {
                    let (url, bytes) = (&self.url, body.len());
                    let message =
                        format!("a message of {bytes} bytes for {url}; 1 to {SQS_BODY_BYTES_MAX} are allowed");
                    outcomes.push(Err(QueueError::new(QueueErrorClass::TooLarge, message)));
                } else {
                    fitting.push((place, body));
                    outcomes.push(Ok(()));
                }
            }
            let sizes: Vec<usize> = fitting.iter().map(|(_, body)| body.len()).collect();
            let calls = batches(&sizes).into_iter().map(|range| self.send_batch(fitting[range].to_vec()));
            let mut calls = stream::iter(calls).buffer_unordered(CALLS_MAX);
            while let Some(sent) = calls.next().await {
                for (place, outcome) in sent {
                    outcomes[place] = outcome;
                }
            }
            drop(calls);
            outcomes
        })
    }

    fn receive(&self, max: usize, wait: Duration) -> BoxFuture<'_, Result<Vec<Received>, QueueError>> {
        Box::pin(self.receive_some(max, wait))
    }

    fn extend<'a>(&'a self, receipts: &'a [Receipt], visibility: Duration) -> BoxFuture<'a, Outcomes> {
        Box::pin(async move {
            let seconds = seconds(visibility.min(VISIBILITY_MAX));
            let mut calls: Vec<BoxFuture<'_, Outcomes>> = Vec::new();
            for batch in receipts.chunks(BATCH_ENTRIES_MAX) {
                calls.push(Box::pin(self.extend_batch(batch, seconds)));
            }
            stream::iter(calls).buffered(CALLS_MAX).collect::<Vec<_>>().await.concat()
        })
    }

    fn settle<'a>(&'a self, receipts: &'a [Receipt]) -> BoxFuture<'a, Outcomes> {
        Box::pin(async move {
            let mut calls: Vec<BoxFuture<'_, Outcomes>> = Vec::new();
            for batch in receipts.chunks(BATCH_ENTRIES_MAX) {
                calls.push(Box::pin(self.settle_batch(batch)));
            }
            stream::iter(calls).buffered(CALLS_MAX).collect::<Vec<_>>().await.concat()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(id: &str, code: &str, sender_fault: bool) -> BatchResultErrorEntry {
        let entry = BatchResultErrorEntry::builder().id(id).code(code).sender_fault(sender_fault).message("because");
        entry.build().expect("complete")
    }

    #[test]
    fn each_entry_has_its_own_outcome_and_silence_is_no_success() {
        let failures =
            [failed("2", "InternalError", false), failed("0", "InvalidMessageContents", true), failed("99", "X", true)];
        let outcomes = sort_out("sqs call", 4, ["1"].into_iter(), &failures);
        let classes: Vec<_> = outcomes.iter().map(|outcome| outcome.as_ref().err().map(|error| error.class)).collect();
        use QueueErrorClass::*;
        assert_eq!(classes, [Some(Permanent), None, Some(Transient), Some(Transient)]);
        assert!(outcomes[0].as_ref().is_err_and(|error| error.message.contains("because")));
    }

    #[test]
    fn a_short_wait_is_not_no_wait() {
        assert_eq!([0, 1, 999, 1000, 1001].map(|ms| seconds(Duration::from_millis(ms))), [0, 1, 1, 1, 2]);
    }
}
