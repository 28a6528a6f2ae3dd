//! Stories and properties of URLs.

use super::admit::admit_general;
use super::*;
use proptest::prelude::*;
use weir_model::JobId;

fn canonical(url: &str) -> String {
    canonicalize_url(url, &CanonicalOptions::default()).expect("a URL")
}

/// Fetch form and canonical form.
fn admitted(raw: &str) -> Result<(String, String), UrlError> {
    let mut scratch = Scratch::new();
    let admitted = admit_form(raw, &mut scratch)?;
    Ok((admitted.fetch().to_owned(), String::from_utf8(admitted.canonical().to_vec()).expect("ASCII")))
}

fn fetch(raw: &str) -> String {
    admitted(raw).expect("a URL that can be crawled").0
}

#[test]
fn an_ordinary_url_is_its_own_fetch_and_canonical_form() {
    for url in [
        "http://localhost:9312/properties/property_000001.html",
        "https://www.example.com/",
        "http://127.0.0.1:8000/a/b?c=1&d=2",
        "https://example.com/caf%C3%A9?q=a+b",
        "http://[::1]:81/x",
    ] {
        assert_eq!(admitted(url), Ok((url.to_owned(), url.to_owned())));
    }
}

#[test]
fn the_fetch_form_is_what_a_browser_would_send() {
    assert_eq!(fetch("HTTP://Example.COM"), "http://example.com/");
    assert_eq!(fetch("http://example.com?a=b"), "http://example.com/?a=b");
    assert_eq!(fetch("http://user:pass@example.com/x#top"), "http://example.com/x");
    assert_eq!(fetch(" http://exa\tmple.com\\a\n"), "http://example.com/a");
    assert_eq!(fetch("http://example.com:80/"), "http://example.com/");
    assert_eq!(fetch("https://example.com:80/"), "https://example.com:80/");
    assert_eq!(fetch("http://example.com./a"), "http://example.com/a");
    assert_eq!(fetch("http://example.com/a/./b/../c"), "http://example.com/a/c");
    assert_eq!(fetch("http://example.com/a/%2e%2E/c/%2e"), "http://example.com/c/");
    assert_eq!(fetch("http://example.com/../../etc/passwd"), "http://example.com/etc/passwd");
    assert_eq!(fetch("http://example.com/é f?q='ü'"), "http://example.com/%C3%A9%20f?q=%27%C3%BC%27");
    assert_eq!(fetch("http://bücher.example/"), "http://xn--bcher-kva.example/");
    assert_eq!(fetch("http://faß.example/"), "http://xn--fa-hia.example/", "browsers keep the sharp s apart");
    assert_eq!(fetch("http://0x7f.1/"), "http://127.0.0.1/");
    assert_eq!(fetch("http://127.1./"), "http://127.0.0.1/");
    assert_eq!(fetch("http://ex%41mple.com/"), "http://example.com/");
    assert_eq!(fetch("http://[0:0::1]:80/"), "http://[::1]/");
    assert_eq!(fetch("http://example.com/x?"), "http://example.com/x");
}

#[test]
fn what_cannot_be_crawled_is_refused_by_name() {
    for (raw, error) in [
        ("/relative", UrlError::Relative),
        ("www.example.com/", UrlError::Relative),
        ("", UrlError::Relative),
        ("mailto:a@example.com", UrlError::Scheme),
        ("javascript:void(0)", UrlError::Scheme),
        ("ftp://example.com/", UrlError::Scheme),
        ("http:///path", UrlError::NoHost),
        ("http:example.com", UrlError::NoHost),
        ("http://user@/", UrlError::NoHost),
        ("http://a b/", UrlError::Host),
        ("http://a..b/", UrlError::Host),
        ("http://.example.com/", UrlError::Host),
        ("http://1.2.3.4.5/", UrlError::Host),
        ("http://256.1.1.1/", UrlError::Host),
        ("http://[::1/", UrlError::Ipv6),
        ("http://[fe80::1%eth0]/", UrlError::Ipv6),
        ("http://example.com:66000/", UrlError::Port),
        ("http://example.com:x/", UrlError::Port),
        ("http://evil.com＼.example.com/", UrlError::Delimiter),
    ] {
        assert_eq!(admitted(raw).expect_err(raw), error, "{raw}");
    }
    let long = format!("http://example.com/{}", "a".repeat(URL_BYTES_MAX));
    assert_eq!(admitted(&long), Err(UrlError::TooLong));
    let grows = format!("http://example.com/{}", "é".repeat(URL_BYTES_MAX / 3));
    assert_eq!(admitted(&grows), Err(UrlError::TooLong));
    let fragment = format!("http://example.com/#{}", "a".repeat(URL_BYTES_MAX));
    assert_eq!(fetch(&fragment), "http://example.com/");
}

