//! A batch as one transaction: versions looked up, newer rows written, bad rows found, changes kept.
//!
//! Invariants: one outcome an item, in order; several versions of a key in a batch are written one after the other; rows are
//! written in the order of their keys, so that two writers lock in the same order.

use crate::error::{self, Meaning};
use crate::history::padded;
use crate::row;
use crate::split::{Parts, ROWS_MAX};
use crate::table::Table;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Params, Result, Value as Bound};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use weir_connector::ItemOutcome;
use weir_model::{Item, ItemId, crash};

/// What a batch did.
#[derive(Debug, Default)]
pub(crate) struct Written {
    pub outcomes: Vec<ItemOutcome>,
    /// Values cut to their column's length, by table and column.
    pub cuts: BTreeMap<(String, String), u64>,
}

/// A batch against the tables of a job.
#[derive(Debug)]
pub(crate) struct Batch<'a> {
    pub tables: &'a [Table],
    pub spider: &'a str,
    pub items: &'a [Arc<Item>],
    /// The server's `max_allowed_packet`.
    pub packet_bytes_max: usize,
}

/// Longest statement, however much the server would take: beyond it, values travel one by one.
const STATEMENT_BYTES_MAX: usize = 8 << 20;

/// A statement's own bytes beside its values.
const OVERHEAD_BYTES: usize = 1024;

impl Batch<'_> {
    /// Writes and commits. After an error nothing of it is promised, and a transaction may be open.
    pub async fn write(&self, conn: &mut Conn) -> Result<Written> {
        let mut written = Written { outcomes: vec![ItemOutcome::Stale; self.items.len()], ..Written::default() };
        conn.query_drop("START TRANSACTION").await?;
        for (table, round) in self.rounds(&mut written.outcomes) {
            self.round(conn, table, &round, &mut written).await?;
        }
        crash::point("mysql: commit");
        conn.query_drop("COMMIT").await?;
        Ok(written)
    }

    /// Items that fit, by table, each round with every key at most once and sorted by it.
    fn rounds(&self, outcomes: &mut [ItemOutcome]) -> Vec<(&Table, Vec<usize>)> {
        let mut rounds: BTreeMap<(usize, usize), Vec<usize>> = BTreeMap::new();
        let mut seen: HashMap<(u16, ItemId), usize> = HashMap::new();
        for (at, item) in self.items.iter().enumerate() {
            let reason = match self.tables.get(usize::from(item.schema)) {
                None => Some(format!("the item is of type {}, which the job does not have", item.schema)),
                Some(table) => row::misfit(&table.schema, item),
            };
            if let Some(reason) = reason {
                outcomes[at] = ItemOutcome::Refused { reason };
                continue;
            }
            let round = seen.entry((item.schema, item.id)).and_modify(|round| *round += 1).or_default();
            rounds.entry((*round, usize::from(item.schema))).or_default().push(at);
        }
        let sorted = rounds.into_iter().map(|((_, table), mut items)| {
            items.sort_by_key(|at| self.items[*at].id.0);
            (&self.tables[table], items)
        });
        sorted.collect()
    }

    async fn round(&self, conn: &mut Conn, table: &Table, round: &[usize], written: &mut Written) -> Result<()> {
        let there = look(conn, table, round.iter().map(|at| self.items[*at].id)).await?;
        let mut rows: Vec<(usize, Vec<Bound>)> = Vec::new();
        let mut cut = vec![0u64; table.columns.len()];
        for &at in round {
            let item = &self.items[at];
            let hash = row::hash_hex(item.hash);
            let mine = (item.version, hash.as_bytes());
            written.outcomes[at] = match there.get(&item.id.0).map(|(version, hash)| (*version, hash.as_slice())) {
                Some(stored) if stored == mine => ItemOutcome::Unchanged,
                Some(stored) if stored > mine => ItemOutcome::Stale,
                _ => {
                    let mut row = Vec::with_capacity(table.columns.len() + 6);
                    row::put(&mut row, &table.columns, &table.limits, self.spider, item, |column| cut[column] += 1);
                    let bytes = row::bytes(&row) + OVERHEAD_BYTES;
                    if bytes > self.packet_bytes_max {
                        let reason = format!(
                            "the item has {bytes} bytes, the server takes {} at once: raise max_allowed_packet there",
                            self.packet_bytes_max
                        );
                        ItemOutcome::Refused { reason }
                    } else {
                        rows.push((at, row));
                        ItemOutcome::Stored
                    }
                }
            };
        }
        let refused = put(conn, table, &rows, self.packet_bytes_max).await?;
        for (row, reason) in &refused {
            written.outcomes[rows[*row].0] = ItemOutcome::Refused { reason: reason.clone() };
        }
        for history in &table.history {
            let stored = rows.iter().enumerate().filter(|(row, _)| !refused.contains_key(row));
            let changes: Vec<[Bound; 4]> = stored
                .map(|(_, (at, row))| {
                    let version = self.items[*at].version;
                    [row[0].clone(), Bound::UInt(version), row[history.column + 1].clone(), row::fetched_at(version)]
                })
                .collect();
            history.keep(conn, &changes).await?;
        }
        for (column, count) in table.columns.iter().zip(cut).filter(|(_, count)| *count > 0) {
            *written.cuts.entry((table.name.clone(), column.name.clone())).or_default() += count;
        }
        Ok(())
    }
}

