//! The listings nearest to a point: what is asked, and what makes the answer the same from every sink.
//!
//! Decides distances (great circles between the places as they were written), which listings count, and their order. A sink brings
//! listings near the point, nearest first by its own measure, until `is_complete`. Invariants: none further than asked for, none
//! that a condition leaves out; at one distance the smaller id comes first.

use crate::{BoxFuture, Condition, ErrorClass, Filter, SinkError};
use serde_json::{Map, Value as Json};
use weir_geo::{Location, haversine_km};
use weir_model::{Field, FieldKind, ItemId};

/// Most listings that may be asked for: what Elasticsearch gives at once.
pub const LIMIT_MAX: usize = 10_000;

/// What is searched.
#[derive(Clone, Debug, PartialEq)]
pub struct Near {
    /// The point.
    pub at: Location,
    /// Not further than this.
    pub within_km: Option<f64>,
    /// At most this many, 1 to `LIMIT_MAX`.
    pub limit: usize,
    /// The item type; `None`: the first, by name, that has a place.
    pub item: Option<String>,
    /// The place's field; `None`: the first of the type.
    pub field: Option<String>,
    /// What else must hold.
    pub conditions: Vec<Condition>,
}

impl Near {
    /// The nearest listings to a point, without further conditions.
    #[must_use]
    pub fn new(at: Location, limit: usize) -> Near {
        Near { at, within_km: None, limit, item: None, field: None, conditions: Vec::new() }
    }
}

/// A listing that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Its identity; 0 for a row that is none of weir's.
    pub id: ItemId,
    /// Kilometres from the point.
    pub km: f64,
    /// Its fields as a feed has them, in the order of the spider file.
    pub item: Map<String, Json>,
}

/// A sink that can be read.
pub trait Reader: Send + Sync {
    /// The nearest listings that are not delisted, nearest first.
    fn nearest<'a>(&'a self, near: &'a Near) -> BoxFuture<'a, Result<Vec<Found>, SinkError>>;
}

/// A search on one item type.
#[derive(Clone, Debug, PartialEq)]
pub struct Search {
    /// The point.
    pub at: Location,
    /// Not further than this.
    pub within_km: Option<f64>,
    /// At most this many.
    pub limit: usize,
    /// The type's fields.
    pub fields: Vec<Field>,
    /// The name of the place's field.
    pub place: String,
    /// The conditions, by the fields' types.
    pub filters: Vec<Filter>,
}

