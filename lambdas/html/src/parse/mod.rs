//! The parser: one pass over a page, by the rules of libxml2 2.14.6's HTML parser as lxml 6.1.3 shows them.
//!
//! Decides which nodes a page has and where they hang. Must not know how the tree is queried. Invariants: no recursion;
//! linear in the page's length whatever the page; nodes are only ever appended, each below the innermost open element.

pub(crate) mod decode;
mod entities;
pub(crate) mod rules;
pub(crate) mod table;

use crate::tree::{Arena, NONE, NameId, Node, PAGE_BYTES_MAX, Tree};

/// How large a tree may become.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Open elements at once; the tree ends where a page goes deeper, as lxml's does. Default 2,048, lxml's own.
    pub depth_max: u32,
    /// Nodes of one tree. Default 8 million: about 220 MB.
    pub nodes_max: u32,
    /// Attributes of one tree. Default 8 million: about 96 MB.
    pub attrs_max: u32,
    /// Distinct names of one tree. Default 1 million.
    pub names_max: u32,
    /// Bytes of the page. Default and greatest: 1 GiB less one byte.
    pub page_bytes_max: usize,
    /// Moves the hash of names. Draw it at random once a process, so that no page can be written to collide.
    pub hash_seed: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            depth_max: 2048,
            nodes_max: 8_000_000,
            attrs_max: 8_000_000,
            names_max: 1_000_000,
            page_bytes_max: PAGE_BYTES_MAX,
            hash_seed: 0,
        }
    }
}

/// Why there is no tree of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// The page is longer than `Limits::page_bytes_max`.
    #[error("page of {bytes} bytes, at most {max} are parsed: raise page_bytes_max (it ends at 1 GiB)")]
    PageTooLong {
        /// Bytes of the page.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// More nodes than `Limits::nodes_max`.
    #[error("page has more than {max} nodes: raise nodes_max if it is meant to")]
    TooManyNodes {
        /// The limit.
        max: u32,
    },
    /// More attributes than `Limits::attrs_max`.
    #[error("page has more than {max} attributes: raise attrs_max if it is meant to")]
    TooManyAttrs {
        /// The limit.
        max: u32,
    },
    /// More distinct names than `Limits::names_max`.
    #[error("page has more than {max} distinct names: raise names_max if it is meant to")]
    TooManyNames {
        /// The limit.
        max: u32,
    },
}

/// Parses pages, one after another, in one reused arena.
pub struct Parser {
    arena: Arena,
    limits: Limits,
}

impl Parser {
    /// A parser with these limits.
    pub fn new(limits: Limits) -> Parser {
        let names = crate::names::Names::new(limits.hash_seed);
        Parser { arena: Arena { names, ..Arena::default() }, limits }
    }

    /// The tree of a page. It lives until the next call.
    pub fn parse<'a>(&'a mut self, page: &'a str) -> Result<Tree<'a>, ParseError> {
        if page.len() > self.limits.page_bytes_max.min(PAGE_BYTES_MAX) {
            return Err(ParseError::PageTooLong { bytes: page.len(), max: self.limits.page_bytes_max });
        }
        self.arena.clear();
        let arena = &mut self.arena;
        let mut open: Vec<(u32, u32)> = vec![(0, NONE)];
        let mut at = 0;
        while at < page.len() {
            let stop = page[at..].find('<').map_or(page.len(), |i| at + i);
            if stop > at {
                let node = add(arena, &mut open, NameId::TEXT, at as u32, stop as u32);
                arena.nodes[node as usize].end = node + 1;
            }
            if stop == page.len() {
                break;
            }
            let close = page[stop..].find('>').map_or(page.len(), |i| stop + i);
            let tag = &page[stop + 1..close];
            let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap_or("").to_ascii_lowercase();
            if !name.is_empty() && name.len() <= 100 {
                let id = arena.names.intern(&name);
                if tag.starts_with('/') {
                    if open.len() > 1 && open.last().is_some_and(|o| arena.columns[o.0 as usize] == id) {
                        let (node, _) = open.pop().expect("checked");
                        arena.nodes[node as usize].end = arena.nodes.len() as u32;
                    }
                } else {
                    let attrs = arena.attrs.len() as u32;
                    let node = add(arena, &mut open, id, attrs, attrs);
                    open.push((node, NONE));
                }
            }
            at = close + 1;
        }
        let end = arena.nodes.len() as u32;
        for (node, _) in open {
            arena.nodes[node as usize].end = end;
        }
        Ok(Tree { source: page, arena: &self.arena })
    }
}

fn add(arena: &mut Arena, open: &mut [(u32, u32)], name: NameId, a: u32, b: u32) -> u32 {
    let index = arena.nodes.len() as u32;
    let top = open.last_mut().expect("the document is always open");
    if top.1 != NONE {
        arena.nodes[top.1 as usize].next = index;
    }
    arena.nodes.push(Node { parent: top.0, next: NONE, prev: top.1, end: index, a, b });
    arena.columns.push(name);
    top.1 = index;
    index
}
