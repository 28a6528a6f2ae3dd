//! Items between their page and the owner of their key, as far as a location is looked up for them.
//!
//! Decides which items want a location, what of one that waits is in the journal, and when it goes on. How addresses are found out
//! is `weir-geo`'s. Invariants:
//! - an item that is still here when a step ends has a record, and one that has such a record has another when it goes on: so a
//!   restart finds exactly those that wait;
//! - an item goes on exactly once, with or without a location;
//! - without a geocoder no item stops here.

mod restart;

use crate::hash::KeyMap;
use crate::items::{SLOTS, item_slot};
use crate::record;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use weir_frontier::GeocodeField;
use weir_geo::{
    Answer, Command, Gazetteer, GeoConfig, GeoCounts, Geocoder, NormalisedAddress, Notice, Out, Provider, ToDesk, Told,
    Waiter, hash_with_location, normalise,
};
use weir_model::{Item, JobId, ReleaseId, Tick, Value};

/// What locations are looked up with.
#[derive(Clone, Debug)]
pub struct Geocoding {
    /// Settings.
    pub config: Arc<GeoConfig>,
    /// Places that are known beforehand.
    pub gazetteer: Arc<Gazetteer>,
    /// Whom to ask, in this order.
    pub providers: Vec<Arc<Provider>>,
}

/// An item on its way from its page to the owner of its key.
#[derive(Clone, Debug)]
pub(crate) struct PageItem {
    pub page: ReleaseId,
    pub item: Item,
    /// Sinks that it may go to.
    pub sinks: u32,
    /// What is to be looked up first.
    pub want: Option<Box<Want>>,
}

/// A location that an item wants.
#[derive(Clone, Debug)]
pub(crate) struct Want {
    /// The item's number, when it has a record.
    waiter: Option<Waiter>,
    /// Which of the job's fields.
    at: usize,
    address: NormalisedAddress,
}

impl PageItem {
    pub fn plain(page: ReleaseId, item: Item) -> PageItem {
        PageItem { page, item, sinks: u32::MAX, want: None }
    }

    /// Where it goes: to the owner of the address it wants, else to that of its key.
    pub fn slot(&self) -> u8 {
        self.want.as_ref().map_or_else(|| item_slot(self.item.id), |want| want.address.slot())
    }
}

/// What a step leaves for the next one.
#[derive(Clone, Debug)]
pub(crate) enum Left {
    ToDesk(ToDesk),
    Told(Told),
    /// Its item is here.
    Answered(Waiter, Answer),
    /// An item that has a record: after a restart, or on its way to another worker.
    Item(Waiter, Box<Waiting>),
}

impl Left {
    /// Whom it is for; `None`: whoever has it.
    pub fn slot(&self) -> Option<u8> {
        match self {
            Left::ToDesk(message) => Some(message.provider() as u8),
            Left::Told(told) => Some(told.address.slot()),
            Left::Answered(..) | Left::Item(..) => None,
        }
    }
}

/// An item that waits.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    page: ReleaseId,
    item: Item,
    /// For which of the job's fields.
    at: usize,
}

/// What the geocoder of a worker wants done outside.
#[derive(Debug, Default)]
pub(crate) struct GeoTaken {
    pub commands: Vec<Command>,
    pub counts: BTreeMap<JobId, GeoCounts>,
    pub notices: Vec<Notice>,
}

/// The part of one worker.
#[derive(Debug)]
pub(crate) struct Geocode {
    geocoder: Option<Geocoder>,
    out: Out,
    fields: BTreeMap<JobId, Vec<GeocodeField>>,
    waiting: KeyMap<Waiter, Waiting>,
    /// In a replay: those that went on before their record came, since workers write side by side.
    gone: BTreeSet<Waiter>,
    pub left: Vec<Left>,
    /// Items of jobs that do not go on in this run: they stay as they are and hold nobody up.
    paused: BTreeMap<Waiter, Waiting>,
    bytes: usize,
    next: u64,
    worker: usize,
    workers: usize,
}

impl Geocode {
    pub fn new(geocoding: Option<&Geocoding>, worker: usize, workers: usize, boot: u32) -> Geocode {
        let geocoder = geocoding
            .map(|parts| Geocoder::of_worker(&parts.config, &parts.gazetteer, &parts.providers, boot, worker, workers));
        Geocode {
            geocoder,
            out: Out::default(),
            fields: BTreeMap::new(),
            waiting: KeyMap::default(),
            gone: BTreeSet::new(),
            left: Vec::new(),
            paused: BTreeMap::new(),
            bytes: 0,
            next: (u64::from(boot) << 32) | ((worker as u64) << 26),
            worker,
            workers,
        }
    }

    /// Whether there is anybody to ask.
    pub fn is_on(&self) -> bool {
        self.geocoder.is_some()
    }

