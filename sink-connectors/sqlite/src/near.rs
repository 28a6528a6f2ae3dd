//! Reading back: the listings nearest to a point, by the place's R*Tree, in growing circles.
//!
//! Invariant: a database is only read, and one that a crawl is writing to is read as of its last commit.

use crate::error::At;
use crate::schema;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row};
use serde_json::{Map, Value as Json};
use std::path::{Path, PathBuf};
use std::time::Duration;
use weir_connector::{BoxFuture, ErrorClass, Found, Near, Reader, Search, SinkError, fields};
use weir_geo::{BoundingBox, Location, haversine_km};
use weir_model::{Field, FieldKind, ItemId};

/// First radius that is tried when none is given; it grows until enough is found.
const FIRST_KM: f64 = 2.0;
/// Half around the Earth, and a little.
const WORLD_KM: f64 = 20_040.0;
/// How long a checkpoint of the writer is waited for.
const BUSY_WAIT: Duration = Duration::from_secs(5);

/// A database opened for reading.
#[derive(Debug)]
pub struct SqliteReader {
    path: PathBuf,
}

/// A row near the point that was not read yet.
struct Candidate {
    km: f64,
    id: ItemId,
    rowid: i64,
}

impl SqliteReader {
    /// A database file; opened by each query.
    #[must_use]
    pub fn new(path: impl AsRef<Path>) -> SqliteReader {
        SqliteReader { path: path.as_ref().to_owned() }
    }

    fn nearest_now(&self, near: &Near) -> Result<Vec<Found>, SinkError> {
        let path = &self.path;
        if !path.is_file() {
            return Err(SinkError::new(
                ErrorClass::Configuration,
                "there is no such file",
                format!("sqlite:{}", path.display()),
                "the database file of a crawl",
                "Is the name right, and the folder?",
            ));
        }
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).at("open", path)?;
        connection.busy_timeout(BUSY_WAIT).at("open", path)?;
        // One view of the database for all queries.
        connection.execute_batch("BEGIN").at("read", path)?;
        let shown = format!("sqlite:{}", path.display());
        let Some((table, fields)) = table(&connection, near).at("read", path)? else {
            return Err(Search::no_place(near, &shown));
        };
        let search = Search::new(near, fields, &shown)?;
        nearest(&connection, &table, &search).at("search", path)
    }
}

impl Reader for SqliteReader {
    fn nearest<'a>(&'a self, near: &'a Near) -> BoxFuture<'a, Result<Vec<Found>, SinkError>> {
        Box::pin(async move { self.nearest_now(near) })
    }
}

/// The first table, by name, that can be searched.
fn table(connection: &Connection, near: &Near) -> rusqlite::Result<Option<(String, Vec<Field>)>> {
    let exists = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = '_weir')";
    if !connection.query_row(exists, [], |row| row.get::<_, bool>(0))? {
        return Ok(None);
    }
    let mut statement =
        connection.prepare("SELECT substr(key, 7), value FROM _weir WHERE key GLOB 'table:*' ORDER BY key")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (name, remembered): (String, String) = (row.get(0)?, row.get(1)?);
        let fields = fields::recalled(&remembered);
        let is_wanted = near.item.as_ref().is_none_or(|wanted| *wanted == name);
        if is_wanted && Search::place(near, &fields).is_some() {
            return Ok(Some((name, fields)));
        }
    }
    Ok(None)
}

fn nearest(connection: &Connection, table: &str, search: &Search) -> rusqlite::Result<Vec<Found>> {
    let tree = tree(connection, table, &search.place)?;
    let most = search.within_km.unwrap_or(WORLD_KM).min(WORLD_KM);
    let mut radius = if search.within_km.is_some() { most } else { FIRST_KM };
    loop {
        let mut found = Vec::new();
        for candidate in candidates(connection, table, &tree, search, radius)? {
            let Some(item) = item(connection, table, search, candidate.rowid)? else { continue };
            if search.wants(candidate.km, &item) {
                found.push(Found { id: candidate.id, km: candidate.km, item });
            }
            if found.len() == search.limit {
                return Ok(found);
            }
        }
        if radius >= most {
            return Ok(found);
        }
        radius = (radius * 4.0).min(most);
    }
}

