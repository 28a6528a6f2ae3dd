//! The throttle law, judged by arrival in the site's own log: never more than `hits` in any window, not even over a `kill -9`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use weir_e2e::{Killed, Stand, run, start, weir};

const HITS: usize = 5;
const WINDOW_US: u64 = 500_000;
const PAGES: usize = 30;

/// A stand with a spider over two domains and a law of five hits in half a second.
fn stand(moderated: bool) -> Stand {
    let stand = Stand::new(PAGES);
    let port = stand.site.port();
    stand.write(
        "two.toml",
        &format!(
            "name = \"two\"\nstart = [\"http://a.localhost:{port}/properties/index_{{00000..00029}}.html\", \
             \"http://b.localhost:{port}/properties/index_{{00000..00029}}.html\"]\nstart_parse = \"page\"\n\
             [item.page]\nkey = \"url\"\nfields = {{ url = {{ value = \"response.url\" }} }}\n"
        ),
    );
    stand.write(
        "law.toml",
        &format!(
            "blacklist = [\"c.localhost\"]\n[default]\nhits = {HITS}\nwindow = \"500ms\"\nmoderated = {moderated}\n"
        ),
    );
    stand
}

fn crawl(stand: &Stand) -> std::process::Command {
    let mut command = stand.command(weir());
    command.args(["crawl", "two.toml", "-q", "-o", "items.jsonl", "--state", "state", "--policy", "law.toml"]);
    // A release that was never reported counts for as long as its request may have taken: short, so that the test is.
    command.args(["-s", "fetch.timeout=500ms"]);
    command
}

/// Arrivals by host, in microseconds, in order.
fn arrivals(stand: &Stand) -> BTreeMap<String, Vec<u64>> {
    let mut hosts: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for entry in stand.site.log() {
        hosts.entry(entry.host.clone()).or_default().push(entry.arrived.0);
    }
    hosts.values_mut().for_each(|times| times.sort_unstable());
    hosts
}

fn judge(stand: &Stand) {
    let hosts = arrivals(stand);
    assert_eq!(hosts.len(), 2, "two domains: {:?}", hosts.keys());
    for (host, times) in hosts {
        for window in times.windows(HITS + 1) {
            let took = window[HITS] - window[0];
            assert!(took >= WINDOW_US, "{host}: {} arrivals within {took} us", HITS + 1);
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "a test that watches another process needs a clock")]
fn until_asked(stand: &Stand, requests: usize, child: &mut Killed) {
    let began = Instant::now();
    while stand.site.log().len() < requests && child.0.try_wait().is_ok_and(|status| status.is_none()) {
        assert!(began.elapsed() < Duration::from_secs(60), "the site was not asked {requests} times");
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

#[test]
fn arrivals_keep_the_law_also_when_the_crawl_is_killed_in_mid_window() -> anyhow::Result<()> {
    let stand = stand(false);
    for requests in [7, 23, 41] {
        let mut child = start(&mut crawl(&stand));
        until_asked(&stand, requests, &mut child);
        child.signal("-KILL")?;
        child.0.wait()?;
    }
    run(&mut crawl(&stand), 0)?;
    judge(&stand);
    assert_eq!(stand.feed()?.len(), 2 * PAGES, "every page of both domains");
    Ok(())
}

#[test]
fn moderated_domains_are_asked_evenly_and_side_by_side() -> anyhow::Result<()> {
    let stand = stand(true);
    run(&mut crawl(&stand), 0)?;
    judge(&stand);
    for (host, times) in arrivals(&stand) {
        let (first, last) = (times[0], times[times.len() - 1]);
        let least = (times.len() as u64 - 1) * WINDOW_US / HITS as u64;
        // At least even spacing in all (a little credit while busy), and not much more: the other domain is no hindrance.
        let took = last - first;
        assert!(took + WINDOW_US >= least && took < least * 3 / 2, "{host}: {took} us for {} requests", times.len());
    }
    Ok(())
}
