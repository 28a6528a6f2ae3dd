//! Claim tickets: a message beyond the queue's limit goes to the artifact store, and a small message says where.
//!
//! Invariant: who receives sees the message as it was sent. The artifact stays when its ticket is settled, because another
//! copy of the ticket may be under way: the store's own ageing removes it (`tickets/` in the bucket's lifecycle).

use crate::artifacts::ArtifactStore;
use crate::queue::{BoxFuture, MessageQueue, Receipt, Received};
use crate::{QueueError, QueueErrorClass};
use std::sync::Arc;
use std::time::Duration;
use weir_model::ContentHash;
use weir_model::json::{QueueMessage, TicketMessage};

/// The largest message of all: as much as a reader takes into memory for one message.
pub const TICKET_BYTES_MAX: usize = 64 << 20;

/// Makes tickets and redeems them.
#[derive(Clone)]
pub struct Tickets {
    store: Arc<dyn ArtifactStore>,
}

impl Tickets {
    /// Tickets for messages in this store.
    #[must_use]
    pub fn new(store: Arc<dyn ArtifactStore>) -> Tickets {
        Tickets { store }
    }

    /// The body itself when it has at most `bytes_max`, else a ticket for it.
    ///
    /// # Errors
    /// When it is too large for the store too, or cannot be stored.
    pub async fn shrink(&self, body: String, bytes_max: usize) -> Result<String, QueueError> {
        if body.len() <= bytes_max {
            return Ok(body);
        }
        if body.len() > TICKET_BYTES_MAX {
            let message = format!("a message of {} bytes; at most {TICKET_BYTES_MAX} can travel", body.len());
            return Err(QueueError::new(QueueErrorClass::TooLarge, message));
        }
        let hash = ContentHash::of(body.as_bytes());
        let ticket = TicketMessage { key: format!("tickets/{hash}"), bytes: body.len() as u64, hash };
        // Written anew also where it lies already: its age begins again.
        self.store.put(&ticket.key, body.into_bytes()).await?;
        Ok(ticket.to_json())
    }

    /// The message that a body stands for.
    ///
    /// # Errors
    /// When its artifact cannot be had (`Transient`), is gone (`NotFound`) or is another one (`Permanent`).
    pub async fn resolve(&self, body: String) -> Result<String, QueueError> {
        if !TicketMessage::is_ticket(&body) {
            return Ok(body);
        }
        let wrong = |message: String| QueueError::new(QueueErrorClass::Permanent, message);
        let ticket = TicketMessage::from_json(&body).map_err(|error| wrong(error.to_string()))?;
        let bytes = self.store.get(&ticket.key).await.map_err(|error| {
            let message = format!("claim ticket for {}: {}", ticket.key, error.message);
            QueueError { class: error.class, message }
        })?;
        if bytes.len() as u64 != ticket.bytes || ContentHash::of(&bytes) != ticket.hash {
            let (key, found, promised) = (&ticket.key, bytes.len(), ticket.bytes);
            return Err(wrong(format!("claim ticket for {key}: {found} other bytes than the {promised} promised")));
        }
        String::from_utf8(bytes).map_err(|_| wrong(format!("claim ticket for {}: not text", ticket.key)))
    }
}

/// A queue for messages of any size up to [`TICKET_BYTES_MAX`].
pub struct Ticketed<Q> {
    queue: Q,
    tickets: Tickets,
}

impl<Q: MessageQueue> Ticketed<Q> {
    /// Tickets over a queue.
    pub fn new(queue: Q, tickets: Tickets) -> Ticketed<Q> {
        Ticketed { queue, tickets }
    }

    async fn send_shrunk(&self, bodies: &[String]) -> Vec<Result<(), QueueError>> {
        let mut outcomes: Vec<Result<(), QueueError>> = Vec::with_capacity(bodies.len());
        let (mut places, mut small) = (Vec::new(), Vec::new());
        for (place, body) in bodies.iter().enumerate() {
            match self.tickets.shrink(body.clone(), self.queue.body_bytes_max()).await {
                Ok(body) => {
                    places.push(place);
                    small.push(body);
                    outcomes.push(Ok(()));
                }
                Err(error) => outcomes.push(Err(error)),
            }
        }
        for (place, outcome) in places.into_iter().zip(self.queue.send(&small).await) {
            outcomes[place] = outcome;
        }
        outcomes
    }
}

