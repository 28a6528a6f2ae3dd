//! The file of dead letters, as the driver keeps it: what was appended after the last sync may be lost with its process.

use std::collections::BTreeMap;
use weir_driver::{Content, Letter, LetterOp};

#[derive(Debug, Default)]
pub(crate) struct LetterBox {
    ops: Vec<LetterOp>,
    synced: usize,
}

impl LetterBox {
    /// Appends what is not there yet.
    pub fn append(&mut self, ops: &[LetterOp]) {
        for op in ops {
            let is_there = match op {
                LetterOp::Kept(letter) => self.ops.iter().any(|known| match known {
                    LetterOp::Kept(known) => known.id == letter.id,
                    LetterOp::Gone(id) => *id == letter.id,
                    LetterOp::Beyond(_) => false,
                }),
                op => self.ops.contains(op),
            };
            if !is_there {
                self.ops.push(op.clone());
            }
        }
    }

    pub fn sync(&mut self) {
        self.synced = self.ops.len();
    }

    /// How many ops a crash may take.
    pub fn loose(&self) -> usize {
        self.ops.len() - self.synced
    }

    /// A crash takes the last `count`.
    pub fn lose(&mut self, count: usize) {
        self.ops.truncate(self.ops.len() - count);
    }

    fn there(&self) -> impl Iterator<Item = &Letter> {
        self.ops.iter().filter_map(|op| if let LetterOp::Kept(letter) = op { Some(&**letter) } else { None })
    }

    /// Items that are there.
    pub fn items(&self) -> usize {
        self.there().filter(|letter| matches!(letter.content, Content::Item { .. })).count()
    }

    /// URLs of the requests that are there, with how often.
    pub fn urls(&self) -> BTreeMap<&str, usize> {
        let mut urls = BTreeMap::new();
        for letter in self.there() {
            if let Content::Request { request, .. } = &letter.content {
                *urls.entry(&*request.url).or_default() += 1;
            }
        }
        urls
    }
}
