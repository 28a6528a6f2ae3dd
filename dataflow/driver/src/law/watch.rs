//! The policy file as it is on disk: an adapter that looks four times a second, on a thread of its own.
//!
//! Decides only whether the content is another one: by time and length first, then by its bytes. What it says is told once for each
//! content, good or bad. A file that is being written is no law: a content counts when two looks in a row have found the same.

use super::{LawNews, PolicyFile};
use crate::crawl::ToDriver;
use crate::error::CrawlError;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, SystemTime};
use weir_frontier::policy::Policy;
use weir_model::ContentHash;

/// How often the file is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// A file is read again for so long after its last change, whatever its time says: clocks of file systems tick slowly.
const FRESH: Duration = Duration::from_secs(3);
/// A policy file that is longer is a mistake: a million names are 30 MB.
const BYTES_MAX: u64 = 64 << 20;

/// The thread; it ends when this is dropped.
pub(crate) struct PolicyWatch {
    _end: Sender<()>,
}

impl PolicyWatch {
    /// Watches a file for a driver.
    pub fn start(file: &PolicyFile, driver: Sender<ToDriver>) -> Result<PolicyWatch, CrawlError> {
        let (end, ended) = channel();
        let mut watched = Watched::new(file.clone());
        std::thread::Builder::new()
            .name("policy".to_owned())
            .spawn(move || watch(&mut watched, &ended, &driver))
            .map_err(|error| CrawlError::System { what: "the thread that watches the policy file", error })?;
        Ok(PolicyWatch { _end: end })
    }
}

fn watch(watched: &mut Watched, ended: &Receiver<()>, driver: &Sender<ToDriver>) {
    while ended.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
        if let Some(news) = watched.look()
            && driver.send(ToDriver::Law(LawNews::File(news))).is_err()
        {
            return;
        }
    }
}

/// A content, or why there is none.
type Found = Result<ContentHash, String>;

/// What the file was when it was looked at last.
struct Watched {
    file: PolicyFile,
    seen: Option<(SystemTime, u64)>,
    /// What was found last, when it is not yet told.
    pending: Option<Found>,
    told: Found,
}

impl Watched {
    fn new(file: PolicyFile) -> Watched {
        let told = Ok(file.hash);
        Watched { file, seen: None, pending: None, told }
    }

    fn look(&mut self) -> Option<Result<(Policy, ContentHash), String>> {
        let path = &self.file.path;
        let seen = std::fs::metadata(path).and_then(|found| Ok((found.modified()?, found.len()))).ok();
        if let Some((changed_at, _)) = &seen
            && self.pending.is_none()
            && self.seen == seen
            && changed_at.elapsed().is_ok_and(|age| age > FRESH)
        {
            return None;
        }
        self.seen = seen;
        let bytes = read(path);
        let found = bytes.as_ref().map(|bytes| ContentHash::of(bytes)).map_err(Clone::clone);
        if found == self.told {
            self.pending = None;
            return None;
        }
        if self.pending.as_ref() != Some(&found) {
            self.pending = Some(found);
            return None;
        }
        self.pending = None;
        self.told.clone_from(&found);
        let (bytes, hash) = match (bytes, found) {
            (Ok(bytes), Ok(hash)) => (bytes, hash),
            (Err(why), _) | (_, Err(why)) => return Some(Err(why)),
        };
        Some(parse(path, bytes).map(|policy| (policy, hash)))
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let name = path.display();
    let length = std::fs::metadata(path).map_err(|error| format!("{name}: cannot be read: {error}"))?.len();
    if length > BYTES_MAX {
        return Err(format!("{name}: {length} bytes, expected a policy file of at most {BYTES_MAX}"));
    }
    std::fs::read(path).map_err(|error| format!("{name}: cannot be read: {error}"))
}

fn parse(path: &Path, bytes: Vec<u8>) -> Result<Policy, String> {
    let name = path.display().to_string();
    let text = String::from_utf8(bytes)
        .map_err(|error| format!("{name}: byte {}: expected UTF-8", error.utf8_error().valid_up_to() + 1))?;
    Policy::parse_file(&text, &name).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_frontier::LawBook;

    #[test]
    fn a_content_is_told_once_good_or_bad_and_again_when_it_comes_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("law.toml");
        let good = |hits: u32| format!("[domains.\"a.com\"]\nhits = {hits}\n");
        let write = |text: &str| std::fs::write(&path, text).expect("written");
        write(&good(3));
        let mut watched = Watched::new(PolicyFile { path: path.clone(), hash: ContentHash::of(good(3).as_bytes()) });
        let look = |watched: &mut Watched| {
            assert!(watched.look().is_none(), "one look is not enough: it may be half written");
            watched.look()
        };
        assert!(look(&mut watched).is_none(), "as it was read at the start");
        write(&good(4));
        let (policy, hash) = look(&mut watched).expect("another content").expect("a policy");
        assert_eq!(policy.limits("a.com").map(|limits| limits.hits), Some(4));
        assert_eq!(hash, ContentHash::of(good(4).as_bytes()));
        assert!(look(&mut watched).is_none());
        write("[domains.\"a.com\"]\nhits = none\n");
        let why = look(&mut watched).expect("another content").expect_err("no policy");
        assert!(why.contains("law.toml:2:"), "{why}");
        assert!(look(&mut watched).is_none(), "told once");
        std::fs::remove_file(&path).expect("removed");
        assert!(look(&mut watched).expect("gone").expect_err("no file").contains("cannot be read"));
        assert!(look(&mut watched).is_none());
        // Truncated by who writes it: never a law.
        write("");
        assert!(watched.look().is_none());
        write(&good(4));
        assert!(look(&mut watched).expect("it is there again").is_ok());
        std::fs::write(&path, b"# \xff").expect("written");
        assert!(look(&mut watched).expect("another").expect_err("no text").contains("byte 3: expected UTF-8"));
    }
}
