//! The state directory as a crawl opens it: the lease, the store, the document in it.
//!
//! Invariant: the document is written before anything that it names: a job before its first record, a sink's number before
//! its first confirmation.

use crate::document::Document;
use crate::error::CrawlError;
use crate::letter_file::LetterFile;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use weir_model::Clock;
use weir_store::lease::{Claim, Claimed, Lease, Owner};
use weir_store::{Disk, GroupSeq, Options, RealDisk, Recovery, Store};

const DOCUMENT: &str = "jobs.json";
const LEASE_TTL: Duration = Duration::from_secs(30);

/// An open state directory.
pub struct State {
    /// The journal and its snapshots.
    pub store: Store,
    /// What is to be replayed.
    pub recovery: Recovery,
    /// The right to write.
    pub lease: Lease,
    /// Jobs and sinks.
    pub document: Document,
    /// The dead letters.
    pub(crate) letters: LetterFile,
}

impl State {
    /// Takes the lease (waiting out one of an unknown owner), opens the store, reads the document and counts the boot.
    pub fn open(path: &Path, clock: &dyn Clock) -> Result<State, CrawlError> {
        let disk: Arc<dyn Disk> = Arc::new(RealDisk::create(path)?);
        let now = clock.now();
        let lease = claim(&disk, clock)?;
        // The microsecond and the process: no two states are made by one process in one microsecond.
        let id = u128::from(now.0) << 32 | u128::from(std::process::id());
        let (store, recovery) = Store::open(disk, Options::new(id))?;
        let document = read_document(&store, &recovery, path)?;
        let mut state = State { document, store, recovery, lease, letters: LetterFile::open(path)? };
        if state.document.state.is_empty() {
            state.document.state = format!("{id:032x}");
        }
        state.document.boot += 1;
        state.save()?;
        Ok(state)
    }

    /// Gives everything back without having crawled.
    pub fn close(self) -> Result<(), CrawlError> {
        self.store.close()?;
        Ok(self.lease.release()?)
    }

    /// Writes the document, atomically.
    pub fn save(&mut self) -> Result<(), CrawlError> {
        save(&mut self.store, &self.document)
    }
}

/// Writes the document, atomically.
pub(crate) fn save(store: &mut Store, document: &Document) -> Result<(), CrawlError> {
    let body = serde_json::to_vec_pretty(document).expect("a document of numbers and texts is JSON");
    Ok(store.put_document(DOCUMENT, &body)?)
}

fn claim(disk: &Arc<dyn Disk>, clock: &dyn Clock) -> Result<Lease, CrawlError> {
    let me = Owner::this_process(clock.now().unix_ms(), LEASE_TTL);
    let mut claim = Claim::new(Arc::clone(disk), me);
    loop {
        match claim.step(clock.now())? {
            Claimed::Owned(lease) => return Ok(lease),
            Claimed::Wait { until, owner } => {
                let wait = until.since(clock.now());
                tracing::info!(%owner, wait_ms = wait.as_millis() as u64, "waiting for the lease of the owner before");
                std::thread::park_timeout(wait.min(Duration::from_secs(1)));
            }
        }
    }
}

fn read_document(store: &Store, recovery: &Recovery, path: &Path) -> Result<Document, CrawlError> {
    let Some(body) = store.get_document(DOCUMENT)? else {
        // Written before the first record: where there are records, it was there.
        let found = &recovery.report;
        if found.last == GroupSeq::default() && found.snapshot.is_none() {
            return Ok(Document { version: 1, ..Document::default() });
        }
        return Err(CrawlError::State(format!(
            "{}/doc-{DOCUMENT}.weir is missing; expected it beside the journal, whose records belong to the jobs it names; restore the whole \
             folder from a backup, or use another --state",
            path.display()
        )));
    };
    parse_document(&body, path)
}

fn parse_document(body: &[u8], path: &Path) -> Result<Document, CrawlError> {
    let document: Document = serde_json::from_slice(body).map_err(|error| {
        CrawlError::State(format!(
            "{}/{DOCUMENT}: line {}: {error}; restore it from a backup, or use another --state",
            path.display(),
            error.line()
        ))
    })?;
    if document.version != 1 {
        return Err(CrawlError::State(format!(
            "{}/{DOCUMENT}: format {}, this weir reads format 1; use the weir that wrote it, or another --state",
            path.display(),
            document.version
        )));
    }
    Ok(document)
}

impl Document {
    /// What the state directory's document says, without opening the state: also while a crawl runs on it.
    pub fn peek(path: &Path) -> Result<Document, CrawlError> {
        let missing = || {
            CrawlError::Usage(format!(
                "--state {}: expected the state directory of a crawl, with a document of jobs. Name one with --state",
                path.display()
            ))
        };
        if !path.is_dir() {
            return Err(missing());
        }
        let body = Store::peek_document(&RealDisk::create(path)?, DOCUMENT)?;
        parse_document(&body.ok_or_else(missing)?, path)
    }
}
