//! What goes wrong for good is kept with its reason, can be looked at and let in again, and holds up nobody.

use anyhow::ensure;
use serde_json::Value;
use std::collections::BTreeSet;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use weir_e2e::server::{Answer, Heard, Server};
use weir_e2e::{printed, run, weir};

/// A list of ten pages; while it is ill, every third answers 503.
struct Clinic {
    dir: tempfile::TempDir,
    server: Server,
    ill: Arc<AtomicBool>,
}

impl Clinic {
    fn new() -> anyhow::Result<Clinic> {
        let ill = Arc::new(AtomicBool::new(true));
        let state = Arc::clone(&ill);
        let server = Server::start(move |heard: &Heard| answer(heard, state.load(Ordering::SeqCst)));
        let dir = tempfile::tempdir()?;
        let spider = format!(
            "name = \"clinic\"\nstart = [\"{}/list\"]\n[[follow]]\ncss = \"a\"\nparse = \"page\"\n[item.page]\nkey = \"url\"\n\
             [item.page.fields]\nurl = {{ value = \"response.url\" }}\ntitle = {{ css = \"h1::text\" }}\n",
            server.base()
        );
        std::fs::write(dir.path().join("clinic.toml"), spider)?;
        Ok(Clinic { dir, server, ill })
    }

    fn weir(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(weir());
        command.current_dir(self.dir.path()).args(arguments);
        command
    }

    fn crawl(&self) -> Command {
        self.weir(&["crawl", "clinic.toml", "-q", "-o", "pages.jsonl", "-s", "retry.times=1", "--state", "state"])
    }

    fn letters(&self) -> anyhow::Result<Vec<Value>> {
        let output = run(&mut self.weir(&["dead-letters", "list", "--json", "--state", "state"]), 0)?;
        let list: Value = serde_json::from_slice(&output.stdout)?;
        Ok(list["letters"].as_array().cloned().unwrap_or_default())
    }

    fn urls(&self) -> anyhow::Result<BTreeSet<String>> {
        Ok(weir_e2e::read_feed(&self.dir.path().join("pages.jsonl"))?.into_keys().collect())
    }
}

fn answer(heard: &Heard, ill: bool) -> Answer {
    let Some(number) = heard.path.strip_prefix("/page/").and_then(|number| number.parse::<u32>().ok()) else {
        let links: String = (0..10).map(|at| format!("<a href=\"/page/{at}\">{at}</a>")).collect();
        return if heard.path == "/list" { Answer::page(links) } else { Answer::missing() };
    };
    if ill && number % 3 == 0 {
        return Answer { status: "503 Service Unavailable", ..Answer::missing() };
    }
    // A link that leads on: a replay does not follow it unless it is told to.
    Answer::page(format!("<h1>page {number}</h1><a href=\"/page/{}\">on</a>", number + 1))
}

#[test]
fn a_request_that_was_given_up_is_listed_shown_replayed_and_then_gone() -> anyhow::Result<()> {
    let clinic = Clinic::new()?;
    run(&mut clinic.crawl(), 0)?;
    ensure!(clinic.urls()?.len() == 6, "the rest is delivered: {:?}", clinic.urls()?);
    let letters = clinic.letters()?;
    ensure!(letters.len() == 4, "{letters:#?}");
    for letter in &letters {
        ensure!(letter["verdict"] == "status_retries_exhausted" && letter["reason"] == "status 503", "{letter:#}");
        ensure!(letter["request"]["target"] == "page", "{letter:#}");
    }
    let first_id = letters[0]["id"].clone();
    let first = first_id.to_string();
    let (shown, _) = printed(&run(&mut clinic.weir(&["dead-letters", "show", &first, "--state", "state"]), 0)?);
    ensure!(shown.contains("/page/") && shown.contains("referer"), "{shown}");
    // Still ill: what goes wrong again is a new letter.
    run(&mut clinic.weir(&["dead-letters", "replay", &first, "-q", "--state", "state", "-s", "retry.times=0"]), 0)?;
    let again = clinic.letters()?;
    ensure!(again.len() == 4 && again.iter().all(|letter| letter["id"] != first_id), "{again:#?}");
    // Well again: everything is delivered, each page with its own fresh budget, and no letter is left.
    clinic.ill.store(false, Ordering::SeqCst);
    let heard = clinic.server.heard().len();
    let (said, _) = printed(&run(&mut clinic.weir(&["dead-letters", "replay", "--all", "-q", "--state", "state"]), 0)?);
    ensure!(said.contains("4 entered again") && said.contains("0 now"), "{said}");
    ensure!(clinic.letters()?.is_empty());
    ensure!(clinic.urls()?.len() == 10, "all of them once: {:?}", clinic.urls()?);
    ensure!(clinic.server.heard().len() == heard + 4, "nothing else is asked for");
    Ok(())
}

