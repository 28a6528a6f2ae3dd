//! The suite that every sink passes: a fake that behaves unlike the real thing is worse than none.
//!
//! A sink's tests implement `Place` (make a sink on it, read it back) and call `suite`. Each part is named by what it promises.

mod near;

pub use near::nearest;

use crate::{ItemOutcome, JobInfo, Read, Sink, SinkKind, SinkMark};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::sync::Arc;
use weir_model::{Field, FieldKind, Item, ItemId, ItemSchema, JobId, KeyScope, Outcome, UnixMs, Value};

/// An empty place that sinks are opened on, one after the other.
pub trait Place {
    /// A new sink on the place, as a new process would make it.
    fn sink(&mut self) -> Box<dyn Sink>;
    /// What is stored, as (`url`, `price`) of each item; for appending sinks in order.
    fn read(&mut self) -> Vec<(String, Json)>;
    /// What a process that is killed leaves of its sink: nothing of its code runs any more.
    fn killed(&mut self, sink: Box<dyn Sink>) {
        std::mem::forget(sink);
    }
}

/// The schema of the suite's items.
#[must_use]
pub fn schema() -> ItemSchema {
    let field = |name: &str, kind, many| Field { name: name.to_owned(), kind, many, volatile: false };
    ItemSchema {
        spider: "contract".to_owned(),
        name: "listing".to_owned(),
        fields: vec![
            field("url", FieldKind::Str, false),
            field("price", FieldKind::Float, false),
            field("rooms", FieldKind::Int, false),
            field("tags", FieldKind::Str, true),
            field("seen", FieldKind::Datetime, false),
            field("location", FieldKind::GeoPoint, false),
            field("extra", FieldKind::Json, false),
            field("new", FieldKind::Bool, false),
        ],
        key: vec!["url".to_owned()],
        key_scope: KeyScope::Spider,
    }
}

/// An item without values.
#[must_use]
pub fn blank_item() -> Item {
    Item { job: JobId(7), schema: 0, id: ItemId(0), hash: 0, version: 0, values: Vec::new() }
}

/// Item number `id` in a version, with a price.
#[must_use]
pub fn item(id: u32, version: u64, price: f64) -> Arc<Item> {
    let values = vec![
        Value::Str(format!("http://site/{id:05}").into()),
        Value::Float(price),
        Value::Int(i64::from(id)),
        Value::List(vec![Value::Str("a,b".into()), Value::Str("c\"d\né".into())]),
        Value::Datetime(1_420_074_061_000),
        if id.is_multiple_of(2) {
            Value::Geo { lat: 51.5, lon: -0.25 + f64::from(id % 100) / 1000.0 }
        } else {
            Value::Null
        },
        Value::Json(Box::new(serde_json::json!({"n": [1, 2.5, null]}))),
        Value::Bool(true),
    ];
    Arc::new(Item { id: ItemId(u128::from(id) << 64 | 5), hash: price.to_bits(), version, values, ..blank_item() })
}

/// An item that no sink can store: its values are not those of its schema.
#[must_use]
pub fn poison(id: u32) -> Arc<Item> {
    let good = item(id, 1, 1.0);
    Arc::new(Item { values: good.values[..2].to_vec(), ..(*good).clone() })
}

/// The suite's job.
#[must_use]
pub fn job(resume: Option<SinkMark>) -> JobInfo {
    JobInfo {
        state: 0xabc,
        job: JobId(7),
        spider: "contract".to_owned(),
        started: UnixMs(1_763_725_244_567),
        schemas: vec![Arc::new(schema())],
        resume,
    }
}

/// Runs everything on fresh places.
///
/// # Panics
/// When the sink breaks a promise.
pub fn suite<P: Place>(mut fresh: impl FnMut() -> P) {
    one_outcome_an_item_in_order(&mut fresh());
    an_empty_batch_changes_nothing(&mut fresh());
    poison_does_not_hold_up_the_rest(&mut fresh());
    what_was_written_is_there_for_the_next_process(&mut fresh());
    a_job_resumed_at_its_mark_repeats_nothing_and_loses_nothing(&mut fresh());
    a_job_that_died_before_its_first_mark_begins_again(&mut fresh());
    finishing_twice_is_finishing_once(&mut fresh());
    what_was_written_reads_back_as_it_was(&mut fresh());
    the_generation_stays_as_long_as_the_place(&mut fresh());
    let kind = fresh().sink().describe().kind;
    match kind {
        SinkKind::Keyed => {
            writing_again_changes_nothing(&mut fresh());
            an_older_version_never_overwrites(&mut fresh());
            of_the_same_version_the_greater_hash_wins(&mut fresh());
            versions_in_one_batch_settle_in_any_order(&mut fresh());
            what_is_gone_is_marked_once_and_comes_back(&mut fresh());
        }
        SinkKind::Appending => order_is_kept(&mut fresh()),
    }
}

