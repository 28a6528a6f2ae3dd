use super::*;
use crate::location::Location;
use proptest::prelude::*;

fn provider(kind: ProviderKind) -> Provider {
    Provider::new(config(kind)).unwrap()
}

fn config(kind: ProviderKind) -> ProviderConfig {
    let url = Some("http://localhost:9312/maps/api/geocode/json".to_owned());
    ProviderConfig { url, ..ProviderConfig::new("site", kind) }
}

fn answer(status: u16, body: &str) -> HttpAnswer {
    HttpAnswer { status, body: body.as_bytes().to_vec(), retry_after_us: None }
}

const OK: &str = r#"{"results": [{"address_components": [], "formatted_address": "Ashford, London",
  "geometry": {"location": {"lat": 51.5, "lng": -0.12}, "location_type": "ROOFTOP"}, "types": ["street_address"]},
  {"geometry": {"location": {"lat": 1, "lng": 2}}}], "status": "OK"}"#;

#[test]
fn google_is_asked_with_the_address_and_a_key_that_nobody_sees() {
    let key = Some(SecretName("GEO_KEY".to_owned()));
    let config = ProviderConfig { key, region: Some("gb".to_owned()), ..config(ProviderKind::Google) };
    let request = Provider::new(config).unwrap().request("5 Rue de l'Église & Co, #3");
    assert_eq!(
        request.url,
        "http://localhost:9312/maps/api/geocode/json?address=5+Rue+de+l%27%C3%89glise+%26+Co%2C+%233&region=gb"
    );
    let whole = request.with_key("s3cret&x");
    assert!(whole.expose().ends_with("&region=gb&key=s3cret%26x"));
    for shown in [format!("{whole}"), format!("{whole:?}"), format!("{request:?}")] {
        assert!(!shown.contains("s3cret"), "{shown}");
    }
    assert_eq!(
        provider(ProviderKind::Google).request("x").with_key("unused").expose(),
        "http://localhost:9312/maps/api/geocode/json?address=x"
    );
}

#[test]
fn nominatim_is_asked_for_one_place() {
    let agent = Some("weir/0.1 (+https://example.org/bot)".to_owned());
    let config = ProviderConfig { user_agent: agent, ..ProviderConfig::new("osm", ProviderKind::Nominatim) };
    let osm = Provider::new(config).unwrap();
    let request = osm.request("Ashford, London");
    assert_eq!(request.url, "https://nominatim.openstreetmap.org/search?q=Ashford%2C+London&format=jsonv2&limit=1");
    assert_eq!(request.user_agent.as_deref(), Some("weir/0.1 (+https://example.org/bot)"));
    assert_eq!((osm.law().hits, osm.law().window_us, osm.parallel_max()), (1, SECOND_US, 1));
}

#[test]
fn published_rules_cannot_be_configured_away() {
    let agent = Some("weir (me@example.org)".to_owned());
    let osm = ProviderConfig { user_agent: agent, ..ProviderConfig::new("osm", ProviderKind::Nominatim) };
    let google =
        ProviderConfig { key: Some(SecretName("K".to_owned())), ..ProviderConfig::new("google", ProviderKind::Google) };
    assert!(Provider::new(osm.clone()).is_ok() && Provider::new(google.clone()).is_ok());
    let fast = Some(Limits { hits: 2, window_us: SECOND_US, moderated: false });
    let slow = Some(Limits { hits: 10, window_us: 60 * SECOND_US, moderated: true });
    assert!(Provider::new(ProviderConfig { law: slow, ..osm.clone() }).is_ok());
    for (config, setting) in [
        (ProviderConfig { law: fast, ..osm.clone() }, "rate"),
        (ProviderConfig { parallel_max: Some(2), ..osm.clone() }, "rate"),
        (ProviderConfig { user_agent: None, ..osm.clone() }, "user_agent"),
        (ProviderConfig { user_agent: Some("weir".to_owned()), ..osm.clone() }, "user_agent"),
        (ProviderConfig { user_agent: Some("a@b\r\nX: y".to_owned()), ..osm.clone() }, "user_agent"),
        (ProviderConfig { keep_us: Some(31 * DAY_US), ..google.clone() }, "keep"),
        (ProviderConfig { key: None, ..google.clone() }, "key"),
        (ProviderConfig { url: Some("http://geo.example.org/x".to_owned()), ..google.clone() }, "url"),
        (ProviderConfig { url: Some("https://me:pw@geo.example.org/x".to_owned()), ..google.clone() }, "url"),
        (ProviderConfig { url: Some("https://geo.example.org/x?key=1".to_owned()), ..google.clone() }, "url"),
        (ProviderConfig { url: Some("ftp://geo.example.org/x".to_owned()), ..google.clone() }, "url"),
        (ProviderConfig { parallel_max: Some(0), ..google.clone() }, "parallel"),
        (ProviderConfig { name: "My Geo".to_owned(), ..google.clone() }, "name"),
    ] {
        let error = Provider::new(config).unwrap_err();
        assert_eq!(error.setting, setting, "{error}");
        assert!(!error.to_string().contains("pw"), "{error}");
    }
    let own =
        ProviderConfig { url: Some("http://10.0.0.7/search".to_owned()), law: fast, parallel_max: Some(8), ..osm };
    assert!(Provider::new(own).is_ok(), "one's own Nominatim may be asked as fast as one likes");
}

