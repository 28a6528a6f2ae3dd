//! Links of a page: each rule in turn finds, cleans, resolves, filters; the first that finds a link owns it.

use super::request::{render_body, render_header};
use super::{Place, Scratch, Work};
use crate::compiled::{ContextValue, FieldRule, FollowRule, LinkSource, Plan, RequestTemplate, Source};
use crate::error::Unreadable;
use crate::extensions::{extension, has_ignored_extension};
use crate::hook::{self, Passed};
use crate::json::text_of;
use crate::links::BadLink;
use crate::template::Variable;
use serde_json::Value as Json;
use std::borrow::Cow;
use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};
use weir_html::select::Hit;
use weir_html::{AttrId, Kind, NodeId, Tree};
use weir_model::{Carry, Link, LinkBatch, LinkExtra, Method};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// Longest URL that is a link: more than any server or browser takes.
const URL_BYTES_MAX: usize = 1 << 16;

/// Fingerprints of the links of one page.
pub(super) type Seen = HashSet<u64, BuildHasherDefault<AsItIs>>;

/// What is hashed is a hash already.
#[derive(Default)]
pub(super) struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, _: &[u8]) {
        debug_assert!(false, "only fingerprints are hashed");
    }
    fn write_u64(&mut self, n: u64) {
        self.0 = n;
    }
}

/// What a rule found, before it is a link.
struct Candidate<'c, 'p> {
    value: Cow<'p, str>,
    /// The JSON value that it is the text of.
    node: Option<&'p Json>,
    /// Taken from a link element, not from what the selector named.
    of_element: bool,
    carry: &'c mut Option<Carry>,
    place: Place<'p>,
}

