//! XML pages (feeds, sitemaps, what an API calls `text/xml`) as the same arena tree, so that the same evaluator reads them.
//!
//! Decides nodes and namespaces; forgiving as parsel is (`recover`): an end tag closes the innermost element, unknown entities,
//! second attributes of a name and what follows the root are dropped, nothing is fetched or expanded. Layout, on top of `tree`'s:
//! the document node's attributes are the namespaces of the page (number k has its URI as value; 0 is XML's own), which is
//! also what tells an XML tree from an HTML one. An element or attribute in namespace k is named `k local`, a declaration is
//! an attribute named ` prefix`, before all others. No HTML name has a space, so no page can forge one.

use crate::names::{NAME_BYTES_MAX, Names};
use crate::parse::{Limits, ParseError};
use crate::tree::{Arena, Attr, FLAG_EXTRA, FLAG_FINAL, NONE, NameId, Node, POSITION, Tree};

mod names;
mod text;

use text::{decode, doctype_length, name_length, push_lines};

/// The namespace of `xml:lang` and its like.
pub(crate) const XML_URI: &str = "http://www.w3.org/XML/1998/namespace";
/// Namespaces of one page; more are taken for none.
const NAMESPACES_MAX: usize = 1000;

/// Parses XML pages, one after another, in one reused arena.
pub struct XmlParser {
    arena: Arena,
    limits: Limits,
}

impl XmlParser {
    /// A parser with these limits.
    pub fn new(limits: Limits) -> XmlParser {
        XmlParser { arena: Arena { names: Names::new(limits.hash_seed), ..Arena::default() }, limits }
    }

    /// The tree of a page, as parsel's `Selector(text=..., type="xml")` has it. It lives until the next call. A page without
    /// a root element becomes a lone `html`, as there.
    ///
    /// # Errors
    /// A limit is passed (but a page that nests deeper than `Limits::depth_max` is cut there).
    pub fn parse<'a>(&'a mut self, page: &'a str) -> Result<Tree<'a>, ParseError> {
        let XmlParser { arena, limits } = self;
        let max = limits.page_bytes_max.min(POSITION as usize / 2);
        if page.len() > max {
            return Err(ParseError::PageTooLong { bytes: page.len(), max });
        }
        let source = page.trim().trim_start_matches('\u{feff}');
        arena.clear();
        let mut builder = Builder::new(arena, limits);
        builder.read(source)?;
        builder.finish();
        let has_root = arena.columns.iter().any(|name| name.0 >= NameId::FIRST_REAL);
        if !has_root {
            arena.clear();
            let mut builder = Builder::new(arena, limits);
            builder.read("<html/>")?;
            builder.finish();
        }
        Ok(Tree { source, arena })
    }
}

struct Open {
    node: u32,
    last_child: u32,
    /// Namespaces in scope before this element declared its own.
    scope: usize,
}

struct Builder<'p> {
    arena: &'p mut Arena,
    limits: &'p Limits,
    open: Vec<Open>,
    /// Prefixes in scope, innermost last, with the number of their namespace (`NONE`: declared away).
    scope: Vec<(String, u32)>,
    namespaces: Vec<String>,
    /// The text node that more text belongs to.
    text: u32,
}

impl<'p> Builder<'p> {
    fn new(arena: &'p mut Arena, limits: &'p Limits) -> Self {
        let scope = vec![("xml".to_string(), 0)];
        let document = Open { node: 0, last_child: NONE, scope: 1 };
        Builder { arena, limits, open: vec![document], scope, namespaces: vec![XML_URI.to_string()], text: NONE }
    }

