//! `weir check` and `weir spider`: contracts, mistakes, the schema for editors.

use weir_e2e::{Stand, example, printed, run, weir};

/// `weir check` of a spider with these contracts, over the stand's site.
fn check(stand: &Stand, contracts: &str) -> std::process::Command {
    stand.write(
        "contracts.toml",
        &format!(
            "name = \"contracts\"\nstart = \"${{base}}/properties/index_00000.html\"\nstart_parse = \"page\"\n[args]\nbase = \"http://localhost:1\"\n\
             [[follow]]\nxpath = '//*[@itemprop=\"url\"]/@href'\n[item.page]\nkey = \"url\"\n[item.page.fields]\nurl = {{ value = \"response.url\" }}\n\
             title = {{ xpath = '//h1/text()' }}\nnothing = {{ xpath = '//blink/text()' }}\n{contracts}"
        ),
    );
    let mut command = stand.command(weir());
    command.args(["check", "contracts.toml", "-a", &format!("base={}", stand.base())]);
    command
}

#[test]
fn contracts_that_hold_are_listed_and_end_with_ok() -> anyhow::Result<()> {
    let stand = Stand::new(2);
    for file in ["properties.toml", "properties-next.toml", "properties-fast.toml", "properties-api.toml"] {
        let mut command = stand.command(weir());
        command.arg("check").arg(example(file)).args(["-a", &format!("base={}", stand.base())]);
        let (out, err) = printed(&run(&mut command, 0)?);
        let lines: Vec<&str> = out.lines().collect();
        assert!(lines[0].starts_with("ok ") && lines[0].contains(&stand.base()), "{file}: {out}");
        assert!(lines[1].starts_with("Ran 1 contract in ") && lines[1].ends_with(" s"), "{file}: {out}");
        assert_eq!((lines[2], lines.len(), err.as_str()), ("OK", 3, ""), "{file}: {out}");
    }
    Ok(())
}

#[test]
fn a_contract_that_fails_says_what_was_found_and_what_was_expected() -> anyhow::Result<()> {
    let stand = Stand::new(1);
    let index = "[[contract]]\nurl = \"${base}/properties/index_00000.html\"\nparse = \"page\"\n";
    let contracts = [
        format!("{index}items = 2\n"),
        format!("{index}requests = {{ max = 29 }}\n"),
        format!("{index}requests = {{ min = 31 }}\n"),
        format!("{index}scrapes = [\"url\", \"nothing\"]\n"),
        format!("{index}items = 1\nrequests = 30\nscrapes = [\"url\"]\n"),
    ];
    let (out, _) = printed(&run(&mut check(&stand, &contracts.concat()), 4)?);
    for said in [
        "1 item, expected 2",
        "30 requests, expected 0 to 29",
        "30 requests, expected at least 31",
        "\"nothing\" field is missing",
        "Ran 5 contracts in ",
        "FAILED (4 of 5)",
    ] {
        assert!(out.contains(said), "{said:?} is missing in\n{out}");
    }
    let count = |word: &str| out.lines().filter(|line| line.starts_with(word)).count();
    assert_eq!((count("FAIL "), count("ok ")), (4, 1), "each contract is named with its page: {out}");
    Ok(())
}

#[test]
fn a_contract_may_name_a_loopback_host_that_no_start_url_names() -> anyhow::Result<()> {
    let stand = Stand::new(1);
    let page = format!("http://contract.localhost:{}/properties/property_000000.html", stand.site.port());
    let contract = format!("[[contract]]\nurl = \"{page}\"\nitems = 1\nscrapes = [\"title\"]\n");
    let (out, _) = printed(&run(&mut check(&stand, &contract), 0)?);
    assert!(out.ends_with("OK\n"), "{out}");
    Ok(())
}

#[test]
fn a_page_that_is_not_there_fails_its_contract_and_the_others_are_still_checked() -> anyhow::Result<()> {
    let stand = Stand::new(1);
    let contracts = "[[contract]]\nurl = \"${base}/nothing.html\"\nitems = 1\n\
                     [[contract]]\nurl = \"http://localhost:1/refused.html\"\nitems = 1\n\
                     [[contract]]\nurl = \"${base}/properties/property_000000.html\"\nscrapes = [\"title\"]\n";
    let (out, _) = printed(&run(&mut check(&stand, contracts), 4)?);
    assert!(out.contains("/nothing.html\n      the page was not fetched: HTTP status 404"), "{out}");
    assert!(out.contains("/refused.html\n      the page was not fetched: connect: "), "{out}");
    assert!(out.contains("\nok ") && out.contains("FAILED (2 of 3)"), "{out}");
    Ok(())
}

#[test]
fn a_spider_without_contracts_has_nothing_to_check() -> anyhow::Result<()> {
    let stand = Stand::new(1);
    let (_, err) = printed(&run(&mut check(&stand, ""), 2)?);
    assert!(err.contains("contracts.toml: no [[contract]] to check"), "{err}");
    Ok(())
}

#[test]
fn validate_judges_every_file_and_says_mistakes_with_line_and_column() -> anyhow::Result<()> {
    let stand = Stand::new(1);
    stand.write("wrong.toml", "name = \"wrong\"\nstart = \"http://localhost/\"\nalowed_domains = [\"localhost\"]\n");
    let mut command = stand.command(weir());
    command.args(["spider", "validate", "wrong.toml", "none.toml"]).arg(example("properties.toml"));
    let (out, err) = printed(&run(&mut command, 2)?);
    assert!(out.contains("properties.toml: ok, spider \"properties\", 1667 start URLs"), "{out}");
    assert!(err.contains("wrong.toml:3:1") && err.contains("allowed_domains"), "{err}");
    assert!(err.contains("none.toml"), "{err}");
    let mut command = stand.command(weir());
    run(command.args(["spider", "validate"]).arg(example("properties.toml")), 0)?;
    Ok(())
}

#[test]
fn the_schema_is_valid_and_accepts_every_example_but_no_misspelt_key() -> anyhow::Result<()> {
    let stand = Stand::new(1);
    let output = run(stand.command(weir()).args(["spider", "schema"]), 0)?;
    let schema: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    assert!(jsonschema::draft202012::meta::is_valid(&schema), "a JSON Schema");
    let validator = jsonschema::validator_for(&schema)?;
    let mut files = 0;
    for entry in std::fs::read_dir(example(""))? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let spider: toml::Table = std::fs::read_to_string(&path)?.parse()?;
        let mut spider = serde_json::to_value(spider)?;
        let errors: Vec<String> = validator.iter_errors(&spider).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{}: {errors:#?}", path.display());
        spider["alowed_domains"] = "localhost".into();
        assert!(!validator.is_valid(&spider), "{}: an unknown key is none", path.display());
        files += 1;
    }
    assert!(files >= 4, "{files} examples");
    Ok(())
}
