//! Makes and compares the indices of a job's item types, and says which generation they are of.
//!
//! Invariants: a field is never dropped or changed where it is; what differs is named field by field before anything is written; an
//! index that was made anew, or is empty, has a new generation.

use crate::alias::{self, There};
use crate::error::{self, Meaning};
use crate::link::{Body, Link};
use crate::migrate;
use crate::schema;
use http::Method;
use serde_json::{Map, Value as Json, json};
use std::sync::Arc;
use weir_connector::{ErrorClass, SinkError};
use weir_model::{ItemSchema, crash};
use xxhash_rust::xxh3::xxh3_64;

/// What weir keeps in `_meta`.
pub(crate) const META: &str = "weir";
/// Version of that.
const FORMAT: u64 = 1;
/// Numbers that are tried for a new index.
const NUMBERS_MAX: u32 = 1_000;
/// Looks at a name that others make and change at the same time.
const LOOKS_MAX: u32 = 10;

/// An index as it is written to.
#[derive(Clone, Debug)]
pub(crate) struct Index {
    /// The name that writes go to.
    pub name: String,
    /// It is an alias: a write to it never makes an index.
    pub is_alias: bool,
    pub schema: Arc<ItemSchema>,
}

/// Everything that an open needs. Gives the indices in the order of the schemas, and the generation of them all.
pub(crate) async fn prepare(link: &mut Link, schemas: &[Arc<ItemSchema>]) -> Result<(Vec<Index>, u64), SinkError> {
    let mut names: Vec<String> = Vec::new();
    for (number, schema) in schemas.iter().enumerate() {
        let name = name_of(link, number, schema);
        let bad = schema::bad_index_name(&name).or_else(|| schema::bad_field_name(schema));
        let bad = bad.or_else(|| names.contains(&name).then(|| format!("two item types share the index {name:?}")));
        if let Some(why) = bad {
            return Err(SinkError::new(
                ErrorClass::Configuration,
                why,
                link.place.shown.clone(),
                "names that an index can have",
                "Rename it in the spider file, or the index in -o elasticsearch://HOST:PORT/INDEX",
            ));
        }
        names.push(name);
    }
    let mut indices = Vec::new();
    let mut generation = 0u64;
    for (name, schema) in names.into_iter().zip(schemas) {
        let (index, of_index) = one(link, name, schema).await?;
        indices.push(index);
        generation = generation.rotate_left(5) ^ of_index;
    }
    Ok((indices, generation))
}

/// Item types may be written with capitals, indices may not.
/// The name that stands for an item type's index.
pub(crate) fn name_of(link: &Link, number: usize, schema: &ItemSchema) -> String {
    let own = schema.name.to_lowercase();
    match &link.place.index {
        None => own,
        Some(given) if number == 0 => given.clone(),
        Some(given) => format!("{given}-{own}"),
    }
}

async fn one(link: &mut Link, name: String, schema: &Arc<ItemSchema>) -> Result<(Index, u64), SinkError> {
    let wanted = schema::properties(schema);
    let mut made = false;
    for _ in 0..LOOKS_MAX {
        let Some(there) = alias::look(link, &name).await? else {
            made = create(link, &name, schema, &wanted).await?;
            continue;
        };
        of_type(link, &name, &there, schema)?;
        let different = schema::differences(&there.properties, &wanted);
        let only_missing = different.iter().all(|difference| difference.there.is_none());
        if different.is_empty() {
            let generation = generation(link, &name, &there, schema, made).await?;
            may_write(link, &name).await?;
            return Ok((Index { name, is_alias: there.is_alias, schema: Arc::clone(schema) }, generation));
        }
        if only_missing && (link.place.new_fields || link.place.migrate) {
            let missing: Map<String, Json> = different
                .iter()
                .filter_map(|difference| Some((difference.field.clone(), wanted.get(&difference.field)?.clone())))
                .collect();
            crash::point("elasticsearch: new fields");
            alias::put_mapping(link, &there.index, &json!({"properties": missing})).await?;
        } else if link.place.migrate {
            migrate::run(link, &name, &there, &wanted).await?;
        } else {
            return Err(differs(link, &name, &there, &different, only_missing));
        }
    }
    Err(SinkError::new(
        ErrorClass::Transient,
        format!("the index {name:?} changes all the time"),
        link.place.shown.clone(),
        "an index that nobody else makes, deletes or changes now",
        "Run the same command again when the others are done",
    ))
}

/// An index of another item type is never written to, whatever its fields: nobody could tell the types apart again.
fn of_type(link: &Link, name: &str, there: &There, schema: &ItemSchema) -> Result<(), SinkError> {
    let item = there.meta.get(META).and_then(|about| about.get("item")).and_then(Json::as_str);
    match item.filter(|item| *item != schema.name) {
        None => Ok(()),
        Some(item) => Err(SinkError::new(
            ErrorClass::Configuration,
            format!("the index {} holds items of type {item:?}, not {:?}", called(name, there), schema.name),
            link.place.shown.clone(),
            "one item type an index",
            "Name another index in -o elasticsearch://HOST:PORT/INDEX",
        )),
    }
}