    fn read(&mut self, source: &str) -> Result<(), ParseError> {
        let mut rest = source;
        let mut rooted = false;
        while !rest.is_empty() {
            let at_top = self.open.len() == 1;
            let text = rest.find('<').unwrap_or(rest.len());
            if text > 0 {
                // Beside the root there is only white space; anything else ends the page.
                if !at_top {
                    self.text(&rest[..text], true)?;
                } else if !rest[..text].trim().is_empty() {
                    return Ok(());
                }
                rest = &rest[text..];
                continue;
            }
            if let Some(body) = rest.strip_prefix("<!--") {
                let end = body.find("-->");
                self.leaf(NameId::COMMENT, &body[..end.unwrap_or(body.len())])?;
                rest = end.map_or("", |end| &body[end + 3..]);
            } else if let Some(body) = rest.strip_prefix("<![CDATA[") {
                let end = body.find("]]>");
                if !at_top {
                    self.text(&body[..end.unwrap_or(body.len())], false)?;
                }
                rest = end.map_or("", |end| &body[end + 3..]);
            } else if let Some(body) = rest.strip_prefix("<?") {
                let end = body.find("?>");
                let content = &body[..end.unwrap_or(body.len())];
                if content.split_ascii_whitespace().next() != Some("xml") {
                    self.leaf(NameId::PI, content)?;
                }
                rest = end.map_or("", |end| &body[end + 2..]);
            } else if rest.starts_with("<!") {
                rest = &rest[doctype_length(rest)..];
            } else if let Some(body) = rest.strip_prefix("</") {
                let end = body.find('>');
                rest = end.map_or("", |end| &body[end + 1..]);
                self.close();
                if self.open.len() == 1 {
                    rooted = true;
                }
            } else {
                let name = name_length(&rest[1..]);
                if name == 0 {
                    // A `<` that begins nothing is dropped.
                    rest = &rest[1..];
                    continue;
                }
                if at_top && rooted {
                    return Ok(());
                }
                rest = self.start_tag(&rest[1..], name)?;
                if self.open.len() == 1 {
                    rooted = true;
                }
            }
            if self.arena.truncated {
                return Ok(());
            }
        }
        Ok(())
    }

