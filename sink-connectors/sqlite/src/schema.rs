//! From an item's schema to SQL text: names from an allow-list, columns by kind, the upsert, the R*Tree and its triggers. Pure.

pub(crate) use weir_connector::fields::{described, remembered};
use weir_model::{Field, FieldKind, ItemSchema};

/// Columns that every table has behind its fields, with their types.
pub(crate) const HOUSEKEEPING: [(&str, &str); 5] =
    [("_job", "INTEGER"), ("_spider", "TEXT"), ("_version", "INTEGER"), ("_hash", "TEXT"), ("_fetched_at", "TEXT")];

/// When a listing was found to be gone. The last column, or behind those that came later.
pub(crate) const DELISTED: &str = "_delisted_at";

/// Checks every name that becomes an identifier; the first bad one, and why.
pub(crate) fn check_names(schema: &ItemSchema) -> Result<(), String> {
    let mut seen: Vec<String> = Vec::new();
    check_name(&schema.name, "item type")?;
    for field in &schema.fields {
        check_name(&field.name, "field")?;
        let folded = field.name.to_ascii_lowercase();
        if seen.contains(&folded) {
            return Err(format!(
                "field {:?} occurs twice: column names do not tell capitals from small letters",
                field.name
            ));
        }
        seen.push(folded);
    }
    Ok(())
}

fn check_name(name: &str, what: &str) -> Result<(), String> {
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let first = name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic());
    if !plain || !first || name.len() > 60 {
        return Err(format!("{what} {name:?} is no name of a table or column"));
    }
    if name.to_ascii_lowercase().starts_with("sqlite") || name.to_ascii_lowercase().ends_with("_rtree") {
        return Err(format!("{what} {name:?} is a name that the database keeps for itself"));
    }
    Ok(())
}

/// The declared type of a field's column. Lists and JSON are JSON text, places `LAT,LON`, instants RFC 3339.
pub(crate) fn column_type(field: &Field) -> &'static str {
    match field.kind {
        _ if field.many => "TEXT",
        FieldKind::Int => "INTEGER",
        FieldKind::Float => "REAL",
        FieldKind::Bool => "BOOLEAN",
        FieldKind::Str | FieldKind::Datetime | FieldKind::Date | FieldKind::GeoPoint | FieldKind::Json => "TEXT",
    }
}

/// The fields that have an R*Tree.
pub(crate) fn places(schema: &ItemSchema) -> impl Iterator<Item = &Field> {
    schema.fields.iter().filter(|field| field.kind == FieldKind::GeoPoint && !field.many)
}

/// The R*Tree's name: the table's for the first place that got one, the table's and the field's for others.
pub(crate) fn rtree_name(schema: &ItemSchema, field: &Field, first: bool) -> String {
    if first { format!("{}_rtree", schema.name) } else { format!("{}_{}_rtree", schema.name, field.name) }
}

/// `CREATE TABLE`.
pub(crate) fn create_table(schema: &ItemSchema) -> String {
    let mut sql = format!("CREATE TABLE \"{}\" (\"_id\" TEXT NOT NULL PRIMARY KEY", schema.name);
    for field in &schema.fields {
        sql += &format!(", \"{}\" {}", field.name, column_type(field));
    }
    for (name, kind) in HOUSEKEEPING {
        sql += &format!(", \"{name}\" {kind} NOT NULL");
    }
    sql + &format!(", \"{DELISTED}\" TEXT)")
}