impl<'p> Work<'p, '_> {
    /// Adds the links that the rules find.
    pub(super) fn links(
        &mut self,
        rules: &'p [FollowRule],
        out: &mut LinkBatch,
        scratch: &mut Scratch,
    ) -> Result<(), Unreadable> {
        scratch.seen.clear();
        for rule in rules {
            let places = self.places(rule.scope.as_ref())?;
            let page = self.page();
            for at in 0..places.len() {
                self.rule_at(rule, places.get(at, page), out, scratch)?;
            }
        }
        Ok(())
    }

    fn rule_at(
        &mut self,
        rule: &'p FollowRule,
        place: Place<'p>,
        out: &mut LinkBatch,
        scratch: &mut Scratch,
    ) -> Result<(), Unreadable> {
        let mut carry = None;
        let mut candidate = |work: &mut Self, value, node, of_element| {
            let candidate = Candidate { value, node, of_element, carry: &mut carry, place };
            work.candidate(rule, candidate, out, scratch)
        };
        match &rule.source {
            LinkSource::Once => candidate(self, Cow::Borrowed(""), None, false)?,
            LinkSource::All => {
                let Some(tree) = self.tree else { return Ok(()) };
                // Without a scope the whole document, whatever lies outside its first element included.
                let top = if rule.scope.is_some() { place.hit } else { Hit::document() };
                for href in Hrefs::of(tree, top) {
                    candidate(self, href, None, true)?;
                }
            }
            LinkSource::Json(source) => {
                self.nodes.clear();
                self.query(source, place)?;
                for node in std::mem::take(&mut self.nodes) {
                    let elements = match node {
                        Json::Array(list) => list.as_slice(),
                        node => std::slice::from_ref(node),
                    };
                    for node in elements {
                        if let Some(text) = text_of(node) {
                            candidate(self, text, Some(node), false)?;
                        }
                    }
                }
            }
            LinkSource::Selector(selector) => {
                let Some(tree) = self.tree else { return Ok(()) };
                if !selector.selects_nodes() {
                    let mut texts = Vec::new();
                    selector.strings(self.evaluator, tree, place.hit, &mut texts)?;
                    for text in texts {
                        candidate(self, text, None, false)?;
                    }
                    return Ok(());
                }
                let mut hits = std::mem::take(&mut self.hits);
                hits.clear();
                let found = selector.nodes(self.evaluator, tree, place.hit, &mut hits);
                let mut result = found;
                for hit in &hits {
                    if result.is_err() {
                        break;
                    }
                    result = if let Some(attribute) = hit.attribute() {
                        candidate(self, tree.attr_value(attribute), None, false)
                    } else if !hit.is_node() {
                        Ok(())
                    } else if tree.kind(hit.node()) == Kind::Text {
                        candidate(self, tree.text(hit.node()), None, false)
                    } else {
                        Hrefs::of(tree, *hit).try_for_each(|href| candidate(self, href, None, true))
                    };
                }
                self.hits = hits;
                result?;
            }
        }
        Ok(())
    }

    fn candidate(
        &mut self,
        rule: &'p FollowRule,
        candidate: Candidate<'_, 'p>,
        out: &mut LinkBatch,
        scratch: &mut Scratch,
    ) -> Result<(), Unreadable> {
        if rule.regex.is_none() && rule.steps.is_empty() {
            return self.link(rule, candidate, out, scratch);
        }
        self.texts.clear();
        self.texts.push(candidate.value);
        self.clean(rule.regex.as_ref(), &rule.steps, ("links", "value"));
        for value in std::mem::take(&mut self.texts) {
            let one = Candidate {
                value,
                node: None,
                of_element: candidate.of_element,
                carry: &mut *candidate.carry,
                place: candidate.place,
            };
            self.link(rule, one, out, scratch)?;
        }
        Ok(())
    }

    fn link(
        &mut self,
        rule: &'p FollowRule,
        candidate: Candidate<'_, 'p>,
        out: &mut LinkBatch,
        scratch: &mut Scratch,
    ) -> Result<(), Unreadable> {
        if out.len() >= self.limits.links_max {
            self.notes.count(["links", "too_many", ""], self.context.url);
            return Ok(());
        }
        let start = out.urls.len();
        let resolved = match &rule.url {
            None if self.resolver.is_self(&candidate.value) => return Ok(()),
            None => self.resolver.resolve(&candidate.value, false, &mut out.urls),
            Some(template) => {
                scratch.url.clear();
                template.render(&mut scratch.url, |variable| self.context.variable(variable, &candidate.value));
                self.resolver.resolve(&scratch.url, false, &mut out.urls)
            }
        };
        if let Err(bad) = resolved {
            let what = match bad {
                BadLink::Malformed => "bad_url",
                BadLink::OtherScheme => "other_scheme",
            };
            self.notes.count(["links", what, ""], &candidate.value);
            return Ok(());
        }
        let url = &out.urls[start..];
        if url.len() > URL_BYTES_MAX {
            self.notes.count(["links", "too_long", ""], url);
            out.urls.truncate(start);
            return Ok(());
        }
        let Some(extra) = takes(rule, url, candidate.of_element).then(|| self.extra(rule, candidate)).transpose()?
        else {
            out.urls.truncate(start);
            return Ok(());
        };
        let url = &out.urls[start..];
        let fingerprint = match extra.as_deref() {
            Some(LinkExtra { method, body, .. }) if *method != Method::Get || body.is_some() => {
                let body = xxh3_64(body.as_deref().unwrap_or_default());
                xxh3_64_with_seed(url.as_bytes(), body ^ (*method as u64 + 1))
            }
            _ => xxh3_64(url.as_bytes()),
        };
        if !scratch.seen.insert(fingerprint) {
            out.urls.truncate(start);
            return Ok(());
        }
        let end = u32::try_from(out.urls.len()).map_err(|_| Unreadable::new("links of more than 4 GB"))?;
        let mut link = Link { end, target: rule.target, priority: rule.priority, extra };
        if self.hooks_drop(&mut link, &out.urls[start..]) {
            out.urls.truncate(start);
            return Ok(());
        }
        out.links.push(link);
        Ok(())
    }

    /// Whether a hook drops a link; the others change it.
    fn hooks_drop(&mut self, link: &mut Link, url: &str) -> bool {
        let spider = self.docs.spider;
        if spider.hooks.link.is_empty() {
            return false;
        }
        let parse = spider.target(link.target).and_then(|target| target.parse);
        let parse = parse.map_or("", |at| spider.items[at].schema.name.as_str());
        let (context, notes) = (&self.context, &mut self.notes);
        let passed = hook::link(&spider.hooks.link, context, (url, parse), link, &mut |name, what, example| {
            notes.count(["hook", name, what], example);
        });
        passed == Passed::Dropped
    }

    fn extra(
        &mut self,
        rule: &'p FollowRule,
        candidate: Candidate<'_, 'p>,
    ) -> Result<Option<Box<LinkExtra>>, Unreadable> {
        let Some(request) = rule.request.as_deref() else { return Ok(None) };
        let carry = self.carried(request, &candidate.value, candidate.place, candidate.carry)?;
        let context = &self.context;
        let text = |variable: &Variable| context.variable(variable, &candidate.value);
        let json = |variable: &Variable| match variable {
            Variable::Value => candidate.node.cloned(),
            Variable::Carry(name) => context.carry.and_then(|carry| carry.get(name.as_ref())).cloned(),
            Variable::Status => Some(context.status.into()),
            _ => None,
        };
        Ok(Some(Box::new(LinkExtra {
            method: request.method,
            body: request.body.as_ref().map(|body| render_body(body, &text, &json).into_boxed_slice()),
            headers: request.headers.iter().map(|(name, value)| (name.clone(), render_header(value, &text))).collect(),
            carry: (!carry.is_empty()).then(|| Box::new(carry)),
        })))
    }

    /// Carried values. Those that do not depend on the link itself are made once a place.
    fn carried(
        &mut self,
        request: &'p RequestTemplate,
        value: &str,
        place: Place<'p>,
        made: &mut Option<Carry>,
    ) -> Result<Carry, Unreadable> {
        let mut carry = match made {
            Some(carry) => carry.clone(),
            None => {
                let mut carry = Carry::new();
                for field in request.carry.iter().filter(|field| !is_found(field)) {
                    self.carry_one(field, value, place, &mut carry)?;
                }
                made.insert(carry).clone()
            }
        };
        for field in request.carry.iter().filter(|field| is_found(field)) {
            self.carry_one(field, value, place, &mut carry)?;
        }
        Ok(carry)
    }

    fn carry_one(
        &mut self,
        field: &'p FieldRule,
        value: &str,
        place: Place<'p>,
        carry: &mut Carry,
    ) -> Result<(), Unreadable> {
        let value = crate::convert::to_json(self.field("carry", field, place, value)?);
        if !value.is_null() {
            carry.insert(field.name.to_string(), value);
        }
        Ok(())
    }
}