/// Writes and waits.
///
/// # Panics
/// When the write fails or the outcomes are not one an item.
pub fn write(sink: &mut dyn Sink, items: &[Arc<Item>]) -> (Vec<ItemOutcome>, SinkMark) {
    let mut outcomes = vec![ItemOutcome::Stale; 3];
    let mark = wait(sink.write(items, &mut outcomes)).expect("the write succeeds");
    assert_eq!(outcomes.len(), items.len(), "one outcome an item, left-overs removed");
    (outcomes, mark)
}

/// Runs a future that does not need a runtime.
pub fn wait<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    loop {
        if let std::task::Poll::Ready(done) = future.as_mut().poll(&mut context) {
            return done;
        }
        std::thread::yield_now();
    }
}

fn opened(place: &mut impl Place, resume: Option<SinkMark>) -> Box<dyn Sink> {
    let mut sink = place.sink();
    sink.open(&job(resume)).expect("the place is opened");
    sink
}

fn finish(mut sink: Box<dyn Sink>) {
    wait(sink.finish(Outcome::Finished, true)).expect("it finishes");
}

fn stored(place: &mut impl Place) -> BTreeMap<String, f64> {
    let rows = place.read();
    let count = rows.len();
    let map: BTreeMap<String, f64> =
        rows.into_iter().map(|(url, price)| (url, price.as_f64().expect("a price"))).collect();
    assert_eq!(map.len(), count, "no item twice");
    map
}

fn expected(ids: impl IntoIterator<Item = (u32, f64)>) -> BTreeMap<String, f64> {
    ids.into_iter().map(|(id, price)| (format!("http://site/{id:05}"), price)).collect()
}

fn one_outcome_an_item_in_order(place: &mut impl Place) {
    let mut sink = opened(place, None);
    let items: Vec<_> = (0..500).map(|id| if id % 50 == 7 { poison(id) } else { item(id, 1, f64::from(id)) }).collect();
    let (outcomes, _) = write(&mut *sink, &items);
    for (id, outcome) in outcomes.iter().enumerate() {
        assert_eq!(matches!(outcome, ItemOutcome::Refused { .. }), id % 50 == 7, "item {id}: {outcome:?}");
    }
    finish(sink);
}

fn an_empty_batch_changes_nothing(place: &mut impl Place) {
    let mut sink = opened(place, None);
    write(&mut *sink, &[]);
    write(&mut *sink, &[item(1, 1, 1.0)]);
    let (outcomes, _) = write(&mut *sink, &[]);
    assert!(outcomes.is_empty());
    finish(sink);
    assert_eq!(stored(place), expected([(1, 1.0)]));
}

fn poison_does_not_hold_up_the_rest(place: &mut impl Place) {
    let mut sink = opened(place, None);
    let foreign = Arc::new(Item { schema: 9, ..(*item(5, 1, 1.0)).clone() });
    let (outcomes, _) = write(&mut *sink, &[item(1, 1, 1.0), poison(2), item(3, 1, 3.0), foreign]);
    for refused in [&outcomes[1], &outcomes[3]] {
        let ItemOutcome::Refused { reason } = refused else { panic!("poison is refused, not {refused:?}") };
        assert!(reason.len() > 10, "with a reason: {reason:?}");
    }
    finish(sink);
    assert_eq!(stored(place), expected([(1, 1.0), (3, 3.0)]));
}

fn what_was_written_is_there_for_the_next_process(place: &mut impl Place) {
    let mut sink = opened(place, None);
    write(&mut *sink, &[item(1, 1, 1.0), item(2, 1, 2.0)]);
    place.killed(sink);
    assert_eq!(stored(place), expected([(1, 1.0), (2, 2.0)]));
}

