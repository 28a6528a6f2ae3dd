//! A stage whose sinks and geocoder want secrets: they come by variables, and are written nowhere.

use crate::cloud::{Scene, cloud, stop};
use std::process::Command;
use weir_e2e::{example, printed, read_rows, run};
use weir_services::Service;

const PAGES: usize = 3;
const PASSWORD: &str = "geheim: p@ss/w%rd";

/// One command by the server's own client: lines of its answer.
fn redis(port: &str, command: &[&str]) -> Vec<String> {
    let mut client = Command::new("redis-cli");
    // Before it has a password, it wants none.
    client.args(["-p", port]).env("REDISCLI_AUTH", if command[0] == "CONFIG" { "" } else { PASSWORD }).args(command);
    let output = client.output().expect("the client that came with the server");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text").lines().map(str::to_owned).collect()
}

#[test]
fn listings_arrive_located_in_a_server_whose_password_only_the_environment_knows() -> anyhow::Result<()> {
    let cloud = cloud();
    let server = Service::redis()?;
    let port = server.port().to_string();
    assert_eq!(redis(&port, &["CONFIG", "SET", "requirepass", PASSWORD]), ["OK"]);
    let mut scene = Scene::new(&cloud, 1, PAGES);
    std::fs::copy(example("properties-next.toml"), scene.path("properties.toml"))?;
    scene.write("law.toml", "");
    scene.set("WEIR_SINK_SECRETS", &serde_json::json!({ "redis": PASSWORD, "GEO_KEY": "geheim-geo" }).to_string());
    let base = format!("http://localhost:{}", scene.site.port());
    let sink = format!("redis://127.0.0.1:{port}/0");
    let settings = ["kind=google", &format!("url={base}/maps/api/geocode/json"), "rate=500", "key=GEO_KEY"];
    let settings = settings.map(|setting| format!("geocode.providers.site.{setting}"));
    let cache = format!("geocode.cache=redis://127.0.0.1:{port}/1");
    scene.set("WEIR_SETTINGS", &format!("{} {cache}", settings.join(" ")));
    let stage = scene.start(0, &["-o", &sink]);
    let argument = format!("base={base}");
    let output = run(&mut scene.weir(&["enqueue", "properties.toml", "-a", &argument, "--wait", "--json"]), 0)?;
    let job = printed(&output).0;
    let told = format!("{job}\n{}", scene.log(0));
    let rows = read_rows(&scene.path("items-0.db"))?;
    assert_eq!(rows.len(), PAGES * 30, "{told}");
    let mut keys = redis(&port, &["--scan", "--pattern", "*"]);
    keys.retain(|key| key.rsplit(':').next().is_some_and(|id| id.len() == 32));
    assert_eq!(keys.len(), PAGES * 30, "{told}");
    let mut in_redis = std::collections::BTreeMap::new();
    for key in &keys {
        let value = |field: &str| redis(&port, &["HGET", key, field]).concat();
        in_redis.insert(value("url"), value("location"));
    }
    for listing in scene.site.portal().iter() {
        let url = listing.url(&base);
        for text in [in_redis[&url].clone(), rows[&url]["location"].to_string()] {
            for part in [listing.lat, listing.lon] {
                assert!(text.contains(&part.to_string()), "{url}: {text}, meant was {} {}", listing.lat, listing.lon);
            }
        }
    }
    let calls = || scene.site.log().into_iter().filter(|access| access.path.starts_with("/maps/"));
    assert!(calls().count() > 0 && calls().all(|call| call.path.contains("key=geheim-geo")), "{told}");
    assert!(!redis(&port, &["-n", "1", "--scan"]).is_empty(), "the cache has the same password");
    stop(stage);
    let mut written = vec![told];
    for prefix in ["jobs/", "progress/", "status/", "dead-letters/"] {
        written.extend(cloud.objects(prefix).into_values());
    }
    assert!(written.iter().all(|text| !text.contains("geheim")), "no secret is written");
    Ok(())
}
