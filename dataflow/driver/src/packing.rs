//! Releases on their way into fetch messages: gathered until the first slot of a message is near, so that messages are full and
//! functions do not wait.
//!
//! Why: an invocation, a claim and six requests to queues are paid a message, and a function is paid while it waits for a slot. Decides
//! which releases travel together and when. Invariants: a release leaves once, at the latest `lead` before its slot opens, or at
//! once when that has passed; slots of a message lie next to each other.

use crate::engine::Engine;
use crate::io::Action;
use std::collections::BTreeMap;
use weir_model::{FetchMessage, MessageId, Release, ReleaseId, Tick};

/// Releases that are durable and have not left.
#[derive(Debug, Default)]
pub(crate) struct Packing {
    waiting: BTreeMap<(Tick, ReleaseId), Release>,
}

impl Packing {
    pub fn add(&mut self, releases: Vec<Release>) {
        self.waiting.extend(releases.into_iter().map(|release| ((release.not_before, release.id), release)));
    }

    /// The messages that leave now: of at most `max` releases, the nearest slots first.
    pub fn due(&mut self, now: Tick, lead_us: u64, max: usize) -> Vec<Vec<Release>> {
        let mut messages = Vec::new();
        while self.next(lead_us) <= now {
            let mut message = Vec::new();
            while message.len() < max
                && let Some((_, release)) = self.waiting.pop_first()
            {
                message.push(release);
            }
            messages.push(message);
        }
        messages
    }

    /// When the next message leaves.
    pub fn next(&self, lead_us: u64) -> Tick {
        self.waiting.first_key_value().map_or(Tick::NEVER, |((slot, _), _)| Tick(slot.0.saturating_sub(lead_us)))
    }
}

impl Engine {
    /// Packs releases into messages.
    pub(crate) fn dispatch(&mut self, releases: Vec<Release>) {
        let mut releases = releases.into_iter().peekable();
        while releases.peek().is_some() {
            let releases = releases.by_ref().take(self.config.message_releases_max).collect();
            self.send(releases);
        }
    }

    pub(crate) fn send(&mut self, releases: Vec<Release>) {
        let id = self.message_id();
        self.actions.push(Action::Dispatch(FetchMessage { id, releases }));
    }

    /// Sends the messages whose slots are near.
    pub(crate) fn pack(&mut self, now: Tick) {
        let (lead, max) = (self.config.message_lead_us, self.config.message_releases_max);
        for releases in self.packing.due(now, lead, max) {
            self.send(releases);
        }
    }

    fn message_id(&mut self) -> MessageId {
        self.messages += 1;
        MessageId(u64::from(self.config.boot) << 32 | self.messages)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_model::{JobId, Request};

    fn release(id: u64, slot: u64) -> Release {
        Release {
            id: ReleaseId(id),
            job: JobId(1),
            not_before: Tick(slot),
            not_after: Tick::NEVER,
            request: Request::default(),
        }
    }

    #[test]
    fn messages_are_gathered_until_their_first_slot_is_near() {
        let mut packing = Packing::default();
        packing.add(vec![release(3, 1_030), release(1, 1_010)]);
        packing.add(vec![release(2, 1_020), release(4, 1_500)]);
        assert_eq!(packing.next(100), Tick(910));
        assert!(packing.due(Tick(909), 100, 10).is_empty(), "no slot is near");
        let ids = |messages: Vec<Vec<Release>>| -> Vec<Vec<u64>> {
            messages.iter().map(|message| message.iter().map(|release| release.id.0).collect()).collect()
        };
        assert_eq!(ids(packing.due(Tick(910), 100, 3)), [[1, 2, 3]], "the nearest travel together");
        packing.add(vec![release(5, 900)]);
        assert_eq!(ids(packing.due(Tick(1_600), 100, 1)), [[5], [4]], "what is late leaves at once");
        assert_eq!(packing.next(100), Tick::NEVER);
        packing.add(vec![release(6, 5_000_000)]);
        assert_eq!(ids(packing.due(Tick(0), u64::MAX, 10)), [[6]], "without a lead nothing is gathered");
    }
}
