//! The journal's thread: appends and syncs groups, reads bodies back, writes snapshots, renews the lease.
//!
//! Invariant: orders are performed in order; nothing is written once the lease is lost.

use crate::crawl::ToDriver;
use crate::document::Document;
use crate::engine::Engine;
use crate::error::CrawlError;
use crate::letter_file::{KeptLetter, LetterFile};
use crate::letter_pages::Page;
use crate::letters::LetterOp;
use crate::state;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;
use weir_frontier::Addr;
use weir_model::Clock;
use weir_stage::LaneBytes;
use weir_store::lease::Lease;
use weir_store::{LanePart, Store, StoreError};

enum Order {
    Append {
        group: u64,
        parts: Vec<LaneBytes>,
    },
    Load(Vec<(usize, Addr)>),
    Snapshot {
        parts: Receiver<Part>,
        live: Vec<(u16, std::ops::Range<u64>)>,
    },
    Save(Box<Document>, Sender<Result<(), CrawlError>>),
    Put(&'static str, Vec<u8>, Sender<Result<(), CrawlError>>),
    Letters(Vec<LetterOp>),
    /// The pages of letters that changed.
    Pages(Sender<Vec<Page>>),
    /// Letters with these numbers, as far as they are there.
    Find(Vec<u64>, Sender<Vec<KeptLetter>>),
}

/// A piece of a snapshot: a section's name and bytes.
type Part = (String, Vec<u8>);

/// The driver's end.
pub(crate) struct JournalThread {
    orders: Option<Sender<Order>>,
    thread: Option<JoinHandle<()>>,
}

impl JournalThread {
    pub fn start(
        store: Store,
        lease: Lease,
        (letters, document): (LetterFile, Document),
        clock: Arc<dyn Clock>,
        driver: Sender<ToDriver>,
    ) -> Result<JournalThread, CrawlError> {
        let (orders, orders_in) = channel();
        let thread = std::thread::Builder::new()
            .name("journal".into())
            .spawn(move || {
                let mut keeper = Keeper { store, lease, letters, document, clock, driver: driver.clone() };
                if let Err(error) = keeper.serve(&orders_in) {
                    // The driver may have ended already: then nobody is there to be told.
                    let _ = driver.send(ToDriver::JournalFailed(error));
                    return;
                }
                keeper.end();
            })
            .map_err(|error| CrawlError::System { what: "the journal's thread", error })?;
        Ok(JournalThread { orders: Some(orders), thread: Some(thread) })
    }

    fn order(&self, order: Order) {
        if let Some(orders) = &self.orders {
            // A failed journal has said so on the driver's channel; the order is void.
            let _ = orders.send(order);
        }
    }

    pub fn append(&self, group: u64, parts: Vec<LaneBytes>) {
        self.order(Order::Append { group, parts });
    }

    pub fn letters(&self, letters: Vec<LetterOp>) {
        self.order(Order::Letters(letters));
    }

    /// Pages of letters that changed since the last call.
    pub fn letter_pages(&self) -> Vec<Page> {
        let (answer, answered) = channel();
        self.order(Order::Pages(answer));
        // A journal that has failed says so by itself.
        answered.recv().unwrap_or_default()
    }

    /// Those of these letters that are there.
    pub fn find_letters(&self, ids: Vec<u64>) -> Result<Vec<KeptLetter>, CrawlError> {
        let (answer, answered) = channel();
        self.order(Order::Find(ids, answer));
        answered.recv().map_err(|_| CrawlError::State("the journal has failed before".into()))
    }

    pub fn load(&self, wanted: Vec<(usize, Addr)>) {
        self.order(Order::Load(wanted));
    }

    /// Streams a snapshot: `fill` is given a function that writes one part. `live` are lane ranges with bodies still needed.
    fn snapshot(
        &self,
        live: Vec<(u16, std::ops::Range<u64>)>,
        fill: impl FnOnce(&mut dyn FnMut(&str, &[u8]) -> std::io::Result<()>) -> std::io::Result<()>,
    ) -> std::io::Result<()> {
        let (parts_out, parts) = sync_channel(8);
        self.order(Order::Snapshot { parts, live });
        fill(&mut |name, bytes| parts_out.send((name.to_owned(), bytes.to_vec())).map_err(std::io::Error::other))?;
        // The empty name says that the snapshot is whole.
        parts_out.send((String::new(), Vec::new())).map_err(std::io::Error::other)
    }

    /// Streams a snapshot of an engine whose groups are all appended; gives its bytes.
    pub fn snapshot_of(&self, engine: &mut Engine) -> u64 {
        let live = engine.live_chunks().into_iter().filter(|chunk| chunk.live > 0).map(|chunk| {
            let start = u64::from(chunk.id.chunk) * weir_frontier::address::CHUNK_BYTES;
            (chunk.id.lane, start..start + weir_frontier::address::CHUNK_BYTES)
        });
        let mut bytes = 0;
        let result = self.snapshot(live.collect(), |write| {
            engine.snapshot(&mut |name, part| {
                bytes += part.len() as u64;
                write(name, part)
            })
        });
        if let Err(error) = result {
            tracing::warn!(%error, "the snapshot was not taken");
        }
        bytes
    }

