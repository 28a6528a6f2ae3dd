//! The way out: a file for every other stage there will be.

use super::file::{Head, MovedJob, Seat, Writer};
use super::import::waits_for;
use super::{MoveOptions, open_engine, refuse, seat_of, stage_of, with_state};
use crate::document::{JobEntry, StageDocument};
use crate::engine::Engine;
use crate::error::CrawlError;
use crate::law::{self, Law};
use crate::state::State;
use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use weir_frontier::policy::Changes;
use weir_frontier::{Addr, Slice};
use weir_model::{Clock, DomainKey, JobId};
use weir_stage::{item_slot, put_known_item};

/// Stages there may be.
const STAGES_MAX: u32 = 64;

/// What an export came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exported {
    /// The files, one for each other stage there will be.
    pub files: Vec<PathBuf>,
    /// Records of queued URLs, laws and robots.txt in them.
    pub records: u64,
    /// Items whose versions are in each of them.
    pub items: u64,
    /// Nothing was written: an export that nobody had taken in was taken back.
    pub taken_back: bool,
}

/// Writes what other stages own when there are `of`, and commits the state to that number.
///
/// # Errors
/// Why this cannot be, by name; the state is as it was then.
pub fn export_slices(options: &MoveOptions, of: u32, folder: &Path) -> Result<Exported, CrawlError> {
    if !(1..=STAGES_MAX).contains(&of) {
        return refuse(format!("--stages {of}: expected 1 to {STAGES_MAX}, how many there will be"));
    }
    if !options.state.is_dir() {
        return refuse(format!("--state {}: there is no such folder", options.state.display()));
    }
    with_state(&options.state, |state, clock| export(options, state, of, folder, clock))
}

fn export(
    options: &MoveOptions,
    state: &mut State,
    of: u32,
    folder: &Path,
    clock: &dyn Clock,
) -> Result<Exported, CrawlError> {
    let now = clock.now();
    let stage = stage_of(state, options)?.clone();
    let seat = seat_of(&stage);
    if let Some(was) = stage.was.filter(|_| stage.unswept) {
        return take_back(state, &stage, was, of);
    }
    if !stage.awaits.is_empty() {
        return refuse(format!("{} is not whole{}", options.state.display(), waits_for(&stage)));
    }
    if of == stage.of {
        return refuse(format!("{} is of so many already: nothing moves", options.state.display()));
    }
    let (engine, _) = open_engine(options, state, seat, now)?;
    let targets: Vec<Seat> = (0..of).filter(|index| *index != seat.index).map(|index| Seat { index, of }).collect();
    check(&engine, seat, of)?;
    check_told(&stage, of)?;
    let law = Law::open(&options.laws, state.store.get_document(law::DOCUMENT)?)?;
    let failed = |error: io::Error| {
        CrawlError::State(format!(
            "{}: {error}; the state is as it was: make room, or name another folder",
            folder.display()
        ))
    };
    std::fs::create_dir_all(folder).map_err(failed)?;
    let id = format!("{:032x}", u128::from(now.0) << 32 | u128::from(std::process::id()));
    let mut writers = BTreeMap::new();
    for to in targets {
        let head = Head { law: law.changes().clone(), ..head(&engine, state, &stage, &id, to) };
        writers.insert(to.index, Writer::create(folder, &head).map_err(failed)?);
    }
    let records = write_domains(&engine, state, (seat, of), clock, &mut writers).map_err(failed)?;
    let items = write_items(&engine, &mut writers).map_err(failed)?;
    let mut exported = Exported { records, items, ..Exported::default() };
    for writer in writers.into_values() {
        exported.files.push(writer.finish().map_err(failed)?);
    }
    let stays = seat.index < of;
    let changed = StageDocument {
        of,
        was: Some(seat.of),
        // From each of the others that there were.
        awaits: (0..seat.of).filter(|other| stays && *other != seat.index).collect(),
        unswept: true,
        ..stage
    };
    state.document.stage = Some(changed);
    state.lease.check(clock.now())?;
    state.save()?;
    Ok(exported)
}

