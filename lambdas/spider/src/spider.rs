//! The compiled spider: what it is called, where it starts, what pages lead to, what items look like.
//!
//! Invariant: immutable; `targets()[0]` is what start pages are for.

use crate::compiled::{Engine, FollowRule, InsideDoc, ItemRule};
use crate::computation::Computation;
use crate::error::SpiderErrors;
use crate::hook::Hooks;
use crate::start::StartUrls;
use crate::target::Target;
use std::collections::BTreeMap;
use std::sync::Arc;
use weir_model::{ItemSchema, TargetId, Value};

/// Which of a domain's queued requests of one priority goes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// The newest: depth first.
    #[default]
    Lifo,
    /// The oldest: breadth first.
    Fifo,
}

/// How many of something a contract asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// At least.
    pub min: u32,
    /// At most; `None`: any number.
    pub max: Option<u32>,
}

impl Bounds {
    /// Whether `n` is within.
    #[must_use]
    pub fn hold(self, n: u32) -> bool {
        n >= self.min && self.max.is_none_or(|max| n <= max)
    }
}

impl std::fmt::Display for Bounds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.max {
            Some(max) if max == self.min => write!(f, "{max}"),
            Some(max) => write!(f, "{} to {max}", self.min),
            None => write!(f, "at least {}", self.min),
        }
    }
}

/// What one page must give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contract {
    /// The page to fetch.
    pub url: String,
    /// The item type that it is about.
    pub parse: Option<String>,
    /// The target to process the page with.
    pub target: TargetId,
    /// How many items.
    pub items: Option<Bounds>,
    /// How many links.
    pub requests: Option<Bounds>,
    /// Fields that every item must have (not null).
    pub scrapes: Vec<String>,
}

/// A field that a geocoder fills: positions of item type, field, and the field with the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geocode {
    /// Index of the item type.
    pub item: usize,
    /// Index of the field to fill.
    pub field: usize,
    /// Index of the field whose text is geocoded.
    pub address: usize,
}

/// A compiled spider.
pub struct Spider {
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    pub(crate) allowed_domains: Vec<String>,
    pub(crate) args: BTreeMap<String, String>,
    pub(crate) content_hash: u64,
    pub(crate) schemas: Vec<Arc<ItemSchema>>,
    pub(crate) items: Vec<ItemRule>,
    pub(crate) rules: Vec<FollowRule>,
    pub(crate) insides: Vec<InsideDoc>,
    /// Some source is JSON in a page that is JSON.
    pub(crate) uses_json: bool,
    pub(crate) targets: Vec<Target>,
    pub(crate) start_urls: StartUrls,
    pub(crate) hooks: Hooks,
    pub(crate) settings: toml::Table,
    pub(crate) contracts: Vec<Contract>,
    pub(crate) geocodes: Vec<Geocode>,
    pub(crate) computations: Vec<Computation>,
    pub(crate) order: Order,
    pub(crate) depth_max: Option<u16>,
    pub(crate) engine: Engine,
}

impl Spider {
    /// Loads a spider file. `args` override the defaults of `[args]`; `file_name` is for messages only.
    ///
    /// # Errors
    /// All mistakes in the text that can be found at once, each with its place.
    pub fn load(file_name: &str, text: &str, args: &[(String, String)]) -> Result<Spider, SpiderErrors> {
        crate::load::spider::load(file_name, text, args)
    }

    /// The spider's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it crawls, for people.
    #[must_use]
    pub fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }

    /// Schemas of its item types, in the order of the file: `Item::schema` is an index into them.
    #[must_use]
    pub fn schemas(&self) -> &[Arc<ItemSchema>] {
        &self.schemas
    }

    /// Domains that may be crawled, lower-case, with their subdomains. Empty: any.
    #[must_use]
    pub fn allowed_domains(&self) -> &[String] {
        &self.allowed_domains
    }

    /// xxh3 over the text and the values of all arguments.
    #[must_use]
    pub fn content_hash(&self) -> u64 {
        self.content_hash
    }

    /// The values of all arguments, defaults included.
    #[must_use]
    pub fn args(&self) -> &BTreeMap<String, String> {
        &self.args
    }

    /// What pages can be for; the index is a `TargetId`.
    #[must_use]
    pub fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// The target of an id, when the spider has it.
    #[must_use]
    pub fn target(&self, id: TargetId) -> Option<&Target> {
        self.targets.get(usize::from(id.0))
    }

    /// The start requests.
    #[must_use]
    pub fn start_urls(&self) -> StartUrls {
        self.start_urls.clone()
    }

    /// The spider's `[settings]`, unchecked.
    #[must_use]
    pub fn settings(&self) -> &toml::Table {
        &self.settings
    }

    /// Its contracts.
    #[must_use]
    pub fn contracts(&self) -> &[Contract] {
        &self.contracts
    }

    /// Fields that a geocoder fills.
    #[must_use]
    pub fn geocodes(&self) -> &[Geocode] {
        &self.geocodes
    }

    /// What fills `compute` fields, in the order in which items pass.
    #[must_use]
    pub fn computations(&self) -> &[Computation] {
        &self.computations
    }

    /// A computed value for a field, as JSON: null when it is nothing.
    ///
    /// # Errors
    /// The name of the counter, when it does not convert to the field's type.
    pub fn read_json(&self, item: usize, field: usize, json: &serde_json::Value) -> Result<Value, &'static str> {
        self.items.get(item).and_then(|rule| rule.fields.get(field)).map_or(Ok(Value::Null), |rule| rule.of_json(json))
    }

    /// A computed value for a field, as text: null when it is empty.
    ///
    /// # Errors
    /// As `read_json`.
    pub fn read_text(&self, item: usize, field: usize, text: &str) -> Result<Value, &'static str> {
        self.items.get(item).and_then(|rule| rule.fields.get(field)).map_or(Ok(Value::Null), |rule| rule.of_text(text))
    }

    /// Which queued request goes first; LIFO when the file does not say.
    #[must_use]
    pub fn order(&self) -> Order {
        self.order
    }

    /// Links followed from a start page at most, when the file says so.
    #[must_use]
    pub fn depth_max(&self) -> Option<u16> {
        self.depth_max
    }

    /// Whose tree its selectors see.
    #[must_use]
    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// The JSON Schema (2020-12) of the spider file, for editors.
    #[must_use]
    pub fn json_schema() -> serde_json::Value {
        crate::schema::json_schema()
    }
}

impl std::fmt::Debug for Spider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spider")
            .field("name", &self.name)
            .field("content_hash", &self.content_hash)
            .finish_non_exhaustive()
    }
}
