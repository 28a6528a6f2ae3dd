//! What the stage does with items, through its public face: which sinks are told to write what, and when a page is delivered.

mod world;

use weir_model::{JobId, SinkId};
use weir_stage::{Event, ItemCounts, OutboxId, SinkVerdict};
use world::{JOB, World, item, masks, said, sinks};

const STORED: SinkVerdict = SinkVerdict::Stored;

#[test]
fn a_page_is_delivered_when_the_last_of_its_items_has_settled_at_the_last_sink() {
    let mut world = World::new(1, masks(&[0], &[1, 2]));
    let writes = world.page(vec![item(1, 1, 1), item(2, 1, 1), item(3, 1, 1)]);
    let mut answers: Vec<(u8, OutboxId)> =
        writes.iter().flat_map(|write| [1, 0, 2].map(|sink| (sink, write.id))).collect();
    answers.rotate_left(4);
    let last = answers.pop().expect("nine answers");
    for (sink, id) in answers {
        world.written(sink, id, STORED);
        assert_eq!((world.delivered, world.waiting_pages(JOB)), (0, 1));
    }
    world.written(last.0, last.1, STORED);
    assert_eq!((world.delivered, world.waiting_pages(JOB)), (1, 0));
    let wanted = ItemCounts { scraped: 3, settled: 3, stored: 9, ..ItemCounts::default() };
    assert_eq!(world.counts(JOB), wanted);
}

#[test]
fn a_page_is_delivered_in_the_step_of_its_report_when_no_sink_wants_its_items() {
    let mut world = World::new(2, masks(&[], &[]));
    assert!(world.page(vec![item(1, 1, 1), item(2, 1, 1)]).is_empty());
    assert_eq!((world.delivered, world.last.outbox_bytes), (1, 0));
    assert_eq!(world.counts(JOB).settled, 2);
}

#[test]
fn the_outbox_says_its_bytes_until_the_last_sink_has_answered() {
    for workers in [1, 3] {
        let mut world = World::new(workers, masks(&[0], &[1]));
        let items: Vec<_> = (0..40).map(|key| item(key, 1, key * 1_000)).collect();
        let bytes: usize = items.iter().map(weir_model::Item::bytes).sum();
        let first = items[0].bytes();
        let writes = world.fetch(JOB, items.into_iter().map(|item| vec![item]).collect());
        assert_eq!(world.outbox_bytes(), bytes);
        let id = writes.iter().find(|write| write.item.id == item(0, 1, 0).id).expect("the first item").id;
        world.written(0, id, STORED);
        assert_eq!(world.outbox_bytes(), bytes, "its other sink has not answered");
        world.restart(workers);
        assert_eq!(world.outbox_bytes(), bytes, "what waits has outlived the process");
        world.written(1, id, STORED);
        assert_eq!(world.outbox_bytes(), bytes - first);
        world.settle_all();
        assert_eq!((world.outbox_bytes(), world.delivered), (0, 40));
    }
}

#[test]
fn an_older_version_goes_to_feeds_alone() {
    let mut world = World::new(1, masks(&[0], &[1]));
    world.page(vec![item(1, 20, 5)]);
    world.settle_all();
    let older = world.page(vec![item(1, 10, 6)]);
    assert_eq!(said(&older), [(item(1, 10, 6).id, 10, 6, sinks(&[0]))].into());
    world.settle_all();
    let newer = world.page(vec![item(1, 30, 7)]);
    assert_eq!(newer[0].sinks, sinks(&[0, 1]));
    world.settle_all();
    assert_eq!(world.counts(JOB).stale, 1);
}

#[test]
fn of_equal_versions_the_greater_content_hash_wins_in_either_order() {
    for order in [[5, 9], [9, 5]] {
        let mut world = World::new(1, masks(&[], &[0]));
        for hash in order {
            world.page(vec![item(1, 1, hash)]);
            world.settle_all();
        }
        // The sink was told the lesser one at most before the greater one.
        assert_eq!(world.counts(JOB).stored, if order[0] < order[1] { 2 } else { 1 });
        assert!(world.page(vec![item(1, 1, 9)]).is_empty(), "held");
        assert!(world.page(vec![item(1, 1, 5)]).is_empty(), "older by rule");
    }
}

