//! Reading back: the listings nearest to a point.
//!
//! Invariants: what is delisted is not shown; distances are the server's own great circles, in kilometres.

use crate::alias::{self, encoded};
use crate::bridge::Bridge;
use crate::error::{self, Meaning};
use crate::link::{Body, Link};
use crate::place::ElasticsearchPlace;
use crate::schema::DELISTED;
use http::Method;
use serde_json::{Map, Value as Json, json};
use std::sync::Arc;
use tokio::sync::Mutex;
use weir_connector::{Comparison, Condition, ErrorClass, SinkError};
use weir_geo::Location;
use weir_model::ItemId;

/// The server gives at most this many at once (`index.max_result_window`).
const LIMIT_MAX: u32 = 10_000;

/// What is searched.
#[derive(Clone, Debug, PartialEq)]
pub struct Near {
    /// Degrees north.
    pub lat: f64,
    /// Degrees east.
    pub lon: f64,
    /// Not further than this.
    pub within_km: Option<f64>,
    /// At most this many; 10,000 at most.
    pub limit: u32,
    /// The place's field; `None`: the first that the index has, by name.
    pub field: Option<String>,
    /// What else must hold.
    pub conditions: Vec<Condition>,
}

/// A listing that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Its identity; 0 for a document that is none of weir's.
    pub id: ItemId,
    /// Kilometres from the point.
    pub km: f64,
    /// Its document, housekeeping included.
    pub row: Map<String, Json>,
}

/// An index opened for reading.
#[derive(Debug)]
pub struct ElasticsearchReader {
    link: Arc<Mutex<Link>>,
    bridge: Bridge,
}

impl ElasticsearchReader {
    /// By the sink's URL; an index must stand in it. Connects at the first query.
    pub fn from_url(url: &str) -> Result<ElasticsearchReader, SinkError> {
        let place = ElasticsearchPlace::parse(url)?;
        let authorization = place.authorization(|name| std::env::var(name).ok())?;
        let link = Link::new(place, authorization)?;
        Ok(ElasticsearchReader { link: Arc::new(Mutex::new(link)), bridge: Bridge::start("elasticsearch")? })
    }

    /// The nearest listings that are not delisted, nearest first.
    pub async fn nearest(&self, near: Near) -> Result<Vec<Found>, SinkError> {
        let link = Arc::clone(&self.link);
        self.bridge.run(async move { search(&mut *link.lock().await, &near).await }).await
    }
}

async fn search(link: &mut Link, near: &Near) -> Result<Vec<Found>, SinkError> {
    let shown = link.place.shown.clone();
    let refuse = |what: String, expected: &str, todo: &str| {
        SinkError::new(ErrorClass::Configuration, what, shown.clone(), expected, todo)
    };
    let no_index = |what: String| {
        refuse(what, "an index of a crawl", "Name it: elasticsearch://HOST:PORT/INDEX, as in the crawl's -o")
    };
    let centre = Location::new(near.lat, near.lon)
        .map_err(|error| refuse(error.to_string(), "degrees north and east", "Write --near LAT,LON"))?;
    if !(1..=LIMIT_MAX).contains(&near.limit) {
        return Err(refuse(format!("{} listings asked for", near.limit), "1 to 10000", "Ask for fewer"));
    }
    if let Some(km) = near.within_km.filter(|km| !km.is_finite() || *km <= 0.0) {
        return Err(refuse(format!("within {km} km"), "a distance above 0", "Write --within KM"));
    }
    let Some(name) = link.place.index.clone() else { return Err(no_index("no index named".to_owned())) };
    let there = alias::look(link, &name).await?;
    let there = there.ok_or_else(|| no_index(format!("there is no index {name:?}")))?;
    let is_place = |name: &String| kind(&there.properties, name) == Some("geo_point");
    let mut places = there.properties.keys().filter(|name| is_place(name));
    let field = places.find(|name| near.field.as_ref().is_none_or(|wanted| wanted == *name)).ok_or_else(|| {
        refuse(
            format!("no place in the index {name:?}"),
            "a field of type geo_point",
            "Correct the field or the index, or crawl with a spider that has a location",
        )
    })?;
    let point = json!({"lat": centre.lat(), "lon": centre.lon()});
    let mut filter = vec![json!({"exists": {"field": field}})];
    let mut must_not = vec![json!({"exists": {"field": DELISTED}})];
    if let Some(km) = near.within_km {
        // Half around the Earth is 20,016 km; more than that the server would not take.
        filter.push(json!({"geo_distance": {"distance": format!("{}km", km.min(20_000.0)), field: point}}));
    }
    for condition in &near.conditions {
        let (query, negated) = clause(&there.properties, condition).map_err(|why| {
            refuse(
                why,
                "a field of the index and a value of its type",
                "Correct --where, for example --where 'price<=300'",
            )
        })?;
        if negated { &mut must_not } else { &mut filter }.push(query);
    }
    let body = json!({
        "size": near.limit, "track_total_hits": false,
        "query": {"bool": {"filter": filter, "must_not": must_not}},
        "sort": [{"_geo_distance": {field: point, "order": "asc", "unit": "km", "mode": "min"}}],
    });
    let path =
        format!("/{}/_search?filter_path=error,status,hits.hits._id,hits.hits._source,hits.hits.sort", encoded(&name));
    let answer = alias::asked(link, "search", Method::POST, &path, &Body::json(&body)).await?;
    if !answer.is_ok() {
        let said = error::said_by(&answer);
        return Err(match error::meaning(answer.status, &said.kind) {
            Meaning::Bad => refuse(
                format!("cannot search: {}", said.text),
                "values of the fields' types",
                "Correct --where, for example --where 'price<=300'",
            ),
            _ => error::refused("search", &shown, &answer),
        });
    }
    let json = answer.json();
    let hits = json.pointer("/hits/hits").and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
    Ok(hits.iter().filter_map(found).collect())
}

