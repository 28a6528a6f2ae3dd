//! From an item's schema to a mapping, names that an index and its fields may have, and how two mappings differ. Pure.

use serde_json::{Map, Value as Json, json};
use weir_model::{Field, FieldKind, ItemSchema};

/// What stands before every housekeeping field. A leading underscore is the server's own: it refuses `_version` as a field.
pub(crate) const PREFIX: &str = "weir_";
/// When a listing was found to be gone; a newer version of it has no such field.
pub(crate) const DELISTED: &str = "weir_delisted_at";
/// Longest text that is a keyword, in UTF-16 units: the server takes 32,766 bytes a term. Longer text is searchable all the same.
const KEYWORD_UNITS_MAX: u32 = 8_191;
/// Longest name of an index, less the number behind it.
const NAME_BYTES_MAX: usize = 240;

/// The mapping of a field. Lists need none of their own: every field of an index may hold several values.
fn field_mapping(field: &Field) -> Json {
    match field.kind {
        FieldKind::Str => {
            json!({"type": "keyword", "ignore_above": KEYWORD_UNITS_MAX, "fields": {"text": {"type": "text"}}})
        }
        FieldKind::Int => json!({"type": "long"}),
        FieldKind::Float => json!({"type": "double"}),
        FieldKind::Bool => json!({"type": "boolean"}),
        FieldKind::Datetime => json!({"type": "date", "format": "strict_date_optional_time"}),
        FieldKind::Date => json!({"type": "date", "format": "strict_date"}),
        FieldKind::GeoPoint => json!({"type": "geo_point"}),
        // Any JSON, kept and given back, not indexed: its inner fields would each need a mapping.
        FieldKind::Json => json!({"type": "object", "enabled": false}),
    }
}

/// The fields of an index for an item type.
pub(crate) fn properties(schema: &ItemSchema) -> Map<String, Json> {
    let mut all: Map<String, Json> =
        schema.fields.iter().map(|field| (field.name.clone(), field_mapping(field))).collect();
    for (name, kind) in [("job", "keyword"), ("spider", "keyword"), ("version", "long"), ("hash", "keyword")] {
        all.insert(format!("{PREFIX}{name}"), json!({"type": kind}));
    }
    for name in ["weir_fetched_at", DELISTED] {
        all.insert(name.to_owned(), json!({"type": "date", "format": "strict_date_optional_time"}));
    }
    all
}

/// Why a name can be no alias; `None` when it can.
pub(crate) fn bad_index_name(name: &str) -> Option<String> {
    let bad = |c: char| c.is_uppercase() || c.is_control() || c.is_whitespace() || "\\/*?\"<>|,#:%".contains(c);
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.starts_with(['-', '_', '+', '.']) || name.contains(bad) {
        return Some(format!("{name:?} is no name of an index"));
    }
    None
}

/// Why a field can be none of an index; `None` when all can.
pub(crate) fn bad_field_name(schema: &ItemSchema) -> Option<String> {
    schema.fields.iter().map(|field| field.name.as_str()).find_map(|name| {
        let why = if name.trim().is_empty() || name.len() > 255 || name.contains(char::is_control) {
            "it is empty, too long, or holds control characters"
        } else if name.contains('.') {
            "a dot divides an object from its field"
        } else if name.starts_with('_') {
            "a leading underscore is the server's own"
        } else if name.starts_with(PREFIX) {
            "weir_ is the prefix of housekeeping fields"
        } else {
            return None;
        };
        Some(format!("field {name:?} of {:?} can be none of an index: {why}", schema.name))
    })
}

/// One field that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    pub field: String,
    /// What the index has; `None`: it lacks the field.
    pub there: Option<String>,
    pub wanted: String,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let there = self.there.as_deref().unwrap_or("nothing");
        write!(f, "{}: the index has {there}, the items need {}", self.field, self.wanted)
    }
}

/// Where an index differs from what is wanted. Fields that only the index has are no difference.
pub(crate) fn differences(there: &Map<String, Json>, wanted: &Map<String, Json>) -> Vec<Difference> {
    let differs = |(name, wanted): (&String, &Json)| {
        let have = there.get(name);
        if have.is_some_and(|have| serves(have, wanted)) {
            return None;
        }
        Some(Difference { field: name.clone(), there: have.map(described), wanted: described(wanted) })
    };
    wanted.iter().filter_map(differs).collect()
}

