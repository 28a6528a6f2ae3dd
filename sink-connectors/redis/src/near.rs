//! Reading back: the listings nearest to a point.
//!
//! Invariants: what has expired or is delisted is not shown; distances are great circles between the places as they were written,
//! not between the cells that a geo set rounds them to.

use crate::bridge::Bridge;
use crate::link::Link;
use crate::place::RedisPlace;
use crate::schema::{geo_key, places_key};
use crate::script::FORGET;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::Mutex;
use weir_connector::{ErrorClass, SinkError};
use weir_geo::{Location, haversine_km};
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
    /// The item type; `None`: the first that has a place.
    pub item: Option<String>,
    /// The place's field; `None`: the first of the type.
    pub field: Option<String>,
}

/// A listing that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Its identity.
    pub id: ItemId,
    /// Kilometres from the point.
    pub km: f64,
    /// Its hash.
    pub row: BTreeMap<String, String>,
}

/// A database opened for reading.
#[derive(Debug)]
pub struct RedisReader {
    link: Arc<Mutex<Link>>,
    bridge: Bridge,
}

/// Half around the Earth, and a little.
const WORLD_KM: f64 = 20_040.0;
/// The server's Earth is 0.03 % larger than ours, and its cells round by less than a metre.
const SLACK: (f64, f64) = (1.001, 0.001);

impl RedisReader {
    /// By the sink's URL. Connects at the first query.
    pub fn from_url(url: &str) -> Result<RedisReader, SinkError> {
        let place = RedisPlace::parse(url)?;
        let password = place.password(|name| std::env::var(name).ok())?;
        Ok(RedisReader { link: Arc::new(Mutex::new(Link::new(place, &password)?)), bridge: Bridge::start("redis")? })
    }

    /// The nearest listings that are not delisted, nearest first.
    pub async fn nearest(&self, near: Near) -> Result<Vec<Found>, SinkError> {
        let link = Arc::clone(&self.link);
        self.bridge.run(async move { search(&mut *link.lock().await, &near).await }).await
    }
}

async fn search(link: &mut Link, near: &Near) -> Result<Vec<Found>, SinkError> {
    let place = link.place.clone();
    let refuse = |what: String, expected: &str, todo: &str| {
        SinkError::new(ErrorClass::Configuration, what, place.shown.clone(), expected, todo)
    };
    let centre = Location::new(near.lat, near.lon)
        .map_err(|error| refuse(error.to_string(), "degrees north and east", "Write --near LAT,LON"))?;
    let mut command = redis::cmd("SMEMBERS");
    command.arg(places_key(&place.prefix));
    let places: Vec<String> = link.ask("read", command).await?;
    let mut places: Vec<(&str, &str)> = places.iter().filter_map(|place| place.split_once(' ')).collect();
    places.sort_unstable();
    let wanted = |wanted: &Option<String>, name: &str| wanted.as_ref().is_none_or(|wanted| wanted == name);
    let found = places.into_iter().find(|(item, field)| wanted(&near.item, item) && wanted(&near.field, field));
    let Some((item, field)) = found else {
        return Err(refuse(
            "no place under this prefix".to_owned(),
            "items with a geo_point field",
            "Correct the database or ?prefix= in the URL, or crawl with a spider that has a location",
        ));
    };
    let set = geo_key(&place.prefix, item, field);
    let limit = usize::try_from(near.limit).unwrap_or(usize::MAX);
    let within = near.within_km.unwrap_or(WORLD_KM).min(WORLD_KM);
    // Members whose hash has expired count at the server: ask for more until there are enough.
    let mut count = limit.saturating_mul(2).clamp(16, 100_000);
    loop {
        let mut command = redis::cmd("GEOSEARCH");
        command.arg(&set).arg("FROMLONLAT").arg(centre.lon()).arg(centre.lat().clamp(-85.05, 85.05));
        command.arg("BYRADIUS").arg(within * SLACK.0 + SLACK.1).arg("km").arg("ASC").arg("COUNT").arg(count);
        let members: Vec<String> = link.ask("search", command).await?;
        let hash = |member: &String| format!("{}{item}:{member}", place.prefix);
        let mut pipe = redis::pipe();
        for member in &members {
            pipe.cmd("HGETALL").arg(hash(member));
        }
        let rows: Vec<BTreeMap<String, String>> =
            if members.is_empty() { Vec::new() } else { link.all("read", pipe).await? };
        let mut found = Vec::new();
        for (member, row) in members.iter().zip(rows) {
            if row.is_empty() {
                let mut command = redis::cmd("EVAL");
                command.arg(FORGET).arg(2).arg(&set).arg(hash(member)).arg(member);
                link.ask::<i64>("forget", command).await?;
                continue;
            }
            let at = row.get(field).and_then(|text| location(text));
            let (Some(at), Ok(id)) = (at, u128::from_str_radix(member, 16)) else { continue };
            let km = haversine_km(centre, at);
            if km <= within && !row.contains_key("_delisted_at") {
                found.push(Found { id: ItemId(id), km, row });
            }
        }
        found.sort_by(|a, b| a.km.total_cmp(&b.km).then(a.id.0.cmp(&b.id.0)));
        if found.len() >= limit || members.len() < count {
            found.truncate(limit);
            return Ok(found);
        }
        count = count.saturating_mul(4);
    }
}

fn location(text: &str) -> Option<Location> {
    let (lat, lon) = text.split_once(',')?;
    Location::new(lat.parse().ok()?, lon.parse().ok()?).ok()
}
