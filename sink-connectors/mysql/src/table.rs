//! Makes and compares the tables of a job's item types, and says which generation they are of.
//!
//! Invariants: a table that weir did not make is never touched; a column is never dropped or changed; a table that was made anew,
//! or is empty, has a new generation.

use crate::error;
use crate::history::History;
use crate::place::{MysqlPlace, WriteMode};
use crate::row::Limit;
use crate::schema::{self, Column, ColumnKind, DELISTED, HOUSEKEEPING, WriteSql};
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use std::sync::Arc;
use weir_connector::{ErrorClass, SinkError};
use weir_model::{ItemSchema, crash};

/// What weir keeps about its tables.
pub(crate) const META: &str = "_weir";
/// Version of that.
const FORMAT: u32 = 1;
/// A random number of 60 bits, of the server's making.
const RANDOM: &str = "CONV(LEFT(SHA2(CONCAT(UUID(), RAND(), NOW(6)), 256), 15), 16, 10)";

/// A table as it is written to.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub name: String,
    pub schema: Arc<ItemSchema>,
    pub columns: Vec<Column>,
    pub limits: Vec<Option<Limit>>,
    pub sql: WriteSql,
    pub look: WriteSql,
    /// Looks which listings are marked as gone.
    pub delisted: WriteSql,
    /// Marks listings as gone.
    pub delist: WriteSql,
    pub history: Vec<History>,
}

/// A column as the server describes it.
#[derive(Clone, Debug)]
struct Described {
    name: String,
    data_type: String,
    nullable: bool,
    defaulted: bool,
    chars_max: Option<u64>,
    bytes_max: Option<u64>,
    charset: Option<String>,
}

/// The table's name of an item type.
pub(crate) fn name_of(place: &MysqlPlace, at: usize, schema: &ItemSchema) -> String {
    match &place.table {
        None => schema.name.clone(),
        Some(table) if at == 0 => table.clone(),
        Some(table) => format!("{table}_{}", schema.name),
    }
}

/// Everything that an open needs. Gives the tables in the order of the schemas, and the generation of them all.
pub(crate) async fn prepare(
    conn: &mut Conn,
    place: &MysqlPlace,
    schemas: &[Arc<ItemSchema>],
) -> Result<(Vec<Table>, u64), SinkError> {
    let at = |action: &'static str| move |error: mysql_async::Error| error::sink_error(action, &place.shown, &error);
    for (number, schema) in schemas.iter().enumerate() {
        schema::check_names(&name_of(place, number, schema), schema, &history_of(place, schema)).map_err(|why| {
            refuse(
                place,
                why,
                "letters, digits and underscores, a letter first, at most 64",
                "Rename it in the spider file, or the table in -o mysql://.../TABLE",
            )
        })?;
    }
    let known = |field: &String| schemas.iter().any(|schema| schema.position(field).is_some());
    if let Some(field) = place.history.iter().find(|field| !known(field)) {
        return Err(refuse(
            place,
            format!("history={field}: no item type has this field"),
            "fields of the spider",
            "Correct history= in the sink's URL",
        ));
    }
    // Two processes that open at once make the tables one after the other. Where the server has no such locks, the statements
    // below do no harm when they cross.
    let _lock: Option<Option<i64>> =
        conn.query_first("SELECT GET_LOCK(CONCAT('weir:', LEFT(DATABASE(), 50)), 10)").await.map_err(at("open"))?;
    crash::point("mysql: open");
    if describe(conn, META).await.map_err(at("read"))?.is_empty() {
        let sql = format!(
            "CREATE TABLE IF NOT EXISTS `{META}` (`name` VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL PRIMARY KEY, \
             `item` VARCHAR(64) NOT NULL, `format` INT UNSIGNED NOT NULL, `generation` BIGINT UNSIGNED NOT NULL, \
             `fields` MEDIUMTEXT NOT NULL) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
        );
        conn.query_drop(sql).await.map_err(at("make a table"))?;
    }
    let mut tables = Vec::new();
    let mut generation = 0u64;
    for (number, schema) in schemas.iter().enumerate() {
        let (table, of_table) = one(conn, place, &name_of(place, number, schema), schema).await?;
        tables.push(table);
        generation = generation.rotate_left(5) ^ of_table;
    }
    let _unlocked: Option<Option<i64>> =
        conn.query_first("SELECT RELEASE_LOCK(CONCAT('weir:', LEFT(DATABASE(), 50)))").await.map_err(at("open"))?;
    Ok((tables, generation))
}

fn history_of(place: &MysqlPlace, schema: &ItemSchema) -> Vec<String> {
    place.history.iter().filter(|field| schema.position(field).is_some()).cloned().collect()
}

