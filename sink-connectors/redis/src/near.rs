//! Reading back: the listings nearest to a point.
//!
//! The server finds members of the geo set, nearest first; their hashes say the rest. Those whose places no geo set can hold are few, and
//! all of them are looked at. Invariants: what has expired or is delisted is
//! not shown; distances are between the places as they were written, not between the cells that a geo set rounds them to.

use crate::link::Link;
use crate::place::RedisPlace;
use crate::schema::{beyond_key, geo_key, places_key, types_key};
use crate::script::FORGET;
use serde_json::{Map, Value as Json};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::Mutex;
use weir_connector::{BoxFuture, Bridge, ErrorClass, Found, Near, Reader, Search, SinkError, fields};
use weir_geo::Location;
use weir_model::ItemId;

/// A database opened for reading.
#[derive(Debug)]
pub struct RedisReader {
    link: Arc<Mutex<Link>>,
    bridge: Bridge,
}

/// Half around the Earth, and a little.
const WORLD_KM: f64 = 20_040.0;
/// The edge of the cells' world, less a little: around its last edges (and 180 degrees of longitude) the server finds too little.
const CENTRE_LAT_MAX: f64 = 85.05;
/// A degree of latitude, and a little.
const KM_A_DEGREE: f64 = 111.3;
/// Members looked at in one round trip.
const PART: usize = 512;
/// The server's Earth is 0.03 % larger than ours, and its cells round by less than a metre.
const SLACK: (f64, f64) = (0.001, 0.002);

impl RedisReader {
    /// By the sink's URL. Connects at the first query.
    pub fn from_url(url: &str) -> Result<RedisReader, SinkError> {
        let place = RedisPlace::parse(url)?;
        let password = place.password(|name| std::env::var(name).ok())?;
        Ok(RedisReader { link: Arc::new(Mutex::new(Link::new(place, &password)?)), bridge: Bridge::start("redis")? })
    }
}

impl Reader for RedisReader {
    fn nearest<'a>(&'a self, near: &'a Near) -> BoxFuture<'a, Result<Vec<Found>, SinkError>> {
        let (link, near) = (Arc::clone(&self.link), near.clone());
        Box::pin(self.bridge.run(async move { nearest(&mut *link.lock().await, &near).await }))
    }
}

async fn nearest(link: &mut Link, near: &Near) -> Result<Vec<Found>, SinkError> {
    let (item, search) = prepare(link, near).await?;
    let prefix = link.place.prefix.clone();
    let (geo, beyond) = (geo_key(&prefix, &item, &search.place), beyond_key(&prefix, &item, &search.place));
    // A point beyond the cells' world is moved to its edge; all else may be that much further from there.
    let lat = search.at.lat().clamp(-CENTRE_LAT_MAX, CENTRE_LAT_MAX);
    let lon = if search.at.lon() >= 180.0 { -180.0 } else { search.at.lon() };
    let moved = (search.at.lat() - lat).abs() * KM_A_DEGREE;
    let at = Location::new(lat, lon).unwrap_or(search.at);
    let centre = Search { at, ..search.clone() };
    let sets = [geo.clone(), beyond.clone()];
    let look = Look { items: format!("{prefix}{item}:"), sets, search: &search, centre: &centre };
    let mut outside = Vec::new();
    let mut command = redis::cmd("SMEMBERS");
    command.arg(&beyond);
    let members: Vec<String> = link.ask("search", command).await?;
    for part in members.chunks(PART) {
        look.at(link, part, &mut outside).await?;
        search.rank(&mut outside);
    }
    // The server's circles do not go over a pole: near one it is asked for everything, nearest first.
    let within = search.within_km.map_or(WORLD_KM, |km| km * (1.0 + SLACK.0) + SLACK.1);
    let reaches_pole = lat.abs() + within / KM_A_DEGREE > 84.0;
    let radius = if reaches_pole { WORLD_KM * (1.0 + SLACK.0) } else { within };
    // Members whose hash has expired count at the server: ask for more until there are enough.
    let mut count = search.limit.saturating_mul(2).clamp(16, 100_000);
    loop {
        let mut command = redis::cmd("GEOSEARCH");
        command.arg(&geo).arg("FROMLONLAT").arg(lon).arg(lat);
        command.arg("BYRADIUS").arg(radius).arg("km").arg("ASC").arg("COUNT").arg(count);
        let members: Vec<String> = link.ask("search", command).await?;
        let mut found = outside.clone();
        // How far the search has come; the cells of two places may order them otherwise.
        let mut reached: f64 = 0.0;
        for part in members.chunks(PART) {
            reached = reached.max(look.at(link, part, &mut found).await?);
        }
        search.rank(&mut found);
        let horizon = reached * (1.0 - SLACK.0) - SLACK.1 - moved;
        if members.len() < count || horizon > within || search.is_complete(&found, horizon) {
            return Ok(found);
        }
        count = count.saturating_mul(4);
    }
}

