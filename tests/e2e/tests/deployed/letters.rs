//! Messages that nobody could use: seen from outside without being lost or hidden, and sent back to where they came from.

use crate::cloud::{Scene, cloud, stop};
use serde_json::Value;
use weir_e2e::{printed, run, until};

/// The messages that a list shows, by what they say: `(id, from, why)` of those whose body has `mark`.
fn marked(scene: &Scene, mark: &str) -> Vec<(String, String, String)> {
    let output = scene.weir(&["dead-letters", "list", "--json"]).output().expect("weir starts");
    let listed: Value = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let messages = listed["messages"].as_array().cloned().unwrap_or_default();
    let mut found: Vec<_> = messages
        .iter()
        .filter(|message| message["body"].to_string().contains(mark))
        .map(|message| (text(&message["id"]), text(&message["from"]), text(&message["why"])))
        .collect();
    found.sort();
    found
}

#[test]
fn messages_that_nobody_could_use_are_seen_and_sent_back_and_none_is_lost() -> anyhow::Result<()> {
    let cloud = cloud();
    let scene = Scene::new(&cloud, 1, 1);
    scene.write("law.toml", "");
    let stage = scene.start(0, &[]);
    // One that a stage cannot read, one of another version, and two that their queues gave up.
    cloud.send("requests-0", "MARK-1 is no JSON");
    cloud.send("requests-0", "{\"v\":9,\"kind\":\"shard\",\"x\":\"MARK-2\"}");
    cloud.send("stage-0-dead", "{\"v\":1,\"kind\":\"control\",\"id\":\"MARK-3\",\"command\":{\"status\":{}}}");
    cloud.send("fetch-dead", "{\"v\":9,\"kind\":\"fetch\",\"x\":\"MARK-4\"}");
    until("all of them", || marked(&scene, "MARK-").len() == 4);
    let of = |mark: &str| marked(&scene, mark).pop().expect("it is there");
    let [one, two, three, four] = ["MARK-1", "MARK-2", "MARK-3", "MARK-4"].map(of);
    assert!(one.1 == "requests" && one.2.contains("expected value"), "{one:?}");
    assert!(two.1 == "requests" && two.2.contains("message of version 9"), "{two:?}");
    assert_eq!((&*three.1, &*four.1), ("control", "fetch"));
    // Looking hides nothing: each of these looks found all again, and so does the next.
    let (list, _) = printed(&run(&mut scene.weir(&["dead-letters", "list"]), 0)?);
    for message in [&one, &two, &three, &four] {
        let (place, id) = message.0.split_once('/').expect("a place");
        assert!(list.contains(&format!("{place}/{}", &id[..8])), "{} in\n{list}", message.0);
    }
    let (shown, _) = printed(&run(&mut scene.weir(&["dead-letters", "show", &two.0]), 0)?);
    assert!(shown.contains("MARK-2") && shown.contains("message of version 9"), "{shown}");
    // The command is obeyed; what cannot be read comes back with its reason, as another message.
    run(&mut scene.weir(&["dead-letters", "replay", &three.0, &one.0]), 0)?;
    until("the command", || cloud.objects("status/stage-0").values().any(|status| status.contains("MARK-3")));
    until("the other one", || marked(&scene, "MARK-1").first().is_some_and(|again| again.0 != one.0));
    assert!(marked(&scene, "MARK-3").is_empty(), "it left when it lay on its queue");
    // What does not say where it came from stays.
    cloud.send("stage-0-dead", "MARK-5, found somewhere");
    until("it", || marked(&scene, "MARK-5").len() == 1);
    let lost = of("MARK-5");
    let (_, told) = printed(&run(&mut scene.weir(&["dead-letters", "replay", &lost.0]), 4)?);
    assert!(told.contains("does not say which queue it came from"), "{told}");
    for (id, told) in
        [("stage-0/nothing", "there is no dead letter stage-0/nothing"), ("0/4711", "0/4711"), ("7", "0/12")]
    {
        let (_, said) = printed(&run(&mut scene.weir(&["dead-letters", "show", id]), 2)?);
        assert!(said.contains(told), "{said}");
    }
    let (_, said) = printed(&run(&mut scene.weir(&["dead-letters", "replay", "--all", "-o", "x.jsonl"]), 2)?);
    assert!(said.contains("by the sinks and the law of their stage"), "{said}");
    assert_eq!(
        (marked(&scene, "MARK-5").len(), marked(&scene, "MARK-2").len(), marked(&scene, "MARK-4").len()),
        (1, 1, 1)
    );
    stop(stage);
    Ok(())
}
