//! A state directory with something wrong in it: refused by the file's name with nothing changed, or recovered with nothing lost.
//! Never anything between.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use weir_e2e::{Stand, compare, compare_rows, example, expected, start};

/// Files by name.
type Files = BTreeMap<String, Vec<u8>>;

fn files(folder: &Path) -> Files {
    let mut found = Files::new();
    for entry in std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry")) {
        if entry.path().is_file() {
            let name = entry.file_name().into_string().expect("our names are ASCII");
            found.insert(name, std::fs::read(entry.path()).expect("a file"));
        }
    }
    found
}

fn put(folder: &Path, files: &Files) {
    for (name, bytes) in files {
        std::fs::write(folder.join(name), bytes).expect("the folder can be written to");
    }
}

/// A crawl that was killed in the middle: its state, its feed so far, its database so far.
struct Scene {
    stand: Stand,
    state: Files,
    outputs: Files,
}

impl Scene {
    #[allow(clippy::disallowed_methods, reason = "a test that watches another process needs a clock")]
    fn killed_in_the_middle() -> anyhow::Result<Scene> {
        let stand = Stand::slow(12);
        let mut command = stand.crawl(example("properties-next.toml"));
        command.args(["-s", "concurrency=4", "-s", "journal.snapshot_bytes=30000", "-s", "journal.group_time=1ms"]);
        let mut child = start(&mut command);
        let began = Instant::now();
        let snapshot = |stand: &Stand| {
            files(&stand.path("state")).keys().any(|name| name.starts_with("snapshot-") && name.ends_with(".weir"))
        };
        while stand.site.log().len() < 180 || !snapshot(&stand) {
            assert!(began.elapsed() < Duration::from_secs(60), "waited too long for the site to be asked");
            assert!(child.0.try_wait()?.is_none(), "the crawl ended before it could be killed");
            std::thread::park_timeout(Duration::from_millis(1));
        }
        child.signal("-KILL")?;
        child.0.wait()?;
        let (state, outputs) = (files(&stand.path("state")), files(stand.dir.path()));
        Ok(Scene { stand, state, outputs })
    }

    /// Puts everything back as the kill left it.
    fn reset(&self) -> anyhow::Result<PathBuf> {
        let state = self.stand.path("state");
        std::fs::remove_dir_all(&state)?;
        std::fs::create_dir(&state)?;
        put(&state, &self.state);
        for name in files(self.stand.dir.path()).keys() {
            std::fs::remove_file(self.stand.path(name))?;
        }
        put(self.stand.dir.path(), &self.outputs);
        Ok(state)
    }

    fn judge(&self) -> anyhow::Result<()> {
        let expected = expected(&self.stand.site, &self.stand.base());
        compare(&self.stand.feed()?, &expected)?;
        compare_rows(&self.stand.rows()?, &expected)
    }

    /// The first file that a refusal changed. The lease is taken before anything is read, unfinished parts are nobody's, and what a
    /// crash tore off the end of the journal is cut away before the documents are read.
    fn changed<'f>(&self, before: &'f Files, after: &Files) -> Option<&'f str> {
        let is_same = |name: &str, bytes: &[u8]| {
            let now = after.get(name).map(Vec::as_slice).unwrap_or_default();
            let whole = self.state.get(name).is_some_and(|whole| whole == bytes);
            now == bytes
                || (whole && name.starts_with("journal-") && now.len() + 4096 > bytes.len() && bytes.starts_with(now))
        };
        let kept = |name: &str| !name.starts_with("owner-") && !name.ends_with(".part");
        before.iter().find(|(name, bytes)| kept(name) && !is_same(name, bytes)).map(|(name, _)| name.as_str())
    }

    /// What a damage of `name` comes to: `Ok(true)` recovered, `Ok(false)` refused, anything else is an error.
    fn survives(&self, name: &str, what: &str, damage: impl Fn(&Path)) -> anyhow::Result<bool> {
        let state = self.reset()?;
        damage(&state.join(name));
        let (before, outputs) = (files(&state), files(self.stand.dir.path()));
        let output = self.stand.crawl(example("properties-next.toml")).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        anyhow::ensure!(!said.contains("panicked"), "{name} {what}: {said}");
        match output.status.code() {
            Some(0) => {
                self.judge().map_err(|error| error.context(format!("{name} {what}: said to be finished; {said}")))?;
                Ok(true)
            }
            Some(4) => {
                // Of a journal that ends too early, what is known is which groups are missing.
                let named = said.contains(name) || said.contains("found no file that holds them");
                anyhow::ensure!(named, "{name} {what}: the message does not name the file: {said}");
                anyhow::ensure!(said.contains("expected") && said.contains("--state"), "{name} {what}: {said}");
                let changed = self.changed(&before, &files(&state));
                anyhow::ensure!(changed.is_none(), "{name} {what}: refused, but {changed:?} is not what it was");
                anyhow::ensure!(outputs == files(self.stand.dir.path()), "{name} {what}: refused, but outputs changed");
                Ok(false)
            }
            code => anyhow::bail!("{name} {what}: exit {code:?}: {said}"),
        }
    }
}

