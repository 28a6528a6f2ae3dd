//! Stories of policies.

use super::*;
use proptest::prelude::*;

fn policy(text: &str) -> Policy {
    Policy::parse(text, "policy.toml").expect(text)
}

const DESIGN: &str = r#"
blacklist = ["domain3.com"]

[default]
hits = 10
window = "60s"
moderated = true

[domains."domain1.com"]
hits = 60
window = "60s"
scale = 0.5
"#;

#[test]
fn the_file_of_the_design_reads_as_it_says() {
    let policy = policy(DESIGN);
    let default = Law { hits: 10, window_us: 60_000_000, moderated: true, scale: 1.0 };
    assert_eq!(policy.law_for("elsewhere.org", false), Some(default));
    assert_eq!(policy.law_for("domain1.com", false), Some(Law { hits: 60, scale: 0.5, ..default }));
    let limits = Limits { hits: 30, window_us: 60_000_000, moderated: true };
    assert_eq!(LawBook::limits(&policy, "domain1.com"), Some(limits));
    assert!(policy.is_blacklisted("domain3.com") && policy.is_blacklisted("www.domain3.com"));
    assert!(!policy.is_blacklisted("notdomain3.com") && !policy.is_blacklisted("domain1.com"));
}

#[test]
fn without_a_file_a_domain_is_asked_once_a_second_and_loopback_freely() {
    let policy = Policy::default();
    assert_eq!(policy.law_for("example.com", false), Some(Law::DEFAULT));
    assert_eq!(policy.law_for("localhost", true), None);
    assert_eq!(LawBook::limits(&policy, "a.localhost"), None);
    assert_eq!(LawBook::limits(&policy, "127.0.0.1"), None);
    let second = Limits { hits: 60, window_us: 60_000_000, moderated: true };
    assert_eq!(LawBook::limits(&policy, "example.com"), Some(second));
}

#[test]
fn loopback_has_a_law_when_the_file_says_so() {
    let broad = policy("profile = \"broad\"");
    assert_eq!(broad.law_for("example.com", false), Some(Law::BROAD));
    assert_eq!(broad.law_for("localhost", true), None, "a profile is no [default]");
    assert_eq!(policy("[default]\nhits = 5").law_for("localhost", true), Some(Law { hits: 5, ..Law::DEFAULT }));
    let named = policy("[domains.localhost]\nhits = 3\nwindow = \"1s\"\nmoderated = false");
    let law = Law { hits: 3, window_us: 1_000_000, moderated: false, scale: 1.0 };
    assert_eq!(named.law_for("localhost", true), Some(law));
    assert_eq!(named.law_for("a.localhost", true), None);
}

#[test]
fn what_a_law_leaves_out_comes_from_the_default() {
    let policy = policy("profile = \"broad\"\n[domains.\"a.com\"]\nscale = 0.5\n[default]\nmoderated = false");
    assert_eq!(policy.law_for("b.com", false), Some(Law { moderated: false, ..Law::BROAD }));
    assert_eq!(policy.law_for("a.com", false), Some(Law { moderated: false, scale: 0.5, ..Law::BROAD }));
}

#[test]
fn a_scaled_law_never_allows_more_than_it_says() {
    let limits = |hits, scale| {
        let limits = Law { hits, scale, ..Law::DEFAULT }.limits();
        (limits.hits, limits.window_us)
    };
    assert_eq!(limits(60, 0.5), (30, 60_000_000));
    assert_eq!(limits(10, 0.25), (2, 60_000_000));
    assert_eq!(limits(10, 0.7), (7, 60_000_000), "0.7 is a hair under seven tenths");
    assert_eq!(limits(1, 0.1), (1, 600_000_000));
    assert_eq!(limits(3, 0.1), (1, 200_000_000));
}

