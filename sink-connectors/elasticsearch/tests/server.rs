//! What the sink promises, against a real Elasticsearch.
#![allow(clippy::unwrap_used)] // helpers of tests

mod common;

use common::{Alias, batch, job_with, try_write, with_value};
use serde_json::{Value as Json, json};
use std::sync::Arc;
use weir_connector::contract::{self, item, job, wait, write};
use weir_connector::{ErrorClass, ItemOutcome, JobInfo, Near, Reader, Sink};
use weir_elasticsearch::{ElasticsearchReader, ElasticsearchSink};
use weir_geo::Location;
use weir_model::{FieldKind, Item, ItemId, Outcome, Value};

#[test]
fn the_sink_keeps_every_promise_of_the_contract() {
    contract::suite(|| Alias::fresh(""));
}

#[test]
fn a_schema_becomes_a_strict_mapping_behind_an_alias() {
    let alias = Alias::fresh("");
    alias.open();
    let answer = alias.ask("GET", &alias.name, &Json::Null);
    let index = &answer[format!("{}-000001", alias.name)];
    assert_eq!(index["aliases"][&alias.name]["is_write_index"], true);
    let mapping = &index["mappings"];
    assert_eq!(mapping["dynamic"], "strict");
    let kind = |name: &str| mapping["properties"][name]["type"].as_str().unwrap().to_owned();
    for (name, expected) in [
        ("url", "keyword"),
        ("price", "double"),
        ("rooms", "long"),
        ("tags", "keyword"),
        ("seen", "date"),
        ("location", "geo_point"),
        ("new", "boolean"),
        ("weir_version", "long"),
        ("weir_delisted_at", "date"),
    ] {
        assert_eq!(kind(name), expected, "{name}");
    }
    assert_eq!(mapping["properties"]["url"]["fields"]["text"]["type"], "text");
    assert_eq!(mapping["properties"]["extra"]["enabled"], false);
}

#[test]
fn an_item_is_there_as_it_was_with_its_housekeeping() {
    let alias = Alias::fresh("");
    let mut sink = alias.open();
    write(&mut sink, &[item(2, 1_420_074_061_000_007, 334.39)]);
    let docs = alias.docs();
    assert_eq!(docs[0]["price"], 334.39);
    assert_eq!(docs[0]["location"], json!({"lat": 51.5, "lon": -0.248}));
    assert_eq!(docs[0]["extra"], json!({"n": [1, 2.5, null]}));
    assert_eq!(docs[0]["weir_fetched_at"], "2015-01-01T01:01:01.000007Z");
    let id = format!("{}", item(2, 1, 1.0).id);
    assert_eq!(alias.status("GET", &format!("{}/_doc/{id}", alias.name), &Json::Null), 200);
}

#[test]
fn what_the_server_refuses_is_refused_alone_with_its_reason() {
    let alias = Alias::fresh("");
    // By hand: a field narrower than the item's kind.
    alias.open();
    let template = json!({"properties": {"rooms": {"type": "long"}}});
    alias.ask("PUT", &format!("{}/_mapping", alias.name), &template);
    let mut sink = alias.open();
    let deep = (0..1200).fold(json!(1), |inner, _| json!([inner]));
    let items = [
        item(1, 1, 1.0),
        with_value(2, 6, Value::Json(Box::new(deep))),
        item(3, 1, 3.0),
        with_value(4, 1, Value::Null),
    ];
    let (outcomes, _) = write(&mut sink, &items);
    let ItemOutcome::Refused { reason } = &outcomes[1] else { panic!("{outcomes:?}") };
    assert!(reason.contains("nesting depth"), "{reason}");
    assert_eq!(alias.docs().len(), 3);
}

#[test]
fn text_longer_than_a_term_is_stored_and_found_by_its_words() {
    let alias = Alias::fresh("");
    let mut sink = alias.open();
    let long: String = "größe ".repeat(20_000) + "needle";
    let values = vec![Value::Str("short".into()), Value::Str(long.into())];
    assert_eq!(write(&mut sink, &[with_value(1, 3, Value::List(values))]).0, [ItemOutcome::Stored]);
    alias.refresh();
    let query = json!({"query": {"match": {"tags.text": "needle"}}});
    let found = alias.ask("POST", &format!("{}/_search", alias.name), &query);
    assert_eq!(found["hits"]["total"]["value"], 1);
}

