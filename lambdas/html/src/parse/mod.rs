//! The parser: one pass over a page, by the rules of libxml2 2.14.6's HTML parser as lxml 6.1.3 shows them.
//!
//! Decides which nodes a page has and where they hang. Must not know how the tree is queried. Invariants: no recursion;
//! linear in the page's length whatever the page; nodes are only ever appended, each below the innermost open element.

pub(crate) mod decode;
mod entities;
mod open;
mod raw;
pub(crate) mod rules;
mod scan;
pub(crate) mod table;
mod tokens;

use memchr::{memchr, memchr2};

use crate::names::Names;
use crate::tree::{Arena, FLAG_FINAL, NameId, PAGE_BYTES_MAX, Tree};
use crate::{html5, xml};
use open::{Builder, Open};
use tokens::Reader;

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
    /// For `Parser::parse_html5`: elements open at once, and formatting elements (`b`, `font`) left open. The tree ends
    /// where a page passes it. Default 512; html5ever is slow beyond.
    pub html5_depth_max: u32,
    /// For `Parser::parse_html5`: nodes of one tree, each about ten times as large as the arena's. Default 1 million.
    pub html5_nodes_max: u32,
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
            html5_depth_max: 512,
            html5_nodes_max: 1_000_000,
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
    open: Vec<Open>,
    /// The page without its NULs, when it has any.
    clean: String,
    tag: u32,
    limits: Limits,
}

impl Parser {
    /// A parser with these limits.
    pub fn new(limits: Limits) -> Parser {
        let arena = Arena { names: Names::new(limits.hash_seed), ..Arena::default() };
        Parser { arena, open: Vec::new(), clean: String::new(), tag: 0, limits }
    }

    /// The tree of a page, as parsel has lxml make it. It lives until the next call. The page is trimmed and its NULs go;
    /// a page without any element becomes a lone `html`. Errors: a limit is passed (but see `Limits::depth_max`).
    pub fn parse<'a>(&'a mut self, page: &'a str) -> Result<Tree<'a>, ParseError> {
        let Parser { arena, open, clean, tag, limits } = self;
        let (source, plain) = prepare(page, true, clean, limits)?;
        clear(arena, tag);
        let build = Builder::new(arena, open, limits.depth_max);
        let mut reader = Reader { bytes: source.as_bytes(), build, tag, plain, stopped_at: source.len() };
        let outcome = reader.read(limits);
        reader.build.finish();
        outcome?;
        if !arena.columns.iter().any(|name| name.0 >= NameId::FIRST_REAL) {
            arena.clear();
            let mut build = Builder::new(arena, open, 1);
            build.open(open::HTML, 0);
            build.finish();
        }
        Ok(Tree { source, arena })
    }

    /// The tree of an XML page, as parsel has lxml make it (`Selector(type="xml")`), names and all in the case of the page.
    /// It lives until the next call. A page that is not well-formed is read as far as libxml2 recovers it; one without a
    /// root element becomes a lone `html`. Errors as `parse`.
    pub fn parse_xml<'a>(&'a mut self, page: &'a str) -> Result<Tree<'a>, ParseError> {
        let Parser { arena, clean, tag, limits, .. } = self;
        let (source, _) = prepare(page, true, clean, limits)?;
        clear(arena, tag);
        xml::read(source, arena, tag, limits)?;
        Ok(Tree { source, arena })
    }

    /// The tree that a browser without scripts makes of a page, by html5ever; about a twentieth of the speed. White
    /// space around the page counts, as in a browser. Errors as `parse`. Its text is copied, so it costs the page's length
    /// once more.
    pub fn parse_html5<'a>(&'a mut self, page: &'a str) -> Result<Tree<'a>, ParseError> {
        let Parser { arena, open, clean, tag, limits } = self;
        let (source, plain) = prepare(page, false, clean, limits)?;
        clear(arena, tag);
        let build = Builder::new(arena, open, limits.html5_depth_max);
        let mut reader = Reader { bytes: source.as_bytes(), build, tag, plain, stopped_at: source.len() };
        let outcome = reader.read(limits);
        reader.build.finish();
        outcome?;
        let formatting = html5::formatting_cut(source, limits.html5_depth_max).unwrap_or(source.len());
        let cut = reader.stopped_at.min(formatting);
        arena.clear();
        html5::build(&source[..cut], arena, tag, limits)?;
        arena.truncated = cut < source.len();
        Ok(Tree { source, arena })
    }
}

/// Makes room for the next page, which has fewer than 2^30 tags.
fn clear(arena: &mut Arena, tag: &mut u32) {
    arena.clear();
    if *tag >= 1 << 30 {
        arena.names.forget_stamps();
        *tag = 0;
    }
}

/// A page without the white space around it, which parsel takes off before lxml sees it.
fn trimmed(page: &str) -> &str {
    // Python's str.strip also takes the four separators U+001C to U+001F.
    page.trim_matches(|c: char| c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c))
}

/// The text that is parsed: without NULs and byte order mark, and without white space around it if `trim`. And `FLAG_FINAL` if it has no CR.
fn prepare<'a>(
    page: &'a str,
    trim: bool,
    clean: &'a mut String,
    limits: &Limits,
) -> Result<(&'a str, u32), ParseError> {
    let max = limits.page_bytes_max.min(PAGE_BYTES_MAX);
    if page.len() > max {
        return Err(ParseError::PageTooLong { bytes: page.len(), max });
    }
    let mut source = if trim { trimmed(page) } else { page };
    let rare = memchr2(0, b'\r', source.as_bytes());
    let nul = rare.and_then(|at| memchr(0, &source.as_bytes()[at..]));
    if nul.is_some() {
        clean.clear();
        clean.extend(source.split('\0'));
        source = clean;
    }
    // libxml2 looks for the byte order mark only where four bytes stand.
    let source = if source.len() > 3 { source.strip_prefix('\u{feff}').unwrap_or(source) } else { source };
    Ok((source, if rare.is_none() { FLAG_FINAL } else { 0 }))
}
