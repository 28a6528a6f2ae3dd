//! Listings that a complete crawl no longer found: marked, never deleted.
//!
//! Invariant: a mark is set only on the very document that was looked at, and not on one that was seen since.

use crate::bulk::{Action, Bulk, Done, Guard};
use crate::index::Index;
use crate::link::Link;
use crate::lookup::look_up;
use crate::schema::DELISTED;
use crate::write::{ROUNDS_MAX, settled};
use serde_json::{Map, Value as Json, json};
use weir_connector::{ItemOutcome, SinkError, text};
use weir_model::{ItemId, crash};

/// Marks listings as gone since `at`: stored when marked now, unchanged when there was nothing to mark, stale when seen since.
pub(crate) async fn mark(
    link: &mut Link,
    bulk: &mut Bulk,
    index: &Index,
    ids: &[ItemId],
    at: u64,
) -> Result<Vec<ItemOutcome>, SinkError> {
    let mut outcomes =
        vec![ItemOutcome::Retry { reason: "the document is changed by someone else just now".to_owned() }; ids.len()];
    let mut open: Vec<usize> = (0..ids.len()).collect();
    let fields = Map::from_iter([(DELISTED.to_owned(), Json::String(text::version_as_time(at)))]);
    let change = json!({"doc": fields});
    for _ in 0..ROUNDS_MAX {
        if open.is_empty() {
            break;
        }
        let asked: Vec<_> = open.iter().map(|number| (index, ids[*number])).collect();
        let known = look_up(link, &asked).await?;
        let mut marked = Vec::new();
        for (number, known) in open.drain(..).zip(known) {
            match known {
                Some(known) if !known.delisted && known.version < at => marked.push((number, known.seen)),
                Some(known) if !known.delisted => outcomes[number] = ItemOutcome::Stale,
                _ => outcomes[number] = ItemOutcome::Unchanged,
            }
        }
        crash::point("elasticsearch: delist");
        let done = bulk.send(link, marked.len(), |which, lines| {
            let (number, seen) = marked[which];
            lines.put(&Action::Update(index.head(ids[number], Guard::Seen(seen))));
            lines.put(&change);
        });
        for ((number, _), done) in marked.iter().zip(done.await?) {
            outcomes[*number] = match done {
                Done::Stored => ItemOutcome::Stored,
                Done::Missing => ItemOutcome::Unchanged,
                Done::Later(reason) => ItemOutcome::Retry { reason },
                Done::Refused(reason) => ItemOutcome::Refused { reason },
                Done::Conflict => {
                    open.push(*number);
                    continue;
                }
            };
        }
    }
    settled(&link.place.shown, outcomes)
}