fn kind(mapping: &Json) -> &str {
    mapping.get("type").and_then(Json::as_str).unwrap_or("object")
}

/// Values for one mapping may go to another: the same type, and whatever was set beside it by hand is left to that hand.
fn serves(have: &Json, wanted: &Json) -> bool {
    let format = have.get("format").and_then(Json::as_str);
    kind(have) == kind(wanted)
        && match kind(wanted) {
            "object" => have.get("enabled") == Some(&Json::Bool(false)),
            // Every date format of ours is a part of this one, which is the server's own, too.
            "date" => {
                let parts = |format: &str| format.split("||").any(|part| part == "strict_date_optional_time");
                format == wanted.get("format").and_then(Json::as_str) || format.is_none_or(parts)
            }
            _ => true,
        }
}

/// `keyword`, `date (strict_date)`, `object (its fields indexed)`.
fn described(mapping: &Json) -> String {
    match (kind(mapping), mapping.get("format").and_then(Json::as_str), mapping.get("enabled")) {
        ("object", _, Some(Json::Bool(false))) => "object (not indexed)".to_owned(),
        ("object", ..) => "object (its fields indexed)".to_owned(),
        (kind, Some(format), _) => format!("{kind} ({format})"),
        (kind, None, _) => kind.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_connector::contract;

    #[test]
    fn a_schema_becomes_a_mapping() {
        let all = properties(&contract::schema());
        assert_eq!(all["url"]["type"], "keyword");
        assert_eq!(all["url"]["fields"]["text"]["type"], "text");
        let kinds: Vec<&str> = all.values().map(kind).collect();
        assert_eq!(
            kinds,
            [
                "keyword",
                "double",
                "long",
                "keyword",
                "date",
                "geo_point",
                "object",
                "boolean",
                "keyword",
                "keyword",
                "long",
                "keyword",
                "date",
                "date"
            ]
        );
        assert!(all.keys().all(|name| !name.starts_with('_')));
    }

    #[test]
    fn mappings_are_compared_field_by_field() {
        let wanted = properties(&contract::schema());
        assert_eq!(differences(&wanted, &wanted), []);
        let mut there = wanted.clone();
        there.remove("new");
        there.insert("price".to_owned(), json!({"type": "text"}));
        there.insert("seen".to_owned(), json!({"type": "date", "format": "epoch_millis"}));
        there.insert("extra".to_owned(), json!({"properties": {"n": {"type": "long"}}}));
        there.insert("by_hand".to_owned(), json!({"type": "ip"}));
        there.insert("url".to_owned(), json!({"type": "keyword", "ignore_above": 256}));
        let shown: Vec<String> = differences(&there, &wanted).iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            [
                "price: the index has text, the items need double",
                "seen: the index has date (epoch_millis), the items need date (strict_date_optional_time)",
                "extra: the index has object (its fields indexed), the items need object (not indexed)",
                "new: the index has nothing, the items need boolean",
            ]
        );
        there.insert("seen".to_owned(), json!({"type": "date"}));
        assert_eq!(differences(&there, &wanted).len(), 3, "the server's own format holds ours");
    }

    #[test]
    fn names_that_the_server_would_refuse_or_take_otherwise_are_refused() {
        for name in ["", "Homes", "_homes", "a,b", "a*", "a b", ".hidden", "a/b", "-a", &"x".repeat(241)] {
            assert!(bad_index_name(name).is_some(), "{name}");
        }
        assert!(["homes", "homes-2026", "größen", "a.b_c"].iter().all(|name| bad_index_name(name).is_none()));
        for name in ["", " ", "a.b", "_id", "weir_version", "a\u{0}"] {
            let mut schema = contract::schema();
            schema.fields[2].name = name.to_owned();
            assert!(bad_field_name(&schema).is_some(), "{name}");
        }
        assert_eq!(bad_field_name(&contract::schema()), None);
    }
}
