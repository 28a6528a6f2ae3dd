//! The way in: what another stage has exported becomes groups of the journal, and jobs of the document.

use super::export::counts_with;
use super::file::{Head, MovedJob, Part, Seat, Slice, refused};
use super::{MoveOptions, open_engine, refuse, seat_of, stage_of, with_state};
use crate::document::StageDocument;
use crate::engine::Engine;
use crate::error::CrawlError;
use crate::exchange::Peer;
use crate::law::{self, Law};
use crate::record::{self, Record};
use crate::state::State;
use std::path::Path;
use weir_model::wire::Reader;
use weir_model::{Clock, SinkId};
use weir_stage::{KnownItem, put_known, read_known_item};
use weir_store::LanePart;

/// Parts between two syncs.
const SYNC_EVERY: u64 = 16;
/// Exports that a state remembers to have taken in.
const REMEMBERED: usize = 256;

/// What an import came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// Whose file it was.
    pub from: Seat,
    /// Whose state it came into.
    pub to: Seat,
    /// Running jobs that go on here.
    pub jobs: usize,
    /// Stages whose exports are still to be imported.
    pub awaits: Vec<u32>,
}

/// Takes in a file of `export_slices`. `seat`: which stage the caller takes this for; another one's file is refused.
///
/// # Errors
/// Why this file is not for this state, or what is damaged, by name; nothing of it was taken in then. When the disk is full or the process
/// dies in between, the same import goes on.
pub fn import_slice(options: &MoveOptions, seat: Option<Seat>, path: &Path) -> Result<Imported, CrawlError> {
    let slice = Slice::open(path)?;
    let Head { stack, from, to, .. } = &slice.head;
    if options.stack.as_ref().is_some_and(|wanted| wanted != stack) {
        return Err(refused(path, &format!("an export of the deployment {stack:?}; name that one with --stack")));
    }
    if let Some(seat) = seat.filter(|seat| seat != to) {
        return Err(refused(path, &format!("what {from} exported for {to}, and this is {seat}")));
    }
    with_state(&options.state, |state, clock| import(options, state, &slice, path, clock))
}

fn import(
    options: &MoveOptions,
    state: &mut State,
    slice: &Slice,
    path: &Path,
    clock: &dyn Clock,
) -> Result<Imported, CrawlError> {
    let (head, now) = (&slice.head, clock.now());
    let mut stage = match &state.document.stage {
        Some(_) => stage_of(state, options)?.clone(),
        None => fresh(options, state, head)?,
    };
    check_stage(options, &stage, head, path)?;
    // The stage is known before its first record is there, and the jobs with it.
    let (engine, lanes) = open_engine(options, state, head.to, now)?;
    if head.from.index >= head.to.of {
        check_counts(&engine, head, path)?;
    }
    let masks: Vec<Option<SinkId>> = head.sinks.iter().map(|sink| sink_here(state, sink)).collect();
    for moved in &head.jobs {
        enter_job(state, &mut stage, moved);
    }
    for (job, outcome) in &head.ended {
        if stage.jobs.iter().all(|entry| entry.id != *job) {
            let (header, spider, sinks) = (None, String::new(), Vec::new());
            let opened_at = now.unix_ms();
            stage.jobs.push(crate::document::StageJob {
                id: *job,
                header,
                spider,
                sinks,
                opened_at,
                outcome: Some(*outcome),
                untold: None,
            });
        }
    }
    for entry in &head.forerunners {
        if state.document.job(entry.id).is_none() {
            state.document.jobs.push(entry.clone());
        }
    }
    state.document.jobs.sort_by_key(|entry| entry.id);
    let mut law = Law::open(&options.laws, state.store.get_document(law::DOCUMENT)?)?;
    law.merge(head.law.clone()).map_err(|error| refused(path, &error.to_string()))?;
    state.store.put_document(law::DOCUMENT, &law.document())?;
    state.document.stage = Some(stage.clone());
    state.save()?;
    let id = u128::from_str_radix(&head.id, 16).map_err(|error| refused(path, &format!("its number: {error}")))?;
    let done = engine.imports.get(&id).copied().unwrap_or(0);
    let mut journal = Journal { state, clock, lanes, written: [0, 0], id, done };
    slice.each(&mut |number, part| {
        let bytes = match part {
            Part::Records(records) => records,
            Part::Known(slot, items) => known_here(slot, &items, &masks).map_err(|error| refused(path, &error))?,
        };
        journal.append(number, &bytes, &[])
    })?;
    journal.append(slice.parts, &[], &heirs_records(head))?;
    journal.state.store.sync()?;
    stage.awaits.retain(|other| *other != head.from.index);
    stage.imported.push(head.id.clone());
    let surplus = stage.imported.len().saturating_sub(REMEMBERED);
    stage.imported.drain(..surplus);
    let awaits = stage.awaits.clone();
    state.document.stage = Some(stage);
    state.save()?;
    Ok(Imported { from: head.from, to: head.to, jobs: head.jobs.len(), awaits })
}

