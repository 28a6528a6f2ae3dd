//! Killed, interrupted, stopped: the same command goes on, and the end is the same.

use std::io::Read;
use std::process::Stdio;
use std::time::{Duration, Instant};
use weir_e2e::{Killed, Stand, compare, compare_rows, example, expected, run, start};

fn judge(stand: &Stand) -> anyhow::Result<()> {
    let expected = expected(&stand.site, &stand.base());
    compare(&stand.feed()?, &expected)?;
    compare_rows(&stand.rows()?, &expected)
}

/// Waits for a condition of the outside, with a bound; the condition is looked at, not slept for.
#[allow(clippy::disallowed_methods, reason = "a test that watches another process needs a clock")]
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(60), "waited too long for {what}");
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

/// A crawl with four requests at a time: on a slow stand it takes about a second.
fn few(stand: &Stand) -> std::process::Command {
    let mut command = stand.crawl(example("properties-next.toml"));
    command.args(["-s", "concurrency=4"]);
    command
}

#[test]
fn kill_9_at_several_moments_then_the_same_command_ends_as_if_nothing_had_happened() -> anyhow::Result<()> {
    let stand = Stand::slow(60);
    for requests in [1, 40, 200, 700, 1200] {
        let mut child = start(&mut few(&stand));
        let before = stand.site.log().len();
        until("the site to be asked", || {
            stand.site.log().len() >= before.max(requests) || child.0.try_wait().is_ok_and(|status| status.is_some())
        });
        child.signal("-KILL")?;
        child.0.wait()?;
    }
    run(&mut few(&stand), 0)?;
    judge(&stand)
}

#[test]
fn ctrl_c_drains_what_is_under_way_and_says_how_to_go_on() -> anyhow::Result<()> {
    let stand = Stand::slow(60);
    let child = Killed(few(&stand).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?);
    until("the site to be asked", || stand.site.log().len() > 50);
    child.signal("-INT")?;
    let mut child = child;
    let mut said = String::new();
    child.0.stdout.take().expect("piped").read_to_string(&mut said)?;
    let status = child.0.wait()?;
    assert_eq!(status.code(), Some(130), "interrupted");
    assert!(said.contains("what it has so far is in ") && said.contains("items.jsonl.part\n"), "{said}");
    assert!(stand.path("items.jsonl.part").exists(), "the feed waits for the rest");
    let asked = stand.site.log().len();
    assert!(asked < 1800, "stopped before the end: {asked}");
    run(&mut few(&stand), 0)?;
    judge(&stand)?;
    let pages = stand.site.log().iter().filter(|entry| entry.path.contains("/property_")).count();
    assert_eq!(pages, 1800, "what was drained is not asked for again");
    Ok(())
}

#[test]
fn a_stop_condition_ends_the_job_with_its_outcome() -> anyhow::Result<()> {
    for (setting, outcome) in
        [("stop.items=90", "closespider_itemcount"), ("CLOSESPIDER_PAGECOUNT=50", "closespider_pagecount")]
    {
        let stand = Stand::new(60);
        let output = run(stand.crawl(example("properties-next.toml")).args(["-s", setting, "--json"]), 3)?;
        let stats: serde_json::Value = serde_json::from_slice(&output.stdout)?;
        assert_eq!(stats["outcome"], outcome);
        let feed = stand.feed()?;
        assert!(feed.len() >= 20 && feed.len() < 1800, "graceful: what was under way is finished: {}", feed.len());
        let expected = expected(&stand.site, &stand.base());
        assert!(feed.keys().all(|url| expected.contains_key(url)));
    }
    Ok(())
}

#[test]
fn errors_and_seconds_stop_a_job_as_well() -> anyhow::Result<()> {
    let stand = Stand::new(2);
    let spider = stand.write(
        "errors.toml",
        "name = \"errors\"\nstart_parse = \"x\"\nstart = [\"${base}/hostile/status/{500..560}\"]\n[args]\nbase = \"http://localhost:1\"\n[settings]\n\"retry.times\" = 0\n[item.x]\nfields = { url = { value = \"response.url\" } }\n",
    );
    let output = run(stand.crawl(&spider).args(["-s", "stop.errors=5", "--json"]), 3)?;
    let stats: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    assert_eq!(stats["outcome"], "closespider_errorcount", "{stats:#}");
    let stand = Stand::new(2);
    let policy = stand.write("slow.toml", "[default]\nhits = 1\nwindow = \"30s\"\n");
    let mut command = stand.crawl(example("properties-next.toml"));
    command.args(["-s", "stop.seconds=300ms", "--json", "--policy"]).arg(policy);
    let output = run(&mut command, 3)?;
    let stats: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    assert_eq!(stats["outcome"], "closespider_timeout", "{stats:#}");
    Ok(())
}

#[test]
fn a_second_crawl_on_a_state_in_use_is_refused_by_name() -> anyhow::Result<()> {
    let stand = Stand::new(2);
    let policy = stand.write("slow.toml", "[default]\nhits = 1\nwindow = \"60s\"\n");
    let mut command = stand.crawl(example("properties-next.toml"));
    let _first = start(command.arg("--policy").arg(&policy));
    until("the first crawl to ask the site", || !stand.site.log().is_empty());
    let output = run(&mut stand.crawl(example("properties-next.toml")), 4)?;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("state"), "{said}");
    Ok(())
}

#[test]
fn killed_between_snapshots_with_another_number_of_workers_each_time() -> anyhow::Result<()> {
    let stand = Stand::slow(60);
    let small = ["-s", "journal.snapshot_bytes=30000", "-s", "journal.group_time=1ms"];
    for (workers, requests) in [("1", 300), ("3", 700), ("2", 1200)] {
        let mut command = few(&stand);
        let mut child = start(command.args(small).args(["--workers", workers]));
        until("the site to be asked", || {
            stand.site.log().len() >= requests || child.0.try_wait().is_ok_and(|status| status.is_some())
        });
        child.signal("-KILL")?;
        child.0.wait()?;
    }
    let snapshots = std::fs::read_dir(stand.path("state"))?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with("snapshot-"))
        .count();
    assert!(snapshots > 0, "snapshots were taken");
    run(few(&stand).args(small).args(["--workers", "4"]), 0)?;
    judge(&stand)
}