#[test]
fn the_parts_are_where_they_are_said_to_be() {
    let mut scratch = Scratch::new();
    let url = admit_form("https://Shop.Example.co.uk:8443/a?b=1", &mut scratch).expect("a URL");
    assert_eq!((url.scheme(), url.host(), url.port()), (Scheme::Https, "shop.example.co.uk", 8443));
    assert_eq!((url.origin(), url.path_and_query()), ("https://shop.example.co.uk:8443", "/a?b=1"));
    assert_eq!((url.domain(), &url.fetch()[url.domain_range()]), ("example.co.uk", "example.co.uk"));
    assert_eq!(url.domain_key(), crate::domain::domain_key("example.co.uk"));
    // The host remembered from the URL before must not be taken for this one's.
    let url = admit_form("https://example.com/", &mut scratch).expect("a URL");
    assert_eq!((url.domain(), url.port()), ("example.com", 443));
    let url = admit_form("http://a.localhost:1/", &mut scratch).expect("a URL");
    assert_eq!(url.domain(), "a.localhost");
}

#[test]
fn urls_that_differ_only_in_spelling_share_a_canonical_form() {
    for (one, other) in [
        ("http://example.com/do?c=3&b=5&b=2&a=50", "http://example.com/do?a=50&b=2&b=5&c=3"),
        ("http://example.com/%7Eme", "http://example.com/~me"),
        ("http://example.com/caf%c3%a9", "http://example.com/café"),
        ("http://example.com/?q=a%20b", "http://example.com/?q=a+b"),
        ("http://example.com/x#a", "http://example.com/x#b"),
        ("http://example.com/x?a", "http://example.com/x?a="),
        ("http://example.com/?a=%C3%A9&a=b", "http://example.com/?a=b&a=%C3%A9"),
        ("http://example.com", "http://EXAMPLE.com:80/"),
    ] {
        assert_eq!(admitted(one).expect(one).1, admitted(other).expect(other).1);
    }
    for (one, other) in [
        ("http://example.com/a%2Fb", "http://example.com/a/b"),
        ("http://example.com/A", "http://example.com/a"),
        ("http://example.com/", "https://example.com/"),
        ("http://example.com/?a=1&b=2", "http://example.com/?a=2&b=1"),
    ] {
        assert_ne!(admitted(one).expect(one).1, admitted(other).expect(other).1);
    }
}

#[test]
fn ipv6_addresses_are_written_as_short_as_they_can_be() {
    assert_eq!(canonical("http://[0:0:0:0:0:0:0:1]/"), "http://[::1]/");
    assert_eq!(canonical("http://[2001:DB8:0:0:1:0:0:1]/"), "http://[2001:db8::1:0:0:1]/");
    assert_eq!(canonical("http://[1:0:2:3:4:5:6:7]/"), "http://[1:0:2:3:4:5:6:7]/");
    assert_eq!(canonical("http://[1:2:3:4:5:6:0:0]/"), "http://[1:2:3:4:5:6::]/");
    assert_eq!(canonical("http://[::ffff:1.2.3.4]/"), "http://[::ffff:102:304]/");
}

#[test]
fn a_fingerprint_depends_on_every_part() {
    let of = |job, method: &str, url: &str, body: &str, target: &str| {
        fingerprint(JobId(job), method, url.as_bytes(), body.as_bytes(), target)
    };
    let base = of(1, "GET", "http://a/", "", "");
    assert_eq!(base, of(1, "", "http://a/", "", ""), "GET is the default");
    let others = [
        of(2, "GET", "http://a/", "", ""),
        of(1, "POST", "http://a/", "", ""),
        of(1, "GET", "http://a/b", "", ""),
        of(1, "GET", "http://a/", "b", ""),
        of(1, "GET", "http://a/", "", "b"),
        of(1, "GETb", "http://a/", "", ""),
        of(1, "GET", "http://", "a/", ""),
    ];
    for (index, other) in others.iter().enumerate() {
        assert_ne!(*other, base, "{index}");
        assert!(!others[..index].contains(other), "{index}");
    }
    let seed = FingerprintSeed::new(JobId(1), "");
    assert_eq!((seed.of_get(b"http://a/"), seed.of("POST", b"http://a/", b"")), (base, others[1]));
}

