//! A page in, items and links out.
//!
//! Decides what a page is (HTML or JSON) and in which order things happen. Invariants: what one page leaves behind in the
//! extractor is memory only; an error leaves nothing in the extraction.

mod item;
mod links;
pub(crate) mod request;
mod values;

use crate::compiled::{Engine, Scope};
use crate::context::{Context, Notes};
use crate::error::Unreadable;
use crate::links::Resolver;
use crate::spider::Spider;
use encoding_rs::Encoding;
use serde_json::Value as Json;
use std::borrow::Cow;
use std::cell::OnceCell;
use weir_html::select::{Evaluator, Hit};
use weir_html::{Kind, NodeId, Parser, Tree};
use weir_model::{Carry, ExtractionNote, Item, JobId, LinkBatch, TargetId};

/// One answered page, as the fetcher decoded it.
#[derive(Clone, Copy, Debug)]
pub struct Page<'a> {
    /// Its URL, absolute and canonical.
    pub url: &'a str,
    /// HTTP status.
    pub status: u16,
    /// The `Content-Type` header.
    pub content_type: Option<&'a str>,
    /// The body as text.
    pub text: &'a str,
    /// What the body was in: queries of its links are sent in it. `None` is UTF-8.
    pub charset: Option<&'static Encoding>,
    /// What to do with it.
    pub target: TargetId,
    /// Values from the page before.
    pub carry: Option<&'a Carry>,
    /// The job.
    pub job: JobId,
    /// Start of the fetch, microseconds since the Unix epoch: the items' version, and `now`.
    pub started_at_us: u64,
    /// Host name of this machine.
    pub server: &'a str,
}

/// What a page gave. Reused from page to page; `extract` clears it first.
#[derive(Debug, Default)]
pub struct Extraction {
    /// Items, in page order.
    pub items: Vec<Item>,
    /// Links, in the order of the rules, each once.
    pub links: LinkBatch,
    /// Counted remarks.
    pub notes: Vec<ExtractionNote>,
}

impl Extraction {
    /// Forgets everything, keeps the memory.
    pub fn clear(&mut self) {
        self.items.clear();
        self.links.clear();
        self.notes.clear();
    }
}

/// Bounds of one page.
#[derive(Clone, Copy, Debug)]
pub struct ExtractLimits {
    /// Of the tree.
    pub tree: weir_html::Limits,
    /// Of one evaluation of one selector.
    pub selector: weir_html::select::Limits,
    /// Items of one page; more are dropped and counted.
    pub items_max: usize,
    /// Links of one page; more are dropped and counted.
    pub links_max: usize,
}

impl Default for ExtractLimits {
    fn default() -> ExtractLimits {
        ExtractLimits {
            tree: weir_html::Limits::default(),
            selector: weir_html::select::Limits::default(),
            items_max: 100_000,
            links_max: 100_000,
        }
    }
}

/// Extracts pages, one after the other, with reused memory. One a thread.
pub struct Extractor {
    parser: Parser,
    evaluator: Evaluator,
    limits: ExtractLimits,
    scratch: Scratch,
}

/// Memory that outlives a page.
#[derive(Default)]
struct Scratch {
    texts: Vec<Cow<'static, str>>,
    spare: Vec<Cow<'static, str>>,
    hits: Vec<Hit>,
    seen: links::Seen,
    key: Vec<u8>,
    url: String,
}

/// One page at work.
struct Work<'p, 'o> {
    context: Context<'p>,
    tree: Option<Tree<'p>>,
    docs: &'p Docs<'p>,
    resolver: Resolver<'p>,
    evaluator: &'o mut Evaluator,
    limits: ExtractLimits,
    notes: Notes<'o>,
    texts: Vec<Cow<'p, str>>,
    spare: Vec<Cow<'p, str>>,
    nodes: Vec<&'p Json>,
    hits: Vec<Hit>,
}

/// The JSON documents of a page: itself, and those found in it when a rule first asks.
struct Docs<'p> {
    page: Option<Json>,
    inside: Vec<OnceCell<Option<Json>>>,
    spider: &'p Spider,
}

/// Where relative selectors begin: the page, or one scope.
#[derive(Clone, Copy)]
struct Place<'p> {
    hit: Hit,
    /// The object of a JSON scope, and its document.
    json: Option<(&'p Json, u16)>,
}

/// The scopes of a rule on a page.
enum Places<'p> {
    Page,
    Hits(Vec<Hit>),
    Objects(Vec<&'p Json>, u16),
}

impl Extractor {
    /// An extractor with these bounds for each page.
    #[must_use]
    pub fn new(limits: ExtractLimits) -> Extractor {
        Extractor {
            parser: Parser::new(limits.tree),
            evaluator: Evaluator::new(limits.selector),
            limits,
            scratch: Scratch::default(),
        }
    }

    /// Extracts a page's items and links.
    ///
    /// # Errors
    /// When the page cannot be processed: no JSON where JSON was expected, or over a limit. `out` is then empty.
    pub fn extract(&mut self, spider: &Spider, page: &Page<'_>, out: &mut Extraction) -> Result<(), Unreadable> {
        out.clear();
        let result = self.extract_into(spider, page, out);
        if result.is_err() {
            out.clear();
        }
        result
    }

