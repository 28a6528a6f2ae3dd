//! Deployments in one process: real stages, the real function's handler, queues and artifacts in memory, the practice site.

mod delisting;
mod endings;
mod faults;
mod laws;
mod letters;
mod moving;
mod sinks;
mod stack;

use stack::Stack;
use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;
use weir_driver::remote::Pace;
use weir_driver::remote::client::NewJob;
use weir_driver::{Compute, Given};
use weir_model::json::{JobHeader, QueueMessage, ShardMessage, ShardStart};
use weir_model::{ContentHash, JobId, Outcome, UnixMs, Value};

fn shard(job: u64, hash: ContentHash) -> ShardMessage {
    let header = JobHeader {
        job: JobId(job),
        spider: "properties".into(),
        hash,
        args: BTreeMap::new(),
        settings: BTreeMap::new(),
        opened_at: UnixMs(1),
    };
    ShardMessage { header, shard: 0, shards: 1, start: ShardStart::Range(0..1) }
}

#[test]
fn a_job_cut_into_shards_arrives_whole_and_its_queues_are_empty() {
    let mut stack = Stack::new(1, 20);
    stack.start(0);
    stack.start_function();
    let opened = stack.enqueue(&stack.new_job(5));
    assert_eq!((opened.job, opened.shards, opened.start_urls), (JobId(1), 5, 20));
    let view = stack.wait(opened.job);
    assert_eq!(view.outcome(), Some(Outcome::Finished));
    stack.judge();
    let stats = view.stats();
    assert_eq!((stats["urls/admitted"], stats["verdict/delivered"]), (620, 620), "{stats:?}");
    assert_eq!(stats["items/scraped"], 600);
    stack.stop(0);
    stack.assert_settled();
    assert_eq!(stack.requests(), 621, "each page once, and robots.txt");
}

#[test]
fn several_stages_own_their_domains_and_end_a_job_together() {
    let mut stack = Stack::new(3, 4);
    (0..3).for_each(|stage| stack.start(stage));
    stack.start_function();
    // One page of a list at each of eight domains leads to the listings of another one.
    let job = stack.enqueue(&stack.new_job_over_domains(8));
    let view = stack.wait(job.job);
    assert_eq!(view.outcome(), Some(Outcome::Finished), "{view:#?}");
    let parts: Vec<u64> = view.parts.iter().map(|part| part.stats["urls/admitted"]).collect();
    assert!(parts.iter().filter(|count| **count > 0).count() > 1, "several stages had work: {parts:?}");
    assert_eq!(view.stats()["verdict/delivered"], 8 * 2, "{:#?}", view.stats());
    (0..3).for_each(|stage| stack.stop(stage));
    stack.assert_settled();
}

#[test]
fn an_item_found_at_domains_of_two_stages_is_one_row_of_its_newest_version() {
    let hosts = ["a.localhost", "b.localhost", "c.localhost", "d.localhost"];
    let mut stack = Stack::new(2, 2);
    (0..2).for_each(|stage| stack.start(stage));
    stack.start_function();
    let opened = stack.enqueue(&stack.new_job_over_hosts(&hosts, "number"));
    let view = stack.wait(opened.job);
    assert_eq!(view.outcome(), Some(Outcome::Finished), "{view:#?}");
    let scraped: Vec<u64> = view.parts.iter().map(|part| part.stats["items/scraped"]).collect();
    assert!(scraped.iter().all(|count| *count > 0), "both stages had some: {scraped:?}");
    // Each host has all sixty; what is older than the row that is there has been told so by the sink, or was not sent at all.
    assert_eq!((stack.rows(), scraped.iter().sum::<u64>()), (60, 240));
    let stats = view.stats();
    let count = |name: &str| stats.get(name).copied().unwrap_or(0);
    assert_eq!(count("items/stored") + count("items/stale"), 240, "{stats:?}");
    (0..2).for_each(|stage| stack.stop(stage));
    stack.assert_settled();
}

