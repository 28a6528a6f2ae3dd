//! From an item to a hash: text a field, as feeds write it. Pure.

use weir_connector::text::{self, JsonStyle};
use weir_model::{FieldKind, Item, ItemSchema, Value};

/// Latitudes from this on have no cell in a geo set (EPSG:3857); a set of its own names such items.
const LAT_MAX: f64 = 85.051_128_78;

/// Why an item does not fit its type; `None` when it does.
pub(crate) fn misfit(schema: &ItemSchema, item: &Item) -> Option<String> {
    weir_connector::misfit(schema, item, |_, _| None)
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

/// Which set an item's id goes to for a place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Spot {
    /// It has none.
    None,
    /// The geo set.
    Cell { lat: f64, lon: f64 },
    /// Where geo sets have no cells.
    Beyond,
}

/// The spot of a place.
pub(crate) fn spot(value: Option<&Value>) -> Spot {
    match value {
        // The server takes its world's last edges and then does not find what lies on them: 180 degrees are -180 as well.
        Some(Value::Geo { lat, lon }) if lat.abs() < LAT_MAX => {
            Spot::Cell { lat: *lat, lon: if *lon >= 180.0 { -180.0 } else { *lon } }
        }
        Some(Value::Geo { .. }) => Spot::Beyond,
        _ => Spot::None,
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
        assert_eq!(spot(Some(&Value::Geo { lat: 51.5, lon: -0.1 })), Spot::Cell { lat: 51.5, lon: -0.1 });
        assert_eq!(spot(Some(&Value::Geo { lat: -89.0, lon: 0.0 })), Spot::Beyond);
        assert_eq!(spot(Some(&Value::Geo { lat: LAT_MAX, lon: 0.0 })), Spot::Beyond);
        assert_eq!(spot(Some(&Value::Geo { lat: 1.0, lon: 180.0 })), Spot::Cell { lat: 1.0, lon: -180.0 });
        assert_eq!((spot(Some(&Value::Null)), spot(None)), (Spot::None, Spot::None));
    }
}
