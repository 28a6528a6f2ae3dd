//! The one door to the file system: a flat directory of named files. `RealDisk` is std::fs, `sim::SimDisk` forgets and tears.
//!
//! Invariants: nothing is durable before `sync` (bytes) or `sync_dir` (names); every change passes a crash point.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use weir_model::crash;

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// Existing, to read.
    Read,
    /// Existing, to read and write.
    ReadWrite,
    /// New; an existing one is an error. Exclusive on network file systems too.
    CreateNew,
    /// New, or emptied.
    Create,
}

/// A directory of files.
pub trait Disk: Send + Sync + std::fmt::Debug {
    /// The file's path, for messages. The empty name is the directory.
    fn path(&self, name: &str) -> String;
    /// Names in it, sorted; a folder's ends with `/`.
    fn names(&self) -> io::Result<Vec<String>>;
    /// Opens a file.
    fn open(&self, name: &str, mode: OpenMode) -> io::Result<Box<dyn DiskFile>>;
    /// Gives a file another name, replacing what had it.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes a file with this content, durable, unless the name is taken (`AlreadyExists`): of two at once, one succeeds, and nobody
    /// ever sees the file without its content. `part` is a name that nobody else uses.
    fn create_exclusively(&self, part: &str, name: &str, content: &[u8]) -> io::Result<()>;
    /// Makes creations, renames and removals durable.
    fn sync_dir(&self) -> io::Result<()>;
}

/// An open file.
pub trait DiskFile: Send + std::fmt::Debug {
    /// Its length.
    fn len(&self) -> io::Result<u64>;
    /// True when there is nothing in it.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// Fills the front of `into` from `offset`; fewer bytes only at the end of the file.
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize>;
    /// Writes all of `bytes` at `offset`. After an error any part of it may be there.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Makes what was written durable.
    fn sync(&mut self) -> io::Result<()>;
    /// Cuts the file.
    fn truncate(&mut self, len: u64) -> io::Result<()>;
}

/// A directory of the file system.
#[derive(Debug)]
pub struct RealDisk {
    root: PathBuf,
}

impl RealDisk {
    /// Uses a directory, creating it when it is not there.
    pub fn create(root: impl AsRef<Path>) -> Result<RealDisk, crate::StoreError> {
        let root = root.as_ref().to_path_buf();
        let made = |source| crate::StoreError::Io { path: root.display().to_string(), action: "create", source };
        std::fs::create_dir_all(&root).map_err(made)?;
        Ok(RealDisk { root })
    }

    /// The directory.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }
}

impl Disk for RealDisk {
    fn path(&self, name: &str) -> String {
        if name.is_empty() { self.root.display().to_string() } else { self.root.join(name).display().to_string() }
    }

    fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.root)? {
            let entry = entry?;
            let mut name = entry.file_name().to_string_lossy().into_owned();
            if entry.file_type()?.is_dir() {
                name.push('/');
            }
            names.push(name);
        }
        names.sort();
        Ok(names)
    }

    fn open(&self, name: &str, mode: OpenMode) -> io::Result<Box<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true);
        match mode {
            OpenMode::Read => &mut options,
            OpenMode::ReadWrite => options.write(true),
            OpenMode::CreateNew => options.write(true).create_new(true),
            OpenMode::Create => options.write(true).create(true).truncate(true),
        };
        if matches!(mode, OpenMode::CreateNew | OpenMode::Create) {
            crash::point("store: create");
        }
        Ok(Box::new(RealFile(options.open(self.root.join(name))?)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        crash::point("store: rename");
        std::fs::rename(self.root.join(from), self.root.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        crash::point("store: remove");
        std::fs::remove_file(self.root.join(name))
    }

    fn create_exclusively(&self, part: &str, name: &str, content: &[u8]) -> io::Result<()> {
        let mut file = self.open(part, OpenMode::Create)?;
        file.write_at(0, content)?;
        file.sync()?;
        crash::point("store: link");
        let linked = std::fs::hard_link(self.root.join(part), self.root.join(name));
        self.remove(part)?;
        match linked {
            Ok(()) => self.sync_dir(),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
            // No links here: exclusive too, but for a moment without content.
            Err(_) => {
                let mut file = self.open(name, OpenMode::CreateNew)?;
                file.write_at(0, content)?;
                file.sync()?;
                self.sync_dir()
            }
        }
    }

    fn sync_dir(&self) -> io::Result<()> {
        crash::point("store: sync directory");
        File::open(&self.root)?.sync_all()
    }
}

#[derive(Debug)]
struct RealFile(File);

impl DiskFile for RealFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, mut offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < into.len() {
            match self.0.read_at(&mut into[filled..], offset) {
                Ok(0) => break,
                Ok(count) => {
                    filled += count;
                    offset += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        crash::point("store: write");
        self.0.write_all_at(bytes, offset)
    }

    fn sync(&mut self) -> io::Result<()> {
        crash::point("store: sync");
        self.0.sync_data()
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        crash::point("store: truncate");
        self.0.set_len(len)
    }
}
