//! The database as a sink: one transaction a batch, one cached statement an item type.

use crate::error::At;
use crate::{place, schema, table};
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension, Statement, ToSql};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use weir_connector::text::{self, JsonStyle};
use weir_connector::{
    BatchPolicy, BoxFuture, ErrorClass, ItemOutcome, JobInfo, Opened, Sink, SinkError, SinkInfo, SinkKind, SinkMark,
    StoredItem,
};
use weir_model::{Field, FieldKind, Item, ItemId, ItemSchema, Outcome, Value, crash};

/// How long another program's transaction is waited for.
pub(crate) const BUSY_WAIT: Duration = Duration::from_secs(5);

/// A SQLite database.
#[derive(Debug)]
pub struct SqliteSink {
    path: PathBuf,
    add_columns: bool,
    open: Option<OpenDatabase>,
}

#[derive(Debug)]
struct OpenDatabase {
    connection: Connection,
    spider: String,
    types: Vec<ItemType>,
}

/// An item type with its statements' text.
#[derive(Debug)]
struct ItemType {
    schema: Arc<ItemSchema>,
    upsert: String,
    look: String,
    delist: String,
}

impl SqliteSink {
    /// A database file; made when it is not there.
    #[must_use]
    pub fn new(path: impl AsRef<Path>) -> SqliteSink {
        SqliteSink { path: path.as_ref().to_owned(), add_columns: false, open: None }
    }

    /// Fields that a table lacks become columns.
    #[must_use]
    pub fn with_new_columns(mut self) -> SqliteSink {
        self.add_columns = true;
        self
    }

    fn start(&mut self, job: &JobInfo) -> Result<Opened, SinkError> {
        let path = &self.path;
        if path.is_dir() {
            return Err(SinkError::io("open", path, &std::io::ErrorKind::IsADirectory.into()));
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder).map_err(|error| SinkError::io("create", folder, &error))?;
        crash::point("sqlite: open");
        let mut connection = Connection::open(path).at("open", path)?;
        connection.busy_timeout(BUSY_WAIT).at("open", path)?;
        connection.set_prepared_statement_cache_capacity(64);
        let mode = if place::is_local(folder) { "WAL" } else { "DELETE" };
        connection.pragma_update_and_check(None, "journal_mode", mode, |_| Ok(())).at("open", path)?;
        // What is called stored is durable, against a power cut too: NORMAL would lose the last transactions of a log.
        connection.pragma_update(None, "synchronous", "FULL").at("open", path)?;
        connection.pragma_update(None, "cache_size", -32_000).at("open", path)?;
        // 32 MB of log between checkpoints: a page of the key's index is written many times in that.
        connection.pragma_update_and_check(None, "wal_autocheckpoint", 8_000, |_| Ok(())).at("open", path)?;
        let schemas: Vec<&ItemSchema> = job.schemas.iter().map(|schema| &**schema).collect();
        let generation = table::prepare(&mut connection, path, &schemas, self.add_columns)?;
        let types = job.schemas.iter().map(|schema| ItemType {
            upsert: schema::upsert(schema),
            delist: schema::delist(schema),
            look: format!("SELECT \"_version\", \"_hash\" FROM \"{}\" WHERE \"_id\" = ?1", schema.name),
            schema: schema.clone(),
        });
        self.open = Some(OpenDatabase { connection, spider: job.spider.clone(), types: types.collect() });
        Ok(Opened { generation })
    }

