//! Recovery and snapshots of the engine: the journal's records and a snapshot's sections, in and out.

use crate::engine::Engine;
use crate::jobs::JobRun;
use crate::record;
use weir_frontier::Addr;
use weir_model::wire::{Reader, WireError};
use weir_model::{JobId, SinkId, Tick};

impl Engine {
    /// Opens a job: before recovery for one that goes on, after it for a new one.
    pub fn open_job(&mut self, run: JobRun) {
        self.stage.open_job(&run.spec, run.masks);
        self.next_wake = Tick(0);
        self.jobs.insert(run.spec.id, run);
    }

    /// Applies records of the journal, in order.
    pub fn replay(&mut self, records: &[(Addr, &[u8])]) -> Result<(), WireError> {
        let mut from = 0;
        for (at, (_, record)) in records.iter().enumerate() {
            if record.first().copied().unwrap_or(0) >= record::FIRST {
                self.stage.replay(&records[from..at])?;
                self.replay_own(record)?;
                from = at + 1;
            }
        }
        self.stage.replay(&records[from..])
    }

    fn replay_own(&mut self, bytes: &[u8]) -> Result<(), WireError> {
        match record::read(&mut Reader::new(bytes))? {
            record::Record::StartProgress { job, next } => {
                if let Some(run) = self.jobs.get_mut(&job) {
                    run.start_next = next;
                }
            }
            record::Record::SinkMark { job, sink, mark } => {
                self.marks.insert((job, sink), mark);
            }
            record::Record::SinkReset { sink, .. } => self.stage.reset_sink(sink),
            record::Record::JobEnd { job, outcome } => {
                if let Some(run) = self.jobs.get_mut(&job) {
                    run.ended = Some(outcome);
                }
                self.stage.close_job(job, true);
                self.marks.retain(|(of, _), _| *of != job);
                self.exchanges.remove(&job);
            }
            record::Record::Note { job, counter, count, example } => self.note(job, &counter, count, &example),
            record::Record::ShardTaken { job, shard, shards, range } => {
                let exchange = self.exchanges.entry(job).or_default();
                exchange.shards = Some(shards);
                exchange.taken.insert(shard);
                if let Some(run) = self.jobs.get_mut(&job) {
                    run.add_piece(range);
                }
            }
            record::Record::ParcelOut { job, to, id, urls, body } => {
                let exchange = self.exchanges.entry(job).or_default();
                let peer = exchange.peers.entry(to).or_default();
                peer.parcels = peer.parcels.max(id + 1);
                peer.sent += urls;
                exchange.unsent.insert((to, id), body);
            }
            record::Record::ParcelSent { job, to, id } => {
                self.exchanges.entry(job).or_default().unsent.remove(&(to, id));
            }
            record::Record::ParcelTaken { job, from, id, urls } => {
                let peer = self.exchanges.entry(job).or_default().peers.entry(from).or_default();
                peer.ids.insert(id);
                peer.received += urls;
            }
            record::Record::Peer { job, stage, peer } => {
                self.exchanges.entry(job).or_default().peers.insert(stage, peer);
            }
            record::Record::JobStop { job, outcome } => {
                if let Some(run) = self.jobs.get_mut(&job) {
                    run.stopping = Some(outcome);
                    self.stage.hold_job(job);
                }
            }
            record::Record::Imported { export, parts } => {
                self.imports.insert(export, parts);
            }
            letter => self.recover_letter(letter),
        }
        Ok(())
    }

    /// Applies one section of a snapshot.
    pub fn restore(&mut self, name: &str, bytes: &[u8]) -> Result<(), WireError> {
        if name != "driver" {
            return self.stage.restore(name, bytes);
        }
        let mut reader = Reader::new(bytes);
        while !reader.is_empty() {
            self.replay_own(reader.bytes()?)?;
        }
        Ok(())
    }

