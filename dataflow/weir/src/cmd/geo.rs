//! `weir geo`: the listings nearest to a point, from whichever sink has locations. Every sink gives the same list.

use crate::cmd::{Usage, backfill};
use crate::exit;
use clap::{Args as ClapArgs, Subcommand};
use serde_json::{Value as Json, json};
use weir_connector::{Condition, ErrorClass, Found, LIMIT_MAX, Near, Reader, ServerKind, SinkError, SinkUrl, redact};
use weir_geo::Location;

/// Longest cell of the table for a person.
const CELL_CHARS_MAX: usize = 44;

/// The listings nearest to a point, from a sink that has locations
#[derive(ClapArgs)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "Examples:\n  weir geo --near 51.5,-0.12 --within 5 --where 'price<=300' sqlite:items.db\n  weir geo --near 51.5,-0.12 --where 'title~garden flat' --limit 5 --json elasticsearch://localhost:9200/properties | jq .km\n\nConditions: FIELD, one of = != < <= > >= ~ (text that holds all the words), VALUE. Distances are great circles."
)]
pub struct Args {
    #[command(subcommand)]
    command: Option<GeoCommand>,
    /// The point, in degrees north and east
    #[arg(long, value_name = "LAT,LON", allow_hyphen_values = true, required = true)]
    near: Option<String>,
    /// Not further than this
    #[arg(long, value_name = "KM")]
    within: Option<f64>,
    /// What else must hold, for example 'price<=300'; may be repeated
    #[arg(long = "where", value_name = "CONDITION")]
    conditions: Vec<String>,
    /// At most this many
    #[arg(long, value_name = "N", default_value_t = 10)]
    limit: usize,
    /// The item type, where a sink has several with a place
    #[arg(long, value_name = "TYPE")]
    item: Option<String>,
    /// The field of the place, where items have several
    #[arg(long, value_name = "FIELD")]
    field: Option<String>,
    /// A JSON object a line: km, id, item
    #[arg(long)]
    json: bool,
    /// The sink: sqlite:FILE, elasticsearch://HOST:9200/INDEX, mysql://USER@HOST/DB/TABLE or redis://HOST/0
    #[arg(value_name = "SINK", required = true)]
    sink: Option<String>,
}

#[derive(Subcommand)]
enum GeoCommand {
    /// Look up the locations that a job's items lack, without crawling
    Backfill(backfill::Args),
}

pub fn run(args: Args) -> anyhow::Result<u8> {
    if let Some(GeoCommand::Backfill(args)) = args.command {
        return backfill::run(args);
    }
    let near = near(&args, args.near.as_deref().unwrap_or_default())?;
    let reader = reader(args.sink.as_deref().unwrap_or_default())?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let found = runtime.block_on(reader.nearest(&near)).map_err(told)?;
    if args.json {
        for Found { id, km, item } in &found {
            crate::out::line!("{}", json!({"km": km, "id": id, "item": item}));
        }
    } else if found.is_empty() {
        crate::out::err!("weir: nothing found: no listing there has a place and is as asked for");
    } else {
        crate::out::text!("{}", table(&found));
    }
    Ok(exit::FINISHED)
}

fn near(args: &Args, near: &str) -> Result<Near, Usage> {
    let wrong = |why: &str| {
        Usage(format!(
            "--near {}: {why}expected degrees north and east with a comma, for example --near 51.5,-0.12",
            near
        ))
    };
    let (lat, lon) = near.split_once(',').ok_or_else(|| wrong(""))?;
    let number = |text: &str| text.trim().parse::<f64>().map_err(|_| wrong(""));
    let at = Location::new(number(lat)?, number(lon)?).map_err(|error| wrong(&format!("{error}; ")))?;
    if !(1..=LIMIT_MAX).contains(&args.limit) {
        return Err(Usage(format!("--limit {}: expected 1 to {LIMIT_MAX}", args.limit)));
    }
    if let Some(km) = args.within.filter(|km| !km.is_finite() || *km <= 0.0) {
        return Err(Usage(format!("--within {km}: expected kilometres above 0, for example --within 2.5")));
    }
    let conditions = args.conditions.iter().map(|text| Condition::parse(text)).collect::<Result<_, _>>();
    Ok(Near {
        at,
        within_km: args.within,
        limit: args.limit,
        item: args.item.clone(),
        field: args.field.clone(),
        conditions: conditions.map_err(|error| Usage(error.to_string()))?,
    })
}

