//! The throttle law, judged by arrival in the site's own log: never more than `hits` in any window, not even over a `kill -9`, nor when
//! the law changes while the crawl runs.

use anyhow::Context;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use weir_e2e::{Killed, Stand, printed, run, start, until, weir};

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

/// A crawl of many pages of two domains with two workers, at ten hits in half a second, whose closing stats lie in `stats.json`.
fn long_crawl(stand: &Stand) -> anyhow::Result<std::process::Command> {
    let port = stand.site.port();
    let starts = |host: &str| format!("\"http://{host}.localhost:{port}/properties/index_{{00000..00199}}.html\"");
    let text = format!(
        "name = \"long\"\nstart = [{}, {}]\nstart_parse = \"page\"\n[item.page]\nkey = \"url\"\n\
         fields = {{ url = {{ value = \"response.url\" }} }}\n",
        starts("a"),
        starts("b")
    );
    stand.write("long.toml", &text);
    let mut command = stand.command(weir());
    command.args(["crawl", "long.toml", "--json", "-o", "items.jsonl", "--state", "state", "--policy", "law.toml"]);
    command.args(["-s", "fetch.timeout=500ms", "--workers", "2", "--events", "events.jsonl"]);
    command.stdout(std::fs::File::create(stand.path("stats.json"))?);
    command.stderr(std::fs::File::create(stand.path("log.txt"))?);
    Ok(command)
}

fn law(hits: usize, window_ms: u64) -> String {
    format!("[default]\nhits = {hits}\nwindow = \"{window_ms}ms\"\nmoderated = false\n")
}

/// Arrivals at one host, in order.
fn asked_at(stand: &Stand, host: &str) -> Vec<u64> {
    let named = |(name, times): (String, Vec<u64>)| (name.split(':').next() == Some(host)).then_some(times);
    arrivals(stand).into_iter().find_map(named).unwrap_or_default()
}

fn count(stand: &Stand, host: &str) -> usize {
    asked_at(stand, host).len()
}

fn last(stand: &Stand) -> u64 {
    stand.site.log().iter().map(|entry| entry.arrived.0).max().unwrap_or_default()
}

/// From a second behind a moment on, no window has more than `hits`.
fn judge_since(stand: &Stand, host: &str, since: u64, (hits, window_us): (usize, u64)) {
    let times: Vec<u64> = asked_at(stand, host).into_iter().filter(|at| *at > since + 1_000_000).collect();
    assert!(times.len() > hits, "{host} was asked on: {} times", times.len());
    for window in times.windows(hits + 1) {
        let took = window[hits] - window[0];
        assert!(took >= window_us, "{host}: {} arrivals within {took} us", hits + 1);
    }
}

/// A command on the running crawl; what it printed.
fn tell(stand: &Stand, arguments: &[&str], code: i32) -> anyhow::Result<(String, String)> {
    let output = run(stand.command(weir()).args(arguments).args(["--state", "state"]), code)?;
    Ok(printed(&output))
}

fn stats(stand: &Stand) -> anyhow::Result<Value> {
    Ok(serde_json::from_str(&std::fs::read_to_string(stand.path("stats.json"))?)?)
}

