//! From the text of a spider file to a compiled spider, or to all the mistakes in it.
//!
//! Invariants: what is returned without a complaint runs without one; a complaint has a place and says what was expected.

pub(crate) mod args;
pub(crate) mod computation;
pub(crate) mod contract;
pub(crate) mod doc;
pub(crate) mod field;
pub(crate) mod follow;
pub(crate) mod hook;
pub(crate) mod item;
pub(crate) mod language;
pub(crate) mod request;
pub(crate) mod section;
pub(crate) mod source;
pub(crate) mod spider;
pub(crate) mod steps;

use crate::compiled::InsideDoc;
use crate::computation::Computation;
use crate::spider::Geocode;
use crate::target::Target;
use doc::{Complaint, Doc};
use std::cell::RefCell;
use std::ops::Range;
use weir_model::TargetId;

/// What is done with items after their pages.
#[derive(Default)]
pub(crate) struct Later {
    pub geocodes: Vec<Geocode>,
    pub computations: Vec<Computation>,
}

/// What the parts of a spider share while they are loaded.
pub(crate) struct Loader<'d, 't> {
    pub doc: &'d Doc<'t>,
    pub spider_name: String,
    /// Names of the item types, in the order of the file.
    pub items: Vec<String>,
    pub targets: RefCell<Vec<Target>>,
    /// Some rule could not be read, or named an item that is not there.
    pub misled: std::cell::Cell<bool>,
    /// Whether a path goes into the page itself.
    pub uses_json: std::cell::Cell<bool>,
    /// JSON documents inside pages, each with the text that makes it the same as another.
    pub insides: RefCell<Vec<(String, InsideDoc)>>,
    /// Carried values that fields want, with their places.
    pub wanted: RefCell<Vec<(String, Range<usize>)>>,
    /// Carried values that rules and start URLs give.
    pub given: RefCell<Vec<String>>,
}

impl Loader<'_, '_> {
    /// The target with this behaviour, made when there is none.
    pub fn target(&self, parse: Option<usize>, follow: bool) -> TargetId {
        let mut targets = self.targets.borrow_mut();
        let at =
            targets.iter().position(|target| target.parse == parse && target.follow == follow).unwrap_or_else(|| {
                targets.push(Target::new(parse, follow, &self.items));
                targets.len() - 1
            });
        TargetId(u16::try_from(at).unwrap_or(u16::MAX))
    }

    /// The item types for a sentence; `None`: there is none.
    pub fn item_list(&self) -> Option<String> {
        (!self.items.is_empty()).then(|| self.items.join(", "))
    }

    /// The index of an item type, or a complaint.
    pub fn item(&self, text: &section::Text<'_>) -> Option<usize> {
        let found = self.items.iter().position(|name| name == text.value);
        if found.is_none() {
            self.misled.set(true);
            let list = self.item_list().unwrap_or_else(|| "an [item.NAME] table".to_owned());
            let complaint = Complaint::new(format!("there is no item `{}`", text.value))
                .expected(list)
                .maybe_hint(doc::did_you_mean(text.value, self.items.iter().map(String::as_str)));
            self.doc.complain(text.span.clone(), complaint);
        }
        found
    }
}

/// True for names of items, fields and arguments: what is a column, a key and a variable everywhere.
pub(crate) fn is_identifier(name: &str) -> bool {
    name.len() <= 60
        && name.as_bytes().first().is_some_and(u8::is_ascii_alphabetic)
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

pub(crate) const IDENTIFIER: &str = "a letter, then letters, digits and `_`, at most 60";
