//! A spider after loading: every name an index, every selector a program, every regex compiled. What `load` makes and `run`
//! executes. Invariant: nothing in here is looked up by text while a page is processed, except carried values.

use crate::selector::Selector;
use crate::steps::Step;
use crate::template::Template;
use regex::Regex;
use std::sync::Arc;
use weir_model::{FieldKind, ItemSchema, Method, TargetId, Value};

/// Which tree selectors see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Engine {
    /// libxml2's rules, as parsel over lxml has them.
    #[default]
    Lxml,
    /// html5ever's tree.
    Html5,
}

/// A value that a page knows by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ContextValue {
    Url,
    Status,
    Now,
    Spider,
    Job,
    Server,
    Arg(Box<str>),
    Carry(Box<str>),
    /// The value of a rule's selector; in `carry` only.
    Found,
}

/// Where the JSON document of a path is: 0 is the page itself, the others are found in it.
pub(crate) type DocIndex = u16;

/// A JSON document inside a page.
pub(crate) struct InsideDoc {
    pub selector: Selector,
    pub regex: Option<Regex>,
}

/// A JSON path and the document that it is for.
pub(crate) struct JsonSource {
    pub path: crate::json::Path,
    pub doc: DocIndex,
}

/// Where values come from. Structured data (JSON-LD, microdata, meta), computed values and sitemaps become variants of this.
pub(crate) enum Source {
    Selector(Selector),
    Json(JsonSource),
    /// Regex on the page's URL.
    Url(Regex),
    Carry(Box<str>),
    Context(ContextValue),
    Const(Vec<Box<str>>),
    /// The first that finds something.
    First(Vec<Pipeline>),
}

/// A source and its clean-up, up to the list of values.
pub(crate) struct Pipeline {
    pub source: Source,
    pub regex: Option<Regex>,
    pub steps: Vec<Step>,
}

/// How several values become one.
pub(crate) enum Gather {
    First,
    Many,
    Join(Box<str>),
}

/// How a field is made.
pub(crate) enum Plan {
    /// From the page.
    Pipeline(Pipeline),
    /// A literal that needs no clean-up.
    Literal(Value),
    /// A context value that needs no clean-up.
    Context(ContextValue),
    /// Null until a geocoder fills it.
    Geocode,
    /// Null until a computation fills it.
    Compute,
}

/// One field of an item, or one carried value.
pub(crate) struct FieldRule {
    pub name: Box<str>,
    pub plan: Plan,
    pub gather: Gather,
    pub kind: FieldKind,
    pub format: Option<Box<str>>,
    pub required: bool,
    pub volatile: bool,
    /// xxh3 of the name: stands for it in the content hash.
    pub name_hash: u64,
}

/// What an item, or a rule, is made once for.
pub(crate) enum Scope {
    Selector(Selector),
    Json(JsonSource),
}

/// One item type.
pub(crate) struct ItemRule {
    pub schema: Arc<ItemSchema>,
    pub fields: Vec<FieldRule>,
    pub key: Vec<usize>,
    pub scope: Option<Scope>,
    pub has_geocode: bool,
    /// All its sources are JSON: a page without JSON is unreadable.
    pub only_json: bool,
    /// Hash of what identity starts with: spider (unless global) and item type.
    pub seed: Vec<u8>,
}

/// Where a rule finds links.
pub(crate) enum LinkSource {
    /// Every link of the page, or of the scope's elements.
    All,
    /// One request a page, or a scope: its URL template needs nothing that is found.
    Once,
    Selector(Selector),
    Json(JsonSource),
}

/// A body to send.
pub(crate) enum BodyTemplate {
    Text(Template),
    Json(JsonTemplate),
    Form(Vec<(Box<str>, Template)>),
}

/// A JSON value with templates in its strings.
pub(crate) enum JsonTemplate {
    Literal(serde_json::Value),
    Text(Template),
    List(Vec<JsonTemplate>),
    Object(Vec<(String, JsonTemplate)>),
}

/// What makes a request of a rule more than a GET of a link.
pub(crate) struct RequestTemplate {
    pub method: Method,
    pub body: Option<BodyTemplate>,
    pub headers: Vec<(Box<str>, Template)>,
    pub carry: Vec<FieldRule>,
}

/// One `[[follow]]`.
pub(crate) struct FollowRule {
    pub scope: Option<Scope>,
    pub source: LinkSource,
    pub regex: Option<Regex>,
    pub steps: Vec<Step>,
    pub allow: Vec<Regex>,
    pub deny: Vec<Regex>,
    /// Lower-case, with the dot; `None`: the usual ones when links of elements are taken, else none.
    pub deny_extensions: Option<Vec<Box<str>>>,
    pub target: TargetId,
    pub priority: i16,
    pub url: Option<Template>,
    pub request: Option<Box<RequestTemplate>>,
}