impl<Q: MessageQueue> MessageQueue for Ticketed<Q> {
    fn name(&self) -> &str {
        self.queue.name()
    }

    fn body_bytes_max(&self) -> usize {
        TICKET_BYTES_MAX
    }

    fn send<'a>(&'a self, bodies: &'a [String]) -> BoxFuture<'a, Vec<Result<(), QueueError>>> {
        let max = self.queue.body_bytes_max();
        if bodies.iter().all(|body| body.len() <= max) {
            return self.queue.send(bodies);
        }
        Box::pin(self.send_shrunk(bodies))
    }

    fn receive(&self, max: usize, wait: Duration) -> BoxFuture<'_, Result<Vec<Received>, QueueError>> {
        Box::pin(async move {
            let mut received = Vec::new();
            for mut message in self.queue.receive(max, wait).await? {
                if let Ok(body) = message.body {
                    message.body = self.tickets.resolve(body).await;
                }
                // What cannot be had now is not shown: it comes back when its visibility runs out.
                if !message.body.as_ref().is_err_and(QueueError::is_transient) {
                    received.push(message);
                }
            }
            Ok(received)
        })
    }

    fn extend<'a>(
        &'a self,
        receipts: &'a [Receipt],
        visibility: Duration,
    ) -> BoxFuture<'a, Vec<Result<(), QueueError>>> {
        self.queue.extend(receipts, visibility)
    }

    fn settle<'a>(&'a self, receipts: &'a [Receipt]) -> BoxFuture<'a, Vec<Result<(), QueueError>>> {
        self.queue.settle(receipts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MemoryArtifacts, MemoryQueue};
    use weir_model::{Clock, Tick};

    struct Still;

    impl Clock for Still {
        fn now(&self) -> Tick {
            Tick(1)
        }
    }

    fn ticketed() -> (Arc<MemoryArtifacts>, Ticketed<MemoryQueue>) {
        let store = Arc::new(MemoryArtifacts::default());
        let queue = MemoryQueue::new("q", Arc::new(Still), Duration::ZERO);
        (store.clone(), Ticketed::new(queue, Tickets::new(store)))
    }

    #[tokio::test]
    async fn a_message_beyond_the_limit_travels_as_a_ticket_between_its_neighbours() {
        let (store, queue) = ticketed();
        let large = "£".repeat(1 << 20);
        let bodies = ["before".to_owned(), large.clone(), "behind".to_owned()];
        assert_eq!(queue.send(&bodies).await, [Ok(()), Ok(()), Ok(())]);
        assert_eq!(store.list("tickets/", 10).await.map(|keys| keys.len()), Ok(1));
        let got = queue.receive(10, Duration::ZERO).await.expect("received");
        let came: Vec<&String> = got.iter().map(|message| message.body.as_ref().expect("a body")).collect();
        assert!(came == [&bodies[0], &large, &bodies[2]], "whole and in order");
    }

    #[tokio::test]
    async fn a_ticket_without_its_artifact_is_an_error_that_says_where_it_should_be() {
        let (store, queue) = ticketed();
        assert_eq!(queue.send(&["x".repeat(2 << 20)]).await, [Ok(())]);
        let key = store.list("tickets/", 1).await.expect("listed").remove(0);
        store.put(&key, b"other".to_vec()).await.expect("overwritten");
        let other = queue.receive(1, Duration::ZERO).await.expect("received").remove(0).body.expect_err("other bytes");
        assert!(other.class == QueueErrorClass::Permanent && other.message.contains(&key), "{other}");
        store.remove(&key).await.expect("removed");
        let gone = queue.receive(1, Duration::ZERO).await.expect("received").remove(0).body.expect_err("gone");
        assert!(gone.class == QueueErrorClass::NotFound && gone.message.contains(&key), "{gone}");
    }

    #[tokio::test]
    async fn what_no_store_takes_is_refused_and_its_neighbour_is_sent() {
        let (_, queue) = ticketed();
        let outcomes = queue.send(&["x".repeat(TICKET_BYTES_MAX + 1), "small".into()]).await;
        assert_eq!(outcomes[0].as_ref().expect_err("too large").class, QueueErrorClass::TooLarge);
        assert_eq!(outcomes[1], Ok(()));
    }
}
