//! Items that wait for computations: who waits, in which order, what a restart finds, and what becomes of a refusal.

mod world;

use weir_model::{Item, JobId, ReleaseId, Value};
use weir_stage::{Again, Computed, Computing, Event, Made, Poison, Uncomputed};
use world::{JOB, World, item, masks};

const TABLE: u8 = 1;

/// An item of the type that passes two computations: one fills field 1, the other fields 2 and 0.
fn computed_item(key: u64, version: u64) -> Item {
    let text = Value::Str(format!("content {key}").into());
    Item { schema: 7, values: vec![text, Value::Null, Value::Null], ..item(key, version, key) }
}

/// What a program makes of an item: its values say what it saw.
fn answer(computing: &Computing) -> Event {
    let filled = computing.item.values.iter().filter(|value| !value.is_null()).count() as i64;
    let values = if computing.at == 0 { vec![Value::Int(filled)] } else { vec![Value::Int(filled), Value::Bool(true)] };
    let made = Made { values, hash: computing.item.hash * 100 + computing.at as u64 };
    Event::Computed(Box::new(Computed { id: computing.id, at: computing.at, result: Ok(made) }))
}

fn refusal(computing: &Computing) -> Event {
    let why = Uncomputed { by: "scorer".into(), reason: "computation scorer: it died".into() };
    Event::Computed(Box::new(Computed { id: computing.id, at: computing.at, result: Err(why) }))
}

fn take(world: &mut World) -> Vec<Computing> {
    std::mem::take(&mut world.computes)
}

#[test]
fn an_item_passes_its_computations_one_after_the_other_and_holds_up_nobody() {
    for workers in [1, 3] {
        let mut world = World::new(workers, masks(&[], &[TABLE]));
        let writes = world.fetch(JOB, vec![vec![computed_item(1, 1)], vec![item(2, 1, 2), computed_item(3, 1)]]);
        assert_eq!(writes.len(), 1, "an item of another type goes on");
        let first = take(&mut world);
        assert_eq!(first.len(), 2);
        assert!(first.iter().all(|computing| computing.at == 0 && computing.item.values[1].is_null()));
        assert!(world.last.computing == 2 && world.last.waiting_bytes > 0);
        assert!(world.step(first.iter().map(answer).collect()).writes.is_empty());
        let second = take(&mut world);
        assert!(second.iter().all(|computing| computing.at == 1 && computing.item.values[1] == Value::Int(1)));
        let written = world.step(second.iter().map(answer).collect()).writes.clone();
        let mut hashes: Vec<u64> = written.iter().map(|write| write.item.hash).collect();
        hashes.sort_unstable();
        assert_eq!(hashes, [10_001, 30_001]);
        for write in written {
            assert_eq!(write.item.values, [Value::Bool(true), Value::Int(1), Value::Int(2)]);
        }
        assert_eq!((world.last.computing, world.last.waiting_bytes), (0, 0));
        // What is told again, by whom ever, changes nothing.
        assert!(world.step(first.iter().chain(&second).map(answer).collect()).writes.is_empty());
        world.settle_all();
        assert_eq!((world.delivered, world.waiting_pages(JOB)), (2, 0));
    }
}

#[test]
fn a_restart_asks_again_for_exactly_those_that_wait_from_the_first_computation() {
    for (workers, then, snapshot) in [(1, 1, false), (1, 3, true), (3, 2, false), (2, 1, true)] {
        let mut world = World::new(workers, masks(&[], &[TABLE]));
        world.fetch(JOB, (0..12).map(|key| vec![computed_item(key, 1), computed_item(100 + key, 1)]).collect());
        let first = take(&mut world);
        world.step(first[..16].iter().map(answer).collect());
        let second = take(&mut world);
        if snapshot {
            world.take_snapshot();
        }
        world.step(second[..8].iter().map(answer).collect());
        world.restart(then);
        assert_eq!((world.due.len(), world.waiting_pages(JOB)), (8, 12), "{workers} then {then}");
        for at in 0..2 {
            let wanted = take(&mut world);
            assert_eq!(wanted.len(), 16);
            assert!(wanted.iter().all(|computing| computing.at == at));
            world.step(wanted.iter().map(answer).collect());
        }
        world.settle_all();
        let mut keys: Vec<u128> = world.told.iter().map(|write| write.item.id.0).collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!((keys.len(), world.delivered, world.waiting_pages(JOB)), (24, 12, 0));
        assert_eq!(world.counts(JOB).scraped, 24, "each counts once");
    }
}

#[test]
fn a_refused_item_is_poison_with_its_reason_its_page_is_delivered_and_it_can_enter_again() {
    for workers in [1, 2] {
        let mut world = World::new(workers, masks(&[], &[TABLE]));
        world.page(vec![computed_item(1, 1), computed_item(2, 1)]);
        let wanted = take(&mut world);
        let item = wanted[0].item.clone();
        let step = world.step(vec![refusal(&wanted[0]), refusal(&wanted[0]), answer(&wanted[1])]);
        let reason = "computation scorer: it died".into();
        assert_eq!(step.poison, [Poison::Uncomputed { by: "scorer".into(), item, reason }]);
        let wanted = take(&mut world);
        world.step(wanted.iter().map(answer).collect());
        world.restart(workers);
        let counts = world.counts(JOB);
        assert_eq!((counts.scraped, counts.refused, counts.settled), (2, 1, 1));
        assert!(world.computes.is_empty(), "what was refused does not come back by itself");
        world.settle_all();
        assert_eq!((world.delivered, world.waiting_pages(JOB)), (1, 0));
        world.told.clear();

        let page = ReleaseId((1 << 44) - 64 + 5);
        let again = Again { page, item: computed_item(1, 1), sinks: u32::MAX, computes: true };
        world.step(vec![Event::Again(Box::new(again))]);
        for _ in 0..2 {
            let wanted = take(&mut world);
            world.step(wanted.iter().map(answer).collect());
        }
        world.settle_all();
        assert_eq!((world.delivered, world.told.len()), (2, 1));
    }
}

#[test]
fn items_of_a_job_that_is_not_open_stay_and_those_of_one_that_is_given_up_are_gone() {
    let mut world = World::new(1, masks(&[], &[TABLE]));
    world.page(vec![computed_item(1, 1)]);
    world.restart_with(1, Vec::new());
    assert!(world.computes.is_empty(), "nobody computes for a job that does not run");
    world.take_snapshot();
    world.restart_with(1, vec![(JOB, masks(&[], &[TABLE]))]);
    assert_eq!(take(&mut world).len(), 1);
    world.stage.close_job(JobId(1), true);
    assert_eq!((world.outbox_bytes(), world.last.computing), (0, 0));
}
