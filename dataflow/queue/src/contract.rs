//! What every queue, store and place of claims keeps. Call it in the tests of each implementation; it panics where one differs.
//!
//! The suite runs on a real service as well as in virtual time: it waits for things by asking until a deadline.

use crate::queue::{BoxFuture, MessageQueue, Received};
use crate::{ArtifactStore, Claim, Claims, QueueErrorClass, Receipt};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use weir_model::UnixMs;

/// Makes the queues of a suite.
pub trait QueueFixture {
    /// A new, empty queue whose messages come back after `visibility` (whole seconds).
    fn queue(&self, visibility: Duration) -> BoxFuture<'_, Arc<dyn MessageQueue>>;
}

const SECOND: Duration = Duration::from_secs(1);
/// Calls until something is given up; each waits a second.
const PATIENCE: usize = 30;

/// All of it.
pub async fn queue_contract(fixture: &dyn QueueFixture) {
    what_is_settled_never_comes_again(fixture).await;
    what_is_not_settled_comes_back(fixture).await;
    what_is_extended_stays_hidden(fixture).await;
    many_messages_arrive_once_each(fixture).await;
    a_message_over_the_limit_costs_no_other(fixture).await;
    every_text_arrives_as_it_was_sent(fixture).await;
    a_wrong_receipt_costs_no_other(fixture).await;
    an_empty_queue_gives_nothing_and_no_error(fixture).await;
}

fn body(message: &Received) -> &str {
    message.body.as_deref().expect("a body")
}

/// Receives until `count` messages came.
async fn gather(queue: &dyn MessageQueue, count: usize) -> Vec<Received> {
    let mut all = Vec::new();
    for _ in 0..PATIENCE {
        all.extend(queue.receive(10, SECOND).await.expect("received"));
        if all.len() >= count {
            return all;
        }
    }
    panic!("{}: {} of {count} messages came", queue.name(), all.len());
}

async fn send(queue: &dyn MessageQueue, bodies: &[String]) {
    let outcomes = queue.send(bodies).await;
    assert_eq!(outcomes.len(), bodies.len(), "one outcome a message");
    for outcome in outcomes {
        outcome.expect("sent");
    }
}

async fn settle(queue: &dyn MessageQueue, messages: &[Received]) {
    let receipts: Vec<Receipt> = messages.iter().map(|message| message.receipt.clone()).collect();
    let outcomes = queue.settle(&receipts).await;
    assert_eq!(outcomes.len(), receipts.len(), "one outcome a receipt");
    for outcome in outcomes {
        outcome.expect("settled");
    }
}

async fn what_is_settled_never_comes_again(fixture: &dyn QueueFixture) {
    let queue = fixture.queue(SECOND).await;
    send(&*queue, &["one".into()]).await;
    let got = gather(&*queue, 1).await;
    assert_eq!((got.len(), body(&got[0]), got[0].receive_count), (1, "one", 1));
    settle(&*queue, &got).await;
    for _ in 0..3 {
        assert_eq!(queue.receive(10, SECOND).await.expect("received"), []);
    }
}

async fn what_is_not_settled_comes_back(fixture: &dyn QueueFixture) {
    let queue = fixture.queue(SECOND).await;
    send(&*queue, &["again".into()]).await;
    let first = gather(&*queue, 1).await;
    let second = gather(&*queue, 1).await;
    assert_eq!((&second[0].id, body(&second[0]), second[0].receive_count), (&first[0].id, "again", 2));
    settle(&*queue, &second).await;
    assert_eq!(queue.receive(10, 2 * SECOND).await.expect("received"), [], "its newest receipt settles it");
}

async fn what_is_extended_stays_hidden(fixture: &dyn QueueFixture) {
    let queue = fixture.queue(2 * SECOND).await;
    send(&*queue, &["kept".into()]).await;
    let got = gather(&*queue, 1).await;
    let receipts = [got[0].receipt.clone()];
    assert_eq!(queue.extend(&receipts, Duration::from_secs(600)).await, [Ok(())]);
    for _ in 0..4 {
        assert_eq!(queue.receive(10, SECOND).await.expect("received"), [], "hidden beyond its first time");
    }
    assert_eq!(queue.extend(&receipts, Duration::ZERO).await, [Ok(())]);
    let back = gather(&*queue, 1).await;
    assert_eq!(back[0].id, got[0].id, "given back at once");
    settle(&*queue, &back).await;
}

async fn many_messages_arrive_once_each(fixture: &dyn QueueFixture) {
    let queue = fixture.queue(Duration::from_secs(120)).await;
    // More than a batch call takes, by number and by bytes.
    let bodies: Vec<String> = (0..25).map(|number| format!("{number} {}", "x".repeat(150_000))).collect();
    send(&*queue, &bodies).await;
    let got = gather(&*queue, bodies.len()).await;
    assert_eq!(got.len(), bodies.len());
    let (came, sent): (BTreeSet<&str>, BTreeSet<&str>) =
        (got.iter().map(body).collect(), bodies.iter().map(String::as_str).collect());
    assert!(came == sent, "the same messages");
    let names: BTreeSet<&String> = got.iter().map(|message| &message.id).collect();
    assert_eq!(names.len(), bodies.len(), "each its own name");
    settle(&*queue, &got).await;
    assert_eq!(queue.receive(10, Duration::ZERO).await.expect("received"), []);
}

