//! A test build that dies at the N-th write, sync, rename or receipt deletion; then the same command again: rows and feed equal
//! those of an uninterrupted run, every time.

use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use weir_e2e::{Stand, compare, compare_rows, example, expected, weir_with_crash_points};

/// Each of the first so many points.
const EACH: u64 = 500;
/// And so many further ones, drawn from a fixed seed.
const DRAWN: u64 = 200;

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
        stand.crawl_arguments(&mut again, example("properties-next.toml"));
        let output = again.output()?;
        // Killed after its end was written down, the job is over: the same command is a new job, which must not touch the feed.
        let over = String::from_utf8_lossy(&output.stderr).contains("the feed exists already");
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