async fn one(
    conn: &mut Conn,
    place: &MysqlPlace,
    name: &str,
    schema: &Arc<ItemSchema>,
) -> Result<(Table, u64), SinkError> {
    let at = |action: &'static str| move |error: mysql_async::Error| error::sink_error(action, &place.shown, &error);
    let columns = schema::columns(schema);
    let remembered: Option<(String, u32, String)> = conn
        .exec_first(format!("SELECT `item`, `format`, `fields` FROM `{META}` WHERE `name` = ?"), (name,))
        .await
        .map_err(at("read"))?;
    let mut there = describe(conn, name).await.map_err(at("read"))?;
    let mut anew = there.is_empty();
    match remembered {
        None if !there.is_empty() => {
            return Err(refuse(
                place,
                format!("the table {name:?} is there and not weir's"),
                "a table that weir made, or none",
                "Name another with -o mysql://.../TABLE, or rename that one",
            ));
        }
        Some((_, format, _)) if format != FORMAT => {
            return Err(refuse(
                place,
                format!("the table {name:?} is of format {format}, this weir writes {FORMAT}"),
                "a table of this version",
                "Use the version of weir that made it, or another table",
            ));
        }
        Some((item, ..)) if item != schema.name && !there.is_empty() => {
            return Err(refuse(
                place,
                format!("the table {name:?} holds items of type {item:?}, not {:?}", schema.name),
                "one item type a table",
                "Name another table with -o mysql://.../TABLE",
            ));
        }
        Some((_, _, fields)) if !there.is_empty() => {
            compare(place, name, schema, &columns, &there, &fields)?;
            for column in columns.iter().filter(|column| !there.iter().any(|there| there.is(&column.name))) {
                conn.query_drop(schema::add_column(name, schema, column)).await.map_err(at("add a column"))?;
            }
        }
        _ => {}
    }
    // Remembered before it is made: a table is never taken for a stranger's.
    let fields = schema::remembered(schema);
    let sql = format!(
        "INSERT INTO `{META}` (`name`, `item`, `format`, `generation`, `fields`) VALUES (?, ?, ?, {RANDOM}, ?) \
         ON DUPLICATE KEY UPDATE `item` = VALUES(`item`), `fields` = VALUES(`fields`)"
    );
    conn.exec_drop(sql, (name, &schema.name, FORMAT, &fields)).await.map_err(at("prepare"))?;
    crash::point("mysql: tables");
    if anew {
        conn.query_drop(schema::create_table(name, schema)).await.map_err(at("make a table"))?;
    }
    there = describe(conn, name).await.map_err(at("read"))?;
    // Refused now rather than by the first batch: an account that may not write.
    conn.query_drop(format!("INSERT INTO `{name}` SELECT * FROM `{name}` WHERE FALSE")).await.map_err(at("write"))?;
    conn.query_drop(format!("DELETE FROM `{name}` WHERE FALSE")).await.map_err(at("write"))?;
    let row: Option<u8> = conn.query_first(format!("SELECT 1 FROM `{name}` LIMIT 1")).await.map_err(at("read"))?;
    anew |= row.is_none();
    if anew {
        let sql = format!("UPDATE `{META}` SET `generation` = {RANDOM} WHERE `name` = ?");
        conn.exec_drop(sql, (name,)).await.map_err(at("prepare"))?;
    }
    let generation: Option<u64> = conn
        .exec_first(format!("SELECT `generation` FROM `{META}` WHERE `name` = ?"), (name,))
        .await
        .map_err(at("read"))?;
    let mut history = Vec::new();
    for field in history_of(place, schema) {
        let column = columns.iter().position(|column| column.name == field && History::takes(column.kind));
        let Some(column) = column else {
            return Err(refuse(
                place,
                format!("history={field}: changes of lists, places and JSON are not kept"),
                "fields of one number, text, truth value or instant",
                "Correct history= in the sink's URL",
            ));
        };
        let sql = schema::create_history(name, &field, columns[column].kind);
        if describe(conn, &schema::history_table(name, &field)).await.map_err(at("read"))?.is_empty() {
            conn.query_drop(sql).await.map_err(at("make a table"))?;
        }
        history.push(History::new(name, &field, column));
    }
    let locked = place.write == WriteMode::Replace || !history.is_empty();
    let table = Table {
        name: name.to_owned(),
        limits: columns.iter().map(|column| limit(column, &there)).collect(),
        sql: schema::write_sql(name, &columns, place.write),
        look: WriteSql {
            head: format!("SELECT `_id`, `_version`, `_hash` FROM `{name}` FORCE INDEX (PRIMARY) WHERE `_id` IN ("),
            row: "?".to_owned(),
            tail: if locked { ") FOR UPDATE".to_owned() } else { ")".to_owned() },
        },
        delisted: WriteSql {
            head: format!(
                "SELECT `_id`, `_version`, `{DELISTED}` IS NOT NULL FROM `{name}` FORCE INDEX (PRIMARY) WHERE `_id` IN ("
            ),
            row: "?".to_owned(),
            tail: ") FOR UPDATE".to_owned(),
        },
        delist: WriteSql {
            head: format!(
                "UPDATE `{name}` SET `{DELISTED}` = ? WHERE `{DELISTED}` IS NULL AND `_version` < ? AND `_id` IN ("
            ),
            row: "?".to_owned(),
            tail: ")".to_owned(),
        },
        schema: schema.clone(),
        columns,
        history,
    };
    Ok((table, generation.unwrap_or_default()))
}