#[test]
fn google_answers_mean_what_its_documentation_says() {
    let google = provider(ProviderKind::Google);
    let location = Location::new(51.5, -0.12).unwrap();
    assert_eq!(google.read(&answer(200, OK)), Reading::Found { location, precision: Precision::Rooftop });
    let said = |status: &str| format!("{{\"results\": [], \"status\": \"{status}\", \"error_message\": \"\"}}");
    assert_eq!(google.read(&answer(200, &said("ZERO_RESULTS"))), Reading::NotFound);
    assert_eq!(google.read(&answer(200, &said("OK"))), Reading::NotFound);
    assert_eq!(google.read(&answer(200, &said("OVER_QUERY_LIMIT"))), Reading::OverLimit);
    assert_eq!(google.read(&answer(400, &said("INVALID_REQUEST"))), Reading::Refused);
    assert!(matches!(google.read(&answer(200, &said("UNKNOWN_ERROR"))), Reading::Failed(_)));
    assert!(matches!(google.read(&answer(200, &said("REQUEST_DENIED"))), Reading::Denied(_)));
    assert!(matches!(google.read(&answer(200, &said("OVER_DAILY_LIMIT"))), Reading::Denied(_)));
    assert!(matches!(google.read(&answer(200, &said("SOMETHING_NEW"))), Reading::Failed(_)));
    let impossible = OK.replace("51.5", "151.5");
    assert!(matches!(google.read(&answer(200, &impossible)), Reading::Failed(why) if why.contains("latitude 151.5")));
}

#[test]
fn a_key_in_a_providers_words_is_not_shown() {
    let body = r#"{"status": "REQUEST_DENIED", "results": [],
        "error_message": "The provided API key AIzaSyD-9tSrke72PouQMnMX-a7eZSW0jkFMBWY is\ninvalid (key=AIzaSyD-9tSrke72PouQMnMX)."}"#;
    let Reading::Denied(why) = provider(ProviderKind::Google).read(&answer(200, body)) else { panic!("denied") };
    assert_eq!(why, "REQUEST_DENIED: The provided API key *** is invalid (key=***).");
}

