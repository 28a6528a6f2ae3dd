//! What a field was before: one row a change, in a table of its own that outlives the item.
//!
//! Invariants: the first value counts as a change; a value that stayed writes nothing, whatever became of the item's row in
//! between; the same version written again gives no second row.

use crate::schema::{self, ColumnKind, WriteSql};
use crate::split::ROWS_MAX;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Params, Result, Value as Bound};
use std::collections::HashMap;

/// The history of one column.
#[derive(Clone, Debug)]
pub(crate) struct History {
    /// Position among the table's columns.
    pub column: usize,
    latest: WriteSql,
    insert: WriteSql,
}

impl History {
    pub fn new(table: &str, field: &str, column: usize) -> History {
        let name = schema::history_table(table, field);
        History {
            column,
            latest: WriteSql {
                head: format!(
                    "SELECT h.`_id`, h.`{field}` FROM `{name}` h JOIN \
                     (SELECT `_id`, MAX(`_version`) AS v FROM `{name}` WHERE `_id` IN ("
                ),
                row: "?".to_owned(),
                tail: ") GROUP BY `_id`) m ON h.`_id` = m.`_id` AND h.`_version` = m.v".to_owned(),
            },
            insert: WriteSql {
                head: format!("INSERT INTO `{name}` (`_id`,`_version`,`{field}`,`_fetched_at`) VALUES "),
                row: "(?,?,?,?)".to_owned(),
                tail: format!(" ON DUPLICATE KEY UPDATE `{field}`=VALUES(`{field}`)"),
            },
        }
    }

    /// Kinds whose changes can be kept.
    pub fn takes(kind: ColumnKind) -> bool {
        !matches!(kind, ColumnKind::Json | ColumnKind::Lat | ColumnKind::Lon)
    }

    /// Keeps the changes among rows that were just written: (id, version, value, fetched at) each, ids distinct.
    pub async fn keep(&self, conn: &mut Conn, rows: &[[Bound; 4]]) -> Result<()> {
        for rows in rows.chunks(ROWS_MAX) {
            let ids: Vec<Bound> = rows.iter().map(|row| row[0].clone()).collect();
            let ids = padded(ids);
            let found: Vec<(Vec<u8>, Bound)> = conn.exec(self.latest.of(ids.len()), Params::Positional(ids)).await?;
            let before: HashMap<Vec<u8>, Bound> = found.into_iter().collect();
            let changed: Vec<&[Bound; 4]> = rows
                .iter()
                .filter(|[id, _, value, _]| match id {
                    Bound::Bytes(id) => match before.get(id) {
                        Some(before) => !same(before, value),
                        None => *value != Bound::NULL,
                    },
                    _ => false,
                })
                .collect();
            if !changed.is_empty() {
                let params = changed.iter().flat_map(|row| row.iter().cloned()).collect();
                conn.exec_drop(self.insert.of(changed.len()), Params::Positional(params)).await?;
            }
        }
        Ok(())
    }
}

/// Repeats the last id up to a power of two, so that few different statements are prepared.
pub(crate) fn padded(mut ids: Vec<Bound>) -> Vec<Bound> {
    if let Some(last) = ids.last().cloned() {
        ids.resize(ids.len().next_power_of_two(), last);
    }
    ids
}

/// A stored value against one to be stored. A column changed to `DECIMAL` by hand gives digits.
fn same(before: &Bound, now: &Bound) -> bool {
    match (before, now) {
        (Bound::Bytes(digits), Bound::Double(number)) => {
            std::str::from_utf8(digits).is_ok_and(|digits| digits.parse() == Ok(*number))
        }
        _ => before == now,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_that_stayed_is_no_change() {
        assert!(same(&Bound::Double(334.39), &Bound::Double(334.39)));
        assert!(same(&Bound::Bytes(b"334.390".to_vec()), &Bound::Double(334.39)));
        assert!(!same(&Bound::NULL, &Bound::Double(0.0)));
        assert_eq!(padded(vec![Bound::Int(1), Bound::Int(2), Bound::Int(3)]).len(), 4);
        assert!(padded(Vec::new()).is_empty());
    }
}