fn reader(sink: &str) -> anyhow::Result<Box<dyn Reader>> {
    let usage = |error: SinkError| Usage(error.to_string().replace("-o ", ""));
    Ok(match SinkUrl::parse(sink).map_err(usage)? {
        SinkUrl::Sqlite { path, .. } => Box::new(weir_sqlite::SqliteReader::new(path)),
        SinkUrl::Server { kind: ServerKind::Mysql, url } => {
            Box::new(weir_mysql::MysqlReader::from_url(&url).map_err(usage)?)
        }
        SinkUrl::Server { kind: ServerKind::Redis, url } => {
            Box::new(weir_redis::RedisReader::from_url(&url).map_err(usage)?)
        }
        SinkUrl::Server { kind: ServerKind::Elasticsearch, url } => {
            Box::new(weir_elasticsearch::ElasticsearchReader::from_url(&url).map_err(usage)?)
        }
        SinkUrl::Feed { .. } => {
            return Err(Usage(format!(
                "{}: a feed cannot be asked; expected sqlite:FILE, elasticsearch://HOST:9200/INDEX, mysql://USER@HOST/DB/TABLE or redis://HOST/0",
                redact(sink)
            ))
            .into());
        }
    })
}

fn told(error: SinkError) -> anyhow::Error {
    let error = error.not_tried_again();
    match error.class {
        ErrorClass::Configuration => Usage(error.to_string()).into(),
        ErrorClass::Transient | ErrorClass::Permanent => error.into(),
    }
}

/// Columns for a person: kilometres, then the fields of one short value.
fn table(found: &[Found]) -> String {
    let is_shown = |name: &str| found.iter().any(|found| found.item.get(name).and_then(cell).is_some());
    let names: Vec<&str> = found
        .iter()
        .take(1)
        .flat_map(|found| found.item.keys())
        .map(String::as_str)
        .filter(|name| is_shown(name))
        .collect();
    let mut rows: Vec<Vec<String>> = vec![std::iter::once("km").chain(names.iter().copied()).map(plain).collect()];
    for Found { km, item, .. } in found {
        let cells = names.iter().map(|name| item.get(*name).and_then(cell).unwrap_or_default());
        rows.push(std::iter::once(format!("{km:.3}")).chain(cells).collect());
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..=names.len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).enumerate();
        let padded = cells.map(|(at, (cell, width))| match at {
            0 => format!("{cell:>width$}"),
            _ => format!("{cell:<width$}"),
        });
        format!("{}\n", padded.collect::<Vec<_>>().join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

fn cell(value: &Json) -> Option<String> {
    match value {
        Json::Null | Json::Array(_) | Json::Object(_) => None,
        Json::String(text) => Some(plain(text)),
        Json::Bool(_) | Json::Number(_) => Some(value.to_string()),
    }
}

/// Text on one line, cut, and without what a terminal would obey: it was scraped.
fn plain(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match text.char_indices().nth(CELL_CHARS_MAX) {
        // Of an address the end tells more.
        Some(_) if text.starts_with("http") => {
            let start = text.char_indices().rev().nth(CELL_CHARS_MAX - 2).map_or(0, |(at, _)| at);
            format!("…{}", &text[start..])
        }
        Some((end, _)) => format!("{}…", text[..end].trim_end()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Map;
    use weir_model::ItemId;

    fn found(km: f64, item: Json) -> Found {
        let Json::Object(item) = item else { unreachable!("an object") };
        Found { id: ItemId(1), km, item: Map::from_iter(item) }
    }

    #[test]
    fn a_person_sees_one_line_a_listing_and_no_terminal_obeys_what_was_scraped() {
        let first =
            json!({"title": "Flat \u{1b}[31mred\nroof", "price": 300.0, "images": ["a"], "location": {"lat": 1.0}});
        let second = json!({"title": "x".repeat(80), "price": null, "images": [], "location": null});
        let text = table(&[found(0.27689, first), found(12.5, second)]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(lines[0].trim_start().starts_with("km") && lines[0].ends_with("price"), "{text}");
        assert!(lines[1].starts_with(" 0.277  Flat  [31mred roof") && lines[1].ends_with("300.0"), "{text}");
        assert!(lines[2].starts_with("12.500  xxx") && lines[2].ends_with("x…"), "{text}");
        assert!(!text.contains('\u{1b}') && !text.contains("images") && !text.contains("location"));
    }

    #[test]
    fn of_a_long_address_the_end_is_shown() {
        let url = format!("http://site.example/{}/property_000477.html", "deep/".repeat(20));
        assert!(plain(&url).ends_with("property_000477.html") && plain(&url).chars().count() == CELL_CHARS_MAX);
    }
}
