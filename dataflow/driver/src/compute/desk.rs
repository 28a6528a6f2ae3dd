//! The thread of computations: opens a job's pools, hands items to them, starts programs as they are needed.
//!
//! Decides how many programs run: one more whenever tasks wait and the pool has room. Invariants: a program is started for a task,
//! never for a job alone; when the thread ends, every program that it started has ended.

use super::function::Threads;
use super::pool::{Pool, Shared};
use super::{Broken, ComputeOptions, program};
use crate::crawl::ToDriver;
use crate::error::CrawlError;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::{JoinSet, LocalSet};
use weir_model::JobId;
use weir_spider::{Performer, Spider};
use weir_stage::Computing;

/// What the driver wants.
pub(super) enum Order {
    Open(JobId, Arc<Spider>),
    Compute(Vec<Computing>),
    Close(JobId),
}

enum Performers {
    Programs(Rc<Pool>),
    Threads(Threads),
}

struct Desk {
    options: ComputeOptions,
    broken: Broken,
    driver: Sender<ToDriver>,
    jobs: BTreeMap<JobId, Vec<Performers>>,
    programs: JoinSet<()>,
}

pub(super) fn serve(
    options: ComputeOptions,
    broken: Broken,
    mut inbox: UnboundedReceiver<Order>,
    driver: Sender<ToDriver>,
) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            // The driver may be gone; there is nobody else to tell.
            let _ = driver.send(ToDriver::Failed(CrawlError::System { what: "the runtime of computations", error }));
            return;
        }
    };
    let mut desk = Desk { options, broken, driver, jobs: BTreeMap::new(), programs: JoinSet::new() };
    LocalSet::new().block_on(&runtime, async move {
        while let Some(order) = inbox.recv().await {
            desk.obey(order);
            while desk.programs.try_join_next().is_some() {}
        }
        for job in std::mem::take(&mut desk.jobs).into_values() {
            close(job);
        }
        while desk.programs.join_next().await.is_some() {}
    });
}

impl Desk {
    fn obey(&mut self, order: Order) {
        match order {
            Order::Open(job, spider) => {
                if let Err(error) = self.open(job, &spider) {
                    // The driver may be gone.
                    let _ = self
                        .driver
                        .send(ToDriver::Failed(CrawlError::System { what: "a thread of a computation", error }));
                }
            }
            Order::Compute(wanted) => {
                for computing in wanted {
                    self.hand_over(computing);
                }
                self.start_programs();
            }
            Order::Close(job) => close(self.jobs.remove(&job).unwrap_or_default()),
        }
    }

    fn open(&mut self, job: JobId, spider: &Arc<Spider>) -> std::io::Result<()> {
        let mut performers = Vec::new();
        for computation in spider.computations() {
            let shared = Shared::new(job, spider, computation, self.driver.clone());
            performers.push(match &computation.performer {
                Performer::Command { .. } => Performers::Programs(Rc::new(Pool::new(shared))),
                Performer::Function(name) => {
                    let function = self.options.functions.get(name).expect("the job was checked before it was opened");
                    Performers::Threads(Threads::start(function, &Arc::new(shared))?)
                }
            });
        }
        self.jobs.insert(job, performers);
        Ok(())
    }

    fn hand_over(&self, computing: Computing) {
        // A job that has been closed meanwhile waits for nothing.
        let performers = self.jobs.get(&computing.item.job).and_then(|job| job.get(computing.at));
        match performers {
            Some(Performers::Programs(pool)) => pool.push(computing),
            Some(Performers::Threads(threads)) => threads.send(computing),
            None => {}
        }
    }

    fn start_programs(&mut self) {
        for performers in self.jobs.values().flatten() {
            let Performers::Programs(pool) = performers else { continue };
            pool.work.notify_waiters();
            while pool.slots.get() < pool.shared.computation.pool.min(pool.waiting()) {
                pool.slots.set(pool.slots.get() + 1);
                let (broken, driver) = (self.broken, self.driver.clone());
                self.programs.spawn_local(program::run(Rc::clone(pool), broken, driver));
            }
        }
    }
}

fn close(performers: Vec<Performers>) {
    for performers in performers {
        // Threads end when nobody can give them anything any more.
        if let Performers::Programs(pool) = performers {
            pool.end();
        }
    }
}
