//! Nodes, attributes and namespaces on their way into the arena.
//!
//! Decides numbers: of namespaces, of the bindings of prefixes. Must not know how a page is written. Every look-up of a
//! prefix or URI is one of the interned-name table, so that a page with a hundred thousand of either stays linear: a prefix
//! is interned as ` prefix`, a URI behind a line feed, and the entry's `open` says where it stands.

use super::lexis::push_lines;
use super::{XML_URI, XMLNS_URI};
use crate::parse::{Limits, ParseError};
use crate::tree::{Arena, Attr, FLAG_EXTRA, FLAG_FINAL, NONE, NameId, Node, PAGE_BYTES_MAX, POSITION, Reference, Tree};

/// A value: a range of the page or of the arena's extra text, with the flags of `tree`.
#[derive(Clone, Copy)]
pub(super) struct Span {
    pub a: u32,
    pub b: u32,
}

impl Span {
    pub(super) fn of_page(from: usize, to: usize) -> Span {
        Span { a: from as u32, b: to as u32 | FLAG_FINAL }
    }

    fn of_extra(from: usize, to: usize) -> Span {
        Span { a: from as u32 | FLAG_EXTRA, b: to as u32 | FLAG_FINAL }
    }
}

/// An attribute as a start tag has it.
pub(super) struct Written<'p> {
    pub prefix: Option<&'p str>,
    /// What follows the prefix.
    pub local: &'p str,
    /// Prefix, colon and local name.
    pub whole: &'p str,
    pub value: Span,
}

struct Open<'p> {
    node: u32,
    last_child: u32,
    /// Bindings in scope before this element declared its own.
    bindings: usize,
    /// The name as its start tag has it.
    name: &'p str,
}

/// What a prefix stands for from some start tag on.
struct Binding {
    prefix: NameId,
    /// `NONE`: no namespace (`xmlns=""`).
    namespace: u32,
    /// One more than the index of the binding that this one hides, or 0.
    hidden: u32,
}

pub(super) struct Builder<'b, 'p> {
    pub arena: &'b mut Arena,
    limits: &'b Limits,
    tag: &'b mut u32,
    open: Vec<Open<'p>>,
    bindings: Vec<Binding>,
    namespaces: Vec<Span>,
    /// The names of the empty prefix and of `xml`.
    empty: NameId,
    xml: NameId,
    /// The text node that more text belongs to.
    text: u32,
    scratch: String,
}

impl<'b, 'p> Builder<'b, 'p> {
    pub(super) fn new(arena: &'b mut Arena, tag: &'b mut u32, limits: &'b Limits) -> Result<Self, ParseError> {
        let document = Open { node: 0, last_child: NONE, bindings: 0, name: "" };
        arena.extra.push_str(XML_URI);
        let mut builder = Builder {
            empty: arena.names.intern(b" "),
            xml: arena.names.intern(b" xml"),
            arena,
            limits,
            tag,
            open: vec![document],
            bindings: Vec::new(),
            namespaces: Vec::new(),
            text: NONE,
            scratch: String::new(),
        };
        builder.arena.prefixes.push(NameId::DOCUMENT);
        builder.namespace(Span::of_extra(0, XML_URI.len()), XML_URI)?;
        Ok(builder)
    }

