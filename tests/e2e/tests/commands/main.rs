//! The user's commands, end to end: what they print, what they leave behind, and how they end.

mod check;
mod demo;
mod ends;
mod help;
mod logs;
mod outputs;
mod settings;

use weir_e2e::Stand;
use weir_e2e::server::Server;

/// A spider over pages of a server of its own: an item a start page, `fields` beside its `url`.
fn spider(stand: &Stand, base: &str, starts: &[&str], fields: &str) {
    let starts: Vec<String> = starts.iter().map(|path| format!("{base}{path}")).collect();
    stand.write(
        "spider.toml",
        &format!(
            "name = \"spider\"\nstart = {starts:?}\nstart_parse = \"page\"\n[item.page]\nkey = \"url\"\n[item.page.fields]\n\
             url = {{ value = \"response.url\" }}\n{fields}\n"
        ),
    );
}

/// `weir crawl spider.toml` with a feed, a state, and nothing else printed than the closing stats.
fn crawl(stand: &Stand) -> std::process::Command {
    let mut command = stand.command(weir_e2e::weir());
    command.args(["crawl", "spider.toml", "-q", "--json", "-o", "items.jsonl", "--state", "state"]);
    command
}

/// The closing stats that `--json` printed.
fn stats(output: &std::process::Output) -> anyhow::Result<serde_json::Value> {
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// How often a path was asked for, robots.txt aside.
fn asked(server: &Server, path: &str) -> usize {
    server.heard().iter().filter(|heard| heard.path == path).count()
}
