//! From a source to a typed value.

use super::{Place, Work};
use crate::compiled::{ContextValue, DocIndex, FieldRule, Gather, JsonSource, Pipeline, Plan, Source};
use crate::convert::{from_json, from_text};
use crate::error::Unreadable;
use crate::json::text_of;
use crate::steps::{self, Env};
use serde_json::Value as Json;
use std::borrow::Cow;
use weir_model::{FieldKind, Value};

impl<'p> Work<'p, '_> {
    /// The value of a field at a place; `item` is for notes, `found` is what a rule found.
    pub(super) fn field(
        &mut self,
        item: &str,
        field: &'p FieldRule,
        place: Place<'p>,
        found: &str,
    ) -> Result<Value, Unreadable> {
        match &field.plan {
            Plan::Literal(value) => Ok(value.clone()),
            Plan::Context(which) => Ok(self.context.value(which)),
            Plan::Geocode | Plan::Compute => Ok(Value::Null),
            Plan::Pipeline(pipeline) => {
                if let Source::Context(ContextValue::Found) = pipeline.source {
                    return Ok(Value::Str(found.into()));
                }
                let direct =
                    pipeline.regex.is_none() && pipeline.steps.is_empty() && !matches!(field.gather, Gather::Join(_));
                if direct && self.nodes_of(&pipeline.source, place, field.kind == FieldKind::Json)? {
                    return Ok(self.gather_nodes(item, field));
                }
                self.texts.clear();
                self.collect(pipeline, place, (item, &field.name))?;
                Ok(self.gather_texts(item, field))
            }
        }
    }

    /// Puts the JSON values of a source into `nodes`; false when it is no source of JSON. A list stands for its elements,
    /// unless JSON is wanted as it is.
    pub(super) fn nodes_of(&mut self, source: &'p Source, place: Place<'p>, whole: bool) -> Result<bool, Unreadable> {
        self.nodes.clear();
        match source {
            Source::Json(source) => self.query(source, place)?,
            Source::Carry(name) | Source::Context(ContextValue::Carry(name)) => {
                self.nodes.extend(self.context.carry.and_then(|carry| carry.get(name.as_ref())));
            }
            _ => return Ok(false),
        }
        if !whole && self.nodes.iter().any(|node| node.is_array()) {
            let lists = std::mem::take(&mut self.nodes);
            for node in lists {
                match node {
                    Json::Array(list) => self.nodes.extend(list),
                    node => self.nodes.push(node),
                }
            }
        }
        self.nodes.retain(|node| !node.is_null());
        Ok(true)
    }

    pub(super) fn query(&mut self, source: &'p JsonSource, place: Place<'p>) -> Result<(), Unreadable> {
        let root = match place.json {
            Some((object, doc)) if doc == source.doc => Some(object),
            _ => self.document(source.doc)?,
        };
        if let Some(root) = root {
            source.path.query(root, &mut self.nodes);
        }
        Ok(())
    }

    /// A JSON document of the page: 0 is the page, the others are found in it, once.
    pub(super) fn document(&mut self, doc: DocIndex) -> Result<Option<&'p Json>, Unreadable> {
        let docs = self.docs;
        let Some(at) = usize::from(doc).checked_sub(1) else { return Ok(docs.page.as_ref()) };
        if docs.inside[at].get().is_none() {
            let found = self.find_inside(at)?;
            // Nobody else fills it between the look and this.
            let _ = docs.inside[at].set(found);
        }
        Ok(docs.inside[at].get().and_then(Option::as_ref))
    }

    fn find_inside(&mut self, at: usize) -> Result<Option<Json>, Unreadable> {
        let Some(tree) = self.tree else { return Ok(None) };
        let inside = &self.docs.spider.insides[at];
        let mut texts = Vec::new();
        inside.selector.strings(self.evaluator, tree, weir_html::select::Hit::root(tree), &mut texts)?;
        let mut error = None;
        for text in &texts {
            let text: &str = match &inside.regex {
                None => text,
                Some(regex) => match regex.captures(text) {
                    None => continue,
                    Some(groups) => groups.get(1).or_else(|| groups.get(0)).map_or("", |found| found.as_str()),
                },
            };
            // What stands behind the value (a semicolon, more script) does not matter.
            match serde_json::Deserializer::from_str(text).into_iter().next() {
                Some(Ok(json)) => return Ok(Some(json)),
                Some(Err(why)) => error = error.or(Some(why.to_string())),
                None => {}
            }
        }
        if let Some(why) = error {
            self.notes.count(["inside", "not_json", ""], &why);
        }
        Ok(None)
    }

    /// Adds the values of a pipeline to `texts`, which is empty.
    pub(super) fn collect(
        &mut self,
        pipeline: &'p Pipeline,
        place: Place<'p>,
        names: (&str, &str),
    ) -> Result<(), Unreadable> {
        match &pipeline.source {
            Source::Selector(selector) => {
                if let Some(tree) = self.tree {
                    selector.strings(self.evaluator, tree, place.hit, &mut self.texts)?;
                }
            }
            source @ (Source::Json(_) | Source::Carry(_) | Source::Context(ContextValue::Carry(_))) => {
                self.nodes_of(source, place, false)?;
                self.texts.extend(self.nodes.iter().filter_map(|node| text_of(node)));
            }
            Source::Url(regex) => {
                if let Some(groups) = regex.captures(self.context.url) {
                    let skip = usize::from(groups.len() > 1);
                    self.texts
                        .extend(groups.iter().skip(skip).map(|group| Cow::Borrowed(group.map_or("", |g| g.as_str()))));
                }
            }
            Source::Context(which) => self.texts.extend(self.context.text(which)),
            Source::Const(texts) => self.texts.extend(texts.iter().map(|text| Cow::Borrowed(text.as_ref()))),
            Source::First(list) => {
                for alternative in list {
                    self.texts.clear();
                    self.collect(alternative, place, names)?;
                    if self.texts.iter().any(|text| !text.is_empty()) {
                        break;
                    }
                }
            }
        }
        self.clean(pipeline.regex.as_ref(), &pipeline.steps, names);
        Ok(())
    }

    /// Applies a regex and steps to `texts`.
    pub(super) fn clean(&mut self, regex: Option<&regex::Regex>, steps: &[crate::steps::Step], names: (&str, &str)) {
        if let Some(regex) = regex {
            self.spare.clear();
            for text in self.texts.drain(..) {
                steps::matches(regex, text, &mut self.spare);
            }
            std::mem::swap(&mut self.texts, &mut self.spare);
        }
        if !steps.is_empty() {
            let mut env = Env { context: &self.context, resolver: &self.resolver, notes: &mut self.notes, names };
            steps::run(steps, &mut self.texts, &mut self.spare, &mut env);
        }
    }

    fn gather_texts(&mut self, item: &str, field: &FieldRule) -> Value {
        let format = field.format.as_deref();
        let one = match &field.gather {
            Gather::First => self.texts.iter_mut().find(|text| !text.is_empty()).map(std::mem::take),
            Gather::Join(separator) => match self.texts.as_mut_slice() {
                [] => None,
                [only] => Some(std::mem::take(only)),
                several => Some(Cow::Owned(several.join(separator.as_ref()))),
            },
            Gather::Many => {
                let mut list = Vec::with_capacity(self.texts.len());
                for text in self.texts.drain(..) {
                    if text.is_empty() && field.kind != FieldKind::Str {
                        continue;
                    }
                    let shown = text.clone();
                    match from_text(text, field.kind, format) {
                        Ok(value) => list.push(value),
                        Err(misfit) => self.notes.count([item, &field.name, misfit], &shown),
                    }
                }
                return if list.is_empty() { Value::Null } else { Value::List(list) };
            }
        };
        let Some(text) = one.filter(|text| !text.is_empty()) else { return Value::Null };
        if field.kind == FieldKind::Str {
            return Value::Str(text.into());
        }
        from_text(Cow::Borrowed(&text), field.kind, format).unwrap_or_else(|misfit| {
            self.notes.count([item, &field.name, misfit], &text);
            Value::Null
        })
    }

    fn gather_nodes(&mut self, item: &str, field: &FieldRule) -> Value {
        let format = field.format.as_deref();
        let is_empty = |node: &Json| matches!(node, Json::String(text) if text.is_empty());
        match field.gather {
            Gather::Many => {
                let mut list = Vec::with_capacity(self.nodes.len());
                for node in self.nodes.iter().filter(|node| field.kind == FieldKind::Str || !is_empty(node)) {
                    match from_json(node, field.kind, format) {
                        Ok(value) => list.push(value),
                        Err(misfit) => self.notes.count([item, &field.name, misfit], &node.to_string()),
                    }
                }
                if list.is_empty() { Value::Null } else { Value::List(list) }
            }
            Gather::First | Gather::Join(_) => {
                let Some(node) = self.nodes.iter().find(|node| !is_empty(node)) else { return Value::Null };
                from_json(node, field.kind, format).unwrap_or_else(|misfit| {
                    self.notes.count([item, &field.name, misfit], &node.to_string());
                    Value::Null
                })
            }
        }
    }
}
