//! Reading back: the listings nearest to a point.
//!
//! The server finds and sorts; its places are rounded to a centimetre, so distances are computed anew from the documents.
//! Invariant: what is delisted is not shown.

use crate::alias::{self, There, encoded};
use crate::error::{self, Meaning};
use crate::index::META;
use crate::link::{Body, Link};
use crate::place::ElasticsearchPlace;
use crate::schema::{DELISTED, PREFIX};
use http::Method;
use serde_json::{Map, Value as Json, json};
use std::sync::Arc;
use tokio::sync::Mutex;
use weir_connector::{
    BoxFuture, Bridge, Comparison, ErrorClass, Filter, Found, LIMIT_MAX, Near, Reader, Search, SinkError, Wanted,
    fields,
};
use weir_model::{Field, FieldKind, ItemId};

/// Half around the Earth is 20,015 km; for more the server has an error.
const WORLD_KM: f64 = 20_000.0;
/// By how much the server's distances may differ from ours: its sphere, its rounding of places.
const SLACK: (f64, f64) = (1e-5, 0.001);

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
}

impl Reader for ElasticsearchReader {
    fn nearest<'a>(&'a self, near: &'a Near) -> BoxFuture<'a, Result<Vec<Found>, SinkError>> {
        let (link, near) = (Arc::clone(&self.link), near.clone());
        Box::pin(self.bridge.run(async move { nearest(&mut *link.lock().await, &near).await }))
    }
}

async fn nearest(link: &mut Link, near: &Near) -> Result<Vec<Found>, SinkError> {
    let shown = link.place.shown.clone();
    let no_index = |what: String| {
        let todo = "Name it: elasticsearch://HOST:PORT/INDEX, as in the crawl's -o";
        SinkError::new(ErrorClass::Configuration, what, shown.clone(), "an index of a crawl", todo)
    };
    let Some(name) = link.place.index.clone() else { return Err(no_index("no index named".to_owned())) };
    let there = alias::look(link, &name).await?;
    let there = there.ok_or_else(|| no_index(format!("there is no index {name:?}")))?;
    let item = there.meta.get(META).and_then(|about| about.get("item")).and_then(Json::as_str);
    if near.item.as_deref().is_some_and(|wanted| item.is_some_and(|item| item != wanted)) {
        return Err(Search::no_place(near, &shown));
    }
    let search = Search::new(near, fields_of(&there), &shown)?;
    let mut size = (search.limit + 32).min(LIMIT_MAX);
    loop {
        let hits = ask(link, &name, &search, size).await?;
        // Whoever was not sent is at least as far as the last one, by the server's measure.
        let horizon = match hits.last().and_then(|hit| hit.pointer("/sort/0")).and_then(Json::as_f64) {
            Some(km) if hits.len() == size && size < LIMIT_MAX => km * (1.0 - SLACK.0) - SLACK.1,
            _ => f64::INFINITY,
        };
        let mut found: Vec<Found> = hits.iter().filter_map(|hit| found(hit, &search)).collect();
        search.rank(&mut found);
        if horizon == f64::INFINITY || search.is_complete(&found, horizon) {
            return Ok(found);
        }
        size = (size * 4).min(LIMIT_MAX);
    }
}

/// The index's fields in the order of the spider file, then others that were added later or by hand.
fn fields_of(there: &There) -> Vec<Field> {
    let listed = there.meta.get(META).and_then(|about| about.get("fields")).and_then(Json::as_array);
    let listed: Vec<&str> = listed.into_iter().flatten().filter_map(Json::as_str).collect();
    let others = there.properties.keys().map(String::as_str).filter(|name| !listed.contains(name));
    let names = listed.iter().copied().chain(others).filter(|name| !name.starts_with(PREFIX));
    let field = |name: &str| {
        let mapping = there.properties.get(name)?;
        let kind = match mapping.get("type").and_then(Json::as_str).unwrap_or("object") {
            "keyword" => FieldKind::Str,
            "long" | "integer" | "short" | "byte" => FieldKind::Int,
            "double" | "float" | "scaled_float" => FieldKind::Float,
            "boolean" => FieldKind::Bool,
            "geo_point" => FieldKind::GeoPoint,
            "date" if mapping.get("format").and_then(Json::as_str) == Some("strict_date") => FieldKind::Date,
            "date" => FieldKind::Datetime,
            _ => FieldKind::Json,
        };
        Some(Field { name: name.to_owned(), kind, many: false, volatile: false })
    };
    names.filter_map(field).collect()
}

