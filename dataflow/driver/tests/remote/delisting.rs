//! Listings that come and go, crawled by several stages.

use crate::stack::Stack;
use weir_driver::remote::moving::{Seat, export_slices, import_slice};
use weir_model::Outcome;

const HOSTS: [&str; 6] = ["a.localhost", "b.localhost", "c.localhost", "d.localhost", "e.localhost", "f.localhost"];
const FIRST: &str = "2026-03-01";
const LATER: &str = "2026-03-15";

/// Crawls the hosts as they are on a day: gives the job's number, and how many listings it marked as gone.
fn crawl(stack: &Stack, hosts: &[&str], day: &str) -> (u64, u64) {
    let opened = stack.enqueue(&stack.new_job_on_day(hosts, day));
    let view = stack.wait(opened.job);
    assert_eq!(view.outcome(), Some(Outcome::Finished), "{:?}", view.stats());
    (opened.job.0, view.stats().get("items/delisted").copied().unwrap_or_default())
}

#[test]
fn what_two_stages_do_not_find_any_more_is_marked_as_gone_counted_once_and_comes_back() {
    let mut stack = Stack::new(2, 2);
    (0..2).for_each(|stage| stack.start(stage));
    stack.start_function();
    assert_eq!(crawl(&stack, &HOSTS, FIRST).1, 0, "nothing was there before");
    let all = stack.on_day(FIRST);
    let (_, marked) = crawl(&stack, &HOSTS, LATER);
    let gone = stack.on_day(FIRST);
    assert!(!gone.is_empty() && gone.len() < all.len(), "{} of {} are gone", gone.len(), all.len());
    assert_eq!((stack.gone(), marked), (gone.clone(), gone.len() as u64));
    // The same once more: what is marked stays so, and is not marked again.
    assert_eq!(crawl(&stack, &HOSTS, LATER).1, 0);
    assert_eq!(stack.gone(), gone);
    // Back to the first day: those are there again, and what came between is gone.
    let (_, marked) = crawl(&stack, &HOSTS, FIRST);
    assert_eq!(stack.gone(), stack.on_day(LATER));
    assert_eq!(marked, stack.on_day(LATER).len() as u64);
    (0..2).for_each(|stage| stack.stop(stage));
    stack.assert_settled();
}

#[test]
fn after_a_move_to_two_stages_what_either_finds_is_not_gone_for_the_other() {
    let mut stack = Stack::new(1, 2);
    stack.start(0);
    stack.start_function();
    crawl(&stack, &HOSTS, FIRST);
    stack.stop(0);
    let files = export_slices(&stack.moving(0), 2, &stack.path("move")).expect("exported").files;
    import_slice(&stack.moving(1), Some(Seat { index: 1, of: 2 }), &files[0]).expect("imported");
    stack.resize(2);
    (0..2).for_each(|stage| stack.start(stage));
    // Both know all listings: each finds those of its own domains alone.
    let (_, marked) = crawl(&stack, &HOSTS, LATER);
    let gone = stack.on_day(FIRST);
    assert!(!gone.is_empty());
    assert_eq!((stack.gone(), marked), (gone.clone(), gone.len() as u64));
    // What was seen by the other was forgotten: from now on nobody asks for it any more.
    let (job, marked) = crawl(&stack, &HOSTS, LATER);
    assert_eq!((stack.gone(), marked), (gone, 0));
    let sizes = stack.artifact_bytes(&format!("census/{job:016x}/"));
    assert!(sizes.len() == 2 && sizes.iter().all(|bytes| *bytes < 100), "{sizes:?}");
    (0..2).for_each(|stage| stack.stop(stage));
}

#[test]
fn a_stage_with_nothing_to_crawl_says_so_and_a_crawl_that_finds_nothing_marks_nothing() {
    let mut stack = Stack::new(2, 2);
    (0..2).for_each(|stage| stack.start(stage));
    stack.start_function();
    // One host: one of the two stages sees nothing at all.
    crawl(&stack, &HOSTS[..1], FIRST);
    let (_, marked) = crawl(&stack, &HOSTS[..1], LATER);
    assert_eq!((stack.gone(), marked), (stack.on_day(FIRST), stack.on_day(FIRST).len() as u64));
    let before = stack.gone();
    // A day that the site does not know: no listing anywhere.
    assert_eq!(crawl(&stack, &HOSTS[..1], "1066-10-14").1, 0);
    assert_eq!(stack.gone(), before);
    (0..2).for_each(|stage| stack.stop(stage));
}
