//! An open file of the simulated disk.
//!
//! Invariants: a file opened before a crash answers nothing but errors after it; a failed write leaves at most its first half.

use super::inode::{Change, Inode};
use super::world::World;
use super::{Fault, SimDisk};
use crate::disk::DiskFile;
use std::io;
use std::sync::MutexGuard;

/// An open file: dead after a crash, even when the disk is on again.
#[derive(Debug)]
pub(super) struct SimFile {
    pub disk: SimDisk,
    pub inode: usize,
    pub epoch: u64,
    pub writable: bool,
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
