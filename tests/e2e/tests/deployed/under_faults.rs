//! What goes wrong: functions and a stage killed in the middle, every tenth message twice, a request that kills its function.
//!
//! Named so that it runs behind the other tests: what a killed function has received stays hidden for as long as the function might
//! have worked on it.

use crate::cloud::{Cloud, STACK, Scene, cloud, stop};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use weir_e2e::{printed, read_rows, run, until};

pub const PAGES: usize = 8;
/// 3,000 listings at four hosts.
const MANY_PAGES: usize = 25;
const PART_ROWS: usize = 400;
pub const HOSTS: [&str; 4] = ["a.localhost", "b.localhost", "c.localhost", "d.localhost"];
const HITS: usize = 60;
const WINDOW_US: u64 = 500_000;

/// The portals of four hosts, which two stages share.
pub fn spider(scene: &Scene) -> String {
    spider_of(scene, &HOSTS, PAGES)
}

fn spider_of(scene: &Scene, hosts: &[&str], pages: usize) -> String {
    let port = scene.site.port();
    let last = pages - 1;
    let starts: Vec<String> = hosts
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

/// The emulator's process.
fn emulator(cloud: &Cloud) -> u32 {
    let folder = cloud.emulator.folder().expect("our own emulator");
    let pid = std::fs::read_to_string(folder.join("pid")).expect("it runs");
    pid.split_whitespace().next().and_then(|pid| pid.parse().ok()).expect("a number and when it was born")
}

/// Processes that descend from the emulator and run the function.
fn functions(cloud: &Cloud) -> Vec<u32> {
    descendants(emulator(cloud))
}

fn descendants(root: u32) -> Vec<u32> {
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

/// Every listing is in one of two databases, and in one alone; each of them has some. Gives their prices.
pub fn whole(scene: &Scene, told: &str) -> anyhow::Result<BTreeMap<String, Value>> {
    let mut prices = BTreeMap::new();
    for index in 0..2 {
        let rows = read_rows(&scene.path(&format!("items-{index}.db")))?;
        assert!(!rows.is_empty(), "both stages had work: {told}");
        for (url, row) in rows {
            assert!(row["price"].is_number(), "{url}: {:?}", row["price"]);
            assert!(prices.insert(url.clone(), row["price"].clone()).is_none(), "{url} is in both databases");
        }
    }
    let mut urls: BTreeSet<&String> = prices.keys().collect();
    for host in HOSTS {
        let base = format!("http://{host}:{}", scene.site.port());
        for listing in scene.site.portal().for_host(host).iter() {
            assert!(urls.remove(&listing.url(&base)), "{} is missing: {told}", listing.url(&base));
        }
    }
    assert!(urls.is_empty(), "nothing that is not on the site: {urls:?}");
    Ok(prices)
}

#[test]
fn nothing_is_lost_when_functions_and_a_stage_are_killed_and_messages_come_twice() -> anyhow::Result<()> {
    let cloud = cloud();
    let scene = Scene::new(&cloud, 2, MANY_PAGES);
    let (port, deaths) = deadly(&cloud, Arc::default())?;
    let deadly = format!("start = [\"http://deadly.localhost:{port}/\", ");
    scene.write("four.toml", &spider_of(&scene, &HOSTS, MANY_PAGES).replacen("start = [", &deadly, 1));
    // A law for each name: that of the test's domains, which the list of public suffixes takes for one each.
    scene.write("law.toml", &format!("[default]\nhits = {HITS}\nwindow = \"500ms\"\nmoderated = false\n"));
    let feed = format!("s3://{}/feeds/faults/%(stage)s-p%(batch_id)d.jsonl", cloud.bucket());
    let start = |index| scene.start(index, &["-o", &feed, "-s", &format!("feed.part_rows={PART_ROWS}"), "--slot", "2"]);
    let mut stages: Vec<_> = (0..2).map(start).collect();
    let twice = cloud.twice(10);
    // Every function that dies costs whatever it had under way an attempt: those that are killed here, and by the deadly page.
    let settings = ["-s", "retry.times=3", "-s", "robots=false"];
    let mut enqueue = scene.weir(&["enqueue", "four.toml", "--shards", "20", "--json"]);
    let output = run(enqueue.args(settings), 0)?;
    let opened: Value = serde_json::from_str(printed(&output).0.trim())?;
    let job = opened["job"].to_string();
    let asked = |count: usize| until("requests", || scene.site.log().len() >= count);
    asked(500);
    let mut victims = Vec::new();
    until("two functions at once", || {
        victims = functions(&cloud);
        victims.len() >= 2
    });
    victims.iter().for_each(|process| kill(*process));
    asked(1_000);
    stages[1].signal("-KILL")?;
    stages[1].0.wait()?;
    stages[1] = start(1);
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
    let told = format!("{last:#}\n--- 0\n{}\n--- 1\n{}", scene.log(0), scene.log(1));
    assert_eq!(last["outcome"], "finished", "{told}");
    let pages = HOSTS.len() * MANY_PAGES * 31;
    assert_eq!(last["stats"]["verdict/delivered"], pages, "{told}");
    assert_eq!(last["stats"]["verdict/dead_lettered/killed_the_function"], 1, "{told}");
    assert!(deaths.load(Ordering::Relaxed) >= 2, "asked again, alone: {told}");
    let doubled = twice.counts();
    let twice = |queue: &str| doubled.get(&format!("{STACK}-{queue}")).copied().unwrap_or_default();
    for queue in ["fetch", "reports-0", "reports-1"] {
        assert!(twice(queue) > 0, "{queue}: {doubled:?}");
    }
    // Twenty shards and what the stages hand on: one of the two queues has ten messages at least.
    assert!(twice("requests-0") + twice("requests-1") > 0, "{doubled:?}");
    let prices = whole(&scene, &told)?;
    let feed = scene.feed(&cloud, "faults", PART_ROWS);
    let in_feed: BTreeMap<String, Value> = feed.into_iter().map(|(url, item)| (url, item["price"].clone())).collect();
    assert!(in_feed == prices, "{} items in the feeds, {} in the tables: {told}", in_feed.len(), prices.len());
    scene.judge(HITS, WINDOW_US);
    stages.into_iter().for_each(stop);
    Ok(())
}

/// Whoever of these processes is at the other end of a connection of this machine.
fn at_the_other_end(stream: &TcpStream, processes: Vec<u32>) -> Option<u32> {
    // Its end has the port at the other end and ours as its peer's: another connection, ended lately, may have had the same port.
    let [port, ours] =
        [stream.peer_addr().ok()?, stream.local_addr().ok()?].map(|address| format!(":{:04X}", address.port()));
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|table| std::fs::read_to_string(table).unwrap_or_default());
    let mut rows = tables.iter().flat_map(|table| table.lines()).map(|row| row.split_whitespace().collect::<Vec<_>>());
    let is_it = |row: &Vec<&str>| row.len() > 9 && row[1].ends_with(&port) && row[2].ends_with(&ours) && row[9] != "0";
    let inode = rows.find(is_it)?[9].to_owned();
    let socket = format!("socket:[{inode}]");
    processes.into_iter().find(|process| {
        let files = std::fs::read_dir(format!("/proc/{process}/fd")).into_iter().flatten().flatten();
        files.filter_map(|file| std::fs::read_link(file.path()).ok()).any(|link| link.to_string_lossy() == socket)
    })
}

/// A server whose page no function survives: whoever asks for it is killed before it has an answer. Until it is tame.
fn deadly(cloud: &Cloud, tame: Arc<AtomicBool>) -> anyhow::Result<(u16, Arc<AtomicUsize>)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    let deaths = Arc::new(AtomicUsize::new(0));
    let (counted, pid) = (Arc::clone(&deaths), emulator(cloud));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let read = stream.read(&mut [0; 4096]).unwrap_or(0);
            if read > 0 && tame.load(Ordering::Relaxed) {
                let _ =
                    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 5\r\n\r\n<p>no");
            } else if read > 0 {
                counted.fetch_add(1, Ordering::Relaxed);
                at_the_other_end(&stream, descendants(pid)).into_iter().for_each(kill);
            }
        }
    });
    Ok((port, deaths))
}

