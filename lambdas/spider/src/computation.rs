//! What fills a `compute` field: who is asked, what is sent, which fields come back. Data only; nothing here runs anything.
//!
//! Decides what of an answer converts. Invariant: a computation is sent only fields that are known when its turn comes.

use crate::compiled::{FieldRule, Gather};
use crate::convert::{Misfit, from_json, from_text};
use serde_json::Value as Json;
use std::borrow::Cow;
use std::time::Duration;
use weir_model::{FieldKind, Value};

/// A computation of an item type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Computation {
    /// Its name in the item type.
    pub name: String,
    /// Index of the item type.
    pub item: usize,
    /// The item type's name.
    pub item_name: String,
    /// Who computes.
    pub performer: Performer,
    /// How many at once, at most.
    pub pool: usize,
    /// Indices of the fields that are sent.
    pub send: Vec<usize>,
    /// Indices of the fields that are filled.
    pub fields: Vec<usize>,
    /// How lines are written.
    pub format: LineFormat,
}

/// Who computes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Performer {
    /// A program that is kept running: a line in, a line out.
    Command {
        /// The program and its arguments.
        command: Vec<String>,
        /// How long an answer may take.
        timeout: Duration,
        /// How much longer the first answer after a start may take.
        startup: Duration,
        /// Lines that one process may have at once.
        ahead: usize,
    },
    /// A function of the program around weir.
    Function(String),
}

/// How lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineFormat {
    /// An object of the fields that are sent; back comes an object of those that are filled, or the value of the only one.
    Json,
    /// The text of the one field that is sent; back comes that of the one field that is filled.
    Text,
}

impl Computation {
    /// Its place in the file, as messages name it.
    #[must_use]
    pub fn place(&self) -> String {
        format!("[item.{}.compute.{}]", self.item_name, self.name)
    }
}

impl FieldRule {
    /// A JSON value as this field has it. Of a list, without `many`, the first that is not empty, as everywhere.
    pub(crate) fn of_json(&self, json: &Json) -> Result<Value, Misfit> {
        let is_empty = |json: &&Json| json.is_null() || json.as_str().is_some_and(str::is_empty);
        let one = |json: &Json| from_json(json, self.kind, self.format.as_deref());
        match (json, &self.gather) {
            (Json::Null, _) => Ok(Value::Null),
            (Json::Array(list), Gather::Many) => {
                let list = list.iter().filter(|json| !is_empty(json)).map(one).collect::<Result<Vec<_>, _>>()?;
                Ok(if list.is_empty() { Value::Null } else { Value::List(list) })
            }
            (json, Gather::Many) => Ok(Value::List(vec![one(json)?])),
            (Json::Array(list), _) if !matches!(self.kind, FieldKind::Json | FieldKind::GeoPoint) => {
                list.iter().find(|json| !is_empty(json)).map_or(Ok(Value::Null), one)
            }
            (json, _) if is_empty(&json) => Ok(Value::Null),
            (json, _) => one(json),
        }
    }

    /// A text as this field has it.
    pub(crate) fn of_text(&self, text: &str) -> Result<Value, Misfit> {
        if text.is_empty() {
            return Ok(Value::Null);
        }
        let value = from_text(Cow::Borrowed(text), self.kind, self.format.as_deref())?;
        Ok(if matches!(self.gather, Gather::Many) { Value::List(vec![value]) } else { value })
    }
}