/// Nothing of an export is gone before the stage has started anew.
fn take_back(state: &mut State, stage: &StageDocument, was: u32, of: u32) -> Result<Exported, CrawlError> {
    let others = (0..was).filter(|other| *other != stage.index).count();
    let untouched = stage.index >= stage.of || stage.awaits.len() == others;
    if of != was || !untouched {
        return refuse(format!(
            "this state has exported what is not its own among {} stages, and has not run since: import the others' exports and start it{}",
            stage.of,
            if untouched { format!(", or take the export back with --stages {was}") } else { String::new() },
        ));
    }
    let before = StageDocument { of: was, was: None, awaits: Vec::new(), unswept: false, ..stage.clone() };
    state.document.stage = Some(before);
    state.save()?;
    Ok(Exported { taken_back: true, ..Exported::default() })
}

/// What cannot be handed on is finished by the stage as it was.
fn check(engine: &Engine, seat: Seat, of: u32) -> Result<(), CrawlError> {
    let unsent = engine.unsent_parcels().into_iter().filter(|parcel| parcel.to >= of || seat.index >= of).count();
    if unsent > 0 {
        return refuse(format!(
            "{unsent} parcels of URLs are on their way to other stages: start {seat} as it was, until they lie on their queues"
        ));
    }
    if seat.index < of {
        return Ok(());
    }
    let items = engine.stage.waiting_items();
    if items > 0 {
        return refuse(format!(
            "{items} items wait for their sinks, and {seat} goes away: start it as it was, and stop it when they are stored"
        ));
    }
    let running = engine.jobs.values().filter(|run| run.ended.is_none()).map(|run| run.spec.id);
    let has_feed = |job: &JobId| engine.marks.iter().any(|((of, _), mark)| of == job && !mark.is_empty());
    let with_feed = running.filter(has_feed).min();
    match with_feed {
        Some(job) => refuse(format!(
            "job {} writes a feed of {seat}, which goes away: let it end first, or end it with weir cancel {}",
            job.0, job.0
        )),
        None => Ok(()),
    }
}

/// Whoever goes away tells first how its jobs ended.
fn check_told(stage: &StageDocument, of: u32) -> Result<(), CrawlError> {
    let untold = stage.jobs.iter().find(|entry| stage.index >= of && entry.untold.is_some());
    untold.map_or(Ok(()), |entry| {
        refuse(format!(
            "how job {} ended is not told to all, and {} goes away: start it as it was, and stop it when weir jobs show {} says how it ended",
            entry.id.0,
            seat_of(stage),
            entry.id.0
        ))
    })
}

fn head(engine: &Engine, state: &State, stage: &StageDocument, id: &str, to: Seat) -> Head {
    let from = seat_of(stage);
    // One stage takes over what has no domain of a stage that goes away.
    let heir = from.index >= to.of && to.index == from.index % to.of;
    let running = stage.jobs.iter().filter(|entry| entry.outcome.is_none() && entry.header.is_some());
    let jobs = running.map(|entry| {
        let listed = state.document.jobs.iter().find(|listed| listed.id == entry.id.0).cloned();
        let run = engine.jobs.get(&entry.id);
        let exchange = engine.exchanges.get(&entry.id);
        let counts = exchange.map(|exchange| &exchange.peers).into_iter().flatten();
        MovedJob {
            job: crate::document::StageJob { sinks: Vec::new(), ..entry.clone() },
            listed: listed.as_ref().map(without_sinks),
            stopping: run.and_then(|run| run.stopping).filter(|outcome| *outcome != weir_model::Outcome::Shutdown),
            shards: exchange.and_then(|exchange| exchange.shards).filter(|_| heir),
            taken: exchange
                .filter(|_| heir)
                .map(|exchange| exchange.taken.iter().copied().collect())
                .unwrap_or_default(),
            pieces: run.filter(|_| heir).map(|run| rest_of(&run.pieces, run.start_next)).unwrap_or_default(),
            counts: counts.map(|(peer, counts)| (*peer, (counts.sent, counts.received))).collect(),
        }
    });
    Head {
        id: id.to_owned(),
        stack: stage.stack.clone(),
        from,
        to,
        sinks: state.document.sinks.clone(),
        jobs: jobs.collect(),
        ended: stage.jobs.iter().filter_map(|entry| Some((entry.id, entry.outcome?))).collect(),
        forerunners: state.document.jobs.iter().filter(|entry| entry.outcome.is_some()).map(without_sinks).collect(),
        law: Changes::default(),
    }
}

