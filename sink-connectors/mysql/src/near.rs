//! Reading back: the listings nearest to a point.
//!
//! Invariant: the box that the index is asked for has every point of the circle; distances are great circles in kilometres.

use crate::bridge::Bridge;
use crate::error;
use crate::link::Link;
use crate::place::MysqlPlace;
use crate::table::META;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Params, Row, Value as Bound};
use serde_json::{Map, Value as Json};
use std::sync::Arc;
use tokio::sync::Mutex;
use weir_connector::{ErrorClass, SinkError};
use weir_geo::{BoundingBox, Location};
use weir_model::ItemId;

/// What is searched.
#[derive(Clone, Debug, PartialEq)]
pub struct Near {
    /// Degrees north.
    pub lat: f64,
    /// Degrees east.
    pub lon: f64,
    /// Not further than this.
    pub within_km: Option<f64>,
    /// At most this many.
    pub limit: u32,
    /// The place's field; `None`: the first that the table has.
    pub field: Option<String>,
}

/// A listing that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Its identity.
    pub id: ItemId,
    /// Kilometres from the point.
    pub km: f64,
    /// Its row, column by column, in the table's order.
    pub row: Map<String, Json>,
}

/// A table opened for reading.
#[derive(Debug)]
pub struct MysqlReader {
    link: Arc<Mutex<Link>>,
    bridge: Bridge,
}

/// First radius that is tried when none is given; it doubles until enough is found.
const FIRST_KM: f64 = 2.0;
/// Half around the Earth, and a little.
const WORLD_KM: f64 = 20_040.0;

impl MysqlReader {
    /// By the sink's URL; a table must stand in it. Connects at the first query.
    pub fn from_url(url: &str) -> Result<MysqlReader, SinkError> {
        let place = MysqlPlace::parse(url)?;
        let password = place.password(|name| std::env::var(name).ok())?;
        Ok(MysqlReader { link: Arc::new(Mutex::new(Link::new(place, &password))), bridge: Bridge::start("mysql")? })
    }

    /// The nearest listings that are not delisted, nearest first.
    pub async fn nearest(&self, near: Near) -> Result<Vec<Found>, SinkError> {
        let link = Arc::clone(&self.link);
        self.bridge
            .run(async move {
                let mut link = link.lock().await;
                let place = link.place.clone();
                let done =
                    tokio::time::timeout(place.timeout, async { search(link.conn().await?, &place, &near).await });
                let result = done.await.unwrap_or_else(|_| Err(error::timed_out("search", &place.shown, "timeout")));
                if result.is_err() {
                    link.abandon();
                }
                result
            })
            .await
    }
}

async fn search(conn: &mut Conn, place: &MysqlPlace, near: &Near) -> Result<Vec<Found>, SinkError> {
    let refuse = |what: String, expected: &str, todo: &str| {
        SinkError::new(ErrorClass::Configuration, what, place.shown.clone(), expected, todo)
    };
    let at = |error: mysql_async::Error| error::sink_error("search", &place.shown, &error);
    let centre = Location::new(near.lat, near.lon)
        .map_err(|error| refuse(error.to_string(), "degrees north and east", "Write --near LAT,LON"))?;
    let tables: Vec<(String, String)> =
        conn.query(format!("SELECT `name`, `fields` FROM `{META}` ORDER BY `name`")).await.map_err(at)?;
    let wanted = |(name, fields): &(String, String)| -> Option<(String, String)> {
        if place.table.as_ref().is_some_and(|table| table != name) {
            return None;
        }
        let mut places = fields.lines().filter_map(|line| line.strip_suffix(" geo_point"));
        let field = places.find(|field| near.field.as_ref().is_none_or(|wanted| wanted == field))?;
        Some((name.clone(), field.to_owned()))
    };
    let Some((table, field)) = tables.iter().find_map(wanted) else {
        return Err(refuse(
            "no table with a place".to_owned(),
            "a table that weir made, with a geo_point field",
            "Correct the table in the URL, or crawl with a spider that has a location",
        ));
    };
    let limit = usize::try_from(near.limit).unwrap_or(usize::MAX);
    let most = near.within_km.unwrap_or(WORLD_KM).min(WORLD_KM);
    let mut radius = if near.within_km.is_some() { most } else { FIRST_KM };
    loop {
        let found = within(conn, &table, &field, centre, radius, near.limit).await.map_err(at)?;
        // Nearer ones cannot lie outside of the circle that was searched.
        if found.len() >= limit || radius >= most {
            return Ok(found);
        }
        radius = (radius * 4.0).min(most);
    }
}

/// Half the chord, squared, between the point and a row (haversine).
fn distance_sql(field: &str) -> String {
    format!(
        "2*{}*ASIN(SQRT(LEAST(1,POW(SIN(RADIANS(`{field}_lat`-?)/2),2)\
         +COS(RADIANS(?))*COS(RADIANS(`{field}_lat`))*POW(SIN(RADIANS(`{field}_lon`-?)/2),2))))",
        weir_geo::distance::EARTH_RADIUS_KM
    )
}

async fn within(
    conn: &mut Conn,
    table: &str,
    field: &str,
    centre: Location,
    km: f64,
    limit: u32,
) -> mysql_async::Result<Vec<Found>> {
    let bounds = BoundingBox::around(centre, km);
    let mut params: Vec<Bound> =
        [centre.lat(), centre.lat(), centre.lon(), bounds.south, bounds.north].into_iter().map(Bound::Double).collect();
    let mut ranges = Vec::new();
    for (west, east) in bounds.longitudes() {
        ranges.push(format!("`{field}_lon` BETWEEN ? AND ?"));
        params.extend([Bound::Double(west), Bound::Double(east)]);
    }
    params.extend([Bound::Double(km), Bound::UInt(u64::from(limit))]);
    let sql = format!(
        "SELECT {} AS `_km`, t.* FROM `{table}` t WHERE `{field}_lat` BETWEEN ? AND ? AND ({}) AND `_delisted_at` IS NULL \
         HAVING `_km` <= ? ORDER BY `_km`, `_id` LIMIT ?",
        distance_sql(field),
        ranges.join(" OR ")
    );
    let rows: Vec<Row> = conn.exec(sql, Params::Positional(params)).await?;
    Ok(rows.into_iter().map(found).collect())
}

fn found(row: Row) -> Found {
    let columns = row.columns();
    let mut found = Found { id: ItemId(0), km: 0.0, row: Map::new() };
    for (column, value) in columns.iter().zip(row.unwrap()) {
        match (&*column.name_str(), value) {
            ("_km", Bound::Double(km)) => found.km = km,
            ("_id", Bound::Bytes(id)) => {
                found.id = ItemId(id.try_into().map(u128::from_be_bytes).unwrap_or_default());
            }
            (name, value) => {
                found.row.insert(name.to_owned(), json(value));
            }
        }
    }
    found
}

fn json(value: Bound) -> Json {
    match value {
        Bound::NULL => Json::Null,
        Bound::Bytes(bytes) => Json::String(String::from_utf8_lossy(&bytes).into_owned()),
        Bound::Int(number) => number.into(),
        Bound::UInt(number) => number.into(),
        Bound::Float(number) => f64::from(number).into(),
        Bound::Double(number) => number.into(),
        Bound::Date(year, month, day, 0, 0, 0, 0) => format!("{year:04}-{month:02}-{day:02}").into(),
        Bound::Date(year, month, day, hour, minute, second, us) => {
            let fraction = if us == 0 { String::new() } else { format!(".{us:06}") };
            format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z").into()
        }
        Bound::Time(..) => Json::Null, // no column of weir's is of this type
    }
}
