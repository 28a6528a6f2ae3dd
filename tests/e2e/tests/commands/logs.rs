//! What a crawl tells while it runs: a line a page at `-L debug`, progress as plain lines when nobody looks at a terminal.

use crate::{crawl, spider};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use weir_e2e::server::{Answer, Server};
use weir_e2e::{Killed, Stand, example, printed, run, until, weir};
use weir_site::{Site, SiteOptions};

#[test]
fn the_debug_log_has_a_line_a_page_with_its_referer_in_scrapys_shape() -> anyhow::Result<()> {
    let stand = Stand::new(3);
    let (_, err) = printed(&run(stand.crawl(example("properties-next.toml")).args(["-L", "debug"]), 0)?);
    let page = |name: String| format!("{}/properties/{name}.html", stand.base());
    let mut expected = BTreeSet::new();
    for index in 0..3 {
        let url = page(format!("index_{index:05}"));
        let referer = if index == 0 { "None".to_owned() } else { page(format!("index_{:05}", index - 1)) };
        expected.insert(format!("Crawled (200) <GET {url}> (referer: {referer})"));
        for listing in index * 30..(index + 1) * 30 {
            expected.insert(format!("Crawled (200) <GET {}> (referer: {url})", page(format!("property_{listing:06}"))));
        }
    }
    let lines: BTreeSet<String> = err.lines().map(str::to_owned).collect();
    assert_eq!(lines, expected);
    assert_eq!(err.lines().count(), 93, "each page once");
    Ok(())
}

#[test]
fn redirects_retries_and_refusals_have_their_lines_at_debug_and_none_at_other_levels() -> anyhow::Result<()> {
    let told = |level: &str| -> anyhow::Result<(String, String)> {
        let stand = Stand::new(1);
        spider(
            &stand,
            &stand.base(),
            &["/hostile/chain/1", "/hostile/flaky/1", "/private/x", "/hostile/status/404"],
            "",
        );
        let (_, err) = printed(&run(crawl(&stand).args(["-L", level]), 0)?);
        Ok((stand.base(), err))
    };
    let (base, err) = told("debug")?;
    for line in [
        format!("Redirecting (302) to <GET {base}/hostile/chain/0> from <GET {base}/hostile/chain/1>"),
        format!("Retrying <GET {base}/hostile/flaky/1> (failed 1 times): status 503"),
        format!("Crawled (200) <GET {base}/hostile/flaky/1> (referer: None)"),
        format!("Rejected <GET {base}/private/x>: robots"),
        format!("Crawled (404) <GET {base}/hostile/status/404> (referer: None)"),
        format!("Rejected <GET {base}/hostile/status/404>: status 404"),
    ] {
        assert!(err.lines().any(|told| told == line), "{line:?} is missing in\n{err}");
    }
    for level in ["info", "warn", "error"] {
        assert_eq!(told(level)?.1, "", "{level}: less than debug");
    }
    Ok(())
}

#[test]
fn plain_progress_lines_come_when_there_is_no_terminal_and_only_at_info_or_below() -> anyhow::Result<()> {
    for (level, told) in [("debug", true), ("info", true), ("warn", false), ("error", false)] {
        let stand = Stand::new(1);
        spider(&stand, &stand.base(), &["/properties/index_00000.html"], "");
        let mut command = stand.command(weir());
        command.args(["crawl", "spider.toml", "-o", "items.jsonl", "--state", "state", "-L", level]);
        let (_, err) = printed(&run(&mut command, 0)?);
        let line = err.lines().find(|line| line.contains("queued"));
        assert_eq!(line.is_some(), told, "{level}: {err}");
        let Some(line) = line else { continue };
        assert!(!line.contains('\u{1b}') && !line.contains('\r'), "no terminal's moves: {line:?}");
        for part in [" pages, ", " items, ", " errors, ", " pages/s, ", " items/s", " under way ", " to store "] {
            assert!(line.contains(part), "{part:?} in {line:?}");
        }
    }
    Ok(())
}