#[test]
fn what_nobody_can_use_lies_among_the_dead_letters_with_its_reason_and_the_rest_goes_on() {
    let mut stack = Stack::new(1, 1);
    stack.start(0);
    stack.start_function();
    let good = stack.enqueue(&stack.new_job(1));
    let unknown = shard(77, ContentHash(1)).to_json();
    let older = unknown.replacen("{\"v\":1", "{\"v\":9", 1);
    stack.send("requests-0", &["no JSON", &older, &unknown]);
    stack.send("reports-0", &["[]"]);
    stack.send("control-0", &["{\"v\":1,\"kind\":\"reports\",\"stage\":\"x\",\"reports\":[]}"]);
    assert_eq!(stack.wait(good.job).outcome(), Some(Outcome::Finished));
    let letters = stack.dead_letters(5);
    for told in ["expected ident", "message of version 9", "is not in memory", "it is no object", "wrong queue"] {
        assert!(letters.iter().any(|letter| letter.contains(told)), "{told:?} in {letters:#?}");
    }
    assert_eq!(letters.iter().filter(|letter| letter.contains("no JSON")).count(), 1, "the message itself is there");
    stack.stop(0);
    stack.assert_settled();
}

#[test]
fn a_cancelled_job_ends_and_its_late_messages_change_nothing() {
    let mut stack = Stack::new(1, 20);
    stack.start(0);
    // Nobody fetches: everything is under way when the job is cancelled.
    let opened = stack.enqueue(&stack.new_job(2));
    stack.until_received("fetch");
    stack.cancel(opened.job);
    let view = stack.wait(opened.job);
    assert_eq!(view.outcome(), Some(Outcome::Cancelled));
    assert_eq!(view.stats()["verdict/abandoned"], 20, "{:?}", view.stats());
    stack.start_function();
    let text = stack.spider_text();
    let mut late = shard(1, ContentHash::of(text.as_bytes()));
    late.shards = 2;
    stack.send("requests-0", &[&late.to_json()]);
    stack.until_empty("requests-0");
    stack.stop(0);
    stack.assert_settled();
}

#[test]
fn a_stage_that_dies_goes_on_with_its_jobs_and_nothing_is_lost_or_doubled() {
    let mut stack = Stack::new(1, 30);
    stack.duplicates = true;
    stack.start(0);
    stack.start_function();
    let opened = stack.enqueue(&stack.new_job(6));
    for pages in [100, 300, 600] {
        stack.until_requests(pages);
        stack.stop(0);
        stack.start(0);
    }
    let view = stack.wait(opened.job);
    assert_eq!(view.outcome(), Some(Outcome::Finished));
    stack.judge();
    assert_eq!(view.stats()["verdict/delivered"], 930, "{:#?}", view.stats());
    stack.stop(0);
    stack.assert_settled();
}

#[test]
fn a_request_that_kills_its_function_is_dead_lettered_by_name_and_all_others_are_delivered() {
    let mut stack = Stack::new(1, 3);
    stack.poison = Some("property_000007");
    let short = Duration::from_millis(400);
    stack.pace = Pace { timeout: short, grace: short, ..stack.pace };
    stack.start(0);
    stack.start_function();
    let opened = stack.enqueue(&stack.new_job(1));
    let view = stack.wait(opened.job);
    let stats = view.stats();
    assert_eq!(view.outcome(), Some(Outcome::Finished));
    assert_eq!(stats["verdict/dead_lettered/killed_the_function"], 1, "{stats:?}");
    assert_eq!((stats["verdict/delivered"], stats["items/scraped"]), (92, 89), "{stats:?}");
    stack.stop(0);
    stack.assert_settled();
}

#[test]
fn functions_that_do_not_begin_for_long_cost_no_request_an_attempt() {
    let mut stack = Stack::new(1, 2);
    let short = Duration::from_millis(400);
    stack.pace = Pace { timeout: short, grace: short, ..stack.pace };
    stack.start(0);
    let mut job = stack.new_job(1);
    job.settings.insert("robots".into(), "false".into());
    let opened = stack.enqueue(&job);
    // Released more often than a request may be lost, which is three times by default.
    stack.until_messages("fetch", 6);
    stack.start_function();
    let view = stack.wait(opened.job);
    let stats = view.stats();
    assert_eq!(view.outcome(), Some(Outcome::Finished));
    assert_eq!(stats["verdict/delivered"], 62, "{stats:?}");
    assert_eq!(stats.get("leases_lost"), None, "{stats:?}");
    stack.stop(0);
    stack.judge();
    stack.assert_settled();
}

