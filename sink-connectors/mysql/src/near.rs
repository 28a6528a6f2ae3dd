//! Reading back: the listings nearest to a point.
//!
//! The server finds candidates by the place's index, in growing circles, nearest first; what a condition means beyond numbers is
//! judged here. Invariants: the box that the index is asked for has every point of the circle; what the server is asked to leave
//! out, the condition leaves out, too.

use crate::error;
use crate::link::Link;
use crate::place::MysqlPlace;
use crate::table::META;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Params, Row, Value as Bound};
use serde_json::{Map, Value as Json};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::Mutex;
use weir_connector::{
    BoxFuture, Bridge, Comparison, Filter, Found, Near, Reader, Search, SinkError, Wanted, fields, text,
};
use weir_geo::BoundingBox;
use weir_geo::distance::EARTH_RADIUS_KM;
use weir_model::{Field, FieldKind, ItemId};

/// First radius that is tried when none is given; it grows until enough is found.
const FIRST_KM: f64 = 2.0;
/// Half around the Earth, and a little.
const WORLD_KM: f64 = 20_040.0;
/// By how much the server's distances may differ from ours: rounding alone.
const SLACK_KM: f64 = 1e-6;

/// A table opened for reading.
#[derive(Debug)]
pub struct MysqlReader {
    link: Arc<Mutex<Link>>,
    bridge: Bridge,
}

impl MysqlReader {
    /// By the sink's URL. Connects at the first query.
    pub fn from_url(url: &str) -> Result<MysqlReader, SinkError> {
        let place = MysqlPlace::parse(url)?;
        let password = place.password(|name| std::env::var(name).ok())?;
        Ok(MysqlReader { link: Arc::new(Mutex::new(Link::new(place, &password))), bridge: Bridge::start("mysql")? })
    }
}

impl Reader for MysqlReader {
    fn nearest<'a>(&'a self, near: &'a Near) -> BoxFuture<'a, Result<Vec<Found>, SinkError>> {
        let (link, near) = (Arc::clone(&self.link), near.clone());
        Box::pin(self.bridge.run(async move {
            let mut link = link.lock().await;
            let place = link.place.clone();
            let done = tokio::time::timeout(place.timeout, async { nearest(link.conn().await?, &place, &near).await });
            let result = done.await.unwrap_or_else(|_| Err(error::timed_out("search", &place.shown, "timeout")));
            if result.is_err() {
                link.abandon();
            }
            result
        }))
    }
}

async fn nearest(conn: &mut Conn, place: &MysqlPlace, near: &Near) -> Result<Vec<Found>, SinkError> {
    let at = |error: mysql_async::Error| error::sink_error("search", &place.shown, &error);
    let tables: Vec<(String, String, String)> =
        conn.query(format!("SELECT `name`, `item`, `fields` FROM `{META}` ORDER BY `name`")).await.map_err(at)?;
    let is_wanted = |name: &String, item: &String| match (&place.table, &near.item) {
        // Other types than the first have the table's name and theirs.
        (Some(table), Some(wanted)) => item == wanted && (name == table || *name == format!("{table}_{item}")),
        (Some(table), None) => name == table,
        (None, wanted) => wanted.as_ref().is_none_or(|wanted| item == wanted),
    };
    let mut found = tables.into_iter().filter(|(name, item, _)| is_wanted(name, item));
    let found = found.find_map(|(name, _, fields)| {
        let fields = fields::recalled(&fields);
        Search::place(near, &fields).is_some().then_some((name, fields))
    });
    let Some((table, fields)) = found else { return Err(Search::no_place(near, &place.shown)) };
    let search = Search::new(near, fields, &place.shown)?;
    let most = search.within_km.unwrap_or(WORLD_KM).min(WORLD_KM);
    let mut radius = if search.within_km.is_some() { most } else { FIRST_KM };
    let mut count = search.limit + 32;
    loop {
        let rows = within(conn, &table, &search, radius, count).await.map_err(at)?;
        let is_cut = rows.len() == count;
        let horizon = match rows.last().and_then(|row| row.get::<f64, _>("_km")) {
            Some(km) if is_cut => km - SLACK_KM,
            _ if radius >= most => f64::INFINITY,
            _ => radius - SLACK_KM,
        };
        let mut found: Vec<Found> = rows.into_iter().filter_map(|row| found_in(row, &search)).collect();
        search.rank(&mut found);
        if horizon == f64::INFINITY || search.is_complete(&found, horizon) {
            return Ok(found);
        }
        if is_cut {
            count = count.saturating_mul(4);
        } else {
            radius = (radius * 4.0).min(most);
        }
    }
}

/// The great circle between the point and a row (haversine).
fn distance_sql(place: &str) -> String {
    format!(
        "2*{EARTH_RADIUS_KM}*ASIN(SQRT(LEAST(1,POW(SIN(RADIANS(`{place}_lat`-?)/2),2)\
         +COS(RADIANS(?))*COS(RADIANS(`{place}_lat`))*POW(SIN(RADIANS(`{place}_lon`-?)/2),2))))"
    )
}

