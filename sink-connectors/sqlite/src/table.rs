//! Makes and compares the tables of a job's item types, and the database's generation.

use crate::error::At;
use crate::schema::{self, Difference};
use rusqlite::{Connection, OptionalExtension, params};
use std::path::Path;
use weir_connector::{ErrorClass, SinkError};
use weir_model::{ItemSchema, crash};

/// Version of what this sink keeps about itself in the table `_weir`.
const FORMAT: &str = "1";

/// Everything that an open needs, in one transaction. Gives the generation.
pub(crate) fn prepare(
    connection: &mut Connection,
    path: &Path,
    schemas: &[&ItemSchema],
    add_columns: bool,
) -> Result<u64, SinkError> {
    let tx = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).at("open", path)?;
    tx.execute_batch("CREATE TABLE IF NOT EXISTS \"_weir\" (key TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL)")
        .at("prepare", path)?;
    let mut anew = false;
    match get(&tx, "format").at("read", path)? {
        None => {
            put(&tx, "format", FORMAT).at("prepare", path)?;
            anew = true;
        }
        Some(format) if format == FORMAT => {}
        Some(format) => {
            return Err(refuse(
                path,
                format!("the table _weir is of format {format}"),
                format!("format {FORMAT}"),
                "Use the version of weir that made it, or another file",
            ));
        }
    }
    for schema in schemas {
        schema::check_names(schema).map_err(|why| {
            refuse(
                path,
                why,
                "letters, digits and underscores, a letter first, at most 60".to_owned(),
                "Rename it in the spider file",
            )
        })?;
        let key = format!("table:{}", schema.name);
        let remembered = get(&tx, &key).at("read", path)?;
        match (remembered, exists(&tx, &schema.name).at("read", path)?) {
            (Some(before), true) => {
                change(&tx, path, schema, &schema::compare(&before, schema), add_columns)?;
                add_delisted(&tx, path, schema)?;
                let empty: bool = tx
                    .query_row(&format!("SELECT NOT EXISTS (SELECT 1 FROM \"{}\")", schema.name), [], |row| row.get(0))
                    .at("read", path)?;
                anew |= empty;
            }
            (None, true) => {
                return Err(refuse(
                    path,
                    format!("the table {:?} is not weir's", schema.name),
                    "no table of that name, or one that weir made".to_owned(),
                    "Write to another file with -o sqlite:PATH, or rename the table",
                ));
            }
            (_, false) => {
                tx.execute_batch(&schema::create_table(schema)).at("make a table", path)?;
                for (at, place) in schema::places(schema).enumerate() {
                    let tree = schema::rtree_name(schema, place, at == 0);
                    tx.execute_batch(&format!("DROP TABLE IF EXISTS \"{tree}\"")).at("make an R*Tree", path)?;
                    tx.execute_batch(&schema::create_rtree(schema, place, &tree)).at("make an R*Tree", path)?;
                }
                anew = true;
            }
        }
        put(&tx, &key, &schema::remembered(schema)).at("prepare", path)?;
    }
    if anew || get(&tx, "generation").at("read", path)?.is_none() {
        tx.execute("INSERT OR REPLACE INTO \"_weir\" VALUES ('generation', lower(hex(randomblob(8))))", [])
            .at("prepare", path)?;
    }
    let generation = get(&tx, "generation").at("read", path)?.unwrap_or_default();
    crash::point("sqlite: commit tables");
    tx.commit().at("commit", path)?;
    Ok(u64::from_str_radix(&generation, 16).unwrap_or_default())
}

fn change(
    tx: &Connection,
    path: &Path,
    schema: &ItemSchema,
    difference: &Difference,
    add_columns: bool,
) -> Result<(), SinkError> {
    let table = &schema.name;
    let other = "Write to another file with -o sqlite:PATH, or rename the item type";
    if let Some(changed) = difference.changed.first() {
        return Err(refuse(
            path,
            format!("the item type {table:?} has changed: {changed}"),
            "the fields that the table was made for".to_owned(),
            other,
        ));
    }
    if !difference.removed.is_empty() {
        let names = difference.removed.join(", ");
        return Err(refuse(
            path,
            format!("the item type {table:?} has lost fields: {names}"),
            "the fields that the table was made for".to_owned(),
            other,
        ));
    }
    if !difference.added.is_empty() && !add_columns {
        let names = difference.added.join(", ");
        let todo = format!("To add them as columns write -o 'sqlite:{}?new_columns=add'", path.display());
        return Err(refuse(
            path,
            format!("the item type {table:?} has new fields: {names}"),
            "the fields that the table was made for".to_owned(),
            &todo,
        ));
    }
    for name in &difference.added {
        let Some(field) = schema.fields.iter().find(|field| field.name == *name) else { continue };
        tx.execute_batch(&format!("ALTER TABLE \"{table}\" ADD COLUMN \"{name}\" {}", schema::column_type(field)))
            .at("add a column", path)?;
        if schema::places(schema).any(|place| place.name == *name) {
            let first = !exists(tx, &schema::rtree_name(schema, field, true)).at("read", path)?;
            let tree = schema::rtree_name(schema, field, first);
            tx.execute_batch(&schema::create_rtree(schema, field, &tree)).at("make an R*Tree", path)?;
        }
    }
    Ok(())
}

/// Tables of earlier versions have no column that says when a listing was found to be gone.
fn add_delisted(tx: &Connection, path: &Path, schema: &ItemSchema) -> Result<(), SinkError> {
    let table = &schema.name;
    let has = "SELECT EXISTS (SELECT 1 FROM pragma_table_info(?1) WHERE name = ?2)";
    if !tx.query_row(has, [table, schema::DELISTED], |row| row.get(0)).at("read", path)? {
        tx.execute_batch(&format!("ALTER TABLE \"{table}\" ADD COLUMN \"{}\" TEXT", schema::DELISTED))
            .at("add a column", path)?;
    }
    Ok(())
}

fn refuse(path: &Path, what: String, expected: String, todo: &str) -> SinkError {
    SinkError::new(ErrorClass::Configuration, what, path.display().to_string(), expected, todo)
}

fn exists(connection: &Connection, name: &str) -> rusqlite::Result<bool> {
    let sql =
        "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type IN ('table', 'view') AND name = ?1 COLLATE NOCASE)";
    connection.query_row(sql, [name], |row| row.get(0))
}

fn get(connection: &Connection, key: &str) -> rusqlite::Result<Option<String>> {
    connection.query_row("SELECT value FROM \"_weir\" WHERE key = ?1", [key], |row| row.get(0)).optional()
}

fn put(connection: &Connection, key: &str, value: &str) -> rusqlite::Result<()> {
    connection.execute("INSERT OR REPLACE INTO \"_weir\" VALUES (?1, ?2)", params![key, value]).map(drop)
}
