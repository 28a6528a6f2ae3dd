//! XML pages (feeds, sitemaps, what an API calls `text/xml`) as the same arena tree, so that the same evaluator reads them.
//!
//! Decides nodes and namespaces as lxml's `XMLParser(recover=True, resolve_entities=False, huge_tree=True)` does, errors of
//! the page included: an end tag closes the innermost element whatever its name; a start tag ends where it goes wrong; from
//! the first error on `&amp;` and its like are dropped from text. Nothing is fetched or expanded: what a document type
//! declares is skipped (lxml would take attribute types and the text of entities from it). No recursion, linear time.
//!
//! Layout, on top of `tree`'s: the document node's attributes are the namespaces of the page (number k has its URI as value; 0
//! is XML's own), which is also what tells an XML tree from an HTML one. An element or attribute in namespace k is named
//! `k local`, a declaration is an attribute named ` prefix`, before all others; the prefix that a name was written with
//! stands in a column of its own. No HTML name has a space, so no page can forge one.

mod build;
mod doctype;
mod lexis;
mod names;
mod reader;
mod tag;
mod text;

use crate::parse::{Limits, ParseError};
use crate::tree::{Arena, NameId};
use build::Builder;
use reader::Reader;

/// The namespace of `xml:lang` and its like.
pub(crate) const XML_URI: &str = "http://www.w3.org/XML/1998/namespace";
/// The namespace of `xmlns`, which nobody may declare.
const XMLNS_URI: &str = "http://www.w3.org/2000/xmlns/";

/// Reads a page into a cleared arena. `tag` numbers the start tags of all pages. A page without a root element becomes a
/// lone `html`, as parsel has it.
pub(crate) fn read(page: &str, arena: &mut Arena, tag: &mut u32, limits: &Limits) -> Result<(), ParseError> {
    let mut reader = Reader::new(page, Builder::new(arena, tag, limits)?);
    reader.document()?;
    reader.out.finish();
    if !arena.columns.iter().any(|name| name.0 >= NameId::FIRST_REAL) {
        arena.clear();
        let mut reader = Reader::new("<html/>", Builder::new(arena, tag, limits)?);
        reader.document()?;
        reader.out.finish();
    }
    Ok(())
}