    /// Bytes of items that wait here.
    pub fn waiting_bytes(&self) -> usize {
        self.bytes
    }

    /// Items that wait here, those of pausing jobs included.
    pub fn waiting(&self) -> usize {
        let between = self.left.iter().filter(|left| matches!(left, Left::Item(..))).count();
        self.waiting.len() + self.paused.len() + between
    }

    fn owns(&self, slot: u8) -> bool {
        usize::from(slot) % self.workers == self.worker
    }

    pub fn open_job(&mut self, job: JobId, fields: &[GeocodeField]) {
        self.fields.insert(job, fields.to_vec());
    }

    /// A job has ended. With `abandon`, what still waits of it is forgotten.
    pub fn close_job(&mut self, job: JobId, abandon: bool) {
        self.fields.remove(&job);
        if abandon {
            let bytes = &mut self.bytes;
            let mut stays = |waiting: &Waiting| {
                let stays = waiting.item.job != job;
                *bytes = bytes.saturating_sub(if stays { 0 } else { waiting.item.bytes() });
                stays
            };
            self.waiting.retain(|_, waiting| stays(waiting));
            self.left.retain(|left| if let Left::Item(_, waiting) = left { stays(waiting) } else { true });
            self.paused.retain(|_, waiting| waiting.item.job != job);
        }
    }

    // ---- the way of an item ---------------------------------------------------------------------------------------

    /// A new item of a page.
    pub fn enter(&mut self, page: ReleaseId, item: Item) -> PageItem {
        let want = self.next_want(&item, 0).map(|(at, address)| Box::new(Want { waiter: None, at, address }));
        PageItem { want, ..PageItem::plain(page, item) }
    }

    /// The next field of an item, from number `from` on, that has an address and no location.
    fn next_want(&mut self, item: &Item, from: usize) -> Option<(usize, NormalisedAddress)> {
        let geocoder = self.geocoder.as_ref()?;
        let fields = self.fields.get(&item.job)?;
        for (at, field) in fields.iter().enumerate().skip(from).filter(|(_, field)| field.schema == item.schema) {
            match item.values.get(field.field) {
                Some(Value::Null) => {}
                Some(_) => {
                    geocoder.already_set(item.job, &mut self.out);
                    continue;
                }
                None => continue,
            }
            let address = item.values.get(field.address).and_then(text_of).map(normalise);
            match address.filter(|address| !address.is_empty()) {
                Some(address) => return Some((at, address)),
                None => self.out.counts.entry(item.job).or_default().no_address += 1,
            }
        }
        None
    }

    /// Lets an item that has a record go on with the fields from number `from` on.
    fn go_on(&mut self, waiter: Waiter, waiting: Waiting, from: usize, journal: &mut Vec<u8>) -> PageItem {
        let Waiting { page, item, .. } = waiting;
        match self.next_want(&item, from) {
            Some((at, address)) => PageItem {
                want: Some(Box::new(Want { waiter: Some(waiter), at, address })),
                ..PageItem::plain(page, item)
            },
            None => {
                record::wait_ended(journal, slot_of(waiter), waiter, page, item.job);
                PageItem::plain(page, item)
            }
        }
    }

    /// Looks up what an item wants, as far as its addresses are owned here. What need not wait any longer is in `done`.
    pub fn look_up(&mut self, now: Tick, page_item: PageItem, journal: &mut Vec<u8>, done: &mut Vec<PageItem>) {
        let mut queue = vec![page_item];
        while let Some(PageItem { page, item, sinks, want }) = queue.pop() {
            let Some(want) = want else {
                done.push(PageItem { page, item, sinks, want });
                continue;
            };
            let Want { waiter: recorded, at, address } = *want;
            let waiter = recorded.unwrap_or_else(|| self.new_waiter(address.slot()));
            let is_here = self.owns(address.slot());
            let answer = if is_here { self.ask(now, &item, at, address, waiter) } else { None };
            let mut waiting = Waiting { page, item, at };
            if let Some(answer) = answer {
                self.set(&mut waiting, &answer);
                queue.push(match recorded {
                    Some(waiter) => self.go_on(waiter, waiting, at + 1, journal),
                    None => {
                        let want = self.next_want(&waiting.item, at + 1);
                        let want = want.map(|(at, address)| Box::new(Want { waiter: None, at, address }));
                        PageItem { want, ..PageItem::plain(page, waiting.item) }
                    }
                });
            } else {
                if recorded.is_none() {
                    record::waits(journal, slot_of(waiter), waiter, page, &waiting.item);
                }
                self.bytes += waiting.item.bytes();
                if is_here {
                    self.waiting.insert(waiter, waiting);
                } else {
                    self.left.push(Left::Item(waiter, Box::new(waiting)));
                }
            }
            // A provider that serves nobody says so at once.
            self.take_answers(journal, &mut queue);
        }
    }

