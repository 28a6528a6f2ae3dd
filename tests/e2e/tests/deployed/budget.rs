//! What a crawl costs: said before, counted meanwhile, and its end.

use crate::cloud::{Scene, cloud, stop};
use crate::properties;
use serde_json::Value;
use weir_e2e::{printed, read_rows, run};

const PAGES: usize = 100;
/// A few seconds of a stage.
const BUDGET: f64 = 0.0001;

#[test]
fn a_job_stops_at_its_budget_and_what_was_under_way_is_delivered() -> anyhow::Result<()> {
    let cloud = cloud();
    let scene = Scene::new(&cloud, 1, PAGES);
    scene.write("properties.toml", &properties(PAGES));
    // Two and a half minutes for all pages, had it no budget.
    scene.write("law.toml", "[default]\nhits = 20\nwindow = \"1s\"\nmoderated = false\n");
    let stage = scene.start(0, &[]);
    let argument = format!("base=http://localhost:{}", scene.site.port());
    let budget = BUDGET.to_string();
    let enqueue = ["enqueue", "properties.toml", "-a", &argument, "--budget", &budget, "--wait", "--json"];
    let job: Value = serde_json::from_str(printed(&run(&mut scene.weir(&enqueue), 3)?).0.trim())?;
    let count = |name: &str| job["stats"][name].as_u64().unwrap_or_default();
    assert_eq!(job["outcome"], "budget", "{job:#}\n{}", scene.log(0));
    assert!(count("verdict/delivered") > 0 && count("verdict/abandoned") > 0, "{job:#}");
    assert_eq!(count("urls/admitted"), count("verdict/delivered") + count("verdict/abandoned"), "{job:#}");
    assert_eq!(read_rows(&scene.path("items-0.db"))?.len() as u64, count("items/scraped"));
    // Functions told what they took, and it is in the bill.
    assert!(count("function/ms") > 0 && count("function/invocations") > 0 && count("function/mb_ms") > 0, "{job:#}");
    let dollars = &job["dollars"];
    let total = dollars["total"].as_f64().expect("a sum");
    assert!((BUDGET..BUDGET * 10.0).contains(&total), "{job:#}");
    let lines = dollars["lines"].as_object().expect("lines");
    assert!((lines.values().filter_map(Value::as_f64).sum::<f64>() - total).abs() < 1e-9, "{dollars:#}");
    assert!(lines["function_time"].as_f64() > Some(0.0) && lines["queues"].as_f64() > Some(0.0), "{dollars:#}");
    let number = job["job"].to_string();
    let (shown, _) = printed(&run(&mut scene.weir(&["jobs", "show", &number]), 3)?);
    assert!(shown.contains("cost so far") && shown.contains("outcome: budget"), "{shown}");
    let (list, _) = printed(&run(&mut scene.weir(&["jobs"]), 0)?);
    assert!(list.lines().any(|line| line.contains("budget") && line.contains('$')), "{list}");
    let asked = scene.site.log().len();
    stop(stage);
    assert_eq!(scene.site.log().len(), asked, "nothing is asked after the end");
    Ok(())
}

#[test]
fn a_plan_says_dollars_and_time_and_refuses_prices_that_are_none() -> anyhow::Result<()> {
    let cloud = cloud();
    let scene = Scene::new(&cloud, 1, 1);
    scene.write("properties.toml", &properties(PAGES));
    let plan = |more: &[&str]| {
        let mut arguments = vec!["plan", "properties.toml", "--pages", "1000000", "--latency", "100"];
        arguments.extend(["--page-bytes", "2000", "-a", "base=https://listings.example"]);
        arguments.extend(more);
        scene.weir(&arguments)
    };
    let read = |output| -> anyhow::Result<Value> { Ok(serde_json::from_str(printed(&output).0.trim())?) };
    let many = read(run(&mut plan(&["--domains", "1000", "--json"]), 0)?)?;
    assert!(many["dollars"]["total"].as_f64().is_some_and(|total| total <= 0.15), "{many:#}");
    assert_eq!(many["law"]["hits"], 60, "the default law");
    let one = read(run(&mut plan(&["--json"]), 0)?)?;
    assert_eq!((&one["domains"], &one["dollars"]["dominant"]), (&1.into(), &"stages".into()), "{one:#}");
    assert!(one["forecast"]["seconds"].as_f64() > Some(999_999.0), "a page a second");
    let (text, _) = printed(&run(&mut plan(&[]), 0)?);
    assert!(text.contains("11.6 days") && text.contains("in all"), "{text}");
    scene.write("prices.toml", "currency = \"USD\"\ndate = 2026-11-21\n[region.us-east-1]\nname = \"here\"\n");
    let (_, told) = printed(&run(&mut plan(&["--prices", "prices.toml"]), 2)?);
    assert!(told.contains("prices.toml:3") && told.contains("lambda"), "{told}");
    let (_, told) = printed(&run(&mut plan(&["--region", "mars-1"]), 2)?);
    assert!(told.contains("mars-1") && told.contains("eu-west-1"), "{told}");
    Ok(())
}
