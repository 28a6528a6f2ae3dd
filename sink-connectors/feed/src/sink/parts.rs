//! The parts of a feed one after the other: begun, gone on with, full, complete.
//!
//! Invariants: a part below the job's number is full and waits until the state keeps a mark behind it; what nobody was told of is
//! written again.

use super::{Existing, FeedSink, Place};
use crate::claim::Claim;
use crate::compress::{Compressor, Frame};
use crate::export::Exporter;
use crate::file::{PartFile, PartNames, Position, remove, rename};
use crate::mark::Mark;
use crate::part::Part;
use crate::{parquet, readback};
use std::fs::{File, OpenOptions};
use std::io::Seek;
use std::path::Path;
use weir_connector::{ErrorClass, FeedFormat, ItemOutcome, JobInfo, SinkError, SinkMark, StoredItem};
use weir_model::{Item, Outcome};

/// A file in the system's folder for such, which goes with the process.
fn nameless_file() -> Result<File, SinkError> {
    let folder = std::env::temp_dir();
    let failed = |error: std::io::Error| SinkError::io("create a file in", &folder, &error);
    for number in 0u32.. {
        let path = folder.join(format!("weir-read-{}-{number}", std::process::id()));
        match OpenOptions::new().read(true).write(true).create_new(true).open(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => continue,
            Err(error) => return Err(failed(error)),
            Ok(file) => return std::fs::remove_file(&path).map(|()| file).map_err(failed),
        }
    }
    unreachable!("a folder holds fewer files than there are numbers")
}

impl FeedSink {
    /// Begins the part of the job's number.
    pub(super) fn begin_part(&mut self) -> Result<(), SinkError> {
        let (format, compression, existing) = (self.format, self.compression, self.existing);
        let job = self.opened()?;
        let (number, info, mut options) = (job.number, job.info.clone(), job.options.clone());
        let names = self.names(&info, number);
        let existing = match (&self.place, existing) {
            (Place::Elsewhere { .. }, _) => Existing::Overwrite,
            // Behind the last of its parts, never into one.
            (Place::Disk, Existing::Append) if self.template.has_number() || !self.can_append() => Existing::Refuse,
            (Place::Disk, existing) => existing,
        };
        let claim = self.hold(&names, number)?;
        let fits = match (format, existing) {
            (FeedFormat::Csv, Existing::Append) => crate::header::check(&names.target, compression, &options),
            _ => Ok(()),
        };
        let begun = fits.and_then(|()| PartFile::begin(names, claim, &info.tag(), existing));
        let (file, appending) = begun.inspect_err(|_| self.let_go(number))?;
        options.header &= !appending;
        let part = Part::new(file, Exporter::new(format, options), Compressor::new(compression, Frame::default()));
        self.opened()?.part = Some(part);
        Ok(())
    }

    /// Holds the place of a part: nobody else writes there until the job has nothing left to do with it.
    fn hold(&mut self, names: &PartNames, number: u64) -> Result<&Claim, SinkError> {
        let claims = &mut self.opened()?.claims;
        let held = claims.get(&number).map_or(Ok(false), Claim::holds)?;
        if !held {
            claims.insert(number, Claim::take(names)?);
        }
        Ok(&claims[&number])
    }

    fn let_go(&mut self, number: u64) {
        if let Some(claim) = self.job.as_mut().and_then(|job| job.claims.remove(&number)) {
            claim.leave();
        }
    }