/// How the hashes of members are looked at.
struct Look<'a> {
    /// What the keys of the hashes begin with.
    items: String,
    /// The place's two sets.
    sets: [String; 2],
    search: &'a Search,
    /// The same around the point that the server is asked for.
    centre: &'a Search,
}

impl Look<'_> {
    /// Adds the members that are wanted, and forgets those that have expired. Gives how far the furthest is from the centre.
    async fn at(&self, link: &mut Link, members: &[String], found: &mut Vec<Found>) -> Result<f64, SinkError> {
        let Look { items, sets, search, centre } = self;
        let mut pipe = redis::pipe();
        for member in members {
            pipe.cmd("HGETALL").arg(format!("{items}{member}"));
        }
        let rows: Vec<BTreeMap<String, String>> = link.all("read", pipe).await?;
        let mut furthest: f64 = 0.0;
        for (member, row) in members.iter().zip(rows) {
            if row.is_empty() {
                let mut command = redis::cmd("EVAL");
                command.arg(FORGET).arg(3).arg(format!("{items}{member}")).arg(&sets[..]).arg(member);
                link.ask::<i64>("forget", command).await?;
                continue;
            }
            let values: Map<String, Json> = search
                .item(|field| row.get(&field.name).map(|text| fields::from_text(field, text)).unwrap_or_default());
            let (Some(km), Ok(id)) = (search.km(&values), u128::from_str_radix(member, 16)) else { continue };
            furthest = centre.km(&values).unwrap_or(km).max(furthest);
            if search.wants(km, &values) && !row.contains_key("_delisted_at") {
                found.push(Found { id: ItemId(id), km, item: values });
            }
        }
        Ok(furthest)
    }
}

/// The item type that is searched, and the search.
async fn prepare(link: &mut Link, near: &Near) -> Result<(String, Search), SinkError> {
    let (prefix, shown) = (link.place.prefix.clone(), link.place.shown.clone());
    let mut command = redis::cmd("SMEMBERS");
    command.arg(places_key(&prefix));
    let places: Vec<String> = link.ask("read", command).await?;
    let mut places: Vec<(&str, &str)> = places.iter().filter_map(|place| place.split_once(' ')).collect();
    places.sort_unstable();
    let wanted = |wanted: &Option<String>, name: &str| wanted.as_ref().is_none_or(|wanted| wanted == name);
    let found = places.into_iter().find(|(item, field)| wanted(&near.item, item) && wanted(&near.field, field));
    let Some((item, _)) = found else { return Err(Search::no_place(near, &shown)) };
    let mut command = redis::cmd("HGET");
    command.arg(types_key(&prefix)).arg(item);
    let remembered: Option<String> = link.ask("read", command).await?;
    let remembered = remembered.ok_or_else(|| {
        SinkError::new(
            ErrorClass::Configuration,
            format!("the fields of {item:?} are not described"),
            shown.clone(),
            "a database that this version of weir wrote to",
            "Run the crawl once more with this sink: it describes them at its start",
        )
    })?;
    Ok((item.to_owned(), Search::new(near, fields::recalled(&remembered), &shown)?))
}