#[test]
fn unchanged_is_decided_for_each_sink_by_itself() {
    let mut world = World::new(1, masks(&[], &[1, 2]));
    let write = &world.page(vec![item(1, 1, 5)])[0].clone();
    world.written(1, write.id, STORED);
    world.written(2, write.id, SinkVerdict::Refused);
    let again = world.page(vec![item(1, 2, 5)]);
    assert_eq!(again[0].sinks, sinks(&[2]), "the first holds it, the second has refused it");
    assert_eq!(world.last.items[&JOB].unchanged, 1);
    world.settle_all();
    assert!(world.page(vec![item(1, 3, 5)]).is_empty());
    assert_eq!(world.last.items[&JOB], ItemCounts { scraped: 1, settled: 1, unchanged: 2, ..ItemCounts::default() });
    assert_eq!(world.delivered, 3);
}

#[test]
fn what_is_only_under_way_is_not_unchanged() {
    for held_before in [false, true] {
        let mut world = World::new(1, masks(&[], &[1]));
        if held_before {
            world.page(vec![item(1, 1, 4)]);
            world.settle_all();
        }
        let before = world.delivered;
        let first = world.page(vec![item(1, 2, 5)])[0].id;
        assert!(world.page(vec![item(1, 3, 5)]).is_empty(), "behind the first, not on its way yet");
        assert_eq!((world.delivered, world.waiting_pages(JOB)), (before, 2));
        world.written(1, first, SinkVerdict::Refused);
        assert_eq!(world.last.writes.len(), 1, "the second tries for itself");
        world.settle_all();
        assert_eq!(world.delivered, before + 2);
    }
}

#[test]
fn a_sink_that_was_emptied_gets_every_item_again_and_the_others_none() {
    let mut world = World::new(2, masks(&[], &[1, 2]));
    let items = || (0..50).map(|key| item(key, 1, key)).collect::<Vec<_>>();
    world.page(items());
    world.settle_all();
    world.stage.reset_sink(SinkId(2));
    let again = world.page(items());
    assert_eq!(again.len(), 50);
    assert!(again.iter().all(|write| write.sinks == sinks(&[2])));
    world.settle_all();
    assert!(world.page(items()).is_empty());
}

#[test]
fn a_sink_that_is_new_to_the_state_gets_every_item() {
    let mut world = World::new(1, masks(&[], &[1]));
    world.page((0..20).map(|key| item(key, 1, key)).collect());
    world.settle_all();
    world.restart_with(1, vec![(JobId(2), masks(&[], &[1, 3]))]);
    let writes = world.fetch(JobId(2), vec![(0..20).map(|key| item(key, 2, key)).collect()]);
    assert_eq!(writes.len(), 20);
    assert!(writes.iter().all(|write| write.sinks == sinks(&[3])), "{writes:?}");
}

#[test]
fn an_appending_sink_gets_every_item_of_the_job() {
    let mut world = World::new(1, masks(&[0], &[1]));
    for (version, hash) in [(1, 5), (1, 5), (2, 5), (1, 4), (3, 6)] {
        let writes = world.page(vec![item(1, version, hash)]);
        assert!(writes.iter().any(|write| write.sinks & sinks(&[0]) != 0), "{version} {hash}");
        world.settle_all();
    }
    assert_eq!(world.counts(JOB).stored, 5 + 2, "five to the feed, two contents to the table");
}

#[test]
fn writes_of_one_key_leave_one_at_a_time_and_oldest_first_and_feeds_wait_for_nobody() {
    let mut world = World::new(1, masks(&[0], &[1, 2]));
    let first = world.page(vec![item(1, 1, 5)])[0].clone();
    assert_eq!(first.sinks, sinks(&[0, 1, 2]));
    let second = world.page(vec![item(1, 2, 6)])[0].clone();
    let third = world.page(vec![item(1, 3, 7)])[0].clone();
    assert_eq!((second.sinks, third.sinks), (sinks(&[0]), sinks(&[0])));
    assert!(world.written(1, first.id, STORED).writes.is_empty(), "the other table still writes the first");
    assert!(world.written(0, second.id, STORED).writes.is_empty(), "a feed's answer frees no table");
    let next = world.written(2, first.id, STORED).writes.clone();
    assert_eq!((next.len(), next[0].id, next[0].sinks), (1, second.id, sinks(&[1, 2])));
    assert!(world.written(0, first.id, STORED).writes.is_empty(), "nor does a late one");
    world.written(1, second.id, STORED);
    let next = world.written(2, second.id, STORED).writes.clone();
    assert_eq!((next.len(), next[0].id), (1, third.id));
    world.settle_all();
    assert_eq!((world.delivered, world.outbox_bytes()), (3, 0));
}

