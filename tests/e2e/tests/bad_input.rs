//! Mistakes of the person at the keyboard: told by place, expectation and remedy, with the exit code of a mistake, before anything is
//! asked of any site or written anywhere.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use weir_e2e::{Stand, example, run, weir};

const SPIDER: &str = r#"name = "towns"
start = ["${base}/properties/index_00000.html"]

[args]
base = "http://localhost:1"

[[follow]]
css = "[itemprop=url]"
parse = "property"

[item.property]
key = "url"
fields = { price = { css = ".price::text", regex = '\d+', map = ["trim"], type = "int" }, url = { value = "response.url" } }
"#;

/// Runs `weir crawl ARGUMENTS`, which must end with this code; gives what it said.
///
/// Whatever is wrong: no panic, the site is not asked, and the folder holds what it held.
fn refused(stand: &Stand, arguments: &[&str], code: i32) -> anyhow::Result<String> {
    let before = listing(stand.dir.path());
    let mut command = stand.command(weir());
    command.arg("crawl").args(arguments);
    let output = run(&mut command, code)?;
    let said = String::from_utf8(output.stderr)?;
    assert!(!said.contains("panicked"), "{said}");
    assert!(output.stdout.is_empty(), "errors are not output: {}", String::from_utf8_lossy(&output.stdout));
    assert!(stand.site.log().is_empty(), "{arguments:?}: the site was asked before the mistake was told");
    assert_eq!(before, listing(stand.dir.path()), "{arguments:?} left something behind");
    Ok(said)
}

/// Every file below a folder with its content.
fn listing(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().map_while(Result::ok) {
        let path = entry.path();
        found.push((path.display().to_string(), std::fs::read(&path).unwrap_or_default()));
        if path.is_dir() {
            found.extend(listing(&path));
        }
    }
    found.sort();
    found
}

fn says(said: &str, all: &[&str]) {
    for part in all {
        assert!(said.contains(part), "expected {part:?} in:\n{said}");
    }
}

#[test]
fn mistakes_in_a_spider_file_are_told_with_line_column_and_hint() -> anyhow::Result<()> {
    let change = |from: &str, to: &str| {
        assert!(SPIDER.contains(from), "{from}");
        SPIDER.replacen(from, to, 1)
    };
    let cases: Vec<(&str, String, &[&str])> = vec![
        ("syntax", change("name = \"towns\"", "name = = \"towns\""), &["bad.toml:1:8:"]),
        ("an open text", change("\"towns\"", "\"towns"), &["bad.toml:1:"]),
        ("a misspelt key", change("parse =", "prase ="), &["bad.toml:9:1:", "`prase`", "did you mean `parse`"]),
        ("a bad selector", change("[itemprop=url]", "[itemprop=url"), &["bad.toml:8:", "expected"]),
        ("a bad regex", change(r"'\d+'", r"'(\d+'"), &["bad.toml:13:", "regex"]),
        ("look-around", change(r"'\d+'", r"'(?=x)\d+'"), &["bad.toml:13:", "look-around"]),
        ("an unknown type", change("\"int\"", "\"integer\""), &["bad.toml:13:", "integer", "did you mean `int`"]),
        ("an unknown step", change("\"trim\"", "\"strip_\""), &["bad.toml:13:", "strip_"]),
        ("an unknown item", change("parse = \"property\"", "parse = \"proprety\""), &["bad.toml:9:", "`property`"]),
        ("an argument that is not there", change("${base}/", "${bsae}/"), &["bad.toml:2:", "bsae", "base"]),
        ("a range of words", change("index_00000", "index_{one..nine}"), &["bad.toml:2:", "range"]),
        ("a range without end", change("index_00000", "index_{0..}"), &["bad.toml:2:"]),
        ("a wrong type", change("name = \"towns\"", "name = 5"), &["bad.toml:1:"]),
        ("a wrong setting", format!("{SPIDER}[settings]\nstop.itms = 5\n"), &["bad.toml:15:6:", "\"stop.items\""]),
        (
            "a setting of a wrong type",
            format!("{SPIDER}[settings]\nconcurrency = \"x\"\n"),
            &["bad.toml:15:1:", "whole"],
        ),
        ("nothing", String::new(), &["bad.toml:1:1:", "`name`", "2 mistakes"]),
    ];
    let stand = Stand::new(1);
    for (what, text, parts) in &cases {
        stand.write("bad.toml", text);
        let said = refused(&stand, &["bad.toml"], 2)?;
        says(&said, parts);
        // The same from the command that only validates.
        let output = run(stand.command(weir()).args(["spider", "validate", "bad.toml"]), 2)?;
        says(&String::from_utf8(output.stderr)?, &parts[..1]);
        let remedy = ["expected", "hint", "^", "did you mean"].iter().any(|part| said.contains(part));
        assert!(remedy, "{what}: what would be right? {said}");
    }
    Ok(())
}