fn a_job_resumed_at_its_mark_repeats_nothing_and_loses_nothing(place: &mut impl Place) {
    let mut sink = opened(place, None);
    let (_, mark) = write(&mut *sink, &[item(1, 1, 1.0), item(2, 1, 2.0)]);
    write(&mut *sink, &[item(3, 1, 3.0)]); // its mark is lost with the process
    place.killed(sink);
    let mut sink = opened(place, Some(mark));
    let (outcomes, mark) = write(&mut *sink, &[item(3, 1, 3.0), item(4, 1, 4.0)]);
    assert!(
        outcomes.iter().all(|outcome| matches!(outcome, ItemOutcome::Stored | ItemOutcome::Unchanged)),
        "{outcomes:?}"
    );
    wait(sink.finish(Outcome::Shutdown, false)).expect("it pauses");
    drop(sink);
    let mut sink = opened(place, Some(mark));
    write(&mut *sink, &[item(5, 1, 5.0)]);
    finish(sink);
    assert_eq!(stored(place), expected((1..=5).map(|id| (id, f64::from(id)))));
}

fn a_job_that_died_before_its_first_mark_begins_again(place: &mut impl Place) {
    let mut sink = opened(place, None);
    write(&mut *sink, &[item(1, 1, 1.0)]);
    place.killed(sink);
    let mut sink = opened(place, None);
    write(&mut *sink, &[item(1, 1, 1.0), item(2, 1, 2.0)]);
    finish(sink);
    assert_eq!(stored(place), expected([(1, 1.0), (2, 2.0)]));
}

fn finishing_twice_is_finishing_once(place: &mut impl Place) {
    let mut sink = opened(place, None);
    let (_, mark) = write(&mut *sink, &[item(1, 1, 1.0)]);
    wait(sink.finish(Outcome::Finished, true)).expect("it finishes");
    wait(sink.finish(Outcome::Finished, true)).expect("it finishes again");
    drop(sink);
    // Killed after finishing and before that was recorded: the job is opened once more.
    finish(opened(place, Some(mark)));
    assert_eq!(stored(place), expected([(1, 1.0)]));
}

fn the_generation_stays_as_long_as_the_place(place: &mut impl Place) {
    let mut sink = place.sink();
    let first = sink.open(&job(None)).expect("opens").generation;
    let (_, mark) = write(&mut *sink, &[item(1, 1, 1.0)]);
    place.killed(sink);
    let again = place.sink().open(&job(Some(mark))).expect("opens").generation;
    assert_eq!(first, again);
}

fn writing_again_changes_nothing(place: &mut impl Place) {
    let mut sink = opened(place, None);
    let items = [item(1, 1, 1.0), item(2, 1, 2.0)];
    assert_eq!(write(&mut *sink, &items).0, [ItemOutcome::Stored, ItemOutcome::Stored]);
    assert_eq!(write(&mut *sink, &items).0, [ItemOutcome::Unchanged, ItemOutcome::Unchanged]);
    finish(sink);
    assert_eq!(stored(place), expected([(1, 1.0), (2, 2.0)]));
}

fn an_older_version_never_overwrites(place: &mut impl Place) {
    let mut sink = opened(place, None);
    assert_eq!(write(&mut *sink, &[item(1, 20, 20.0)]).0, [ItemOutcome::Stored]);
    assert_eq!(write(&mut *sink, &[item(1, 10, 10.0)]).0, [ItemOutcome::Stale]);
    assert_eq!(stored(place), expected([(1, 20.0)]));
    assert_eq!(write(&mut *sink, &[item(1, 30, 5.0)]).0, [ItemOutcome::Stored]);
    finish(sink);
    assert_eq!(stored(place), expected([(1, 5.0)]));
}

fn of_the_same_version_the_greater_hash_wins(place: &mut impl Place) {
    let with_hash = |price: f64, hash: u64| Arc::new(Item { hash, ..(*item(1, 10, price)).clone() });
    let mut sink = opened(place, None);
    write(&mut *sink, &[with_hash(1.0, 1 << 62)]);
    assert_eq!(
        write(&mut *sink, &[with_hash(2.0, 3 << 62)]).0,
        [ItemOutcome::Stored],
        "hashes are compared without a sign"
    );
    assert_eq!(write(&mut *sink, &[with_hash(1.0, 1 << 62)]).0, [ItemOutcome::Stale]);
    finish(sink);
    assert_eq!(stored(place), expected([(1, 2.0)]));
}

