//! What a stage knows of a job beside its own URLs: which shards came, what was handed on to other stages and taken in from them.
//!
//! Decides what is new and what a repetition. Knows no queue. Invariants: a shard is admitted once, a parcel from a stage is taken
//! in once, however often their messages come; what is handed on is in the journal until it is known to lie on its owner's queue,
//! and keeps its number for ever, so that sending it again changes nothing.

use crate::engine::Engine;
use crate::letters::{GONE, Letter};
use crate::record::Record;
use std::collections::{BTreeMap, BTreeSet};
use weir_frontier::{Elsewhere, Offer, OfferSource};
use weir_model::json::{ForwardMessage, ForwardOffer, ForwardSource, QueueMessage, ShardStart, TallyMessage};
use weir_model::{ExtractionNote, JobId, ReceiptId, Tick};
use weir_stage::Event;

/// URLs in one parcel: some 100 kB of JSON.
const PARCEL_URLS: usize = 1_000;

/// Of one job.
#[derive(Debug, Default)]
pub(crate) struct Exchange {
    /// Shards there are, once one has come.
    pub shards: Option<u32>,
    /// Those that came here.
    pub taken: BTreeSet<u32>,
    pub peers: BTreeMap<u32, Peer>,
    /// Parcels on their way out, by stage and number.
    pub unsent: BTreeMap<(u32, u64), String>,
}

/// Counts between this stage and another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Peer {
    /// URLs handed on to it.
    pub sent: u64,
    /// Parcels handed on to it.
    pub parcels: u64,
    /// URLs taken in from it.
    pub received: u64,
    /// Numbers of the parcels taken in: runs, first and last.
    pub ids: Runs,
}

/// A set of numbers that is nearly without gaps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Runs(pub BTreeMap<u64, u64>);

impl Runs {
    /// Adds a number; false when it was there.
    pub fn insert(&mut self, number: u64) -> bool {
        let before = self.0.range(..=number).next_back().map(|(first, last)| (*first, *last));
        if before.is_some_and(|(_, last)| last >= number) {
            return false;
        }
        let last = number.checked_add(1).and_then(|next| self.0.remove(&next)).unwrap_or(number);
        match before {
            Some((first, end)) if end + 1 == number => self.0.insert(first, last),
            _ => self.0.insert(number, last),
        };
        true
    }
}

/// A message about a job that came in, to be settled when it is durable.
#[derive(Debug)]
pub enum Inward {
    /// Start URLs.
    Shard {
        /// Its number.
        shard: u32,
        /// How many there are.
        shards: u32,
        /// Where its URLs are.
        start: ShardStart,
    },
    /// Dead letters that enter again: a shard of [`ShardStart::Letters`], with what they say.
    Letters {
        /// Its number.
        shard: u32,
        /// How many there are.
        shards: u32,
        /// The letters, as the job's spider means them.
        letters: Vec<Letter>,
        /// Why others of them stay where they are.
        notes: Vec<ExtractionNote>,
    },
    /// What another stage found and this one owns.
    Parcel {
        /// Who found them.
        from: u32,
        /// The parcel's number.
        id: u64,
        /// The URLs.
        offers: Vec<ForwardOffer>,
    },
    /// The job is to be stopped.
    Stop(weir_model::Outcome),
}

impl Engine {
    /// Takes a message in; events for the next step are added to `events`.
    pub(crate) fn take_inward(
        &mut self,
        now: Tick,
        receipt: ReceiptId,
        job: JobId,
        inward: Inward,
        events: &mut Vec<Event>,
    ) {
        // Also a repetition waits: what it repeats may not be durable yet.
        self.group.opened_at.get_or_insert(now);
        self.group.held.receipts.push(receipt);
        let Some(run) = self.jobs.get_mut(&job).filter(|run| run.ended.is_none()) else { return };
        let exchange = self.exchanges.entry(job).or_default();
        match inward {
            Inward::Shard { shard, shards, start } => {
                if !exchange.taken.insert(shard) {
                    return;
                }
                exchange.shards = Some(shards);
                let range = match &start {
                    ShardStart::Range(range) => range.clone(),
                    ShardStart::Urls(_) | ShardStart::Letters(_) => 0..0,
                };
                run.add_piece(range.clone());
                self.write_own(now, &Record::ShardTaken { job, shard, shards, range });
                if let ShardStart::Urls(links) = start {
                    events.push(Event::Offer(Offer { job, source: OfferSource::Start, links, ..Offer::default() }));
                }
            }
            Inward::Letters { shard, shards, letters, notes } => {
                if !exchange.taken.insert(shard) {
                    return;
                }
                exchange.shards = Some(shards);
                self.write_own(now, &Record::ShardTaken { job, shard, shards, range: 0..0 });
                let wanted = letters.len();
                let again = self.letters_again(now, job, letters);
                let mut notes: Vec<_> = notes.into_iter().map(|note| (job, note)).collect();
                if again.len() < wanted {
                    // Another job was faster: their end is in a group that is not durable yet.
                    let count = u32::try_from(wanted - again.len()).unwrap_or(u32::MAX);
                    notes.push((job, ExtractionNote { counter: GONE.into(), count, example: "just now".into() }));
                }
                self.keep_notes(now, &notes);
                events.extend(again);
            }
            Inward::Parcel { from, id, offers } => {
                let urls = offers.iter().map(|offer| offer.links.len() as u64).sum();
                let peer = exchange.peers.entry(from).or_default();
                if !peer.ids.insert(id) {
                    return;
                }
                peer.received += urls;
                self.write_own(now, &Record::ParcelTaken { job, from, id, urls });
                events.extend(offers.into_iter().map(|offer| Event::Offer(unpacked(job, offer))));
            }
            Inward::Stop(outcome) => self.stop_for_good(now, job, outcome),
        }
    }

