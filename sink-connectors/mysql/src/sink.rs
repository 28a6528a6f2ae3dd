//! The database as a sink: opens on its own thread, writes a batch a call, tries again what a deadlock or a lost connection undid.

use crate::error::{self, Meaning};
use crate::link::Link;
use crate::place::MysqlPlace;
use crate::table::{self, Table};
use crate::write::{Batch, Gone, Written};
use mysql_async::prelude::Queryable;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use weir_connector::{
    BatchPolicy, BoxFuture, Bridge, ItemOutcome, JobInfo, Opened, Sink, SinkError, SinkInfo, SinkKind, SinkMark,
    StoredItem,
};
use weir_model::{Item, ItemId, Outcome};

/// How often a batch is tried again at once when a deadlock chose it.
const DEADLOCKS_MAX: u32 = 8;
/// How often a connection that turned out to be dead is replaced at once; then the driver's pauses apply.
const RECONNECTS_MAX: u32 = 1;

/// Tables of a MySQL or MariaDB server.
#[derive(Debug)]
pub struct MysqlSink {
    place: MysqlPlace,
    env: fn(&str) -> Option<String>,
    open: Option<OpenSink>,
    cuts: BTreeMap<(String, String), u64>,
}

#[derive(Debug)]
struct OpenSink {
    state: Arc<Mutex<State>>,
    bridge: Bridge,
}

#[derive(Debug)]
struct State {
    link: Link,
    tables: Vec<Table>,
    spider: String,
    packet_bytes_max: usize,
}

