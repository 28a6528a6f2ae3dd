//! Settings by their effect: who wins, and Scrapy's names, judged by what a server saw.

use crate::{asked, crawl, spider, stats};
use std::sync::atomic::{AtomicUsize, Ordering};
use weir_e2e::server::{Answer, Server};
use weir_e2e::{Stand, printed, run, until, weir};

/// A server of small pages without a robots.txt.
fn pages() -> Server {
    Server::start(|heard| if heard.path == "/robots.txt" { Answer::missing() } else { Answer::page("<h1>here</h1>") })
}

#[test]
fn the_command_line_wins_over_the_spider_over_weir_toml_over_the_default() -> anyhow::Result<()> {
    let stand = Stand::new(1);
    let server = pages();
    let agent = |page: &str, own: &str, arguments: &[&str]| -> anyhow::Result<String> {
        spider(&stand, &server.base(), &[page], &format!("[settings]\n{own}\n"));
        let mut command = stand.command(weir());
        command.args(["crawl", "spider.toml", "-q", "--overwrite", "-o", "items.jsonl", "--state"]);
        run(command.arg(page.trim_matches('/')).args(arguments), 0)?;
        let heard = server.heard();
        let request = heard.iter().find(|heard| heard.path == page).expect("the page is asked for");
        Ok(request.header("user-agent").unwrap_or_default().to_owned())
    };
    assert!(agent("/1", "", &[])?.starts_with("weir/"), "the default");
    stand.write("weir.toml", "user_agent = \"of the file\"\n");
    assert_eq!(agent("/2", "", &[])?, "of the file");
    assert_eq!(agent("/3", "user_agent = \"of the spider\"", &[])?, "of the spider");
    assert_eq!(agent("/4", "user_agent = \"of the spider\"", &["-s", "user_agent=of the line"])?, "of the line");
    assert_eq!(agent("/5", "user_agent = \"of the spider\"", &["-s", "USER_AGENT=Mozilla/5.0"])?, "Mozilla/5.0");
    Ok(())
}

#[test]
fn outside_this_machine_a_crawl_needs_an_agent_with_a_contact_before_anything_is_asked() -> anyhow::Result<()> {
    let stand = Stand::new(1);
    // A name that resolves to nothing (RFC 2606).
    spider(&stand, "http://shop.invalid", &["/"], "");
    for agent in [&[][..], &["-s", "USER_AGENT=Mozilla/5.0"]] {
        let (_, err) = printed(&run(crawl(&stand).args(agent), 2)?);
        assert!(err.contains("shop.invalid") && err.contains("user_agent") && err.contains("mailto:"), "{err}");
        assert!(!stand.path("state").exists(), "nothing was begun");
    }
    // With a contact it goes ahead; the blacklist keeps this test from asking anybody.
    stand.write("law.toml", "blacklist = [\"shop.invalid\"]\n");
    let contact = ["-s", "USER_AGENT=shop-bot/1.0 (+mailto:me@example.com)", "--policy", "law.toml"];
    let stats = stats(&run(crawl(&stand).args(contact), 0)?)?;
    assert_eq!(stats["stats"]["urls/offered"], 1, "{stats:#}");
    assert_eq!((&stats["stats"]["requests"], &stats["outcome"]), (&0.into(), &"finished".into()), "{stats:#}");
    Ok(())
}

#[test]
fn an_agent_that_is_no_header_is_refused_wherever_it_is_given() -> anyhow::Result<()> {
    let stand = Stand::new(1);
    let server = pages();
    for (own, given) in
        [("user_agent = \"bot\\r\"", &[][..]), ("", &["-s", "user_agent=b\u{f6}t"]), ("", &["-s", "USER_AGENT= "])]
    {
        spider(&stand, &server.base(), &["/"], &format!("[settings]\n{own}\n"));
        let (_, err) = printed(&run(crawl(&stand).args(given), 2)?);
        assert!(err.to_lowercase().contains("user_agent") && err.contains("printable ASCII"), "{err}");
    }
    assert_eq!(server.heard().len(), 0);
    Ok(())
}

#[test]
fn robots_txt_is_asked_with_the_user_agent_and_obeyed_by_its_name() -> anyhow::Result<()> {
    let stand = Stand::new(1);
    let server = Server::start(|heard| match heard.path.as_str() {
        "/robots.txt" => {
            assert_eq!(heard.header("user-agent"), Some("shop-bot/1.0"), "the same one");
            Answer::page("User-agent: shop-bot\nDisallow: /closed\n\nUser-agent: *\nDisallow: /\n")
        }
        _ => Answer::page("<h1>here</h1>"),
    });
    spider(&stand, &server.base(), &["/open", "/closed"], "");
    let stats = stats(&run(crawl(&stand).args(["-s", "USER_AGENT=shop-bot/1.0"]), 0)?)?;
    assert_eq!((asked(&server, "/open"), asked(&server, "/closed")), (1, 0), "{stats:#}");
    assert_eq!(stats["stats"]["verdict/rejected/robots"], 1, "{stats:#}");
    Ok(())
}