/// Strings that look like URLs more often than not.
fn url_like() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "http://",
        "https://",
        "HTTP://",
        "//",
        "/",
        "/",
        "/",
        ".",
        "..",
        "./",
        "../",
        "?",
        "&",
        "=",
        ";",
        "#",
        ":",
        "@",
        "%",
        "+",
        "%41",
        "%2f",
        "%2F",
        "%C3%A9",
        "%c3%a9",
        "%20",
        "%2B",
        "%25",
        "%2e",
        "%3b",
        "%7C",
        "a",
        "b",
        "A",
        "z",
        "0",
        "1",
        "7",
        "a=1",
        "b=2",
        "a",
        "localhost",
        "example.com",
        "www.",
        "co.uk",
        "xn--",
        "127.0.0.1",
        "1.2",
        "[::1]",
        ":80",
        ":8080",
        " ",
        "\t",
        "\\",
        "é",
        "ß",
        "日本",
        "\u{200d}",
        "'",
        "\"",
        "[",
        "]",
        "|",
        "~",
        "-",
        "_",
        "*",
        "$",
        "(",
        "\0",
        "\u{7f}",
        "．",
    ]);
    let tail = prop::collection::vec(piece, 0..16).prop_map(|pieces| pieces.concat());
    let head = prop::sample::select(vec![
        "",
        "http://",
        "https://example.com/",
        "http://localhost:9312/",
        "http://a.b/?",
        "http://",
    ]);
    (head, tail).prop_map(|(head, tail)| format!("{head}{tail}"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_fast_path_and_the_general_path_agree(raw in url_like()) {
        let (mut one, mut other) = (Scratch::new(), Scratch::new());
        prop_assert_eq!(admit_form(&raw, &mut one), admit_general(&raw, &mut other));
    }

    #[test]
    fn the_canonical_form_is_that_of_the_fetch_form(raw in url_like()) {
        if let Ok((fetch, canonical_form)) = admitted(&raw) {
            prop_assert_eq!(canonical(&fetch), canonical_form);
        }
    }

    #[test]
    fn the_fetch_form_is_its_own_fetch_form(raw in url_like()) {
        if let Ok(first) = admitted(&raw) {
            prop_assert_eq!(admitted(&first.0), Ok(first));
        }
    }

    #[test]
    fn the_fetch_form_is_a_url_to_others(raw in url_like()) {
        if let Ok((fetch, _)) = admitted(&raw) {
            prop_assert!(fetch.is_ascii());
            let parsed = ::url::Url::parse(&fetch).expect("a URL to the url crate");
            let mut scratch = Scratch::new();
            let own = admit_form(&fetch, &mut scratch).expect("a fetch form");
            prop_assert_eq!(parsed.host_str(), Some(own.host()));
            prop_assert_eq!(parsed.port_or_known_default(), Some(own.port()));
            prop_assert_eq!(parsed.path(), own.path_and_query().split('?').next().expect("a part"));
        }
    }

    /// `%` that begins no escape may begin one once its neighbours are decoded; those are left out, as w3lib leaves them.
    #[test]
    fn canonicalising_twice_changes_nothing(raw in url_like()) {
        let whole = raw.match_indices('%').all(|(at, _)| super::bytes::escape_at(&raw.as_bytes()[at..]).is_some());
        if let (true, Ok((_, first))) = (whole, admitted(&raw)) {
            prop_assert_eq!(canonical(&first), first);
        }
    }

    #[test]
    fn the_order_of_arguments_does_not_matter(
        mut pairs in prop::collection::vec(("[a-c%&é ]{0,3}", "[a-c+=ü]{0,3}"), 0..6), seed in any::<prop::sample::Index>()
    ) {
        let encoded = |pairs: &[(String, String)]| {
            let fields: Vec<String> = pairs.iter().map(|(n, v)| format!("{}={v}", n.replace(['%', '&'], "x"))).collect();
            admitted(&format!("http://example.com/?{}", fields.join("&"))).expect("a URL").1
        };
        let before = encoded(&pairs);
        if !pairs.is_empty() {
            let at = seed.index(pairs.len());
            pairs.rotate_left(at);
            pairs.reverse();
        }
        let after = encoded(&pairs);
        let job = JobId(1);
        prop_assert_eq!(
            fingerprint(job, "", before.as_bytes(), b"", ""), fingerprint(job, "", after.as_bytes(), b"", "")
        );
    }

    #[test]
    fn nothing_panics_on_any_string(raw in any::<String>(), other in url_like()) {
        for text in [&raw, &other] {
            let mut scratch = Scratch::new();
            let _ = admit_form(text, &mut scratch);
            let latin = Charset::Latin1;
            let _ = safe_url_string(text, &SafeOptions { encoding: latin, path_encoding: latin, quote_path: false });
            let _ = safe_download_url(text, Charset::default(), Charset::default());
            let _ = canonicalize_url(text, &CanonicalOptions { keep_fragments: true, ..CanonicalOptions::default() });
            let cleaner = QueryCleaner { parameters: &["a"], remove: true, ..QueryCleaner::default() };
            let _ = url_query_cleaner(text, &cleaner);
            let _ = url_query_parameter(text, "a", true, "&");
            let _ = add_or_replace_parameters(text, &[("a", "é"), ("b", "")], ";");
            let _ = decode_url_bytes(text.as_bytes(), Charset::for_label("shift_jis").expect("a known label"));
        }
    }
}
