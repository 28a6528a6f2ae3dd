//! The dataflow of one worker: five operators over state that the worker owns, six with a geocoder.
//!
//! ```text
//!  events ─exchange by slot─> Settle ─offers──> Prepare ─exchange by domain slot─> Admit     (Compute is in Settle)
//!                               │ items ─[exchange by address slot─> Geocode]─ by item slot──> Items
//!                               └ settled items ──┬──────────exchange by page slot─> Ledger
//!                                       Items ────┘
//! ```
//! The order in which items pass is the table in `path`.
//! Operators are synchronous, never block and know no time but the step's. Everything that must reach the outside is left
//! in the worker's `State`, which the shell (`worker`) empties after the step has come to rest.

use crate::event::Event;
use crate::geocode::PageItem;
use crate::items::item_slot;
use crate::ledger::page_slot;
use crate::moved::Moved;
use crate::path::{ITEM_PATH, ItemStage};
use crate::worker::State;
use std::cell::RefCell;
use std::rc::Rc;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::operators::generic::operator::Operator;
use timely::dataflow::operators::{Concat, Probe};
use timely::dataflow::{InputHandle, ProbeHandle, Scope, Stream};
use timely::progress::operate::FrontierInterest;
use timely::worker::Worker;
use weir_frontier::{CandidateBatch, Offer, RobotsAnswer};
use weir_model::ReleaseId;

type Epoch = u64;
type Builder<T> = CapacityContainerBuilder<Vec<Moved<T>>>;
type Flow<'scope, T> = Stream<'scope, Epoch, Vec<Moved<T>>>;

/// The worker's end of its dataflow.
pub(crate) struct Graph {
    pub input: InputHandle<Epoch, Builder<Event>>,
    pub probe: ProbeHandle<Epoch>,
}

/// What a settled report leads to in the frontier.
#[derive(Clone)]
pub(crate) enum Found {
    Offer(Offer),
    Robots(RobotsAnswer),
}

/// What the owner of a slot takes in.
#[derive(Clone)]
pub(crate) enum Inward {
    Batch(CandidateBatch),
    Robots(RobotsAnswer),
}

/// How far the items have come while the graph is built.
enum Way<'scope> {
    Items(Flow<'scope, PageItem>),
    Done(Flow<'scope, ReleaseId>),
}

/// `geocodes`: whether items pass a geocoder.
pub(crate) fn build(worker: &mut Worker, state: &Rc<RefCell<State>>, geocodes: bool) -> Graph {
    let mut input = InputHandle::<Epoch, Builder<Event>>::new_with_builder();
    let probe = ProbeHandle::new();
    let here = worker.index() as u64;
    worker.dataflow::<Epoch, _, _>(|scope| {
        let events = input.to_stream(scope);
        let (offers, items, done_here) = settle(scope, events, here, Rc::clone(state));
        let admitted = admit(prepare(offers, Rc::clone(state)), Rc::clone(state));
        let mut way = Way::Items(items);
        for passage in &ITEM_PATH {
            way = match (passage.stage, way) {
                (ItemStage::Geocode, Way::Items(items)) if geocodes => Way::Items(geocode(items, Rc::clone(state))),
                (ItemStage::Items, Way::Items(items)) => {
                    Way::Done(keep_items(items, Rc::clone(state)).concat(done_here.clone()))
                }
                (ItemStage::Ledger, Way::Done(done)) => {
                    ledger(done.clone(), Rc::clone(state)).probe_with(&probe);
                    Way::Done(done)
                }
                // The first stage is above, and computations with it: they ask for no other owner. Sinks are outside and come back as events.
                (_, way) => way,
            };
        }
        admitted.probe_with(&probe);
    });
    Graph { input, probe }
}

/// The slot an event belongs to: reports with their release, confirmations with their item, computations with their page, geocodes with their address or provider,
/// offers wherever they arrive.
pub(crate) fn owner(event: &Event) -> Option<u8> {
    match event {
        Event::Report(report) => Some(page_slot(report.release)),
        Event::Written { id, .. } | Event::Refused { id, .. } => Some(id.slot()),
        Event::Again(again) | Event::Locate(again) => Some(page_slot(again.page)),
        Event::Delisted(delisted) => Some(delisted.slot),
        Event::SeenElsewhere(seen) => Some(seen.slot),
        Event::Computed(computed) => Some(computed.id.slot()),
        Event::Geo(event) => Some(event.slot() as u8),
        Event::Left(left) => left.0.slot(),
        Event::Offer(_) | Event::Robots(_) => None,
    }
}

fn route(event: &Event, here: u64) -> u64 {
    owner(event).map_or(here, u64::from)
}

fn settle<'scope>(
    scope: Scope<'scope, Epoch>,
    events: Flow<'scope, Event>,
    here: u64,
    state: Rc<RefCell<State>>,
) -> (Flow<'scope, Found>, Flow<'scope, PageItem>, Flow<'scope, ReleaseId>) {
    let mut builder = OperatorBuilder::new(ItemStage::Settle.name().to_owned(), scope);
    let mut input = builder.new_input(events, Exchange::new(move |event: &Moved<Event>| route(&event.0, here)));
    builder.set_notify_for(0, FrontierInterest::Never);
    let (offers_output, offers) = builder.new_output();
    let (items_output, items) = builder.new_output();
    let (done_output, done) = builder.new_output();
    let mut offers_output = OutputBuilder::<Epoch, Builder<Found>>::from(offers_output);
    let mut items_output = OutputBuilder::<Epoch, Builder<PageItem>>::from(items_output);
    let mut done_output = OutputBuilder::<Epoch, Builder<ReleaseId>>::from(done_output);
    builder.build(move |_| {
        move |_frontiers| {
            let mut offers = offers_output.activate();
            let mut items = items_output.activate();
            let mut done = done_output.activate();
            input.for_each_time(|time, data| {
                let mut offers = offers.session(&time);
                let mut items = items.session(&time);
                let mut done = done.session(&time);
                let state = &mut *state.borrow_mut();
                for Moved(event) in data.flat_map(|batch| batch.drain(..)) {
                    state.settle(event);
                    for offer in state.offers.drain(..) {
                        offers.give(Moved(Found::Offer(offer)));
                    }
                    for answer in state.robots.drain(..) {
                        offers.give(Moved(Found::Robots(answer)));
                    }
                    for item in state.page_items.drain(..) {
                        items.give(Moved(item));
                    }
                    for page in state.items_out.settled_pages.drain(..) {
                        done.give(Moved(page));
                    }
                }
            });
        }
    });
    (offers, items, done)
}

