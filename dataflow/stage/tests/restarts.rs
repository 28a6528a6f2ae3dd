//! A stage that comes back from its journal, or from a snapshot and the journal after it, at any number of workers, is the stage that was
//! there: it asks for the same writes, delivers the same pages and knows who holds what.

mod world;

use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use weir_model::{Item, ItemId, JobId, SinkId};
use weir_stage::{Event, OutboxId, SinkVerdict};
use world::{JOB, World, item, masks, sinks};

const FEED: u8 = 0;
const TABLE: u8 = 1;
/// Refuses every content that three divides.
const PICKY: u8 = 2;

/// Sinks that keep what they are told, as real ones do: the feed every item, tables the newest version of a key.
#[derive(Debug, Default)]
struct Sinks {
    feed: BTreeMap<OutboxId, (ItemId, u64, u64)>,
    tables: BTreeMap<(u8, ItemId), (u64, u64)>,
}

impl Sinks {
    fn write(&mut self, sink: u8, id: OutboxId, item: &Item) -> SinkVerdict {
        let content = (item.version, item.hash);
        if sink == FEED {
            self.feed.insert(id, (item.id, item.version, item.hash));
            return SinkVerdict::Stored;
        }
        if sink == PICKY && item.hash.is_multiple_of(3) {
            return SinkVerdict::Refused;
        }
        let row = self.tables.entry((sink, item.id)).or_insert(content);
        if *row > content {
            return SinkVerdict::Stale;
        }
        *row = content;
        SinkVerdict::Stored
    }
}

/// What happens to the stage.
#[derive(Clone, Debug)]
enum Act {
    /// Pages come in, of keys, versions and contents.
    Pages(Vec<Vec<(u64, u64, u64)>>),
    /// So many of the writes that are due are answered, and these from there.
    Answer {
        from: usize,
        count: usize,
    },
    /// A sink writes, but the process dies before its answers are known.
    WriteUnheard(usize),
    Snapshot,
    Restart(usize),
}

fn act() -> impl Strategy<Value = Act> {
    let page = prop::collection::vec((0u64..12, 1u64..6, 1u64..7), 0..5);
    prop_oneof![
        4 => prop::collection::vec(page, 1..4).prop_map(Act::Pages),
        4 => (any::<usize>(), 1usize..9).prop_map(|(from, count)| Act::Answer { from, count }),
        1 => (1usize..9).prop_map(Act::WriteUnheard),
        1 => Just(Act::Snapshot),
        2 => (1usize..4).prop_map(Act::Restart),
    ]
}

/// What was sent in.
#[derive(Default)]
struct Sent {
    pages: u64,
    items: Vec<(ItemId, u64, u64)>,
}

fn perform(world: &mut World, told: &mut Sinks, sent: &mut Sent, act: &Act) {
    match act {
        Act::Pages(pages) => {
            sent.pages += pages.len() as u64;
            let items = |page: &Vec<(u64, u64, u64)>| -> Vec<Item> {
                page.iter().map(|&(key, version, hash)| item(key, version, hash)).collect()
            };
            let pages: Vec<Vec<Item>> = pages.iter().map(items).collect();
            sent.items.extend(pages.iter().flatten().map(|item| (item.id, item.version, item.hash)));
            world.fetch(JOB, pages);
        }
        Act::Answer { from, count } => {
            let events: Vec<Event> = (0..(*count).min(world.due.len()))
                .map(|_| {
                    let due = world.due.remove(from % world.due.len());
                    let verdict = told.write(due.sink, due.id, &due.item);
                    Event::Written { sink: SinkId(due.sink), id: due.id, verdict }
                })
                .collect();
            world.step(events);
        }
        Act::WriteUnheard(count) => {
            for due in world.due.iter().take(*count) {
                told.write(due.sink, due.id, &due.item);
            }
        }
        Act::Snapshot => world.take_snapshot(),
        Act::Restart(workers) => world.restart(*workers),
    }
}

fn answer_all(world: &mut World, told: &mut Sinks, sent: &mut Sent) {
    while !world.due.is_empty() {
        perform(world, told, sent, &Act::Answer { from: 0, count: usize::MAX });
    }
}

