//! What is exported: which sink is read, which item types, which fields. Pure.

use crate::cmd::{Usage, crawl};
use std::path::Path;
use std::sync::Arc;
use weir_connector::{SinkUrl, is_starred, split_required};
use weir_driver::JobEntry;
use weir_model::{Item, ItemSchema};

/// Types and fields.
pub struct Choice {
    /// The types as they are written.
    pub schemas: Vec<Arc<ItemSchema>>,
    /// The only type, by the job's number.
    pub item: Option<u16>,
    /// By the job's number of a type: its number here, and where its fields are.
    types: Vec<Option<(u16, Vec<usize>)>>,
}

impl Choice {
    /// `Err` says what there is to choose from.
    pub fn new(schemas: &[ItemSchema], item: Option<&str>, fields: &[String]) -> Result<Choice, String> {
        let names: Vec<&str> = schemas.iter().map(|schema| schema.name.as_str()).collect();
        if schemas.is_empty() {
            return Err(
                "the state knows no item type of this job: its spider has none, or an older weir made it".to_owned()
            );
        }
        let only = match item {
            Some(name) => Some(names.iter().position(|known| *known == name).ok_or_else(|| {
                format!("--item {name}: it has no such item type, expected one of {}", names.join(", "))
            })?),
            None => None,
        };
        let is_chosen = |at: usize| only.is_none_or(|only| only == at);
        let known = |name: &String| (0..schemas.len()).any(|at| is_chosen(at) && schemas[at].position(name).is_some());
        if let Some(unknown) = fields.iter().find(|name| !known(name)) {
            let all = (0..schemas.len()).filter(|at| is_chosen(*at)).flat_map(|at| &schemas[at].fields);
            let mut all: Vec<&str> = all.map(|field| field.name.as_str()).collect();
            all.dedup();
            return Err(format!("--fields {unknown}: no item has such a field, expected some of {}", all.join(", ")));
        }
        let mut choice = Choice { schemas: Vec::new(), item: only.map(|at| at as u16), types: Vec::new() };
        for (at, schema) in schemas.iter().enumerate() {
            if !is_chosen(at) {
                choice.types.push(None);
                continue;
            }
            let places: Vec<usize> = match fields {
                [] => (0..schema.fields.len()).collect(),
                fields => fields.iter().filter_map(|name| schema.position(name)).collect(),
            };
            if places.is_empty() {
                return Err(format!(
                    "--fields: items of type {} have none of these fields; choose another type with --item",
                    schema.name
                ));
            }
            let kept = places.iter().map(|place| schema.fields[*place].clone()).collect();
            choice.types.push(Some((choice.schemas.len() as u16, places)));
            choice.schemas.push(Arc::new(ItemSchema { fields: kept, ..schema.clone() }));
        }
        Ok(choice)
    }

    /// An item with the chosen fields alone; `None`: its type was not chosen.
    pub fn project(&self, mut item: Item) -> Option<Item> {
        let (schema, places) = self.types.get(usize::from(item.schema))?.as_ref()?;
        let values = places.iter().map(|place| item.values.get_mut(*place).map(std::mem::take).unwrap_or_default());
        let values = values.collect();
        Some(Item { schema: *schema, values, ..item })
    }
}

/// The sink that is read: SQLite first, since it is at hand.
pub fn source(entry: &JobEntry, named: Option<&str>) -> Result<String, Usage> {
    if let Some(named) = named {
        return Ok(named.to_owned());
    }
    let made_by = entry.made_by.clone().unwrap_or_default();
    if made_by.outputs.is_empty() {
        return Err(Usage(format!("job {}: its sinks are not known; name one with --from, as at the crawl", entry.id)));
    }
    let kept: Vec<(&String, SinkUrl)> = made_by
        .outputs
        .iter()
        .filter_map(|output| Some((output, SinkUrl::parse(&split_required(output).ok()?.0).ok()?)))
        .filter(|(_, url)| !matches!(url, SinkUrl::Feed(_)))
        .collect();
    let rank = |url: &SinkUrl, output: &str| (!matches!(url, SinkUrl::Sqlite { .. }), is_starred(output));
    let Some((output, _)) = kept.iter().min_by_key(|(output, url)| rank(url, output)) else {
        return Err(Usage(format!(
            "job {}: its sinks are feeds ({}), and there is nothing to read from: a feed is an export already. Crawl with -o sqlite:FILE as well \
             to export later",
            entry.id,
            made_by.outputs.join(", ")
        )));
    };
    if is_starred(output) {
        return Err(Usage(format!(
            "job {}: what is starred in {output} is not kept, since it may be a password; name the sink with --from, as at the crawl",
            entry.id
        )));
    }
    let here = std::env::current_dir().map(|folder| folder.display().to_string()).unwrap_or_default();
    if crawl::file_of(output).is_some_and(|path| path.is_relative()) && Path::new(&here) != Path::new(&made_by.folder) {
        return Err(Usage(format!(
            "job {}: its sink {output} is meant in {}; run the command there, or name the sink with --from",
            entry.id, made_by.folder
        )));
    }
    Ok((*output).clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_model::{Field, FieldKind, ItemId, JobId, KeyScope, Value};

    fn schema(name: &str, fields: &[&str]) -> ItemSchema {
        let field = |name: &&str| Field { name: (*name).into(), kind: FieldKind::Int, many: false, volatile: false };
        ItemSchema {
            spider: "s".into(),
            name: name.into(),
            fields: fields.iter().map(field).collect(),
            key: vec!["url".into()],
            key_scope: KeyScope::Spider,
        }
    }

    #[test]
    fn chosen_fields_come_in_their_order_and_what_is_unknown_is_named_with_what_there_is() {
        let schemas = [schema("home", &["url", "price", "rooms"]), schema("agent", &["url", "name"])];
        let names = |fields: &[&str]| fields.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let wrong = |item, fields: &[&str]| Choice::new(&schemas, item, &names(fields)).err().unwrap_or_default();
        assert!(wrong(Some("house"), &[]).ends_with("expected one of home, agent"));
        assert!(wrong(Some("home"), &["name"]).ends_with("expected some of url, price, rooms"));
        assert!(wrong(None, &["price"]).contains("type agent have none"));
        let choice = Choice::new(&schemas, Some("home"), &names(&["rooms", "url"])).expect("both are there");
        let item = |schema| Item {
            job: JobId(1),
            schema,
            id: ItemId(1),
            hash: 0,
            version: 0,
            values: vec![Value::Int(1), Value::Int(2), Value::Int(3)],
        };
        assert_eq!(choice.project(item(0)).expect("chosen").values, [Value::Int(3), Value::Int(1)]);
        assert!(choice.project(item(1)).is_none());
    }
}