/// Every hit has these: it was sorted by distance.
fn found(hit: &Json) -> Option<Found> {
    let id = hit.get("_id").and_then(Json::as_str).and_then(|id| u128::from_str_radix(id, 16).ok());
    Some(Found {
        id: ItemId(id.unwrap_or(0)),
        km: hit.pointer("/sort/0").and_then(Json::as_f64)?,
        row: hit.get("_source").and_then(Json::as_object)?.clone(),
    })
}

fn kind<'a>(properties: &'a Map<String, Json>, name: &str) -> Option<&'a str> {
    properties.get(name)?.get("type")?.as_str()
}

/// A condition as a query, and whether it must not hold.
fn clause(properties: &Map<String, Json>, condition: &Condition) -> Result<(Json, bool), String> {
    let Condition { field, comparison, value } = condition;
    let Some(kind) = kind(properties, field) else {
        let names: Vec<&str> = properties.keys().map(String::as_str).collect();
        return Err(format!("--where names {field:?}; the index has {}", names.join(", ")));
    };
    let misfit = || format!("--where {field}: {value:?} is no {kind}");
    let typed = match kind {
        "long" | "integer" | "double" | "float" => {
            let number = value.parse::<f64>().ok().filter(|number| number.is_finite()).ok_or_else(misfit)?;
            value.parse::<i64>().map_or_else(|_| json!(number), |whole| json!(whole))
        }
        "boolean" => json!(value.parse::<bool>().map_err(|_| misfit())?),
        "keyword" | "date" | "text" => json!(value),
        other => return Err(format!("--where {field}: fields of type {other} cannot be compared")),
    };
    let range = |sign: &str| json!({"range": {field: {sign: typed}}});
    Ok(match comparison {
        // A range also takes dates and numbers by their value.
        Comparison::Equal if kind == "date" => (json!({"range": {field: {"gte": typed, "lte": typed}}}), false),
        Comparison::NotEqual if kind == "date" => (json!({"range": {field: {"gte": typed, "lte": typed}}}), true),
        Comparison::Equal => (json!({"term": {field: {"value": typed}}}), false),
        Comparison::NotEqual => (json!({"term": {field: {"value": typed}}}), true),
        Comparison::Less => (range("lt"), false),
        Comparison::LessOrEqual => (range("lte"), false),
        Comparison::Greater => (range("gt"), false),
        Comparison::GreaterOrEqual => (range("gte"), false),
        Comparison::Contains => {
            let text = match properties.get(field).and_then(|mapping| mapping.pointer("/fields/text")) {
                Some(_) => format!("{field}.text"),
                None if kind == "text" => field.clone(),
                None => return Err(format!("--where {field}: fields of type {kind} hold no words")),
            };
            (json!({"match": {text: {"query": value, "operator": "and"}}}), false)
        }
    })
}
