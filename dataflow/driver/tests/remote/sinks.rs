//! Sinks of a stage that are away, wrong or hang when they are opened, others after a restart, and places that each job has of its own.

use crate::stack::{Sinks, Stack, until};
use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;
use weir_connector::{
    BatchPolicy, BoxFuture, ErrorClass, ItemOutcome, JobInfo, Opened, Sink, SinkError, SinkInfo, SinkKind, SinkMark,
};
use weir_driver::{Output, SystemClock};
use weir_model::json::JobHeader;
use weir_model::{Clock, Item, ItemId, JobId, Outcome};

/// What a place does.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Mood {
    #[default]
    Well,
    /// Does not answer now.
    Away,
    /// Nothing will ever be written as it is.
    Wrong,
    /// Opens, and cannot go on with the first write.
    Breaks,
    /// Does not come back from being opened.
    Hangs,
}

#[derive(Default)]
struct State {
    moods: BTreeMap<String, Mood>,
    rows: BTreeMap<String, BTreeMap<ItemId, u64>>,
    /// As a table has one that was made anew.
    generations: BTreeMap<String, u64>,
    made: u64,
}

/// All places by their URLs.
#[derive(Clone, Default)]
struct World(Arc<(Mutex<State>, Condvar)>);

impl World {
    fn set(&self, url: &str, mood: Mood) {
        self.0.0.lock().expect("no panic").moods.insert(url.to_owned(), mood);
        self.0.1.notify_all();
    }

    fn rows(&self, url: &str) -> usize {
        self.0.0.lock().expect("no panic").rows.get(url).map_or(0, BTreeMap::len)
    }

    fn empty(&self, url: &str) {
        let state = &mut *self.0.0.lock().expect("no panic");
        state.rows.remove(url);
        state.generations.remove(url);
    }

    fn place(&self, url: &str) -> Output {
        Output::new(Box::new(Place { world: self.clone(), url: url.to_owned() }), true)
    }

    /// The same places for every job.
    fn sinks(&self, urls: &'static [&'static str]) -> Option<Sinks> {
        self.sinks_by(move |_| urls.to_vec())
    }

    fn sinks_by(&self, urls: impl Fn(&JobHeader) -> Vec<&'static str> + Send + Sync + 'static) -> Option<Sinks> {
        let world = self.clone();
        Some(Arc::new(move |header| Ok(urls(header).into_iter().map(|url| world.place(url)).collect())))
    }
}

struct Place {
    world: World,
    url: String,
}

impl Place {
    fn error(&self, class: ErrorClass) -> SinkError {
        SinkError::new(class, "it is closed", self.url.clone(), "an open place", "Wait")
    }
}

impl Sink for Place {
    fn describe(&self) -> SinkInfo {
        let batch = BatchPolicy { items_max: 1_000, bytes_max: 1 << 20, ..BatchPolicy::default() };
        SinkInfo { name: "place", url: self.url.clone(), kind: SinkKind::Keyed, batch }
    }

    fn open(&mut self, _: &JobInfo) -> Result<Opened, SinkError> {
        let (state, changed) = &*self.world.0;
        let state = state.lock().expect("no panic");
        let hangs = |state: &mut State| state.moods.get(&self.url) == Some(&Mood::Hangs);
        let (mut state, _) = changed.wait_timeout_while(state, Duration::from_secs(50), hangs).expect("no panic");
        match state.moods.get(&self.url).copied().unwrap_or_default() {
            Mood::Well | Mood::Breaks => {
                state.made += 1;
                let made = state.made;
                Ok(Opened { generation: *state.generations.entry(self.url.clone()).or_insert(made) })
            }
            Mood::Wrong => Err(self.error(ErrorClass::Configuration)),
            Mood::Away | Mood::Hangs => Err(self.error(ErrorClass::Transient)),
        }
    }

    fn write<'a>(
        &'a mut self,
        items: &'a [Arc<Item>],
        outcomes: &'a mut Vec<ItemOutcome>,
    ) -> BoxFuture<'a, Result<SinkMark, SinkError>> {
        outcomes.clear();
        let mut state = self.world.0.0.lock().expect("no panic");
        if state.moods.get(&self.url).is_some_and(|mood| *mood != Mood::Well) {
            let error = self.error(ErrorClass::Permanent);
            return Box::pin(async { Err(error) });
        }
        let rows = state.rows.entry(self.url.clone()).or_default();
        for item in items {
            rows.insert(item.id, item.hash);
            outcomes.push(ItemOutcome::Stored);
        }
        Box::pin(async { Ok(SinkMark::default()) })
    }

    fn finish(&mut self, _: Outcome, _: bool) -> BoxFuture<'_, Result<(), SinkError>> {
        Box::pin(async { Ok(()) })
    }
}

fn failure(stack: &Stack, job: JobId) -> String {
    let view = stack.look(job);
    view.parts.iter().filter_map(|part| part.failure.clone()).collect::<Vec<_>>().join("\n")
}