async fn within(conn: &mut Conn, table: &str, search: &Search, km: f64, count: usize) -> mysql_async::Result<Vec<Row>> {
    let (centre, place) = (search.at, &search.place);
    let bounds = BoundingBox::around(centre, km);
    let mut params: Vec<Bound> =
        [centre.lat(), centre.lat(), centre.lon(), bounds.south, bounds.north].into_iter().map(Bound::Double).collect();
    let mut ranges = Vec::new();
    for (west, east) in bounds.longitudes() {
        ranges.push(format!("`{place}_lon` BETWEEN ? AND ?"));
        params.extend([Bound::Double(west), Bound::Double(east)]);
    }
    let mut conditions = String::new();
    for (sql, value) in search.filters.iter().filter_map(sieve) {
        conditions += &format!(" AND {sql}");
        params.push(value);
    }
    params.extend([Bound::Double(km + SLACK_KM), Bound::UInt(u64::try_from(count).unwrap_or(u64::MAX))]);
    let sql = format!(
        "SELECT {} AS `_km`, t.* FROM `{table}` t WHERE `{place}_lat` BETWEEN ? AND ? AND ({}) AND `_delisted_at` IS NULL{conditions} \
         HAVING `_km` <= ? ORDER BY `_km`, `_id` LIMIT ?",
        distance_sql(place),
        ranges.join(" OR ")
    );
    conn.exec(sql, Params::Positional(params)).await
}

/// What the server can leave out for a condition: it never leaves out what the condition holds for.
fn sieve(filter: &Filter) -> Option<(String, Bound)> {
    let name = &filter.field.name;
    if filter.field.many {
        return None;
    }
    let value = match &filter.wanted {
        Wanted::Int(number) => Bound::Int(*number),
        Wanted::Float(number) => Bound::Double(*number),
        Wanted::Bool(truth) => Bound::Int(i64::from(*truth)),
        // The column's collation takes capitals and accents for their plain letters: that leaves out less.
        Wanted::Text(text) if filter.comparison == Comparison::Equal && filter.field.kind == FieldKind::Str => {
            return Some((format!("`{name}` = ?"), Bound::Bytes(text.clone().into_bytes())));
        }
        _ => return None,
    };
    let sign = match filter.comparison {
        Comparison::Equal => "=",
        Comparison::Less => "<",
        Comparison::LessOrEqual => "<=",
        Comparison::Greater => ">",
        Comparison::GreaterOrEqual => ">=",
        Comparison::NotEqual => return Some((format!("NOT (`{name}` <=> ?)"), value)),
        Comparison::Contains => return None,
    };
    Some((format!("`{name}` {sign} ?"), value))
}

fn found_in(row: Row, search: &Search) -> Option<Found> {
    let columns = row.columns();
    let names = columns.iter().map(|column| column.name_str().into_owned());
    let mut values: HashMap<String, Bound> = names.zip(row.unwrap()).collect();
    let id = match values.remove("_id")? {
        Bound::Bytes(id) => ItemId(id.try_into().map(u128::from_be_bytes).ok()?),
        _ => return None,
    };
    let item: Map<String, Json> = search.item(|field| value(field, &mut values));
    let km = search.km(&item)?;
    search.wants(km, &item).then_some(Found { id, km, item })
}

/// A field's value out of its column or columns.
fn value(field: &Field, values: &mut HashMap<String, Bound>) -> Json {
    let mut take = |name: &str| values.remove(name).unwrap_or(Bound::NULL);
    if field.kind == FieldKind::GeoPoint && !field.many {
        let (lat, lon) = (take(&format!("{}_lat", field.name)), take(&format!("{}_lon", field.name)));
        return match (lat, lon) {
            (Bound::Double(lat), Bound::Double(lon)) => fields::place(lat, lon).unwrap_or_default(),
            _ => Json::Null,
        };
    }
    match take(&field.name) {
        Bound::NULL | Bound::Time(..) => Json::Null,
        Bound::Bytes(bytes) => fields::from_text(field, &String::from_utf8_lossy(&bytes)),
        Bound::Int(number) if field.kind == FieldKind::Bool => Json::Bool(number != 0),
        Bound::Int(number) => fields::normal(field, number.into()),
        Bound::UInt(number) => fields::normal(field, number.into()),
        Bound::Float(number) => f64::from(number).into(),
        Bound::Double(number) => number.into(),
        Bound::Date(year, month, day, hour, minute, second, us) => {
            let date = format!("{year:04}-{month:02}-{day:02}");
            if field.kind == FieldKind::Date {
                return date.into();
            }
            let mut out = Vec::new();
            let instant = format!("{date}T{hour:02}:{minute:02}:{second:02}.{us:06}Z");
            match instant.parse::<jiff::Timestamp>() {
                Ok(at) => text::put_datetime(&mut out, at.as_millisecond()),
                Err(_) => out.extend_from_slice(instant.as_bytes()),
            }
            String::from_utf8_lossy(&out).into_owned().into()
        }
    }
}
