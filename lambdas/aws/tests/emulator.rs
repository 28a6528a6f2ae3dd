//! The contracts on SQS, S3 and DynamoDB as the emulator has them. `WEIR_TEST_AWS=http://127.0.0.1:PORT` names a running one; else
//! these tests say that they were skipped.

use aws_sdk_dynamodb::types::{AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType};
use aws_sdk_sqs::types::QueueAttributeName;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use weir_aws::Aws;
use weir_queue::contract::{QueueFixture, artifacts_contract, claims_contract, queue_contract};
use weir_queue::{ArtifactStore, BoxFuture, MessageQueue, QueueErrorClass, Ticketed, Tickets};

static NAMES: AtomicU32 = AtomicU32::new(0);

fn name(what: &str) -> String {
    format!("weir-{what}-{}-{}", std::process::id(), NAMES.fetch_add(1, Ordering::Relaxed))
}

fn aws() -> Option<Aws> {
    let Ok(url) = std::env::var("WEIR_TEST_AWS") else {
        eprintln!("skipped: WEIR_TEST_AWS names no emulator");
        return None;
    };
    Some(Aws::at(&url, "eu-central-1"))
}

async fn new_queue(aws: &Aws, visibility: Duration) -> weir_aws::SqsQueue {
    let client = aws_sdk_sqs::Client::new(aws.sdk());
    let created = client
        .create_queue()
        .queue_name(name("contract"))
        .attributes(QueueAttributeName::VisibilityTimeout, visibility.as_secs().to_string())
        .attributes(QueueAttributeName::MaximumMessageSize, (1 << 20).to_string());
    aws.queue(created.send().await.expect("created").queue_url().expect("its address"))
}

async fn new_bucket(aws: &Aws) -> weir_aws::S3Artifacts {
    let config = aws_sdk_s3::config::Builder::from(aws.sdk()).force_path_style(true).build();
    let bucket = name("bucket");
    let place = aws_sdk_s3::types::CreateBucketConfiguration::builder()
        .location_constraint(aws_sdk_s3::types::BucketLocationConstraint::EuCentral1)
        .build();
    let create = aws_sdk_s3::Client::from_conf(config).create_bucket().bucket(&bucket);
    create.create_bucket_configuration(place).send().await.expect("created");
    aws.bucket(&bucket)
}

struct Sqs(Aws);

impl QueueFixture for Sqs {
    fn queue(&self, visibility: Duration) -> BoxFuture<'_, Arc<dyn MessageQueue>> {
        Box::pin(async move { Arc::new(new_queue(&self.0, visibility).await) as Arc<dyn MessageQueue> })
    }
}

struct TicketedSqs(Aws, Tickets);

impl QueueFixture for TicketedSqs {
    fn queue(&self, visibility: Duration) -> BoxFuture<'_, Arc<dyn MessageQueue>> {
        Box::pin(async move {
            let queue = new_queue(&self.0, visibility).await;
            Arc::new(Ticketed::new(queue, self.1.clone())) as Arc<dyn MessageQueue>
        })
    }
}

#[tokio::test]
async fn sqs_keeps_the_queue_contract() {
    if let Some(aws) = aws() {
        queue_contract(&Sqs(aws)).await;
    }
}

#[tokio::test]
async fn sqs_with_tickets_in_s3_keeps_the_queue_contract() {
    if let Some(aws) = aws() {
        let tickets = Tickets::new(Arc::new(new_bucket(&aws).await));
        queue_contract(&TicketedSqs(aws, tickets)).await;
    }
}

#[tokio::test]
async fn a_message_beyond_a_mebibyte_travels_through_s3() {
    let Some(aws) = aws() else { return };
    let store = Arc::new(new_bucket(&aws).await);
    let queue = Ticketed::new(new_queue(&aws, Duration::from_secs(60)).await, Tickets::new(store.clone()));
    let bodies = ["small".to_owned(), "£".repeat(700_000)];
    assert_eq!(queue.send(&bodies).await, [Ok(()), Ok(())]);
    assert_eq!(store.list("tickets/", 10).await.expect("listed").len(), 1);
    let mut got = Vec::new();
    for _ in 0..20 {
        got.extend(queue.receive(10, Duration::from_secs(1)).await.expect("received"));
        if got.len() == 2 {
            break;
        }
    }
    let mut came: Vec<String> = got.into_iter().map(|message| message.body.expect("a body")).collect();
    came.sort_by_key(String::len);
    assert!(came == bodies);
}

#[tokio::test]
async fn s3_keeps_the_artifacts_contract() {
    if let Some(aws) = aws() {
        artifacts_contract(&new_bucket(&aws).await).await;
    }
}

#[tokio::test]
async fn dynamodb_keeps_the_claims_contract() {
    let Some(aws) = aws() else { return };
    let table = name("claims");
    let key = KeySchemaElement::builder().attribute_name("id").key_type(KeyType::Hash).build().expect("complete");
    let id = AttributeDefinition::builder().attribute_name("id").attribute_type(ScalarAttributeType::S).build();
    let create = aws_sdk_dynamodb::Client::new(aws.sdk()).create_table().table_name(&table).key_schema(key);
    let create = create.attribute_definitions(id.expect("complete")).billing_mode(BillingMode::PayPerRequest);
    create.send().await.expect("created");
    claims_contract(&aws.claims(&table), "run").await;
}

#[tokio::test]
async fn what_is_not_deployed_is_a_permanent_error_that_says_so() {
    let Some(aws) = aws() else { return };
    let error = aws.queue_by_name("weir-no-such-queue").await.expect_err("no queue");
    assert_eq!(error.class, QueueErrorClass::Permanent, "{error}");
    assert!(error.message.contains("weir-no-such-queue") && error.message.contains("deployed"), "{error}");
    let queue = aws.queue(&format!("{}/000000000000/weir-no-such-queue", aws.endpoint().expect("emulated")));
    let error = queue.receive(1, Duration::ZERO).await.expect_err("no queue");
    assert_eq!(error.class, QueueErrorClass::Permanent, "{error}");
    let error = aws.bucket("weir-no-such-bucket").get("a").await.expect_err("no bucket");
    assert_eq!(error.class, QueueErrorClass::Permanent, "{error}");
    let until = weir_model::UnixMs(1);
    let error = weir_queue::Claims::claim(&aws.claims("weir-no-such-table"), "a", "b", until).await.expect_err("none");
    assert_eq!(error.class, QueueErrorClass::Permanent, "{error}");
}

#[tokio::test]
async fn nobody_at_the_address_is_a_transient_error_that_asks_for_the_emulator() {
    // A port that was free a moment ago.
    let port =
        std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port();
    let aws = Aws::at(&format!("http://127.0.0.1:{port}"), "eu-central-1");
    let queue = aws.queue(&format!("http://127.0.0.1:{port}/000000000000/q"));
    let outcomes = queue.send(&["a".to_owned(), "b".to_owned()]).await;
    for outcome in outcomes {
        let error = outcome.expect_err("nobody there");
        assert!(error.is_transient() && error.message.contains("AWS_ENDPOINT_URL"), "{error}");
    }
}
