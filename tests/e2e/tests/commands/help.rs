//! What every command says of itself, and the practice site as a command.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::Stdio;
use weir_e2e::{Killed, Stand, printed, run, weir};

/// The commands that a help text lists.
fn listed(help: &str) -> Vec<String> {
    let commands = help.split("Commands:\n").nth(1).unwrap_or_default();
    let names = commands.lines().take_while(|line| line.starts_with("  "));
    names.filter_map(|line| line.split_whitespace().next().map(str::to_owned)).filter(|name| name != "help").collect()
}

fn help(stand: &Stand, command: &[String]) -> anyhow::Result<String> {
    Ok(printed(&run(stand.command(weir()).args(command).arg("--help"), 0)?).0)
}

#[test]
fn the_help_of_every_command_shows_an_example() -> anyhow::Result<()> {
    let stand = Stand::new(1);
    let mut waiting: Vec<Vec<String>> = vec![Vec::new()];
    let mut seen = Vec::new();
    while let Some(command) = waiting.pop() {
        let text = help(&stand, &command)?;
        let example = text.split("Example").nth(1).unwrap_or_default();
        let shown = format!("weir {}", command.join(" "));
        assert!(example.contains(shown.trim_end()), "weir {} --help has no example of it:\n{text}", command.join(" "));
        waiting.extend(listed(&text).into_iter().map(|name| [command.clone(), vec![name]].concat()));
        seen.push(command.join(" "));
    }
    for name in ["crawl", "check", "spider validate", "spider schema", "site"] {
        assert!(seen.iter().any(|known| known == name), "{name} is among {seen:?}");
    }
    Ok(())
}

#[test]
fn the_version_is_one_line() -> anyhow::Result<()> {
    let stand = Stand::new(1);
    let (out, _) = printed(&run(stand.command(weir()).arg("--version"), 0)?);
    let (name, version) = out.trim_end().split_once(' ').unwrap_or_default();
    assert_eq!(name, "weir");
    assert_eq!(version.split('.').filter(|part| part.parse::<u32>().is_ok()).count(), 3, "{out:?}");
    Ok(())
}

#[test]
fn every_setting_is_listed_with_its_scrapy_name() -> anyhow::Result<()> {
    let stand = Stand::new(1);
    let (out, _) = printed(&run(stand.command(weir()).args(["crawl", "--help-settings"]), 0)?);
    for (name, alias) in [
        ("user_agent", "USER_AGENT"),
        ("concurrency", "CONCURRENT_REQUESTS"),
        ("fetch.timeout", "DOWNLOAD_TIMEOUT"),
        ("retry.enabled", "RETRY_ENABLED"),
        ("redirect.enabled", "REDIRECT_ENABLED"),
        ("stop.items", "CLOSESPIDER_ITEMCOUNT"),
        ("sink_batch_items", "CONCURRENT_ITEMS"),
    ] {
        let line = out.lines().find(|line| line.trim_start().starts_with(&format!("{name} "))).unwrap_or_default();
        assert!(line.contains(&format!("[{alias}]")), "{name}: {line:?}");
    }
    Ok(())
}

#[test]
fn help_says_what_weir_is_and_wrong_numbers_say_what_is_right() -> anyhow::Result<()> {
    let stand = Stand::new(1);
    assert!(help(&stand, &[])?.starts_with("A web-scraping pipeline as a dataflow\n"));
    for (arguments, told) in [
        (&["audit", "x"][..], "expected a job's number, such as 3"),
        (&["cancel", "x"], "expected a job's number, such as 3"),
        (&["plan", "spider.toml", "--pages", "1.5"], "expected a whole number from 1 to 1000000000000"),
        (&["dead-letters", "replay"], "weir dead-letters replay [OPTIONS] --all"),
    ] {
        let (_, error) = printed(&run(stand.command(weir()).args(arguments), 2)?);
        assert!(error.contains(told), "{error}");
    }
    Ok(())
}

#[test]
fn the_site_says_where_it_is_answers_and_ends_on_a_signal() -> anyhow::Result<()> {
    let stand = Stand::new(1);
    for signal in ["-TERM", "-INT"] {
        let mut command = stand.command(weir());
        command.args(["site", "--port", "0", "--pages", "3"]).stdout(Stdio::piped());
        let mut site = Killed(command.spawn()?);
        let mut line = String::new();
        BufReader::new(site.0.stdout.take().expect("it was piped")).read_line(&mut line)?;
        let address = line.trim_end().strip_prefix("http://").expect("an address").to_owned();
        let (authority, path) = address.split_once('/').expect("a path");
        let mut stream = std::net::TcpStream::connect(authority)?;
        write!(stream, "GET /{path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("itemprop"), "{answer}");
        site.signal(signal)?;
        assert_eq!(site.0.wait()?.code(), Some(0), "{signal} ends it in order");
    }
    Ok(())
}
