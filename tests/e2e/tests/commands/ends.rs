//! How a crawl ends, and what the same command does next: exit codes, jobs, `--fresh`.

use crate::{crawl, spider, stats};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use weir_e2e::server::{Answer, Server};
use weir_e2e::{Killed, Stand, printed, run, start, until, weir};

/// A server whose pages wait for a gate, and the gate.
fn gated() -> (Server, Arc<AtomicBool>) {
    let gate = Arc::new(AtomicBool::new(false));
    let open = Arc::clone(&gate);
    let server = Server::start(move |heard| {
        if heard.path == "/robots.txt" {
            return Answer::missing();
        }
        until("the gate to open", || open.load(Ordering::SeqCst));
        Answer::page("<h1>here</h1>")
    });
    (server, gate)
}

#[test]
fn exit_codes_say_how_it_went() -> anyhow::Result<()> {
    let stand = Stand::new(1);
    spider(&stand, &stand.base(), &["/properties/property_{000000..000009}.html"], "");
    let of = |arguments: &[&str], code: i32| {
        let state = format!("state-{}", arguments.join("-").replace(['/', '='], "-"));
        let mut command = stand.command(weir());
        command.args(["crawl", "spider.toml", "-q", "-o", "items.jsonl", "--overwrite", "--state", &state]);
        run(command.args(arguments), code).map(|output| printed(&output).1)
    };
    of(&[], 0)?;
    assert!(of(&["-o", "items.yaml"], 2)?.contains("items.yaml"), "an unknown format");
    assert!(of(&["-s", "concurency=1"], 2)?.contains("concurrency"), "a misspelt setting");
    assert!(of(&["-a", "town=leeds"], 2)?.contains("town"), "an argument that the spider lacks");
    assert!(of(&["--policy", "none.toml"], 2)?.contains("none.toml"), "a policy file that is not there");
    assert!(of(&["--no-such-option"], 2)?.contains("--no-such-option"), "an unknown option");
    of(&["-s", "stop.pages=1"], 3)?;
    Ok(())
}

#[test]
fn a_second_ctrl_c_ends_at_once_and_the_same_command_goes_on() -> anyhow::Result<()> {
    let stand = Stand::new(1);
    let (server, gate) = gated();
    spider(&stand, &server.base(), &["/{1..9}"], "");
    let interrupted = |signals: &[&str]| -> anyhow::Result<()> {
        let asked = server.heard().len();
        let mut child = start(&mut crawl(&stand));
        until("pages to be asked for", || server.heard().len() > asked);
        for signal in signals {
            child.signal(signal)?;
        }
        until("the crawl to end", || child.0.try_wait().is_ok_and(|status| status.is_some()));
        assert_eq!(child.0.wait()?.code(), Some(130), "although no page was answered");
        Ok(())
    };
    // Twice the same signal may become one when it is sent too soon: a different one is a second.
    interrupted(&["-INT", "-TERM"])?;
    interrupted(&["-TERM", "-INT"])?;
    gate.store(true, Ordering::SeqCst);
    let stats = stats(&run(&mut crawl(&stand), 0)?)?;
    assert_eq!((&stats["continued"], &stats["job"]), (&true.into(), &1.into()), "{stats:#}");
    assert_eq!(stand.feed()?.len(), 9);
    Ok(())
}

#[test]
fn a_finished_job_run_again_is_a_new_job_and_other_arguments_are_their_own() -> anyhow::Result<()> {
    let stand = Stand::new(1);
    let job = |page: &str, feed: &str| {
        stand.write(
            "arguments.toml",
            "name = \"arguments\"\nstart = \"${base}/properties/property_00000${page}.html\"\nstart_parse = \"page\"\n\
             [args]\nbase = \"http://localhost:1\"\npage = 0\n[item.page]\nkey = \"url\"\n[item.page.fields]\nurl = { value = \"response.url\" }\n",
        );
        let mut command = stand.command(weir());
        command.args(["crawl", "arguments.toml", "-q", "--json", "--state", "state", "-o", feed]);
        command.args(["-a", &format!("base={}", stand.base()), "-a", &format!("page={page}")]);
        let stats = stats(&run(&mut command, 0)?)?;
        assert_eq!(stats["continued"], false, "{stats:#}");
        assert_eq!(stats["stats"]["verdict/delivered"], 1, "the page is fetched: {stats:#}");
        Ok::<_, anyhow::Error>(stats["job"].as_u64().unwrap_or_default())
    };
    assert_eq!(job("1", "a.jsonl")?, 1);
    assert_eq!(job("1", "b.jsonl")?, 2, "it had finished");
    assert_eq!(job("2", "c.jsonl")?, 3, "other arguments");
    Ok(())
}

#[test]
fn other_arguments_do_not_touch_an_unfinished_job_and_fresh_gives_it_up() -> anyhow::Result<()> {
    let stand = Stand::new(1);
    let (server, gate) = gated();
    stand.write(
        "spider.toml",
        &format!(
            "name = \"spider\"\nstart = \"{}/${{from}}/{{1..9}}\"\nstart_parse = \"page\"\n[args]\nfrom = \"a\"\n[item.page]\nkey = \"url\"\n\
             [item.page.fields]\nurl = {{ value = \"response.url\" }}\n",
            server.base()
        ),
    );
    let with = |from: &str, feed: &str| {
        let mut command = stand.command(weir());
        command.args([
            "crawl",
            "spider.toml",
            "-q",
            "--json",
            "--state",
            "state",
            "-a",
            &format!("from={from}"),
            "-o",
            feed,
        ]);
        command
    };
    let mut child: Killed = start(&mut with("a", "a.jsonl"));
    until("pages to be asked for", || !server.heard().is_empty());
    child.signal("-KILL")?;
    child.0.wait()?;
    gate.store(true, Ordering::SeqCst);
    let other = stats(&run(&mut with("b", "b.jsonl"), 0)?)?;
    assert_eq!((&other["job"], &other["continued"]), (&2.into(), &false.into()), "{other:#}");
    let continued = stats(&run(&mut with("a", "a.jsonl"), 0)?)?;
    assert_eq!((&continued["job"], &continued["continued"]), (&1.into(), &true.into()), "{continued:#}");
    assert_eq!(weir_e2e::read_feed(&stand.path("a.jsonl"))?.len(), 9);

    gate.store(false, Ordering::SeqCst);
    let asked = server.heard().len();
    let mut child = start(&mut with("c", "c.jsonl"));
    until("pages to be asked for", || server.heard().len() > asked);
    child.signal("-KILL")?;
    child.0.wait()?;
    gate.store(true, Ordering::SeqCst);
    let fresh = stats(&run(with("c", "d.jsonl").arg("--fresh"), 0)?)?;
    assert_eq!((&fresh["job"], &fresh["continued"]), (&4.into(), &false.into()), "{fresh:#}");
    assert_eq!(weir_e2e::read_feed(&stand.path("d.jsonl"))?.len(), 9, "everything anew");
    Ok(())
}
