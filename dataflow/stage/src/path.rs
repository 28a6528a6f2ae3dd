//! What an item passes, in order: one table. The dataflow is built from it, and docs/events.md shows it.
//!
//! Decides the order and the names; knows nothing of how a stage works. Invariants: an item enters by the first stage (one that a sink
//! holds without its location, by `Geocode`), changes only in stages before `Items`, which decides by its content hash where it must
//! go, and is settled in the last.

use std::fmt::Write as _;

/// A stage on an item's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemStage {
    /// The report of its page is taken.
    Settle,
    /// Programs and functions fill fields.
    Compute,
    /// Its address becomes a location.
    Geocode,
    /// It is compared with what the sinks hold.
    Items,
    /// It is written.
    Sinks,
    /// Its page gets its verdict.
    Ledger,
}

/// What is known of a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passage {
    /// Which.
    pub stage: ItemStage,
    /// Its operator's name.
    pub name: &'static str,
    /// What it does with an item, for people.
    pub does: &'static str,
    /// When an item passes it.
    pub when: &'static str,
}

/// The order.
pub static ITEM_PATH: [Passage; 6] = [
    Passage {
        stage: ItemStage::Settle,
        name: "Settle",
        does: "takes the page's report and its items with it; the second report of one request ends here",
        when: "always",
    },
    Passage {
        stage: ItemStage::Compute,
        name: "Compute",
        does: "fills `compute` fields; an item waits for its program or function without holding up others",
        when: "when its type has a computation",
    },
    Passage {
        stage: ItemStage::Geocode,
        name: "Geocode",
        does: "fills `geocode` fields; an item waits for its location without holding up others",
        when: "with a provider, a gazetteer or a cache",
    },
    Passage {
        stage: ItemStage::Items,
        name: "Items",
        does: "compares version and content hash with what each sink holds, and keeps the item in the journal's outbox",
        when: "always",
    },
    Passage {
        stage: ItemStage::Sinks,
        name: "Sinks",
        does: "writes it, all sinks side by side, each at its own speed; it stays in the outbox until each has settled it",
        when: "when a sink lacks it",
    },
    Passage {
        stage: ItemStage::Ledger,
        name: "Ledger",
        does: "counts the page as `delivered` when all its items are settled",
        when: "always",
    },
];

impl ItemStage {
    /// Its operator's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        let found = ITEM_PATH.iter().find(|passage| passage.stage == self);
        found.expect("the table has every stage").name
    }
}

/// The table as Markdown.
#[must_use]
pub fn item_path_table() -> String {
    let mut out = "| | stage | what it does with an item | when |\n|---|---|---|---|\n".to_owned();
    for (at, Passage { name, does, when, .. }) in ITEM_PATH.iter().enumerate() {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "| {} | {name} | {does} | {when} |", at + 1);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_docs_show_the_order_in_which_items_pass_the_stages() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/events.md");
        let docs = std::fs::read_to_string(path).expect("docs/events.md");
        assert!(docs.contains(&item_path_table()), "docs/events.md must have:\n{}", item_path_table());
    }

    #[test]
    fn an_item_changes_only_before_its_content_is_compared_and_each_stage_is_passed_once() {
        let at = |stage| ITEM_PATH.iter().filter(|passage| passage.stage == stage).count();
        let changing = [ItemStage::Compute, ItemStage::Geocode];
        let all =
            [ItemStage::Settle, ItemStage::Items, ItemStage::Sinks, ItemStage::Ledger].into_iter().chain(changing);
        assert!(all.into_iter().all(|stage| at(stage) == 1));
        let place = |stage| ITEM_PATH.iter().position(|passage| passage.stage == stage);
        assert!(changing.into_iter().all(|stage| place(stage) < place(ItemStage::Items)));
        assert!(place(ItemStage::Compute) < place(ItemStage::Geocode), "an address may be computed");
    }
}
