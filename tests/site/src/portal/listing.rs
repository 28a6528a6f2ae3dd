//! A listing in owned values: what a spider with DESIGN.md's fields must have in its store.

use super::facts::{Facts, Form};
use super::{geo, push_number};

/// A listing as a spider must extract it.
#[derive(Clone, Debug, PartialEq)]
pub struct Listing {
    /// Its number, from 0.
    pub number: usize,
    /// The path of its page below the base: `/properties/property_000000.html`.
    pub path: String,
    /// Trimmed and in title case.
    pub title: String,
    /// Pounds a week.
    pub price: f64,
    /// Its sentences, joined with a space.
    pub description: String,
    /// `Quarter, Town`.
    pub address: String,
    /// The town alone.
    pub town: String,
    /// Paths of its images from the root of the host: `/images/i07.jpg`.
    pub image_paths: Vec<String>,
    /// Latitude in degrees, as the geocoder of the site answers for the address.
    pub lat: f64,
    /// Longitude in degrees.
    pub lon: f64,
}

impl Listing {
    pub(crate) fn of(facts: &Facts) -> Listing {
        let text = |write: &dyn Fn(&mut String)| {
            let mut out = String::new();
            write(&mut out);
            out
        };
        let address = text(&|out| facts.push_address(out));
        let place = geo::locate(&address).expect("every listing lies in a town of the site");
        Listing {
            number: facts.number,
            path: text(&|out| {
                out.push_str("/properties/");
                push_page_name(out, facts.number);
            }),
            title: text(&|out| facts.push_title(out, Form::Value)),
            price: facts.pence() as f64 / 100.0,
            description: text(&|out| facts.push_description(out, Form::Value)),
            town: facts.town().name.to_owned(),
            address,
            image_paths: facts
                .images()
                .map(|image| {
                    text(&|out| {
                        out.push('/');
                        push_image_path(out, image);
                    })
                })
                .collect(),
            lat: place.lat,
            lon: place.lon,
        }
    }

    /// The URL of its page for a spider with this `base`, for example `http://localhost:9312/large`.
    pub fn url(&self, base: &str) -> String {
        format!("{base}{}", self.path)
    }

    /// The absolute URLs of its images, for an origin such as `http://localhost:9312`.
    pub fn image_urls(&self, origin: &str) -> Vec<String> {
        self.image_paths.iter().map(|path| format!("{origin}{path}")).collect()
    }
}

/// `property_000000.html`.
pub(crate) fn push_page_name(out: &mut String, number: usize) {
    out.push_str("property_");
    push_number(out, number as u64, 6);
    out.push_str(".html");
}

/// `images/i00.jpg`.
pub(crate) fn push_image_path(out: &mut String, image: usize) {
    out.push_str("images/i");
    push_number(out, image as u64, 2);
    out.push_str(".jpg");
}