impl Search {
    /// The field that would be searched by in a type of these fields; `None`: it has no such place.
    #[must_use]
    pub fn place<'f>(near: &Near, fields: &'f [Field]) -> Option<&'f Field> {
        let mut places = fields.iter().filter(|field| field.kind == FieldKind::GeoPoint && !field.many);
        places.find(|field| near.field.as_ref().is_none_or(|wanted| *wanted == field.name))
    }

    /// A search on a type; `shown` names the sink.
    pub fn new(near: &Near, fields: Vec<Field>, shown: &str) -> Result<Search, SinkError> {
        let refuse = |what: String, expected: &str, todo: &str| {
            SinkError::new(ErrorClass::Configuration, what, shown.to_owned(), expected, todo)
        };
        if !(1..=LIMIT_MAX).contains(&near.limit) {
            return Err(refuse(format!("{} listings asked for", near.limit), "1 to 10000", "Write --limit N"));
        }
        if let Some(km) = near.within_km.filter(|km| !km.is_finite() || *km <= 0.0) {
            return Err(refuse(format!("within {km} km"), "a distance above 0", "Write --within KM"));
        }
        let Some(place) = Search::place(near, &fields).map(|field| field.name.clone()) else {
            return Err(Search::no_place(near, shown));
        };
        let filters = near.conditions.iter().map(|condition| condition.on(&fields)).collect::<Result<_, _>>()?;
        Ok(Search { at: near.at, within_km: near.within_km, limit: near.limit, fields, place, filters })
    }

    /// The error when nothing that can be searched is there.
    #[must_use]
    pub fn no_place(near: &Near, shown: &str) -> SinkError {
        let of = near.item.as_ref().map_or(String::new(), |item| format!(" of type {item:?}"));
        let what = match &near.field {
            Some(field) => format!("no items{of} with a place {field:?}"),
            None => format!("no items{of} with a place"),
        };
        SinkError::new(
            ErrorClass::Configuration,
            what,
            shown.to_owned(),
            "items with a geo_point field",
            "Correct the sink's URL, --item or --field, or crawl with a spider that has a location",
        )
    }

    /// An item, field by field.
    pub fn item(&self, mut value: impl FnMut(&Field) -> Json) -> Map<String, Json> {
        self.fields.iter().map(|field| (field.name.clone(), value(field))).collect()
    }

    /// Kilometres from the point to an item's place; `None` when it has none.
    #[must_use]
    pub fn km(&self, item: &Map<String, Json>) -> Option<f64> {
        let place = item.get(&self.place)?;
        let number = |name: &str| place.get(name).and_then(Json::as_f64);
        let place = Location::new(number("lat")?, number("lon")?).ok()?;
        Some(haversine_km(self.at, place))
    }

    /// Whether a listing this far away with these fields is wanted.
    #[must_use]
    pub fn wants(&self, km: f64, item: &Map<String, Json>) -> bool {
        self.within_km.is_none_or(|within| km <= within)
            && self.filters.iter().all(|filter| filter.holds(item.get(&filter.field.name).unwrap_or(&Json::Null)))
    }

    /// Puts what was found in order, and leaves out what is too much.
    pub fn rank(&self, found: &mut Vec<Found>) {
        found.sort_by(|a, b| a.km.total_cmp(&b.km).then(a.id.0.cmp(&b.id.0)));
        found.truncate(self.limit);
    }

    /// Whether nobody else can belong to these (in order), when all listings nearer than `horizon_km` were seen.
    #[must_use]
    pub fn is_complete(&self, found: &[Found], horizon_km: f64) -> bool {
        found.len() >= self.limit && found.get(self.limit - 1).is_some_and(|last| last.km < horizon_km)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract;
    use serde_json::json;

    fn search(limit: usize) -> Search {
        let near = Near::new(Location::new(51.5, 0.0).expect("a place"), limit);
        Search::new(&near, contract::schema().fields, "x").expect("a right search")
    }

    #[test]
    fn at_one_distance_the_smaller_id_comes_first_whoever_brings_it() {
        let search = search(2);
        let found = |id: u128, km: f64| Found { id: ItemId(id), km, item: Map::new() };
        let mut all = vec![found(9, 1.0), found(3, 1.0), found(5, 1.0), found(1, 2.0)];
        search.rank(&mut all);
        assert_eq!(all.iter().map(|found| found.id.0).collect::<Vec<_>>(), [3, 5]);
        assert!(search.is_complete(&all, 1.001) && !search.is_complete(&all, 1.0), "a third could be at 1.0, too");
        assert!(!search.is_complete(&all[..1], 9.0));
    }

    #[test]
    fn only_what_has_a_place_can_be_near() {
        let search = search(1);
        let item = |place: Json| Map::from_iter([("location".to_owned(), place)]);
        assert!(search.km(&item(json!({"lat": 51.5, "lon": 0.0}))).is_some_and(|km| km == 0.0));
        assert_eq!(search.km(&item(Json::Null)), None);
        assert_eq!(search.km(&item(json!({"lat": 151.5, "lon": 0.0}))), None);
        let near = Near { field: Some("price".to_owned()), ..Near::new(search.at, 1) };
        let error = Search::new(&near, contract::schema().fields, "x").expect_err("no place");
        assert!(error.what.contains("\"price\""), "{error}");
    }
}
