//! Another number of stages in the middle of a crawl.

use crate::stack::Stack;
use std::path::{Path, PathBuf};
use weir_driver::CrawlError;
use weir_driver::remote::moving::{Imported, Seat, export_slices, import_slice};
use weir_frontier::policy::Policy;
use weir_model::Outcome;

const HOSTS: [&str; 6] = ["a.localhost", "b.localhost", "c.localhost", "d.localhost", "e.localhost", "f.localhost"];
const HITS: usize = 20;
const WINDOW_MS: u64 = 250;

fn stack(stages: u32, hits: usize, window_ms: u64) -> Stack {
    let mut stack = Stack::new(stages, 3);
    let law = format!("[default]\nhits = {hits}\nwindow = \"{window_ms}ms\"\nmoderated = false\n");
    stack.laws = Policy::parse(&law, "law.toml").expect("a law");
    stack
}

/// The file that one stage has exported for another.
fn file(stack: &Stack, from: u32, of: u32, to: u32, into: u32) -> PathBuf {
    stack.path("move").join(format!("stage-{from}-of-{of}.to-stage-{to}-of-{into}.weir-slice"))
}

fn export(stack: &Stack, stage: u32, stages: u32) -> Result<Vec<PathBuf>, CrawlError> {
    export_slices(&stack.moving(stage), stages, &stack.path("move")).map(|exported| exported.files)
}

fn import(stack: &Stack, stage: u32, of: u32, file: &Path) -> Result<Imported, CrawlError> {
    import_slice(&stack.moving(stage), Some(Seat { index: stage, of }), file)
}

fn told<T: std::fmt::Debug>(result: Result<T, CrawlError>) -> String {
    result.expect_err("refused").to_string()
}

#[test]
fn a_crawl_goes_on_with_more_stages_and_then_with_fewer_nothing_lost_asked_again_or_too_early() {
    // Both moves are within one window: whoever forgot its hits would ask for all the rest at once.
    let (hits, window_ms) = (60, 5_000);
    let mut stack = stack(1, hits, window_ms);
    stack.start(0);
    stack.start_function();
    let opened = stack.enqueue(&stack.new_job_over_hosts(&HOSTS, "url"));
    stack.until_requests(240);
    stack.stop(0);
    // From one to two.
    assert_eq!(export(&stack, 0, 2).expect("exported"), [file(&stack, 0, 1, 1, 2)]);
    let imported = import(&stack, 1, 2, &file(&stack, 0, 1, 1, 2)).expect("imported");
    assert_eq!((imported.jobs, imported.awaits), (1, vec![]));
    stack.resize(2);
    (0..2).for_each(|stage| stack.start(stage));
    stack.until_requests(340);
    (0..2).for_each(|stage| stack.stop(stage));
    // Back to one: what the second had goes to the first.
    assert_eq!(export(&stack, 1, 1).expect("exported"), [file(&stack, 1, 2, 0, 1)]);
    assert!(export(&stack, 0, 1).expect("exported").is_empty(), "there is no other stage any more");
    import(&stack, 0, 1, &file(&stack, 1, 2, 0, 1)).expect("imported");
    stack.resize(1);
    stack.start(0);
    let view = stack.wait(opened.job);
    assert_eq!(view.outcome(), Some(Outcome::Finished));
    stack.judge_hosts(&HOSTS, hits, window_ms);
    let stats = view.stats();
    assert_eq!(stats["verdict/delivered"], HOSTS.len() as u64 * 3 * 31, "{stats:?}");
    stack.stop(0);
    stack.assert_settled();
}