#[test]
fn item_types_have_an_index_each() {
    let alias = Alias::fresh("");
    let mut other = contract::schema();
    other.name = "Agent".to_owned();
    let both = JobInfo { schemas: vec![Arc::new(contract::schema()), Arc::new(other)], ..job(None) };
    let mut sink = alias.sink();
    sink.open(&both).unwrap();
    let agent = Arc::new(Item { schema: 1, ..(*item(2, 1, 2.0)).clone() });
    write(&mut sink, &[item(1, 1, 1.0), agent, item(3, 1, 3.0)]);
    wait(sink.finish(Outcome::Finished, true)).unwrap();
    let count = |name: &str| alias.ask("GET", &format!("{name}/_count"), &Json::Null)["count"].clone();
    assert_eq!((count(&alias.name), count(&format!("{}-agent", alias.name))), (json!(2), json!(1)));
}

#[test]
fn an_index_of_another_mapping_is_refused_field_by_field_and_left_alone() {
    let alias = Alias::fresh("");
    let mapping = json!({"mappings": {"properties": {"url": {"type": "keyword"}, "price": {"type": "text"},
        "location": {"properties": {"lat": {"type": "double"}}}}}});
    alias.ask("PUT", &alias.name, &mapping);
    let before = alias.ask("GET", &alias.name, &Json::Null);
    let error = alias.sink().open(&job(None)).unwrap_err();
    assert_eq!(error.class, ErrorClass::Configuration);
    for words in [
        alias.name.as_str(),
        "price: the index has text, the items need double",
        "location: the index has object (its fields indexed), the items need geo_point",
        "rooms: the index has nothing, the items need long",
    ] {
        assert!(error.what.contains(words), "{words}: {error}");
    }
    assert!(!error.what.contains("url:") && error.todo.contains("migrate=true"), "{error}");
    assert_eq!(alias.ask("GET", &alias.name, &Json::Null), before);
}

#[test]
fn a_field_that_the_index_lacks_is_added_on_request_only() {
    let alias = Alias::fresh("");
    let mut sink = alias.open();
    write(&mut sink, &batch(0..3));
    let generation = alias.sink().open(&job(None)).unwrap().generation;
    let wider = job_with(|schema| schema.fields[7].name = "newer".to_owned());
    let error = alias.sink().open(&wider).unwrap_err();
    assert!(error.todo.contains("new_fields=add") && error.what.contains("newer"), "{error}");
    let mut sink = ElasticsearchSink::from_url(&alias.url("?new_fields=add")).unwrap();
    assert_eq!(sink.open(&wider).unwrap().generation, generation, "what is there stays confirmed");
    assert_eq!(write(&mut sink, &[item(5, 1, 5.0)]).0, [ItemOutcome::Stored]);
    let docs = alias.docs();
    assert_eq!((docs.len(), &docs[3]["newer"], &docs[0]["new"]), (4, &json!(true), &json!(true)));
}

fn migrated(alias: &Alias, change: &JobInfo) -> u64 {
    let mut sink = ElasticsearchSink::from_url(&alias.url("?migrate=true")).unwrap();
    sink.open(change).unwrap().generation
}

#[test]
fn an_index_of_another_mapping_is_copied_on_request_and_the_alias_moves() {
    let alias = Alias::fresh("");
    let mut sink = alias.open();
    let items: Vec<_> = (0..2500).map(|id| item(id, 7, 0.1 + 0.2 + f64::from(id))).collect();
    write(&mut sink, &items);
    let generation = alias.sink().open(&job(None)).unwrap().generation;
    let before = alias.docs();
    let old = alias.index();
    // Whole numbers become text.
    let other = job_with(|schema| schema.fields[2].kind = FieldKind::Str);
    assert_eq!(migrated(&alias, &other), generation, "everything is there: nothing is to be written again");
    let new = alias.index();
    assert_eq!((old, new), (format!("{}-000001", alias.name), format!("{}-000002", alias.name)));
    assert_eq!(alias.docs(), before, "to the last digit");
    let mapping = alias.ask("GET", &alias.name, &Json::Null);
    let mapping = &mapping[format!("{}-000002", alias.name)]["mappings"];
    assert_eq!(mapping["properties"]["rooms"]["type"], "keyword");
    assert_eq!(mapping["_meta"]["weir"].get("migrating"), None);
    // Versions are still compared, by a sink that knew the name before, too.
    let older = |id: u32| {
        let mut values = item(id, 6, 1.0).values.clone();
        values[2] = Value::Str("x".into());
        Arc::new(Item { values, ..(*item(id, 6, 1.0)).clone() })
    };
    let mut opened = alias.sink();
    opened.open(&other).unwrap();
    assert_eq!(write(&mut opened, &[older(1)]).0, [ItemOutcome::Stale]);
    assert_eq!(write(&mut sink, &[item(1, 8, 1.0)]).0, [ItemOutcome::Stored]);
    assert_eq!(alias.docs().len(), 2500);
}