#[test]
fn files_that_cannot_be_read_are_told_by_name() -> anyhow::Result<()> {
    let stand = Stand::new(1);
    stand.write("good.toml", SPIDER);
    std::fs::create_dir(stand.path("folder"))?;
    std::fs::write(stand.path("latin.toml"), b"# a caf\xe9\nname = \"x\"\n")?;
    says(&refused(&stand, &["missing.toml"], 2)?, &["missing.toml", "No such file", "a spider file"]);
    says(&refused(&stand, &["folder"], 2)?, &["folder", "not a folder"]);
    says(&refused(&stand, &["latin.toml"], 2)?, &["latin.toml:1:8:", "0xe9", "UTF-8", "hint"]);
    for (file, parts) in [
        ("missing.toml", ["missing.toml", "a policy file"]),
        ("folder", ["folder", "not a folder"]),
        ("latin.toml", ["latin.toml:1:8:", "a policy file in UTF-8"]),
    ] {
        says(&refused(&stand, &["good.toml", "--policy", file], 2)?, &parts);
    }
    Ok(())
}

#[test]
fn mistakes_in_a_policy_file_are_told_with_line_column_and_hint() -> anyhow::Result<()> {
    let stand = Stand::new(1);
    stand.write("good.toml", SPIDER);
    let law = |text: &str| format!("[default]\n{text}\n");
    let cases: &[(String, &[&str])] = &[
        ("hits = = 3".to_owned(), &["law.toml:1:8:"]),
        (law("hist = 3\nwindow = \"60s\""), &["law.toml:2:1:", "default.hist", "did you mean \"hits\""]),
        ("profil = \"broad\"".to_owned(), &["law.toml:1:1:", "did you mean \"profile\""]),
        (law("hits = \"3\"\nwindow = \"60s\""), &["law.toml:2:8:", "whole number"]),
        (law("hits = 3\nwindow = \"60\""), &["law.toml:3:10:", "with its unit", "write \"60s\""]),
        (law("hits = 3\nwindow = 60"), &["law.toml:3:10:", "with its unit", "write \"60s\""]),
        (law("hits = 0\nwindow = \"60s\""), &["law.toml:2:8:", "at least 1", "blacklist"]),
        (law("hits = -1\nwindow = \"60s\""), &["law.toml:2:8:", "at least 1"]),
        (law("hits = 1\nwindow = \"60s\"\nscale = 0.0"), &["law.toml:4:9:", "above 0"]),
        ("profile = \"slow\"".to_owned(), &["law.toml:1:11:", "broad"]),
        ("blacklist = \"x.example\"".to_owned(), &["law.toml:1:13:", "[\"x.example\"]"]),
        (
            "[domains.\"shop.example.com\"]\nhits = 1\nwindow = \"1s\"".to_owned(),
            &["law.toml:1:10:", "\"example.com\""],
        ),
    ];
    for (text, parts) in cases {
        stand.write("law.toml", text);
        says(&refused(&stand, &["good.toml", "--policy", "law.toml"], 2)?, parts);
    }
    Ok(())
}

#[test]
fn mistakes_in_weir_toml_are_told_with_line_and_column() -> anyhow::Result<()> {
    let stand = Stand::new(1);
    stand.write("good.toml", SPIDER);
    for (text, parts) in [
        ("x = 1\nconcurency = 5", &["weir.toml:1:1:", "\"x\""][..]),
        ("\nconcurency = 5", &["weir.toml:2:1:", "did you mean \"concurrency\""]),
        ("[stop]\nitems = \"many\"", &["weir.toml:2:1:", "stop.items", "whole number"]),
        ("fetch.timeout = \"15\"", &["weir.toml:1:7:", "with its unit"]),
        ("a = = 1", &["weir.toml:1:5:", "no TOML"]),
    ] {
        stand.write("weir.toml", text);
        says(&refused(&stand, &["good.toml"], 2)?, parts);
    }
    std::fs::write(stand.path("weir.toml"), b"\xff")?;
    says(&refused(&stand, &["good.toml"], 2)?, &["weir.toml:1:1:", "UTF-8"]);
    Ok(())
}