    fn extract_into(&mut self, spider: &Spider, page: &Page<'_>, out: &mut Extraction) -> Result<(), Unreadable> {
        let Some(target) = spider.target(page.target) else {
            return Err(Unreadable::new(format!("the spider has no target {}", page.target.0)));
        };
        let item = target.parse.map(|index| (index, &spider.items[index]));
        let expected = item.is_some_and(|(_, rule)| rule.only_json) && !target.follow;
        let docs = Docs {
            page: json_page(spider, page, expected)?,
            inside: spider.insides.iter().map(|_| OnceCell::new()).collect(),
            spider,
        };
        let Extractor { parser, evaluator, limits, scratch } = self;
        let tree = if docs.page.is_some() {
            None
        } else {
            let parsed = match spider.engine {
                Engine::Lxml => parser.parse(page.text),
                Engine::Html5 => parser.parse_html5(page.text),
            };
            Some(parsed.map_err(|error| Unreadable::new(error.to_string()))?)
        };
        let mut work = Work {
            context: Context {
                url: page.url,
                status: page.status,
                spider: &spider.name,
                job: page.job,
                started_at_us: page.started_at_us,
                server: page.server,
                carry: page.carry,
                args: &spider.args,
            },
            tree,
            docs: &docs,
            resolver: resolver(page, tree),
            evaluator,
            limits: *limits,
            notes: Notes { list: &mut out.notes },
            texts: recycle(std::mem::take(&mut scratch.texts)),
            spare: recycle(std::mem::take(&mut scratch.spare)),
            nodes: Vec::new(),
            hits: std::mem::take(&mut scratch.hits),
        };
        let mut result = Ok(());
        if let Some((index, rule)) = item {
            result = work.items(rule, index, &mut out.items, scratch);
        }
        if target.follow && result.is_ok() {
            result = work.links(&spider.rules, &mut out.links, scratch);
        }
        scratch.texts = recycle(work.texts);
        scratch.spare = recycle(work.spare);
        scratch.hits = work.hits;
        result
    }
}

/// An empty vector's memory for another lifetime: collecting in place keeps the allocation.
fn recycle<'b>(mut texts: Vec<Cow<'_, str>>) -> Vec<Cow<'b, str>> {
    texts.clear();
    texts.into_iter().map(|_| Cow::Borrowed("")).collect()
}

/// The page as JSON, when it is and some rule asks for it.
fn json_page(spider: &Spider, page: &Page<'_>, expected: bool) -> Result<Option<Json>, Unreadable> {
    if !spider.uses_json {
        return Ok(None);
    }
    let said = page.content_type.is_some_and(is_json_type);
    let text = page.text.trim_start_matches('\u{feff}').trim_ascii();
    if !said && !expected && !text.starts_with(['{', '[']) {
        return Ok(None);
    }
    match serde_json::from_str(text) {
        Ok(json) => Ok(Some(json)),
        Err(error) if said || expected => Err(Unreadable::new(format!("no JSON where JSON was expected: {error}"))),
        Err(_) => Ok(None),
    }
}

/// `application/json`, `text/json`, `application/ld+json` and their like.
fn is_json_type(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or("").trim();
    let subtype = essence.rsplit('/').next().unwrap_or("");
    subtype.eq_ignore_ascii_case("json")
        || subtype.get(subtype.len().saturating_sub(5)..).is_some_and(|s| s.eq_ignore_ascii_case("+json"))
}

/// What links are relative to: the page's URL, or its first `<base href>`.
fn resolver<'p>(page: &Page<'p>, tree: Option<Tree<'p>>) -> Resolver<'p> {
    let href = tree.and_then(|tree| {
        let (base, href) = (tree.find_name("base")?, tree.find_name("href")?);
        let ids = tree.name_ids();
        let bases = (0..tree.len())
            .map(NodeId)
            .filter(|node| ids[node.0 as usize] == base && tree.kind(*node) == Kind::Element);
        let attribute = |node| tree.attrs(node).map(weir_html::AttrId).find(|a| tree.attr_name_id(*a) == href);
        bases.filter_map(attribute).next().map(|a| tree.attr_value(a))
    });
    match href {
        Some(href) => Resolver::with_base(page.url, &href),
        None => Resolver::new(page.url),
    }
    .with_charset(page.charset)
}

impl<'p> Work<'p, '_> {
    /// The page as a place.
    fn page(&self) -> Place<'p> {
        Place { hit: self.tree.map_or_else(Hit::document, Hit::root), json: None }
    }

    /// The scopes of a rule.
    fn places(&mut self, scope: Option<&'p Scope>) -> Result<Places<'p>, Unreadable> {
        Ok(match scope {
            None => Places::Page,
            Some(Scope::Selector(selector)) => {
                let mut hits = Vec::new();
                if let Some(tree) = self.tree {
                    selector.nodes(self.evaluator, tree, Hit::root(tree), &mut hits)?;
                }
                Places::Hits(hits)
            }
            Some(Scope::Json(source)) => {
                let mut found = Vec::new();
                if let Some(json) = self.document(source.doc)? {
                    source.path.query(json, &mut found);
                }
                let objects = found
                    .into_iter()
                    .flat_map(|node| match node {
                        Json::Array(list) => list.iter().collect(),
                        node => vec![node],
                    })
                    .collect();
                Places::Objects(objects, source.doc)
            }
        })
    }
}

impl<'p> Places<'p> {
    fn len(&self) -> usize {
        match self {
            Places::Page => 1,
            Places::Hits(hits) => hits.len(),
            Places::Objects(objects, _) => objects.len(),
        }
    }

    fn get(&self, index: usize, page: Place<'p>) -> Place<'p> {
        match self {
            Places::Page => page,
            Places::Hits(hits) => Place { hit: hits[index], json: None },
            Places::Objects(objects, doc) => Place { hit: page.hit, json: Some((objects[index], *doc)) },
        }
    }
}