#[test]
fn more_jobs_than_a_state_has_names_have_places_of_their_own_each_whole() {
    let mut stack = Stack::new(1, 1);
    let world = World::default();
    let places = world.clone();
    stack.sinks = Some(Arc::new(move |header| {
        let known_as = Some("place:%(job)s".to_owned());
        Ok(vec![Output { known_as, ..places.place(&format!("place:{}", header.job.0)) }, places.place("place:all")])
    }));
    stack.start(0);
    stack.start_function();
    for number in 1..=40 {
        let job = stack.enqueue(&stack.new_job(1)).job;
        let view = stack.wait(job);
        assert_eq!((job, view.outcome()), (JobId(number), Some(Outcome::Finished)), "{}", failure(&stack, job));
        // What the jobs before have written elsewhere is not taken for written here; in the common place it is.
        assert_eq!(world.rows(&format!("place:{number}")), 30);
        let unchanged = view.stats().get("items/unchanged").copied().unwrap_or(0);
        assert_eq!(unchanged, if number == 1 { 0 } else { 30 });
    }
    assert_eq!(world.rows("place:all"), 30);
    stack.stop(0);
    stack.assert_settled();
}

#[test]
fn a_running_job_keeps_its_sinks_by_their_names_however_the_stage_is_started() {
    let mut stack = Stack::new(1, 3);
    let world = World::default();
    stack.sinks = world.sinks(&["place:a", "place:b"]);
    stack.start(0);
    let first = stack.enqueue(&stack.new_job(1)).job;
    stack.until_received("fetch");
    stack.stop(0);
    stack.sinks = world.sinks(&["place:c", "place:b"]);
    let said = stack.refused(0);
    for told in ["job 1 writes to place:a,", "-o, WEIR_SINKS", "until the job has ended"] {
        assert!(said.contains(told), "{told:?} in {said}");
    }
    stack.sinks = world.sinks(&["place:c", "place:b", "place:a"]);
    stack.start(0);
    stack.start_function();
    assert_eq!(stack.wait(first).outcome(), Some(Outcome::Finished));
    assert_eq!(["a", "b", "c"].map(|name| world.rows(&format!("place:{name}"))), [90, 90, 0]);
    let second = stack.enqueue(&stack.new_job(1)).job;
    assert_eq!(stack.wait(second).outcome(), Some(Outcome::Finished));
    assert_eq!(world.rows("place:c"), 90, "a new job has the new sink");
    stack.stop(0);
    stack.sinks = world.sinks(&["place:c"]);
    stack.start(0);
    stack.stop(0);
    stack.assert_settled();
}

#[test]
fn a_job_whose_sink_is_away_at_a_start_waits_and_can_be_cancelled_while_others_go_on() {
    let mut stack = Stack::new(1, 3);
    let world = World::default();
    stack.sinks = world.sinks_by(|header| match header.job.0 {
        1 | 2 => vec!["place:away"],
        _ => vec!["place:here"],
    });
    stack.start(0);
    let jobs = [1, 2].map(|_| stack.enqueue(&stack.new_job(1)).job);
    stack.until_received("fetch");
    until("both jobs", || jobs.iter().all(|job| stack.look(*job).parts.iter().any(|part| part.shards_taken == 1)));
    stack.stop(0);
    world.set("place:away", Mood::Away);
    stack.start(0);
    stack.start_function();
    let third = stack.enqueue(&stack.new_job(1)).job;
    assert_eq!(stack.wait(third).outcome(), Some(Outcome::Finished));
    assert_eq!((world.rows("place:here"), world.rows("place:away")), (90, 0));
    until("what it waits for", || failure(&stack, jobs[0]).contains("it waits for the sink place:away"));
    assert_eq!(stack.look(jobs[0]).outcome(), None);
    stack.cancel(jobs[1]);
    assert_eq!(stack.wait(jobs[1]).outcome(), Some(Outcome::Cancelled));
    // The one that was not cancelled goes on when its sink is there again: it was away, and emptied.
    world.empty("place:away");
    world.set("place:away", Mood::Well);
    assert_eq!(stack.wait(jobs[0]).outcome(), Some(Outcome::Finished));
    assert_eq!(world.rows("place:away"), 90);
    assert_eq!(failure(&stack, jobs[0]), "");
    stack.stop(0);
    stack.assert_settled();
}

#[test]
fn a_sink_that_hangs_when_it_is_opened_holds_up_neither_other_jobs_nor_the_end_of_the_stage() {
    let mut stack = Stack::new(1, 1);
    let world = World::default();
    stack.sinks = world.sinks_by(|header| if header.job.0 == 1 { vec!["place:hangs"] } else { vec!["place:here"] });
    world.set("place:hangs", Mood::Hangs);
    let clock = SystemClock::start();
    let began = clock.now();
    stack.start(0);
    stack.start_function();
    let jobs = [1, 2].map(|_| stack.enqueue(&stack.new_job(1)).job);
    assert_eq!(stack.wait(jobs[1]).outcome(), Some(Outcome::Finished));
    stack.stop(0);
    stack.start(0);
    stack.cancel(jobs[0]);
    assert_eq!(stack.wait(jobs[0]).outcome(), Some(Outcome::Cancelled));
    stack.stop(0);
    assert!(clock.now().since(began) < Duration::from_secs(40), "nobody waited for it");
    world.set("place:hangs", Mood::Well);
    stack.assert_settled();
}