#[test]
fn an_index_in_the_aliass_place_is_migrated_too() {
    let alias = Alias::fresh("");
    let mapping = json!({"mappings": {"properties": {"price": {"type": "keyword"}, "mine": {"type": "ip"}}}});
    alias.ask("PUT", &alias.name, &mapping);
    for id in 0..10 {
        let doc = json!({"price": format!("{id}.5"), "mine": "127.0.0.1"});
        alias.ask("PUT", &format!("{}/_doc/by-hand-{id}?pretty", alias.name), &doc);
    }
    migrated(&alias, &job(None));
    assert_eq!(alias.index(), format!("{}-000001", alias.name));
    alias.refresh();
    let query = json!({"query": {"range": {"price": {"gt": 4, "lt": 6}}}});
    let found = alias.ask("POST", &format!("{}/_search", alias.name), &query);
    assert_eq!(found["hits"]["total"]["value"], 2, "prices are numbers now");
    assert_eq!(found["hits"]["hits"][0]["_source"]["mine"], "127.0.0.1", "fields of others are kept");
    write(&mut alias.open(), &batch(0..3));
    assert_eq!(alias.ask("GET", &format!("{}/_count", alias.name), &Json::Null)["count"].as_u64().unwrap(), 10);
}

#[test]
fn a_migration_that_cannot_hold_every_document_changes_nothing() {
    let alias = Alias::fresh("");
    let mapping = json!({"mappings": {"properties": {"price": {"type": "keyword"}}}});
    alias.ask("PUT", &alias.name, &mapping);
    alias.ask("PUT", &format!("{}/_doc/good", alias.name), &json!({"price": "3"}));
    alias.ask("PUT", &format!("{}/_doc/bad-one", alias.name), &json!({"price": "about three"}));
    let mut sink = ElasticsearchSink::from_url(&alias.url("?migrate=true")).unwrap();
    let error = sink.open(&job(None)).unwrap_err();
    assert!(error.class == ErrorClass::Configuration && error.what.contains("bad-one"), "{error}");
    assert!(error.what.contains("about three") && error.todo.contains("Nothing was changed"), "{error}");
    assert_eq!(alias.index(), alias.name);
    assert_eq!(alias.status("HEAD", &format!("{}-000001", alias.name), &Json::Null), 404);
    alias.ask("PUT", &format!("{}/_doc/more", alias.name), &json!({"price": "4"}));
}

#[test]
fn a_migration_that_was_interrupted_begins_anew() {
    let alias = Alias::fresh("");
    write(&mut alias.open(), &batch(0..5));
    // As a process leaves it that is killed while it copies.
    let half = json!({"mappings": {"dynamic": "strict", "properties": {"price": {"type": "keyword"}},
        "_meta": {"weir": {"migrating": format!("{}-000001", alias.name)}}}});
    alias.ask("PUT", &format!("{}-000002", alias.name), &half);
    alias.ask("PUT", &format!("{}-000001/_settings", alias.name), &json!({"index.blocks.write": true}));
    let error = alias.sink().open(&job(None)).unwrap_err();
    assert!(error.class == ErrorClass::Transient && error.todo.contains("migrate=true"), "{error}");
    migrated(&alias, &job_with(|schema| schema.fields[2].kind = FieldKind::Str));
    assert_eq!((alias.index(), alias.docs().len()), (format!("{}-000002", alias.name), 5));
}

#[test]
fn an_index_that_is_new_or_was_emptied_is_of_another_generation() {
    let alias = Alias::fresh("");
    let mut sink = alias.open();
    write(&mut sink, &batch(0..3));
    let open = || alias.sink().open(&job(None)).unwrap().generation;
    let first = open();
    assert_eq!(open(), first);
    for id in 0..3 {
        let doc = format!("{}/_doc/{}?refresh=true", alias.name, item(id, 1, 1.0).id);
        alias.ask("DELETE", &doc, &Json::Null);
    }
    let emptied = open();
    assert_ne!(emptied, first);
    write(&mut alias.open(), &batch(10..13));
    let filled = open();
    assert_eq!(open(), filled);
    alias.ask("DELETE", &alias.index(), &Json::Null);
    let anew = open();
    assert!(anew != filled && anew != first);
}

