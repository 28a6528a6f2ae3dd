//! `weir throttle` and `weir blacklist` on a deployment: by its control queues, answered by its stages' status.

use crate::cloud::{Scene, cloud, stop};
use crate::properties;
use serde_json::Value;
use weir_e2e::{printed, run, until};

/// More than the test waits for: what is still queued is asked for, and taken back, before it is all fetched.
const PAGES: usize = 100;

fn answer(scene: &Scene, arguments: &[&str]) -> anyhow::Result<String> {
    Ok(printed(&run(&mut scene.weir(arguments), 0)?).0)
}

#[test]
fn a_law_is_changed_in_a_running_deployment_by_file_and_by_command_and_the_command_wins() -> anyhow::Result<()> {
    let cloud = cloud();
    let scene = Scene::new(&cloud, 1, PAGES);
    scene.write("properties.toml", &properties(PAGES));
    let law = |hits: u32| format!("[default]\nhits = {hits}\nwindow = \"1s\"\nmoderated = false\n");
    scene.write("law.toml", &law(3));
    let stage = scene.start(0, &[]);
    let argument = format!("base=http://localhost:{}", scene.site.port());
    let opened = answer(&scene, &["enqueue", "properties.toml", "--shards", "3", "-a", &argument, "--json"])?;
    let number = serde_json::from_str::<Value>(&opened)?["job"].to_string();
    until("requests", || scene.site.log().len() > 6);
    // The file: sixty are allowed, and more than three come in a second.
    scene.write("law.toml", &law(60));
    let asked = scene.site.log().len();
    until("faster requests", || scene.site.log().len() >= asked + 60);
    // The command: ten in half a second, whatever the file says now.
    let said = answer(&scene, &["throttle", "set", "localhost", "--hits", "10", "--window", "500ms"])?;
    assert_eq!(said, "localhost: 10 hits in 500ms: holds on 1 of 1 stages\n", "{}", scene.log(0));
    scene.write("law.toml", &law(50));
    let since = scene.site.log().iter().map(|entry| entry.arrived.0).max().unwrap_or_default();
    let asked = scene.site.log().len();
    until("slower requests", || scene.site.log().len() >= asked + 50);
    let mut late: Vec<u64> = scene.site.log().iter().map(|entry| entry.arrived.0).collect();
    // What was released before is under way for up to a second, and the function starts when it can.
    late.retain(|at| *at > since + 1_500_000);
    late.sort_unstable();
    assert!(late.len() > 10, "{} requests", late.len());
    for window in late.windows(11) {
        assert!(window[10] - window[0] >= 500_000, "eleven arrivals within {} us", window[10] - window[0]);
    }
    let list: Value =
        serde_json::from_str(&answer(&scene, &["throttle", "list", "--json", "localhost", "other.org"])?)?;
    let (here, other) = (&list["domains"][0], &list["domains"][1]);
    assert_eq!((&here["from"], &here["limit"]["hits"]), (&"command".into(), &10.into()), "{list:#}");
    assert!(here["queued"].as_u64() > Some(0), "{list:#}");
    assert_eq!(other["limit"]["hits"], 50, "the file as it is now: {list:#}");
    // What is left is not waited for.
    answer(&scene, &["blacklist", "add", "localhost"])?;
    let mut job = Value::Null;
    until("the end of the job", || {
        let said = answer(&scene, &["jobs", "show", &number, "--json"]).unwrap_or_default();
        job = serde_json::from_str(&said).unwrap_or_default();
        job["outcome"] == "finished"
    });
    assert!(job["stats"]["verdict/rejected/blacklisted"].as_u64() > Some(0), "{job:#}");
    stop(stage);
    Ok(())
}