    /// Ends recovery: everything that was under way is under way again.
    pub fn finish_replay(&mut self, now: Tick) {
        self.stage.finish_replay(now);
        let (urls, items) = self.stage.counts();
        for (job, counts) in urls.iter() {
            self.figures.entry(job).or_default().urls = counts.clone();
        }
        for (job, counts) in items {
            self.figures.entry(job).or_default().items = counts;
        }
        self.recovered = true;
        self.next_wake = Tick(0);
    }

    /// Where a sink stood when the last group became durable.
    #[must_use]
    pub fn mark(&self, job: JobId, sink: SinkId) -> Option<&[u8]> {
        self.marks.get(&(job, sink)).map(Vec::as_slice)
    }

    /// A sink that is new to the state, or was emptied: every item goes to it again, also after a restart. Durable with `barrier`.
    pub fn reset_sink(&mut self, now: Tick, job: JobId, sink: SinkId) {
        self.stage.reset_sink(sink);
        self.write_own(now, &record::Record::SinkReset { job, sink });
    }

    /// Of these sinks, and no others, it is not known what they hold: every item goes to them.
    pub fn doubt_sinks(&mut self, sinks: u32) {
        self.stage.doubt_sinks(sinks);
    }

    /// Streams the state after all appended groups. Only when `is_settled`.
    pub fn snapshot(&mut self, write: &mut dyn FnMut(&str, &[u8]) -> std::io::Result<()>) -> std::io::Result<()> {
        debug_assert!(self.group.is_empty(), "a snapshot stands for whole groups");
        let mut own = Vec::new();
        for (job, run) in &self.jobs {
            self.snapshot_exchange(*job, run, &mut own);
            record::nested(&mut own, &record::Record::StartProgress { job: *job, next: run.start_next });
            if let Some(outcome) = run.ended {
                record::nested(&mut own, &record::Record::JobEnd { job: *job, outcome });
            }
        }
        for ((job, sink), mark) in &self.marks {
            record::nested(&mut own, &record::Record::SinkMark { job: *job, sink: *sink, mark: mark.clone() });
        }
        for (job, figures) in &self.figures {
            for (counter, (count, example)) in &figures.notes {
                let note = record::Record::Note {
                    job: *job,
                    counter: counter.clone(),
                    count: *count,
                    example: example.clone(),
                };
                record::nested(&mut own, &note);
            }
        }
        self.snapshot_letters(&mut own);
        self.stage.snapshot(write)?;
        self.stage.compact();
        write("driver", &own)
    }

    fn snapshot_exchange(&self, job: JobId, run: &JobRun, own: &mut Vec<u8>) {
        let Some(exchange) = self.exchanges.get(&job) else { return };
        let shards = exchange.shards.unwrap_or_default();
        // Shards by number, pieces in the order in which they came: which belongs to which does not matter any more.
        for shard in &exchange.taken {
            record::nested(own, &record::Record::ShardTaken { job, shard: *shard, shards, range: 0..0 });
        }
        for piece in &run.pieces {
            let shard = exchange.taken.first().copied().unwrap_or_default();
            record::nested(own, &record::Record::ShardTaken { job, shard, shards, range: piece.clone() });
        }
        for ((to, id), body) in &exchange.unsent {
            // Their URLs are in the peer's count, which comes behind and replaces what these add up to.
            let parcel = record::Record::ParcelOut { job, to: *to, id: *id, urls: 0, body: body.clone() };
            record::nested(own, &parcel);
        }
        for (stage, peer) in &exchange.peers {
            record::nested(own, &record::Record::Peer { job, stage: *stage, peer: peer.clone() });
        }
        if let Some(outcome) = run.stopping.filter(|outcome| *outcome != weir_model::Outcome::Shutdown) {
            record::nested(own, &record::Record::JobStop { job, outcome });
        }
    }

    /// Chunks of the journal that hold bodies still needed.
    pub fn live_chunks(&mut self) -> Vec<weir_frontier::LiveChunk> {
        self.stage.live_chunks()
    }
}