async fn a_message_over_the_limit_costs_no_other(fixture: &dyn QueueFixture) {
    let queue = fixture.queue(Duration::from_secs(60)).await;
    let max = queue.body_bytes_max();
    if max > 4 << 20 {
        // A queue with tickets: its limit is memory's.
        return;
    }
    let bodies = ["a".into(), "x".repeat(max + 1), "y".repeat(max), "£".repeat(max / 2 + 1)];
    let outcomes = queue.send(&bodies).await;
    let classes: Vec<_> = outcomes.into_iter().map(|outcome| outcome.err().map(|error| error.class)).collect();
    assert_eq!(classes, [None, Some(QueueErrorClass::TooLarge), None, Some(QueueErrorClass::TooLarge)]);
    let mut got = gather(&*queue, 2).await;
    got.sort_by_key(|message| body(message).len());
    assert_eq!(got.iter().map(|message| body(message).len()).collect::<Vec<_>>(), [1, max]);
    settle(&*queue, &got).await;
}

async fn every_text_arrives_as_it_was_sent(fixture: &dyn QueueFixture) {
    let queue = fixture.queue(Duration::from_secs(60)).await;
    let text = "{\"a\": \"<b>&amp;\\u0001 £ \u{1f3e0} 'x' \u{fffd}\"}\t\n  end ";
    send(&*queue, &[text.into()]).await;
    let got = gather(&*queue, 1).await;
    assert_eq!(body(&got[0]), text);
    settle(&*queue, &got).await;
}

async fn a_wrong_receipt_costs_no_other(fixture: &dyn QueueFixture) {
    let queue = fixture.queue(SECOND).await;
    send(&*queue, &["right".into()]).await;
    let got = gather(&*queue, 1).await;
    let receipts = [Receipt("no such receipt".into()), got[0].receipt.clone()];
    let outcomes = queue.settle(&receipts).await;
    assert!(outcomes[0].as_ref().is_err_and(|error| !error.is_transient()), "{:?}", outcomes[0]);
    assert_eq!(outcomes[1], Ok(()));
    assert_eq!(queue.receive(10, 2 * SECOND).await.expect("received"), []);
}

async fn an_empty_queue_gives_nothing_and_no_error(fixture: &dyn QueueFixture) {
    let queue = fixture.queue(SECOND).await;
    assert_eq!(queue.receive(1, Duration::ZERO).await, Ok(Vec::new()));
    assert_eq!(queue.send(&[]).await, []);
    assert_eq!(queue.settle(&[]).await, []);
    assert_eq!(queue.extend(&[], SECOND).await, []);
}

/// What a store keeps; it must hold nothing under `contract/`.
pub async fn artifacts_contract(store: &dyn ArtifactStore) {
    let class = |error: crate::QueueError| error.class;
    assert_eq!(store.get("contract/none").await.map_err(class), Err(QueueErrorClass::NotFound));
    store.put_new("contract/a", b"first".to_vec()).await.expect("new");
    let again = store.put_new("contract/a", b"second".to_vec()).await.map_err(class);
    assert_eq!(again, Err(QueueErrorClass::Exists));
    assert_eq!(store.get("contract/a").await.as_deref(), Ok(&b"first"[..]), "nothing was changed");
    store.put("contract/a", Vec::new()).await.expect("overwritten");
    assert_eq!(store.get("contract/a").await.as_deref(), Ok(&b""[..]));
    let bytes: Vec<u8> = (0..=255).cycle().take(3 << 20).collect();
    store.put("contract/b/big", bytes.clone()).await.expect("3 MiB");
    assert!(store.get("contract/b/big").await.expect("there") == bytes);
    assert_eq!(store.list("contract/", 10).await.expect("listed"), ["contract/a", "contract/b/big"]);
    assert_eq!(store.list("contract/", 1).await.expect("listed"), ["contract/a"]);
    store.remove("contract/a").await.expect("removed");
    store.remove("contract/a").await.expect("nothing there is no error");
    store.remove("contract/b/big").await.expect("removed");
    assert!(store.list("contract/", 10).await.expect("listed").is_empty());
}

/// What a place of claims keeps; `prefix` makes the keys this run's own.
pub async fn claims_contract(claims: &dyn Claims, prefix: &str) {
    let until = UnixMs(4_000_000_000_000);
    let (a, b) = (format!("{prefix}/1"), format!("{prefix}/2"));
    assert_eq!(claims.claim(&a, "first", until).await, Ok(Claim::Won));
    assert_eq!(claims.claim(&a, "second", until).await, Ok(Claim::Lost));
    assert_eq!(claims.claim(&a, "first", until).await, Ok(Claim::Won), "a repeated call does not lose against itself");
    assert_eq!(claims.claim(&b, "second", until).await, Ok(Claim::Won), "another message");
    // Copies that arrive at the same instant: one wins.
    let key = format!("{prefix}/3");
    let owners: Vec<String> = (0..8).map(|owner| format!("owner {owner}")).collect();
    let all = futures_util::future::join_all(owners.iter().map(|owner| claims.claim(&key, owner, until))).await;
    let won = all.into_iter().filter(|claim| *claim.as_ref().expect("claimed") == Claim::Won).count();
    assert_eq!(won, 1);
}
