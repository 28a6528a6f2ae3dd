//! A full disk under the journal, the state's documents, a feed, a database and standard output: told by file and reason, and the same
//! command with room ends exactly as a crawl that nothing happened to.
//!
//! The disk is made full by `data/full_disk.c`, which a program gets with `LD_PRELOAD`: the system's own error, for chosen files, on any
//! machine with a C compiler (which building weir needs anyway), without privileges.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use weir_e2e::{Killed, Stand, compare, compare_rows, example, expected, run, weir};

const SPIDER: &str = "properties-next.toml";
const NO_SPACE: &str = "No space left on device";

fn shim() -> &'static Path {
    static SHIM: OnceLock<PathBuf> = OnceLock::new();
    SHIM.get_or_init(|| {
        let shim = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("full_disk-{}.so", std::process::id()));
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/full_disk.c");
        let mut compiler = Command::new("cc");
        compiler.args(["-O1", "-shared", "-fPIC", "-o"]).arg(&shim).arg(source);
        run(&mut compiler, 0).expect("a C compiler, as for SQLite");
        shim
    })
}

/// A command on a disk that takes so many bytes more into files whose path contains `matching`.
fn full<'c>(command: &'c mut Command, matching: &str, bytes: u64) -> &'c mut Command {
    command.env("LD_PRELOAD", shim()).env("FULL_DISK_MATCH", matching).env("FULL_DISK_BYTES", bytes.to_string())
}

fn judge(stand: &Stand) -> anyhow::Result<()> {
    let expected = expected(&stand.site, &stand.base());
    compare(&stand.feed()?, &expected)?;
    compare_rows(&stand.rows()?, &expected)
}

/// A crawl that fails by the file's name and the system's reason, and with room ends as if nothing had happened.
fn fails_then_goes_on(matching: &str, bytes: u64, errno: u32, reason: &str) -> anyhow::Result<()> {
    let stand = Stand::new(8);
    let mut command = stand.crawl(example(SPIDER));
    let output = run(full(&mut command, matching, bytes).env("FULL_DISK_ERRNO", errno.to_string()), 4)?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains(matching) && said.contains(reason), "{matching} after {bytes} bytes: {said}");
    assert!(said.contains("same command"), "what to do: {said}");
    assert!(!said.contains("panicked"), "{said}");
    assert!(!stand.path("items.jsonl").exists(), "a feed that is there is complete");
    run(&mut stand.crawl(example(SPIDER)), 0)?;
    judge(&stand)
}

#[test]
fn a_full_disk_under_the_journal_stops_the_crawl_and_the_same_command_goes_on() -> anyhow::Result<()> {
    for bytes in [0, 10, 1_000, 20_000, 60_000] {
        fails_then_goes_on("state/journal-", bytes, 28, NO_SPACE)?;
    }
    fails_then_goes_on("state/journal-", 30_000, 122, "quota exceeded")
}

#[test]
fn a_full_disk_under_the_documents_of_the_state_leaves_a_state_that_opens() -> anyhow::Result<()> {
    for (file, bytes) in
        [("state/owner-", 10), ("state/state.weir", 10), ("state/doc-jobs", 0), ("state/doc-jobs", 600)]
    {
        fails_then_goes_on(file, bytes, 28, NO_SPACE)?;
    }
    Ok(())
}

#[test]
fn a_snapshot_that_finds_no_room_does_not_stop_what_the_journal_can_carry_or_says_so() -> anyhow::Result<()> {
    let stand = Stand::new(8);
    let mut command = stand.crawl(example(SPIDER));
    command.args(["-s", "journal.snapshot_bytes=20000"]);
    let output = full(&mut command, "state/snapshot-", 100).output()?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains("state/snapshot-") && said.contains(NO_SPACE), "{said}");
    if output.status.code() != Some(0) {
        assert_eq!(output.status.code(), Some(4), "{said}");
        run(&mut stand.crawl(example(SPIDER)), 0)?;
    }
    judge(&stand)
}

