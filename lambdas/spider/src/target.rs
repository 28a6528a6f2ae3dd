//! What to do with a page: the behaviours that rules lead to.

/// One behaviour. Rules with the same one share it, and so do start pages, so that a page that two rules lead to is one page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Stable name, used in fingerprints: `search` (links only), an item's name (items only), `ITEM+search` (both).
    pub name: String,
    /// Index of the item type that the page yields.
    pub parse: Option<usize>,
    /// Whether the page is searched for links.
    pub follow: bool,
}

impl Target {
    pub(crate) fn new(parse: Option<usize>, follow: bool, items: &[String]) -> Target {
        let item = parse.and_then(|at| items.get(at));
        let name = match (item, follow) {
            (Some(item), true) => format!("{item}+search"),
            (Some(item), false) => item.clone(),
            (None, _) => "search".to_owned(),
        };
        Target { name, parse, follow }
    }
}