#[test]
fn what_a_sink_that_broke_had_not_stored_becomes_dead_letters_and_its_job_ends_with_the_reason() {
    let mut stack = Stack::new(1, 1);
    let world = World::default();
    stack.sinks = world.sinks_by(|header| match header.job.0 {
        1 => vec!["place:breaks", "place:here"],
        _ => vec!["place:here", "place:breaks"],
    });
    world.set("place:breaks", Mood::Breaks);
    stack.start(0);
    stack.start_function();
    let first = stack.enqueue(&stack.new_job(1)).job;
    until("what it waits for", || failure(&stack, first).contains("place:breaks"));
    assert_eq!(stack.look(first).outcome(), None);
    stack.stop(0);
    world.set("place:breaks", Mood::Wrong);
    stack.start(0);
    let view = stack.wait(first);
    assert_eq!(view.outcome(), Some(Outcome::Failed));
    assert!(failure(&stack, first).contains("sink place:breaks: it is closed"), "{}", failure(&stack, first));
    let stored = world.rows("place:here");
    assert!(stored > 0 && view.stats()["items/refused"] == stored as u64, "{:?}", view.stats());
    let letters = stack.until_letters(stored);
    let reasons = letters[&0].letters.values().map(|kept| kept.letter.reason.as_str());
    assert!(reasons.clone().all(|reason| reason.contains("could not be opened: it is closed")), "{letters:?}");
    let ids = BTreeMap::from([(0, letters[&0].letters.keys().copied().collect())]);
    world.set("place:breaks", Mood::Well);
    assert_eq!(stack.wait(stack.replay(first, &ids).job).outcome(), Some(Outcome::Finished));
    assert_eq!(world.rows("place:breaks"), stored, "nothing was lost");
    stack.stop(0);
    stack.assert_settled();
}

#[test]
fn a_sink_that_was_emptied_is_known_to_be_empty_however_often_the_stage_is_started_before_it_is_filled() {
    let mut stack = Stack::new(1, 1);
    let world = World::default();
    stack.sinks = world.sinks(&["place:a"]);
    stack.start(0);
    stack.start_function();
    let first = stack.enqueue(&stack.new_job(1)).job;
    assert_eq!(stack.wait(first).outcome(), Some(Outcome::Finished));
    stack.stop_functions();
    stack.stop(0);
    world.empty("place:a");
    stack.start(0);
    let second = stack.enqueue(&stack.new_job(1)).job;
    until("the second job", || stack.look(second).parts.iter().any(|part| part.shards_taken == 1));
    stack.stop(0);
    stack.start(0);
    stack.start_function();
    assert_eq!(stack.wait(second).outcome(), Some(Outcome::Finished));
    assert_eq!(world.rows("place:a"), 30, "nothing in it is taken for unchanged");
    stack.stop(0);
    stack.assert_settled();
}

#[test]
fn a_sink_that_recovers_gets_again_what_it_had_not_settled() {
    let mut stack = Stack::new(1, 3);
    let world = World::default();
    stack.sinks = world.sinks(&["place:breaks"]);
    world.set("place:breaks", Mood::Breaks);
    stack.start(0);
    stack.start_function();
    let job = stack.enqueue(&stack.new_job(1)).job;
    until("what it waits for", || failure(&stack, job).contains("place:breaks"));
    world.set("place:breaks", Mood::Well);
    assert_eq!(stack.wait(job).outcome(), Some(Outcome::Finished));
    assert_eq!(world.rows("place:breaks"), 90);
    stack.stop(0);
    stack.assert_settled();
}

#[test]
fn a_job_that_cannot_be_made_anew_at_a_start_ends_and_the_stage_runs() {
    let mut stack = Stack::new(1, 1);
    let world = World::default();
    stack.sinks = world.sinks(&["place:a"]);
    stack.start(0);
    let first = stack.enqueue(&stack.new_job(1)).job;
    stack.until_received("fetch");
    stack.stop(0);
    let places = world.clone();
    stack.sinks = Some(Arc::new(move |header| match header.job.0 {
        1 => Err(SinkError::new(ErrorClass::Configuration, "unknown name", "place:a", "another", "Correct it")),
        _ => Ok(vec![places.place("place:a")]),
    }));
    stack.start(0);
    stack.start_function();
    assert_eq!(stack.wait(first).outcome(), Some(Outcome::Failed));
    assert!(failure(&stack, first).contains("enqueue it again"), "{}", failure(&stack, first));
    let second = stack.enqueue(&stack.new_job(1)).job;
    assert_eq!(stack.wait(second).outcome(), Some(Outcome::Finished));
    assert_eq!(world.rows("place:a"), 30);
    stack.stop(0);
    stack.assert_settled();
}
