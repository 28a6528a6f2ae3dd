//! What all who perform one computation of one job share: what it is, whom to tell, and the tasks that wait for a program.
//!
//! Invariants: a task is told of exactly once; a line that a program died of is tried once more, and then its item is refused, but
//! for a program that has not answered anything yet: it may be the program that is ill.

use super::answer::Note;
use crate::crawl::ToDriver;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use tokio::sync::Notify;
use weir_connector::read;
use weir_model::{ExtractionNote, JobId};
use weir_spider::{Computation, Spider};
use weir_stage::{Computed, Computing, Made, Uncomputed};

/// A line that programs died of so often is no longer tried.
pub(super) const ATTEMPTS_MAX: u32 = 2;

/// What is fixed of a computation, and the driver.
pub(super) struct Shared {
    pub job: JobId,
    pub spider: Arc<Spider>,
    pub computation: Computation,
    driver: Sender<ToDriver>,
}

impl Shared {
    pub fn new(job: JobId, spider: &Arc<Spider>, computation: &Computation, driver: Sender<ToDriver>) -> Shared {
        Shared { job, spider: Arc::clone(spider), computation: computation.clone(), driver }
    }

    pub fn answer(&self, task: &Computing, made: Made, notes: Vec<Note>) {
        let computed = Computed { id: task.id, at: task.at, result: Ok(made) };
        self.tell(Some(computed), notes.into_iter().chain([("computed".to_owned(), String::new())]));
    }

    pub fn refuse(&self, task: &Computing, why: &str) {
        let by = self.computation.name.as_str();
        let item = read::called(self.spider.schemas(), &task.item);
        tracing::error!(computation = by, item, "item refused: {why}");
        let reason = format!("computation {by}: {why}");
        let result = Err(Uncomputed { by: by.into(), reason: reason.into() });
        let computed = Computed { id: task.id, at: task.at, result };
        self.tell(Some(computed), [("refused".to_owned(), why.to_owned())]);
    }

    /// Counts something that is about no single item.
    pub fn count(&self, counter: &str) {
        self.tell(None, [(counter.to_owned(), String::new())]);
    }

    fn tell(&self, answer: Option<Computed>, notes: impl IntoIterator<Item = Note>) {
        let mut sums: BTreeMap<String, (u32, String)> = BTreeMap::new();
        for (counter, example) in notes {
            sums.entry(counter).or_insert((0, example)).0 += 1;
        }
        let name = |counter: String| {
            if counter.contains('/') { counter } else { format!("compute/{}/{counter}", self.computation.name) }
        };
        let notes = sums.into_iter().map(|(counter, (count, example))| {
            (self.job, ExtractionNote { counter: name(counter).into(), count, example: example.into() })
        });
        // After the driver's end nobody waits for it.
        let _ = self.driver.send(ToDriver::Computed { answer: answer.map(Box::new), notes: notes.collect() });
    }
}

/// A line to be sent.
#[derive(Clone, Debug)]
pub(super) struct Task {
    pub computing: Computing,
    /// Programs that died, or were killed, over it.
    pub attempts: u32,
}

/// Tasks of programs.
pub(super) struct Pool {
    pub shared: Arc<Shared>,
    queue: RefCell<VecDeque<Task>>,
    /// Wakes programs that have room.
    pub work: Notify,
    /// Wakes all: the job is over, or the program is given up.
    pub over: Notify,
    /// The job is over.
    ended: Cell<bool>,
    /// Some program of the pool has answered a line.
    has_answered: Cell<bool>,
    /// Programs that ended one after the other without having answered anything.
    pub fruitless: Cell<usize>,
    /// Nothing is started any more, and this is why.
    pub broken: RefCell<Option<String>>,
    /// Programs that were begun.
    pub slots: Cell<usize>,
}

impl Pool {
    pub fn new(shared: Shared) -> Pool {
        Pool {
            shared: Arc::new(shared),
            queue: RefCell::default(),
            work: Notify::new(),
            over: Notify::new(),
            ended: Cell::new(false),
            has_answered: Cell::new(false),
            fruitless: Cell::new(0),
            broken: RefCell::default(),
            slots: Cell::new(0),
        }
    }

    pub fn push(&self, computing: Computing) {
        let broken = self.broken.borrow();
        match &*broken {
            Some(why) => self.shared.refuse(&computing, why),
            None => self.queue.borrow_mut().push_back(Task { computing, attempts: 0 }),
        }
    }

    pub fn next(&self) -> Option<Task> {
        self.queue.borrow_mut().pop_front()
    }

    pub fn waiting(&self) -> usize {
        self.queue.borrow().len()
    }

    /// What a program had when it ended: the first line is what it ended over, the others are sent again.
    pub fn give_back(&self, tasks: VecDeque<Task>, why: &str) {
        for (number, mut task) in tasks.into_iter().enumerate().rev() {
            task.attempts += u32::from(number == 0);
            match task.attempts >= ATTEMPTS_MAX {
                true if self.has_answered.get() => {
                    self.shared.refuse(&task.computing, why);
                    continue;
                }
                // Others are tried first.
                true => self.queue.borrow_mut().push_back(task),
                false => self.queue.borrow_mut().push_front(task),
            }
            if number == 0 {
                self.shared.count("retried");
            }
        }
        self.work.notify_waiters();
    }

    /// A program has answered a line.
    pub fn answered(&self) {
        self.has_answered.set(true);
        self.fruitless.set(0);
    }

    /// Nothing is started any more.
    pub fn give_up(&self, why: String) {
        *self.broken.borrow_mut() = Some(why);
        self.work.notify_waiters();
        self.over.notify_waiters();
    }

    /// Refuses everything that waits.
    pub fn refuse_all(&self, why: &str) {
        while let Some(task) = self.next() {
            self.shared.refuse(&task.computing, why);
        }
    }

    pub fn end(&self) {
        self.ended.set(true);
        self.queue.borrow_mut().clear();
        self.work.notify_waiters();
        self.over.notify_waiters();
    }

    pub fn has_ended(&self) -> bool {
        self.ended.get()
    }
}
