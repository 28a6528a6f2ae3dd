//! Stories and properties of robots.txt.

use super::*;
use proptest::prelude::*;

fn allowed(robots: &str, agent: &str, url: &str) -> bool {
    Robots::parse(robots.as_bytes()).allowed(agent, url)
}

#[test]
fn a_group_is_its_agents_and_the_star_everybody_elses() {
    let robots = "User-agent: weir\nDisallow: /private\n\nUser-agent: *\nDisallow: /\n";
    assert!(allowed(robots, "weir", "http://a.com/x"));
    assert!(allowed(robots, "WEIR", "/x"), "letter case does not count");
    assert!(!allowed(robots, "weir", "/private/x"));
    assert!(!allowed(robots, "other", "/x"));
    assert!(!allowed(robots, "weirdo", "/x"), "a longer name is another name");
    assert!(allowed(robots, "other", "/robots.txt"), "robots.txt itself may always be fetched");
    assert!(allowed("", "weir", "/x"));
    assert!(allowed("Disallow: /\n", "weir", "/x"), "a rule without an agent is nobody's");
    assert!(!allowed("User-agent: MJ12bot\nDisallow: /", "MJ12bot", "/x"), "digits are part of a name");
    assert!(!allowed("User-agent: weir/1.0\nDisallow: /", "weir", "/x"));
}

#[test]
fn all_groups_of_an_agent_are_one() {
    let robots =
        "User-agent: a\nUser-agent: b\nDisallow: /one\n\nUser-agent: c\nDisallow: /\nUser-agent: a\nDisallow: /two\n";
    for (agent, path, expected) in [
        ("a", "/one", false),
        ("a", "/two", false),
        ("b", "/one", false),
        ("b", "/two", true),
        ("a", "/three", true),
        ("c", "/three", false),
    ] {
        assert_eq!(allowed(robots, agent, path), expected, "{agent} {path}");
    }
}

#[test]
fn lines_that_the_standard_does_not_define_do_not_end_a_group() {
    let robots = "User-agent: a\nCrawl-delay: 5\nSitemap: http://x/s.xml\nUser-agent: b\nDisallow: /\n";
    assert!(!allowed(robots, "a", "/x") && !allowed(robots, "b", "/x"));
    let robots = Robots::parse(robots.as_bytes());
    assert_eq!(robots.crawl_delay("a"), Some(Duration::from_secs(5)));
    assert_eq!(robots.crawl_delay("b"), None, "but a delay is for the agents before it");
    assert_eq!(robots.sitemaps().collect::<Vec<_>>(), ["http://x/s.xml"]);
}

#[test]
fn the_longest_pattern_decides_and_allow_wins_a_tie() {
    let robots = "User-agent: *\nDisallow: /a\nAllow: /a/b\nDisallow: /a/b/c\nAllow: /tie\nDisallow: /tie\n";
    for (path, expected) in
        [("/a", false), ("/a/b", true), ("/a/b/x", true), ("/a/b/c/d", false), ("/tie", true), ("/", true)]
    {
        assert_eq!(allowed(robots, "x", path), expected, "{path}");
    }
    let index = "User-agent: *\nDisallow: /\nAllow: /docs/index.html\n";
    assert!(allowed(index, "x", "/docs/") && !allowed(index, "x", "/docs/other"));
}

#[test]
fn stars_and_the_dollar_match_as_in_the_standard() {
    let one = |pattern: &str, path: &str| !allowed(&format!("User-agent: *\nDisallow: {pattern}\n"), "x", path);
    for (pattern, path, expected) in [
        ("/*.gif$", "/a/b.gif", true),
        ("/*.gif$", "/a/b.gif?x", false),
        ("/fish*", "/fishheads/yummy.html", true),
        ("/fish*", "/Fish.asp", false),
        ("/*", "/", true),
        ("*", "/x", true),
        ("/a*b*c", "/a-c-b", false),
        ("/a*b*c", "/abbbbc", true),
        ("/a**b", "/ab", true),
        ("/a*b$", "/ab-ab", true),
        ("/a*ab$", "/ab", false),
        ("/x$", "/x", true),
        ("/x$", "/xy", false),
        ("/a$b", "/a$b", true),
        ("/a%2Ab", "/a*b", true),
        ("/a%2Ab", "/axb", false),
        ("x", "/x", false),
        ("/a?b=*&c", "/a?b=1&c=2", true),
        ("/*;jsessionid", "/x;jsessionid=1", true),
    ] {
        assert_eq!(one(pattern, path), expected, "{pattern} {path}");
    }
}

