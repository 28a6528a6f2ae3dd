//! A disk in memory that behaves as badly as a disk may: it forgets what was not synced, tears and reorders what was on its way,
//! and fails on command. Everything from a seed.
//!
//! Invariants: what `sync` (bytes) and `sync_dir` (names) confirmed survives every crash; of the rest any part may survive.

use crate::disk::{Disk, DiskFile, OpenMode};
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

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

#[derive(Debug)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Truncate { len: usize },
}

#[derive(Debug, Default)]
struct Inode {
    now: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Change>,
}

#[derive(Clone, Debug)]
enum NameChange {
    Set(String, usize),
    Remove(String),
    Rename(String, String, usize),
}

#[derive(Debug, Default)]
struct World {
    inodes: Vec<Inode>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    pending_names: Vec<NameChange>,
    /// Changes (creations, writes, syncs, truncations, renames, removals) so far.
    operations: u64,
    power_cut_at: Option<u64>,
    fault: Option<(u64, Fault, bool)>,
    /// Rises with each crash: open files of before are dead.
    epoch: u64,
    dead: bool,
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

/// splitmix64.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.next().is_multiple_of(n)
    }
}

impl Inode {
    fn apply(data: &mut Vec<u8>, change: &Change) {
        match change {
            Change::Write { offset, bytes } => {
                if data.len() < offset + bytes.len() {
                    data.resize(offset + bytes.len(), 0);
                }
                data[*offset..offset + bytes.len()].copy_from_slice(bytes);
            }
            Change::Truncate { len } => data.resize(*len, 0),
        }
    }

    fn change(&mut self, change: Change) {
        Self::apply(&mut self.now, &change);
        self.pending.push(change);
    }

    fn lose_power(&mut self, chance: &mut Chance) {
        let pending = std::mem::take(&mut self.pending);
        let in_order = chance.one_in(2);
        let survivors = chance.below(pending.len() + 1);
        for (at, change) in pending.iter().enumerate() {
            let whole = if in_order { at < survivors } else { chance.one_in(2) };
            match change {
                _ if whole => Self::apply(&mut self.durable, change),
                // Torn: the front of it, or sectors of it, the others as zeros or as they were.
                Change::Write { offset, bytes } if at == survivors || !in_order => {
                    let sectors = chance.one_in(2);
                    let front = chance.below(bytes.len() + 1);
                    for (index, sector) in bytes.chunks(512).enumerate() {
                        let start = index * 512;
                        let keep = if sectors {
                            if chance.one_in(2) { sector.len() } else { 0 }
                        } else {
                            front.saturating_sub(start).min(sector.len())
                        };
                        if keep > 0 {
                            let part = Change::Write { offset: offset + start, bytes: sector[..keep].to_vec() };
                            Self::apply(&mut self.durable, &part);
                        }
                    }
                }
                _ => {}
            }
        }
        self.now = self.durable.clone();
    }
}

impl World {
    /// Counts a change; says how it fails.
    fn step(&mut self) -> Result<Option<Fault>, io::Error> {
        self.alive()?;
        self.operations += 1;
        if self.power_cut_at == Some(self.operations) {
            self.dead = true;
            self.alive()?;
        }
        let now = self.operations;
        Ok(self.fault.and_then(|(at, fault, for_good)| (now == at || (for_good && now > at)).then_some(fault)))
    }

    fn alive(&self) -> io::Result<()> {
        if self.dead { Err(io::Error::other("the power is off")) } else { Ok(()) }
    }

    fn apply_durably(&mut self, change: NameChange) {
        match change {
            NameChange::Set(name, inode) => {
                self.durable_names.insert(name, inode);
            }
            NameChange::Remove(name) => {
                self.durable_names.remove(&name);
            }
            NameChange::Rename(from, to, inode) => {
                self.durable_names.remove(&from);
                self.durable_names.insert(to, inode);
            }
        }
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

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    inode: usize,
    epoch: u64,
    writable: bool,
}

impl SimFile {
    fn world(&self) -> io::Result<MutexGuard<'_, World>> {
        let world = self.disk.world();
        world.alive()?;
        if world.epoch == self.epoch { Ok(world) } else { Err(io::Error::other("this file was open before a crash")) }
    }

    /// Counts a change; gives the world, the inode, and how it fails.
    fn step(&self) -> io::Result<(MutexGuard<'_, World>, Option<Fault>)> {
        assert!(self.writable, "a file open for reading is not changed");
        let mut world = self.world()?;
        let fault = world.step()?;
        Ok((world, fault))
    }
}

impl DiskFile for SimFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.world()?.inodes[self.inode].now.len() as u64)
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let world = self.world()?;
        let data = &world.inodes[self.inode].now;
        let from = usize::try_from(offset).map_or(data.len(), |offset| offset.min(data.len()));
        let count = into.len().min(data.len() - from);
        into[..count].copy_from_slice(&data[from..from + count]);
        Ok(count)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let (mut world, fault) = self.step()?;
        let kept = match fault {
            None => bytes,
            Some(Fault::DiskFull) => &bytes[..bytes.len() / 2],
            Some(_) => &[],
        };
        if !kept.is_empty() {
            world.inodes[self.inode].change(Change::Write { offset: offset as usize, bytes: kept.to_vec() });
        }
        fault.map_or(Ok(()), |fault| Err(fault.error()))
    }

    fn sync(&mut self) -> io::Result<()> {
        let (mut world, fault) = self.step()?;
        let inode = &mut world.inodes[self.inode];
        if let Some(fault) = fault {
            inode.pending.clear();
            return Err(fault.error());
        }
        for change in std::mem::take(&mut inode.pending) {
            Inode::apply(&mut inode.durable, &change);
        }
        Ok(())
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        let (mut world, fault) = self.step()?;
        match fault {
            // A full disk can still give space back.
            None | Some(Fault::DiskFull) => {
                world.inodes[self.inode].change(Change::Truncate { len: len as usize });
                Ok(())
            }
            Some(fault) => Err(fault.error()),
        }
    }
}