/// The name of the place's R*Tree.
fn tree(connection: &Connection, table: &str, place: &str) -> rusqlite::Result<String> {
    let own = format!("{table}_{place}_rtree");
    let known: Option<String> =
        connection.query_row("SELECT name FROM sqlite_schema WHERE name = ?1", [&own], |row| row.get(0)).optional()?;
    Ok(known.unwrap_or_else(|| format!("{table}_rtree")))
}

/// Rows within a circle, nearest first, at one place by id.
fn candidates(
    connection: &Connection,
    table: &str,
    tree: &str,
    search: &Search,
    km: f64,
) -> rusqlite::Result<Vec<Candidate>> {
    let bounds = BoundingBox::around(search.at, km);
    // The tree rounds outwards: it never leaves out what is in the box.
    let sql = format!(
        "SELECT t.rowid, t.\"_id\", t.\"{}\" FROM \"{tree}\" r JOIN \"{table}\" t ON t.rowid = r.id \
         WHERE r.max_lat >= ?1 AND r.min_lat <= ?2 AND r.max_lon >= ?3 AND r.min_lon <= ?4",
        search.place
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut all = Vec::new();
    for (west, east) in bounds.longitudes() {
        let mut rows = statement.query([bounds.south, bounds.north, west, east])?;
        while let Some(row) = rows.next()? {
            let (Ok(id), Some(place)) = (row.get_ref(1)?.as_str(), location(row.get_ref(2)?)) else { continue };
            let Ok(id) = u128::from_str_radix(id, 16) else { continue };
            let candidate = Candidate { km: haversine_km(search.at, place), id: ItemId(id), rowid: row.get(0)? };
            if candidate.km <= km {
                all.push(candidate);
            }
        }
    }
    all.sort_by(|a, b| a.km.total_cmp(&b.km).then(a.id.0.cmp(&b.id.0)));
    // On the meridian where two ranges meet a row may be in both.
    all.dedup_by_key(|candidate| candidate.rowid);
    Ok(all)
}

fn location(value: ValueRef<'_>) -> Option<Location> {
    let (lat, lon) = value.as_str().ok()?.split_once(',')?;
    Location::new(lat.parse().ok()?, lon.parse().ok()?).ok()
}

/// A row as an item; `None` when it is marked as gone.
fn item(
    connection: &Connection,
    table: &str,
    search: &Search,
    rowid: i64,
) -> rusqlite::Result<Option<Map<String, Json>>> {
    let mut statement = connection.prepare_cached(&format!("SELECT * FROM \"{table}\" WHERE rowid = ?1"))?;
    let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
    statement.query_row([rowid], |row| {
        let delisted = names.iter().position(|name| name == schema::DELISTED);
        if let Some(at) = delisted
            && row.get_ref(at)? != ValueRef::Null
        {
            return Ok(None);
        }
        Ok(Some(search.item(|field| {
            let at = names.iter().position(|name| name.eq_ignore_ascii_case(&field.name));
            at.map(|at| value(field, row, at)).unwrap_or_default()
        })))
    })
}

fn value(field: &Field, row: &Row<'_>, at: usize) -> Json {
    match row.get_ref(at) {
        Ok(ValueRef::Integer(number)) if field.kind == FieldKind::Bool => Json::Bool(number != 0),
        Ok(ValueRef::Integer(number)) => fields::normal(field, number.into()),
        Ok(ValueRef::Real(number)) => number.into(),
        Ok(ValueRef::Text(text)) => fields::from_text(field, &String::from_utf8_lossy(text)),
        Ok(ValueRef::Null | ValueRef::Blob(_)) | Err(_) => Json::Null,
    }
}
