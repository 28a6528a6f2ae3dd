//! A deployment end to end: `weir enqueue`, SQS, `weir stage`, the real function, SQLite; whole, polite, and under faults.

mod bad_input;
mod budget;
mod cloud;
mod law;
mod letters;
mod secrets;
mod to_more_stages;
mod under_faults;

use cloud::{Scene, cloud, get, stop};
use serde_json::Value;
use weir_e2e::{compare, compare_rows, example, expected, printed, read_rows, run, until};

const PAGES: usize = 100;
const HITS: usize = 500;

/// `examples/properties.toml` over so many index pages.
fn properties(pages: usize) -> String {
    let text = std::fs::read_to_string(example("properties.toml")).expect("the example");
    text.replace("{00000..01666}", &format!("{{00000..{:05}}}", pages - 1))
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

#[test]
fn three_thousand_listings_in_twenty_shards_arrive_whole_and_the_law_is_kept() -> anyhow::Result<()> {
    let cloud = cloud();
    let scene = Scene::new(&cloud, 1, PAGES);
    scene.write("properties.toml", &properties(PAGES));
    scene.write("law.toml", &format!("[default]\nhits = {HITS}\nwindow = \"1s\"\nmoderated = false\n"));
    let port = free_port();
    let feed = format!("s3://{}/feeds/all/%(stage)s-p%(batch_id)d.jsonl", cloud.bucket());
    let more = ["--health-port", &port.to_string(), "-o", &feed, "-s", "feed.part_rows=700"];
    let stage = scene.start(0, &more);
    until("health", || get(port, "/healthz").starts_with("HTTP/1.1 200"));
    let base = format!("http://localhost:{}", scene.site.port());
    let argument = format!("base={base}");
    let output = run(
        &mut scene.weir(&["enqueue", "properties.toml", "--shards", "20", "-a", &argument, "--wait", "--json"]),
        0,
    )?;
    let job: Value = serde_json::from_str(printed(&output).0.trim())?;
    assert_eq!((&job["outcome"], &job["shards"]), (&"finished".into(), &20.into()), "{job:#}");
    assert_eq!(job["stats"]["verdict/delivered"], 3_100, "{job:#}\n{}", scene.log(0));
    let meant = expected(&scene.site, &base);
    compare_rows(&read_rows(&scene.path("items-0.db"))?, &meant)?;
    compare(&scene.feed(&cloud, "all", 700), &meant)?;
    scene.judge(HITS, 1_000_000);
    assert!(get(port, "/metrics").contains("weir_reports_received{stack=\"e2e\",stage=\"0\"}"));
    let (list, _) = printed(&run(&mut scene.weir(&["jobs"]), 0)?);
    assert!(list.contains("properties") && list.contains("finished"), "{list}");
    let (told, _) = printed(&run(&mut scene.weir(&["cancel", &job["job"].to_string()]), 0)?);
    assert!(told.contains("had ended before: finished"), "{told}");
    // A job that cannot be read hides no other.
    cloud.put("jobs/00099999.json", "{");
    let listed = scene.weir(&["jobs", "--limit", "1000"]).output();
    cloud.forget("jobs/00099999");
    let list = String::from_utf8(listed?.stdout)?;
    let broken = list.lines().any(|line| line.contains("99999  ?") && line.contains("jobs/00099999.json"));
    assert!(broken && list.contains("finished"), "{list}");
    // A second stage on the same state is refused by name; so is another number of stages, once the first has ended.
    let (_, told) = printed(&run(&mut scene.stage(0, &[]), 4)?);
    assert!(told.contains("state-0") && told.contains(&stage.0.id().to_string()), "{told}");
    stop(stage);
    let (_, told) =
        printed(&run(&mut scene.weir(&["stage", "--stage", "0", "--stages", "2", "--state", "state-0"]), 2)?);
    assert!(told.contains("stage 0 of 1, not of stage 0 of 2"), "{told}");
    Ok(())
}