#[test]
fn the_spiders_name_is_in_its_items_and_names_what_it_leaves_behind() -> anyhow::Result<()> {
    let stand = Stand::new(1);
    spider(&stand, &stand.base(), &["/properties/property_000000.html"], "bot = { value = \"spider\" }");
    let text = std::fs::read_to_string(stand.path("spider.toml"))?.replace("name = \"spider\"", "name = \"homes\"");
    stand.write("spider.toml", &text);
    run(stand.command(weir()).args(["crawl", "spider.toml", "-q"]), 0)?;
    assert!(stand.path(".weir/homes").is_dir(), "its state");
    let bot: String =
        rusqlite::Connection::open(stand.path("homes.db"))?.query_row("SELECT bot FROM page", [], |row| row.get(0))?;
    assert_eq!(bot, "homes");
    Ok(())
}

#[test]
fn a_failing_page_is_asked_three_times_and_once_without_retries() -> anyhow::Result<()> {
    for (settings, attempts) in [(&[][..], 3), (&["-s", "RETRY_TIMES=1"], 2), (&["-s", "RETRY_ENABLED=False"], 1)] {
        let stand = Stand::new(1);
        spider(&stand, &stand.base(), &["/hostile/status/500", "/hostile/drop"], "");
        let stats = stats(&run(crawl(&stand).args(settings), 0)?)?;
        let asked = |path: &str| stand.site.log().iter().filter(|entry| entry.path == path).count();
        assert_eq!(
            (asked("/hostile/status/500"), asked("/hostile/drop")),
            (attempts, attempts),
            "{settings:?} {stats:#}"
        );
        let dead: u64 = stats["stats"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, count)| {
                if name.starts_with("verdict/dead_lettered/") || name == "verdict/rejected/status" {
                    count.as_u64().unwrap_or(0)
                } else {
                    0
                }
            })
            .sum();
        assert_eq!(dead, 2, "both end with a verdict: {stats:#}");
    }
    Ok(())
}

#[test]
fn a_redirect_is_followed_unless_the_setting_says_no() -> anyhow::Result<()> {
    for (settings, followed) in [(&[][..], 1), (&["-s", "REDIRECT_ENABLED=False"], 0)] {
        let stand = Stand::new(1);
        spider(&stand, &stand.base(), &["/hostile/chain/1"], "");
        let stats = stats(&run(crawl(&stand).args(settings), 0)?)?;
        let asked = |path: &str| stand.site.log().iter().filter(|entry| entry.path == path).count();
        assert_eq!((asked("/hostile/chain/1"), asked("/hostile/chain/0")), (1, followed), "{settings:?}: {stats:#}");
        let verdict = if followed == 1 { "verdict/redirected" } else { "verdict/rejected/status" };
        assert_eq!(stats["stats"][verdict], 1, "{stats:#}");
        assert_eq!(stand.feed()?.len(), followed, "{settings:?}");
    }
    Ok(())
}

#[test]
fn a_silent_server_is_given_up_after_scrapys_seconds() -> anyhow::Result<()> {
    let stand = Stand::new(1);
    spider(&stand, &stand.base(), &["/hostile/silent"], "");
    let stats = stats(&run(crawl(&stand).args(["-s", "DOWNLOAD_TIMEOUT=1", "-s", "RETRY_ENABLED=False"]), 0)?)?;
    assert_eq!(stats["stats"]["verdict/dead_lettered/timeout"], 1, "{stats:#}");
    let seconds = stats["seconds"].as_f64().unwrap_or_default();
    assert!((1.0..30.0).contains(&seconds), "about one second, not 180: {seconds}");
    Ok(())
}

#[test]
fn no_more_requests_are_under_way_than_concurrent_requests_says() -> anyhow::Result<()> {
    for (settings, most) in
        [("CONCURRENT_REQUESTS=3", 3), ("CONCURRENT_REQUESTS_PER_DOMAIN=2", 2), ("concurrency=1", 1)]
    {
        let stand = Stand::new(1);
        let arrived = AtomicUsize::new(0);
        let server = Server::start(move |heard| {
            if heard.path == "/robots.txt" {
                return Answer::missing();
            }
            // Nobody is answered before as many as may be are there: so the setting is reached, and more would be seen.
            let number = arrived.fetch_add(1, Ordering::SeqCst) + 1;
            until("company", || arrived.load(Ordering::SeqCst) >= number.div_ceil(most) * most);
            Answer::page("<h1>here</h1>")
        });
        spider(&stand, &server.base(), &["/{1..30}"], "");
        run(crawl(&stand).args(["-s", settings]), 0)?;
        assert_eq!((server.heard().len(), server.under_way_max()), (30, most), "{settings}");
    }
    Ok(())
}

