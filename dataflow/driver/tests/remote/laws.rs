//! The law of a deployment changes while it crawls: told to every stage, kept in every state, judged by the site's log.

use crate::stack::{Stack, runtime, until};
use std::time::Duration;
use weir_driver::law::ChangeRow;
use weir_driver::remote::StageStatus;
use weir_driver::remote::moving::{Seat, export_slices, import_slice};
use weir_frontier::policy::Policy;
use weir_model::Outcome;
use weir_model::json::{Control, ControlMessage, QueueMessage};

const HOSTS: [&str; 4] = ["a.localhost", "b.localhost", "c.localhost", "d.localhost"];

fn stack(stages: u32) -> Stack {
    let mut stack = Stack::new(stages, 3);
    let law = "[default]\nhits = 10\nwindow = \"250ms\"\nmoderated = false\n";
    stack.laws = Policy::parse(law, "law.toml").expect("a law");
    stack
}

fn throttle(stack: &Stack, id: &str, domain: &str, law: &str) -> ControlMessage {
    let command = Control::Throttle { at: stack.now().0, domain: Some(domain.into()), law: law.into() };
    ControlMessage { id: id.into(), command }
}

/// Tells all stages, and waits until they have obeyed.
fn tell(stack: &Stack, message: &ControlMessage) {
    let told = runtime().block_on(async {
        stack.client().tell(message).await?;
        stack.client().statuses_after(&message.id, Duration::from_secs(20)).await
    });
    assert!(told.expect("told").1, "{} is obeyed", message.id);
}

#[test]
fn a_law_tightened_by_command_holds_on_its_stage_over_a_restart_and_whatever_comes_late() {
    let mut stack = stack(2);
    (0..2).for_each(|stage| stack.start(stage));
    stack.start_function();
    let opened = stack.enqueue(&stack.new_job_over_hosts(&HOSTS, "url"));
    until("requests to all", || HOSTS.iter().all(|host| stack.arrivals(host).len() > 10));
    let earlier = throttle(&stack, "earlier", "a.localhost", "hits = 1000\nwindow = \"250ms\"");
    let halved = throttle(&stack, "halved", "a.localhost", "hits = 5\nwindow = \"500ms\"");
    tell(&stack, &halved);
    // What was said before comes later, and twice.
    tell(&stack, &earlier);
    let text = halved.to_json();
    (0..2).for_each(|stage| stack.send(&format!("control-{stage}"), &[&text, &text]));
    let since = stack.now().0;
    (0..2).for_each(|stage| stack.stop(stage));
    (0..2).for_each(|stage| stack.start(stage));
    let asked = stack.arrivals("a.localhost").len();
    until("more requests", || stack.arrivals("a.localhost").len() >= asked + 12);
    // What was released before may have been under way for a second.
    let late: Vec<u64> = stack.arrivals("a.localhost").into_iter().filter(|at| *at > since + 1_000_000).collect();
    for window in late.windows(6) {
        assert!(window[5] - window[0] >= 500_000, "six arrivals within {} us", window[5] - window[0]);
    }
    let statuses = runtime().block_on(stack.client().statuses()).expect("read");
    for status in statuses {
        let law = status.expect("a status").law.expect("a law");
        let row = ChangeRow::Domain("a.localhost".into(), "hits = 5\nwindow = \"500ms\"".into());
        assert_eq!(law.changes, [row]);
    }
    // Taken back, so that the test has an end.
    tell(&stack, &throttle(&stack, "back", "a.localhost", "hits = 1000\nwindow = \"250ms\""));
    assert_eq!(stack.wait(opened.job).outcome(), Some(Outcome::Finished));
    stack.judge_hosts(&HOSTS, 1_000, 250);
    (0..2).for_each(|stage| stack.stop(stage));
    stack.assert_settled();
}

#[test]
fn a_blacklisted_domain_is_asked_no_more_and_the_job_ends_with_its_urls_counted() {
    let mut stack = stack(2);
    (0..2).for_each(|stage| stack.start(stage));
    stack.start_function();
    let opened = stack.enqueue(&stack.new_job_over_hosts(&HOSTS, "url"));
    until("requests to all", || HOSTS.iter().all(|host| stack.arrivals(host).len() > 10));
    let add = vec!["a.localhost".to_owned(), "b.localhost".to_owned()];
    let command = Control::Blacklist { at: stack.now().0, add, remove: Vec::new(), reset: Vec::new() };
    tell(&stack, &ControlMessage { id: "bar".into(), command });
    let since = stack.now().0;
    let view = stack.wait(opened.job);
    assert_eq!(view.outcome(), Some(Outcome::Finished));
    let late = |host: &str| stack.arrivals(host).into_iter().filter(|at| *at > since + 1_000_000).count();
    assert_eq!((late("a.localhost"), late("b.localhost")), (0, 0));
    let stats = view.stats();
    // Each page but robots.txt: three index pages and the listings that were found on them.
    let delivered: usize = HOSTS.iter().map(|host| stack.arrivals(host).len() - 1).sum();
    assert_eq!(stats["verdict/delivered"], delivered as u64, "{stats:?}");
    let refused = stats["verdict/rejected/blacklisted"];
    assert!(refused > 50, "{stats:?}");
    let duplicates = stats.get("verdict/duplicate").copied().unwrap_or(0);
    assert_eq!(delivered as u64 + refused + duplicates, stats["urls/offered"], "{stats:?}");
    (0..2).for_each(|stage| stack.stop(stage));
    stack.assert_settled();
}

#[test]
fn a_command_that_is_wrong_goes_to_the_dead_letters_and_changes_nothing() {
    let mut stack = stack(1);
    stack.start(0);
    let wrong = throttle(&stack, "wrong", "a.localhost", "hits = 0");
    let future =
        Control::Policy { at: stack.now().0 + 3_600_000_000, file: "law.toml".into(), toml: Some(String::new()) };
    let future = ControlMessage { id: "future".into(), command: future };
    stack.send("control-0", &[&wrong.to_json(), &future.to_json()]);
    let letters = stack.dead_letters(2).concat();
    assert!(letters.contains("a whole number of at least 1") && letters.contains("in the future"), "{letters}");
    tell(&stack, &ControlMessage { id: "look".into(), command: Control::Status {} });
    let status = runtime().block_on(stack.client().statuses()).expect("read").remove(0).expect("a status");
    assert_eq!(status.law.expect("a law").changes, []);
    stack.stop(0);
}

#[test]
fn what_commands_have_said_moves_to_a_stage_that_takes_over() {
    let mut stack = stack(1);
    stack.start(0);
    tell(&stack, &throttle(&stack, "halved", "a.localhost", "hits = 5\nwindow = \"500ms\""));
    stack.stop(0);
    let files = export_slices(&stack.moving(0), 2, &stack.path("move")).expect("exported").files;
    import_slice(&stack.moving(1), Some(Seat { index: 1, of: 2 }), &files[0]).expect("imported");
    stack.resize(2);
    (0..2).for_each(|stage| stack.start(stage));
    let row = ChangeRow::Domain("a.localhost".into(), "hits = 5\nwindow = \"500ms\"".into());
    until("both to tell the law", || {
        let statuses = runtime().block_on(stack.client().statuses()).expect("read");
        let told = |status: Option<StageStatus>| {
            status.and_then(|status| status.law).is_some_and(|law| law.changes == [row.clone()])
        };
        statuses.len() == 2 && statuses.into_iter().all(told)
    });
    (0..2).for_each(|stage| stack.stop(stage));
}
