//! Whether an item is of its type: as many values as fields, each of the field's kind. Pure.
//!
//! What a place takes less than that (a date that is one, years of four digits) it says itself.

use weir_model::{Field, FieldKind, Item, ItemSchema, Value};

/// Why an item does not fit; `None` when it does. `takes` narrows a value that is of its field's kind and not null.
pub fn misfit(schema: &ItemSchema, item: &Item, takes: impl Fn(FieldKind, &Value) -> bool) -> Option<String> {
    if item.values.len() != schema.fields.len() {
        return Some(format!(
            "the item has {} values, {:?} has {} fields",
            item.values.len(),
            schema.name,
            schema.fields.len()
        ));
    }
    let bad = schema.fields.iter().zip(&item.values).find(|(field, value)| !fits(field, value, &takes));
    bad.map(|(field, value)| {
        let shown: String = format!("{value:?}").chars().take(60).collect();
        format!("field {:?} of {:?} takes {:?}, not {shown}", field.name, schema.name, field.kind)
    })
}

fn fits(field: &Field, value: &Value, takes: &impl Fn(FieldKind, &Value) -> bool) -> bool {
    let one = |value: &Value| value.is_null() || (is_of(field.kind, value) && takes(field.kind, value));
    match value {
        Value::List(values) if field.many => values.iter().all(one),
        value if field.many => value.is_null(),
        value => one(value),
    }
}

fn is_of(kind: FieldKind, value: &Value) -> bool {
    match (kind, value) {
        (FieldKind::Str | FieldKind::Date, Value::Str(_))
        | (FieldKind::Int | FieldKind::Float, Value::Int(_))
        | (FieldKind::Bool, Value::Bool(_))
        | (FieldKind::Datetime, Value::Datetime(_)) => true,
        (FieldKind::Float, Value::Float(number)) => number.is_finite(),
        (FieldKind::GeoPoint, Value::Geo { lat, lon }) => lat.abs() <= 90.0 && lon.abs() <= 180.0,
        // Any JSON; a plain value in it is stored as itself.
        (FieldKind::Json, _) => true,
        _ => false,
    }
}