    fn write_now(&mut self, items: &[Arc<Item>], outcomes: &mut Vec<ItemOutcome>) -> Result<SinkMark, SinkError> {
        outcomes.clear();
        let path = &self.path;
        let Some(open) = &mut self.open else { return Err(not_open(path)) };
        if items.is_empty() {
            return Ok(SinkMark::default());
        }
        let tx =
            open.connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).at("begin", path)?;
        let mut scratch = Scratch::default();
        for item in items {
            let outcome = match open.types.get(usize::from(item.schema)) {
                None => ItemOutcome::Refused {
                    reason: format!("the item is of type {}, which the job does not have", item.schema),
                },
                Some(kind) => match misfit(&kind.schema, item) {
                    Some(reason) => ItemOutcome::Refused { reason },
                    None => put(&tx, kind, &open.spider, item, &mut scratch).at("write", path)?,
                },
            };
            outcomes.push(outcome);
        }
        crash::point("sqlite: commit");
        tx.commit().at("commit", path)?;
        Ok(SinkMark::default())
    }

    fn delist_now(&mut self, schema: u16, ids: &[ItemId], at: u64) -> Result<Vec<ItemOutcome>, SinkError> {
        let path = &self.path;
        let Some(open) = &mut self.open else { return Err(not_open(path)) };
        let Some(kind) = open.types.get(usize::from(schema)) else {
            return Ok(vec![ItemOutcome::Unchanged; ids.len()]);
        };
        let tx =
            open.connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).at("begin", path)?;
        let mut outcomes = Vec::with_capacity(ids.len());
        for id in ids {
            outcomes.push(mark(&tx, kind, *id, at).at("mark as gone", path)?);
        }
        crash::point("sqlite: commit delisted");
        tx.commit().at("commit", path)?;
        Ok(outcomes)
    }

    fn finish_now(&mut self) -> Result<(), SinkError> {
        let Some(open) = self.open.take() else { return Ok(()) };
        // The database alone, without its log, for whoever copies the file. Readers may hold it back: then the log stays.
        crash::point("sqlite: checkpoint");
        open.connection
            .pragma_update_and_check(None, "wal_checkpoint", "TRUNCATE", |_| Ok(()))
            .at("checkpoint", &self.path)?;
        open.connection.execute_batch("PRAGMA optimize").at("optimize", &self.path)?;
        crash::point("sqlite: close");
        open.connection.close().map_err(|(_, error)| error).at("close", &self.path)
    }
}

fn not_open(path: &Path) -> SinkError {
    SinkError::new(
        ErrorClass::Permanent,
        "the database is not open",
        path.display().to_string(),
        "open before write",
        "This is a mistake in weir: please report it",
    )
}

/// One listing that is gone: the mark, and a look when it changed nothing.
fn mark(tx: &Connection, kind: &ItemType, id: ItemId, at: u64) -> rusqlite::Result<ItemOutcome> {
    let (id, version) = (id.to_hex(), i64::try_from(at).unwrap_or(i64::MAX));
    let since = text::version_as_time(at);
    if tx.prepare_cached(&kind.delist)?.execute((&id, since, version))? > 0 {
        return Ok(ItemOutcome::Stored);
    }
    let there: Option<i64> = tx.prepare_cached(&kind.look)?.query_row([&id], |row| row.get(0)).optional()?;
    Ok(if there.is_some_and(|seen| seen >= version) { ItemOutcome::Stale } else { ItemOutcome::Unchanged })
}

#[derive(Default)]
struct Scratch {
    text: Vec<u8>,
}

