//! What goes wrong: functions and a stage killed in the middle, copies of messages.
//!
//! Named so that it runs behind the other tests: the emulator is slow for minutes after one of its functions was killed.

use crate::cloud::{Cloud, Scene, cloud, stop};
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use weir_aws::Aws;
use weir_e2e::{printed, read_rows, run, until};
use weir_queue::MessageQueue;

pub const PAGES: usize = 8;
pub const HOSTS: [&str; 4] = ["a.localhost", "b.localhost", "c.localhost", "d.localhost"];
const HITS: usize = 60;
const WINDOW_US: u64 = 500_000;

/// The portals of four hosts, which two stages share.
pub fn spider(scene: &Scene) -> String {
    let port = scene.site.port();
    let last = PAGES - 1;
    let starts: Vec<String> = HOSTS
        .iter()
        .map(|host| format!("\"http://{host}:{port}/properties/index_{{00000..{last:05}}}.html\""))
        .collect();
    format!(
        "name = \"four\"\nallowed_domains = [\"localhost\"]\nstart = [{}]\n[[follow]]\nxpath = '//*[@itemprop=\"url\"]/@href'\n\
         parse = \"property\"\n[item.property]\nkey = \"url\"\n[item.property.fields]\nurl = {{ value = \"response.url\" }}\n\
         price = {{ xpath = '//*[@itemprop=\"price\"][1]/text()', regex = '[,.0-9]+', map = [{{ remove = \",\" }}], type = \"float\" }}\n",
        starts.join(", ")
    )
}

/// Processes that descend from the emulator and run the function.
fn functions(cloud: &Cloud) -> Vec<u32> {
    let folder = cloud.emulator.folder().expect("our own emulator");
    let pid = std::fs::read_to_string(folder.join("pid")).unwrap_or_default();
    let Some(root) = pid.split_whitespace().next().and_then(|pid| pid.parse::<u32>().ok()) else { return Vec::new() };
    let mut family = BTreeSet::from([root]);
    let mut found = Vec::new();
    // Children have greater numbers than their parents, but for one round about the end of the numbers.
    let mut processes: Vec<u32> = std::fs::read_dir("/proc")
        .expect("Linux")
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    processes.sort_unstable();
    for process in processes {
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{process}/stat")) else { continue };
        let Some((name, rest)) = stat.rsplit_once(')') else { continue };
        let parent = rest.split_whitespace().nth(1).and_then(|parent| parent.parse().ok()).unwrap_or(0);
        if family.contains(&parent) {
            family.insert(process);
            if name.ends_with("(bootstrap") {
                found.push(process);
            }
        }
    }
    found
}

fn kill(process: u32) {
    // One that has ended by itself meanwhile is as good as killed.
    let _ = std::process::Command::new("kill").args(["-KILL", &process.to_string()]).status();
}

/// Takes messages off the fetch queue, where it is faster than the function, and puts two copies of each in their place.
fn double(url: String, settings: Vec<(&'static str, String)>, stop: Arc<AtomicBool>) -> std::thread::JoinHandle<usize> {
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let endpoint = settings.iter().find(|(name, _)| *name == "AWS_ENDPOINT_URL").expect("an endpoint");
        let queue = Aws::at(&endpoint.1, "eu-central-1").queue(&url);
        let mut doubled = 0;
        runtime.block_on(async {
            while !stop.load(Ordering::Relaxed) {
                let Ok(received) = queue.receive(1, Duration::ZERO).await else { continue };
                // One at a time, a few a second: copies of copies are no flood.
                for message in received {
                    let body = message.body.expect("a body");
                    let copies = [body.clone(), body];
                    assert!(queue.send(&copies).await.iter().all(Result::is_ok));
                    // One that could not be settled is a third copy.
                    let _ = queue.settle(&[message.receipt]).await;
                    doubled += 1;
                }
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
        });
        doubled
    })
}

/// Every listing is in one of two databases, and in one alone; each of them has some.
pub fn whole(scene: &Scene, told: &str) -> anyhow::Result<()> {
    let mut urls = BTreeSet::new();
    for index in 0..2 {
        let rows = read_rows(&scene.path(&format!("items-{index}.db")))?;
        assert!(!rows.is_empty(), "both stages had work: {told}");
        for (url, row) in rows {
            assert!(urls.insert(url.clone()), "{url} is in both databases");
            assert!(row["price"].is_number(), "{url}: {:?}", row["price"]);
        }
    }
    for host in HOSTS {
        let base = format!("http://{host}:{}", scene.site.port());
        for listing in scene.site.portal().for_host(host).iter() {
            assert!(urls.remove(&listing.url(&base)), "{} is missing: {told}", listing.url(&base));
        }
    }
    assert!(urls.is_empty(), "nothing that is not on the site: {urls:?}");
    Ok(())
}

#[test]
fn nothing_is_lost_when_functions_and_a_stage_are_killed_and_messages_come_twice() -> anyhow::Result<()> {
    let cloud = cloud();
    let scene = Scene::new(&cloud, 2, PAGES);
    scene.write("four.toml", &spider(&scene));
    // A law for each name: that of the test's domains, which the list of public suffixes takes for one each.
    scene.write("law.toml", &format!("[default]\nhits = {HITS}\nwindow = \"500ms\"\nmoderated = false\n"));
    let mut stages: Vec<_> = (0..2).map(|index| scene.start(index, &[])).collect();
    let ended = Arc::new(AtomicBool::new(false));
    let doubler = double(cloud.queue("fetch"), cloud.emulator.settings(), Arc::clone(&ended));
    let output = run(&mut scene.weir(&["enqueue", "four.toml", "--shards", "8", "-s", "retry.times=5", "--json"]), 0)?;
    let opened: Value = serde_json::from_str(printed(&output).0.trim())?;
    let job = opened["job"].to_string();
    let asked = |count: usize| until("requests", || scene.site.log().len() >= count);
    asked(150);
    let victims = functions(&cloud);
    victims.iter().for_each(|process| kill(*process));
    assert!(!victims.is_empty(), "a function ran");
    asked(300);
    stages[1].signal("-KILL")?;
    stages[1].0.wait()?;
    stages[1] = scene.start(1, &[]);
    let (mut last, mut looks) = (Value::Null, 0u32);
    until("the end of the job", || {
        let output = scene.weir(&["jobs", "show", &job, "--json"]).output().expect("weir starts");
        last = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
        looks += 1;
        if looks % 200 == 0 {
            // What keeps it, should it take too long.
            eprintln!("{last:#}\n--- 0\n{}\n--- 1\n{}", scene.log(0), scene.log(1));
        }
        !last["outcome"].is_null()
    });
    ended.store(true, Ordering::Relaxed);
    let doubled = doubler.join().expect("no panic");
    let told = format!("{last:#}\n--- 0\n{}\n--- 1\n{}", scene.log(0), scene.log(1));
    assert_eq!(last["outcome"], "finished", "{told}");
    let pages = HOSTS.len() * PAGES * 31;
    assert_eq!(last["stats"]["verdict/delivered"], pages, "{told}");
    assert!(doubled > 0, "messages came twice");
    whole(&scene, &told)?;
    scene.judge(HITS, WINDOW_US);
    stages.into_iter().for_each(stop);
    Ok(())
}