    pub fn save(&self, document: &Document) -> Result<(), CrawlError> {
        let (answer, answered) = channel();
        self.order(Order::Save(Box::new(document.clone()), answer));
        answered.recv().unwrap_or_else(|_| Err(CrawlError::State("the journal has failed before".into())))
    }

    /// Replaces a document of the state; durable when it returns.
    pub fn put(&self, name: &'static str, body: Vec<u8>) -> Result<(), CrawlError> {
        let (answer, answered) = channel();
        self.order(Order::Put(name, body, answer));
        answered.recv().unwrap_or_else(|_| Err(CrawlError::State("the journal has failed before".into())))
    }

    /// Waits until all orders are performed and the lease is given back.
    pub fn end(mut self) {
        self.join();
    }

    fn join(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            // A panic of the journal has been printed; there is nothing more to save.
            let _ = thread.join();
        }
    }
}

impl Drop for JournalThread {
    fn drop(&mut self) {
        self.join();
    }
}

struct Keeper {
    store: Store,
    lease: Lease,
    letters: LetterFile,
    /// Names for the letters.
    document: Document,
    clock: Arc<dyn Clock>,
    driver: Sender<ToDriver>,
}

impl Keeper {
    fn serve(&mut self, orders: &Receiver<Order>) -> Result<(), CrawlError> {
        loop {
            let now = self.clock.now();
            let until = self.lease.next_renewal().since(now);
            if until.is_zero() {
                self.lease.renew(now)?;
                continue;
            }
            match orders.recv_timeout(until.min(Duration::from_secs(3600))) {
                Ok(order) => self.perform(order)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return self.letters.sync(),
            }
        }
    }

    fn perform(&mut self, order: Order) -> Result<(), CrawlError> {
        match order {
            Order::Append { group, parts } => {
                self.lease.check(self.clock.now())?;
                if !parts.is_empty() {
                    let parts: Vec<LanePart<'_>> = parts
                        .iter()
                        .map(|part| LanePart { lane: part.lane, offset: part.offset, bytes: &part.bytes })
                        .collect();
                    self.store.append_group(&parts)?;
                    self.store.sync()?;
                }
                self.tell(ToDriver::Synced { group, journal_bytes: self.store.bytes_since_snapshot() });
            }
            Order::Load(wanted) => self.load(&wanted)?,
            Order::Snapshot { parts, live } => {
                // What the journal forgets now must be in the file.
                self.letters.sync()?;
                self.snapshot(&parts, &live)?;
            }
            Order::Letters(ops) => self.letters.append(&ops, &self.document)?,
            Order::Pages(answer) => {
                // Whoever asked waits for the answer, unless the stage has ended.
                let _ = answer.send(self.letters.take_pages());
            }
            Order::Find(ids, answer) => {
                let known = &self.letters.known().letters;
                let _ = answer.send(ids.iter().filter_map(|id| known.get(id).cloned()).collect());
            }
            Order::Put(name, body, answer) => {
                self.lease.check(self.clock.now())?;
                let _ = answer.send(self.store.put_document(name, &body).map_err(CrawlError::from));
            }
            Order::Save(document, answer) => {
                self.document.clone_from(&document);
                // Whoever asked waits for the answer, unless the crawl has ended.
                let _ = answer.send(state::save(&mut self.store, &document));
            }
        }
        Ok(())
    }

    fn load(&mut self, wanted: &[(usize, Addr)]) -> Result<(), StoreError> {
        let addrs: Vec<weir_store::Addr> = wanted.iter().map(|(_, addr)| weir_store::Addr(addr.0)).collect();
        let mut found = Vec::with_capacity(wanted.len());
        self.store.read_many(&addrs, &mut |addr, record| found.push((addr.0, record.to_vec())))?;
        let mut workers: Vec<(u64, usize)> = wanted.iter().map(|(worker, addr)| (addr.0, *worker)).collect();
        workers.sort_unstable();
        for (addr, record) in found {
            let worker = workers.binary_search_by_key(&addr, |(addr, _)| *addr).map_or(0, |at| workers[at].1);
            self.tell(ToDriver::Loaded { worker, addr: Addr(addr), record });
        }
        Ok(())
    }

    fn snapshot(&mut self, parts: &Receiver<Part>, live: &[(u16, std::ops::Range<u64>)]) -> Result<(), StoreError> {
        let mut writer = self.store.begin_snapshot()?;
        let mut section = String::new();
        loop {
            // The driver stopped in the middle: the part file is left, the next open removes it.
            let Ok((name, bytes)) = parts.recv() else { return Ok(()) };
            if name.is_empty() {
                break;
            }
            if name != section {
                writer.section(&name)?;
                section = name;
            }
            writer.write(&bytes)?;
        }
        self.lease.check(self.clock.now())?;
        self.store.install_snapshot(writer)?;
        self.store.retain(&mut |lane, range| {
            live.iter().any(|(of, bodies)| *of == lane && bodies.start < range.end && range.start < bodies.end)
        })?;
        Ok(())
    }

    fn tell(&self, message: ToDriver) {
        // After the driver's end nobody waits for answers.
        let _ = self.driver.send(message);
    }

    fn end(self) {
        if let Err(error) = self.store.close() {
            tracing::warn!(%error, "closing the journal");
        }
        if let Err(error) = self.lease.release() {
            tracing::warn!(%error, "giving the lease back");
        }
    }
}