/// An index as its owner knows it.
fn called(name: &str, there: &There) -> String {
    if there.is_alias { format!("{} (behind {name:?})", there.index) } else { there.index.clone() }
}

fn differs(link: &Link, name: &str, there: &There, different: &[schema::Difference], only_missing: bool) -> SinkError {
    let listed: Vec<String> = different.iter().map(ToString::to_string).collect();
    let todo = if only_missing {
        "Add ?new_fields=add to the URL, or name another index in -o elasticsearch://HOST:PORT/INDEX"
    } else {
        "Add ?migrate=true to the URL to have everything copied into a new index, or name another index in -o elasticsearch://HOST:PORT/INDEX"
    };
    SinkError::new(
        ErrorClass::Configuration,
        format!("the index {} has another mapping: {}", called(name, there), listed.join("; ")),
        link.place.shown.clone(),
        "the mapping of the spider's items",
        todo,
    )
}

/// The name of a numbered index: `properties-000001`.
pub(crate) fn numbered(name: &str, number: u32) -> String {
    format!("{name}-{number:06}")
}

/// The number of an index behind a name; 0 when it has none.
pub(crate) fn number_of(name: &str, index: &str) -> u32 {
    let number = index.strip_prefix(name).and_then(|rest| rest.strip_prefix('-'));
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// `_meta` of a new index.
pub(crate) fn meta(schema: &ItemSchema) -> Map<String, Json> {
    let fields: Vec<&str> = schema.fields.iter().map(|field| field.name.as_str()).collect();
    let about = json!({"format": FORMAT, "item": schema.name, "fields": fields});
    Map::from_iter([(META.to_owned(), about)])
}

async fn create(
    link: &mut Link,
    name: &str,
    schema: &ItemSchema,
    wanted: &Map<String, Json>,
) -> Result<bool, SinkError> {
    for number in 1..=NUMBERS_MAX {
        crash::point("elasticsearch: index");
        if alias::create(link, &numbered(name, number), Some(name), wanted, &meta(schema)).await? {
            return Ok(true);
        }
        // Either somebody else was quicker, or an index of this number was left behind without its alias.
        if alias::look(link, name).await?.is_some() {
            return Ok(false);
        }
    }
    Err(SinkError::new(
        ErrorClass::Configuration,
        format!("{NUMBERS_MAX} indices {name}-NNNNNN are there, and none is behind the alias {name:?}"),
        link.place.shown.clone(),
        "a number that is free",
        "Delete old ones, or name another index in -o elasticsearch://HOST:PORT/INDEX",
    ))
}

/// Reads the generation, or gives a new one to an index that has none or was emptied. It comes of the index's own random id.
async fn generation(
    link: &mut Link,
    name: &str,
    there: &There,
    schema: &ItemSchema,
    made: bool,
) -> Result<u64, SinkError> {
    let kept = there.meta.get(META).and_then(|about| about.get("generation")).and_then(Json::as_str);
    let kept = kept.and_then(|text| u64::from_str_radix(text, 16).ok());
    alias::refresh(link, name).await?;
    let empty = !made && alias::count(link, name).await? == 0;
    if let Some(kept) = kept.filter(|_| !empty) {
        return Ok(kept);
    }
    let generation = xxh3_64(format!("{}/{:016x}", there.uuid, kept.unwrap_or_default()).as_bytes());
    let mut all = there.meta.clone();
    let mut about = meta(schema).remove(META).unwrap_or_default();
    about["generation"] = Json::String(format!("{generation:016x}"));
    all.insert(META.to_owned(), about);
    crash::point("elasticsearch: generation");
    alias::put_mapping(link, &there.index, &json!({"_meta": all})).await?;
    Ok(generation)
}

/// Finds out before the crawl whether the account may write: by an update of a document that is not there.
async fn may_write(link: &mut Link, name: &str) -> Result<(), SinkError> {
    let lines = format!("{}\n{}\n", json!({"update": {"_index": name, "_id": "weir-may-write"}}), json!({"doc": {}}));
    let path = "/_bulk?filter_path=error,items.*.status,items.*.error";
    let answer = alias::asked(link, "write", Method::POST, path, &Body::Lines(lines.into())).await?;
    // A busy server forbids nothing: whoever writes backs off.
    if answer.status == 429 {
        return Ok(());
    }
    if !answer.is_ok() {
        return Err(error::refused("write", &link.place.shown, &answer));
    }
    let json = answer.json();
    let status = json.pointer("/items/0/update/status").and_then(Json::as_u64).unwrap_or(0);
    let said = json.pointer("/items/0/update/error").map(error::said).unwrap_or_default();
    match (u16::try_from(status).unwrap_or(0), error::meaning(u16::try_from(status).unwrap_or(0), &said.kind)) {
        (404 | 200..=299, _) | (429, Meaning::Busy) => Ok(()),
        (status, meaning) => {
            let text = format!("{} (status {status})", said.text);
            Err(error::by_meaning("write", &link.place.shown, meaning, &text))
        }
    }
}