#[test]
fn a_disk_that_fails_under_a_sink_stops_the_crawl_and_the_same_command_goes_on() -> anyhow::Result<()> {
    for (errno, feed, database) in
        [(5, "Input/output error", "disk I/O error"), (27, "File too large", "disk I/O error")]
    {
        fails_then_goes_on("items.jsonl.part", 20_000, errno, feed)?;
        fails_then_goes_on("items.db", 60_000, errno, database)?;
    }
    Ok(())
}

#[test]
fn a_limit_on_the_size_of_files_stops_the_crawl_and_the_same_command_goes_on() -> anyhow::Result<()> {
    let stand = Stand::new(20);
    let mut command = stand.command(Path::new("bash"));
    // 64 KiB for any file; the signal is ignored, so that the system answers with an error.
    command.args(["-c", "trap '' XFSZ; ulimit -f 64; exec \"$0\" \"$@\""]).arg(weir());
    stand.crawl_arguments(&mut command, example(SPIDER));
    let output = run(&mut command, 4)?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains("File too large") || said.contains("disk I/O error"), "{said}");
    run(&mut stand.crawl(example(SPIDER)), 0)?;
    judge(&stand)
}

/// A crawl that stands still before a full disk, its messages in `said.txt`.
#[allow(clippy::disallowed_methods, reason = "a test that watches another process needs a clock")]
fn waiting(stand: &Stand, matching: &str, bytes: u64) -> anyhow::Result<Killed> {
    let mut command = stand.crawl(example(SPIDER));
    full(&mut command, matching, bytes).env("FULL_DISK_ROOM", stand.path("room"));
    let said = std::fs::File::create(stand.path("said.txt"))?;
    let mut child = Killed(command.stdout(Stdio::null()).stderr(said).spawn()?);
    let began = Instant::now();
    loop {
        let said = std::fs::read_to_string(stand.path("said.txt"))?;
        if said.contains(matching) && said.contains("Make room") {
            assert!(!said.contains('\u{1b}'), "colours are for terminals: {said:?}");
            return Ok(child);
        }
        assert!(began.elapsed() < Duration::from_secs(60), "waited too long for a message: {said}");
        assert!(child.0.try_wait()?.is_none(), "it ended: {said}");
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

#[test]
fn a_crawl_waits_for_room_in_a_feed_or_a_database_and_goes_on_by_itself() -> anyhow::Result<()> {
    for (file, bytes) in [("items.jsonl.part", 20_000), ("items.db", 60_000)] {
        let stand = Stand::new(8);
        let mut child = waiting(&stand, file, bytes)?;
        stand.write("room", "");
        let status = child.0.wait()?;
        assert_eq!(status.code(), Some(0), "{}", std::fs::read_to_string(stand.path("said.txt"))?);
        judge(&stand)?;
    }
    Ok(())
}

#[test]
fn a_crawl_that_is_killed_while_it_waits_for_room_loses_nothing() -> anyhow::Result<()> {
    for (file, bytes) in [("items.jsonl.part", 20_000), ("items.db", 60_000)] {
        let stand = Stand::new(8);
        let mut child = waiting(&stand, file, bytes)?;
        child.signal("-KILL")?;
        child.0.wait()?;
        run(&mut stand.crawl(example(SPIDER)), 0)?;
        judge(&stand)?;
    }
    Ok(())
}

#[test]
fn a_full_disk_behind_standard_output_is_told() -> anyhow::Result<()> {
    let stand = Stand::new(1);
    let mut commands = [stand.command(weir()), stand.crawl(example(SPIDER))];
    commands[0].args(["spider", "schema"]);
    commands[1].arg("--json");
    for command in &mut commands {
        let full = std::fs::File::options().write(true).open("/dev/full")?;
        let output = command.stdout(full).stderr(Stdio::piped()).spawn()?.wait_with_output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(4), "{said}");
        assert!(said.contains("standard output") && said.contains(NO_SPACE), "{said}");
    }
    judge(&stand)
}
