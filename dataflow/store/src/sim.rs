//! A disk in memory that behaves as badly as a disk may: it forgets what was not synced, tears and reorders what was on its way,
//! and fails on command. Everything from a seed.
//!
//! Invariants: what `sync` (bytes) and `sync_dir` (names) confirmed survives every crash; of the rest any part may survive.

mod file;
mod inode;
mod world;

use crate::disk::{Disk, DiskFile, OpenMode};
use file::SimFile;
use inode::{Chance, Change, Inode};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use world::{NameChange, World};

/// How an operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No space left: half of a write is there.
    DiskFull,
    /// Input/output error; after a failed sync what was unsynced is lost although it can still be read.
    Broken,
    /// Read-only file system.
    ReadOnly,
}

impl Fault {
    fn error(self) -> io::Error {
        io::Error::from_raw_os_error(match self {
            Fault::DiskFull => libc::ENOSPC,
            Fault::Broken => libc::EIO,
            Fault::ReadOnly => libc::EROFS,
        })
    }
}

/// A simulated disk; clones are the same disk.
#[derive(Clone, Debug, Default)]
pub struct SimDisk(Arc<Mutex<World>>);

impl SimDisk {
    /// An empty disk.
    #[must_use]
    pub fn new() -> SimDisk {
        SimDisk::default()
    }

    /// Changes so far: what `cut_power_at` and `fail_at` count.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.world().operations
    }

    /// The power goes when the change with this number (from 1) is attempted: it and all later operations fail until `restart`.
    pub fn cut_power_at(&self, operation: u64) {
        self.world().power_cut_at = Some(operation);
    }

    /// The change with this number fails; with `for_good` all later ones too.
    pub fn fail_at(&self, operation: u64, fault: Fault, for_good: bool) {
        self.world().fault = Some((operation, fault, for_good));
    }

    /// No faults from here on.
    pub fn heal(&self) {
        self.world().fault = None;
    }

    /// Power off and on: open files are dead, of what was not synced a part chosen by the seed is left.
    pub fn restart(&self, seed: u64) {
        let mut world = self.world();
        let mut chance = Chance(seed);
        for inode in &mut world.inodes {
            inode.lose_power(&mut chance);
        }
        for change in std::mem::take(&mut world.pending_names) {
            if chance.one_in(2) {
                world.apply_durably(change);
            }
        }
        world.names = world.durable_names.clone();
        world.epoch += 1;
        world.dead = false;
        world.power_cut_at = None;
        world.fault = None;
    }

    /// The process dies but the machine lives (`kill -9`): open files are dead, everything written is there.
    pub fn kill(&self) {
        let mut world = self.world();
        world.epoch += 1;
        world.dead = false;
        world.power_cut_at = None;
    }

    /// The bytes of a file as a reader sees them.
    #[must_use]
    pub fn content(&self, name: &str) -> Option<Vec<u8>> {
        let world = self.world();
        world.names.get(name).map(|&inode| world.inodes[inode].now.clone())
    }

    /// Puts a file there, durable: for damage and foreign files.
    pub fn put(&self, name: &str, bytes: Vec<u8>) {
        let mut world = self.world();
        let inode = world.inodes.len();
        world.inodes.push(Inode { now: bytes.clone(), durable: bytes, pending: Vec::new() });
        world.names.insert(name.to_owned(), inode);
        world.durable_names.insert(name.to_owned(), inode);
    }

    /// Takes a file away, durably.
    pub fn take(&self, name: &str) {
        let mut world = self.world();
        world.names.remove(name);
        world.durable_names.remove(name);
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Disk for SimDisk {
    fn path(&self, name: &str) -> String {
        format!("sim:/{name}")
    }

    fn names(&self) -> io::Result<Vec<String>> {
        let world = self.world();
        world.alive()?;
        Ok(world.names.keys().cloned().collect())
    }

    fn open(&self, name: &str, mode: OpenMode) -> io::Result<Box<dyn DiskFile>> {
        let mut world = self.world();
        world.alive()?;
        let existing = world.names.get(name).copied();
        let inode = match (mode, existing) {
            (OpenMode::Read | OpenMode::ReadWrite, Some(inode)) => inode,
            (OpenMode::Read | OpenMode::ReadWrite, None) => return Err(io::ErrorKind::NotFound.into()),
            (OpenMode::CreateNew, Some(_)) => return Err(io::ErrorKind::AlreadyExists.into()),
            (OpenMode::Create | OpenMode::CreateNew, _) => {
                if let Some(fault) = world.step()? {
                    return Err(fault.error());
                }
                match existing {
                    Some(inode) => {
                        world.inodes[inode].change(Change::Truncate { len: 0 });
                        inode
                    }
                    None => {
                        let inode = world.inodes.len();
                        world.inodes.push(Inode::default());
                        world.names.insert(name.to_owned(), inode);
                        world.pending_names.push(NameChange::Set(name.to_owned(), inode));
                        inode
                    }
                }
            }
        };
        Ok(Box::new(SimFile { disk: self.clone(), inode, epoch: world.epoch, writable: mode != OpenMode::Read }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut world = self.world();
        if let Some(fault) = world.step()? {
            return Err(fault.error());
        }
        let inode = world.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        world.names.insert(to.to_owned(), inode);
        world.pending_names.push(NameChange::Rename(from.to_owned(), to.to_owned(), inode));
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut world = self.world();
        if let Some(fault) = world.step()? {
            return Err(fault.error());
        }
        world.names.remove(name).ok_or(io::ErrorKind::NotFound)?;
        world.pending_names.push(NameChange::Remove(name.to_owned()));
        Ok(())
    }

    fn create_exclusively(&self, _part: &str, name: &str, content: &[u8]) -> io::Result<()> {
        let mut world = self.world();
        if let Some(fault) = world.step()? {
            return Err(fault.error());
        }
        if world.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let inode = world.inodes.len();
        world.inodes.push(Inode { now: content.to_vec(), durable: content.to_vec(), pending: Vec::new() });
        world.names.insert(name.to_owned(), inode);
        world.pending_names.push(NameChange::Set(name.to_owned(), inode));
        drop(world);
        self.sync_dir()
    }

    fn sync_dir(&self) -> io::Result<()> {
        let mut world = self.world();
        if let Some(fault) = world.step()? {
            return Err(fault.error());
        }
        for change in std::mem::take(&mut world.pending_names) {
            world.apply_durably(change);
        }
        Ok(())
    }
}