    /// The name of the innermost open element, as its start tag has it; `None` beside the root.
    pub(super) fn innermost(&self) -> Option<&'p str> {
        if self.open.len() > 1 { self.open.last().map(|open| open.name) } else { None }
    }

    /// Opens an element. Returns whether an attribute stands there twice, and notes it when the page is cut here because
    /// it nests too deep.
    pub(super) fn element(
        &mut self,
        page: &'p str,
        (name, colon): (&'p str, Option<usize>),
        attributes: &[Written<'p>],
    ) -> Result<bool, ParseError> {
        if self.open.len() as u32 > self.limits.depth_max {
            self.arena.truncated = true;
            return Ok(false);
        }
        let outer = self.bindings.len();
        let first = self.arena.attrs.len();
        let mut twice = false;
        for written in attributes {
            let Some(prefix) = declared(written) else { continue };
            let uri = text_of(self.arena, page, written.value);
            let reserved = matches!(prefix, "xml" | "xmlns") || uri == XML_URI || uri == XMLNS_URI;
            let is_empty = uri.is_empty();
            // Only the default namespace can be declared away.
            if reserved || (is_empty && !prefix.is_empty()) {
                continue;
            }
            let name = self.intern_behind(' ', prefix)?;
            let hidden = self.arena.names.entry(name).open;
            if hidden as usize > outer {
                twice = true;
                continue;
            }
            let namespace = if is_empty { NONE } else { self.namespace_at(page, written.value)? };
            self.bindings.push(Binding { prefix: name, namespace, hidden });
            self.arena.names.entry_mut(name).open = self.bindings.len() as u32;
            self.attribute(name, NameId::DOCUMENT, written.value)?;
        }
        // libxml2 gives the namespaces of an element in reverse.
        self.arena.attrs[first..].reverse();
        *self.tag += 1;
        for written in attributes.iter().filter(|written| declared(written).is_none()) {
            let (namespace, prefix) = match written.prefix {
                Some(prefix) => self.bound(prefix)?,
                None => (NONE, NameId::DOCUMENT),
            };
            let name = self.expanded(namespace, written.local, written.whole)?;
            let entry = self.arena.names.entry_mut(name);
            let known = std::mem::replace(&mut entry.stamp, *self.tag) == *self.tag;
            // Two prefixes of one namespace are no error to libxml2, and few have so many attributes before them.
            let same = |at: usize| self.arena.attrs[at].name == name && self.arena.attr_prefixes[at] == prefix;
            twice |= known && (first..self.arena.attrs.len()).take(32).any(same);
            self.attribute(name, prefix, written.value)?;
        }
        let (namespace, prefix) = match colon {
            Some(colon) => self.bound(&name[..colon])?,
            None => self.bound("")?,
        };
        let local = colon.map_or(name, |colon| &name[colon + 1..]);
        let id = self.expanded(namespace, local, name)?;
        let span = Span { a: first as u32, b: self.arena.attrs.len() as u32 };
        let node = self.node(id, if namespace == NONE { NameId::DOCUMENT } else { prefix }, span)?;
        self.text = NONE;
        self.open.push(Open { node, last_child: NONE, bindings: outer, name });
        Ok(twice)
    }

    /// Closes the innermost element.
    pub(super) fn close(&mut self) {
        if self.open.len() > 1
            && let Some(open) = self.open.pop()
        {
            self.arena.nodes[open.node as usize].end = self.arena.nodes.len() as u32;
            for binding in self.bindings.drain(open.bindings..).rev() {
                self.arena.names.entry_mut(binding.prefix).open = binding.hidden;
            }
            self.text = NONE;
        }
    }

    /// Text of the page. CR becomes LF; text beside text is one node, as in lxml.
    pub(super) fn text(&mut self, page: &str, from: usize, to: usize) -> Result<(), ParseError> {
        let raw = &page[from..to];
        let plain = memchr::memchr(b'\r', raw.as_bytes()).is_none();
        if self.text == NONE && plain {
            self.text = self.node(NameId::TEXT, NameId::DOCUMENT, Span::of_page(from, to))?;
            return Ok(());
        }
        self.continue_text(page)?;
        push_lines(raw, &mut self.arena.extra);
        self.end_text()
    }

    /// A character that a reference stands for.
    pub(super) fn character(&mut self, page: &str, c: char) -> Result<(), ParseError> {
        self.continue_text(page)?;
        self.arena.extra.push(c);
        self.end_text()
    }

    /// Makes sure that the current text node's text ends the extra text.
    fn continue_text(&mut self, page: &str) -> Result<(), ParseError> {
        let end = self.arena.extra.len();
        if self.text == NONE {
            self.text = self.node(NameId::TEXT, NameId::DOCUMENT, Span::of_extra(end, end))?;
            return Ok(());
        }
        let node = &mut self.arena.nodes[self.text as usize];
        if node.a & FLAG_EXTRA == 0 {
            self.arena.extra.push_str(&page[node.a as usize..(node.b & POSITION) as usize]);
            node.a = end as u32 | FLAG_EXTRA;
        }
        Ok(())
    }

    fn end_text(&mut self) -> Result<(), ParseError> {
        let end = self.extra_end()?;
        self.arena.nodes[self.text as usize].b = end | FLAG_FINAL;
        Ok(())
    }

    /// Where the extra text ends; it has the room of the longest page.
    fn extra_end(&self) -> Result<u32, ParseError> {
        let bytes = self.arena.extra.len();
        if bytes > PAGE_BYTES_MAX {
            return Err(ParseError::PageTooLong { bytes, max: PAGE_BYTES_MAX });
        }
        Ok(bytes as u32)
    }

    /// What was pushed to the extra text since `from`, as a value.
    pub(super) fn span_since(&self, from: usize) -> Result<Span, ParseError> {
        let to = self.extra_end()?;
        Ok(Span::of_extra(from, to as usize))
    }

    /// A comment.
    pub(super) fn comment(&mut self, page: &str, from: usize, to: usize) -> Result<(), ParseError> {
        let raw = &page[from..to];
        let span = if raw.contains('\r') {
            let start = self.arena.extra.len();
            push_lines(raw, &mut self.arena.extra);
            self.span_since(start)?
        } else {
            Span::of_page(from, to)
        };
        self.leaf(NameId::COMMENT, span)
    }

    /// A processing instruction: its target, and what follows it, if anything does.
    pub(super) fn instruction(&mut self, target: &str, data: Option<&str>) -> Result<(), ParseError> {
        let start = self.arena.extra.len();
        self.arena.extra.push_str(target);
        if let Some(data) = data {
            self.arena.extra.push(' ');
            push_lines(data, &mut self.arena.extra);
        }
        let span = self.span_since(start)?;
        self.leaf(NameId::PI, span)
    }

    fn leaf(&mut self, kind: NameId, span: Span) -> Result<(), ParseError> {
        self.node(kind, NameId::DOCUMENT, span)?;
        self.text = NONE;
        Ok(())
    }

    /// A reference to an entity that is not expanded: no node, but text ends before it and begins anew behind it.
    pub(super) fn reference(&mut self, from: usize, to: usize) -> Result<(), ParseError> {
        if self.arena.references.len() as u32 >= self.limits.nodes_max {
            return Err(ParseError::TooManyNodes { max: self.limits.nodes_max });
        }
        let parent = self.open.last().expect("the document stays open to the end").node;
        let at = self.arena.nodes.len() as u32;
        self.arena.references.push(Reference { at, parent, from: from as u32, to: to as u32 });
        self.text = NONE;
        Ok(())
    }

    /// Closes what is open and writes down the namespaces.
    pub(super) fn finish(&mut self) {
        while self.open.len() > 1 {
            self.close();
        }
        let first = self.arena.attrs.len() as u32;
        let uris = self.namespaces.iter().map(|uri| Attr { name: NameId::DOCUMENT, a: uri.a, b: uri.b });
        self.arena.attrs.extend(uris);
        let end = self.arena.nodes.len() as u32;
        let document = &mut self.arena.nodes[0];
        (document.end, document.a, document.b) = (end, first, self.arena.attrs.len() as u32);
    }

    /// The namespace of a prefix, `NONE` if there is none, and the prefix's name.
    fn bound(&mut self, prefix: &str) -> Result<(u32, NameId), ParseError> {
        let name = match prefix {
            "" => self.empty,
            "xml" => return Ok((0, self.xml)),
            _ => self.intern_behind(' ', prefix)?,
        };
        let namespace = match self.arena.names.entry(name).open {
            0 => NONE,
            binding => self.bindings[binding as usize - 1].namespace,
        };
        Ok((namespace, if namespace == NONE { NameId::DOCUMENT } else { name }))
    }

    fn namespace_at(&mut self, page: &str, value: Span) -> Result<u32, ParseError> {
        // Copied, since the table and the text that it is looked up by are both the arena's.
        let uri = text_of(self.arena, page, value).to_string();
        self.namespace(value, &uri)
    }

    /// The number of a namespace.
    fn namespace(&mut self, value: Span, uri: &str) -> Result<u32, ParseError> {
        let name = self.intern_behind('\n', uri)?;
        let entry = self.arena.names.entry_mut(name);
        if entry.open == 0 {
            self.namespaces.push(value);
            entry.open = self.namespaces.len() as u32;
        }
        Ok(entry.open - 1)
    }

    /// The name of `local` in a namespace; `whole` in none.
    fn expanded(&mut self, namespace: u32, local: &str, whole: &str) -> Result<NameId, ParseError> {
        if namespace == NONE {
            return self.intern(whole);
        }
        let mut name = std::mem::take(&mut self.scratch);
        name.clear();
        let mut digits = [b' '; 11];
        let (mut at, mut rest) = (10, namespace);
        loop {
            at -= 1;
            digits[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        name.extend(digits[at..].iter().map(|&digit| char::from(digit)));
        name.push_str(local);
        let id = self.intern(&name);
        self.scratch = name;
        id
    }

    fn intern_behind(&mut self, mark: char, text: &str) -> Result<NameId, ParseError> {
        let mut name = std::mem::take(&mut self.scratch);
        name.clear();
        name.push(mark);
        name.push_str(text);
        let id = self.intern(&name);
        self.scratch = name;
        id
    }

    fn intern(&mut self, name: &str) -> Result<NameId, ParseError> {
        if self.arena.names.len() > self.limits.names_max as usize {
            return Err(ParseError::TooManyNames { max: self.limits.names_max });
        }
        Ok(self.arena.names.intern(name.as_bytes()))
    }

    fn attribute(&mut self, name: NameId, prefix: NameId, value: Span) -> Result<(), ParseError> {
        if self.arena.attrs.len() as u32 >= self.limits.attrs_max {
            return Err(ParseError::TooManyAttrs { max: self.limits.attrs_max });
        }
        self.arena.attrs.push(Attr { name, a: value.a, b: value.b });
        self.arena.attr_prefixes.push(prefix);
        Ok(())
    }

    fn node(&mut self, name: NameId, prefix: NameId, Span { a, b }: Span) -> Result<u32, ParseError> {
        let at = self.arena.nodes.len() as u32;
        if at >= self.limits.nodes_max {
            return Err(ParseError::TooManyNodes { max: self.limits.nodes_max });
        }
        let top = self.open.last_mut().expect("the document stays open to the end");
        let prev = std::mem::replace(&mut top.last_child, at);
        self.arena.nodes.push(Node { parent: top.node, next: NONE, prev, end: at + 1, a, b });
        self.arena.columns.push(name);
        self.arena.prefixes.push(prefix);
        if prev != NONE {
            self.arena.nodes[prev as usize].next = at;
        }
        Ok(at)
    }
}

/// The prefix that an attribute declares a namespace for.
fn declared<'p>(written: &Written<'p>) -> Option<&'p str> {
    match written.prefix {
        Some("xmlns") => Some(written.local),
        None if written.local == "xmlns" => Some(""),
        _ => None,
    }
}

fn text_of<'t>(arena: &'t Arena, page: &'t str, value: Span) -> &'t str {
    let tree = Tree { source: page, arena };
    tree.span(value.a, value.b)
}