#[test]
fn mistakes_on_the_command_line_name_what_is_right() -> anyhow::Result<()> {
    let stand = Stand::new(1);
    stand.write("good.toml", SPIDER);
    let cases: &[(&[&str], &[&str])] = &[
        (&["-s", "stop.itms=3"], &["-s stop.itms=3", "did you mean \"stop.items\""]),
        (&["-s", "CLOSESPIDER_ITEMCUNT=3"], &["did you mean \"CLOSESPIDER_ITEMCOUNT\""]),
        (&["-s", "zzz=3"], &["zzz", "--help-settings"]),
        (&["-s", "stop.items"], &["NAME=VALUE", "for example"]),
        (&["-s", "concurrency=-1"], &["concurrency", "whole number"]),
        (&["-s", "fetch.timeout=15"], &["with its unit"]),
        (&["-s", "fetch.body_bytes_max=10MB"], &["\"10MiB\""]),
        (&["-s", "robots=maybe"], &["true or false"]),
        (&["-a", "base"], &["-a base", "NAME=VALUE"]),
        (&["-a", "bsae=x"], &["bsae", "did you mean `base`"]),
        (&["-a", "base=ftp://x.example"], &["good.toml:2:", "http"]),
        (&["-o", "items"], &["-o items", "items:jsonlines"]),
        (&["-o", "items.yaml"], &["\"yaml\"", "jsonlines, json, csv, xml or parquet"]),
        (&["-o", ""], &["no sink", "-o items.jsonl"]),
        (&["-o", "items.db"], &["sqlite:items.db"]),
        (
            &["-o", "-"],
            &["-o -: ", "standard output", "after a crash", "-o items.jsonl", "weir export --format jsonl -o -"],
        ),
        (&["-o", "-:jsonlines"], &["-o -:jsonlines: ", "after a crash", "weir export --format jsonl -o -"]),
        (&["-o", "/dev/stdout:jsonlines"], &["/dev/stdout: ", "after a crash", "weir export --format jsonl -o -"]),
        (&["-o", "/dev/null:csv", "--overwrite"], &["/dev/null: ", "a device", "-o items.jsonl"]),
        (&["-o", "--append"], &["-o --append: ", "begins with a dash", "-o ./--append"]),
        (&["--events", "-", "--json"], &["--events - and --json", "expected one of them"]),
        (&["-o", "sqlite:"], &["sqlite:PATH"]),
        (&["-o", "mongodb://me:hunter2@x.example/items"], &["\"mongodb\"", "sqlite:"]),
        (&["-o", "sqlite:items.db?wal=no"], &["new_columns"]),
        (&["-o", "a.jsonl", "-o", "a.jsonl"], &["one file"]),
        (&["-o", "a.jsonl", "-o", "./x/../a.jsonl"], &["-o ./x/../a.jsonl", "one file"]),
        (&["-o", "sqlite:a.db", "-o", "sqlite:./a.db"], &["one file"]),
        (&["--workers", "0"], &["1 to 64"]),
        (&["--workers", "65"], &["1 to 64"]),
        (&["--workers", "two"], &["--workers"]),
        (&["-L", "loud"], &["error, warn, info or debug"]),
        (&["--append", "--overwrite"], &["--overwrite"]),
        (&["--sate", "x"], &["--state"]),
    ];
    for (arguments, parts) in cases {
        let said = refused(&stand, &[&["good.toml"], *arguments].concat(), 2)?;
        says(&said, parts);
        assert!(!said.contains("hunter2"), "a password is never shown: {said}");
    }
    says(&refused(&stand, &[], 2)?, &["SPIDER.toml"]);
    Ok(())
}

#[test]
fn outside_loopback_a_contact_is_asked_for_before_any_request() -> anyhow::Result<()> {
    let stand = Stand::new(1);
    stand.write("good.toml", SPIDER);
    for host in ["http://example.com", "http://192.0.2.1", "http://localhost.example.com"] {
        let base = format!("base={host}");
        says(&refused(&stand, &["good.toml", "-a", &base], 2)?, &["user_agent", "mailto:", "not on this machine"]);
        let said = refused(&stand, &["good.toml", "-a", &base, "-s", "user_agent=towns-bot"], 2)?;
        says(&said, &["\"towns-bot\"", "without an address"]);
    }
    Ok(())
}