/// The number before (or after) a word of a progress line.
fn figure(line: &str, before: &str, after: &str) -> Option<f64> {
    let rest = &line[line.find(before)? + before.len()..];
    rest[..rest.find(after)?].trim().parse().ok()
}

/// A crawl whose standard error is read line by line.
fn watched(stand: &Stand, settings: &[&str]) -> anyhow::Result<(Killed, impl Iterator<Item = String> + use<>)> {
    let mut command = stand.command(weir());
    command.args(["crawl", "spider.toml", "-o", "items.jsonl", "--state", "state"]);
    for setting in settings {
        command.args(["-s", setting]);
    }
    let mut child = Killed(command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?);
    let err = BufReader::new(child.0.stderr.take().expect("it was piped"));
    Ok((child, err.lines().map_while(Result::ok)))
}

#[test]
fn the_progress_line_shows_before_which_stage_requests_wait_and_that_stage_is_bounded() -> anyhow::Result<()> {
    let stand = Stand::new(1);
    let gate = Arc::new(AtomicBool::new(false));
    let open = Arc::clone(&gate);
    let server = Server::start(move |heard| {
        if heard.path == "/robots.txt" {
            return Answer::missing();
        }
        until("the gate to open", || open.load(Ordering::SeqCst));
        Answer::page("<h1>here</h1>")
    });
    spider(&stand, &server.base(), &["/{1..40}"], "");
    let (mut child, mut lines) = watched(&stand, &["concurrency=4"])?;
    // The site stands still: all that may be under way is, and everything else waits in front of the downloader.
    let line = lines.find(|line| line.contains("under way 4")).expect("a progress line with the downloader full");
    assert!(line.contains("0 pages, 0 items, 0 errors,") || line.contains("1 pages, 0 items, 0 errors,"), "{line}");
    assert!(line.contains("| queued 36 under way 4 to store 0"), "{line}");
    assert_eq!(server.heard().len(), 4, "nobody else was asked for");
    gate.store(true, Ordering::SeqCst);
    assert!(lines.all(|line| figure(&line, "under way ", " to store").is_none_or(|under_way| under_way <= 4.0)));
    assert_eq!(child.0.wait()?.code(), Some(0));
    assert_eq!(
        (server.heard().len(), server.under_way_max()),
        (40, 4),
        "N of Little's law is never more than the setting"
    );
    Ok(())
}

#[test]
fn the_progress_line_tells_the_latency_and_littles_law_holds() -> anyhow::Result<()> {
    let stand = Stand::new(1);
    let latency = Duration::from_millis(100);
    let site = Site::spawn(SiteOptions { pages: 1000, latency, ..SiteOptions::default() })?;
    let base = format!("http://localhost:{}", site.port());
    spider(&stand, &base, &["/properties/property_{000000..000250}.html"], "");
    let (mut child, lines) = watched(&stand, &["concurrency=4"])?;
    let lines: Vec<String> = lines.collect();
    assert_eq!(child.0.wait()?.code(), Some(0));
    // 251 pages, 100 ms each, four at once: more than five seconds, so there is a second line.
    let line =
        lines.iter().rfind(|line| line.contains("latency")).unwrap_or_else(|| panic!("no latency in {lines:#?}"));
    let (rate, seconds) = (figure(line, "errors, ", " pages/s"), figure(line, "latency ", " s"));
    let (rate, seconds) = (rate.expect("a rate"), seconds.expect("a latency"));
    // Both figures are samples of a second: a little room on either side.
    assert!((0.09..0.5).contains(&seconds), "the site waits for 0.1 s: {line}");
    assert!((2.0..=4.5).contains(&(rate * seconds)), "N = T * S, at most 4 at once: {line}");
    assert!(rate > 8.0 && rate < 44.0, "T = N / S is at most 40 pages a second: {line}");
    Ok(())
}