#[test]
fn the_same_spider_enqueued_twice_is_two_jobs_and_one_file() {
    let mut stack = Stack::new(1, 1);
    stack.start(0);
    stack.start_function();
    let job: NewJob<'_> = stack.new_job(1);
    let (one, two) = (stack.enqueue(&job), stack.enqueue(&job));
    assert_eq!((one.job, two.job), (JobId(1), JobId(2)));
    for job in [one.job, two.job] {
        assert_eq!(stack.wait(job).outcome(), Some(Outcome::Finished));
    }
    stack.judge();
    stack.stop(0);
    stack.assert_settled();
}

/// Computes nothing before the gate is open.
struct Gated(Arc<(Mutex<bool>, Condvar)>);

impl Compute for Gated {
    fn compute(&self, given: &Given<'_>) -> Result<Vec<Value>, String> {
        let (open, opened) = &*self.0;
        drop(opened.wait_while(open.lock().expect("no panic"), |open| !*open).expect("no panic"));
        let title = given.text("title").ok_or("no title")?;
        assert!(given.fills().map(|field| field.name.as_str()).eq(["length"]), "what the file says");
        match title.len() % 10 {
            1 => Err("it ends with a one".to_owned()),
            2 => panic!("it ends with a two"),
            _ => Ok(vec![Value::Int(title.len() as i64)]),
        }
    }
}

#[test]
fn a_function_that_blocks_holds_up_neither_pages_nor_receipts_and_what_it_fails_on_is_refused_alone() {
    let mut stack = Stack::new(1, 4);
    let gate = Arc::new((Mutex::new(false), Condvar::new()));
    stack.compute.functions.insert("length".to_owned(), Arc::new(Gated(Arc::clone(&gate))));
    let computation = "[item.property.compute.l]\nfunction = \"length\"\nsend = \"title\"\npool = 3";
    stack.compute_field("length = { compute = \"l\", type = \"int\" }", computation);
    stack.start(0);
    stack.start_function();
    let job = stack.enqueue(&stack.new_job(1));
    // All pages are fetched, and the messages with their items are deleted, before anything is computed.
    stack.until_requests(4 + 120 + 1);
    stack.until_empty("reports-0");
    assert!(stack.values("length").is_empty());
    *gate.0.lock().expect("no panic") = true;
    gate.1.notify_all();
    let view = stack.wait(job.job);
    let (stats, found) = (view.stats(), stack.values("length"));
    assert_eq!(view.outcome(), Some(Outcome::Finished));
    assert_eq!(stats["verdict/delivered"], 124, "{stats:?}");
    assert_eq!(stats["compute/l/computed"] + stats["compute/l/refused"], 120, "{stats:?}");
    assert!(stats["items/refused"] == stats["compute/l/refused"] && stats["items/refused"] > 0, "{stats:?}");
    assert!(!found.is_empty());
    for (title, length) in found {
        assert!(![1, 2].contains(&(title.len() % 10)), "{title} was refused");
        assert_eq!(length, Value::Int(title.len() as i64));
    }
    stack.stop(0);
    stack.assert_settled();
}

#[test]
fn a_job_whose_spider_starts_programs_runs_only_where_the_operator_allows_it() {
    let program = "[item.property.compute.l]\ncommand = [\"sh\", \"-c\", 'while read -r line; do echo 7; done']";
    for allowed in [false, true] {
        let mut stack = Stack::new(1, 1);
        stack.compute.allow_commands = allowed;
        stack.compute_field("length = { compute = \"l\", type = \"int\" }", program);
        stack.start(0);
        stack.start_function();
        let job = stack.enqueue(&stack.new_job(1));
        let view = stack.wait(job.job);
        if allowed {
            assert_eq!(view.outcome(), Some(Outcome::Finished));
            stack.judge();
            assert!(stack.values("length").values().all(|length| *length == Value::Int(7)));
        } else {
            assert_eq!(view.outcome(), Some(Outcome::Failed));
            let failure = view.parts[0].failure.as_deref().unwrap_or_default();
            assert!(failure.contains("--allow-commands") && failure.contains("starts a program: sh -c"), "{failure}");
            assert_eq!(stack.requests(), 0);
        }
    }
}