/// The newest content of every key.
fn newest(sent: &Sent) -> BTreeMap<ItemId, (u64, u64)> {
    let mut newest = BTreeMap::new();
    for &(id, version, hash) in &sent.items {
        let row = newest.entry(id).or_insert((version, hash));
        *row = (*row).max((version, hash));
    }
    newest
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happened_sinks_are_a_function_of_the_items_and_every_page_is_delivered_once(
        workers in 1usize..3,
        acts in prop::collection::vec(act(), 1..24),
    ) {
        let mut world = World::new(workers, masks(&[FEED], &[TABLE, PICKY]));
        let (mut told, mut sent) = (Sinks::default(), Sent::default());
        for act in &acts {
            perform(&mut world, &mut told, &mut sent, act);
        }
        answer_all(&mut world, &mut told, &mut sent);
        prop_assert_eq!((world.outbox_bytes(), world.waiting_pages(JOB)), (0, 0));
        let urls = world.stage.counts().0;
        prop_assert_eq!(urls.get(JOB).map_or(0, |counts| counts.delivered), sent.pages);
        let counts = world.counts(JOB);
        prop_assert_eq!((counts.scraped, counts.settled), (sent.items.len() as u64, sent.items.len() as u64));
        let mut fed: Vec<_> = told.feed.values().copied().collect();
        fed.sort_unstable();
        sent.items.sort_unstable();
        prop_assert_eq!(&fed, &sent.items, "the feed has every item once");
        let newest = newest(&sent);
        let table: BTreeMap<ItemId, (u64, u64)> =
            told.tables.iter().filter(|((sink, _), _)| *sink == TABLE).map(|((_, id), row)| (*id, *row)).collect();
        // Of an unchanged content the sink may keep the version it was stored with.
        let contents = |rows: &BTreeMap<ItemId, (u64, u64)>| rows.iter().map(|(id, row)| (*id, row.1)).collect::<BTreeSet<_>>();
        prop_assert_eq!(contents(&table), contents(&newest));

        // Nobody is told what he holds, neither by this stage nor by the one that comes back.
        for restart in [false, true] {
            if restart {
                world.restart(3 - workers.min(2));
                prop_assert!(world.due.is_empty(), "nothing was under way");
            }
            let again: Vec<Item> = newest
                .iter()
                .map(|(id, (version, hash))| Item { id: *id, ..item(0, version + 10 + u64::from(restart), *hash) })
                .collect();
            let told_now: u32 = world.page(again).iter().fold(0, |all, write| all | write.sinks & sinks(&[TABLE]));
            prop_assert_eq!(told_now, 0);
            answer_all(&mut world, &mut told, &mut sent);
        }
    }
}

#[test]
fn writes_that_nobody_answered_are_asked_for_again_with_their_ids_and_in_order_of_version() {
    let mut world = World::new(1, masks(&[FEED], &[TABLE]));
    let first = world.page(vec![item(1, 5, 5)])[0].id;
    let second = world.page(vec![item(1, 6, 6)])[0].id;
    let third = world.page(vec![item(1, 7, 7)])[0].id;
    world.written(FEED, first, SinkVerdict::Stored);
    for workers in [1, 2] {
        world.restart(workers);
        let mut again: Vec<_> = world.last.writes.iter().map(|write| (write.id, write.sinks)).collect();
        again.sort_unstable();
        assert_eq!(again, [(first, sinks(&[TABLE])), (second, sinks(&[FEED])), (third, sinks(&[FEED]))]);
    }
    let next = world.written(TABLE, first, SinkVerdict::Stored).writes.clone();
    assert_eq!(next.iter().map(|write| (write.id, write.sinks)).collect::<Vec<_>>(), [(second, sinks(&[TABLE]))]);
    let new = world.page(vec![item(2, 1, 1)])[0].id;
    assert!(![first, second, third].contains(&new), "ids never repeat");
    world.settle_all();
    assert_eq!(world.outbox_bytes(), 0);
}

