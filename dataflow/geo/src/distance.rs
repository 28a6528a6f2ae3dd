//! Distances on a sphere of the Earth's mean radius, and the box around a circle.
//!
//! Decides nothing about ellipsoids: against WGS 84 a distance here is off by at most 0.56 %. Invariant: a box around a circle
//! contains every point of it, at the poles and across the antimeridian, too.

use crate::location::Location;

/// Mean radius R1 of the Earth (IUGG), kilometres.
pub const EARTH_RADIUS_KM: f64 = 6371.0088;

/// Degrees added to each side of a box, so that rounding never leaves out a point on the circle. About 0.1 mm.
const SLACK: f64 = 1e-9;

/// Great-circle distance in kilometres, by the haversine formula.
#[must_use]
pub fn haversine_km(a: Location, b: Location) -> f64 {
    let (lat_a, lat_b) = (a.lat().to_radians(), b.lat().to_radians());
    let half_lat = ((lat_b - lat_a) / 2.0).sin();
    let half_lon = ((b.lon() - a.lon()).to_radians() / 2.0).sin();
    let h = half_lat * half_lat + lat_a.cos() * lat_b.cos() * half_lon * half_lon;
    2.0 * EARTH_RADIUS_KM * h.sqrt().min(1.0).asin()
}

/// A box of latitudes and longitudes. When `west > east` it crosses the antimeridian.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BoundingBox {
    /// Southern edge, degrees.
    pub south: f64,
    /// Western edge, degrees.
    pub west: f64,
    /// Northern edge, degrees.
    pub north: f64,
    /// Eastern edge, degrees.
    pub east: f64,
}

impl BoundingBox {
    /// The smallest box around all points within `km` of `centre`, about. A negative or undefined distance counts as none.
    #[must_use]
    pub fn around(centre: Location, km: f64) -> BoundingBox {
        let angle = km.max(0.0) / EARTH_RADIUS_KM;
        let reach = angle.to_degrees() + SLACK;
        let south = (centre.lat() - reach).max(-90.0);
        let north = (centre.lat() + reach).min(90.0);
        let whole = BoundingBox { south, west: -180.0, north, east: 180.0 };
        // A circle that reaches a pole has every longitude.
        if south <= -90.0 || north >= 90.0 {
            return whole;
        }
        let wide = (angle.sin() / centre.lat().to_radians().cos()).min(1.0).asin().to_degrees() + SLACK;
        if wide >= 180.0 {
            return whole;
        }
        let wrapped = |lon: f64| match lon {
            lon if lon < -180.0 => lon + 360.0,
            lon if lon > 180.0 => lon - 360.0,
            lon => lon,
        };
        BoundingBox { south, west: wrapped(centre.lon() - wide), north, east: wrapped(centre.lon() + wide) }
    }

    /// Whether a point lies in the box.
    #[must_use]
    pub fn contains(&self, point: Location) -> bool {
        // 180 east and 180 west are one meridian.
        let in_longitudes = |lon: f64| self.longitudes().any(|(west, east)| (west..=east).contains(&lon));
        (self.south..=self.north).contains(&point.lat())
            && (in_longitudes(point.lon()) || (point.lon().abs() == 180.0 && in_longitudes(-point.lon())))
    }

