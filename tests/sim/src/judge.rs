//! What is checked of the engine after every turn, and of everything at the end.

use crate::sim::{JOB, Sim};
use crate::sinks::{Row, Rows, SimSink};
use crate::web::{Expected, SECOND, item_id};
use crate::{Invariant, Violation};
use std::collections::{BTreeMap, BTreeSet};
use weir_driver::{Engine, JobFigures};
use weir_model::{ItemId, Reason};
use xxhash_rust::xxh3::xxh3_64;

/// An item of this web in memory, at most.
const ITEM_BYTES: usize = 512;
/// Items of a page, at most.
const PAGE_ITEMS: usize = 5;

/// A full outbox is felt within this: messages that are under way, and slots.
pub(crate) const FULL_BLUR_US: u64 = 120 * SECOND;
/// Journal that may be written while nothing goes on: ends of leases, answers of robots.txt that have grown old.
const IDLE_JOURNAL_BYTES: usize = 8 << 10;

fn broken<T>(invariant: Invariant, what: String) -> Result<T, Violation> {
    Err(Violation { invariant, what })
}

impl Sim {
    /// After every turn of the loop.
    pub(crate) fn check(&mut self) -> Result<(), Violation> {
        let Some(process) = &self.process else { return Ok(()) };
        let engine = &process.engine;
        let (urls, live) = (engine.figures(JOB).urls, engine.live(JOB));
        if urls.offered != urls.verdicts() + live.total() || urls.pending != live.pages as i64 {
            let what =
                format!("{} offered, {} verdicts, {live:?}, {} pending", urls.offered, urls.verdicts(), urls.pending);
            return broken(Invariant::Conservation, what);
        }
        if engine.in_flight() > self.plan.concurrency {
            let what = format!("{} in flight, {} allowed", engine.in_flight(), self.plan.concurrency);
            return broken(Invariant::Limits, what);
        }
        let outbox_max = self.plan.outbox_bytes_max + (self.plan.concurrency + 1) * PAGE_ITEMS * ITEM_BYTES;
        if engine.outbox_bytes() > outbox_max {
            return broken(
                Invariant::Limits,
                format!("{} bytes in the outbox, {outbox_max} allowed", engine.outbox_bytes()),
            );
        }
        let outbox_bytes = engine.outbox_bytes();
        self.check_held(outbox_bytes, outbox_max)
    }

    /// What waits is bounded at the sinks, too, and while the outbox is full nothing grows.
    fn check_held(&mut self, outbox_bytes: usize, outbox_max: usize) -> Result<(), Violation> {
        let waiting = self.sinks.iter().map(SimSink::waiting);
        let (items, bytes) = waiting.fold((0, 0), |most, one| (most.0.max(one.0), most.1.max(one.1)));
        if bytes > outbox_max {
            return broken(Invariant::Limits, format!("{bytes} bytes wait at a sink, {outbox_max} allowed"));
        }
        let now = self.now;
        self.full_since = (outbox_bytes > self.plan.outbox_bytes_max).then(|| self.full_since.unwrap_or(now));
        let held = &mut self.held;
        held.waiting_most = held.waiting_most.max(items);
        held.outbox_bytes_most = held.outbox_bytes_most.max(outbox_bytes);
        if let Some(since) = self.full_since {
            held.full_us = held.full_us.max(now.0 - since.0);
        }
        if held.journal_bytes > IDLE_JOURNAL_BYTES {
            let what = format!("{} bytes of journal were written while the outbox was full", held.journal_bytes);
            return broken(Invariant::Limits, what);
        }
        Ok(())
    }

    /// A request reaches its site although the outbox has been full for long.
    pub(crate) fn check_arrival(&self, url: &str) -> Result<(), Violation> {
        match self.full_since {
            Some(since) if self.now > since.after_us(FULL_BLUR_US) => {
                let gap = self.now.since(since);
                broken(Invariant::Limits, format!("{url} is asked for when the outbox has been full for {gap:?}"))
            }
            _ => Ok(()),
        }
    }

    /// After every batch: nothing is in the feed twice.
    pub(crate) fn check_feed(&self) -> Result<(), Violation> {
        let mut seen = BTreeSet::new();
        for row in self.rows() {
            if !seen.insert((&row.page, row.at)) {
                let what = format!("item {} of {} is in the feed twice", row.at, row.page);
                return broken(Invariant::SinksAreAFunctionOfTheItems, what);
            }
        }
        Ok(())
    }

    fn rows(&self) -> &[Row] {
        self.sinks
            .iter()
            .find_map(|sink| if let Rows::Append(rows) = &sink.rows { Some(&rows[..]) } else { None })
            .unwrap_or(&[])
    }

    /// The job has ended.
    pub(crate) fn judge(&mut self, engine: &Engine) -> Result<(), Violation> {
        self.over = true;
        let expected = self.web.expected();
        let figures = engine.figures(JOB);
        self.delivered = figures.urls.delivered;
        self.judge_verdicts(&expected, &figures)?;
        self.judge_letters(&expected, &figures)?;
        self.judge_feed(&expected)?;
        self.judge_table(&expected)
    }