#[test]
fn nominatim_answers_mean_what_its_documentation_says() {
    let osm = provider(ProviderKind::Nominatim);
    let place = |more: &str| format!("[{{\"place_id\": 1, \"lat\": \"51.5\", \"lon\": \"-0.12\"{more}}}]");
    let location = Location::new(51.5, -0.12).unwrap();
    for (more, precision) in [
        (r#", "place_rank": 30, "category": "building", "type": "yes""#, Precision::Rooftop),
        (r#", "place_rank": 30, "category": "place", "type": "houses""#, Precision::Interpolated),
        (r#", "place_rank": 26, "category": "highway", "addresstype": "road""#, Precision::Centre),
        (r#", "place_rank": 16, "category": "boundary""#, Precision::Approximate),
        (r#", "class": "highway", "type": "residential""#, Precision::Centre),
        (r#", "class": "building", "type": "house""#, Precision::Rooftop),
        ("", Precision::Unknown),
    ] {
        assert_eq!(osm.read(&answer(200, &place(more))), Reading::Found { location, precision }, "{more}");
    }
    assert_eq!(
        osm.read(&answer(200, r#"[{"lat": 51.5, "lon": -0.12}]"#)),
        Reading::Found { location, precision: Precision::Unknown }
    );
    assert_eq!(osm.read(&answer(200, "[]")), Reading::NotFound);
    assert_eq!(osm.read(&answer(200, r#"{"error": "Unable to geocode"}"#)), Reading::NotFound);
    let denied = osm.read(&answer(403, r#"{"error": {"code": 403, "message": "blocked for bulk use"}}"#));
    assert!(matches!(denied, Reading::Denied(why) if why.contains("blocked for bulk use")));
    assert!(matches!(osm.read(&answer(200, r#"[{"lat": "x", "lon": "1"}]"#)), Reading::Failed(_)));
}

#[test]
fn http_failures_and_garbage_have_a_class() {
    for kind in [ProviderKind::Google, ProviderKind::Nominatim] {
        let provider = provider(kind);
        for body in ["", "<html>Service Unavailable</html>", "{\"results\"", "[1", "null", "\"OK\"", "{}"] {
            assert!(matches!(provider.read(&answer(503, body)), Reading::Failed(_)), "{body}");
            assert_eq!(provider.read(&answer(429, body)), Reading::OverLimit, "{body}");
            assert_eq!(provider.read(&answer(414, body)), Reading::Refused, "{body}");
            for status in [301, 401, 403, 404] {
                assert!(matches!(provider.read(&answer(status, body)), Reading::Denied(_)), "{status} {body}");
            }
            assert!(matches!(provider.read(&answer(200, body)), Reading::Failed(_)), "{body}");
        }
        let huge = HttpAnswer { status: 200, body: vec![b'['; (1 << 20) + 1], retry_after_us: None };
        assert!(matches!(provider.read(&huge), Reading::Failed(_)));
        let deep = HttpAnswer { status: 200, body: vec![b'['; 1 << 20], retry_after_us: None };
        assert!(matches!(provider.read(&deep), Reading::Failed(_)));
    }
}

#[test]
fn stages_share_a_rate_and_never_make_more_of_it() {
    let rate = |hits| Some(Limits { hits, window_us: 60_000_000, moderated: false });
    let own = |hits, parallel| {
        let url = Some("http://localhost:1/geo".to_owned());
        let config = ProviderConfig {
            url,
            law: rate(hits),
            parallel_max: parallel,
            ..ProviderConfig::new("own", ProviderKind::Nominatim)
        };
        Provider::new(config).expect("right")
    };
    for (hits, stages, each) in [(50, 1, 50), (50, 4, 12), (4, 4, 1)] {
        let shared = own(hits, Some(6)).shared_by(stages).expect("enough for all");
        assert_eq!(shared.law().hits, each);
        assert!(shared.parallel_max() * stages as usize <= 6);
    }
    let said = own(3, None).shared_by(4).expect_err("too few").to_string();
    assert!(said.contains("geocode.providers.own.rate: 4 stages share 3 calls in 60000 ms"), "{said}");
    let agent = Some("bot (+mailto:me@example.com)".to_owned());
    let public =
        Provider::new(ProviderConfig { user_agent: agent, ..ProviderConfig::new("osm", ProviderKind::Nominatim) });
    let public = public.expect("right");
    assert!(public.shared_by(1).is_ok());
    assert!(public.shared_by(2).expect_err("two callers").to_string().contains("asked by one caller"));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1_000) })]

    #[test]
    fn no_answer_panics(status in 0..700u16, body in prop::collection::vec(any::<u8>(), 0..200), cut in 0..400usize) {
        for kind in [ProviderKind::Google, ProviderKind::Nominatim] {
            let provider = provider(kind);
            let _ = provider.read(&HttpAnswer { status, body: body.clone(), retry_after_us: None });
            let _ = provider.read(&answer(status, OK.get(..cut).unwrap_or(OK)));
        }
    }

    #[test]
    fn an_address_cannot_leave_its_parameter(address in "\\PC{0,40}") {
        for kind in [ProviderKind::Google, ProviderKind::Nominatim] {
            let url = Url::parse(&provider(kind).request(&address).url).unwrap();
            prop_assert_eq!(url.path(), "/maps/api/geocode/json");
            let first = url.query_pairs().next().unwrap();
            prop_assert_eq!(first.1.as_ref(), address.as_str());
            prop_assert!(url.fragment().is_none());
        }
    }
}
