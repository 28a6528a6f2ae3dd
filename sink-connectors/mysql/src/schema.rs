//! From an item's schema to SQL text: names from an allow-list, columns by kind, the guarded upsert. Pure.

use crate::place::WriteMode;
pub(crate) use weir_connector::fields::{described, remembered};
use weir_model::{Field, FieldKind, ItemSchema};

/// Longest identifier of the server.
const NAME_MAX: usize = 64;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ColumnKind {
    Text,
    Json,
    Int,
    Float,
    Bool,
    Datetime,
    Date,
    /// Degrees north of a place.
    Lat,
    /// Degrees east of a place.
    Lon,
}

impl ColumnKind {
    /// The type that a column is made with.
    pub fn declared(self) -> &'static str {
        match self {
            ColumnKind::Text => "MEDIUMTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci",
            ColumnKind::Json => "JSON",
            ColumnKind::Int => "BIGINT",
            ColumnKind::Float | ColumnKind::Lat | ColumnKind::Lon => "DOUBLE",
            ColumnKind::Bool => "BOOLEAN",
            ColumnKind::Datetime => "DATETIME(3)",
            ColumnKind::Date => "DATE",
        }
    }

    /// The types (`DATA_TYPE`) that a column may have been changed to by hand.
    pub fn accepted(self) -> &'static [&'static str] {
        match self {
            ColumnKind::Text => &["mediumtext", "longtext", "text", "tinytext", "varchar", "char"],
            // MariaDB calls JSON longtext.
            ColumnKind::Json => &["json", "longtext"],
            ColumnKind::Int => &["bigint"],
            ColumnKind::Float => &["double", "decimal"],
            ColumnKind::Lat | ColumnKind::Lon => &["double"],
            ColumnKind::Bool => &["tinyint"],
            ColumnKind::Datetime => &["datetime"],
            ColumnKind::Date => &["date"],
        }
    }
}

/// One column of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    pub name: String,
    pub kind: ColumnKind,
    /// Its field's position in the schema.
    pub field: usize,
}

/// Columns behind the fields, with their types. In this order in every write.
pub(crate) const HOUSEKEEPING: [(&str, &str); 5] = [
    ("_job", "BIGINT UNSIGNED NOT NULL"),
    ("_spider", "VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL"),
    ("_fetched_at", "DATETIME(6) NOT NULL"),
    ("_hash", "CHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL"),
    ("_version", "BIGINT UNSIGNED NOT NULL"),
];

/// When a listing was found to be gone; no write names it, a newer version clears it.
pub(crate) const DELISTED: &str = "_delisted_at";

/// A field's columns: one, or two for a place.
pub(crate) fn columns(schema: &ItemSchema) -> Vec<Column> {
    let mut columns = Vec::new();
    for (at, field) in schema.fields.iter().enumerate() {
        let mut put = |name: String, kind| columns.push(Column { name, kind, field: at });
        match field.kind {
            _ if field.many => put(field.name.clone(), ColumnKind::Json),
            FieldKind::Str => put(field.name.clone(), ColumnKind::Text),
            FieldKind::Int => put(field.name.clone(), ColumnKind::Int),
            FieldKind::Float => put(field.name.clone(), ColumnKind::Float),
            FieldKind::Bool => put(field.name.clone(), ColumnKind::Bool),
            FieldKind::Datetime => put(field.name.clone(), ColumnKind::Datetime),
            FieldKind::Date => put(field.name.clone(), ColumnKind::Date),
            FieldKind::Json => put(field.name.clone(), ColumnKind::Json),
            FieldKind::GeoPoint => {
                put(format!("{}_lat", field.name), ColumnKind::Lat);
                put(format!("{}_lon", field.name), ColumnKind::Lon);
            }
        }
    }
    columns
}

