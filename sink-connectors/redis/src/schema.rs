//! Keys and field names of an item type. Pure.
//!
//! Invariant: all keys of a type begin with the prefix and its name, so that deleting them by pattern takes the mark along.

use crate::place::RedisPlace;
use weir_model::{Field, FieldKind, ItemId, ItemSchema};

/// Fields of a hash that are not the item's.
pub(crate) const HOUSEKEEPING: [&str; 6] = ["_job", "_spider", "_version", "_hash", "_fetched_at", "_delisted_at"];

/// An item type's names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Keys {
    prefix: String,
    /// The generation.
    pub mark: String,
    /// Where rights are tried.
    pub trial: String,
    /// See there.
    pub places: Vec<Place>,
}

/// A field with a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Its position in the item.
    pub field: usize,
    /// The geo set of ids.
    pub geo: String,
    /// The set of ids whose places lie where geo sets have no cells.
    pub beyond: String,
}

impl Keys {
    /// The first bad name, and why.
    pub fn new(place: &RedisPlace, schema: &ItemSchema) -> Result<Keys, String> {
        let plain =
            |name: &str| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-') && !name.is_empty();
        if !plain(&schema.name) {
            return Err(format!("item type {:?} is no name for keys", schema.name));
        }
        if let Some(field) =
            schema.fields.iter().find(|field| HOUSEKEEPING.contains(&&*field.name) || field.name.is_empty())
        {
            return Err(format!("field {:?} is a name that the sink keeps for itself", field.name));
        }
        let prefix = format!("{}{}:", place.prefix, schema.name);
        let places = schema.fields.iter().enumerate().filter(|(_, field)| is_place(field));
        Ok(Keys {
            mark: format!("{prefix}_generation"),
            trial: format!("{prefix}_trial"),
            places: places
                .map(|(at, field)| Place {
                    field: at,
                    geo: geo_key(&place.prefix, &schema.name, &field.name),
                    beyond: beyond_key(&place.prefix, &schema.name, &field.name),
                })
                .collect(),
            prefix,
        })
    }

    /// What the keys of all items match, and some others.
    pub fn pattern(&self) -> String {
        // A prefix of the operator's own may have characters that mean something in a pattern.
        let mut pattern = String::new();
        for c in self.prefix.chars() {
            if matches!(c, '*' | '?' | '[' | ']' | '\\' | '^') {
                pattern.push('\\');
            }
            pattern.push(c);
        }
        pattern + "*"
    }

    /// The item of a key; `None`: it is no item's.
    pub fn id_of(&self, key: &str) -> Option<ItemId> {
        let id = key.strip_prefix(&self.prefix)?;
        (id.len() == 32).then(|| u128::from_str_radix(id, 16).ok().map(ItemId)).flatten()
    }

    /// The keys that a script about an item gets: its hash, then two sets for each place.
    pub fn of_item(&self, id: ItemId) -> Vec<String> {
        let sets = self.places.iter().flat_map(|place| [place.geo.clone(), place.beyond.clone()]);
        std::iter::once(self.item(id)).chain(sets).collect()
    }

    /// An item's hash.
    pub fn item(&self, id: ItemId) -> String {
        format!("{}{id}", self.prefix)
    }
}

fn is_place(field: &Field) -> bool {
    field.kind == FieldKind::GeoPoint && !field.many
}

/// The geo set of a type's field.
pub(crate) fn geo_key(prefix: &str, item: &str, field: &str) -> String {
    format!("{prefix}{item}:geo:{field}")
}

/// The set of those whose places no geo set can hold.
pub(crate) fn beyond_key(prefix: &str, item: &str, field: &str) -> String {
    format!("{prefix}{item}:beyond:{field}")
}

/// The set of `TYPE FIELD` of all places under a prefix.
pub(crate) fn places_key(prefix: &str) -> String {
    format!("{prefix}_places")
}

/// The hash of all types under a prefix, with the fields of each.
pub(crate) fn types_key(prefix: &str) -> String {
    format!("{prefix}_types")
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_connector::contract;

    #[test]
    fn keys_are_of_the_prefix_and_the_type() {
        let place = RedisPlace::parse("redis://h/0?prefix=x:").unwrap();
        let keys = Keys::new(&place, &contract::schema()).unwrap();
        assert_eq!(keys.item(ItemId(255)), "x:listing:000000000000000000000000000000ff");
        assert_eq!(keys.mark, "x:listing:_generation");
        let (geo, beyond) = ("x:listing:geo:location".to_owned(), "x:listing:beyond:location".to_owned());
        assert_eq!(keys.places, [Place { field: 5, geo, beyond }]);
    }

    #[test]
    fn names_that_would_mix_keys_up_are_refused() {
        let place = RedisPlace::parse("redis://h/0").unwrap();
        for name in ["a:b", "", "a b", "*"] {
            let mut schema = contract::schema();
            schema.name = name.to_owned();
            assert!(Keys::new(&place, &schema).is_err(), "{name}");
        }
        let mut schema = contract::schema();
        schema.fields[0].name = "_version".to_owned();
        assert!(Keys::new(&place, &schema).unwrap_err().contains("_version"));
    }
}