/// What is done in one transaction.
#[derive(Clone, Copy, Debug)]
enum Work<'a> {
    Write(&'a [Arc<Item>]),
    Delist { schema: u16, ids: &'a [ItemId], at: u64 },
}

impl MysqlSink {
    /// By URL; the password's variable, if it needs one, is read at `open`.
    pub fn from_url(url: &str) -> Result<MysqlSink, SinkError> {
        Ok(MysqlSink::new(MysqlPlace::parse(url)?))
    }

    /// A place whose password's variable is read from the process's environment.
    #[must_use]
    pub fn new(place: MysqlPlace) -> MysqlSink {
        MysqlSink { place, env: |name| std::env::var(name).ok(), open: None, cuts: BTreeMap::new() }
    }

    /// How many values were cut to their column's length, by table and column.
    #[must_use]
    pub fn truncated(&self) -> &BTreeMap<(String, String), u64> {
        &self.cuts
    }

    fn start(&mut self, job: &JobInfo) -> Result<Opened, SinkError> {
        self.open = None;
        let mut link = Link::new(self.place.clone(), &self.place.password(self.env)?);
        let bridge = Bridge::start("mysql")?;
        let schemas = job.schemas.clone();
        let spider = job.spider.clone();
        let opened = bridge.wait(async move {
            let place = link.place.clone();
            let work = async {
                let conn = link.conn().await?;
                let packet: Option<usize> = conn
                    .query_first("SELECT @@max_allowed_packet")
                    .await
                    .map_err(|error| error::sink_error("open", &place.shown, &error))?;
                let (tables, generation) = table::prepare(conn, &place, &schemas).await?;
                Ok((tables, generation, packet.unwrap_or(1 << 20)))
            };
            let done = tokio::time::timeout(place.connect_timeout + place.timeout, work).await;
            let (tables, generation, packet_bytes_max) =
                done.unwrap_or_else(|_| Err(error::timed_out("open", &place.shown, "timeout")))?;
            Ok((State { link, tables, spider, packet_bytes_max }, generation))
        });
        let (state, generation) = opened?;
        self.open = Some(OpenSink { state: Arc::new(Mutex::new(state)), bridge });
        Ok(Opened { generation })
    }

    fn opened(&self) -> Result<&OpenSink, SinkError> {
        self.open.as_ref().ok_or_else(|| SinkError::not_open(&self.place.shown))
    }

    fn say_cuts(&mut self, cuts: BTreeMap<(String, String), u64>) {
        for ((table, column), count) in cuts {
            if !self.cuts.contains_key(&(table.clone(), column.clone())) {
                tracing::warn!(%table, %column, count, "text cut to the column's length; further cuts are only counted");
            }
            *self.cuts.entry((table, column)).or_default() += count;
        }
    }
}

impl State {
    async fn perform(&mut self, work: Work<'_>) -> Result<Written, SinkError> {
        let (mut deadlocks, mut reconnects) = (0, 0);
        loop {
            let State { link, tables, spider, packet_bytes_max } = self;
            let (timeout, shown) = (link.place.timeout, link.place.shown.clone());
            let conn = link.conn().await?;
            let done = async {
                match work {
                    Work::Write(items) => {
                        Batch { tables, spider, items, packet_bytes_max: *packet_bytes_max }.write(conn).await
                    }
                    Work::Delist { schema, ids, at } => match tables.get(usize::from(schema)) {
                        Some(table) => Gone { table, ids, at }.mark(conn).await,
                        None => Ok(Written { outcomes: vec![ItemOutcome::Unchanged; ids.len()], ..Written::default() }),
                    },
                }
            };
            let error = match tokio::time::timeout(timeout, done).await {
                Ok(Ok(written)) => return Ok(written),
                Ok(Err(error)) => error,
                Err(_) => {
                    link.abandon();
                    return Err(error::timed_out("write", &shown, "timeout"));
                }
            };
            // In doubt, and with a transaction open: the next try begins on a new connection.
            match error::meaning(&error) {
                // The server has rolled back already; said again, so that nothing of it can ever be committed by what follows.
                Meaning::Deadlock if deadlocks < DEADLOCKS_MAX && conn.query_drop("ROLLBACK").await.is_ok() => {
                    deadlocks += 1;
                }
                Meaning::Lost if reconnects < RECONNECTS_MAX => {
                    reconnects += 1;
                    link.abandon();
                }
                _ => {
                    link.abandon();
                    return Err(error::sink_error("write", &shown, &error));
                }
            }
        }
    }
}

impl Sink for MysqlSink {
    fn describe(&self) -> SinkInfo {
        let batch = BatchPolicy { items_max: 2_048, bytes_max: 8 << 20, wait_max: Duration::from_millis(200) };
        SinkInfo { name: "mysql", url: self.place.shown.clone(), kind: SinkKind::Keyed, batch }
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
            outcomes.clear();
            let open = self.opened()?;
            if items.is_empty() {
                return Ok(SinkMark::default());
            }
            let (state, items) = (Arc::clone(&open.state), items.to_vec());
            let written = open.bridge.run(async move { state.lock().await.perform(Work::Write(&items)).await }).await?;
            *outcomes = written.outcomes;
            self.say_cuts(written.cuts);
            Ok(SinkMark::default())
        })
    }

    fn read_back<'a>(
        &'a mut self,
        job: &'a JobInfo,
        each: &'a mut (dyn FnMut(StoredItem) + Send),
    ) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(async move {
            let link = Link::new(self.place.clone(), &self.place.password(self.env)?);
            let link = Arc::new(Mutex::new(link));
            let bridge = Bridge::start("mysql")?;
            for (number, schema) in job.schemas.iter().enumerate() {
                let mut after = None;
                loop {
                    let (link, schema) = (Arc::clone(&link), Arc::clone(schema));
                    let page = async move {
                        let mut link = link.lock().await;
                        let place = link.place.clone();
                        let work =
                            async { crate::readback::page(link.conn().await?, &place, number, &schema, after).await };
                        let done = tokio::time::timeout(place.timeout, work).await;
                        done.unwrap_or_else(|_| Err(error::timed_out("read", &place.shown, "timeout")))
                    };
                    let (items, is_last) = bridge.run(page).await?;
                    after = items.last().and_then(|item| item.id).or(after);
                    items.into_iter().for_each(&mut *each);
                    if is_last {
                        break;
                    }
                }
            }
            bridge.run(async move { link.lock().await.close().await }).await;
            Ok(())
        })
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
        Box::pin(async move {
            let open = self.opened()?;
            let (state, ids) = (Arc::clone(&open.state), ids.to_vec());
            let work = async move { state.lock().await.perform(Work::Delist { schema, ids: &ids, at }).await };
            open.bridge.run(work).await.map(|written| written.outcomes)
        })
    }

    fn finish<'a>(&'a mut self, _outcome: Outcome, _complete: bool) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(async move {
            if let Some(open) = self.open.take() {
                let state = Arc::clone(&open.state);
                open.bridge.run(async move { state.lock().await.link.close().await }).await;
            }
            Ok(())
        })
    }
}
