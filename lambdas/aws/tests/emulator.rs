//! The contracts on SQS, S3 and DynamoDB as the emulator has them, and what becomes of work when it goes away. The emulator is
//! started for this file, or named: `WEIR_TEST_AWS=http://127.0.0.1:PORT`.

use aws_sdk_dynamodb::types::{AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType};
use aws_sdk_sqs::types::QueueAttributeName;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use weir_aws::Aws;
use weir_model::{Clock, Tick};
use weir_queue::contract::{QueueFixture, artifacts_contract, claims_contract, queue_contract};
use weir_queue::{
    ArtifactStore, Backoff, BoxFuture, Inbox, InboxConfig, InboxEvent, MessageQueue, QueueErrorClass, Ticketed,
    Tickets, send_all,
};
use weir_services::{Kind, Service};

static NAMES: AtomicU32 = AtomicU32::new(0);

fn name(what: &str) -> String {
    format!("weir-{what}-{}-{}", std::process::id(), NAMES.fetch_add(1, Ordering::Relaxed))
}

fn aws() -> Aws {
    let emulator = Service::shared_aws().expect("the emulator starts");
    Aws::at(emulator.url(), "eu-central-1")
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
    queue_contract(&Sqs(aws())).await;
}

#[tokio::test]
async fn sqs_with_tickets_in_s3_keeps_the_queue_contract() {
    let aws = aws();
    let tickets = Tickets::new(Arc::new(new_bucket(&aws).await));
    queue_contract(&TicketedSqs(aws, tickets)).await;
}

#[tokio::test]
async fn a_message_beyond_a_mebibyte_travels_through_s3() {
    let aws = aws();
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
    artifacts_contract(&new_bucket(&aws()).await).await;
}