    fn ask(&mut self, now: Tick, item: &Item, at: usize, address: NormalisedAddress, waiter: Waiter) -> Option<Answer> {
        let field = *self.fields.get(&item.job)?.get(at)?;
        let written = item.values.get(field.address).and_then(text_of).unwrap_or_default();
        let geocoder = self.geocoder.as_mut()?;
        geocoder.want_normalised(now, item.job, address, written, waiter, &mut self.out)
    }

    fn new_waiter(&mut self, slot: u8) -> Waiter {
        self.next += 1;
        Waiter((self.next << 6) | u64::from(slot))
    }

    /// Fills a field.
    fn set(&self, waiting: &mut Waiting, answer: &Answer) {
        let field = self.fields.get(&waiting.item.job).and_then(|fields| fields.get(waiting.at));
        let (Answer::Found(place), Some(field)) = (answer, field) else { return };
        if let Some(value) = waiting.item.values.get_mut(field.field) {
            *value = place.location.into();
            waiting.item.hash = hash_with_location(waiting.item.hash, field.field, Some(place.location));
        }
    }

    /// Items that were answered in the geocoder's own time.
    fn take_answers(&mut self, journal: &mut Vec<u8>, to: &mut Vec<PageItem>) {
        for (waiter, answer) in std::mem::take(&mut self.out.answers) {
            to.extend(self.answered(waiter, &answer, journal));
        }
    }

    fn answered(&mut self, waiter: Waiter, answer: &Answer, journal: &mut Vec<u8>) -> Option<PageItem> {
        let mut waiting = self.waiting.remove(&waiter)?;
        self.bytes -= waiting.item.bytes();
        self.set(&mut waiting, answer);
        let from = waiting.at + 1;
        Some(self.go_on(waiter, waiting, from, journal))
    }

    // ---- what happens ---------------------------------------------------------------------------------------------

    /// Something happened outside.
    pub fn event(&mut self, now: Tick, event: weir_geo::Event, journal: &mut Vec<u8>, items: &mut Vec<PageItem>) {
        if let Some(geocoder) = &mut self.geocoder {
            geocoder.event(now, event, &mut self.out);
            self.take_answers(journal, items);
        }
    }

    /// What the step before has left.
    pub fn take_left(&mut self, now: Tick, left: Left, journal: &mut Vec<u8>, items: &mut Vec<PageItem>) {
        match (left, &mut self.geocoder) {
            (Left::ToDesk(message), Some(geocoder)) => geocoder.take(now, message, &mut self.out),
            (Left::Told(told), Some(geocoder)) => geocoder.told(now, told, &mut self.out),
            (Left::Answered(waiter, answer), _) => items.extend(self.answered(waiter, &answer, journal)),
            (Left::Item(waiter, waiting), _) => {
                self.bytes -= waiting.item.bytes();
                let from = waiting.at;
                items.push(self.go_on(waiter, *waiting, from, journal));
            }
            (Left::ToDesk(_) | Left::Told(_), None) => {}
        }
        self.take_answers(journal, items);
    }

    /// Ends a step: what is due leaves, what is for other workers or for the next step is kept in `left`.
    pub fn release(&mut self, now: Tick, journal: &mut Vec<u8>) -> GeoTaken {
        let Some(geocoder) = &mut self.geocoder else { return GeoTaken::default() };
        let out = &mut self.out;
        geocoder.release_due(now, out);
        self.left.extend(out.answers.drain(..).map(|(waiter, answer)| Left::Answered(waiter, answer)));
        self.left.extend(out.to_desk.drain(..).map(Left::ToDesk));
        self.left.extend(out.told.drain(..).map(Left::Told));
        for known in out.records.drain(..) {
            record::framed(journal, record::GEO, 0, |bytes| known.encode(bytes));
        }
        out.counts.retain(|_, counts| *counts != GeoCounts::default());
        GeoTaken {
            commands: std::mem::take(&mut out.commands),
            counts: std::mem::take(&mut out.counts),
            notices: std::mem::take(&mut out.notices),
        }
    }

    pub fn next_wake(&self) -> Tick {
        self.geocoder.as_ref().map_or(Tick::NEVER, Geocoder::next_wake)
    }
}

/// The slot in whose name an item waits: that of its first address.
fn slot_of(waiter: Waiter) -> u8 {
    (waiter.0 as u8) & (SLOTS - 1)
}

/// The text of an address: of several the first.
fn text_of(value: &Value) -> Option<&str> {
    match value {
        Value::Str(text) => Some(text),
        Value::List(values) => values.iter().find_map(text_of),
        _ => None,
    }
}