#[test]
fn places_that_cannot_be_written_to_are_refused_before_the_site_is_asked() -> anyhow::Result<()> {
    let stand = Stand::new(1);
    stand.write("good.toml", SPIDER);
    stand.write("file", "mine\n");
    std::fs::create_dir(stand.path("folder.jsonl"))?;
    let cases: &[(&[&str], &[&str])] = &[
        (&["-o", "file/items.jsonl"], &["-o file/items.jsonl", "file is a file, expected a folder"]),
        (&["-o", "sqlite:file/x/items.db"], &["file is a file, expected a folder"]),
        (&["-o", "folder.jsonl"], &["folder.jsonl", "expected a file", "-o"]),
        (&["--state", "file"], &["--state file", "expected a folder"]),
        (&["--state", "file/x/state"], &["file is a file, expected a folder"]),
    ];
    for (arguments, parts) in cases {
        says(&refused(&stand, &[&["good.toml"], *arguments].concat(), 2)?, parts);
    }
    // What is seen when the sink is opened: the job is in the state by then, the site still is not asked.
    for (output, code) in [("sqlite:folder.jsonl", 2), ("/proc/items.jsonl", 2), ("sqlite:/proc/items.db", 2)] {
        let mut command = stand.command(weir());
        let output_line = run(command.args(["crawl", "good.toml", "-o", output, "--state", "state"]), code)?;
        let path = output.trim_start_matches("sqlite:");
        says(&String::from_utf8(output_line.stderr)?, &[path, "expected", "-o"]);
        assert!(stand.site.log().is_empty(), "{output}");
        std::fs::remove_dir_all(stand.path("state"))?;
    }
    assert_eq!(std::fs::read_to_string(stand.path("file"))?, "mine\n");
    Ok(())
}

#[test]
fn a_folder_that_is_not_there_is_made() -> anyhow::Result<()> {
    let stand = Stand::new(1);
    let mut command = stand.command(weir());
    command.arg("crawl").arg(example("properties-next.toml")).args(["-q", "-a", &format!("base={}", stand.base())]);
    run(command.args(["-o", "a/b/items.jsonl", "-o", "sqlite:c/d/items.db", "--state", "e/f/state"]), 0)?;
    assert_eq!(weir_e2e::read_feed(&stand.path("a/b/items.jsonl"))?.len(), 30);
    assert_eq!(weir_e2e::read_rows(&stand.path("c/d/items.db"))?.len(), 30);
    Ok(())
}

/// The command as somebody who owns nothing: a superuser may write everywhere.
fn as_nobody(command: &mut Command, is_root: bool) -> &mut Command {
    if is_root { command.uid(65534).gid(65534) } else { command }
}

#[test]
fn folders_without_write_permission_are_refused_by_name() -> anyhow::Result<()> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let mode = |path: &Path, mode: u32| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode));
    let stand = Stand::new(1);
    stand.write("good.toml", SPIDER);
    let is_root = std::fs::metadata(stand.dir.path())?.uid() == 0;
    // Where the binary was built may be closed to others.
    std::fs::copy(weir(), stand.path("weir"))?;
    std::fs::create_dir(stand.path("closed"))?;
    std::fs::create_dir(stand.path("open"))?;
    for (name, bits) in [("weir", 0o755), ("closed", 0o555), ("open", 0o777), ("", 0o755)] {
        mode(&stand.path(name), bits)?;
    }
    let cases: &[(&[&str], i32, &[&str])] = &[
        (&["-o", "closed/items.jsonl", "--state", "open/a"], 2, &["closed/items.jsonl", "Permission denied", "-o"]),
        (&["-o", "closed/new/items.jsonl", "--state", "open/b"], 2, &["closed/new", "Permission denied", "-o"]),
        (&["-o", "sqlite:closed/items.db", "--state", "open/c"], 2, &["closed/items.db", "mode", "-o sqlite:"]),
        (&["-o", "open/items.jsonl", "--state", "closed/state"], 2, &["closed/state", "Permission denied", "--state"]),
        (&["-o", "open/items.jsonl", "--state", "closed"], 2, &["closed/", "Permission denied", "--state"]),
    ];
    for (arguments, code, parts) in cases {
        let mut command = stand.command(&stand.path("weir"));
        let output = run(as_nobody(command.args(["crawl", "good.toml"]).args(*arguments), is_root), *code)?;
        let said = String::from_utf8(output.stderr)?;
        says(&said, parts);
        assert!(!said.contains("panicked") && stand.site.log().is_empty(), "{said}");
    }
    mode(&stand.path("closed"), 0o755)?;
    assert!(listing(&stand.path("closed")).is_empty(), "nothing was written");
    // What was refused binds nobody: the same crawl may write elsewhere.
    let mut command = stand.command(&stand.path("weir"));
    let again = ["crawl", "good.toml", "-o", "open/items.jsonl", "--state", "open/a"];
    run(as_nobody(command.args(again), is_root), 0)?;
    assert!(stand.path("open/items.jsonl").is_file());
    Ok(())
}