/// Checks every name that becomes an identifier; the first bad one, and why.
pub(crate) fn check_names(table: &str, schema: &ItemSchema, history: &[String]) -> Result<(), String> {
    check_name(table, "table")?;
    let mut seen: Vec<String> = Vec::new();
    for field in &schema.fields {
        check_name(&field.name, "field")?;
    }
    for column in columns(schema) {
        check_name(&column.name, "column")?;
        let folded = column.name.to_ascii_lowercase();
        if seen.contains(&folded) {
            return Err(format!(
                "column {:?} occurs twice: names do not tell capitals from small letters",
                column.name
            ));
        }
        seen.push(folded);
    }
    for field in history {
        check_name(&history_table(table, field), "table")?;
    }
    Ok(())
}

fn check_name(name: &str, what: &str) -> Result<(), String> {
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let first = name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic());
    if !plain || !first || name.len() > NAME_MAX {
        return Err(format!("{what} {name:?} is no name of a table or column"));
    }
    Ok(())
}

/// Where a field's changes are kept.
pub(crate) fn history_table(table: &str, field: &str) -> String {
    format!("{table}_{field}_history")
}

/// `CREATE TABLE`.
pub(crate) fn create_table(table: &str, schema: &ItemSchema) -> String {
    let mut sql = format!("CREATE TABLE IF NOT EXISTS `{table}` (`_id` BINARY(16) NOT NULL PRIMARY KEY");
    for column in columns(schema) {
        sql += &format!(", `{}` {} NULL", column.name, column.kind.declared());
    }
    for (name, kind) in HOUSEKEEPING {
        sql += &format!(", `{name}` {kind}");
    }
    sql += &format!(", `{DELISTED}` DATETIME(6) NULL");
    for place in places(schema) {
        sql += &format!(", {}", place_key(place));
    }
    sql + ") ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci"
}

/// `ALTER TABLE` that adds a column, and the index of a place with its second.
pub(crate) fn add_column(table: &str, schema: &ItemSchema, column: &Column) -> String {
    let mut sql = format!("ALTER TABLE `{table}` ADD COLUMN `{}` {} NULL", column.name, column.kind.declared());
    if column.kind == ColumnKind::Lon
        && let Some(field) = schema.fields.get(column.field)
    {
        sql += &format!(", ADD {}", place_key(field));
    }
    sql
}

fn place_key(field: &Field) -> String {
    let name = &field.name;
    format!("KEY `{name}_lat` (`{name}_lat`, `{name}_lon`)")
}

/// The fields that are places.
pub(crate) fn places(schema: &ItemSchema) -> impl Iterator<Item = &Field> {
    schema.fields.iter().filter(|field| field.kind == FieldKind::GeoPoint && !field.many)
}

/// The table of a field's changes. No key points at the items: a listing may go, its prices stay.
pub(crate) fn create_history(table: &str, field: &str, kind: ColumnKind) -> String {
    format!(
        "CREATE TABLE IF NOT EXISTS `{}` (`_id` BINARY(16) NOT NULL, `_version` BIGINT UNSIGNED NOT NULL, \
         `{field}` {} NULL, `_fetched_at` DATETIME(6) NOT NULL, PRIMARY KEY (`_id`, `_version`)) \
         ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci",
        history_table(table, field),
        kind.declared()
    )
}

/// A multi-row write in its three parts: before the rows, one row, behind the rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WriteSql {
    pub head: String,
    pub row: String,
    pub tail: String,
}

impl WriteSql {
    /// The statement for a number of rows.
    pub fn of(&self, rows: usize) -> String {
        let mut sql = String::with_capacity(self.head.len() + rows * (self.row.len() + 1) + self.tail.len());
        sql.push_str(&self.head);
        for row in 0..rows {
            if row > 0 {
                sql.push(',');
            }
            sql.push_str(&self.row);
        }
        sql.push_str(&self.tail);
        sql
    }
}