#[test]
fn a_file_that_is_damaged_of_another_version_imported_twice_or_for_another_stage_is_refused_by_name() {
    let mut stack = stack(1, HITS, WINDOW_MS);
    stack.start(0);
    stack.start_function();
    let opened = stack.enqueue(&stack.new_job_over_hosts(&HOSTS, "url"));
    stack.until_requests(60);
    stack.stop(0);
    export(&stack, 0, 3).expect("exported");
    let (first, second) = (file(&stack, 0, 1, 1, 3), file(&stack, 0, 1, 2, 3));
    assert!(told(import(&stack, 2, 3, &first)).contains("for stage 1 of 3, and this is stage 2 of 3"));
    let whole = std::fs::read(&first).expect("a file");
    let (damaged, newer) = (stack.path("damaged"), stack.path("newer"));
    let mut bytes = whole.clone();
    bytes[whole.len() / 2] ^= 1;
    std::fs::write(&damaged, &bytes).expect("written");
    std::fs::write(&newer, [b"weir-slice 2\n", &whole[13..]].concat()).expect("written");
    assert!(told(import(&stack, 1, 3, &damaged)).contains("damaged at byte"));
    assert!(told(import(&stack, 1, 3, &newer)).contains("this weir reads format 1"));
    assert!(told(import(&stack, 1, 3, &stack.path("nowhere"))).contains("weir stage export has written"));
    import(&stack, 1, 3, &first).expect("imported");
    assert!(told(import(&stack, 1, 3, &first)).contains("has imported this already"));
    let wrong = import_slice(&stack.moving(1), None, &second);
    assert!(told(wrong).contains("for stage 2 of 3, and"), "into the state of another");
    assert!(told(import_slice(&stack.moving(0), None, &second)).contains("is that of stage 0 of 3"));
    // Exported once; taken back by its old number as long as it has not run since.
    assert!(told(export(&stack, 0, 2)).contains("or take the export back with --stages 1"));
    let back = export_slices(&stack.moving(0), 1, &stack.path("move")).expect("taken back");
    assert!(back.taken_back && back.files.is_empty());
    stack.start(0);
    assert_eq!(stack.wait(opened.job).outcome(), Some(Outcome::Finished));
    stack.judge_hosts(&HOSTS, HITS, WINDOW_MS);
    stack.stop(0);
}

#[test]
fn a_stage_starts_when_it_has_what_the_others_exported_and_not_before() {
    let mut stack = stack(2, HITS, WINDOW_MS);
    let opened = stack.enqueue(&stack.new_job_over_hosts(&HOSTS, "url"));
    (0..2).for_each(|stage| stack.start(stage));
    stack.start_function();
    stack.until_requests(150);
    (0..2).for_each(|stage| stack.stop(stage));
    (0..2).for_each(|stage| assert_eq!(export(&stack, stage, 3).expect("exported").len(), 2));
    stack.resize(3);
    assert!(stack.refused(0).contains("what stage 1 of 2 exported is to be imported first"));
    let left = import(&stack, 2, 3, &file(&stack, 1, 2, 2, 3)).expect("imported").awaits;
    assert_eq!(left, [0]);
    assert!(told(export(&stack, 2, 4)).contains("is not whole: what stage 0 of 2 exported"));
    assert!(stack.refused(2).contains("what stage 0 of 2 exported is to be imported first"));
    // An import that breaks off before its end is known goes on, and takes nothing in twice.
    let document = stack.state(1).join("doc-jobs.json.weir");
    let before = std::fs::read(&document).expect("a document");
    import(&stack, 1, 3, &file(&stack, 0, 2, 1, 3)).expect("imported");
    std::fs::write(&document, before).expect("written");
    for (from, to) in [(0, 2), (0, 1), (1, 0)] {
        let awaits = import(&stack, to, 3, &file(&stack, from, 2, to, 3)).expect("imported").awaits;
        assert!(awaits.is_empty(), "{awaits:?}");
    }
    (0..3).for_each(|stage| stack.start(stage));
    let view = stack.wait(opened.job);
    assert_eq!(view.outcome(), Some(Outcome::Finished), "{view:#?}");
    assert_eq!(view.parts.len(), 3);
    stack.judge_hosts(&HOSTS, HITS, WINDOW_MS);
    (0..3).for_each(|stage| stack.stop(stage));
    stack.assert_settled();
}

#[test]
fn locations_that_one_stage_has_learned_are_asked_for_by_none_of_those_that_take_over() {
    let mut stack = stack(1, HITS, WINDOW_MS);
    stack.laws = weir_frontier::policy::Policy::default();
    stack.geocodes = true;
    stack.start(0);
    stack.start_function();
    let opened = stack.enqueue(&stack.new_job(3));
    assert_eq!(stack.wait(opened.job).outcome(), Some(Outcome::Finished));
    let calls = stack.geocode_calls();
    assert!(calls > 10, "{calls}");
    stack.stop(0);
    let files = export(&stack, 0, 3).expect("exported");
    for (stage, file) in (1..).zip(&files) {
        import(&stack, stage, 3, file).expect("imported");
    }
    stack.resize(3);
    (0..3).for_each(|stage| stack.start(stage));
    // Whichever of them owns the host now.
    let opened = stack.enqueue(&stack.new_job(3));
    let view = stack.wait(opened.job);
    assert_eq!(view.stats()["geocode/found"], 90, "{:?}", view.stats());
    assert_eq!(stack.geocode_calls(), calls);
    let owners: Vec<u32> = view
        .parts
        .iter()
        .filter(|part| part.stats.get("requests").is_some_and(|count| *count > 0))
        .map(|part| part.stage)
        .collect();
    assert_eq!(owners.len(), 1);
    (0..3).for_each(|stage| stack.stop(stage));
}