fn prepare<'scope>(found: Flow<'scope, Found>, state: Rc<RefCell<State>>) -> Flow<'scope, Inward> {
    found.unary::<Builder<Inward>, _, _, _>(Pipeline, "Prepare", move |_, _| {
        move |input, output| {
            input.for_each_time(|time, data| {
                let mut session = output.session(&time);
                let state = &mut *state.borrow_mut();
                for Moved(found) in data.flat_map(|batch| batch.drain(..)) {
                    match found {
                        Found::Offer(offer) => state.prepare(&offer),
                        Found::Robots(answer) => session.give(Moved(Inward::Robots(answer))),
                    }
                }
                for batch in state.candidates.drain(..) {
                    session.give(Moved(Inward::Batch(batch)));
                }
            });
        }
    })
}

fn admit<'scope>(inward: Flow<'scope, Inward>, state: Rc<RefCell<State>>) -> Flow<'scope, ()> {
    let pact = Exchange::new(|inward: &Moved<Inward>| match &inward.0 {
        Inward::Batch(batch) => u64::from(batch.slot),
        Inward::Robots(answer) => u64::from(answer.slot),
    });
    inward.unary::<Builder<()>, _, _, _>(pact, "Admit", move |_, _| {
        move |input, _output| {
            input.for_each_time(|_time, data| {
                let state = &mut *state.borrow_mut();
                for Moved(inward) in data.flat_map(|batch| batch.drain(..)) {
                    match inward {
                        Inward::Batch(batch) => state.admit(batch),
                        Inward::Robots(answer) => state.robots_answer(answer),
                    }
                }
            });
        }
    })
}

fn geocode<'scope>(items: Flow<'scope, PageItem>, state: Rc<RefCell<State>>) -> Flow<'scope, PageItem> {
    let pact = Exchange::new(|item: &Moved<PageItem>| u64::from(item.0.slot()));
    items.unary::<Builder<PageItem>, _, _, _>(pact, ItemStage::Geocode.name(), move |_, _| {
        move |input, output| {
            input.for_each_time(|time, data| {
                let mut session = output.session(&time);
                let state = &mut *state.borrow_mut();
                for Moved(item) in data.flat_map(|batch| batch.drain(..)) {
                    state.look_up(item);
                    for item in state.page_items.drain(..) {
                        session.give(Moved(item));
                    }
                }
            });
        }
    })
}

fn keep_items<'scope>(items: Flow<'scope, PageItem>, state: Rc<RefCell<State>>) -> Flow<'scope, ReleaseId> {
    let pact = Exchange::new(|item: &Moved<PageItem>| u64::from(item_slot(item.0.item.id)));
    items.unary::<Builder<ReleaseId>, _, _, _>(pact, ItemStage::Items.name(), move |_, _| {
        move |input, output| {
            input.for_each_time(|time, data| {
                let mut session = output.session(&time);
                let state = &mut *state.borrow_mut();
                for Moved(PageItem { page, item, sinks, .. }) in data.flat_map(|batch| batch.drain(..)) {
                    state.accept(page, item, sinks);
                }
                for page in state.items_out.settled_pages.drain(..) {
                    session.give(Moved(page));
                }
            });
        }
    })
}

fn ledger<'scope>(done: Flow<'scope, ReleaseId>, state: Rc<RefCell<State>>) -> Flow<'scope, ()> {
    let pact = Exchange::new(|page: &Moved<ReleaseId>| u64::from(page_slot(page.0)));
    done.unary::<Builder<()>, _, _, _>(pact, ItemStage::Ledger.name(), move |_, _| {
        move |input, _output| {
            input.for_each_time(|_time, data| {
                let state = &mut *state.borrow_mut();
                for Moved(page) in data.flat_map(|batch| batch.drain(..)) {
                    state.item_settled(page);
                }
            });
        }
    })
}