/// The write of a table's rows: `_id`, the fields' columns, the housekeeping ones.
pub(crate) fn write_sql(table: &str, columns: &[Column], mode: WriteMode) -> WriteSql {
    let names: Vec<&str> = std::iter::once("_id")
        .chain(columns.iter().map(|column| column.name.as_str()))
        .chain(HOUSEKEEPING.iter().map(|(name, _)| *name))
        .collect();
    let listed = names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(",");
    let verb = if mode == WriteMode::Replace { "REPLACE" } else { "INSERT" };
    let tail = if mode == WriteMode::Replace {
        String::new()
    } else {
        // Assignments happen from left to right and see what was assigned before: the compared columns come last, the version
        // behind the hash (when the hash decides, the versions are equal). Both servers know VALUES(); MariaDB knows no alias.
        let newer = "VALUES(`_version`)>`_version` OR (VALUES(`_version`)=`_version` AND VALUES(`_hash`)>`_hash`)";
        let cleared = format!("`{DELISTED}`=IF({newer},NULL,`{DELISTED}`)");
        let set = names[1..].iter().map(|name| format!("`{name}`=IF({newer},VALUES(`{name}`),`{name}`)"));
        let all: Vec<String> = std::iter::once(cleared).chain(set).collect();
        format!(" ON DUPLICATE KEY UPDATE {}", all.join(","))
    };
    WriteSql {
        head: format!("{verb} INTO `{table}` ({listed}) VALUES "),
        row: format!("({})", vec!["?"; names.len()].join(",")),
        tail,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_connector::contract;

    #[test]
    fn a_schema_becomes_a_table() {
        let sql = create_table("homes", &contract::schema());
        assert_eq!(
            sql,
            "CREATE TABLE IF NOT EXISTS `homes` (`_id` BINARY(16) NOT NULL PRIMARY KEY, \
             `url` MEDIUMTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci NULL, `price` DOUBLE NULL, `rooms` BIGINT NULL, \
             `tags` JSON NULL, `seen` DATETIME(3) NULL, `location_lat` DOUBLE NULL, `location_lon` DOUBLE NULL, `extra` JSON NULL, \
             `new` BOOLEAN NULL, `_job` BIGINT UNSIGNED NOT NULL, \
             `_spider` VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL, `_fetched_at` DATETIME(6) NOT NULL, \
             `_hash` CHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL, `_version` BIGINT UNSIGNED NOT NULL, \
             `_delisted_at` DATETIME(6) NULL, KEY `location_lat` (`location_lat`, `location_lon`)) \
             ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci"
        );
    }

    #[test]
    fn a_price_history_has_no_key_into_the_items() {
        let sql = create_history("homes", "price", ColumnKind::Float);
        assert!(sql.contains("`homes_price_history`") && sql.contains("`price` DOUBLE NULL"), "{sql}");
        assert!(sql.contains("PRIMARY KEY (`_id`, `_version`)") && !sql.contains("FOREIGN"), "{sql}");
    }

    #[test]
    fn the_upsert_compares_before_it_assigns_what_it_compares() {
        let columns = columns(&contract::schema());
        let sql = write_sql("homes", &columns[..1], WriteMode::Update).of(2);
        assert!(sql.starts_with(
            "INSERT INTO `homes` (`_id`,`url`,`_job`,`_spider`,`_fetched_at`,`_hash`,`_version`) VALUES (?,?,?,?,?,?,?),(?,?,?,?,?,?,?) ON"
        ));
        assert!(sql.rfind("`_version`=IF(") > sql.rfind("`_hash`=IF("), "{sql}");
        assert!(sql.rfind("`_hash`=IF(") > sql.rfind("`_fetched_at`=IF("), "{sql}");
        let replace = write_sql("homes", &columns[..1], WriteMode::Replace).of(1);
        assert!(replace.starts_with("REPLACE INTO `homes`") && replace.ends_with("(?,?,?,?,?,?,?)"), "{replace}");
    }

    #[test]
    fn names_that_are_no_identifiers_are_refused() {
        let with = |name: &str| {
            let mut schema = contract::schema();
            schema.fields[2].name = name.to_owned();
            check_names("homes", &schema, &[])
        };
        for name in
            ["price` DOUBLE); DROP TABLE x; -- ", "1st", "", "größe", "Price", "_hash", "location_lat", &"x".repeat(65)]
        {
            assert!(with(name).is_err(), "{name}");
        }
        assert_eq!(with("select"), Ok(()), "quoted");
        assert!(check_names("a.b", &contract::schema(), &[]).is_err());
        assert!(check_names(&"x".repeat(60), &contract::schema(), &["price".to_owned()]).is_err());
    }
}