    /// A start tag whose name begins `rest`; returns what follows it.
    fn start_tag<'s>(&mut self, rest: &'s str, name: usize) -> Result<&'s str, ParseError> {
        if self.open.len() as u32 > self.limits.depth_max {
            self.arena.truncated = true;
            return Ok("");
        }
        let (tag, mut rest) = rest.split_at(name);
        let mut attributes: Vec<(&str, String)> = Vec::new();
        let empty = loop {
            rest = rest.trim_start();
            if let Some(after) = rest.strip_prefix("/>") {
                rest = after;
                break true;
            }
            if let Some(after) = rest.strip_prefix('>') {
                rest = after;
                break false;
            }
            let length = name_length(rest);
            let value = rest[length..].trim_start().strip_prefix('=').map(str::trim_start);
            let quoted = value.and_then(|value| {
                let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
                let end = value[1..].find(quote)?;
                Some((&value[1..1 + end], &value[end + 2..]))
            });
            match quoted {
                Some((value, after)) if length > 0 => {
                    if attributes.iter().all(|(known, _)| **known != rest[..length]) {
                        let mut decoded = String::new();
                        decode(value, true, &mut decoded);
                        attributes.push((&rest[..length], decoded));
                    }
                    rest = after;
                }
                // Whatever else this is, the tag ends here.
                _ => break false,
            }
        };
        let scope = self.scope.len();
        let mut declared: Vec<(&str, &str)> = Vec::new();
        for (name, value) in &attributes {
            let prefix = if *name == "xmlns" { Some("") } else { name.strip_prefix("xmlns:") };
            if let Some(prefix) = prefix {
                declared.push((prefix, value));
                let number = self.namespace(value);
                self.scope.push((prefix.to_string(), number));
            }
        }
        let first = self.arena.attrs.len() as u32;
        // libxml2 gives the namespaces of an element in reverse.
        for (prefix, uri) in declared.into_iter().rev() {
            self.attribute(&format!(" {prefix}"), uri)?;
        }
        for (name, value) in &attributes {
            if *name != "xmlns" && !name.starts_with("xmlns:") {
                let name = self.expanded(name, false);
                self.attribute(&name, value)?;
            }
        }
        let name = self.expanded(tag, true);
        let name = self.intern(&name)?;
        let node = self.node(name, first, self.arena.attrs.len() as u32)?;
        self.text = NONE;
        self.open.push(Open { node, last_child: NONE, scope });
        if empty {
            self.close();
        }
        Ok(rest)
    }

    /// The name under which the tree knows `qualified`.
    fn expanded(&self, qualified: &str, is_element: bool) -> String {
        let (prefix, local) = match qualified.split_once(':') {
            Some((prefix, local)) => (prefix, local),
            None if is_element => ("", qualified),
            None => return qualified.to_string(),
        };
        match self.scope.iter().rev().find(|(known, _)| known == prefix) {
            Some((_, number)) if *number != NONE => format!("{number} {local}"),
            // An undeclared prefix is part of the name.
            _ => qualified.to_string(),
        }
    }

    fn namespace(&mut self, uri: &str) -> u32 {
        if uri.is_empty() {
            return NONE;
        }
        let known = self.namespaces.iter().position(|known| known == uri);
        match known {
            Some(number) => number as u32,
            None if self.namespaces.len() >= NAMESPACES_MAX => NONE,
            None => {
                self.namespaces.push(uri.to_string());
                self.namespaces.len() as u32 - 1
            }
        }
    }

    fn intern(&mut self, name: &str) -> Result<NameId, ParseError> {
        if self.arena.names.len() as u32 > self.limits.names_max {
            return Err(ParseError::TooManyNames { max: self.limits.names_max });
        }
        let name = &name[..name.floor_char_boundary(NAME_BYTES_MAX)];
        Ok(self.arena.names.intern(name.as_bytes()))
    }

    fn attribute(&mut self, name: &str, value: &str) -> Result<(), ParseError> {
        if self.arena.attrs.len() as u32 >= self.limits.attrs_max {
            return Err(ParseError::TooManyAttrs { max: self.limits.attrs_max });
        }
        let name = self.intern(name)?;
        let from = self.arena.extra.len() as u32;
        self.arena.extra.push_str(value);
        let to = self.arena.extra.len() as u32;
        self.arena.attrs.push(Attr { name, a: from | FLAG_EXTRA, b: to | FLAG_FINAL });
        Ok(())
    }

    fn node(&mut self, name: NameId, a: u32, b: u32) -> Result<u32, ParseError> {
        let at = self.arena.nodes.len() as u32;
        if at >= self.limits.nodes_max {
            return Err(ParseError::TooManyNodes { max: self.limits.nodes_max });
        }
        let top = self.open.last_mut().expect("the document stays open to the end");
        let prev = std::mem::replace(&mut top.last_child, at);
        self.arena.nodes.push(Node { parent: top.node, next: NONE, prev, end: at + 1, a, b });
        self.arena.columns.push(name);
        if prev != NONE {
            self.arena.nodes[prev as usize].next = at;
        }
        Ok(at)
    }

    fn text(&mut self, raw: &str, references: bool) -> Result<(), ParseError> {
        let from = self.arena.extra.len() as u32;
        if references {
            decode(raw, false, &mut self.arena.extra);
        } else {
            push_lines(raw, &mut self.arena.extra);
        }
        let to = self.arena.extra.len() as u32;
        if from == to {
            return Ok(());
        }
        // Text and CDATA side by side are one text, as in lxml.
        let joins = self.text != NONE && self.arena.nodes[self.text as usize].b & POSITION == from;
        if joins {
            self.arena.nodes[self.text as usize].b = to | FLAG_FINAL;
        } else {
            self.text = self.node(NameId::TEXT, from | FLAG_EXTRA, to | FLAG_FINAL)?;
        }
        Ok(())
    }

    fn leaf(&mut self, kind: NameId, content: &str) -> Result<(), ParseError> {
        let from = self.arena.extra.len() as u32;
        push_lines(content, &mut self.arena.extra);
        let to = self.arena.extra.len() as u32;
        self.node(kind, from | FLAG_EXTRA, to | FLAG_FINAL)?;
        self.text = NONE;
        Ok(())
    }

    fn close(&mut self) {
        if self.open.len() > 1
            && let Some(open) = self.open.pop()
        {
            self.arena.nodes[open.node as usize].end = self.arena.nodes.len() as u32;
            self.scope.truncate(open.scope);
            self.text = NONE;
        }
    }

    fn finish(mut self) {
        while self.open.len() > 1 {
            self.close();
        }
        let first = self.arena.attrs.len() as u32;
        for uri in &std::mem::take(&mut self.namespaces) {
            let from = self.arena.extra.len() as u32;
            self.arena.extra.push_str(uri);
            let to = self.arena.extra.len() as u32;
            self.arena.attrs.push(Attr { name: NameId::DOCUMENT, a: from | FLAG_EXTRA, b: to | FLAG_FINAL });
        }
        let document = &mut self.arena.nodes[0];
        (document.end, document.a, document.b) =
            (self.arena.columns.len() as u32, first, self.arena.attrs.len() as u32);
    }
}