    /// Ranges of longitude, west to east: one, or two when the box crosses the antimeridian. For queries that know no wrapping.
    pub fn longitudes(&self) -> impl Iterator<Item = (f64, f64)> + use<> {
        let (first, second) = if self.west <= self.east {
            ((self.west, self.east), None)
        } else {
            ((self.west, 180.0), Some((-180.0, self.east)))
        };
        std::iter::once(first).chain(second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(lat: f64, lon: f64) -> Location {
        Location::new(lat, lon).unwrap()
    }

    // From tests/oracle.py: the angle between unit vectors (atan2 of cross and dot product), 50 digits, same radius.
    include!("../tests/oracle/distances.rs");

    #[test]
    fn distances_agree_with_the_oracle_to_a_millimetre() {
        for (lat_a, lon_a, lat_b, lon_b, km) in DISTANCES {
            let found = haversine_km(at(lat_a, lon_a), at(lat_b, lon_b));
            // Near the antipode the formula loses digits: the arcsine is steep there.
            let tolerance = if km > 20_000.0 { 1e-1 } else { 1e-6 };
            assert!((found - km).abs() <= tolerance, "({lat_a}, {lon_a}) to ({lat_b}, {lon_b}): {found}, not {km}");
        }
    }

    #[test]
    fn a_box_wraps_at_the_antimeridian_and_opens_at_a_pole() {
        let fiji = BoundingBox::around(at(-17.0, 179.9), 50.0);
        assert!(fiji.west > fiji.east && fiji.longitudes().count() == 2);
        assert!(fiji.contains(at(-17.0, -179.9)) && !fiji.contains(at(-17.0, 0.0)));
        let pole = BoundingBox::around(at(89.9, 10.0), 50.0);
        assert_eq!((pole.west, pole.east, pole.north), (-180.0, 180.0, 90.0));
        assert!(pole.contains(at(89.9, -170.0)));
        assert!(BoundingBox::around(at(0.0, 0.0), f64::NAN).contains(at(0.0, 0.0)));
        assert!(BoundingBox::around(at(0.0, 180.0), 1.0).contains(at(0.0, -180.0)));
        let everywhere = BoundingBox::around(at(10.0, 20.0), 30_000.0);
        assert_eq!((everywhere.south, everywhere.north), (-90.0, 90.0));
    }

    #[test]
    fn a_box_is_not_much_larger_than_its_circle() {
        let london = BoundingBox::around(at(51.5, -0.12), 10.0);
        assert!((london.north - london.south - 0.1799).abs() < 1e-3, "{london:?}");
        assert!((london.east - london.west - 0.2890).abs() < 1e-3, "{london:?}");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(4_000) })]

        #[test]
        fn a_box_has_every_point_of_its_circle(
            lat in -90.0..=90.0f64, lon in -180.0..=180.0f64, bearing in 0.0..360.0f64, km in 0.0..20_100.0f64, part in 0.0..=1.0f64,
        ) {
            let centre = at(lat, lon);
            let point = moved(centre, bearing, km * part);
            prop_assume!(haversine_km(centre, point) <= km);
            prop_assert!(BoundingBox::around(centre, km).contains(point), "{point} within {km} km of {centre}");
        }

        #[test]
        fn distance_is_symmetric_and_bounded(
            a in (-90.0..=90.0f64, -180.0..=180.0f64), b in (-90.0..=90.0f64, -180.0..=180.0f64),
        ) {
            let (a, b) = (at(a.0, a.1), at(b.0, b.1));
            let km = haversine_km(a, b);
            prop_assert_eq!(km, haversine_km(b, a));
            prop_assert!((0.0..=20_015.2).contains(&km));
            prop_assert_eq!(haversine_km(a, a), 0.0);
        }
    }

    /// The point `km` from `from` in a direction.
    fn moved(from: Location, bearing: f64, km: f64) -> Location {
        let (lat, lon) = (from.lat().to_radians(), from.lon().to_radians());
        let (bearing, angle) = (bearing.to_radians(), km / EARTH_RADIUS_KM);
        let north = (lat.sin() * angle.cos() + lat.cos() * angle.sin() * bearing.cos()).clamp(-1.0, 1.0).asin();
        let east = (bearing.sin() * angle.sin() * lat.cos()).atan2(angle.cos() - lat.sin() * north.sin());
        let degrees = (lon + east).to_degrees();
        at(north.to_degrees().clamp(-90.0, 90.0), (degrees + 540.0).rem_euclid(360.0) - 180.0)
    }
}