/// A stage that was not there before.
fn fresh(options: &MoveOptions, state: &State, head: &Head) -> Result<StageDocument, CrawlError> {
    let path = options.state.display();
    if !state.document.jobs.is_empty() {
        return refuse(format!("{path} belongs to weir crawl; a stage needs a state of its own: name another --state"));
    }
    if head.to.index < head.from.of {
        return refuse(format!(
            "{path} is empty, and the file is for {}, which was there before: expected its own state, exported as well; name that with --state",
            head.to
        ));
    }
    Ok(StageDocument {
        stack: head.stack.clone(),
        index: head.to.index,
        of: head.to.of,
        was: Some(head.from.of),
        awaits: (0..head.from.of).collect(),
        ..StageDocument::default()
    })
}

fn check_stage(options: &MoveOptions, stage: &StageDocument, head: &Head, path: &Path) -> Result<(), CrawlError> {
    let state = options.state.display();
    let (seat, Head { from, to, .. }) = (seat_of(stage), head);
    let told = if stage.stack != head.stack {
        format!("an export of the deployment {:?}; {state} belongs to {:?}", head.stack, stage.stack)
    } else if (seat.index, seat.of) != (to.index, to.of) {
        format!(
            "what {from} exported for {to}, and {state} is that of {seat}{}",
            if seat.index == to.index { "; export that one to as many stages first" } else { "" }
        )
    } else if stage.imported.contains(&head.id) {
        format!("{state} has imported this already; nothing was changed")
    } else if stage.was != Some(from.of) || !stage.awaits.contains(&from.index) {
        format!("what {from} exported; {state} does not wait for that{}", waits_for(stage))
    } else {
        return Ok(());
    };
    Err(refused(path, &told))
}

/// What a state still waits for, as a person reads it.
pub fn waits_for(stage: &StageDocument) -> String {
    let Some(was) = stage.was.filter(|_| !stage.awaits.is_empty()) else { return String::new() };
    let stages: Vec<String> = stage.awaits.iter().map(|index| format!("stage {index} of {was}")).collect();
    format!(": what {} exported is to be imported first", stages.join(" and "))
}

/// URLs that were handed on to a stage that goes away must have come there: its queue goes with it.
fn check_counts(engine: &Engine, head: &Head, path: &Path) -> Result<(), CrawlError> {
    for moved in &head.jobs {
        let (sent, _) = counts_with(engine, moved.job.id, head.from.index);
        let (_, received) = moved.counts.get(&head.to.index).copied().unwrap_or_default();
        if sent != received {
            let under_way = sent.saturating_sub(received);
            let why = format!(
                "{under_way} URLs of job {} lie on the requests queue of {}, which goes away. Take the exports back (weir stage export \
                 --stages {}), start the stages, and export again when that queue is empty",
                moved.job.id.0, head.from, head.from.of
            );
            return Err(refused(path, &why));
        }
    }
    Ok(())
}