/// The numbers of sinks are another state's own.
fn without_sinks(entry: &JobEntry) -> JobEntry {
    JobEntry { sinks: Vec::new(), best_effort: Vec::new(), places: BTreeMap::new(), ..entry.clone() }
}

/// What is left of pieces when so many of their URLs were offered.
fn rest_of(pieces: &[Range<u64>], mut offered: u64) -> Vec<Range<u64>> {
    let mut rest = Vec::new();
    for piece in pieces {
        let skip = offered.min(piece.end - piece.start);
        offered -= skip;
        if piece.start + skip < piece.end {
            rest.push(piece.start + skip..piece.end);
        }
    }
    rest
}

type Writers = BTreeMap<u32, Writer>;

fn write_domains(
    engine: &Engine,
    state: &mut State,
    (seat, of): (Seat, u32),
    clock: &dyn Clock,
    writers: &mut Writers,
) -> io::Result<u64> {
    let (before, after) = (Slice { index: seat.index, of: seat.of }, Slice { index: seat.index, of });
    let State { store, lease, .. } = state;
    let mut load = |addrs: &[Addr], each: &mut dyn FnMut(Addr, &[u8])| {
        super::keep(lease, clock).map_err(io::Error::other)?;
        let addrs: Vec<weir_store::Addr> = addrs.iter().map(|addr| weir_store::Addr(addr.0)).collect();
        store.read_many(&addrs, &mut |addr, body| each(Addr(addr.0), body)).map_err(io::Error::other)
    };
    let mut records = 0;
    engine.stage.export(&mut load, &mut |domain: Option<DomainKey>, record| {
        let Some(domain) = domain else { return writers.values_mut().try_for_each(|writer| writer.record(record)) };
        let owner = after.owner(domain);
        // A domain that was asked only for another one's robots.txt is its owner's to tell of.
        if owner == seat.index || before.owner(domain) != seat.index {
            return Ok(());
        }
        records += 1;
        writers.get_mut(&owner).map_or(Ok(()), |writer| writer.record(record))
    })?;
    Ok(records)
}

/// An item does not say of which domain it is, so what is known of it goes to everybody, as dedup entries do.
fn write_items(engine: &Engine, writers: &mut Writers) -> io::Result<u64> {
    let mut slots: BTreeMap<u8, Vec<u8>> = BTreeMap::new();
    let (mut items, mut failed) = (0, Ok(()));
    engine.each_known(&mut |known| {
        let slot = item_slot(known.id);
        let open = slots.entry(slot).or_default();
        put_known_item(open, &known);
        items += 1;
        if open.len() >= super::file::PART_BYTES && failed.is_ok() {
            failed = writers.values_mut().try_for_each(|writer| writer.known(slot, open));
            open.clear();
        }
    });
    failed?;
    for (slot, open) in slots.iter().filter(|(_, open)| !open.is_empty()) {
        writers.values_mut().try_for_each(|writer| writer.known(*slot, open))?;
    }
    Ok(items)
}

/// URLs between two stages, as one of them counts: handed on, taken in.
pub(super) fn counts_with(engine: &Engine, job: JobId, peer: u32) -> (u64, u64) {
    let counts = engine.exchanges.get(&job).and_then(|exchange| exchange.peers.get(&peer));
    counts.map_or((0, 0), |counts| (counts.sent, counts.received))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_offered_is_cut_off_the_pieces() {
        let pieces = [0..10, 20..30, 40..45];
        assert_eq!(rest_of(&pieces, 0), pieces);
        assert_eq!(rest_of(&pieces, 13), [23..30, 40..45]);
        assert_eq!(rest_of(&pieces, 10), [20..30, 40..45]);
        assert!(rest_of(&pieces, 25).is_empty());
    }
}
