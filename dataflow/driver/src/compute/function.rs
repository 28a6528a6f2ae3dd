//! Functions of the program around weir, on threads of their own.
//!
//! Decides nothing but who calls. Invariants: at most `pool` calls of a computation run at once; a function that panics refuses
//! its item, and the thread goes on; a call that is under way when the crawl ends is left to itself.

use super::answer::made;
use super::pool::Shared;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use weir_model::{Field, FieldKind, Item, ItemSchema, Value};
use weir_stage::Computing;

/// A computation in Rust: may block and take its time, the crawl goes on meanwhile. One value is shared by all threads of the
/// computation's pool, so state of its own needs a lock. After a crash it may be called again for the same item.
pub trait Compute: Send + Sync {
    /// The values of the fields that `given` says are filled, in their order.
    ///
    /// # Errors
    /// Why it cannot: the item goes to the dead letters with it.
    fn compute(&self, given: &Given<'_>) -> Result<Vec<Value>, String>;
}

impl<F: Fn(&Given<'_>) -> Result<Vec<Value>, String> + Send + Sync> Compute for F {
    fn compute(&self, given: &Given<'_>) -> Result<Vec<Value>, String> {
        self(given)
    }
}

/// What a function gets.
#[derive(Clone, Copy, Debug)]
pub struct Given<'a> {
    schema: &'a ItemSchema,
    item: &'a Item,
    send: &'a [usize],
    fields: &'a [usize],
}

impl<'a> Given<'a> {
    /// The item's type.
    #[must_use]
    pub fn schema(&self) -> &'a ItemSchema {
        self.schema
    }

    /// A field that is sent.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&'a Value> {
        let at = self.schema.position(name).filter(|at| self.send.contains(at))?;
        self.item.values.get(at)
    }

    /// The text of a field that is sent and is one.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&'a str> {
        match self.value(name)? {
            Value::Str(text) => Some(text),
            _ => None,
        }
    }

    /// The fields to fill, in the order in which values are expected.
    pub fn fills(&self) -> impl Iterator<Item = &'a Field> {
        let fields = &self.schema.fields;
        self.fields.iter().filter_map(|at| fields.get(*at))
    }
}

/// The threads of a computation.
pub(super) struct Threads {
    tasks: Sender<Computing>,
}

impl Threads {
    pub fn start(function: &Arc<dyn Compute>, shared: &Arc<Shared>) -> std::io::Result<Threads> {
        let (tasks, inbox) = channel();
        let inbox = Arc::new(Mutex::new(inbox));
        for number in 0..shared.computation.pool {
            let (function, shared, inbox) = (Arc::clone(function), Arc::clone(shared), Arc::clone(&inbox));
            std::thread::Builder::new()
                .name(format!("{}-{number}", shared.computation.name))
                .spawn(move || serve(&*function, &shared, &inbox))?;
        }
        Ok(Threads { tasks })
    }

    pub fn send(&self, task: Computing) {
        // Threads end only when this end is dropped.
        let _ = self.tasks.send(task);
    }
}

fn serve(function: &dyn Compute, shared: &Shared, inbox: &Mutex<Receiver<Computing>>) {
    loop {
        let next = match inbox.lock() {
            Ok(inbox) => inbox.recv(),
            // Nothing panics while it holds the lock.
            Err(_) => return,
        };
        let Ok(task) = next else { return };
        let Some(schema) = shared.spider.schemas().get(usize::from(task.item.schema)) else {
            shared.refuse(&task, "the spider file has no such item type any more");
            continue;
        };
        let computation = &shared.computation;
        let given = Given { schema, item: &task.item, send: &computation.send, fields: &computation.fields };
        match catch_unwind(AssertUnwindSafe(|| function.compute(&given))) {
            Ok(Ok(values)) if values.len() == computation.fields.len() => {
                let mut notes = Vec::new();
                let fitting = values.into_iter().zip(&computation.fields).map(|(value, at)| {
                    let field = &schema.fields[*at];
                    if fits(field, &value) {
                        return value;
                    }
                    notes.push((format!("{}/{}/wrong_type", computation.item_name, field.name), format!("{value:?}")));
                    Value::Null
                });
                let values = fitting.collect();
                shared.answer(&task, made(&shared.spider, computation, &task.item, values), notes);
            }
            Ok(Ok(values)) => shared.refuse(
                &task,
                &format!("the function gave {} values, expected {}", values.len(), computation.fields.len()),
            ),
            Ok(Err(why)) => shared.refuse(&task, &why),
            Err(_) => shared.refuse(&task, "the function panicked on this item; standard error has its words"),
        }
    }
}

fn fits(field: &Field, value: &Value) -> bool {
    let one = |value: &Value| {
        matches!(
            (field.kind, value),
            (FieldKind::Str | FieldKind::Date, Value::Str(_))
                | (FieldKind::Int, Value::Int(_))
                | (FieldKind::Bool, Value::Bool(_))
                | (FieldKind::Datetime, Value::Datetime(_))
                | (FieldKind::GeoPoint, Value::Geo { .. })
                | (FieldKind::Json, Value::Json(_))
        ) || matches!((field.kind, value), (FieldKind::Float, Value::Float(number)) if number.is_finite())
    };
    match value {
        Value::Null => true,
        Value::List(list) => field.many && list.iter().all(one),
        value => !field.many && one(value),
    }
}