/// The R*Tree of a place and the triggers that keep it, in one batch of statements; rows that are there already are taken in.
pub(crate) fn create_rtree(schema: &ItemSchema, field: &Field, tree: &str) -> String {
    let (table, place) = (&schema.name, &field.name);
    let number = |row: &str, from: &str| format!("CAST(substr({row}\"{place}\", {from}) AS REAL)");
    let lat = |row: &str| number(row, "1");
    let lon = |row: &str| number(row, &format!("instr({row}\"{place}\", ',') + 1"));
    let values = |row: &str| format!("{row}rowid, {lat}, {lat}, {lon}, {lon}", lat = lat(row), lon = lon(row));
    let into = format!("INSERT OR REPLACE INTO \"{tree}\" (id, min_lat, max_lat, min_lon, max_lon)");
    let new = values("NEW.");
    format!(
        "CREATE VIRTUAL TABLE \"{tree}\" USING rtree(id, min_lat, max_lat, min_lon, max_lon);
         CREATE TRIGGER \"{tree}_insert\" AFTER INSERT ON \"{table}\" WHEN NEW.\"{place}\" IS NOT NULL BEGIN
           {into} VALUES ({new});
         END;
         CREATE TRIGGER \"{tree}_update\" AFTER UPDATE OF \"{place}\" ON \"{table}\" WHEN NEW.\"{place}\" IS NOT OLD.\"{place}\" BEGIN
           DELETE FROM \"{tree}\" WHERE id = OLD.rowid;
           {into} SELECT {new} WHERE NEW.\"{place}\" IS NOT NULL;
         END;
         CREATE TRIGGER \"{tree}_delete\" AFTER DELETE ON \"{table}\" BEGIN
           DELETE FROM \"{tree}\" WHERE id = OLD.rowid;
         END;
         {into} SELECT {} FROM \"{table}\" WHERE \"{place}\" IS NOT NULL;",
        values("")
    )
}

/// The upsert: keeps the rowid; changes nothing unless the version is newer, or the same with a greater hash.
pub(crate) fn upsert(schema: &ItemSchema) -> String {
    let names: Vec<&str> = schema
        .fields
        .iter()
        .map(|field| field.name.as_str())
        .chain(HOUSEKEEPING.iter().map(|(name, _)| *name))
        .collect();
    let columns: String = names.iter().map(|name| format!(", \"{name}\"")).collect();
    let holes: String = (0..names.len()).map(|at| format!(", ?{}", at + 2)).collect();
    // What is written is there: a newer version takes the mark off.
    let sets = names.iter().map(|name| format!("\"{name}\" = excluded.\"{name}\""));
    let sets: Vec<String> = sets.chain([format!("\"{DELISTED}\" = NULL")]).collect();
    let table = &schema.name;
    format!(
        "INSERT INTO \"{table}\" (\"_id\"{columns}) VALUES (?1{holes}) ON CONFLICT(\"_id\") DO UPDATE SET {} \
         WHERE excluded.\"_version\" > \"{table}\".\"_version\" \
         OR (excluded.\"_version\" = \"{table}\".\"_version\" AND excluded.\"_hash\" > \"{table}\".\"_hash\")",
        sets.join(", ")
    )
}

/// Marks a row as gone, unless it was seen since or is marked already.
pub(crate) fn delist(schema: &ItemSchema) -> String {
    let table = &schema.name;
    format!(
        "UPDATE \"{table}\" SET \"{DELISTED}\" = ?2 WHERE \"_id\" = ?1 AND \"_version\" < ?3 AND \"{DELISTED}\" IS NULL"
    )
}

/// How a schema differs from the table that is there.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Difference {
    /// Fields without a column.
    pub added: Vec<String>,
    /// Columns without a field.
    pub removed: Vec<String>,
    /// Fields of another type, as sentences.
    pub changed: Vec<String>,
}

/// Compares with what was remembered.
pub(crate) fn compare(before: &str, schema: &ItemSchema) -> Difference {
    let before: Vec<(&str, &str)> = before.lines().filter_map(|line| line.split_once(' ')).collect();
    let mut difference = Difference::default();
    for field in &schema.fields {
        match before.iter().find(|(name, _)| *name == field.name) {
            None => difference.added.push(field.name.clone()),
            Some((_, kind)) if *kind != described(field) => {
                difference.changed.push(format!("{:?} was {kind} and is {}", field.name, described(field)));
            }
            Some(_) => {}
        }
    }
    difference.removed =
        before.iter().filter(|(name, _)| schema.position(name).is_none()).map(|(name, _)| (*name).to_owned()).collect();
    difference
}
