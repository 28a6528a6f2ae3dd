//! Mistakes of whoever types or deploys: each a clear error, before anything is begun.

use crate::cloud::{STACK, Scene, cloud};
use weir_e2e::{printed, run};

const SPIDER: &str = "name = \"one\"\nstart = [\"http://localhost:1/\"]\nstart_parse = \"page\"\n[item.page]\nkey = \"url\"\n\
    fields = { url = { value = \"response.url\" } }\n";

#[test]
fn a_deployment_that_is_not_there_is_told_with_what_to_do() -> anyhow::Result<()> {
    let cloud = cloud();
    let scene = Scene::new(&cloud, 1, 1);
    scene.write("one.toml", SPIDER);
    scene.write("law.toml", "");
    let whole = |name: &str, value: &str| {
        let mut command = scene.weir(&["stage", "--state", "state"]);
        let (bucket, fetch) = (format!("{STACK}-bucket"), cloud.queue("fetch"));
        command.env("WEIR_STACK", STACK).env("WEIR_BUCKET", bucket).env("WEIR_FETCH_QUEUE", fetch);
        command.env("WEIR_CLAIM_TABLE", format!("{STACK}-claims")).env(name, value);
        command
    };
    let mut no_credentials = whole("AWS_ACCESS_KEY_ID", "");
    no_credentials.env("AWS_SECRET_ACCESS_KEY", "").env("HOME", scene.dir.path());
    let mut elsewhere = scene.weir(&["jobs"]);
    elsewhere.env_remove("WEIR_DEPLOYMENT");
    let mut no_region = whole("AWS_REGION", "");
    no_region.env("AWS_DEFAULT_REGION", "").env("HOME", scene.dir.path());
    let mut wrong_region = whole("AWS_REGION", "ap-south-1");
    wrong_region.env("AWS_DEFAULT_REGION", "ap-south-1");
    let missing = cloud.deployment(1).replace("-requests-0", "-requests-9");
    scene.write("missing.toml", &missing);
    let mut no_queue = scene.weir(&["enqueue", "one.toml", "--deployment", "missing.toml"]);
    no_queue.env_remove("WEIR_DEPLOYMENT");
    let mut no_state = scene.weir(&["stage", "export", "--stages", "2", "--state", "nowhere"]);
    no_state.env("WEIR_STACK", STACK);
    for (mut command, code, told) in [
        (elsewhere, 2, ".weir/deployment.toml is not here"),
        (scene.weir(&["jobs", "--stack", "other"]), 2, "describes the deployment \"e2e\""),
        (scene.weir(&["jobs", "show", "4711"]), 2, "there is no job 4711"),
        (scene.weir(&["cancel", "4711"]), 2, "there is no job 4711"),
        (scene.weir(&["enqueue", "one.toml", "--shards", "0"]), 2, "expected 1 to"),
        (scene.weir(&["enqueue", "one.toml", "--urls", "law.toml"]), 2, "no URL in it"),
        (whole("WEIR_STACK", "nosuch"), 4, "is the stack deployed, and are account and region the right ones?"),
        (whole("WEIR_FETCH_QUEUE", &cloud.queue("nosuch")), 4, "nosuch"),
        (whole("WEIR_CLAIM_TABLE", "nosuch"), 4, "nosuch"),
        (whole("WEIR_STAGE", "seven"), 2, "a whole number up to"),
        (whole("WEIR_SINK_SECRETS", "geheim"), 2, "JSON with passwords"),
        (wrong_region, 4, "is the stack deployed, and are account and region the right ones?"),
        (no_queue, 4, "1 of 1 shards could not be sent"),
        (
            scene.weir(&["dead-letters", "list", "--deployment", "deployment.toml", "--state", "x"]),
            2,
            "expected one of them",
        ),
        (scene.weir(&["stage", "--slot", "60", "--state", "state"]), 2, "60 is not in 1..=10"),
        (no_state, 2, "--state nowhere: there is no such folder"),
        (scene.weir(&["stage", "import", "--state", "new", "law.toml"]), 2, "no export of a stage"),
        (no_credentials, 4, "AWS_ACCESS_KEY_ID"),
        (no_region, 4, "AWS_REGION"),
    ] {
        let (out, error) = printed(&run(&mut command, code)?);
        assert!(error.contains(told), "{told:?} in:\n{out}{error}");
        assert!(!error.contains("geheim"), "{error}");
    }
    Ok(())
}