#[test]
fn scrapys_stop_conditions_end_a_crawl_with_their_outcome() -> anyhow::Result<()> {
    for (setting, outcome) in [
        ("CLOSESPIDER_ITEMCOUNT=5", "closespider_itemcount"),
        ("CLOSESPIDER_PAGECOUNT=5", "closespider_pagecount"),
        ("CLOSESPIDER_TIMEOUT=1", "closespider_timeout"),
    ] {
        let stand = Stand::slow(20);
        spider(&stand, &stand.base(), &["/properties/property_{000000..000599}.html"], "");
        let slow = ["-s", if setting.contains("TIMEOUT") { "fetch.timeout=3s" } else { "concurrency=2" }];
        if setting.contains("TIMEOUT") {
            spider(&stand, &stand.base(), &["/hostile/silent"], "");
        }
        let stats = stats(&run(crawl(&stand).args(["-s", setting]).args(slow), 3)?)?;
        assert_eq!(stats["outcome"], outcome, "{stats:#}");
        let items = stand.feed()?.len() as u64;
        assert_eq!(stats["stats"]["items/scraped"], items, "what was scraped is delivered: {stats:#}");
        assert!(items < 300, "{items}: long before the end");
    }
    Ok(())
}

#[test]
fn no_cookie_is_ever_sent_although_servers_set_them() -> anyhow::Result<()> {
    let stand = Stand::new(1);
    let server = Server::start(|heard| {
        let mut answer = match heard.path.as_str() {
            "/moved" => Answer { status: "302 Found", headers: "Location: /target\r\n".into(), ..Answer::page("") },
            _ => Answer::page("<a href=\"/next\">next</a>"),
        };
        answer.headers.push_str("Set-Cookie: session=1; Path=/\r\nSet-Cookie: theme=dark\r\n");
        answer
    });
    spider(&stand, &server.base(), &["/first", "/moved"], "[[follow]]\ncss = \"a\"\nparse = \"page\"");
    run(crawl(&stand).args(["-s", "concurrency=1"]), 0)?;
    let heard = server.heard();
    let paths: std::collections::BTreeSet<&str> = heard.iter().map(|heard| heard.path.as_str()).collect();
    assert_eq!(paths, ["/first", "/moved", "/next", "/target"].into());
    assert!(heard.iter().all(|heard| heard.header("cookie").is_none()), "{heard:#?}");
    Ok(())
}

#[test]
fn a_sink_that_stands_still_stops_the_fetching_when_its_queue_is_full() -> anyhow::Result<()> {
    const PAGES: usize = 400;
    const BYTES: usize = 30_000;
    let stand = Stand::new(1);
    let server = Server::start(|heard| match heard.path.as_str() {
        "/robots.txt" => Answer::missing(),
        path => Answer::page(format!("<h1>{}</h1>", path.repeat(BYTES / path.len()))),
    });
    // The table is there before the crawl, so that it can be locked at any moment.
    spider(&stand, &server.base(), &["/0"], "title = { css = \"h1::text\" }");
    let sinks = |command: &mut std::process::Command, state: &str| {
        command.args(["crawl", "spider.toml", "-q", "-o", "sqlite:items.db", "--state", state]);
        command.args(["-s", "outbox_bytes_max=1MiB", "-s", "CONCURRENT_ITEMS=10", "-s", "concurrency=4"]);
    };
    let mut command = stand.command(weir());
    sinks(&mut command, "state");
    run(&mut command, 0)?;

    let starts = format!("/{{1..{PAGES}}}");
    spider(&stand, &server.base(), &[&starts], "title = { css = \"h1::text\" }");
    let database = rusqlite::Connection::open(stand.path("items.db"))?;
    database.busy_timeout(std::time::Duration::from_secs(30))?;
    let mut command = stand.command(weir());
    sinks(&mut command, "state");
    let mut child = weir_e2e::start(&mut command);
    let rows = || {
        database.query_row("SELECT count(*) FROM page", [], |row| row.get::<_, i64>(0)).map_or(0, |rows| rows as usize)
    };
    until("the first items to be stored", || rows() > 1);
    database.execute_batch("BEGIN IMMEDIATE")?;
    let stored = rows();
    // It stands still when nobody asked for a while; a crawl without a bound would ask for all pages in that time.
    let mut last = (0, 0);
    until("the crawl to stand still", || {
        let asked = server.heard().len();
        last = if asked == last.0 { (asked, last.1 + 1) } else { (asked, 0) };
        last.1 > 300
    });
    let waiting = server.heard().len() - stored;
    // A mebibyte of items, and what was under way or on its way when it became full.
    let most = (1 << 20) / BYTES + 4 * 4 + 10;
    assert!(waiting <= most, "{waiting} pages beyond the {stored} stored ones, expected at most {most}");
    assert!(waiting >= 10, "what may wait does: {waiting}");
    assert!(child.0.try_wait()?.is_none(), "it waits");
    database.execute_batch("COMMIT")?;
    assert_eq!(child.0.wait()?.code(), Some(0));
    assert_eq!(rows(), PAGES + 1, "and then goes on to the end");
    Ok(())
}