    /// Takes the job up where it was told to be last: in a new process, or after a failure.
    pub(super) fn take_up(&mut self) -> Result<(), SinkError> {
        let (format, compression) = (self.format, self.compression);
        let job = self.opened()?;
        let (told, info, mut options) = (job.told.clone(), job.info.clone(), job.options.clone());
        let mut part = None;
        if let Some(open) = &told.open {
            let position = Position { len: open.len, tail: open.tail };
            let names = self.names(&info, told.number);
            let claim = self.hold(&names, told.number)?;
            let resumed = PartFile::resume(names, claim, &info.tag(), position);
            let file = resumed.inspect_err(|_| self.let_go(told.number))?;
            options.header &= open.len == 0;
            let compressor = Compressor::new(compression, open.frame);
            part = Some(Part::resumed(file, Exporter::new(format, options), compressor, open));
        }
        let job = self.opened()?;
        (job.part, job.number, job.failed) = (part, told.number, false);
        self.discard_later()
    }

    /// Parts behind the job's number were never told of: their items come again.
    pub(super) fn discard_later(&mut self) -> Result<(), SinkError> {
        if !self.template.has_number() {
            return Ok(());
        }
        let job = self.opened()?;
        let (info, number) = (job.info.clone(), job.number);
        let mut later = if job.part.is_some() { number + 1 } else { number };
        let held = job.claims.split_off(&later);
        while self.names(&info, later).discard(&info.tag())? {
            later += 1;
        }
        drop(held);
        Ok(())
    }

    pub(super) fn row(&mut self, item: &Item) -> Result<ItemOutcome, SinkError> {
        let limits = self.limits;
        let late = |part: &Part| {
            let span = limits.time.map_or(u64::MAX, |time| time.as_micros() as u64);
            part.rows() > 0 && item.version.saturating_sub(part.since) >= span
        };
        if self.opened()?.part.as_ref().is_some_and(late) {
            self.seal()?;
        }
        if self.opened()?.part.is_none() {
            self.begin_part()?;
        }
        let job = self.opened()?;
        let Some(part) = &mut job.part else { unreachable!("begun above") };
        if let Err(reason) = part.push(item, &job.rows) {
            return Ok(ItemOutcome::Refused { reason });
        }
        let full = |limit: Option<u64>, count: u64| limit.is_some_and(|limit| count >= limit);
        if full(limits.rows, part.rows()) || full(limits.bytes, part.plain()) {
            self.seal()?;
        }
        Ok(ItemOutcome::Stored)
    }

    /// Ends the part; it waits for the state.
    pub(super) fn seal(&mut self) -> Result<(), SinkError> {
        let job = self.opened()?;
        if let Some(part) = job.part.take() {
            part.seal()?;
            job.number += 1;
        }
        Ok(())
    }

    /// Completes the parts below a number.
    pub(super) fn complete_below(&mut self, number: u64) -> Result<(), SinkError> {
        loop {
            let job = self.opened()?;
            let (next, info) = (job.pending_from, job.info.clone());
            if next >= number {
                return Ok(());
            }
            self.complete(&info, next, false)?;
            self.opened()?.pending_from += 1;
        }
    }

    /// A part that will not change becomes visible. The last one of a job can be taken back: `last`.
    pub(super) fn complete(&mut self, info: &JobInfo, number: u64, last: bool) -> Result<(), SinkError> {
        let names = self.names(info, number);
        if !names.is_waiting()? {
            return Ok(()); // completed by the process before
        }
        self.hold(&names, number)?;
        let made = names.beside(".part.made");
        if self.format == FeedFormat::Parquet {
            let job = self.opened()?;
            let Some(columns) = &job.rows.columns else { unreachable!("made when the feed was opened") };
            parquet::make(&names.part, &made, columns, &job.rows.schemas)?;
        }
        let name = self.template.name(info, number);
        let direct = matches!(self.place, Place::Disk) && self.format != FeedFormat::Parquet;
        match (&mut self.place, self.format) {
            (Place::Disk, FeedFormat::Parquet) => rename(&made, &names.target)?,
            (Place::Disk, _) => names.rename_to_target(last)?,
            (Place::Elsewhere { remote, .. }, FeedFormat::Parquet) => {
                remote.put(&name, &made)?;
                remove(&made)?;
            }
            (Place::Elsewhere { remote, .. }, _) => remote.put(&name, &names.part)?,
        }
        if !direct {
            names.put_aside(last)?;
        }
        let claim = self.opened()?.claims.remove(&number);
        if last {
            self.kept = Some((names, claim));
        }
        Ok(())
    }