#[test]
fn what_sinks_confirmed_to_an_earlier_job_is_known_after_a_restart_with_another() {
    let items = || (0..20).map(|key| item(key, 1, key)).collect::<Vec<_>>();
    for snapshot in [false, true] {
        let mut world = World::new(1, masks(&[], &[TABLE]));
        world.page(items());
        world.settle_all();
        if snapshot {
            world.take_snapshot();
        }
        world.restart_with(2, vec![(JobId(2), masks(&[], &[TABLE]))]);
        let writes = world.fetch(JobId(2), vec![items()]);
        assert!(writes.is_empty(), "the table holds all of them: {} writes", writes.len());
        assert_eq!(world.counts(JobId(2)).unchanged, 20);
    }
}

#[test]
fn counts_outlive_a_restart_and_a_snapshot_once() {
    let mut world = World::new(2, masks(&[FEED], &[TABLE]));
    world.page((0..30).map(|key| item(key, 1, key)).collect());
    let due = world.due[7].clone();
    world.written(due.sink, due.id, SinkVerdict::Refused);
    let (urls, items) = world.stage.counts();
    for workers in [1, 3, 2] {
        world.restart(workers);
        assert_eq!(world.counts(JOB), items[&JOB]);
        world.take_snapshot();
        world.restart(workers + 1);
        assert_eq!(world.counts(JOB), items[&JOB]);
        let now = world.stage.counts().0;
        assert_eq!(now.get(JOB).map(|counts| counts.pending), urls.get(JOB).map(|counts| counts.pending));
    }
}

#[test]
fn records_and_sections_that_no_stage_wrote_are_refused() {
    let mut world = World::new(1, masks(&[FEED], &[TABLE]));
    let addr = weir_frontier::Addr::new(0, 0);
    let confirmed = |slot: u8, sink: u8, verdict: u8| [&[65, slot][..], &[0; 8], &[sink, verdict]].concat();
    for (what, record) in [
        ("empty", vec![]),
        ("cut off", vec![64, 3, 1, 2]),
        ("a slot that is none", confirmed(64, 0, 0)),
        ("a sink that is none", confirmed(0, 32, 0)),
        ("a verdict that is none", confirmed(0, 0, 4)),
    ] {
        assert!(world.stage.replay(&[(addr, &record)]).is_err(), "{what}");
    }
    assert!(world.stage.replay(&[(addr, &confirmed(0, 0, 0))]).is_ok(), "of an item that has gone: nothing to do");
    for (section, bytes) in
        [("items/64", &[0, 0][..]), ("items/3", &[1, 2]), ("items", &[0]), ("ledger/0", &[9]), ("what/0", &[])]
    {
        assert!(world.stage.restore(section, bytes).is_err(), "{section}");
    }
}

const OTHER: JobId = JobId(2);

#[test]
fn items_of_a_job_that_pauses_wait_without_holding_up_another_and_leave_when_it_goes_on() {
    let both = masks(&[FEED], &[TABLE]);
    let mut world = World::new(1, both);
    world.page(vec![item(1, 1, 1), item(2, 1, 2)]);
    world.restart_with(2, vec![(OTHER, both)]);
    assert!(world.due.is_empty(), "{:?}", world.due);
    assert_eq!(world.outbox_bytes(), 0, "they take nothing of the other job's room");
    world.fetch(OTHER, vec![vec![item(3, 2, 3)]]);
    world.settle_all();
    world.restart_with(1, vec![(JOB, both)]);
    assert_eq!(world.due.len(), 4, "two items, two sinks");
    world.settle_all();
    assert_eq!((world.waiting_pages(JOB), world.outbox_bytes()), (0, 0));
}

#[test]
fn a_job_that_is_given_up_leaves_nothing_behind() {
    let both = masks(&[FEED], &[TABLE]);
    let mut world = World::new(2, both);
    world.page(vec![item(1, 1, 1), item(2, 1, 2)]);
    assert!(world.outbox_bytes() > 0);
    world.stage.close_job(JOB, true);
    world.step(Vec::new());
    let counts = world.last.counters.iter().find(|(job, _)| *job == JOB).map(|(_, counts)| counts.abandoned);
    assert_eq!((counts, world.last.outbox_bytes), (Some(1), 0));
}
