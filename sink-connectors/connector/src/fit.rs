//! Whether an item is of its type: as many values as fields, each of the field's kind. Pure.
//!
//! What a place takes less than that (a date that is one, years of four digits) it says itself.

use weir_model::{Field, FieldKind, Item, ItemSchema, Value};

/// Why an item does not fit; `None` when it does. `unfit` says why the place cannot hold a value that is of its field's kind and not
/// null; `None`: it can.
pub fn misfit(
    schema: &ItemSchema,
    item: &Item,
    unfit: impl Fn(FieldKind, &Value) -> Option<&'static str>,
) -> Option<String> {
    if item.values.len() != schema.fields.len() {
        return Some(format!(
            "the item has {} values, {:?} has {} fields",
            item.values.len(),
            schema.name,
            schema.fields.len()
        ));
    }
    let mut fields = schema.fields.iter().zip(&item.values);
    let (field, value, why) = fields.find_map(|(field, value)| Some((field, value, bad(field, value, &unfit)?)))?;
    let shown: String = format!("{value:?}").chars().take(60).collect();
    let why = if why.is_empty() { String::new() } else { format!(": {why}") };
    Some(format!("field {:?} of {:?} takes {:?}, not {shown}{why}", field.name, schema.name, field.kind))
}

/// Why a value does not fit its field: empty when it is of another kind; `None` when it fits.
fn bad(
    field: &Field,
    value: &Value,
    unfit: &impl Fn(FieldKind, &Value) -> Option<&'static str>,
) -> Option<&'static str> {
    let one = |value: &Value| match value {
        Value::Null => None,
        value if is_of(field.kind, value) => unfit(field.kind, value),
        _ => Some(""),
    };
    match value {
        Value::List(values) if field.many => values.iter().find_map(one),
        value if field.many => (!value.is_null()).then_some(""),
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