    pub(super) fn committed_now(&mut self, mark: &SinkMark) -> Result<(), SinkError> {
        let Some(mark) = Mark::read(mark) else { return Ok(()) };
        if self.job.is_none() {
            return Ok(());
        }
        let job = self.opened()?;
        job.committed = job.committed.max(mark.number);
        let committed = job.committed;
        self.complete_below(committed)
    }

    pub(super) fn finish_now(&mut self, outcome: Outcome) -> Result<(), SinkError> {
        let Some(job) = &self.job else { return Ok(()) };
        let committed = job.committed;
        if matches!(outcome, Outcome::Shutdown | Outcome::Failed) {
            self.job = None; // to be resumed: everything stays as it is
            return Ok(());
        }
        if job.failed {
            self.take_up()?;
        }
        self.complete_below(committed)?;
        let result = self.end();
        match (&result, &mut self.job) {
            (Ok(()), _) => self.job = None,
            (Err(_), Some(job)) => (job.part, job.failed) = (None, true),
            (Err(_), None) => {}
        }
        result
    }

    /// Every row of a job's files; of parts, those that nobody has taken away.
    pub(super) fn read_now(&mut self, job: &JobInfo, each: &mut dyn FnMut(StoredItem)) -> Result<(), SinkError> {
        for number in 1.. {
            if number > 1 && !self.template.has_number() {
                break;
            }
            let names = self.names(job, number);
            let name = self.template.name(job, number);
            let shown = self.names_elsewhere(job, number);
            match &mut self.place {
                Place::Disk => {
                    if number > 1 && !(names.is_complete()? || names.is_waiting()?) {
                        break;
                    }
                    readback::read_back(&names.target, self.format, self.compression, job, each)?;
                }
                Place::Elsewhere { remote, .. } => {
                    if remote.exists(&name)? {
                        let mut copy = nameless_file()?;
                        remote.get(&name, &mut copy)?;
                        copy.rewind().map_err(|error| SinkError::io("read", Path::new(&shown), &error))?;
                        readback::read_file(Path::new(&shown), copy, self.format, self.compression, job, each)?;
                    } else if number > 1 {
                        break;
                    } else {
                        return Err(SinkError::new(
                            ErrorClass::Configuration,
                            "there is no such file",
                            shown,
                            "the file that the job wrote",
                            "Put it back, or name it as the job did with -o",
                        ));
                    }
                }
            }
        }
        Ok(())
    }

    pub(super) fn end(&mut self) -> Result<(), SinkError> {
        let job = self.opened()?;
        let (info, number) = (job.info.clone(), job.number);
        let empty = job.part.as_ref().is_none_or(|part| part.rows() == 0);
        if empty && number > 1 {
            // A part was full with the last item: no empty one behind it.
            job.part = None;
            self.complete_below(number)?;
            self.names(&info, number).discard(&info.tag())?;
        } else {
            self.complete_below(number)?;
            self.seal()?;
            self.complete(&info, number, true)?;
        }
        if self.existing == Existing::Overwrite && self.template.has_number() {
            self.remove_older(&info, if empty && number > 1 { number } else { number + 1 })?;
        }
        Ok(())
    }

    /// Parts of the feed that was replaced, when it had more of them.
    pub(super) fn remove_older(&mut self, info: &JobInfo, mut number: u64) -> Result<(), SinkError> {
        while self.is_there(info, number)? {
            let target = self.names(info, number).target;
            match &mut self.place {
                Place::Disk => remove(&target)?,
                Place::Elsewhere { remote, .. } => remote.remove(&self.template.name(info, number))?,
            }
            number += 1;
        }
        Ok(())
    }
}