    fn judge_verdicts(&self, expected: &Expected, figures: &JobFigures) -> Result<(), Violation> {
        let urls = &figures.urls;
        let dead = [Reason::StatusRetriesExhausted, Reason::FailedTimeout, Reason::KilledTheFunction];
        let hosts_of_robots = self.web.robots_travel();
        let counts = [
            ("verdicts", urls.verdicts(), urls.offered),
            ("delivered", urls.delivered, expected.delivered.len() as u64),
            ("status", urls.rejected(Reason::Status), expected.not_found),
            ("dead", dead.iter().map(|reason| urls.rejected(*reason)).sum(), expected.dead),
            ("unreadable", urls.rejected(Reason::Unreadable), expected.unreadable),
            ("robots", urls.rejected(Reason::Robots), expected.forbidden),
            ("too many redirects", urls.rejected(Reason::TooManyRedirects), expected.too_many_redirects),
            ("offsite", urls.rejected(Reason::Offsite), expected.offsite),
            ("abandoned", urls.abandoned, 0),
        ];
        // A robots.txt that redirects to another domain is offered there as well.
        let travelling =
            [("offered", urls.offered, expected.offered), ("redirected", urls.redirected, expected.redirected)];
        for (name, found, wanted) in counts.into_iter().chain(travelling.into_iter().filter(|_| !hosts_of_robots)) {
            if found != wanted {
                return broken(Invariant::Conservation, format!("{name}: {found} instead of {wanted}; {urls:?}"));
            }
        }
        Ok(())
    }

    /// Everything that went wrong for good has one dead letter, whatever died in between.
    fn judge_letters(&self, expected: &Expected, figures: &JobFigures) -> Result<(), Violation> {
        let (urls, items) = (self.letters.urls(), self.letters.items());
        if let Some((url, count)) = urls.iter().find(|(_, count)| **count > 1) {
            return broken(Invariant::Conservation, format!("{url} is {count} times in the dead letters"));
        }
        let wanted = (expected.dead + expected.unreadable, figures.items.refused);
        if (urls.len() as u64, items as u64) != wanted {
            let what = format!("{} requests and {items} items in the dead letters instead of {wanted:?}", urls.len());
            return broken(Invariant::Conservation, what);
        }
        Ok(())
    }

    /// The feed holds every item of every delivered page once, as some fetch of the page found it.
    fn judge_feed(&self, expected: &Expected) -> Result<(), Violation> {
        self.check_feed()?;
        let refused = &self.sinks[0].refuses;
        let found: BTreeSet<(&str, i64)> = self.rows().iter().map(|row| (&*row.page, row.at)).collect();
        let mut wanted = BTreeSet::new();
        for page in &expected.delivered {
            let items = self.web.pages[page].items.iter().enumerate();
            wanted.extend(
                items.filter(|(_, (key, _))| !refused.contains(&item_id(*key))).map(|(at, _)| (&**page, at as i64)),
            );
        }
        if let Some((page, at)) = wanted.symmetric_difference(&found).next() {
            let how = if found.contains(&(*page, *at)) { "should not be" } else { "is not" };
            return broken(Invariant::SinksAreAFunctionOfTheItems, format!("item {at} of {page} {how} in the feed"));
        }
        for row in self.rows() {
            if !self.oracle.starts.contains(&(row.page.clone(), row.version)) {
                let what = format!("{}: no fetch began at {}", row.page, row.version);
                return broken(Invariant::SinksAreAFunctionOfTheItems, what);
            }
        }
        Ok(())
    }

    /// The table holds the newest version of every key; the feed says which versions there were.
    fn judge_table(&self, expected: &Expected) -> Result<(), Violation> {
        let Rows::Upsert(table) = &self.sinks[1].rows else { return Ok(()) };
        let mut newest: BTreeMap<ItemId, (u64, u64)> = BTreeMap::new();
        for row in self.rows() {
            let entry = newest.entry(row.id).or_default();
            *entry = (*entry).max((row.version, row.hash));
        }
        let mut keys: BTreeMap<ItemId, BTreeSet<u64>> = BTreeMap::new();
        for page in &expected.delivered {
            for (key, content) in &self.web.pages[page].items {
                keys.entry(item_id(*key)).or_default().insert(xxh3_64(&content.to_le_bytes()));
            }
        }
        keys.retain(|id, _| !self.sinks[1].refuses.contains(id));
        if !keys.keys().eq(table.keys()) {
            let what = format!("the table holds {} keys instead of {}", table.len(), keys.len());
            return broken(Invariant::SinksAreAFunctionOfTheItems, what);
        }
        for (id, hashes) in &keys {
            let held = table[id].hash;
            let wanted = newest.get(id).map(|(_, hash)| *hash);
            if wanted.is_some_and(|wanted| wanted != held) || !hashes.contains(&held) {
                let what = format!("key {id}: the table holds {:?}, not the newest version {wanted:x?}", table[id]);
                return broken(Invariant::SinksAreAFunctionOfTheItems, what);
            }
        }
        Ok(())
    }
}