#[test]
fn an_index_that_is_deleted_during_a_crawl_stops_it_and_is_not_made_by_a_write() {
    let alias = Alias::fresh("");
    let mut sink = alias.open();
    write(&mut sink, &batch(0..3));
    alias.ask("DELETE", &alias.index(), &Json::Null);
    let error = try_write(&mut sink, &batch(3..6)).unwrap_err();
    assert!(error.class == ErrorClass::Permanent && error.todo.contains("same command again"), "{error}");
    assert_eq!(alias.status("HEAD", &alias.name, &Json::Null), 404);
}

#[test]
fn a_listing_that_is_gone_is_marked_and_comes_back_with_a_newer_version() {
    let alias = Alias::fresh("");
    let mut sink = alias.open();
    assert!(sink.can_delist());
    write(&mut sink, &[item(1, 10, 1.0), item(2, 30, 2.0), item(3, 10, 3.0)]);
    let ids: Vec<ItemId> = [1, 2, 9, 1].into_iter().map(|id| item(id, 1, 1.0).id).collect();
    let marked = |sink: &mut ElasticsearchSink| wait(sink.delist(0, &ids[..3], 20)).unwrap();
    assert_eq!(marked(&mut sink), [ItemOutcome::Stored, ItemOutcome::Stale, ItemOutcome::Unchanged]);
    assert_eq!(marked(&mut sink), [ItemOutcome::Unchanged, ItemOutcome::Stale, ItemOutcome::Unchanged]);
    let docs = alias.docs();
    assert_eq!(docs[0]["weir_delisted_at"], "1970-01-01T00:00:00.000020Z");
    assert_eq!((docs[0]["price"].as_f64(), docs[1].get("weir_delisted_at")), (Some(1.0), None));
    // The next version follows the mark at once, older ones do not get through.
    assert_eq!(write(&mut sink, &[item(1, 9, 9.0)]).0, [ItemOutcome::Stale]);
    assert_eq!(write(&mut sink, &[item(1, 11, 5.0)]).0, [ItemOutcome::Stored]);
    assert_eq!(write(&mut sink, &[item(1, 10, 6.0)]).0, [ItemOutcome::Stale]);
    let back = &alias.docs()[0];
    assert_eq!((back.get("weir_delisted_at"), back["price"].as_f64()), (None, Some(5.0)));
}

#[test]
fn of_two_writers_of_one_version_the_greater_hash_stays_whoever_is_first() {
    let alias = Alias::fresh("");
    alias.open();
    std::thread::scope(|scope| {
        for writer in 0..2u64 {
            let alias = &alias;
            scope.spawn(move || {
                let mut sink = alias.open();
                for version in 1..15u64 {
                    let items: Vec<_> = (0..40u32)
                        .map(|id| {
                            let hash = (u64::from(id) + writer) % 2 + 10 * version;
                            let price = hash as f64;
                            Arc::new(Item { hash, ..(*item(id, version, price)).clone() })
                        })
                        .collect();
                    let outcomes = write(&mut sink, &items).0;
                    assert!(outcomes.iter().all(ItemOutcome::is_settled), "{outcomes:?}");
                }
            });
        }
    });
    let docs = alias.docs();
    assert_eq!(docs.len(), 40);
    for doc in docs {
        assert_eq!((doc["weir_version"].as_u64(), doc["price"].as_f64()), (Some(14), Some(141.0)), "{doc}");
    }
}

#[test]
fn the_nearest_listings_are_those_of_every_sink() {
    let alias = Alias::fresh("");
    let reader = ElasticsearchReader::from_url(&alias.url("")).unwrap();
    contract::nearest(Box::new(alias.sink()), &reader);
}

