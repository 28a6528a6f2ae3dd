//! What the functions do.

use std::borrow::Cow;

use super::functions::Function;
use super::hit::Hit;
use super::number;
use super::pattern::{Pattern, Template};
use super::plan::{Blanks, Op, OpId, Run as Slice};
use super::run::{Context, Run};
use super::strings::{normalized, slice, substring, translated};
use crate::tree::{Kind, NodeId};

impl<'e> Run<'e, '_> {
    fn operand(&self, operands: Slice, index: usize) -> Option<OpId> {
        self.plan.operands[operands.range()].get(index).copied()
    }

    /// The string of an argument, or of the context node when there is none.
    fn argument(&mut self, operands: Slice, index: usize, context: Context) -> Cow<'e, str> {
        match self.operand(operands, index) {
            Some(op) => self.text(op, context),
            None => self.value(context.hit),
        }
    }

    pub(crate) fn call_truth(&mut self, id: OpId, context: Context) -> bool {
        let (function, operands) = match self.op(id) {
            Op::Call(function, operands) => (function, operands),
            Op::Pattern(Function::ReTest, input, pattern) => {
                let plan = self.plan;
                let text = self.python_text(plan.operands[input.from as usize], context);
                self.charge_scan(text.len());
                let found = plan.patterns[pattern as usize].is_match(&text);
                self.recycle(text);
                return found;
            }
            _ => {
                let found = self.nodes(id, context, usize::MAX);
                let any = !found.is_empty();
                self.give_hits(found);
                return any;
            }
        };
        match function {
            Function::Not => !self.truth(self.plan.operands[operands.from as usize], context),
            Function::Boolean => self.truth(self.plan.operands[operands.from as usize], context),
            Function::Contains => {
                let text = self.argument(operands, 0, context);
                self.charge_scan(text.len());
                let found = match self.operand(operands, 1).map(|op| self.op(op)) {
                    Some(Op::Text(needle)) => self.plan.texts[needle as usize].finder.find(text.as_bytes()).is_some(),
                    _ => {
                        let needle = self.argument(operands, 1, context);
                        memchr::memmem::find(text.as_bytes(), needle.as_bytes()).is_some()
                    }
                };
                self.recycle(text);
                found
            }
            Function::StartsWith => {
                let (text, start) = (self.argument(operands, 0, context), self.argument(operands, 1, context));
                let holds = text.starts_with(&*start);
                self.recycle(text);
                self.recycle(start);
                holds
            }
            Function::HasClass => self.has_class(operands, context),
            Function::ReTest => {
                let text = self.python_text(self.plan.operands[operands.from as usize], context);
                self.charge_scan(text.len());
                self.pattern(operands, context, true).is_some_and(|pattern| pattern.is_match(&text))
            }
            Function::SetHasSameNode => {
                let (a, b) = self.two_sets(operands, context);
                let same = a.iter().any(|hit| b.binary_search(hit).is_ok());
                self.give_hits(a);
                self.give_hits(b);
                same
            }
            Function::Lang => {
                let wanted = self.argument(operands, 0, context);
                self.language(context.hit, &wanted)
            }
            _ => false,
        }
    }

    pub(crate) fn call_number(&mut self, id: OpId, context: Context) -> f64 {
        let Op::Call(function, operands) = self.op(id) else { return f64::NAN };
        let first = self.operand(operands, 0);
        match (function, first) {
            (Function::Position, _) => f64::from(context.position),
            (Function::Last, _) => f64::from(context.size),
            (Function::Count, Some(op)) => {
                if let Some(count) = self.siblings(op, context) {
                    return count;
                }
                let nodes = self.nodes(op, context, usize::MAX);
                let count = nodes.len() as f64;
                self.give_hits(nodes);
                count
            }
            (Function::Sum, Some(op)) => {
                let nodes = self.nodes(op, context, usize::MAX);
                let mut sum = 0.0;
                for &hit in &nodes {
                    let value = self.value(hit);
                    sum += number::from_text(&value);
                    self.recycle(value);
                }
                self.give_hits(nodes);
                sum
            }
            (Function::StringLength, _) => {
                let text = self.argument(operands, 0, context);
                self.charge_scan(text.len());
                let length = text.chars().count() as f64;
                self.recycle(text);
                length
            }
            (Function::Number, None) => number::from_text(&self.value(context.hit)),
            (Function::Number, Some(op)) => self.number(op, context),
            (Function::Floor, Some(op)) => self.number(op, context).floor(),
            (Function::Ceiling, Some(op)) => self.number(op, context).ceil(),
            (Function::Round, Some(op)) => number::round(self.number(op, context)),
            _ => f64::NAN,
        }
    }

    pub(crate) fn call_text(&mut self, id: OpId, context: Context) -> Cow<'e, str> {
        let plan = self.plan;
        let (function, operands) = match self.op(id) {
            Op::Call(function, operands) => (function, operands),
            Op::Replace(input, pattern, template) => {
                let text = self.python_text(input, context);
                return self.replaced(text, &plan.patterns[pattern as usize], &plan.templates[template as usize]);
            }
            _ => return Cow::Borrowed(""),
        };
        match function {
            Function::Text => self.argument(operands, 0, context),
            Function::Concat => {
                let mut out = self.take_string();
                for at in operands.range() {
                    let part = self.text(plan.operands[at], context);
                    self.text_left -= part.len() as i64;
                    if self.exhausted() {
                        break;
                    }
                    out.push_str(&part);
                    self.recycle(part);
                }
                Cow::Owned(out)
            }
            Function::NormalizeSpace => {
                let text = self.argument(operands, 0, context);
                self.charge_scan(text.len());
                normalized(text)
            }
            Function::SubstringBefore | Function::SubstringAfter => {
                let (text, mark) = (self.argument(operands, 0, context), self.argument(operands, 1, context));
                self.charge_scan(text.len());
                let range = match text.find(&*mark) {
                    None => 0..0,
                    Some(at) if function == Function::SubstringBefore => 0..at,
                    Some(at) => at + mark.len()..text.len(),
                };
                slice(text, range)
            }
            Function::Substring => {
                let text = self.argument(operands, 0, context);
                let start = self.operand(operands, 1).map_or(f64::NAN, |op| self.number(op, context));
                let length = self.operand(operands, 2).map(|op| self.number(op, context));
                self.charge_scan(text.len());
                substring(text, start, length)
            }
            Function::Translate => {
                let text = self.argument(operands, 0, context);
                let (from, to) = (self.argument(operands, 1, context), self.argument(operands, 2, context));
                self.steps_left -= (text.len() as i64 * (1 + from.len() as i64 / 32)) >> 4;
                if self.exhausted() {
                    return Cow::Borrowed("");
                }
                translated(&text, &from, &to)
            }
            Function::Name | Function::LocalName | Function::NamespaceUri => self.name_of(function, operands, context),
            Function::ReReplace => {
                let text = self.python_text(plan.operands[operands.from as usize], context);
                let Some(pattern) = self.pattern(operands, context, false) else { return Cow::Borrowed("") };
                let replacement = self.python_text(plan.operands[operands.from as usize + 3], context);
                match Template::new(&replacement, &pattern) {
                    Ok(template) => self.replaced(text, &pattern, &template),
                    Err(error) => {
                        self.pattern_error = Some(error.message);
                        Cow::Borrowed("")
                    }
                }
            }
            _ => Cow::Borrowed(""),
        }
    }

    fn replaced(&mut self, text: Cow<'e, str>, pattern: &Pattern, template: &Template) -> Cow<'e, str> {
        self.charge_scan(text.len());
        let out = match pattern.replace(&text, template) {
            Cow::Borrowed(_) => return text,
            Cow::Owned(out) => out,
        };
        self.text_left -= out.len() as i64;
        Cow::Owned(out)
    }

    fn name_of(&mut self, function: Function, operands: Slice, context: Context) -> Cow<'e, str> {
        let hit = match self.operand(operands, 0) {
            None => Some(context.hit),
            Some(op) => self.first(op, context),
        };
        let Some(hit) = hit else { return Cow::Borrowed("") };
        let tree = self.tree;
        let is_uri = function == Function::NamespaceUri;
        if hit.made_index().is_some() {
            return Cow::Borrowed(if is_uri { "" } else { "match" });
        }
        let name = match hit.attribute() {
            Some(attribute) => match tree.declares(attribute) {
                Some(prefix) => return Cow::Borrowed(if is_uri { "" } else { prefix }),
                None => tree.attr_name_id(attribute),
            },
            None if hit.is_namespace() => return Cow::Borrowed(if is_uri { "" } else { "xml" }),
            None => match tree.kind(hit.node()) {
                Kind::Element => tree.name_id(hit.node()),
                Kind::Pi if !is_uri => {
                    let text = tree.text(hit.node());
                    return Cow::Owned(text.split_ascii_whitespace().next().unwrap_or("").to_string());
                }
                _ => return Cow::Borrowed(""),
            },
        };
        let (uri, local) = tree.expanded_name(name);
        match function {
            Function::NamespaceUri => Cow::Borrowed(uri.unwrap_or("")),
            Function::Name if uri.is_some() => match hit.attribute() {
                Some(attribute) => tree.qualified_attr_name(attribute),
                None => tree.qualified_name(hit.node()),
            },
            _ => Cow::Borrowed(local),
        }
    }

    /// `lang()`: the nearest `xml:lang` is this language or one of its regions. HTML has no attribute in XML's namespace.
    fn language(&mut self, hit: Hit, wanted: &str) -> bool {
        let Some(name) = self.tree.find_name("0 lang").filter(|_| self.tree.is_xml()) else { return false };
        let mut node = Some(hit.node());
        while let Some(here) = node {
            self.steps_left -= 1;
            if let Some(attribute) = self.attribute(name.0, Hit::of(here)) {
                let value = self.tree.attr_value(attribute);
                let Some(start) = value.get(..wanted.len()) else { return false };
                let ends = value.len() == wanted.len() || value[wanted.len()..].starts_with('-');
                return ends && start.eq_ignore_ascii_case(wanted);
            }
            node = self.tree.parent(here);
        }
        false
    }

    /// parsel's `has-class`: every argument stands, between spaces, in the class attribute with its white space folded.
    fn has_class(&mut self, operands: Slice, context: Context) -> bool {
        let hit = context.hit;
        if !hit.is_node() || hit.made_index().is_some() || self.tree.kind(hit.node()) != Kind::Element {
            return false;
        }
        let Some(classes) = self.class_attribute(hit.node()) else { return false };
        let mut folded = String::with_capacity(classes.len() + 2);
        folded.push(' ');
        for c in classes.chars() {
            let blank = c.is_ascii() && Blanks::Html.has(c as u8);
            if !blank {
                folded.push(c);
            } else if !folded.ends_with(' ') {
                folded.push(' ');
            }
        }
        if !folded.ends_with(' ') {
            folded.push(' ');
        }
        operands.range().all(|at| {
            let class = self.text(self.plan.operands[at], context);
            folded
                .match_indices(&*class)
                .any(|(at, found)| folded[..at].ends_with(' ') && folded[at + found.len()..].starts_with(' '))
        })
    }

    fn class_attribute(&self, node: NodeId) -> Option<Cow<'e, str>> {
        let name = self.tree.find_name("class")?;
        let attribute = self.attribute(name.0, Hit::of(node))?;
        Some(self.tree.attr_value(attribute))
    }

    /// An argument of a `re:` function as lxml hands it to Python: numbers and booleans print as Python's, so does a namespace, and the
    /// document is no node there.
    pub(crate) fn python_text(&mut self, op: OpId, context: Context) -> Cow<'e, str> {
        match self.kind(op) {
            super::ast::Type::Number => Cow::Owned(number::to_python(self.number(op, context))),
            super::ast::Type::Boolean => Cow::Borrowed(if self.truth(op, context) { "True" } else { "False" }),
            super::ast::Type::Text => self.text(op, context),
            super::ast::Type::Nodes => {
                let mut first = self.first(op, context);
                if first == Some(Hit::document()) {
                    // The document comes before all others.
                    let found = self.nodes(op, context, 2);
                    first = found.get(1).copied();
                    self.give_hits(found);
                }
                let Some(hit) = first else { return Cow::Borrowed("") };
                crate::select::namespace_pair(self.tree, hit).unwrap_or_else(|| self.value(hit))
            }
        }
    }

    /// A pattern that is known only on the page: compiled once a page text, kept within a bound.
    pub(crate) fn pattern(&mut self, operands: Slice, context: Context, only_test: bool) -> Option<Pattern> {
        let source = self.operand(operands, 1).map(|op| self.python_text(op, context))?;
        let flags = self.operand(operands, 2).map_or(Cow::Borrowed(""), |op| self.python_text(op, context));
        let mut kind = String::from(if only_test { "t" } else { "m" });
        kind.extend(flags.chars().filter(|c| matches!(c, 'i' | 'g')).take(4));
        let key = (kind, source.into_owned());
        if !self.scratch.patterns.contains_key(&key) {
            if self.scratch.patterns.len() >= self.patterns_max {
                self.scratch.patterns.clear();
            }
            // Compiling costs about as much as a thousand nodes, and a little for each byte.
            self.steps_left -= 1000 + 16 * key.1.len() as i64;
            if self.exhausted() {
                return None;
            }
            let compiled = Pattern::new(&key.1, &key.0, only_test).map_err(|error| error.message);
            self.scratch.patterns.insert(key.clone(), compiled);
        }
        match self.scratch.patterns.get(&key)? {
            Ok(pattern) => Some(pattern.clone()),
            Err(why) => {
                self.pattern_error = Some(why.clone());
                None
            }
        }
    }

    pub(crate) fn charge_scan(&mut self, bytes: usize) {
        self.steps_left -= bytes as i64 >> 5;
    }
}