#[test]
fn a_mistake_is_told_with_its_place_and_a_hint() {
    let message = |text: &str| Policy::parse(text, "p.toml").expect_err(text).to_string();
    assert_eq!(
        message("[default]\nhitz = 10"),
        "p.toml:2:1: default.hitz: unknown key; expected one of hits, window, moderated, scale\n  hint: did you mean \"hits\"?"
    );
    assert_eq!(
        message("[default]\nhits = 10\nwindow = 60"),
        "p.toml:3:10: default.window: expected a duration from \"1ms\" to \"744h\" with its unit, found 60\n  \
         hint: a unit is missing: write \"60s\" for seconds"
    );
    for (text, place, hint) in [
        ("blaklist = []", "p.toml:1:1", "did you mean \"blacklist\"?"),
        ("blacklist = \"a.com\"", "p.toml:1:13", "write [\"a.com\"]"),
        ("blacklist = [\"https://a.com/x\"]", "p.toml:1:14", "write \"a.com\": a name, not a URL"),
        ("blacklist = [\"a.com\", \"*.b.com\"]", "p.toml:1:23", "write \"b.com\": names under it are covered anyway"),
        ("blacklist = [\"a.com:80\"]", "p.toml:1:14", "write \"a.com\": ports do not count"),
        ("profile = \"brod\"", "p.toml:1:11", "did you mean \"broad\"?"),
        ("[domains.\"www.a.com\"]", "p.toml:1:10", "laws belong to registered domains: write [domains.\"a.com\"]"),
        ("[default]\nhits = 0", "p.toml:2:8", "to stop a domain, put it on the blacklist"),
        ("[default]\nwindow = \"1 minute\"", "p.toml:2:10", "write \"1m\""),
        ("[default]\nscale = 0.0", "p.toml:2:9", "to stop a domain, put it on the blacklist"),
    ] {
        let error = message(text);
        assert!(error.starts_with(&format!("{place}: ")) && error.ends_with(&format!("hint: {hint}")), "{error}");
    }
    for (text, place, expected) in [
        ("[default]\nhits = \"many\"", "p.toml:2:8", "expected a whole number of at least 1, found \"many\""),
        ("[default]\nhits = -3", "p.toml:2:8", "found -3"),
        ("[default]\nscale = 1.5", "p.toml:2:9", "a number above 0, at most 1, found 1.5"),
        ("[default]\nscale = nan", "p.toml:2:9", "found nan"),
        ("[default]\nmoderated = \"yes\"", "p.toml:2:13", "expected true or false"),
        ("[default]\nwindow = \"0s\"", "p.toml:2:10", "from \"1ms\""),
        ("default = 3", "p.toml:1:11", "expected a table"),
        ("[domains.\"a.com\"]\n[domains.\"A.com\"]", "p.toml:2:10", "the domain has a law already"),
        ("[default\nhits = 3", "p.toml:1:", ""),
        ("# é\nblacklist = [\"ü\", 3]", "p.toml:2:19", "expected a name"),
    ] {
        let error = message(text);
        assert!(error.starts_with(place) && error.contains(expected), "{error}");
    }
}

#[test]
fn names_are_compared_as_hosts_are_written() {
    let policy = policy("blacklist = [\"Bücher.DE\", \"127.0.0.1\", \"::1\"]\n[domains.\"EXAMPLE.com\"]\nhits = 1");
    assert!(policy.is_blacklisted("www.xn--bcher-kva.de") && policy.is_blacklisted("[::1]"));
    assert!(policy.is_blacklisted("127.0.0.1") && !policy.is_blacklisted("1.127.0.0.1.example"));
    assert_eq!(policy.law_for("example.com", false).map(|law| law.hits), Some(1));
}

fn law() -> impl Strategy<Value = Law> {
    (1u32.., 1_000u64..=31 * 24 * 3_600_000_000, any::<bool>(), (1u32..=1000).prop_map(|n| f64::from(n) / 1000.0))
        .prop_map(|(hits, window_us, moderated, scale)| Law { hits, window_us, moderated, scale })
}

proptest! {
    #[test]
    fn a_written_policy_reads_as_itself(
        broad in any::<bool>(), default in prop::option::of(law()),
        domains in prop::collection::btree_map("[a-z]{1,9}\\.(com|org|co\\.uk)", law(), 0..5),
        blacklist in prop::collection::btree_set("([a-z]{1,5}\\.)?[a-z]{1,9}\\.(com|org)", 0..5),
    ) {
        let policy = Policy {
            profile: if broad { Profile::Broad } else { Profile::Standard },
            default,
            domains: domains.into_iter().map(|(name, law)| (name.into(), law)).collect(),
            blacklist: blacklist.into_iter().map(Into::into).collect(),
        };
        prop_assert_eq!(Policy::parse(&policy.to_toml(), "p.toml"), Ok(policy));
    }

    #[test]
    fn limits_stay_under_the_law(law in law()) {
        let limits = law.limits();
        let allowed = f64::from(law.hits) * law.scale / law.window_us as f64;
        prop_assert!(limits.hits >= 1);
        prop_assert!(f64::from(limits.hits) / limits.window_us as f64 <= allowed * (1.0 + 1e-6));
    }

    #[test]
    fn no_file_panics(text in any::<String>(), line in "[a-z\\[\\]\"=. 0-9\n]{0,60}") {
        let _ = Policy::parse(&text, "p.toml");
        let _ = Policy::parse(&line, "p.toml");
    }
}