    /// Puts URLs of other stages into parcels, which leave when their group is durable.
    pub(crate) fn hand_on(&mut self, now: Tick, elsewhere: Vec<Elsewhere>) {
        let mut by_owner: BTreeMap<(JobId, u32), Vec<ForwardOffer>> = BTreeMap::new();
        for Elsewhere { to, offer } in elsewhere {
            by_owner.entry((offer.job, to)).or_default().push(packed(offer));
        }
        for ((job, to), offers) in by_owner {
            let mut parcel = Vec::new();
            let mut urls = 0;
            for offer in offers {
                urls += offer.links.len();
                parcel.push(offer);
                if urls >= PARCEL_URLS {
                    self.parcel(now, job, to, urls as u64, std::mem::take(&mut parcel));
                    urls = 0;
                }
            }
            if !parcel.is_empty() {
                self.parcel(now, job, to, urls as u64, parcel);
            }
        }
    }

    fn parcel(&mut self, now: Tick, job: JobId, to: u32, urls: u64, offers: Vec<ForwardOffer>) {
        let header = self.jobs.get(&job).and_then(|run| run.header.clone());
        let header = header.expect("only jobs with a header have other stages");
        let exchange = self.exchanges.entry(job).or_default();
        let peer = exchange.peers.entry(to).or_default();
        let id = peer.parcels;
        peer.parcels += 1;
        peer.sent += urls;
        let body = ForwardMessage { header, from: self.config.stage, to, id, offers }.to_json();
        exchange.unsent.insert((to, id), body.clone());
        self.write_own(now, &Record::ParcelOut { job, to, id, urls, body: body.clone() });
        self.group.held.parcels.push(Parcel { job, to, id, body });
    }

    /// A parcel lies on its owner's queue.
    pub(crate) fn parcel_sent(&mut self, now: Tick, job: JobId, to: u32, id: u64) {
        let sent = self.exchanges.get_mut(&job).and_then(|exchange| exchange.unsent.remove(&(to, id)));
        if sent.is_some() {
            self.write_own(now, &Record::ParcelSent { job, to, id });
        }
    }

    /// Parcels that were on their way out when the process before ended.
    pub fn unsent_parcels(&self) -> Vec<Parcel> {
        let of_job = |(job, exchange): (&JobId, &Exchange)| {
            let job = *job;
            let parcels = exchange.unsent.clone().into_iter();
            parcels.map(move |((to, id), body)| Parcel { job, to, id, body }).collect::<Vec<_>>()
        };
        self.exchanges.iter().flat_map(of_job).collect()
    }

    /// What this stage counts of a job.
    #[must_use]
    pub fn tally(&self, job: JobId, round: u64) -> TallyMessage {
        let mut tally = TallyMessage {
            job,
            from: self.config.stage,
            round,
            idle: self.rests(job),
            shards: Vec::new(),
            sent: BTreeMap::new(),
            received: BTreeMap::new(),
            ended: None,
        };
        if let Some(exchange) = self.exchanges.get(&job) {
            tally.shards = exchange.taken.iter().copied().collect();
            for (peer, counts) in &exchange.peers {
                tally.sent.insert(*peer, counts.sent);
                tally.received.insert(*peer, counts.received);
            }
        }
        tally
    }

    /// How many shards a job has; unknown until one came.
    #[must_use]
    pub fn shards(&self, job: JobId) -> Option<u32> {
        self.exchanges.get(&job)?.shards
    }

    /// Everything of a job that came here has its verdict, and nothing is on its way to another stage.
    #[must_use]
    pub fn rests(&self, job: JobId) -> bool {
        let Some(run) = self.jobs.get(&job) else { return true };
        let sent = self.exchanges.get(&job).is_none_or(|exchange| exchange.unsent.is_empty());
        let live = self.live.get(&job).copied().unwrap_or_default();
        let stepped = self.recovered && self.inputs.is_empty() && self.next_wake > Tick(0);
        run.start_next >= run.start_count && live.total() == 0 && sent && stepped
    }
}

/// URLs for another stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parcel {
    /// Of which job.
    pub job: JobId,
    /// For which stage.
    pub to: u32,
    /// Its number from this stage to that one.
    pub id: u64,
    /// The message.
    pub body: String,
}

fn packed(offer: Offer) -> ForwardOffer {
    ForwardOffer {
        depth: offer.depth,
        referer: offer.referer.as_deref().map(Into::into),
        redirects: offer.redirects,
        first_url: offer.first_url.as_deref().map(Into::into),
        kind: offer.kind,
        source: match offer.source {
            OfferSource::Start => ForwardSource::Start,
            OfferSource::Page => ForwardSource::Page,
            OfferSource::Redirect => ForwardSource::Redirect,
        },
        links: offer.links,
    }
}

fn unpacked(job: JobId, offer: ForwardOffer) -> Offer {
    Offer {
        job,
        depth: offer.depth,
        referer: offer.referer.map(Into::into),
        redirects: offer.redirects,
        first_url: offer.first_url.map(Into::into),
        kind: offer.kind,
        source: match offer.source {
            ForwardSource::Start => OfferSource::Start,
            ForwardSource::Page => OfferSource::Page,
            ForwardSource::Redirect => OfferSource::Redirect,
        },
        links: offer.links,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_taken_once_in_any_order() {
        let mut runs = Runs::default();
        for number in [0, 2, 1, 5, 3, 7, 6, 4] {
            assert!(runs.insert(number), "{number} is new");
            assert!(!runs.insert(number), "{number} is known");
        }
        assert_eq!(runs.0, BTreeMap::from([(0, 7)]), "no gap, one run");
    }
}
