//! A test build that dies at the N-th write, sync, rename or receipt deletion; then the same command again: rows and feed equal
//! those of an uninterrupted run, every time.

use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use weir_e2e::{Stand, compare, compare_rows, example, expected, weir_with_crash_points};

/// Each of the first so many points.
const EACH: u64 = 500;
/// And so many further ones, drawn from a fixed seed.
const DRAWN: u64 = 200;

/// True when the job's end is in the state: then the same command is a new job, which must not touch the feed.
fn has_ended(folder: &Path) -> bool {
    let document = std::fs::read(folder.join("state/doc-jobs.json.weir")).unwrap_or_default();
    String::from_utf8_lossy(&document).contains("\"outcome\": \"finished\"")
}

/// Crashes at one point and runs again; false when the crawl ended before it.
fn crash_at(stand: &Stand, point: u64) -> anyhow::Result<bool> {
    for name in [
        "state",
        "items.jsonl",
        "items.jsonl.part",
        "items.jsonl.part.job",
        "items.db",
        "items.db-wal",
        "items.db-shm",
        "items.db-journal",
    ] {
        let path = stand.path(name);
        // What is not there need not be removed.
        let _ = std::fs::remove_dir_all(&path).or_else(|_| std::fs::remove_file(&path));
    }
    let mut first = stand.command(weir_with_crash_points());
    stand.crawl_arguments(&mut first, example("properties-next.toml"));
    // Small groups and few requests at a time: many writes.
    first.args(["-s", "journal.group_time=0ms", "-s", "concurrency=3"]);
    let status = first.env("WEIR_CRASH_AT", point.to_string()).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    let crashed = status.code().is_none();
    if crashed {
        let mut again = stand.command(weir_with_crash_points());
        let over = has_ended(stand.dir.path());
        stand.crawl_arguments(&mut again, example("properties-next.toml"));
        let output = again.output()?;
        let over = over && String::from_utf8_lossy(&output.stderr).contains("the feed exists already");
        let code = output.status.code();
        anyhow::ensure!(
            code == Some(0) || (code == Some(2) && over),
            "exit {code:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let expected = expected(&stand.site, &stand.base());
    compare(&stand.feed()?, &expected)?;
    compare_rows(&stand.rows()?, &expected)?;
    Ok(crashed)
}

#[test]
fn killed_at_every_write_the_store_and_the_feed_end_the_same() {
    let next = AtomicU64::new(1);
    let crashes = AtomicU64::new(0);
    let work = || {
        let stand = Stand::new(24);
        let mut over = false;
        loop {
            let at = next.fetch_add(1, Ordering::SeqCst);
            // Behind the first points come drawn ones; once a run ended before its point, later ones are drawn lower.
            let point = if at <= EACH && !over { at } else { 1 + at.wrapping_mul(0x9e37_79b9) % 650 };
            if at > EACH + DRAWN {
                return;
            }
            match crash_at(&stand, point) {
                Ok(true) => {
                    crashes.fetch_add(1, Ordering::SeqCst);
                }
                Ok(false) => over = true,
                Err(error) => panic!("killed at point {point}: {error:#}"),
            }
        }
    };
    std::thread::scope(|scope| {
        let second = scope.spawn(work);
        work();
        second.join().expect("no difference in the other half either");
    });
    let crashes = crashes.load(Ordering::SeqCst);
    assert!(crashes >= 500, "only {crashes} runs were killed: are the crash points compiled in?");
}

#[test]
fn killed_at_every_write_of_a_crawl_without_items_its_feeds_are_empty_and_its_own() -> anyhow::Result<()> {
    let stand = Stand::new(1);
    let spider = format!(
        "name = \"nothing\"\nstart = [\"{}/properties/index_00000.html\"]\n[[follow]]\ncss = \".none\"\nparse = \"none\"\n\
         [item.none]\nkey = \"url\"\nfields = {{ url = {{ value = \"response.url\" }} }}\n",
        stand.base()
    );
    stand.write("nothing.toml", &spider);
    let crawl = |folder: &str| {
        let mut command = stand.command(weir_with_crash_points());
        command.args(["crawl", "nothing.toml", "-q", "--state"]).arg(format!("{folder}/state"));
        for feed in ["items.jsonl", "items.parquet", "p%(batch_id)d.csv.gz"] {
            command.arg("-o").arg(format!("{folder}/{feed}"));
        }
        command
    };
    let (mut ended, mut resumed) = (0, 0);
    for point in 1.. {
        let folder = format!("at-{point}");
        let first = crawl(&folder).env("WEIR_CRASH_AT", point.to_string()).output()?;
        if first.status.code().is_some() {
            break;
        }
        if has_ended(&stand.path(&folder)) {
            ended += 1;
        } else {
            let again = crawl(&folder).output()?;
            let said = String::from_utf8_lossy(&again.stderr);
            anyhow::ensure!(again.status.code() == Some(0), "killed at point {point}: {:?}: {said}", again.status);
            resumed += 1;
        }
        let entries = std::fs::read_dir(stand.path(&folder))?.collect::<Result<Vec<_>, _>>()?;
        let mut names: Vec<_> = entries.iter().map(|entry| entry.file_name()).collect();
        // Whose parts they were may be left behind the end, nothing else.
        names.retain(|name| !name.to_string_lossy().ends_with(".part.job") && name != "items.parquet.part.done");
        names.sort();
        anyhow::ensure!(names == ["items.jsonl", "items.parquet", "p1.csv.gz", "state"], "point {point}: {names:?}");
        anyhow::ensure!(std::fs::read(stand.path(&folder).join("items.jsonl"))?.is_empty(), "killed at point {point}");
    }
    anyhow::ensure!(ended > 3 && resumed > 50, "{ended} kills behind the end, {resumed} before it");
    Ok(())
}
