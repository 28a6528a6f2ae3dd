//! From an item to a hash: text a field, as feeds write it. Pure.

use weir_connector::text::{self, JsonStyle};
use weir_model::{FieldKind, Item, ItemSchema, Value};

/// Latitudes beyond this have no cell in a geo set (EPSG:3857); the hash has the place all the same.
pub(crate) const LAT_MAX: f64 = 85.051_128_78;

/// Why an item does not fit its type; `None` when it does.
pub(crate) fn misfit(schema: &ItemSchema, item: &Item) -> Option<String> {
    weir_connector::misfit(schema, item, |_, _| true)
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