fn is_found(field: &FieldRule) -> bool {
    matches!(&field.plan, Plan::Pipeline(pipeline) if matches!(pipeline.source, Source::Context(ContextValue::Found)))
}

/// Whether a rule's filters let a URL through.
fn takes(rule: &FollowRule, url: &str, of_element: bool) -> bool {
    let denied_extension = match &rule.deny_extensions {
        Some(list) => extension(url).is_some_and(|tail| list.iter().any(|denied| **denied == *tail)),
        None => of_element && has_ignored_extension(url),
    };
    !denied_extension
        && (rule.allow.is_empty() || rule.allow.iter().any(|regex| regex.is_match(url)))
        && !rule.deny.iter().any(|regex| regex.is_match(url))
}

/// The `href`s in a subtree: of its `a` and `area` elements, and of its top whatever that is.
struct Hrefs<'p> {
    tree: Tree<'p>,
    top: u32,
    at: u32,
    end: u32,
    a: u32,
    area: u32,
    href: Option<weir_html::NameId>,
}

impl<'p> Hrefs<'p> {
    fn of(tree: Tree<'p>, top: Hit) -> Hrefs<'p> {
        let name = |name| tree.find_name(name).map_or(u32::MAX, |id| id.0);
        let top = top.node();
        let fits = top.0 < tree.len();
        let end = if fits { tree.end(top) } else { top.0 };
        Hrefs { tree, top: top.0, at: top.0, end, a: name("a"), area: name("area"), href: tree.find_name("href") }
    }
}

impl<'p> Iterator for Hrefs<'p> {
    type Item = Cow<'p, str>;

    fn next(&mut self) -> Option<Cow<'p, str>> {
        let href = self.href?;
        let ids = self.tree.name_ids();
        while self.at < self.end {
            let at = self.at;
            self.at += 1;
            let id = ids[at as usize].0;
            if id == self.a || id == self.area || at == self.top {
                let found = self.tree.attrs(NodeId(at)).map(AttrId).find(|a| self.tree.attr_name_id(*a) == href);
                if let Some(attribute) = found {
                    return Some(self.tree.attr_value(attribute));
                }
            }
        }
        None
    }
}