async fn ask(link: &mut Link, name: &str, search: &Search, size: usize) -> Result<Vec<Json>, SinkError> {
    let (place, point) = (&search.place, json!({"lat": search.at.lat(), "lon": search.at.lon()}));
    let mut filter = vec![json!({"exists": {"field": place}})];
    let mut must_not = vec![json!({"exists": {"field": DELISTED}})];
    if let Some(km) = search.within_km {
        let km = (km * (1.0 + SLACK.0) + SLACK.1).min(WORLD_KM);
        filter.push(json!({"geo_distance": {"distance": format!("{km}km"), place: point}}));
    }
    for condition in &search.filters {
        let query = clause(condition);
        if condition.comparison == Comparison::NotEqual { &mut must_not } else { &mut filter }.push(query);
    }
    let body = json!({
        "size": size, "track_total_hits": false,
        "query": {"bool": {"filter": filter, "must_not": must_not}},
        "sort": [{"_geo_distance": {place: point, "order": "asc", "unit": "km", "mode": "min"}}],
    });
    let path =
        format!("/{}/_search?filter_path=error,status,hits.hits._id,hits.hits._source,hits.hits.sort", encoded(name));
    let answer = alias::asked(link, "search", Method::POST, &path, &Body::json(&body)).await?;
    if !answer.is_ok() {
        let said = error::said_by(&answer);
        return Err(match error::meaning(answer.status, &said.kind) {
            Meaning::Bad => SinkError::new(
                ErrorClass::Configuration,
                format!("cannot search: {}", said.text),
                link.place.shown.clone(),
                "values of the fields' types",
                "Correct --where, for example --where 'price<=300'",
            ),
            _ => error::refused("search", &link.place.shown, &answer),
        });
    }
    let mut json = answer.json();
    Ok(match json.pointer_mut("/hits/hits").map(Json::take) {
        Some(Json::Array(hits)) => hits,
        _ => Vec::new(),
    })
}

/// A hit as it was written. Conditions were the server's to judge.
fn found(hit: &Json, search: &Search) -> Option<Found> {
    let id = hit.get("_id").and_then(Json::as_str).and_then(|id| u128::from_str_radix(id, 16).ok());
    let source = hit.get("_source")?;
    let value = |field: &Field| {
        let value = source.get(&field.name).cloned().unwrap_or_default();
        // The mapping does not tell lists from single values; the document does.
        fields::normal(&Field { many: value.is_array(), ..field.clone() }, value)
    };
    let item: Map<String, Json> = search.item(value);
    // A place that others wrote in another notation has the server's distance.
    let km = search.km(&item).or_else(|| hit.pointer("/sort/0").and_then(Json::as_f64))?;
    search.within_km.is_none_or(|within| km <= within).then_some(Found { id: ItemId(id.unwrap_or(0)), km, item })
}

/// A condition as a query; for `!=` the query that must not hold.
fn clause(filter: &Filter) -> Json {
    let name = &filter.field.name;
    let instant = |ms: &i64| match jiff::Timestamp::from_millisecond(*ms) {
        Ok(at) => json!(format!("{at:.3}")),
        Err(_) => json!(ms),
    };
    // The first and the last value that are equal to the wanted one.
    let (first, last) = match &filter.wanted {
        Wanted::Int(number) => (json!(number), json!(number)),
        Wanted::Float(number) => (json!(number), json!(number)),
        Wanted::Bool(truth) => (json!(truth), json!(truth)),
        Wanted::Text(text) => (json!(text), json!(text)),
        Wanted::Span(first, last) => (instant(first), instant(last)),
        Wanted::Words(words) => {
            return json!({"match": {format!("{name}.text"): {"query": words.join(" "), "operator": "and"}}});
        }
    };
    match (filter.comparison, filter.field.kind) {
        (Comparison::Less, _) => json!({"range": {name: {"lt": first}}}),
        (Comparison::LessOrEqual, _) => json!({"range": {name: {"lte": last}}}),
        (Comparison::Greater, _) => json!({"range": {name: {"gt": last}}}),
        (Comparison::GreaterOrEqual, _) => json!({"range": {name: {"gte": first}}}),
        (_, FieldKind::Date | FieldKind::Datetime) => json!({"range": {name: {"gte": first, "lte": last}}}),
        _ => json!({"term": {name: {"value": first}}}),
    }
}
