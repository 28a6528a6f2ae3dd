//! How jobs end that cannot be opened, that end while nobody can be told, and whose messages say what cannot be.

use crate::shard;
use crate::stack::{Stack, until};
use weir_model::json::{Control, ControlMessage, ForwardMessage, QueueMessage, ShardMessage, ShardStart, TallyMessage};
use weir_model::{ContentHash, JobId, Outcome};

const HOSTS: [&str; 4] = ["a.localhost", "b.localhost", "c.localhost", "d.localhost"];

#[test]
fn a_job_that_one_stage_cannot_open_ends_at_all_of_them() {
    for (stages, failing) in [(2, 0), (2, 1), (3, 1)] {
        let mut stack = Stack::new(stages, 1);
        stack.sinkless = Some(failing);
        let others: Vec<u32> = (0..stages).filter(|stage| *stage != failing).collect();
        others.iter().for_each(|stage| stack.start(*stage));
        stack.start_function();
        let opened = stack.enqueue(&stack.new_job_over_hosts(&HOSTS, "url"));
        until("the job at the others", || others.iter().all(|stage| stack.part(opened.job, *stage).is_some()));
        stack.start(failing);
        let ended = |stage| stack.part(opened.job, stage).and_then(|part| part.outcome) == Some(Outcome::Failed);
        until("the end at every stage", || (0..stages).all(ended));
        let why = stack.part(opened.job, failing).and_then(|part| part.failure).unwrap_or_default();
        assert!(why.contains("is there already"), "{why}");
        stack.until_messages(&format!("dead-{failing}"), 1);
        (0..stages).for_each(|stage| stack.until_empty(&format!("requests-{stage}")));
    }
}

#[test]
fn the_first_stage_passes_on_an_end_that_it_was_told() {
    let mut stack = Stack::new(3, 1);
    [0, 2].into_iter().for_each(|stage| stack.start(stage));
    let opened = stack.enqueue(&stack.new_job_over_hosts(&HOSTS, "url"));
    until("the job at both", || [0, 2].iter().all(|stage| stack.part(opened.job, *stage).is_some()));
    // As stage 1 answers that has ended the job and told nobody else.
    let tally = TallyMessage {
        job: opened.job,
        from: 1,
        round: 1,
        idle: true,
        shards: Vec::new(),
        sent: Default::default(),
        received: Default::default(),
        ended: Some(Outcome::Failed),
    };
    stack.send("requests-0", &[&tally.to_json()]);
    let ended = |stage: &u32| stack.part(opened.job, *stage).and_then(|part| part.outcome) == Some(Outcome::Failed);
    until("the end at both", || [0, 2].iter().all(ended));
}

#[test]
fn messages_that_come_after_their_job_has_failed_lie_among_the_dead_letters_too() {
    let mut stack = Stack::new(1, 1);
    stack.start(0);
    // No such spider file.
    let first = ShardMessage { shards: 4, ..shard(77, ContentHash(1)) };
    stack.send("requests-0", &[&first.to_json()]);
    stack.until_messages("dead-0", 1);
    let parcel = ForwardMessage { header: first.header.clone(), from: 1, to: 0, id: 0, offers: Vec::new() };
    stack.send("requests-0", &[&parcel.to_json()]);
    for number in 1..4 {
        stack.send("requests-0", &[&ShardMessage { shard: number, ..first.clone() }.to_json()]);
    }
    stack.until_messages("dead-0", 5);
    let letters = stack.dead_letters(5);
    assert_eq!(letters.iter().filter(|letter| letter.contains("is not in memory")).count(), 1, "{letters:#?}");
    assert_eq!(letters.iter().filter(|letter| letter.contains("weir jobs show 77 says why")).count(), 4);
    stack.until_empty("requests-0");
}

#[test]
fn a_range_beyond_the_start_urls_is_a_dead_letter_and_the_stage_goes_on() {
    let mut stack = Stack::new(1, 2);
    stack.start(0);
    let opened = stack.enqueue(&stack.new_job(1));
    stack.until_received("fetch");
    let hash = ContentHash::of(stack.spider_text().as_bytes());
    for end in [3, u64::MAX] {
        let forged = ShardMessage { start: ShardStart::Range(0..end), ..shard(opened.job.0, hash) };
        stack.send("requests-0", &[&forged.to_json()]);
    }
    let letters = stack.dead_letters(2);
    for told in ["URLs 0 to 3 of 2", "URLs 0 to 18446744073709551615 of 2"] {
        assert!(letters.iter().any(|letter| letter.contains(told)), "{letters:#?}");
    }
    stack.start_function();
    assert_eq!(stack.wait(opened.job).outcome(), Some(Outcome::Finished));
    stack.judge();
    stack.stop(0);
    stack.assert_settled();
}

#[test]
fn ends_that_nobody_could_be_told_of_are_told_by_the_next_process_and_then_no_more() {
    let mut stack = Stack::new(2, 1);
    (0..2).for_each(|stage| stack.start(stage));
    stack.start_function();
    stack.faults.begin("progress/");
    let finished = stack.enqueue(&stack.new_job_over_hosts(&HOSTS, "url")).job;
    for stage in 0..2 {
        let key = format!("progress/{:08}/stage-{stage}.json", finished.0);
        until("an end", || stack.faults.kept_out(&key, "\"outcome\": \"finished\""));
    }
    // One fails, and neither its letters nor the other stage can be reached; another is cancelled before it came.
    let (failed, cancelled) = (JobId(7), JobId(9));
    stack.faults.begin("dead-0");
    stack.faults.begin("requests-1");
    for number in 0..2 {
        let shard = ShardMessage { shard: number, shards: 2, ..shard(failed.0, ContentHash(1)) };
        stack.send("requests-0", &[&shard.to_json()]);
    }
    let cancel = ControlMessage { id: "c-9".into(), command: Control::Cancel { job: cancelled } };
    stack.send("control-0", &[&cancel.to_json()]);
    stack.until_empty("control-0");
    until("what cannot be told", || {
        stack.faults.kept_out("dead-0", "is not in memory") && stack.faults.kept_out("requests-1", "failed")
    });
    stack.stop(0);
    stack.faults.end();
    assert!([finished, failed, cancelled].iter().all(|job| stack.part(*job, 0).is_none()));
    stack.start(0);
    let outcome = |job, stage| stack.part(job, stage).and_then(|part| part.outcome);
    for (job, stage, expected) in [
        (finished, 0, Outcome::Finished),
        (finished, 1, Outcome::Finished),
        (failed, 0, Outcome::Failed),
        (failed, 1, Outcome::Failed),
        (cancelled, 0, Outcome::Cancelled),
    ] {
        until("the end of a job", || outcome(job, stage) == Some(expected));
    }
    assert_eq!(stack.wait(finished).stats()["items/scraped"], 4 * 30, "with all it counted");
    let part = stack.part(failed, 0).expect("seen above");
    assert!(part.failure.is_some_and(|why| why.contains("is not in memory")));
    stack.until_messages("dead-0", 2);
    stack.until_empty("requests-0");
    // A command is obeyed behind the news that came before it: then all is told, and stays so.
    stack.send("control-0", &[&ControlMessage { id: "s-1".into(), command: Control::Status {} }.to_json()]);
    stack.until_empty("control-0");
    stack.stop(0);
    stack.remove_artifacts("progress/");
    stack.start(0);
    stack.stop(0);
    assert!([finished, failed, cancelled].iter().all(|job| stack.part(*job, 0).is_none()), "told once");
    assert_eq!(stack.dead_letters(2).len(), 2);
}