#[tokio::test]
async fn a_large_file_goes_up_in_pieces_and_is_one_object() {
    let aws = aws();
    let store = new_bucket(&aws).await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("part.jsonl");
    // Two whole pieces and a rest; then exactly two; then one that fits into a call. Each takes the place of the one before.
    for len in [(33 << 20) + 17, 32 << 20, 1000] {
        let bytes: Vec<u8> = (0..len).map(|at: u64| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect();
        std::fs::write(&file, &bytes).expect("written");
        store.upload("feeds/part.jsonl", &file).await.expect("uploaded");
        assert!(store.get("feeds/part.jsonl").await.expect("read") == bytes, "{len} bytes");
    }
    let config = aws_sdk_s3::config::Builder::from(aws.sdk()).force_path_style(true).build();
    let open = aws_sdk_s3::Client::from_conf(config).list_multipart_uploads().bucket(store.name().replace("s3://", ""));
    assert!(open.send().await.expect("listed").uploads().is_empty(), "no upload is left open");
}

#[tokio::test]
async fn dynamodb_keeps_the_claims_contract() {
    let aws = aws();
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
    let aws = aws();
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

struct TestClock(std::time::Instant);

impl Clock for TestClock {
    fn now(&self) -> Tick {
        Tick(1).after(self.0.elapsed())
    }
}

#[allow(clippy::disallowed_methods, reason = "the test's own clock")]
fn clock() -> Arc<TestClock> {
    Arc::new(TestClock(std::time::Instant::now()))
}

type Events = tokio::sync::mpsc::UnboundedReceiver<InboxEvent>;

fn inbox(queue: Arc<dyn MessageQueue>, visibility: u64) -> (Inbox, Events) {
    let (events, arrivals) = tokio::sync::mpsc::unbounded_channel();
    let (visibility, wait) = (Duration::from_secs(visibility), Duration::from_secs(1));
    let config = InboxConfig { visibility, wait, ..InboxConfig::default() };
    // After the end nobody listens.
    (Inbox::start(queue, clock(), config, move |event| drop(events.send(event))), arrivals)
}

async fn event(events: &mut Events) -> InboxEvent {
    let next = tokio::time::timeout(Duration::from_secs(60), events.recv()).await;
    next.expect("within a minute").expect("the inbox lives")
}

#[tokio::test]
async fn a_message_stays_hidden_on_sqs_beyond_its_visibility_while_work_lasts() {
    let queue = Arc::new(new_queue(&aws(), Duration::from_secs(2)).await);
    assert_eq!(queue.send(&["long work".into()]).await, [Ok(())]);
    let (inbox, mut events) = inbox(queue.clone(), 2);
    let InboxEvent::Arrived(arrival) = event(&mut events).await else { panic!("a message") };
    for _ in 0..7 {
        assert_eq!(queue.receive(10, Duration::from_secs(1)).await, Ok(vec![]), "another consumer gets nothing");
    }
    inbox.settle(&[arrival.receipt]);
    inbox.end().await;
    for _ in 0..3 {
        assert_eq!(queue.receive(10, Duration::from_secs(1)).await, Ok(vec![]), "settled");
    }
}

#[tokio::test]
async fn what_a_receiver_has_lost_comes_back_after_the_receivers_time_and_not_the_queues() {
    let queue = new_queue(&aws(), Duration::from_secs(600)).await.hiding(Duration::from_secs(1));
    assert_eq!(queue.send(&["lost".into()]).await, [Ok(())]);
    assert_eq!(queue.receive(1, Duration::from_secs(1)).await.map(|received| received.len()), Ok(1));
    // As if the receiver had died before it could do anything about it.
    let again = queue.receive(1, Duration::from_secs(20)).await.expect("received");
    assert_eq!(again.first().map(|message| message.receive_count), Some(2));
}

#[tokio::test]
async fn when_the_service_goes_away_and_comes_back_nothing_is_lost() {
    let mut emulator = Service::builder(Kind::Aws).variable("PERSIST_STATE", "1").start().expect("the emulator starts");
    let aws = Aws::at(emulator.url(), "eu-central-1");
    let queue = Arc::new(new_queue(&aws, Duration::from_secs(3)).await);
    let bodies: BTreeSet<String> = (0..20).map(|number| format!("message {number}")).collect();
    assert!(queue.send(&bodies.iter().cloned().collect::<Vec<_>>()).await.iter().all(Result::is_ok));
    let (inbox, mut events) = inbox(queue.clone(), 3);
    // Half of what arrives is settled; the other half is under way when the service goes away.
    let mut settled = BTreeSet::new();
    let mut under_way = BTreeMap::new();
    while settled.len() + under_way.len() < bodies.len() {
        if let InboxEvent::Arrived(arrival) = event(&mut events).await {
            let body = arrival.body.expect("a body");
            if settled.len() < 10 && !settled.contains(&body) {
                inbox.settle(&[arrival.receipt]);
                settled.insert(body);
            } else {
                under_way.insert(body, arrival.receipt);
            }
        }
    }
    while inbox.figures().settled < 10 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    emulator.stop().expect("stopped");
    let late = send_all(&*queue, vec!["late".into()], Backoff { attempts: 2, ..Backoff::default() }).await;
    assert!(late[0].as_ref().is_err_and(weir_queue::QueueError::is_transient), "{late:?}");
    loop {
        if let InboxEvent::Trouble(error) = event(&mut events).await {
            assert!(error.is_transient(), "{error}");
            break;
        }
    }
    emulator.restart().expect("back");
    // Whether it kept the visibility or not: what was not settled can be settled now, by its old receipt or by a new one.
    inbox.settle(&under_way.values().copied().collect::<Vec<_>>());
    let left = || async {
        let call = aws_sdk_sqs::Client::new(aws.sdk()).get_queue_attributes().queue_url(queue.url());
        let got = call.attribute_names(QueueAttributeName::All).send().await.expect("attributes");
        let count = |name| got.attributes().and_then(|all| all.get(&name)?.parse::<u64>().ok()).expect("a count");
        count(QueueAttributeName::ApproximateNumberOfMessages)
            + count(QueueAttributeName::ApproximateNumberOfMessagesNotVisible)
    };
    for _ in 0..600 {
        if left().await == 0 {
            break;
        }
        if let Ok(Some(InboxEvent::Arrived(again))) =
            tokio::time::timeout(Duration::from_millis(100), events.recv()).await
        {
            let body = again.body.expect("a body");
            assert!(!settled.contains(&body), "{body} was settled, and is back");
            inbox.settle(&[again.receipt]);
        }
    }
    assert_eq!(left().await, 0);
    inbox.end().await;
}
