//! Reading back: the listings nearest to a point.
//!
//! The server finds members of the geo set, nearest first; their hashes say the rest. Invariants: what has expired or is delisted is
//! not shown; distances are between the places as they were written, not between the cells that a geo set rounds them to.

use crate::link::Link;
use crate::place::RedisPlace;
use crate::schema::{geo_key, places_key, types_key};
use crate::script::FORGET;
use serde_json::{Map, Value as Json};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::Mutex;
use weir_connector::{BoxFuture, Bridge, ErrorClass, Found, Near, Reader, Search, SinkError, fields};
use weir_model::ItemId;

/// A database opened for reading.
#[derive(Debug)]
pub struct RedisReader {
    link: Arc<Mutex<Link>>,
    bridge: Bridge,
}

/// Half around the Earth, and a little.
const WORLD_KM: f64 = 20_040.0;
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
    let set = geo_key(&prefix, &item, &search.place);
    let within = search.within_km.unwrap_or(WORLD_KM).min(WORLD_KM);
    // Members whose hash has expired count at the server: ask for more until there are enough.
    let mut count = search.limit.saturating_mul(2).clamp(16, 100_000);
    loop {
        let mut command = redis::cmd("GEOSEARCH");
        command.arg(&set).arg("FROMLONLAT").arg(search.at.lon()).arg(search.at.lat().clamp(-85.05, 85.05));
        command.arg("BYRADIUS").arg(within * (1.0 + SLACK.0) + SLACK.1).arg("km").arg("ASC").arg("COUNT").arg(count);
        let members: Vec<String> = link.ask("search", command).await?;
        let mut found = Vec::new();
        // How far the search has come; the cells of two places may order them otherwise.
        let mut reached: f64 = 0.0;
        for part in members.chunks(512) {
            let mut pipe = redis::pipe();
            for member in part {
                pipe.cmd("HGETALL").arg(format!("{prefix}{item}:{member}"));
            }
            let rows: Vec<BTreeMap<String, String>> = link.all("read", pipe).await?;
            for (member, row) in part.iter().zip(rows) {
                if row.is_empty() {
                    let mut command = redis::cmd("EVAL");
                    command.arg(FORGET).arg(2).arg(&set).arg(format!("{prefix}{item}:{member}")).arg(member);
                    link.ask::<i64>("forget", command).await?;
                    continue;
                }
                let values: Map<String, Json> = search
                    .item(|field| row.get(&field.name).map(|text| fields::from_text(field, text)).unwrap_or_default());
                let (Some(km), Ok(id)) = (search.km(&values), u128::from_str_radix(member, 16)) else { continue };
                reached = reached.max(km);
                if search.wants(km, &values) && !row.contains_key("_delisted_at") {
                    found.push(Found { id: ItemId(id), km, item: values });
                }
            }
        }
        search.rank(&mut found);
        // Near a pole the point itself was moved into the cells' world: then distances there say nothing here.
        let is_moved = search.at.lat().abs() > 85.05;
        if members.len() < count || (!is_moved && search.is_complete(&found, reached - SLACK.1)) {
            return Ok(found);
        }
        count = count.saturating_mul(4);
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