/// What differs from the table that is there, by name, and what to do.
fn compare(
    place: &MysqlPlace,
    name: &str,
    schema: &ItemSchema,
    columns: &[Column],
    there: &[Described],
    remembered: &str,
) -> Result<(), SinkError> {
    let other = "Name another table with -o mysql://.../TABLE, or change the column by hand (ALTER TABLE ... MODIFY)";
    for line in remembered.lines() {
        let Some((field, before)) = line.split_once(' ') else { continue };
        match schema.fields.iter().find(|now| now.name == field) {
            Some(now) if schema::described(now) != before => {
                let what = format!("in table {name:?} field {field:?} was {before} and is {}", schema::described(now));
                return Err(refuse(place, what, "the types that the table was made for", other));
            }
            None if !place.add_columns => {
                return Err(refuse(
                    place,
                    format!("table {name:?} has a column for {field:?}, the item type {:?} no longer", schema.name),
                    "the fields that the table was made for",
                    "To keep the column and go on without it add ?add_columns=true to the sink's URL, or name another table",
                ));
            }
            _ => {}
        }
    }
    let missing: Vec<&str> = columns
        .iter()
        .filter(|column| !there.iter().any(|there| there.is(&column.name)))
        .map(|column| column.name.as_str())
        .collect();
    if !missing.is_empty() && !place.add_columns {
        return Err(refuse(
            place,
            format!("table {name:?} has no column {}", missing.join(", ")),
            "a column for each field",
            "To add them write add_columns=true into the sink's URL (-o 'mysql://...?add_columns=true')",
        ));
    }
    for column in columns {
        let Some(found) = there.iter().find(|there| there.is(&column.name)) else { continue };
        if !column.kind.accepted().contains(&found.data_type.as_str()) {
            let what = format!("in table {name:?} column {:?} is {}", column.name, found.data_type);
            return Err(refuse(place, what, column.kind.declared(), other));
        }
        if column.kind == ColumnKind::Text && found.charset.as_deref() != Some("utf8mb4") {
            let charset = found.charset.as_deref().unwrap_or("binary");
            let what = format!("in table {name:?} column {:?} is of character set {charset}", column.name);
            return Err(refuse(place, what, "utf8mb4", other));
        }
        if !found.nullable {
            let what = format!("in table {name:?} column {:?} is NOT NULL", column.name);
            return Err(refuse(place, what, "a column that takes NULL: a field may be missing on a page", other));
        }
    }
    for house in HOUSEKEEPING.iter().map(|(house, _)| *house).chain(["_id", DELISTED]) {
        if !there.iter().any(|there| there.is(house)) {
            return Err(refuse(
                place,
                format!("table {name:?} has lost its column {house:?}"),
                "the columns that weir keeps for itself",
                "Rename the table: it is made anew and filled again",
            ));
        }
    }
    let ours =
        |name: &str| name.starts_with('_') || columns.iter().any(|column| column.name.eq_ignore_ascii_case(name));
    if let Some(strange) = there.iter().find(|column| !ours(&column.name) && !column.nullable && !column.defaulted) {
        return Err(refuse(
            place,
            format!("table {name:?} has a column {:?} that must have a value and gets none", strange.name),
            "columns of your own with a default, or that take NULL",
            "Give it a default (ALTER TABLE ... ALTER ... SET DEFAULT)",
        ));
    }
    Ok(())
}

impl Described {
    fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }
}

fn limit(column: &Column, there: &[Described]) -> Option<Limit> {
    let found = there.iter().find(|there| there.is(&column.name)).filter(|_| column.kind == ColumnKind::Text)?;
    if matches!(found.data_type.as_str(), "varchar" | "char") {
        found.chars_max.and_then(|max| usize::try_from(max).ok()).map(Limit::Chars)
    } else {
        found.bytes_max.and_then(|max| usize::try_from(max).ok()).map(Limit::Bytes)
    }
}

type DescribedRow = (String, String, String, u8, Option<u64>, Option<u64>, Option<String>);

/// The columns of a table; none when it is not there.
async fn describe(conn: &mut Conn, table: &str) -> mysql_async::Result<Vec<Described>> {
    let sql = "SELECT COLUMN_NAME, CAST(DATA_TYPE AS CHAR), IS_NULLABLE, COLUMN_DEFAULT IS NOT NULL OR EXTRA <> '', \
               CHARACTER_MAXIMUM_LENGTH, CHARACTER_OCTET_LENGTH, CHARACTER_SET_NAME FROM information_schema.COLUMNS \
               WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ? ORDER BY ORDINAL_POSITION";
    let rows: Vec<DescribedRow> = conn.exec(sql, (table,)).await?;
    let described =
        rows.into_iter().map(|(name, data_type, nullable, defaulted, chars_max, bytes_max, charset)| Described {
            name,
            data_type: data_type.to_ascii_lowercase(),
            nullable: nullable == "YES",
            defaulted: defaulted != 0,
            chars_max,
            bytes_max,
            charset,
        });
    Ok(described.collect())
}

fn refuse(place: &MysqlPlace, what: String, expected: &str, todo: &str) -> SinkError {
    SinkError::new(ErrorClass::Configuration, what, place.shown.clone(), expected, todo)
}
