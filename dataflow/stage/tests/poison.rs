//! Items that a sink refuses or misses, and items that are let in again.

mod world;

use weir_model::{ReleaseId, SinkId};
use weir_stage::{Again, Event, Poison, SinkVerdict};
use world::{JOB, World, item, masks, sinks};

const FEED: u8 = 0;
const TABLE: u8 = 1;

#[test]
fn a_refusal_is_poison_once_with_its_reason_however_often_it_is_told() {
    let mut world = World::new(1, masks(&[FEED], &[TABLE]));
    let write = world.page(vec![item(1, 1, 1)])[0].clone();
    let refused = || Event::Refused { sink: SinkId(TABLE), id: write.id, reason: "too long".into() };
    let meant = [Poison::Item { sink: SinkId(TABLE), item: write.item.clone(), reason: "too long".into() }];
    assert_eq!(world.step(vec![refused(), refused()]).poison, meant);
    assert!(world.step(vec![refused()]).poison.is_empty(), "a repetition");
    world.restart(1);
    assert!(world.step(vec![refused()]).poison.is_empty(), "the record says that it is settled");
    world.written(FEED, write.id, SinkVerdict::Stored);
    assert_eq!(world.delivered, 1, "poison holds up nobody");
}

#[test]
fn what_a_sink_missed_is_settled_and_comes_again_with_the_next_crawl() {
    let mut world = World::new(1, masks(&[FEED], &[TABLE]));
    let write = world.page(vec![item(1, 1, 1)])[0].clone();
    world.written(TABLE, write.id, SinkVerdict::Missed);
    world.written(FEED, write.id, SinkVerdict::Stored);
    assert_eq!((world.delivered, world.outbox_bytes()), (1, 0));
    world.restart(1);
    assert_eq!(world.page(vec![item(1, 2, 1)])[0].sinks, sinks(&[FEED, TABLE]), "the table does not hold it");
}

#[test]
fn an_item_that_is_let_in_again_goes_to_its_sink_alone_and_outlives_the_process() {
    for workers in [1, 3] {
        let mut world = World::new(workers, masks(&[FEED], &[TABLE]));
        let write = world.page(vec![item(1, 1, 1)])[0].clone();
        world.written(FEED, write.id, SinkVerdict::Stored);
        world.written(TABLE, write.id, SinkVerdict::Refused);
        let page = ReleaseId((1 << 44) - 64 + 5);
        let again = Again { page, item: item(1, 1, 1), sinks: 1 << TABLE, computes: false };
        let step = world.step(vec![Event::Again(Box::new(again))]);
        assert_eq!(step.writes.iter().map(|write| write.sinks).collect::<Vec<_>>(), [sinks(&[TABLE])]);
        world.restart(workers);
        assert_eq!(world.waiting_pages(JOB), 1, "it counts as a page");
        assert_eq!(world.due.len(), 1, "the table alone");
        world.settle_all();
        assert_eq!((world.delivered, world.waiting_pages(JOB), world.outbox_bytes()), (2, 0, 0));
        let counts = world.stage.counts().0;
        let urls = counts.get(JOB).expect("counted");
        assert_eq!(urls.offered, urls.verdicts(), "one verdict each");
        // The table holds it now: once more is nothing to do.
        let again = Again { page: ReleaseId(page.0 - 64), item: item(1, 1, 1), sinks: 1 << TABLE, computes: false };
        assert!(world.step(vec![Event::Again(Box::new(again))]).writes.is_empty());
        assert_eq!(world.delivered, 3);
    }
}
