//! The policy file as it is on disk: an adapter that looks twice a second, on a thread of its own.
//!
//! Decides only whether the content is another one: by time and length first, then by its bytes. What it says is told once for each
//! content, good or bad. A file that is being written is read again when it is whole: nothing that is half there is ever a law, since
//! a mistake changes nothing, but a half that reads as a whole may hold for half a second; so write beside it and rename.

use super::{LawNews, PolicyFile};
use crate::crawl::ToDriver;
use crate::error::CrawlError;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, SystemTime};
use weir_frontier::policy::Policy;
use weir_model::ContentHash;

/// How often the file is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
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

/// What the file was when it was looked at last.
struct Watched {
    file: PolicyFile,
    seen: Option<(SystemTime, u64)>,
    /// What was told last: a content, or why there is none.
    told: Result<ContentHash, String>,
}

impl Watched {
    fn new(file: PolicyFile) -> Watched {
        let told = Ok(file.hash);
        Watched { file, seen: None, told }
    }

    #[allow(clippy::disallowed_methods, reason = "an adapter: the age of a file is by the file system's clock")]
    fn look(&mut self) -> Option<Result<(Policy, ContentHash), String>> {
        let path = &self.file.path;
        let seen = std::fs::metadata(path).and_then(|found| Ok((found.modified()?, found.len())));
        if let Ok(seen) = &seen
            && self.seen.as_ref() == Some(seen)
            && seen.0.elapsed().is_ok_and(|age| age > FRESH)
        {
            return None;
        }
        self.seen = seen.ok();
        let bytes = match read(path) {
            Ok(bytes) => bytes,
            Err(why) => return self.tell(Err(why.clone()), Err(why)),
        };
        let hash = ContentHash::of(&bytes);
        if self.told == Ok(hash) {
            return None;
        }
        match parse(path, bytes) {
            Ok(policy) => self.tell(Ok(hash), Ok((policy, hash))),
            Err(why) => self.tell(Err(why.clone()), Err(why)),
        }
    }

    fn tell<T>(&mut self, told: Result<ContentHash, String>, news: T) -> Option<T> {
        let again = self.told == told;
        self.told = told;
        (!again).then_some(news)
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
        assert!(watched.look().is_none(), "as it was read at the start");
        write(&good(4));
        let (policy, hash) = watched.look().expect("another content").expect("a policy");
        assert_eq!(policy.limits("a.com").map(|limits| limits.hits), Some(4));
        assert_eq!(hash, ContentHash::of(good(4).as_bytes()));
        assert!(watched.look().is_none());
        write("[domains.\"a.com\"]\nhits = none\n");
        let why = watched.look().expect("another content").expect_err("no policy");
        assert!(why.contains("law.toml:2:"), "{why}");
        assert!(watched.look().is_none(), "told once");
        std::fs::remove_file(&path).expect("removed");
        assert!(watched.look().expect("gone").expect_err("no file").contains("cannot be read"));
        assert!(watched.look().is_none());
        write(&good(4));
        assert!(watched.look().expect("it is there again").is_ok());
        std::fs::write(&path, b"# \xff").expect("written");
        assert!(watched.look().expect("another").expect_err("no text").contains("byte 3: expected UTF-8"));
    }
}
