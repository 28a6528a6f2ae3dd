//! Lambda's SQS events: what comes in, and the answer that says which messages failed.
//!
//! The answer's shape is a contract with the event source mapping: it takes an empty list for "all done" and deletes the whole
//! batch. Invariant: no failed message can be missing from the answer. A message that has no name cannot be named there, so an
//! event with one is refused whole, before anything is done; an answer with a name that is not in the event cannot be built.

use aws_lambda_events::event::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent};

/// A message of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// SQS's name for it, never empty.
    pub id: String,
    /// Its body; empty when it had none.
    pub body: String,
}

/// The messages of an event.
///
/// # Errors
/// When one has no id: failing the invocation makes all of them come back.
pub fn records(event: SqsEvent) -> Result<Vec<Record>, String> {
    let record = |(at, message): (usize, aws_lambda_events::event::sqs::SqsMessage)| match message.message_id {
        Some(id) if !id.trim().is_empty() => Ok(Record { id, body: message.body.unwrap_or_default() }),
        _ => Err(format!("record {at} of the event has no messageId: its failure could not be reported")),
    };
    event.records.into_iter().enumerate().map(record).collect()
}

/// The answer for these failed messages of the event.
///
/// # Errors
/// When a failed id is empty or not one of the event's: failing the invocation makes all of them come back.
pub fn batch_response(failed: &[String], event_ids: &[String]) -> Result<SqsBatchResponse, String> {
    let mut response = SqsBatchResponse::default();
    for id in failed {
        if id.trim().is_empty() || !event_ids.contains(id) {
            return Err(format!("{id:?} failed, but it is no messageId of the event"));
        }
        let mut failure = BatchItemFailure::default();
        failure.item_identifier.clone_from(id);
        response.batch_item_failures.push(failure);
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(records: &str) -> SqsEvent {
        serde_json::from_str(&format!("{{\"Records\":{records}}}")).expect("an event")
    }

    const TWO: &str = r#"[
        {"messageId":"059f36b4-87a3-44ab-83d2-661975830a7d","receiptHandle":"AQEBwJ","body":"one",
         "attributes":{"ApproximateReceiveCount":"1","SentTimestamp":"1545082649183","SenderId":"AIDAIENQZJOLO23YVJ4VO",
                       "ApproximateFirstReceiveTimestamp":"1545082649185"},
         "messageAttributes":{},"md5OfBody":"e4e68fb7bd0e697a0ae8f1bb342846b3","eventSource":"aws:sqs",
         "eventSourceARN":"arn:aws:sqs:us-east-2:123456789012:my-queue","awsRegion":"us-east-2"},
        {"messageId":"2e1424d4-f796-459a-8184-9c92662be6da","receiptHandle":"AQEBzW","body":"two",
         "attributes":{},"messageAttributes":{},"eventSource":"aws:sqs"}]"#;

    fn ids(records: &[Record]) -> Vec<String> {
        records.iter().map(|record| record.id.clone()).collect()
    }

    #[test]
    fn the_answer_has_the_shape_that_the_event_source_mapping_reads() {
        let records = records(event(TWO)).expect("both have ids");
        assert_eq!(records.iter().map(|record| &*record.body).collect::<Vec<_>>(), ["one", "two"]);
        let ids = ids(&records);
        let answer = |failed: &[String]| {
            serde_json::to_string(&batch_response(failed, &ids).expect("ids of the event")).expect("JSON")
        };
        assert_eq!(answer(&[]), r#"{"batchItemFailures":[]}"#);
        let one = r#"{"batchItemFailures":[{"itemIdentifier":"2e1424d4-f796-459a-8184-9c92662be6da"}]}"#;
        assert_eq!(answer(&ids[1..]), one);
    }

    #[test]
    fn a_malformed_id_never_counts_as_success() {
        for records_json in [
            r#"[{"messageId":"a","body":"x"},{"body":"no id"}]"#,
            r#"[{"messageId":"","body":"empty id"}]"#,
            r#"[{"messageId":" ","body":"blank id"}]"#,
            r#"[{"messageId":null,"body":"null id"}]"#,
        ] {
            let error = records(event(records_json)).expect_err("refused whole");
            assert!(error.contains("messageId"), "{error}");
        }
        let ids = vec!["a".to_owned()];
        for wrong in ["", " ", "b", "a "] {
            assert!(batch_response(&[wrong.to_owned()], &ids).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_message_without_a_body_is_a_message_that_cannot_be_read() {
        let records = records(event(r#"[{"messageId":"a"}]"#)).expect("it has an id");
        assert_eq!(records, [Record { id: "a".into(), body: String::new() }]);
    }
}