#[test]
fn escapes_are_compared_by_what_they_mean() {
    let one = |pattern: &str, path: &str| !allowed(&format!("User-agent: *\nDisallow: {pattern}\n"), "x", path);
    for (pattern, path, expected) in [
        ("/foo/bar/%62%61%7A", "/foo/bar/baz", true),
        ("/foo/bar/ツ", "/foo/bar/%E3%83%84", true),
        ("/foo/bar/%e3%83%84", "/foo/bar/ツ", true),
        ("/foo/bar?baz=https://foo.bar", "/foo/bar?baz=https%3A%2F%2Ffoo.bar", true),
        ("/a%2fb", "/a/b", false),
        ("/a%2fb", "/a%2Fb", true),
        ("/*?filter[x]", "/list?filter%5Bx%5D=1", true),
        ("/it's", "/it%27s", true),
        ("/a b", "/a%20b", true),
        ("/a%26b", "/a&b", false),
        ("/%zz", "/%zz", true),
    ] {
        assert_eq!(one(pattern, path), expected, "{pattern} {path}");
    }
}

#[test]
fn odd_lines_are_read_as_googles_parser_reads_them() {
    for robots in [
        "\u{feff}User-agent: x\nDisallow: /a",
        "user-agent: x\rdisallow: /a",
        "USER-AGENT: x\r\nDISALLOW: /a\r\n",
        "  user-agent  :  x  \n\t disallow\t:\t/a\t# why\n",
        "user-agent x\ndisallow /a",
        "useragent: x\ndissallow: /a",
        "user agent: x\ndisallaw: /a",
        "user-agent: x # y\n\n\n\ndisallow: /a",
    ] {
        assert!(!allowed(robots, "x", "/a") && allowed(robots, "x", "/b"), "{robots:?}");
    }
    assert!(allowed("user-agent: x\ndisallow", "x", "/a"));
    assert!(allowed("user-agent: x\ndisallow:\n", "x", "/a"), "nothing is disallowed");
    assert!(allowed("user-agent: x\nfoo: /\n", "x", "/a"));
    assert!(!allowed("user-agent: x\ndisallow: /a\0b\n", "x", "/a"));
    let latin = b"User-agent: *\nDisallow: /caf\xe9\n";
    assert!(!Robots::parse(latin).allowed("x", "/caf%E9"), "bytes that are no UTF-8 are bytes");
    let sitemap = Robots::parse(b"Sitemap https://a.com/s.xml\n");
    assert_eq!(sitemap.sitemaps().collect::<Vec<_>>(), ["https://a.com/s.xml"]);
}

#[test]
fn any_form_of_a_url_is_asked_about() {
    let robots = "User-agent: *\nDisallow: /a?b\nDisallow: /$\n";
    for (url, expected) in [
        ("http://h/a?b#c", false),
        ("/a?b", false),
        ("//h/a?b", false),
        ("a?b", true),
        ("http://h", false),
        ("", false),
        ("http://h#/a?b", false),
        ("http://h/x", true),
    ] {
        assert_eq!(allowed(robots, "x", url), expected, "{url}");
    }
}

#[test]
fn extensions_are_the_agents_own() {
    let robots = Robots::parse(
        b"User-agent: *\nCrawl-delay: 1.5\nUser-agent: slow\nCrawl-delay: 10\nRequest-rate: 1/2m 0600-0845\nDisallow: /x\n\
          User-agent: slow\nCrawl-delay: 20\nUser-agent: bad\nCrawl-delay: soon\nVisit-time: 2500-0100\nHost: a.com",
    );
    assert_eq!(robots.crawl_delay("any"), Some(Duration::from_millis(1_500)));
    assert_eq!(robots.crawl_delay("slow"), Some(Duration::from_secs(20)), "the slowest wins");
    assert_eq!(robots.crawl_delay("bad"), None);
    let rate = robots.request_rate("slow").expect("a rate");
    assert_eq!((rate.requests, rate.seconds), (1, 120));
    assert_eq!(rate.period.map(|(from, _)| from), Some(TimeOfDay { hour: 6, minute: 0 }));
    assert_eq!((robots.visit_time("bad"), robots.preferred_host()), (None, Some("a.com")));
    let rules = robots.rules_for("slow");
    assert_eq!((rules.crawl_delay(), rules.len()), (Some(Duration::from_secs(20)), 1));
}

