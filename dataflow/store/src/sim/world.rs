//! The state that all handles of one simulated disk share: files, names as they are and as they would survive, faults to come.
//!
//! Invariant: every change passes `step`, which counts it and says whether it fails.

use super::Fault;
use super::inode::Inode;
use std::collections::BTreeMap;
use std::io;

/// A change of the directory.
#[derive(Clone, Debug)]
pub(super) enum NameChange {
    Set(String, usize),
    Remove(String),
    Rename(String, String, usize),
}

/// The disk behind all its handles.
#[derive(Debug, Default)]
pub(super) struct World {
    pub inodes: Vec<Inode>,
    pub names: BTreeMap<String, usize>,
    pub durable_names: BTreeMap<String, usize>,
    pub pending_names: Vec<NameChange>,
    /// Changes (creations, writes, syncs, truncations, renames, removals) so far.
    pub operations: u64,
    pub power_cut_at: Option<u64>,
    pub fault: Option<(u64, Fault, bool)>,
    /// Rises with each crash: open files of before are dead.
    pub epoch: u64,
    pub dead: bool,
}

impl World {
    /// Counts a change; says how it fails.
    pub fn step(&mut self) -> Result<Option<Fault>, io::Error> {
        self.alive()?;
        self.operations += 1;
        if self.power_cut_at == Some(self.operations) {
            self.dead = true;
            self.alive()?;
        }
        let now = self.operations;
        Ok(self.fault.and_then(|(at, fault, for_good)| (now == at || (for_good && now > at)).then_some(fault)))
    }

    pub fn alive(&self) -> io::Result<()> {
        if self.dead { Err(io::Error::other("the power is off")) } else { Ok(()) }
    }

    pub fn apply_durably(&mut self, change: NameChange) {
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