/// One item: the upsert, and a look when it changed nothing.
fn put(
    tx: &Connection,
    kind: &ItemType,
    spider: &str,
    item: &Item,
    scratch: &mut Scratch,
) -> rusqlite::Result<ItemOutcome> {
    let mut statement = tx.prepare_cached(&kind.upsert)?;
    let id = item.id.to_hex();
    statement.raw_bind_parameter(1, &id)?;
    let mut at = 2;
    for (field, value) in kind.schema.fields.iter().zip(&item.values) {
        bind(&mut statement, at, field, value, &mut scratch.text)?;
        at += 1;
    }
    let hash = format!("{:016x}", item.hash);
    statement.raw_bind_parameter(at, item.job.0.cast_signed())?;
    statement.raw_bind_parameter(at + 1, spider)?;
    statement.raw_bind_parameter(at + 2, item.version.cast_signed())?;
    statement.raw_bind_parameter(at + 3, &hash)?;
    statement.raw_bind_parameter(at + 4, text::version_as_time(item.version))?;
    if statement.raw_execute()? > 0 {
        return Ok(ItemOutcome::Stored);
    }
    let there: Option<(i64, String)> =
        tx.prepare_cached(&kind.look)?.query_row([&id], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let same = there.is_some_and(|(version, stored)| version == item.version.cast_signed() && stored == hash);
    Ok(if same { ItemOutcome::Unchanged } else { ItemOutcome::Stale })
}

fn bind(
    statement: &mut Statement<'_>,
    at: usize,
    field: &Field,
    value: &Value,
    text: &mut Vec<u8>,
) -> rusqlite::Result<()> {
    text.clear();
    match value {
        Value::Null => return statement.raw_bind_parameter(at, rusqlite::types::Null),
        // A JSON column holds JSON: text in it has its quotes.
        Value::Str(string) if field.kind == FieldKind::Json && !field.many => text::put_string(text, string, false),
        Value::Str(string) => return statement.raw_bind_parameter(at, &**string),
        Value::Int(number) => return statement.raw_bind_parameter(at, number),
        Value::Float(number) => return statement.raw_bind_parameter(at, number),
        Value::Bool(truth) => return statement.raw_bind_parameter(at, truth),
        Value::Datetime(ms) => text::put_datetime(text, *ms),
        Value::Geo { lat, lon } => {
            text::put_float(text, *lat);
            text.push(b',');
            text::put_float(text, *lon);
        }
        Value::List(_) | Value::Json(_) => text::put_value(text, value, JsonStyle::default(), 0),
    }
    statement.raw_bind_parameter(at, Text(text))
}

/// Bytes that are UTF-8 by construction.
struct Text<'a>(&'a [u8]);

impl ToSql for Text<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Text(self.0)))
    }
}

/// Why an item does not fit its table; `None` when it does.
fn misfit(schema: &ItemSchema, item: &Item) -> Option<String> {
    if i64::try_from(item.version).is_err() {
        return Some(format!("the item's version {} is beyond 2^63", item.version));
    }
    weir_connector::misfit(schema, item, |_, _| None)
}

impl Sink for SqliteSink {
    fn describe(&self) -> SinkInfo {
        let batch = BatchPolicy { items_max: 5_000, bytes_max: 8 << 20, wait_max: Duration::from_millis(200) };
        SinkInfo { name: "sqlite", url: format!("sqlite:{}", self.path.display()), kind: SinkKind::Keyed, batch }
    }

    fn open(&mut self, job: &JobInfo) -> Result<Opened, SinkError> {
        self.start(job)
    }

    fn write<'a>(
        &'a mut self,
        items: &'a [Arc<Item>],
        outcomes: &'a mut Vec<ItemOutcome>,
    ) -> BoxFuture<'a, Result<SinkMark, SinkError>> {
        Box::pin(async move {
            let result = self.write_now(items, outcomes);
            if result.is_err() {
                outcomes.clear(); // the transaction was rolled back
            }
            result
        })
    }

    fn read_back<'a>(
        &'a mut self,
        job: &'a JobInfo,
        each: &'a mut (dyn FnMut(StoredItem) + Send),
    ) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(async move { crate::readback::read_back(&self.path, job, each) })
    }

    fn can_delist(&self) -> bool {
        true
    }

    fn delist<'a>(
        &'a mut self,
        schema: u16,
        ids: &'a [ItemId],
        at: u64,
    ) -> BoxFuture<'a, Result<Vec<ItemOutcome>, SinkError>> {
        Box::pin(async move { self.delist_now(schema, ids, at) })
    }

    fn finish<'a>(&'a mut self, _outcome: Outcome, _complete: bool) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(async move { self.finish_now() })
    }
}
