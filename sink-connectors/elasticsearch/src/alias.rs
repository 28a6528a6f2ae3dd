//! What stands behind a name on the server, and the few requests that make and change it.

use crate::error;
use crate::link::{Answer, Body, Link};
use http::Method;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value as Json, json};
use weir_connector::{ErrorClass, SinkError};

const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');

/// A name as it stands in a path.
pub(crate) fn encoded(name: &str) -> String {
    utf8_percent_encode(name, PLAIN).to_string()
}

/// An index behind a name.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct There {
    /// The index itself.
    pub index: String,
    /// The name is an alias, not the index.
    pub is_alias: bool,
    /// How many aliases it has.
    pub aliases: usize,
    /// Its fields.
    pub properties: Map<String, Json>,
    /// `_meta` of its mapping.
    pub meta: Map<String, Json>,
    /// Another one for every index that was ever made.
    pub uuid: String,
}

/// Asks, and gives the answer whatever its status.
pub(crate) async fn asked(
    link: &mut Link,
    action: &str,
    method: Method,
    path: &str,
    body: &Body,
) -> Result<Answer, SinkError> {
    let answer = link.ask(method, path, body).await;
    answer.map_err(|why| error::no_answer(action, &link.place.shown, &why))
}

/// Asks, and gives the JSON of an answer of status 2xx.
pub(crate) async fn told(
    link: &mut Link,
    action: &str,
    method: Method,
    path: &str,
    body: &Body,
) -> Result<Json, SinkError> {
    let answer = asked(link, action, method, path, body).await?;
    if !answer.is_ok() {
        return Err(error::refused(action, &link.place.shown, &answer));
    }
    let json = answer.json();
    if json.is_null() { Err(error::garbled(action, &link.place.shown, &answer)) } else { Ok(json) }
}

/// Looks behind a name; `None` when nothing has it.
pub(crate) async fn look(link: &mut Link, name: &str) -> Result<Option<There>, SinkError> {
    let answer = asked(link, "read the index", Method::GET, &format!("/{}", encoded(name)), &Body::None).await?;
    let shown = link.place.shown.clone();
    let json = answer.json();
    if answer.status == 404 && error::said_by(&answer).kind == "index_not_found_exception" {
        return Ok(None);
    }
    if !answer.is_ok() {
        let mut refused = error::refused("read the index", &shown, &answer);
        // A 404 without Elasticsearch's words is another server's.
        if answer.status == 404 {
            refused = error::by_meaning("read the index", &shown, error::Meaning::Foreign, "no such page (status 404)");
        }
        return Err(refused);
    }
    // Before the crawl this is not a proxy that speaks for a server that restarts: the URL is wrong.
    let foreign =
        || SinkError { class: ErrorClass::Configuration, ..error::garbled("read the index", &shown, &answer) };
    let Some(indices) = json.as_object().filter(|indices| !indices.is_empty()) else { return Err(foreign()) };
    if indices.len() > 1 {
        let names: Vec<&str> = indices.keys().map(String::as_str).collect();
        return Err(SinkError::new(
            ErrorClass::Configuration,
            format!("the alias {name:?} stands for several indices: {}", names.join(", ")),
            shown,
            "an alias of one index",
            "Take the others out of the alias, or name another one in -o elasticsearch://HOST:PORT/INDEX",
        ));
    }
    let (index, about) = indices.iter().next().expect("not empty");
    let mapping = about.get("mappings");
    let object =
        |key: &str| mapping.and_then(|mapping| mapping.get(key)).and_then(Json::as_object).cloned().unwrap_or_default();
    let Some(uuid) = about.pointer("/settings/index/uuid").and_then(Json::as_str) else {
        return Err(foreign());
    };
    Ok(Some(There {
        index: index.clone(),
        is_alias: index != name,
        aliases: about.get("aliases").and_then(Json::as_object).map_or(0, Map::len),
        properties: object("properties"),
        meta: object("_meta"),
        uuid: uuid.to_owned(),
    }))
}

/// Makes an index with a strict mapping, behind an alias if one is given. `false`: the name is taken.
pub(crate) async fn create(
    link: &mut Link,
    index: &str,
    alias: Option<&str>,
    properties: &Map<String, Json>,
    meta: &Map<String, Json>,
) -> Result<bool, SinkError> {
    let mut body = json!({"mappings": {"dynamic": "strict", "_meta": meta, "properties": properties}});
    if let Some(alias) = alias {
        body["aliases"] = json!({alias: {"is_write_index": true}});
    }
    let path = format!("/{}", encoded(index));
    let answer = asked(link, "make the index", Method::PUT, &path, &Body::json(&body)).await?;
    if answer.is_ok() {
        return Ok(true);
    }
    let said = error::said_by(&answer);
    match said.kind.as_str() {
        "resource_already_exists_exception" => Ok(false),
        // Somebody made an index of the alias's name meanwhile.
        "invalid_alias_name_exception" => Ok(false),
        _ if answer.status == 400 => Err(SinkError::new(
            ErrorClass::Configuration,
            format!("cannot make the index {index:?}: {}", said.text),
            link.place.shown.clone(),
            "names and templates that let the index be made",
            "Correct the item type in the spider file, the index in -o elasticsearch://HOST:PORT/INDEX, or the server's index templates",
        )),
        _ => Err(error::refused("make the index", &link.place.shown, &answer)),
    }
}

/// Changes a mapping: fields are added, `_meta` is replaced.
pub(crate) async fn put_mapping(link: &mut Link, index: &str, body: &Json) -> Result<(), SinkError> {
    let path = format!("/{}/_mapping", encoded(index));
    told(link, "change the mapping", Method::PUT, &path, &Body::json(body)).await.map(drop)
}

/// Forbids or allows writing to an index.
pub(crate) async fn block_writes(link: &mut Link, index: &str, blocked: bool) -> Result<(), SinkError> {
    let body = json!({"index.blocks.write": if blocked { Json::Bool(true) } else { Json::Null }});
    let path = format!("/{}/_settings", encoded(index));
    told(link, "block the index", Method::PUT, &path, &Body::json(&body)).await.map(drop)
}

/// Makes what was written visible to searches.
pub(crate) async fn refresh(link: &mut Link, name: &str) -> Result<(), SinkError> {
    let path = format!("/{}/_refresh", encoded(name));
    told(link, "refresh the index", Method::POST, &path, &Body::None).await.map(drop)
}

/// Documents that searches see.
pub(crate) async fn count(link: &mut Link, name: &str) -> Result<u64, SinkError> {
    let path = format!("/{}/_count", encoded(name));
    let json = told(link, "count the documents", Method::GET, &path, &Body::None).await?;
    json.get("count").and_then(Json::as_u64).ok_or_else(|| {
        let said = "the answer has no count".to_owned();
        error::by_meaning("count the documents", &link.place.shown, error::Meaning::Foreign, &said)
    })
}
