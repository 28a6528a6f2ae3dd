//! A database of its own for each test, on one server.
#![allow(clippy::unwrap_used, dead_code)] // helpers of tests; not every file uses all

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, OptsBuilder, Row, Value as Bound};
use serde_json::Value as Json;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use weir_connector::contract::{Place, item, job, schema};
use weir_connector::{JobInfo, Sink};
use weir_model::{Item, ItemSchema, Value};
use weir_mysql::MysqlSink;
use weir_services::Service;

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A database, dropped with its value.
pub struct Database {
    /// `mysql://user:password@host:port`.
    server: String,
    pub name: String,
    options: &'static str,
}

/// The account and where it is.
pub struct Parts {
    pub server: String,
    pub user: String,
    pub host: String,
    pub port: u16,
    pub database: String,
}

impl Database {
    pub fn fresh(options: &'static str) -> Database {
        Database::on(Service::shared_mariadb().unwrap().url(), options)
    }

    /// On a server by its URL.
    pub fn on(url: &str, options: &'static str) -> Database {
        let server = url.rsplit_once('/').unwrap().0.to_owned();
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("weir_t{}_{number}", std::process::id());
        query_at(url, &format!("CREATE DATABASE {name} CHARACTER SET latin1"));
        Database { server, name, options }
    }

    pub fn url(&self, options: &str) -> String {
        format!("{}/{}/listing{options}", self.server, self.name)
    }

    /// The same through a proxy.
    pub fn url_at(&self, port: u16, options: &str) -> String {
        let parts = self.parts();
        let account = self.server.rsplit_once('@').unwrap().0;
        format!("{account}@127.0.0.1:{port}/{}/listing{options}", parts.database)
    }

    pub fn parts(&self) -> Parts {
        let url = Opts::from_url(&self.url("").replace("/listing", "")).unwrap();
        Parts {
            server: self.server.clone(),
            user: url.user().unwrap().to_owned(),
            host: url.ip_or_hostname().to_owned(),
            port: url.tcp_port(),
            database: self.name.clone(),
        }
    }

    /// A new sink, not yet opened.
    pub fn sink(&self) -> MysqlSink {
        MysqlSink::from_url(&self.url(self.options)).unwrap()
    }

    /// A new sink, opened.
    pub fn open(&self) -> MysqlSink {
        let mut sink = self.sink();
        sink.open(&job(None)).unwrap();
        sink
    }

    /// Rows as text, columns divided by bars.
    pub fn query(&self, sql: &str) -> Vec<String> {
        query_at(&format!("{}/{}", self.server, self.name), sql)
    }

    pub fn execute(&self, sql: &str) {
        self.query(sql);
    }

    /// Whether the server does it.
    pub fn try_execute(&self, sql: &str) -> bool {
        try_query(&format!("{}/{}", self.server, self.name), sql).is_ok()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // A server that a test has stopped takes its data along.
        let _ = try_query(&format!("{}/", self.server), &format!("DROP DATABASE {}", self.name));
    }
}

impl Place for Database {
    fn sink(&mut self) -> Box<dyn Sink> {
        Box::new(Database::sink(self))
    }

    fn read(&mut self) -> Vec<(String, Json)> {
        let rows = self.query("SELECT url, price FROM listing");
        let pair = |row: &String| {
            let (url, price) = row.rsplit_once('|').unwrap();
            (url.to_owned(), price.parse::<f64>().unwrap().into())
        };
        rows.iter().map(pair).collect()
    }
}

/// A connection for a test's own statements.
pub async fn connect(url: &str) -> Conn {
    Conn::new(options(url)).await.unwrap()
}

fn options(url: &str) -> Opts {
    OptsBuilder::from_opts(Opts::from_url(url).unwrap()).prefer_socket(false).init(vec!["SET NAMES utf8mb4"]).into()
}

pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

pub fn query_at(url: &str, sql: &str) -> Vec<String> {
    try_query(url, sql).unwrap()
}

fn try_query(url: &str, sql: &str) -> mysql_async::Result<Vec<String>> {
    runtime().block_on(async {
        let mut conn = Conn::new(options(url)).await?;
        let rows: Vec<Row> = conn.query(sql).await?;
        conn.disconnect().await?;
        let cell = |value: Bound| match value {
            Bound::NULL => "NULL".to_owned(),
            Bound::Bytes(bytes) => String::from_utf8(bytes).unwrap(),
            other => format!("{other:?}"),
        };
        Ok(rows.into_iter().map(|row| row.unwrap().into_iter().map(cell).collect::<Vec<_>>().join("|")).collect())
    })
}

/// The suite's job with another schema.
pub fn job_with(change: impl FnOnce(&mut ItemSchema)) -> JobInfo {
    let mut changed = schema();
    change(&mut changed);
    JobInfo { schemas: vec![Arc::new(changed)], ..job(None) }
}

/// The suite's item with one value changed.
pub fn with_value(id: u32, at: usize, value: Value) -> Arc<Item> {
    let mut values = item(id, 1, 1.0).values.clone();
    values[at] = value;
    Arc::new(Item { values, ..(*item(id, 1, 1.0)).clone() })
}

/// Upper-case digits, as `HEX()` gives them.
pub fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02X}")).collect()
}