#[test]
fn a_law_given_by_command_holds_at_once_and_over_a_kill_and_a_blacklisted_domain_is_asked_no_more() -> anyhow::Result<()>
{
    let stand = Stand::new(200);
    stand.write("law.toml", &law(10, 500));
    let mut child = Killed(long_crawl(&stand)?.spawn()?);
    until_asked(&stand, 30, &mut child);
    let (said, _) = tell(&stand, &["throttle", "set", "a.localhost", "--hits", "2", "--window", "500ms"], 0)?;
    assert_eq!(said, "a.localhost: 2 hits in 500ms: holds from now on\n");
    // What is taken back is told with what holds now; what nobody gave is told as well.
    let kept = "10 in 500ms, in bursts (default of file law.toml)";
    tell(&stand, &["throttle", "set", "other.example", "--hits", "3", "--window", "1s"], 0)?;
    let (said, _) = tell(&stand, &["throttle", "remove", "other.example"], 0)?;
    assert_eq!(said, format!("other.example: {kept}: holds from now on\n"));
    let (said, _) = tell(&stand, &["throttle", "remove", "nosuch.example"], 0)?;
    assert_eq!(said, format!("nosuch.example: no command gave it a law, it keeps {kept}\n"));
    let (since, asked) = (last(&stand), count(&stand, "a.localhost"));
    until("more of a", || count(&stand, "a.localhost") >= asked + 4);
    // A command that is wrong changes nothing, and says why.
    let (_, told) = tell(&stand, &["throttle", "set", "www.shop.example", "--hits", "2", "--window", "1s"], 2)?;
    assert!(told.contains("laws belong to registered domains: write shop.example"), "{told}");
    child.signal("-KILL")?;
    child.0.wait()?;
    let (_, told) = tell(&stand, &["throttle", "list"], 2)?;
    assert!(told.contains("no crawl runs there"), "{told}");
    // The socket that was left is replaced, and the command's law holds.
    let mut child = Killed(long_crawl(&stand)?.spawn()?);
    until("more of a", || count(&stand, "a.localhost") >= asked + 10);
    judge_since(&stand, "a.localhost", since, (2, 500_000));
    let (list, _) = tell(&stand, &["throttle", "list", "--json", "a.localhost", "b.localhost"], 0)?;
    let list: Value = serde_json::from_str(&list)?;
    let (a, b) = (&list["domains"][0], &list["domains"][1]);
    assert_eq!(
        (&a["from"], &a["limit"]["hits"], &a["limit"]["window_ms"]),
        (&"command".into(), &2.into(), &500.into()),
        "{list}"
    );
    assert_eq!((&b["from"], &b["limit"]["hits"]), (&"default of file law.toml".into(), &10.into()), "{list}");
    // What waits at a blacklisted domain is refused; the other one is let go.
    tell(&stand, &["blacklist", "add", "b.localhost"], 0)?;
    let (barred, _) = tell(&stand, &["blacklist", "list"], 0)?;
    assert!(barred.starts_with("b.localhost ") && barred.trim_end().ends_with("command"), "{barred}");
    let since = last(&stand);
    tell(&stand, &["throttle", "set", "a.localhost", "--hits", "1000", "--window", "500ms"], 0)?;
    assert_eq!(child.0.wait()?.code(), Some(0));
    let late = asked_at(&stand, "b.localhost").into_iter().filter(|at| *at > since + 1_000_000).count();
    assert_eq!(late, 0, "requests to a blacklisted domain");
    let stats = stats(&stand)?;
    let refused = stats["stats"]["verdict/rejected/blacklisted"].as_u64().context("counted")?;
    assert_eq!(stats["stats"]["verdict/delivered"].as_u64().context("counted")? + refused, 400, "{stats}");
    assert!(refused > 100, "{stats}");
    assert!(!stand.path("state").join("control.sock").exists());
    Ok(())
}

#[test]
fn a_policy_file_that_changes_holds_within_a_second_and_a_bad_one_is_told_and_changes_nothing() -> anyhow::Result<()> {
    let stand = Stand::new(200);
    // Written beside and renamed, as one should.
    let write = |text: &str| std::fs::rename(stand.write("new.toml", text), stand.path("law.toml"));
    write(&law(10, 500))?;
    let mut child = Killed(long_crawl(&stand)?.spawn()?);
    until_asked(&stand, 30, &mut child);
    write(&law(2, 500))?;
    let (since, asked) = (last(&stand), count(&stand, "a.localhost"));
    until("more of a", || count(&stand, "a.localhost") >= asked + 8);
    write("[default]\nhits = \"many\"\n")?;
    let events = || std::fs::read_to_string(stand.path("events.jsonl")).unwrap_or_default();
    until("the event of the bad file", || events().contains("law_refused"));
    let asked = count(&stand, "a.localhost");
    until("more of a", || count(&stand, "a.localhost") >= asked + 5);
    for host in ["a.localhost", "b.localhost"] {
        judge_since(&stand, host, since, (2, 500_000));
    }
    let (list, _) = tell(&stand, &["throttle", "list"], 0)?;
    assert!(
        list.contains("law.toml:2:8: default.hits: expected a whole number") && list.contains("2 in 500ms"),
        "{list}"
    );
    write(&law(1_000, 500))?;
    assert_eq!(child.0.wait()?.code(), Some(0));
    assert_eq!(stats(&stand)?["stats"]["verdict/delivered"], 400);
    let log = std::fs::read_to_string(stand.path("log.txt"))?;
    assert!(log.contains("cannot be used, the law before stays: law.toml:2:8:"), "{log}");
    let told: Vec<String> = events()
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter_map(|line| Some(line["event"].as_str()?.to_owned()))
        .filter(|event| event.starts_with("law_"))
        .collect();
    assert_eq!(told, ["law_changed", "law_refused", "law_changed"]);
    Ok(())
}