#[test]
fn a_replay_into_a_feed_that_is_closed_leaves_nothing_and_says_what_to_name() -> anyhow::Result<()> {
    let clinic = Clinic::new()?;
    let mut crawl = clinic.crawl();
    run(crawl.args(["-o", "pages.json"]), 0)?;
    let replay =
        |more: &[&str]| clinic.weir(&[&["dead-letters", "replay", "--all", "-q", "--state", "state"], more].concat());
    let (_, said) = printed(&run(&mut replay(&[]), 2)?);
    ensure!(
        said.contains("pages.json,") && said.contains("-o replayed.jsonl") && !said.contains("--overwrite"),
        "{said}"
    );
    // The same by the sink itself, which opens the first feed before it refuses the second.
    run(&mut replay(&["-o", "more.jsonl", "-o", "pages.json"]), 2)?;
    for name in ["more.jsonl.part", "more.jsonl.part.job", "pages.jsonl.part", "pages.json.part"] {
        ensure!(!clinic.dir.path().join(name).exists(), "{name}");
    }
    ensure!(clinic.letters()?.len() == 4);
    clinic.ill.store(false, Ordering::SeqCst);
    let (said, _) = printed(&run(&mut replay(&["-o", "pages.jsonl", "-o", "more.json"]), 0)?);
    ensure!(said.contains("4 entered again") && said.contains("0 now"), "{said}");
    ensure!(clinic.urls()?.len() == 10, "{:?}", clinic.urls()?);
    let more: Vec<Value> = serde_json::from_slice(&std::fs::read(clinic.dir.path().join("more.json"))?)?;
    ensure!(more.len() == 4);
    Ok(())
}

#[test]
fn letters_beyond_the_bound_are_counted() -> anyhow::Result<()> {
    let clinic = Clinic::new()?;
    let mut command = clinic.crawl();
    run(command.args(["-s", "dead_letters.bytes_max=700"]), 0)?;
    let output = run(&mut clinic.weir(&["dead-letters", "list", "--json", "--state", "state"]), 0)?;
    let list: Value = serde_json::from_slice(&output.stdout)?;
    let kept = list["letters"].as_array().map_or(0, Vec::len) as u64;
    ensure!(kept >= 1 && list["beyond"].as_u64() == Some(4 - kept), "{list:#}");
    Ok(())
}

#[test]
fn an_unknown_letter_or_state_is_named() -> anyhow::Result<()> {
    let clinic = Clinic::new()?;
    let (_, said) = printed(&run(&mut clinic.weir(&["dead-letters", "list"]), 2)?);
    ensure!(said.contains("--state"), "{said}");
    run(&mut clinic.crawl(), 0)?;
    for command in ["show", "replay"] {
        let (_, said) = printed(&run(&mut clinic.weir(&["dead-letters", command, "99", "--state", "state"]), 2)?);
        ensure!(said.contains("99") && said.contains("list"), "{said}");
    }
    Ok(())
}
