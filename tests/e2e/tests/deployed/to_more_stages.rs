//! Another number of stages in the middle of a crawl, by the commands of docs/deploy.md.

use crate::cloud::{Scene, cloud, stop};
use crate::under_faults::{HOSTS, PAGES, spider, whole};
use serde_json::Value;
use weir_e2e::{printed, run, until};

const HITS: usize = 40;
const WINDOW_US: u64 = 500_000;
const FILE: &str = "move/stage-0-of-1.to-stage-1-of-2.weir-slice";

#[test]
fn half_a_crawl_goes_on_with_two_stages_and_nothing_is_lost_doubled_or_too_early() -> anyhow::Result<()> {
    let cloud = cloud();
    let mut scene = Scene::new(&cloud, 1, PAGES);
    scene.write("four.toml", &spider(&scene));
    scene.write("law.toml", &format!("[default]\nhits = {HITS}\nwindow = \"500ms\"\nmoderated = false\n"));
    let stage = scene.start(0, &[]);
    let output = run(&mut scene.weir(&["enqueue", "four.toml", "--shards", "8", "--json"]), 0)?;
    let opened: Value = serde_json::from_str(printed(&output).0.trim())?;
    let job = opened["job"].to_string();
    until("half of the requests", || scene.site.log().len() >= HOSTS.len() * PAGES * 15);
    stop(stage);
    let export = ["stage", "export", "--state", "state-0", "--stages", "2", "--to", "move", "--policy", "law.toml"];
    let (out, _) = printed(&run(&mut scene.weir(&export), 0)?);
    assert!(out.contains(FILE), "{out}");
    // Of another stage, or damaged: refused by name, and nothing is taken in.
    let import = |stage: &str, file: &str| {
        let of =
            ["stage", "import", "--state", "state-1", "--policy", "law.toml", "--stage", stage, "--stages", "2", file];
        scene.weir(&of)
    };
    let (_, told) = printed(&run(&mut import("0", FILE), 2)?);
    assert!(told.contains("for stage 1 of 2, and this is stage 0 of 2"), "{told}");
    let mut bytes = std::fs::read(scene.path(FILE))?;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(scene.path("damaged"), bytes)?;
    let (_, told) = printed(&run(&mut import("1", "damaged"), 2)?);
    assert!(told.contains("damaged at byte"), "{told}");
    // What it takes over is not there yet: it does not begin without.
    let mut early =
        scene.weir(&["stage", "--stage", "1", "--stages", "2", "--state", "state-1", "--policy", "law.toml"]);
    let (_, told) = printed(&run(&mut early, 2)?);
    assert!(told.contains("had 1 stage(s) before") && told.contains("weir stage import"), "{told}");
    run(&mut import("1", FILE), 0)?;
    let (_, told) = printed(&run(&mut import("1", FILE), 2)?);
    assert!(told.contains("imported this already"), "{told}");
    scene.resize(&cloud, 2);
    let stages: Vec<_> = (0..2).map(|index| scene.start(index, &[])).collect();
    let mut last = Value::Null;
    until("the end of the job", || {
        let output = scene.weir(&["jobs", "show", &job, "--json"]).output().expect("weir starts");
        last = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
        !last["outcome"].is_null()
    });
    let told = format!("{last:#}\n--- 0\n{}\n--- 1\n{}", scene.log(0), scene.log(1));
    assert_eq!(last["outcome"], "finished", "{told}");
    assert_eq!(last["stats"]["verdict/delivered"], HOSTS.len() * PAGES * 31, "{told}");
    whole(&scene, &told)?;
    scene.judge(HITS, WINDOW_US);
    stages.into_iter().for_each(stop);
    Ok(())
}
