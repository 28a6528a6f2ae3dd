//! Whole crawls of the practice site: every field of every listing equals what the generator says.

use weir_e2e::{Stand, compare, compare_rows, example, expected, run};

#[test]
fn every_field_of_every_listing_equals_what_the_generator_says() -> anyhow::Result<()> {
    let stand = Stand::new(40);
    let output = run(stand.crawl(example("properties.toml")).args(["--json"]), 0)?;
    // The spider starts from 1,667 index pages; this site has 40 of them, the others are 404.
    let stats: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    assert_eq!(stats["outcome"], "finished");
    assert_eq!(stats["stats"]["items/scraped"], 1200, "{stats:#}");
    assert_eq!(stats["stats"]["verdict/rejected/status"], 1627, "{stats:#}");
    let expected = expected(&stand.site, &stand.base());
    compare(&stand.feed()?, &expected)?;
    compare_rows(&stand.rows()?, &expected)
}

#[test]
fn following_next_links_gives_the_same_listings_as_starting_everywhere() -> anyhow::Result<()> {
    let stand = Stand::new(20);
    run(&mut stand.crawl(example("properties-next.toml")), 0)?;
    compare(&stand.feed()?, &expected(&stand.site, &stand.base()))
}

#[test]
fn thirty_items_from_each_index_page_are_the_same_listings() -> anyhow::Result<()> {
    let stand = Stand::new(20);
    run(&mut stand.crawl(example("properties-fast.toml")), 0)?;
    compare(&stand.feed()?, &expected(&stand.site, &stand.base()))?;
    let requests = stand.site.log().iter().filter(|entry| entry.path.contains("/property_")).count();
    assert_eq!(requests, 0, "no listing's own page is asked for");
    Ok(())
}

#[test]
fn the_json_api_leads_to_its_thirty_listings() -> anyhow::Result<()> {
    let stand = Stand::new(20);
    run(&mut stand.crawl(example("properties-api.toml")), 0)?;
    let mut expected = expected(&stand.site, &stand.base());
    let first: Vec<String> = (0..30).map(|at| stand.site.portal().listing(at).url(&stand.base())).collect();
    expected.retain(|url, _| first.contains(url));
    compare(&stand.feed()?, &expected)
}

#[test]
fn large_pages_give_the_same_fields() -> anyhow::Result<()> {
    let stand = Stand::new(10);
    let base = format!("{}/large", stand.base());
    let mut command = stand.command(weir_e2e::weir());
    command.arg("crawl").arg(example("properties.toml")).args([
        "-q",
        "-a",
        &format!("base={base}"),
        "-o",
        "items.jsonl",
        "--state",
        "s",
    ]);
    run(&mut command, 0)?;
    compare(&stand.feed()?, &expected(&stand.site, &base))
}

#[test]
fn one_two_and_four_workers_give_equal_sets() -> anyhow::Result<()> {
    for workers in ["1", "2", "4"] {
        let stand = Stand::new(20);
        run(stand.crawl(example("properties-next.toml")).args(["--workers", workers]), 0)?;
        let expected = expected(&stand.site, &stand.base());
        compare(&stand.feed()?, &expected).map_err(|error| error.context(format!("{workers} workers")))?;
        compare_rows(&stand.rows()?, &expected)?;
    }
    Ok(())
}

#[test]
fn without_o_items_go_to_a_database_with_the_spiders_name() -> anyhow::Result<()> {
    let stand = Stand::new(2);
    let mut command = stand.command(weir_e2e::weir());
    command.arg("crawl").arg(example("properties-next.toml")).args(["-q", "-a", &format!("base={}", stand.base())]);
    run(&mut command, 0)?;
    assert!(stand.path(".weir").is_dir(), "the state lies in .weir/NAME");
    let databases: Vec<_> = std::fs::read_dir(stand.dir.path())?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.ends_with(".db"))
        .collect();
    assert_eq!(databases.len(), 1, "{databases:?}");
    compare_rows(&weir_e2e::read_rows(&stand.path(&databases[0]))?, &expected(&stand.site, &stand.base()))
}

#[test]
fn each_page_is_asked_for_once() -> anyhow::Result<()> {
    let stand = Stand::new(10);
    run(&mut stand.crawl(example("properties-next.toml")), 0)?;
    let mut seen = std::collections::BTreeMap::new();
    for entry in stand.site.log() {
        *seen.entry(entry.path.clone()).or_insert(0) += 1;
    }
    let twice: Vec<_> = seen.iter().filter(|(_, count)| **count > 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
    assert_eq!(seen.len(), 10 + 300 + 1, "index pages, listings, robots.txt");
    Ok(())
}

#[test]
fn what_hooks_drop_is_counted_and_never_asked_for() -> anyhow::Result<()> {
    let stand = Stand::new(4);
    let text = std::fs::read_to_string(example("properties.toml"))?.replace("{00000..01666}", "{00000..00003}");
    let hooks = r#"
[[hook]]
on = "start"
when = 'index != 0'
drop = true
[[hook]]
on = "link"
name = "odd"
when = 'parse == "property" && url.matches("[13579][.]html$")'
drop = true
[[hook]]
on = "item"
name = "dear"
when = 'price > 1000'
drop = true
"#;
    stand.write("hooked.toml", &format!("{text}{hooks}"));
    let output = run(stand.crawl("hooked.toml").arg("--json"), 0)?;
    let stats: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let count = |name: &str| stats["stats"][name].as_u64().unwrap_or(0);
    assert_eq!((count("hook/start/dropped"), count("hook/odd/dropped")), (3, 60), "{stats:#}");
    let even = stand.site.portal().iter().step_by(2);
    let (dear, kept): (Vec<_>, Vec<_>) = even.partition(|listing| listing.price > 1000.0);
    assert!(!dear.is_empty() && !kept.is_empty(), "the practice site has both");
    assert_eq!(count("hook/dear/dropped"), dear.len() as u64);
    let feed = stand.feed()?;
    assert_eq!(feed.len(), kept.len());
    assert!(kept.iter().all(|listing| feed.contains_key(&listing.url(&stand.base()))));
    let asked = stand.site.log().into_iter().filter(|access| access.path.contains("/property_")).count();
    assert_eq!(asked, 60, "half of them");
    Ok(())
}