fn change(path: &Path, with: impl Fn(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(path).expect("the file");
    with(&mut bytes);
    std::fs::write(path, bytes).expect("the file");
}

type Damage = (&'static str, fn(&mut Vec<u8>));

const DAMAGES: [Damage; 8] = [
    ("emptied", Vec::clear),
    ("cut in half", |bytes| bytes.truncate(bytes.len() / 2)),
    ("without its last byte", |bytes| bytes.truncate(bytes.len() - 1)),
    ("with a bit flipped in the middle", |bytes| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x10;
    }),
    ("with a bit of its first byte flipped", |bytes| bytes[0] ^= 0x10),
    ("of zeros", |bytes| bytes.fill(0)),
    ("with something behind it", |bytes| bytes.extend([7; 100])),
    ("of another version", |bytes| {
        // Documents say it in their first line, the others in the byte behind their magic word.
        let at = bytes.iter().take(16).position(|byte| *byte == b' ').map_or(8, |space| space + 1);
        bytes[at] += 1;
    }),
];

#[test]
fn every_file_damaged_in_every_way_is_refused_by_name_or_recovered_exactly() -> anyhow::Result<()> {
    let scene = Scene::killed_in_the_middle()?;
    let (mut wrong, mut refused, mut recovered) = (Vec::new(), Vec::new(), Vec::new());
    let is_state = |name: &&String| !name.ends_with(".part") && !name.starts_with("owner-");
    for name in scene.state.keys().filter(is_state) {
        for (what, damage) in DAMAGES {
            match scene.survives(name, what, |path| change(path, damage)) {
                Ok(true) => recovered.push(format!("{name} {what}")),
                Ok(false) => refused.push(format!("{name} {what}")),
                Err(error) => wrong.push(format!("{error:#}")),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    let told = format!("refused:\n{}\nrecovered:\n{}", refused.join("\n"), recovered.join("\n"));
    // What nothing else can stand in for is never passed over.
    for file in ["state.weir", "doc-jobs.json.weir"] {
        assert_eq!(refused.iter().filter(|told| told.starts_with(file)).count(), DAMAGES.len(), "{told}");
    }
    for damage in ["with a bit flipped in the middle", "of another version", "cut in half", "of zeros"] {
        assert!(refused.iter().any(|told| told.starts_with("journal-") && told.ends_with(damage)), "{damage}: {told}");
    }
    // A half-written group at the end of the journal is what a crash leaves.
    assert!(recovered.iter().any(|told| told.starts_with("journal-") && told.ends_with("last byte")), "{told}");
    assert!(recovered.iter().any(|told| told.starts_with("snapshot-")), "the journal stands in for a snapshot: {told}");
    Ok(())
}

#[test]
fn every_file_deleted_is_refused_or_recovered_exactly() -> anyhow::Result<()> {
    let scene = Scene::killed_in_the_middle()?;
    let mut refused = Vec::new();
    for name in scene.state.keys().filter(|name| !name.ends_with(".part")) {
        if !scene.survives(name, "deleted", |path| std::fs::remove_file(path).expect("the file"))? {
            refused.push(name.as_str());
        }
    }
    assert!(refused.contains(&"state.weir") && refused.iter().any(|name| name.starts_with("journal-")), "{refused:?}");
    assert!(refused.contains(&"doc-jobs.json.weir"), "{refused:?}");
    assert!(!refused.iter().any(|name| name.starts_with("owner-")), "no lease is no owner: {refused:?}");
    Ok(())
}

/// Nobody can tell who has the lease, so its term is waited out, half a minute.
#[test]
fn a_lease_that_cannot_be_read_is_waited_out() -> anyhow::Result<()> {
    let scene = Scene::killed_in_the_middle()?;
    let lease = scene.state.keys().find(|name| name.starts_with("owner-")).expect("a lease").clone();
    assert!(scene.survives(&lease, "of zeros", |path| change(path, |bytes| bytes.fill(0)))?, "recovered");
    Ok(())
}

#[test]
fn a_write_that_the_crash_tore_is_cut_away_and_said() -> anyhow::Result<()> {
    let scene = Scene::killed_in_the_middle()?;
    let journal = scene.state.keys().rfind(|name| name.starts_with("journal-")).expect("a journal").clone();
    let state = scene.reset()?;
    change(&state.join(&journal), |bytes| bytes.extend_from_within(bytes.len() - 10..));
    let output = weir_e2e::run(&mut scene.stand.crawl(example("properties-next.toml")), 0)?;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains(&journal) && said.contains("cut away"), "{said}");
    scene.judge()
}