/// The number here of a sink of the exporting stage; none when it is another one of that name, or there are too many.
fn sink_here(state: &mut State, sink: &crate::document::SinkEntry) -> Option<SinkId> {
    let id = state.document.sink(&sink.name).ok()?;
    let entry = &mut state.document.sinks[usize::from(id.0)];
    if entry.generation == 0 {
        entry.generation = sink.generation;
    }
    (entry.generation == sink.generation).then_some(id)
}

fn enter_job(state: &mut State, stage: &mut StageDocument, moved: &MovedJob) {
    if stage.jobs.iter().any(|entry| entry.id == moved.job.id) {
        return;
    }
    stage.jobs.push(moved.job.clone());
    if let Some(listed) = &moved.listed {
        state.document.jobs.push(listed.clone());
    }
}

/// Known items with the numbers that sinks have here.
fn known_here(slot: u8, items: &[u8], masks: &[Option<SinkId>]) -> Result<Vec<u8>, String> {
    let here = |mask: u32| {
        let bits = masks.iter().enumerate().take(32).filter(|(at, _)| mask & (1 << at) != 0);
        bits.filter_map(|(_, id)| *id).fold(0, |mask, id| mask | 1 << id.0)
    };
    let mut reader = Reader::new(items);
    let mut known = Vec::new();
    while !reader.is_empty() {
        let item = read_known_item(&mut reader).map_err(|error| error.to_string())?;
        known.push(KnownItem { confirmed: here(item.confirmed), delisted: here(item.delisted), ..item });
    }
    let mut record = Vec::new();
    put_known(&mut record, slot, &known);
    Ok(record)
}

/// What has no domain: shards and start URLs of a stage that goes away, stops.
fn heirs_records(head: &Head) -> Vec<Record> {
    let mut records = Vec::new();
    for moved in &head.jobs {
        let (job, shards) = (moved.job.id, moved.shards.unwrap_or_default());
        for shard in &moved.taken {
            records.push(Record::ShardTaken { job, shard: *shard, shards, range: 0..0 });
        }
        let shard = moved.taken.first().copied().unwrap_or_default();
        for range in &moved.pieces {
            records.push(Record::ShardTaken { job, shard, shards, range: range.clone() });
        }
        if head.from.index >= head.to.of && !moved.counts.is_empty() {
            // Should there be a stage of this number again, both count from nothing.
            records.push(Record::Peer { job, stage: head.from.index, peer: Peer::default() });
        }
        if let Some(outcome) = moved.stopping {
            records.push(Record::JobStop { job, outcome });
        }
    }
    records
}

/// The journal of the importing state.
struct Journal<'a> {
    state: &'a mut State,
    clock: &'a dyn Clock,
    /// For the stage's records, and for the driver's.
    lanes: Vec<u16>,
    written: [u64; 2],
    id: u128,
    /// Parts that are there already.
    done: u64,
}

impl Journal<'_> {
    /// Appends a part as one group, unless it is there.
    fn append(&mut self, number: u64, records: &[u8], own: &[Record]) -> Result<(), CrawlError> {
        if number < self.done {
            return Ok(());
        }
        let mut marked = Vec::new();
        own.iter().for_each(|each| record::framed(&mut marked, each));
        record::framed(&mut marked, &Record::Imported { export: self.id, parts: number + 1 });
        let mut parts = Vec::new();
        for (at, bytes) in [records, &marked].into_iter().enumerate().filter(|(_, bytes)| !bytes.is_empty()) {
            parts.push(LanePart { lane: self.lanes[at], offset: self.written[at], bytes });
            self.written[at] += bytes.len() as u64;
        }
        super::keep(&mut self.state.lease, self.clock)?;
        self.state.store.append_group(&parts)?;
        if number.is_multiple_of(SYNC_EVERY) {
            self.state.store.sync()?;
        }
        Ok(())
    }
}
