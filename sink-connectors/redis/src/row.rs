//! From an item to a hash: text a field, as feeds write it. Pure.

use weir_connector::text::{self, JsonStyle};
use weir_model::{Field, FieldKind, Item, ItemSchema, Value};

/// Latitudes beyond this have no cell in a geo set (EPSG:3857); the hash has the place all the same.
pub(crate) const LAT_MAX: f64 = 85.051_128_78;

/// Why an item does not fit its type; `None` when it does.
pub(crate) fn misfit(schema: &ItemSchema, item: &Item) -> Option<String> {
    if item.values.len() != schema.fields.len() {
        return Some(format!(
            "the item has {} values, {:?} has {} fields",
            item.values.len(),
            schema.name,
            schema.fields.len()
        ));
    }
    let bad = schema.fields.iter().zip(&item.values).find(|(field, value)| !fits(field, value));
    bad.map(|(field, value)| {
        let shown: String = format!("{value:?}").chars().take(60).collect();
        format!("field {:?} of {:?} takes {:?}, not {shown}", field.name, schema.name, field.kind)
    })
}

fn fits(field: &Field, value: &Value) -> bool {
    if field.many {
        return match value {
            Value::Null => true,
            Value::List(values) => values.iter().all(|value| fits_one(field.kind, value)),
            _ => false,
        };
    }
    fits_one(field.kind, value)
}

fn fits_one(kind: FieldKind, value: &Value) -> bool {
    match (kind, value) {
        (_, Value::Null)
        | (FieldKind::Str | FieldKind::Date | FieldKind::Json, Value::Str(_))
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

/// A value's text; `None` for a null, which has no field in the hash.
pub(crate) fn cell(kind: FieldKind, value: &Value) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    match value {
        Value::Null => return None,
        Value::Str(text) if kind != FieldKind::Json => out.extend_from_slice(text.as_bytes()),
        Value::Datetime(ms) => text::put_datetime(&mut out, *ms),
        Value::Geo { lat, lon } => {
            text::put_float(&mut out, *lat);
            out.push(b',');
            text::put_float(&mut out, *lon);
        }
        value => text::put_value(&mut out, value, JsonStyle::default(), 0),
    }
    Some(out)
}

/// A place for a geo set; `None` when there is none, or it lies where geo sets have no cells.
pub(crate) fn in_geo_set(value: Option<&Value>) -> Option<(f64, f64)> {
    match value {
        Some(Value::Geo { lat, lon }) if lat.abs() <= LAT_MAX => Some((*lat, *lon)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_connector::contract;

    #[test]
    fn values_are_text_as_feeds_write_it() {
        let item = contract::item(2, 1, 334.0);
        let schema = contract::schema();
        let cells: Vec<String> = schema
            .fields
            .iter()
            .zip(&item.values)
            .map(|(field, value)| String::from_utf8(cell(field.kind, value).unwrap()).unwrap())
            .collect();
        assert_eq!(
            cells,
            [
                "http://site/00002",
                "334.0",
                "2",
                "[\"a,b\", \"c\\\"d\\né\"]",
                "2015-01-01T01:01:01Z",
                "51.5,-0.248",
                "{\"n\": [1, 2.5, null]}",
                "true"
            ]
        );
        assert_eq!(cell(FieldKind::Str, &Value::Null), None);
    }

    #[test]
    fn a_place_at_a_pole_has_no_cell_in_a_geo_set() {
        assert_eq!(in_geo_set(Some(&Value::Geo { lat: 51.5, lon: -0.1 })), Some((51.5, -0.1)));
        assert_eq!(in_geo_set(Some(&Value::Geo { lat: 89.0, lon: 0.0 })), None);
        assert_eq!((in_geo_set(Some(&Value::Null)), in_geo_set(None)), (None, None));
    }
}