#[test]
fn a_file_over_the_limit_ends_at_its_last_whole_line() {
    let mut robots = b"User-agent: *\nDisallow: /kept\n".to_vec();
    while robots.len() < ROBOTS_BYTES_MAX - 11 {
        robots.push(b'\n');
    }
    robots.truncate(ROBOTS_BYTES_MAX - 11);
    robots.extend_from_slice(b"Disallow: /private\nDisallow: /late\n");
    let robots = Robots::parse(&robots);
    assert!(!robots.allowed("x", "/kept"));
    assert!(robots.allowed("x", "/other"), "`Disallow: /` is half a line");
    assert!(robots.allowed("x", "/late"));
}

#[test]
fn an_answer_means_what_rfc_9309_says() {
    let rules = b"User-agent: *\nDisallow: /a\n";
    for (status, a, b) in [
        (200, false, true),
        (204, false, true),
        (404, true, true),
        (403, true, true),
        (301, true, true),
        (429, false, false),
        (500, false, false),
        (503, false, false),
    ] {
        let answer = RobotsAnswer::from_status(status, rules);
        assert_eq!((answer.allowed("x", "/a"), answer.allowed("x", "/b")), (a, b), "{status}");
    }
    let unreachable = RobotsAnswer::unreachable();
    assert!(!unreachable.allowed("x", "/b") && unreachable.rules_for("x").is_none());
    assert!(unreachable.ttl() < RobotsAnswer::from_status(200, rules).ttl());
}

/// Work is counted in bytes compared, not in time: the file and the path may both be hostile.
#[test]
fn many_stars_cost_no_more_than_their_length() {
    let pattern = format!("/{}b", "a*".repeat(8_000));
    let robots = format!("User-agent: *\nDisallow: {pattern}\nDisallow: /{}c$\n", "*a".repeat(4_000));
    let rules = Robots::parse(robots.as_bytes()).rules_for("x");
    let path = format!("/{}", "a".repeat(8_000));
    // A backtracking matcher would not end within the age of the universe.
    assert!(rules.allowed(&path));
    assert!(!rules.allowed(&format!("{path}b")));
}

/// The matcher by its definition, exponential: only for small cases.
fn matches_by_definition(pattern: &[u8], anchored: bool, path: &[u8]) -> bool {
    match pattern.split_first() {
        None => !anchored || path.is_empty(),
        Some((b'*', rest)) => (0..=path.len()).any(|skip| matches_by_definition(rest, anchored, &path[skip..])),
        Some((byte, rest)) => path.first() == Some(byte) && matches_by_definition(rest, anchored, &path[1..]),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_matcher_agrees_with_its_definition(pattern in "[ab*]{0,9}", anchored in any::<bool>(), path in "[ab]{0,10}") {
        let got = pattern::matches(pattern.as_bytes(), anchored, path.as_bytes());
        prop_assert_eq!(got, matches_by_definition(pattern.as_bytes(), anchored, path.as_bytes()));
    }

    #[test]
    fn the_spelling_of_a_spelling_is_itself(path in "[/?a4bé*$&= \\[]{0,20}") {
        let (mut once, mut twice) = (Vec::new(), Vec::new());
        pattern::compare_spelling(path.as_bytes(), false, &mut once);
        pattern::compare_spelling(&once, false, &mut twice);
        prop_assert_eq!(once, twice);
    }

    #[test]
    fn no_bytes_and_no_url_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), agent in any::<String>(), url in any::<String>()) {
        let robots = Robots::parse(&bytes);
        let _ = (robots.allowed(&agent, &url), robots.crawl_delay(&agent), robots.request_rate(&agent));
    }

    #[test]
    fn no_lines_panic(lines in prop::collection::vec("(user-agent|allow|disallow|crawl-delay|request-rate|visit-time|sitemap)? ?:? ?[*$/a-c0-9é%:-]{0,8}", 0..12), url in "[/a-c?#:é%*;]{0,12}") {
        let robots = Robots::parse(lines.join("\n").as_bytes());
        for agent in ["", "*", "a", "é"] {
            let _ = (robots.allowed(agent, &url), robots.crawl_delay(agent), robots.visit_time(agent));
        }
    }
}