#[test]
fn what_kills_its_function_each_time_is_dead_lettered_by_name_and_enters_again_when_it_may() -> anyhow::Result<()> {
    let cloud = cloud();
    let scene = Scene::new(&cloud, 1, 2);
    let tame = Arc::new(AtomicBool::new(false));
    let (port, deaths) = deadly(&cloud, Arc::clone(&tame))?;
    let deadly = format!("start = [\"http://deadly.localhost:{port}/\", ");
    let text = spider_of(&scene, &["a.localhost"], 2).replacen("start = [", &deadly, 1);
    scene.write("deadly.toml", &text);
    scene.write("law.toml", "");
    // With a slot as long as on AWS: a shorter one (--slot 1: a lease of 7 s) takes functions for dead that the emulator has not started yet, and
    // with one attempt more their pages are given up, too.
    let mut stage = scene.start(0, &[]);
    let settings = ["-s", "retry.times=1", "-s", "robots=false"];
    let mut enqueue = scene.weir(&["enqueue", "deadly.toml", "--shards", "2", "--wait", "--json"]);
    let output = run(enqueue.args(settings), 0)?;
    let job: Value = serde_json::from_str(printed(&output).0.trim())?;
    let told = format!("{job:#}\n{}", scene.log(0));
    assert_eq!(job["stats"]["verdict/dead_lettered/killed_the_function"], 1, "{told}");
    assert_eq!(job["stats"]["verdict/delivered"], 2 * 31, "{told}");
    assert_eq!(read_rows(&scene.path("items-0.db"))?.len(), 60, "{told}");
    assert_eq!(deaths.load(Ordering::Relaxed), 2, "asked once, and once more alone: {told}");
    // It is to be seen from outside, and enters again from there.
    let letters = || -> Vec<Value> {
        let output = scene.weir(&["dead-letters", "list", "--json"]).output().expect("weir starts");
        let listed: Value = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
        listed["letters"].as_array().cloned().unwrap_or_default()
    };
    until("the letter in the bucket", || !letters().is_empty());
    let letter = letters().remove(0);
    let url = format!("http://deadly.localhost:{port}/");
    assert_eq!((&letter["id"], &letter["verdict"]), (&"0/1".into(), &"killed_the_function".into()), "{letter:#}");
    assert_eq!(letter["request"]["url"], url.as_str(), "{letter:#}");
    let (shown, _) = printed(&run(&mut scene.weir(&["dead-letters", "show", "0/1"]), 0)?);
    assert!(shown.contains(&url) && shown.contains("killed_the_function"), "{shown}");
    // A stage that is killed before it has written its pages writes them when it starts.
    cloud.forget("dead-letters/");
    stage.signal("-KILL")?;
    stage.0.wait()?;
    let stage = scene.start(0, &[]);
    until("the letter to come back", || !letters().is_empty());
    tame.store(true, Ordering::Relaxed);
    let (said, _) = printed(&run(&mut scene.weir(&["dead-letters", "replay", "0/1"]), 0)?);
    let job: String = said.chars().skip("job ".len()).take_while(char::is_ascii_digit).collect();
    let mut last = Value::Null;
    until("the end of the replay", || {
        let output = scene.weir(&["jobs", "show", &job, "--json"]).output().expect("weir starts");
        last = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
        !last["outcome"].is_null()
    });
    assert_eq!((&last["outcome"], &last["stats"]["verdict/delivered"]), (&"finished".into(), &1.into()), "{last:#}");
    until("the letter to go", || letters().is_empty());
    stop(stage);
    Ok(())
}
