//! Dead letters of stages from outside: seen in the artifact store as they are in the state, and let in again by a job of their own.

use crate::stack::Stack;
use weir_driver::Content;
use weir_model::Outcome;

const HOSTS: [&str; 4] = ["a.localhost", "b.localhost", "c.localhost", "d.localhost"];

#[test]
fn refused_items_are_seen_from_outside_survive_a_restart_and_enter_again_once() {
    let mut stack = Stack::new(2, 2);
    stack.refuse(Some("property_000007"));
    (0..2).for_each(|stage| stack.start(stage));
    stack.start_function();
    let first = stack.enqueue(&stack.new_job_over_hosts(&HOSTS, "url"));
    let view = stack.wait(first.job);
    assert_eq!(view.outcome(), Some(Outcome::Finished));
    assert_eq!((view.stats()["items/refused"], stack.rows()), (4, 236));
    // A page that is not of this state: what lay here before is gone with the next start.
    stack.until_letters(4);
    stack.put_artifact("dead-letters/stage-1/0000000007.jsonl", b"rubbish\n");
    (0..2).for_each(|stage| stack.stop(stage));
    (0..2).for_each(|stage| stack.start(stage));
    stack.until_gone("dead-letters/stage-1/0000000007.jsonl");
    let letters = stack.until_letters(4);
    let mut ids = std::collections::BTreeMap::new();
    for (stage, all) in letters {
        assert!(all.damaged.is_empty(), "{:?}", all.damaged);
        for kept in all.letters.values() {
            assert!(kept.letter.reason.contains("property_000007"), "{kept:?}");
            assert!(kept.sink.as_deref() == Some("kept:") && matches!(kept.letter.content, Content::Item { .. }));
        }
        ids.insert(stage, all.letters.keys().copied().collect::<Vec<_>>());
    }
    // Still refused: each is a new letter with a new number. A number that is not there is counted.
    let refused = stack.replay(first.job, &ids);
    let view = stack.wait(refused.job);
    assert_eq!((view.outcome(), view.stats()["items/refused"]), (Some(Outcome::Finished), 4));
    let again = stack.until_letters_other_than(&ids);
    stack.refuse(None);
    let mut wanted = again.clone();
    wanted.entry(0).or_default().push(4711);
    let replayed = stack.replay(first.job, &wanted);
    let view = stack.wait(replayed.job);
    let stats = view.stats();
    assert_eq!(
        (view.outcome(), stats["items/stored"], stats["dead_letters/gone"]),
        (Some(Outcome::Finished), 4, 1),
        "{stats:?}"
    );
    assert_eq!(stack.rows(), 240, "every listing is there");
    stack.until_letters(0);
    // Once: the same again finds none.
    let view = stack.wait(stack.replay(first.job, &again).job);
    let stats = view.stats();
    assert_eq!((view.outcome(), stats["dead_letters/gone"]), (Some(Outcome::Finished), 4), "{stats:?}");
    (0..2).for_each(|stage| stack.stop(stage));
    stack.assert_settled();
}

#[test]
fn a_request_given_up_enters_again_and_its_links_are_not_followed() {
    let mut stack = Stack::new(1, 2);
    let short = std::time::Duration::from_millis(300);
    stack.pace = weir_driver::remote::Pace { timeout: short, grace: short, slot: short, ..stack.pace };
    stack.poison = Some("index_00001");
    stack.start(0);
    stack.start_function();
    let first = stack.enqueue(&stack.new_job(1));
    let stats = stack.wait(first.job).stats();
    assert_eq!((stats["verdict/dead_lettered/killed_the_function"], stack.rows()), (1, 30), "{stats:?}");
    let letters = stack.until_letters(1);
    let ids = letters.into_iter().map(|(stage, all)| (stage, all.letters.into_keys().collect())).collect();
    stack.stop_functions();
    stack.poison = None;
    stack.start_function();
    let view = stack.wait(stack.replay(first.job, &ids).job);
    let stats = view.stats();
    assert_eq!((view.outcome(), stats["verdict/delivered"]), (Some(Outcome::Finished), 1), "{stats:?}");
    assert_eq!(stack.rows(), 30, "the list is fetched, the listings on it are another crawl's");
    stack.until_letters(0);
    stack.stop(0);
    stack.assert_settled();
}

#[test]
fn an_empty_state_is_refused_where_another_number_of_stages_was() {
    let mut stack = Stack::new(1, 1);
    stack.start(0);
    stack.stop(0);
    stack.resize(2);
    let told = stack.refused(1);
    assert!(told.contains("had 1 stage(s) before") && told.contains("weir stage import"), "{told}");
    stack.begin_anew = true;
    stack.start(1);
    stack.stop(1);
    // From then on the state says for itself whose it is.
    stack.begin_anew = false;
    stack.start(1);
    stack.stop(1);
}
