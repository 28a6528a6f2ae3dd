//! Answers that go wrong: each ends with its own counted verdict, and everything else is delivered.

use serde_json::Value;
use weir_e2e::{Stand, run, weir};

fn crawl(stand: &Stand, paths: &[&str], settings: &[&str], code: i32) -> anyhow::Result<Value> {
    let start: Vec<String> = paths
        .iter()
        .map(|path| if path.starts_with("http") { (*path).to_owned() } else { format!("{}{path}", stand.base()) })
        .collect();
    stand.write(
        "bad.toml",
        &format!(
            "name = \"bad\"\nallowed_domains = [\"localhost\"]\nstart = {start:?}\nstart_parse = \"page\"\n[[follow]]\ncss = \"a\"\n\
             allow = '/never/'\n[item.page]\nkey = \"url\"\nfields = {{ url = {{ value = \"response.url\" }} }}\n"
        ),
    );
    let mut command = stand.command(weir());
    command.args(["crawl", "bad.toml", "-q", "--json", "-o", "items.jsonl", "--state", "state"]);
    for setting in settings {
        command.args(["-s", setting]);
    }
    Ok(serde_json::from_slice(&run(&mut command, code)?.stdout)?)
}

/// One bad URL beside a good one: the good one is delivered, the bad one has this verdict.
fn beside_a_good_page(path: &str, verdict: &str, settings: &[&str]) -> anyhow::Result<()> {
    let stand = Stand::new(1);
    let stats = crawl(&stand, &["/properties/property_000000.html", path], settings, 0)?;
    let count = |name: &str| stats["stats"][name].as_u64().unwrap_or(0);
    assert_eq!(count(verdict), 1, "{path}: {stats:#}");
    assert!(count("verdict/delivered") >= 1 && stand.feed()?.len() == 1, "{path}: the rest is delivered: {stats:#}");
    Ok(())
}

const ONCE: &str = "retry.times=0";

#[test]
fn a_page_that_is_not_there_is_rejected_with_its_status() -> anyhow::Result<()> {
    beside_a_good_page("/hostile/status/404", "verdict/rejected/status", &[])
}

#[test]
fn a_server_error_is_a_dead_letter_after_its_retries() -> anyhow::Result<()> {
    beside_a_good_page("/hostile/status/500", "verdict/dead_lettered/status_retries_exhausted", &[ONCE])
}

#[test]
fn a_refused_connection_is_a_dead_letter_of_its_class() -> anyhow::Result<()> {
    // Port 1 is nobody's; robots.txt is asked there first and refused as well.
    beside_a_good_page("http://localhost:1/x.html", "verdict/dead_lettered/connect", &[ONCE])
}

#[test]
fn a_server_that_says_nothing_times_out() -> anyhow::Result<()> {
    beside_a_good_page("/hostile/silent", "verdict/dead_lettered/timeout", &[ONCE, "fetch.timeout=300ms"])
}

#[test]
fn a_loop_of_redirects_ends_by_name() -> anyhow::Result<()> {
    beside_a_good_page("/hostile/loop/1", "verdict/rejected/too_many_redirects", &[])
}

#[test]
fn a_redirect_into_the_private_network_is_not_followed() -> anyhow::Result<()> {
    beside_a_good_page("/hostile/to/metadata", "verdict/rejected/offsite_redirect", &[])
}

#[test]
fn a_body_over_the_limit_and_one_without_end_are_given_up() -> anyhow::Result<()> {
    let small = "fetch.body_bytes_max=100KiB";
    let wire = "fetch.wire_bytes_max=100KiB";
    beside_a_good_page("/hostile/size/300000", "verdict/dead_lettered/too_large", &[ONCE, small, wire])?;
    beside_a_good_page("/hostile/endless", "verdict/dead_lettered/too_large", &[ONCE, small, wire])
}

#[test]
fn bytes_that_are_no_http_are_a_protocol_failure() -> anyhow::Result<()> {
    beside_a_good_page("/hostile/not-http", "verdict/dead_lettered/protocol", &[ONCE])
}

#[test]
fn a_feed_that_exists_and_a_folder_that_is_foreign_are_refused_and_left_alone() -> anyhow::Result<()> {
    let stand = Stand::new(1);
    stand.write("items.jsonl", "mine\n");
    let refused = crawl(&stand, &["/properties/property_000000.html"], &[], 2);
    assert!(refused.is_err(), "nothing is printed as stats");
    assert_eq!(std::fs::read_to_string(stand.path("items.jsonl"))?, "mine\n");
    let stand = Stand::new(1);
    std::fs::create_dir(stand.path("state"))?;
    stand.write("state/notes.txt", "mine\n");
    let mut command = stand.crawl(weir_e2e::example("properties-next.toml"));
    let output = command.output()?;
    assert_ne!(output.status.code(), Some(0), "a folder with somebody's notes is no state");
    assert!(String::from_utf8_lossy(&output.stderr).contains("notes.txt"), "{output:?}");
    assert_eq!(std::fs::read_dir(stand.path("state"))?.count(), 1, "nothing was added");
    Ok(())
}