#[test]
fn a_delisted_listing_is_not_near_and_an_index_must_be_named() {
    let alias = Alias::fresh("");
    let mut sink = alias.open();
    write(&mut sink, &batch(0..20));
    wait(sink.delist(0, &[item(2, 1, 1.0).id], 5)).unwrap();
    wait(sink.finish(Outcome::Finished, true)).unwrap();
    let near = Near { within_km: Some(0.8), ..Near::new(Location::new(51.5, -0.25).unwrap(), 100) };
    let found = wait(ElasticsearchReader::from_url(&alias.url("")).unwrap().nearest(&near)).unwrap();
    let rooms: Vec<u64> = found.iter().map(|found| found.item["rooms"].as_u64().unwrap()).collect();
    assert_eq!(rooms, [0, 4, 6, 8, 10], "odd ones have no place, the second is delisted, the twelfth too far");
    let nowhere = ElasticsearchReader::from_url(&alias.url("").replace("/weir-t", "/weir-nothere")).unwrap();
    assert!(wait(nowhere.nearest(&near)).unwrap_err().what.contains("no index"));
    let unnamed = ElasticsearchReader::from_url(&format!("elasticsearch://127.0.0.1:{}", alias.port())).unwrap();
    assert!(wait(unnamed.nearest(&near)).unwrap_err().todo.contains("PORT/INDEX"));
}

#[test]
fn everything_is_read_back_over_many_pages_and_a_document_changed_by_hand_shows() {
    let alias = Alias::fresh("");
    let mut sink = alias.open();
    let read = |sink: &mut ElasticsearchSink| {
        let mut found = Vec::new();
        wait(sink.read_back(&job(None), &mut |stored| found.push(stored))).unwrap();
        found
    };
    let items: Vec<_> = (0..2_500).map(|id| item(id, 5, f64::from(id) / 3.0)).collect();
    for items in items.chunks(1_000) {
        write(&mut sink, items);
    }
    // Nothing was finished: a crawl that was killed.
    let found = read(&mut sink);
    let ids: std::collections::BTreeSet<_> = found.iter().map(|stored| stored.id.unwrap().0).collect();
    assert_eq!((found.len(), ids.len()), (2_500, 2_500));
    assert!(found.iter().all(|stored| stored.version == Some(5)));
    let path = format!("{}/_update/{}?refresh=true", alias.name, items[7].id);
    assert_eq!(alias.status("POST", &path, &json!({"doc": {"price": 1.5, "new": "true"}})), 200);
    let found = read(&mut sink);
    let changed = found.iter().find(|stored| stored.id == Some(items[7].id)).unwrap();
    let field = |name: &str| contract::schema().fields.iter().position(|field| field.name == name).unwrap();
    assert_eq!(changed.values[field("price")], weir_connector::Read::Value(Value::Float(1.5)));
    assert_eq!(changed.values[field("new")], weir_connector::Read::Foreign, "text where a truth was written");
    assert_eq!(changed.hash, Some(items[7].hash), "the hash beside it was left");
    // An index that is gone is as good as empty.
    let gone = Alias::fresh("");
    let mut sink = gone.sink();
    assert!(read(&mut sink).is_empty());
}

#[test]
fn a_place_beyond_the_poles_is_refused_alone_and_an_item_of_20_mb_is_stored() {
    let alias = Alias::fresh("");
    let mut sink = alias.open();
    let nowhere = with_value(1, 5, Value::Geo { lat: 91.0, lon: 0.0 });
    let large = with_value(3, 0, Value::Str("é".repeat(10 << 20).into()));
    let (outcomes, _) = write(&mut sink, &[nowhere, item(2, 1, 2.0), large]);
    let ItemOutcome::Refused { reason } = &outcomes[0] else { panic!("{outcomes:?}") };
    assert!(reason.contains("location") && reason.contains("91"), "{reason}");
    assert_eq!(outcomes[1..], [ItemOutcome::Stored, ItemOutcome::Stored]);
    assert_eq!(alias.docs().len(), 2);
}

#[test]
fn an_index_that_a_full_disk_has_blocked_is_waited_for_and_named() {
    let alias = Alias::fresh("");
    let mut sink = alias.open();
    // What the server sets by itself when its disk is nearly full.
    let block = |on: Json| {
        let body = json!({"index.blocks.read_only_allow_delete": on});
        alias.ask("PUT", &format!("{}/_settings", alias.name), &body);
    };
    block(json!(true));
    match try_write(&mut sink, &batch(0..3)) {
        Err(error) => assert!(error.class == ErrorClass::Transient && error.todo.contains("disk"), "{error}"),
        Ok(outcomes) => assert!(outcomes.iter().all(|one| matches!(one, ItemOutcome::Retry { .. })), "{outcomes:?}"),
    }
    block(Json::Null);
    assert_eq!(try_write(&mut sink, &batch(0..3)).unwrap(), vec![ItemOutcome::Stored; 3]);
    assert_eq!(alias.docs().len(), 3);
}