#[test]
fn an_item_refused_by_one_sink_is_held_up_nowhere_else() {
    let mut world = World::new(1, masks(&[0], &[1, 2]));
    let poison = world.page(vec![item(1, 1, 5), item(2, 1, 5)])[0].clone();
    world.written(1, poison.id, SinkVerdict::Refused);
    assert_eq!(world.delivered, 0, "its other sinks have not answered");
    let behind = world.page(vec![item(1, 2, 6)])[0].id;
    let next = world.written(2, poison.id, STORED).writes.clone();
    assert_eq!(next.iter().map(|write| write.id).collect::<Vec<_>>(), [behind]);
    world.settle_all();
    assert_eq!((world.delivered, world.outbox_bytes()), (2, 0));
    let wanted = ItemCounts { scraped: 3, settled: 3, stored: 8, refused: 1, ..ItemCounts::default() };
    assert_eq!(world.counts(JOB), wanted);
}

#[test]
fn an_answer_that_comes_again_or_was_not_asked_for_changes_nothing() {
    let mut world = World::new(1, masks(&[], &[1, 2]));
    let id = world.page(vec![item(1, 1, 5)])[0].id;
    world.written(1, id, STORED);
    let unasked = [(1, id), (9, id), (2, OutboxId(id.0 + 64)), (1, OutboxId(0))];
    for (sink, id) in unasked {
        let step = world.written(sink, id, STORED);
        assert!(step.journal.is_empty() && step.items.is_empty(), "sink {sink}, {id:?}");
    }
    world.written(2, id, STORED);
    assert!(world.written(2, id, STORED).journal.is_empty());
    assert_eq!((world.delivered, world.counts(JOB).stored), (1, 2));
}

#[test]
fn reports_that_come_again_are_settled_once() {
    for workers in [1, 2] {
        let mut world = World::new(workers, masks(&[0], &[1]));
        world.fetch(JOB, (0..30).map(|key| vec![item(key, 1, key), item(key + 100, 1, key)]).collect());
        assert!(world.redeliver().writes.is_empty(), "the items are under way");
        world.settle_all();
        assert!(world.redeliver().writes.is_empty(), "the items are stored");
        let wanted = ItemCounts { scraped: 60, settled: 60, stored: 120, ..ItemCounts::default() };
        assert_eq!((world.delivered, world.counts(JOB)), (30, wanted));
        assert_eq!((world.waiting_pages(JOB), world.outbox_bytes()), (0, 0));
    }
}

#[test]
fn any_number_of_workers_tells_the_sinks_the_same() {
    let told = |workers: usize| {
        let mut world = World::new(workers, masks(&[0], &[1, 2]));
        let mut told = Vec::new();
        for round in 1..=4 {
            // A key comes once a round: of two in one step either may be first.
            let page = |at: u64| (0..at % 5).map(|n| item(at * 5 + n, round, (at + round / 2) % 3)).collect();
            told.push(said(&world.fetch(JOB, (0..40).map(page).collect())));
            // Half of what is due is answered, chosen by its key: order is not to matter.
            let due: Vec<_> = world.due.iter().filter(|due| due.item.id.0 % 128 < 64).cloned().collect();
            world.due.retain(|due| due.item.id.0 % 128 >= 64);
            let event = |due: &world::Due| {
                let verdict = if due.item.hash == 2 { SinkVerdict::Refused } else { STORED };
                Event::Written { sink: SinkId(due.sink), id: due.id, verdict }
            };
            told.push(said(&world.step(due.iter().map(event).collect()).writes.clone()));
        }
        let under_way = (world.outbox_bytes(), world.waiting_pages(JOB), world.delivered);
        world.settle_all();
        (told, under_way, world.counts(JOB), world.delivered)
    };
    let one = told(1);
    assert!(one.1.0 > 0 && one.2.refused > 0 && one.2.unchanged > 0, "{:?} {:?}", one.1, one.2);
    for workers in [2, 3, 5] {
        assert_eq!(told(workers), one, "{workers} workers");
    }
}