fn versions_in_one_batch_settle_in_any_order(place: &mut impl Place) {
    let mut sink = opened(place, None);
    let batch = [item(1, 2, 2.0), item(1, 3, 3.0), item(1, 1, 1.0), item(2, 9, 9.0), item(2, 9, 9.0)];
    let (outcomes, _) = write(&mut *sink, &batch);
    assert_eq!(
        outcomes,
        [ItemOutcome::Stored, ItemOutcome::Stored, ItemOutcome::Stale, ItemOutcome::Stored, ItemOutcome::Unchanged]
    );
    finish(sink);
    assert_eq!(stored(place), expected([(1, 3.0), (2, 9.0)]));
}

/// Sinks that cannot be read back say so; the others give every item with its values.
fn what_was_written_reads_back_as_it_was(place: &mut impl Place) {
    let mut sink = opened(place, None);
    let items: Vec<_> = (0..50).map(|id| item(id, 3, f64::from(id) / 7.0)).collect();
    write(&mut *sink, &items);
    finish(sink);
    let mut sink = place.sink();
    let mut found = BTreeMap::new();
    let info = job(None);
    let mut count = 0;
    let read = wait(sink.read_back(&info, &mut |stored| {
        count += 1;
        found.insert(stored.name(&schema()).expect("its key is there"), stored);
    }));
    if let Err(error) = read {
        assert!(error.what.contains("cannot be read back"), "{error}");
        return;
    }
    assert_eq!((count, found.len()), (50, 50), "every item once");
    for item in &items {
        let stored = &found[&crate::read::name_of(&schema(), item).expect("a key")];
        for (value, read) in item.values.iter().zip(&stored.values) {
            // A place may be unable to tell; what it tells is true.
            assert!(
                matches!(read, Read::Unsure(_)) || *read == Read::Value(value.clone()),
                "{read:?} instead of {value:?}"
            );
        }
        assert_eq!(stored.values.len(), item.values.len());
        assert!(stored.id.is_none_or(|id| id == item.id) && stored.version.is_none_or(|version| version == 3));
        assert!(stored.hash.is_none_or(|hash| hash == item.hash));
    }
}

fn what_is_gone_is_marked_once_and_comes_back(place: &mut impl Place) {
    let mut sink = opened(place, None);
    assert!(sink.can_delist(), "a sink that keeps one row an item can mark it as gone");
    write(&mut *sink, &[item(1, 10, 1.0), item(2, 30, 2.0)]);
    let ids = [1, 2, 9].map(|id| item(id, 1, 1.0).id);
    let mark = |sink: &mut dyn Sink, at| wait(sink.delist(0, &ids, at)).expect("it marks");
    let [stored, unchanged, stale] = [ItemOutcome::Stored, ItemOutcome::Unchanged, ItemOutcome::Stale];
    assert_eq!(mark(&mut *sink, 20), [stored.clone(), stale.clone(), unchanged.clone()], "9 is not there");
    assert_eq!(mark(&mut *sink, 20), [unchanged.clone(), stale.clone(), unchanged.clone()]);
    assert_eq!(self::stored(place), expected([(1, 1.0), (2, 2.0)]), "what is stored stays");
    let back = write(&mut *sink, &[item(1, 40, 1.0)]).0;
    assert_eq!(back, [ItemOutcome::Stored], "a newer version takes the mark off");
    assert_eq!(mark(&mut *sink, 40), [stale, stored, unchanged], "and it can be marked again later");
    finish(sink);
}

fn order_is_kept(place: &mut impl Place) {
    let mut sink = opened(place, None);
    for start in [900u32, 0, 500] {
        let items: Vec<_> = (start..start + 100).map(|id| item(id, 1, 1.0)).collect();
        write(&mut *sink, &items);
    }
    finish(sink);
    let urls: Vec<String> = place.read().into_iter().map(|(url, _)| url).collect();
    let expected: Vec<String> = [900u32, 0, 500]
        .into_iter()
        .flat_map(|start| (start..start + 100).map(|id| format!("http://site/{id:05}")))
        .collect();
    assert_eq!(urls, expected);
}
