//! What runs computations: programs that are kept running, and functions on threads.
//!
//! Decides who may compute (a program only where the operator allows it), and hands items to pools, one a computation and job.
//! When an item is computed on, and what waits in the journal, is the stage's. Invariants: nothing is started for a job that was
//! not checked; every item that was handed over is answered exactly once while the driver lives; nobody here holds up the driver.

mod answer;
mod desk;
mod function;
mod lines;
mod pool;
mod process;
mod program;

pub use function::{Compute, Given};

use crate::crawl::ToDriver;
use crate::error::CrawlError;
use desk::Order;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use weir_model::JobId;
use weir_spider::{Performer, Spider};
use weir_stage::Computing;

/// What the operator gives for computations.
#[derive(Clone, Default)]
pub struct ComputeOptions {
    /// Programs that spider files name may be started on this machine.
    pub allow_commands: bool,
    /// Functions by the name under which spider files ask for them.
    pub functions: BTreeMap<String, Arc<dyn Compute>>,
}

/// What becomes of a job whose program does not work at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// The run fails by name; its items stay where they are, and the next run goes on with them.
    Fails,
    /// Other jobs go on, so its items are refused by name.
    Refuses,
}

/// Whether everything that a spider asks for may be and is there.
pub(crate) fn check(options: &ComputeOptions, spider: &Spider) -> Result<(), String> {
    for computation in spider.computations() {
        match &computation.performer {
            Performer::Command { command, .. } if !options.allow_commands => {
                return Err(format!(
                    "{} starts a program: {}; expected --allow-commands, with which the operator lets spider files do so. Read what it \
                     starts first",
                    computation.place(),
                    shown(command)
                ));
            }
            Performer::Function(name) if !options.functions.contains_key(name) => {
                let known: Vec<&str> = options.functions.keys().map(String::as_str).collect();
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                return Err(format!(
                    "{}: there is no function {name:?}; expected one that the program around weir has registered ({known}), or a `command`",
                    computation.place()
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

/// A command as a person would type it.
fn shown(command: &[String]) -> String {
    let word = |word: &String| {
        let is_plain = !word.is_empty() && !word.contains(|c: char| c.is_whitespace() || "'\"\\$`".contains(c));
        if is_plain { word.clone() } else { format!("{word:?}") }
    };
    command.iter().map(word).collect::<Vec<_>>().join(" ")
}

/// The driver's end.
pub(crate) struct Computer {
    options: ComputeOptions,
    broken: Broken,
    driver: Sender<ToDriver>,
    desk: Option<(UnboundedSender<Order>, JoinHandle<()>)>,
}

impl Computer {
    /// Nothing runs before a job with computations is opened.
    pub fn new(options: ComputeOptions, broken: Broken, driver: Sender<ToDriver>) -> Computer {
        Computer { options, broken, driver, desk: None }
    }

    /// A job that was checked begins.
    pub fn open(&mut self, job: JobId, spider: &Arc<Spider>) -> Result<(), CrawlError> {
        if spider.computations().is_empty() {
            return Ok(());
        }
        if self.desk.is_none() {
            let (orders, inbox) = unbounded_channel();
            let (options, broken, driver) = (self.options.clone(), self.broken, self.driver.clone());
            let thread = std::thread::Builder::new()
                .name("compute".to_owned())
                .spawn(move || desk::serve(options, broken, inbox, driver))
                .map_err(|error| CrawlError::System { what: "the thread of computations", error })?;
            self.desk = Some((orders, thread));
        }
        self.order(Order::Open(job, Arc::clone(spider)));
        Ok(())
    }

    pub fn send(&self, wanted: Vec<Computing>) {
        self.order(Order::Compute(wanted));
    }

    /// A job is over: its programs end.
    pub fn close(&self, job: JobId) {
        self.order(Order::Close(job));
    }

    fn order(&self, order: Order) {
        if let Some((orders, _)) = &self.desk {
            // A dead thread has said so on the driver's channel.
            let _ = orders.send(order);
        }
    }

    /// Ends all programs: they are told by the end of their input, and killed when they do not listen.
    pub fn end(mut self) {
        if let Some((orders, thread)) = self.desk.take() {
            drop(orders);
            // A panic has been printed by the thread.
            let _ = thread.join();
        }
    }
}
