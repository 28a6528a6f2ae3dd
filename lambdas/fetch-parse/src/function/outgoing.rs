//! Reports on their way out: packed by destination until a message is as large as one billed unit, sent while others are fetched.
//!
//! Invariants: a report is in exactly one message; a delivery whose report is in a message that could not be sent is named.

use super::meter::Meter;
use super::{Figures, Queues};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::task::JoinHandle;
use weir_model::json::{Spent, pack_reports, report_json};
use weir_model::{JobId, Report};
use weir_queue::{Backoff, MessageQueue, QueueError, QueueErrorClass, Tickets, send_all};

/// How well reports are taken to compress before the first message shows it.
const RATIO_FIRST: usize = 3;
const RATIO_MAX: usize = 12;

/// Reports for one queue.
struct Place {
    stage: String,
    queue: Arc<dyn MessageQueue>,
    reports: Vec<String>,
    deliveries: BTreeSet<usize>,
    /// Reports by job.
    jobs: BTreeMap<JobId, u64>,
    bytes: usize,
}

/// A message that was handed to its queue.
struct Sent {
    deliveries: BTreeSet<usize>,
    task: JoinHandle<Result<(u64, u64), QueueError>>,
}

pub(super) struct Outgoing<'q> {
    queues: &'q dyn Queues,
    meter: &'q Meter,
    tickets: Tickets,
    bytes_max: usize,
    ratio: Cell<usize>,
    places: RefCell<Vec<Place>>,
    sent: RefCell<Vec<Sent>>,
}

impl<'q> Outgoing<'q> {
    pub fn new(queues: &'q dyn Queues, meter: &'q Meter, tickets: Tickets, bytes_max: usize) -> Outgoing<'q> {
        let ratio = Cell::new(RATIO_FIRST);
        Outgoing { queues, meter, tickets, bytes_max, ratio, places: RefCell::default(), sent: RefCell::default() }
    }

    /// Where reports for this stage's queue are gathered.
    pub fn place(&self, stage: &str, address: &str) -> usize {
        let mut places = self.places.borrow_mut();
        let same = |place: &Place| place.stage == stage && place.queue.name() == address;
        if let Some(at) = places.iter().position(same) {
            return at;
        }
        let queue = self.queues.open(address);
        let (reports, deliveries, jobs) = (Vec::new(), BTreeSet::new(), BTreeMap::new());
        places.push(Place { stage: stage.to_owned(), queue, reports, deliveries, jobs, bytes: 0 });
        places.len() - 1
    }

    /// Adds a report, and sends what is a message's worth.
    pub fn push(&self, place: usize, delivery: usize, job: JobId, report: &Report) {
        let mut places = self.places.borrow_mut();
        let place = &mut places[place];
        let json = report_json(report);
        place.bytes += json.len();
        place.reports.push(json);
        place.deliveries.insert(delivery);
        *place.jobs.entry(job).or_default() += 1;
        if place.bytes >= self.bytes_max * self.ratio.get() {
            self.send(place);
        }
    }

    fn send(&self, place: &mut Place) {
        let reports = std::mem::take(&mut place.reports);
        let deliveries = std::mem::take(&mut place.deliveries);
        let raw = std::mem::take(&mut place.bytes);
        let jobs = std::mem::take(&mut place.jobs);
        if reports.is_empty() {
            return;
        }
        let mut bodies = Vec::new();
        pack(&place.stage, &reports, &self.meter.told(&jobs), self.bytes_max, &mut bodies);
        let packed: usize = bodies.iter().map(String::len).sum();
        self.ratio.set((raw / packed.max(1)).clamp(1, RATIO_MAX));
        let (queue, tickets) = (Arc::clone(&place.queue), self.tickets.clone());
        let task = tokio::task::spawn_local(async move { deliver(&*queue, &tickets, bodies).await });
        self.sent.borrow_mut().push(Sent { deliveries, task });
    }

    /// Sends the rest and waits for all. Gives the deliveries whose reports could not all be sent.
    pub async fn finish(self, figures: &RefCell<Figures>) -> BTreeSet<usize> {
        for place in &mut *self.places.borrow_mut() {
            self.send(place);
        }
        let mut lost = BTreeSet::new();
        for Sent { deliveries, task } in self.sent.into_inner() {
            let outcome = task.await.unwrap_or_else(|_| {
                Err(QueueError::new(QueueErrorClass::Permanent, "sending panicked: please report it"))
            });
            let mut figures = figures.borrow_mut();
            match outcome {
                Ok((messages, bytes)) => {
                    figures.report_messages += messages;
                    figures.report_bytes += bytes;
                }
                Err(error) => {
                    figures.trouble(format!("reports: {error}"));
                    lost.extend(deliveries);
                }
            }
        }
        lost
    }
}

/// Puts messages together; one that turned out larger than wanted is cut in two.
fn pack(stage: &str, reports: &[String], spent: &[Spent], bytes_max: usize, bodies: &mut Vec<String>) {
    let body = pack_reports(stage, reports, spent);
    if body.len() > bytes_max && reports.len() > 1 {
        let (first, second) = reports.split_at(reports.len() / 2);
        pack(stage, first, spent, bytes_max, bodies);
        pack(stage, second, &[], bytes_max, bodies);
    } else {
        bodies.push(body);
    }
}

/// Sends messages; a single report beyond the queue's limit travels as a ticket.
async fn deliver(queue: &dyn MessageQueue, tickets: &Tickets, bodies: Vec<String>) -> Result<(u64, u64), QueueError> {
    let (mut small, mut bytes) = (Vec::with_capacity(bodies.len()), 0);
    for body in bodies {
        bytes += body.len() as u64;
        small.push(tickets.shrink(body, queue.body_bytes_max()).await?);
    }
    let count = small.len() as u64;
    for outcome in send_all(queue, small, Backoff::default()).await {
        outcome?;
    }
    Ok((count, bytes))
}