/// Listings that a complete crawl no longer found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gone<'a> {
    pub table: &'a Table,
    pub ids: &'a [ItemId],
    /// The version that the crawl would have given them.
    pub at: u64,
}

impl Gone<'_> {
    /// Marks and commits: stored when it is marked now, unchanged when there was nothing to mark, stale when it was seen since.
    pub async fn mark(&self, conn: &mut Conn) -> Result<Written> {
        conn.query_drop("START TRANSACTION").await?;
        let mut order: Vec<usize> = (0..self.ids.len()).collect();
        order.sort_by_key(|at| self.ids[*at].0);
        let mut outcomes = vec![ItemOutcome::Unchanged; self.ids.len()];
        for part in order.chunks(ROWS_MAX) {
            let ids = part.iter().map(|at| Bound::Bytes(self.ids[*at].0.to_be_bytes().to_vec())).collect();
            let ids = padded(ids);
            let sql = self.table.delisted.of(ids.len());
            let found: Vec<(Vec<u8>, u64, u8)> = conn.exec(sql, Params::Positional(ids.clone())).await?;
            let there: HashMap<Vec<u8>, (u64, u8)> =
                found.into_iter().map(|(id, version, marked)| (id, (version, marked))).collect();
            for &at in part {
                outcomes[at] = match there.get(self.ids[at].0.to_be_bytes().as_slice()) {
                    Some((_, 1)) | None => ItemOutcome::Unchanged,
                    Some((version, _)) if *version >= self.at => ItemOutcome::Stale,
                    Some(_) => ItemOutcome::Stored,
                };
            }
            let sql = self.table.delist.of(ids.len());
            let params = [row::fetched_at(self.at), Bound::UInt(self.at)].into_iter().chain(ids).collect();
            conn.exec_drop(sql, Params::Positional(params)).await?;
        }
        crash::point("mysql: commit delisted");
        conn.query_drop("COMMIT").await?;
        Ok(Written { outcomes, ..Written::default() })
    }
}

/// Versions and hashes that are there.
async fn look(
    conn: &mut Conn,
    table: &Table,
    ids: impl Iterator<Item = ItemId>,
) -> Result<HashMap<u128, (u64, Vec<u8>)>> {
    let ids: Vec<Bound> = ids.map(|id| Bound::Bytes(id.0.to_be_bytes().to_vec())).collect();
    let mut there = HashMap::new();
    for ids in ids.chunks(ROWS_MAX) {
        let ids = padded(ids.to_vec());
        let found: Vec<(Vec<u8>, u64, Vec<u8>)> = conn.exec(table.look.of(ids.len()), Params::Positional(ids)).await?;
        there.extend(found.into_iter().filter_map(|(id, version, hash)| {
            // `BINARY(16)`: always of this length.
            Some((u128::from_be_bytes(id.try_into().ok()?), (version, hash)))
        }));
    }
    Ok(there)
}

/// Writes rows; gives those that the server refused, with its reason.
async fn put(
    conn: &mut Conn,
    table: &Table,
    rows: &[(usize, Vec<Bound>)],
    packet_bytes_max: usize,
) -> Result<BTreeMap<usize, String>> {
    let mut refused = BTreeMap::new();
    let bytes_max = packet_bytes_max.saturating_sub(OVERHEAD_BYTES).min(STATEMENT_BYTES_MAX);
    let bound_max = usize::from(u16::MAX) / (table.columns.len() + 6);
    let rows_max = bound_max.min(bytes_max / 2 / (table.sql.row.len() + 1)).max(1);
    let mut parts = Parts::new(|row| row::bytes(&rows[row].1), rows.len(), rows_max, bytes_max);
    while let Some(part) = parts.next() {
        let params = rows[part.clone()].iter().flat_map(|(_, row)| row.iter().cloned()).collect();
        match conn.exec_drop(table.sql.of(part.len()), Params::Positional(params)).await {
            Ok(()) => {}
            Err(error) if error::meaning(&error) == Meaning::Row => {
                if let Some(row) = parts.refused(part) {
                    refused.insert(row, format!("the server refuses it: {}", error::said(&error)));
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(refused)
}
