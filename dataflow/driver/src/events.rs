//! What happens in a crawl as lines of JSON, for those who ask: `weir crawl --events FILE`.
//!
//! Decides what is told and in what shape (docs/events.md); takes it from what the engine and the threads hand out anyway, and decides
//! nothing of the crawl. Invariants: a thread of its own writes, and the crawl never waits for it; at most `QUEUED_MAX` events
//! wait, what is beyond them is counted and told; whoever did not ask pays nothing.

use crate::crawl::ToDriver;
use crate::document::Chosen;
use crate::error::CrawlError;
use crate::law::LawEvent;
use crate::letters::{Content, LetterOp};
use crate::report::{CrawlOptions, CrawlReport};
use crate::settings::LogLevel;
use serde::Serialize;
use std::collections::HashMap;
use std::io::{BufWriter, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;
use weir_connector::{read, redact, text};
use weir_frontier::LogLine;
use weir_model::{ExtractionNote, Item, ItemId, ItemSchema, JobId, Report, SinkId, UnixMs};
use weir_stage::{OutboxId, OutboxItem, SinkVerdict};

/// Events that wait for a slow file: about 20 MB.
const QUEUED_MAX: usize = 65_536;
/// How long the end of a crawl waits for the last lines.
const GRACE: Duration = Duration::from_secs(10);

/// One event. Its name is the variant's, its keys are the fields'.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Event {
    JobOpened { spider: String, continued: bool, sinks: Vec<String> },
    PageCrawled { status: u16, url: Box<str>, referer: Option<Box<str>> },
    PageRedirected { status: u16, url: Box<str>, target: Box<str> },
    PageRetried { url: Box<str>, attempts: u8, reason: Box<str> },
    PageFailed { url: Box<str>, reason: &'static str, detail: Box<str> },
    UrlRejected { url: Box<str>, reason: &'static str, detail: Box<str> },
    ItemScraped { item: String, r#type: String, key: Option<String> },
    ItemDropped { counter: Box<str>, count: u32, example: Box<str> },
    Remark { counter: Box<str>, count: u32, example: Box<str> },
    SinkOutcome { outcome: &'static str, sink: Arc<str>, item: Option<String>, reason: Option<Box<str>> },
    DeadLetter { letter: u64, reason: String, url: Option<String>, item: Option<String> },
    LawChanged { by: &'static str, name: String },
    LawRefused { error: String },
    EventsLost { count: u64 },
    JobClosed { outcome: &'static str, failure: Option<String>, seconds: f64, pages: u64, items: u64, errors: u64 },
}

/// A line.
#[derive(Serialize)]
struct Line<'a> {
    time: &'a str,
    job: u64,
    #[serde(flatten)]
    event: &'a Event,
}

type Batch = (UnixMs, Vec<Event>);

/// The crawl's end: what it tells waits here until the turn of the loop is over.
pub(crate) struct Events {
    schemas: Vec<Arc<ItemSchema>>,
    sinks: HashMap<SinkId, Arc<str>>,
    /// What sinks have and have not answered for: as much as the outbox holds.
    under_way: HashMap<(SinkId, OutboxId), ItemId>,
    /// Lines of the crawl log are also for the observer.
    pub log_is_shown: bool,
    turn: Vec<Event>,
    lost: u64,
    queued: Arc<AtomicUsize>,
    queue: Sender<Batch>,
    done: Receiver<()>,
}

/// What events are about.
pub(crate) struct EventsOf {
    pub job: JobId,
    pub schemas: Vec<Arc<ItemSchema>>,
    pub sinks: HashMap<SinkId, Arc<str>>,
    pub log_is_shown: bool,
}

impl EventsOf {
    pub fn job(options: &CrawlOptions, chosen: &Chosen) -> EventsOf {
        EventsOf {
            job: chosen.job,
            schemas: options.spider.schemas().to_vec(),
            sinks: chosen.sinks.iter().zip(&options.sinks).map(|(id, sink)| (*id, sink.name().into())).collect(),
            log_is_shown: options.settings.log_level >= LogLevel::Debug,
        }
    }
}

impl Events {
    pub fn start(of: EventsOf, file: Box<dyn Write + Send>) -> Result<Events, CrawlError> {
        let (queue, inbox) = channel();
        let (tell_done, done) = channel();
        let queued = Arc::new(AtomicUsize::new(0));
        let waits = Arc::clone(&queued);
        std::thread::Builder::new()
            .name("events".to_owned())
            .spawn(move || {
                if let Err(error) = write(of.job, BufWriter::new(file), &inbox, &waits) {
                    tracing::error!(%error, "the events cannot be written; the crawl goes on without them");
                }
                // Nobody waits for it when the grace is over.
                let _ = tell_done.send(());
            })
            .map_err(|error| CrawlError::System { what: "the thread of the events", error })?;
        let EventsOf { schemas, sinks, log_is_shown, .. } = of;
        let under_way = HashMap::new();
        Ok(Events { schemas, sinks, under_way, log_is_shown, turn: Vec::new(), lost: 0, queued, queue, done })
    }

    pub fn law(&mut self, event: LawEvent) {
        self.tell(match event {
            LawEvent::Changed { by, name } => Event::LawChanged { by, name },
            LawEvent::Refused { error } => Event::LawRefused { error },
        });
    }

    pub fn opened(&mut self, spider: &str, continued: bool) {
        let mut sinks: Vec<_> = self.sinks.iter().map(|(id, name)| (id.0, name.to_string())).collect();
        sinks.sort();
        let sinks = sinks.into_iter().map(|(_, name)| name).collect();
        self.tell(Event::JobOpened { spider: spider.to_owned(), continued, sinks });
    }

    /// What the threads say to the driver.
    pub fn heard(&mut self, message: &ToDriver) {
        match message {
            ToDriver::Reports(reports) => reports.iter().for_each(|report| self.reported(report)),
            ToDriver::Written { sink, written, .. } => {
                let mut reasons = written.reasons.iter().peekable();
                for (id, verdict) in &written.outcomes {
                    let reason = reasons.next_if(|(of, _)| of == id).map(|(_, reason)| reason.clone());
                    self.settled(*sink, *id, *verdict, reason);
                }
            }
            _ => {}
        }
    }

    fn reported(&mut self, report: &Report) {
        for item in &report.items {
            self.scraped(item);
        }
        for ExtractionNote { counter, count, example } in &report.notes {
            let (counter, count, example) = (counter.clone(), *count, example.clone());
            let dropped = matches!(counter.split('/').nth(1), Some("required" | "empty_key"));
            self.tell(if dropped {
                Event::ItemDropped { counter, count, example }
            } else {
                Event::Remark { counter, count, example }
            });
        }
    }

    fn scraped(&mut self, item: &Item) {
        let schema = self.schemas.get(usize::from(item.schema));
        let r#type = schema.map(|schema| schema.name.clone()).unwrap_or_default();
        let key = schema.and_then(|schema| read::name_of(schema, item));
        self.tell(Event::ItemScraped { item: item.id.to_hex(), r#type, key });
    }

    /// An item goes to a sink.
    pub fn sent(&mut self, sink: SinkId, item: &OutboxItem) {
        self.under_way.insert((sink, item.id), item.item.id);
    }

    fn settled(&mut self, sink: SinkId, id: OutboxId, verdict: SinkVerdict, reason: Option<Box<str>>) {
        let item = self.under_way.remove(&(sink, id)).map(|item| item.to_hex());
        let outcome = match verdict {
            SinkVerdict::Stored => "stored",
            SinkVerdict::Stale => "stale",
            SinkVerdict::Refused => "refused",
            SinkVerdict::Missed => "missed",
        };
        let sink = self.sinks.get(&sink).cloned().unwrap_or_default();
        self.tell(Event::SinkOutcome { outcome, sink, item, reason });
    }

    pub fn logged(&mut self, line: &LogLine) {
        self.tell(match line.clone() {
            LogLine::Crawled { status, url, referer } => Event::PageCrawled { status, url, referer },
            LogLine::Redirecting { status, url, target } => Event::PageRedirected { status, url, target },
            LogLine::Retrying { url, attempts, reason } => Event::PageRetried { url, attempts, reason },
            LogLine::Rejected { reason, url, detail } if reason.is_dead_letter() => {
                Event::PageFailed { url, reason: reason.as_str(), detail }
            }
            LogLine::Rejected { reason, url, detail } => Event::UrlRejected { url, reason: reason.as_str(), detail },
        });
    }

    pub fn buried(&mut self, letters: &[LetterOp]) {
        for letter in letters {
            let LetterOp::Kept(letter) = letter else { continue };
            let (url, item) = match &letter.content {
                Content::Item { item, .. } | Content::Uncomputed { item, .. } => (None, Some(item.id.to_hex())),
                Content::Request { request, .. } => (Some(redact(&request.url)), None),
            };
            self.tell(Event::DeadLetter { letter: letter.id, reason: letter.reason.clone(), url, item });
        }
    }

    fn tell(&mut self, event: Event) {
        if self.queued.load(Ordering::Relaxed) + self.turn.len() >= QUEUED_MAX {
            self.lost += 1;
            return;
        }
        if self.lost > 0 {
            let count = std::mem::take(&mut self.lost);
            self.turn.push(Event::EventsLost { count });
        }
        self.turn.push(event);
    }

    /// A turn of the loop is over: what it told goes to the writer.
    pub fn hand_over(&mut self, now: UnixMs) {
        if self.turn.is_empty() {
            return;
        }
        let turn = std::mem::take(&mut self.turn);
        self.queued.fetch_add(turn.len(), Ordering::Relaxed);
        // A writer that could not write has said so.
        let _ = self.queue.send((now, turn));
    }

    /// The last line, and the file is complete; unless it takes no more.
    pub fn end(mut self, now: UnixMs, report: &CrawlReport) {
        let figures = &report.figures;
        if self.lost > 0 {
            self.turn.push(Event::EventsLost { count: self.lost });
        }
        self.turn.push(Event::JobClosed {
            outcome: report.outcome.as_str(),
            failure: report.failure.clone(),
            seconds: report.elapsed.as_secs_f64(),
            pages: figures.urls.responses.iter().map(|(_, count)| count).sum(),
            items: figures.items.scraped,
            errors: figures.errors(),
        });
        self.hand_over(now);
        let Events { queue, done, .. } = self;
        drop(queue);
        if done.recv_timeout(GRACE).is_err() {
            tracing::warn!("the file of the events takes no more lines: the last ones are not in it");
        }
    }
}

/// Writes until the crawl is over; whenever nothing waits, everything is in the file.
fn write(job: JobId, mut file: impl Write, inbox: &Receiver<Batch>, queued: &AtomicUsize) -> std::io::Result<()> {
    while let Ok(first) = inbox.recv() {
        let mut next = Some(first);
        while let Some((at, events)) = next {
            let mut time = Vec::new();
            text::put_datetime(&mut time, at.0 as i64);
            let time = String::from_utf8_lossy(&time);
            for event in &events {
                serde_json::to_writer(&mut file, &Line { time: &time, job: job.0, event })?;
                file.write_all(b"\n")?;
            }
            queued.fetch_sub(events.len(), Ordering::Relaxed);
            next = inbox.try_recv().ok();
        }
        file.flush()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use std::sync::mpsc::SyncSender;
    use weir_model::Outcome;

    /// A file that takes nothing before it is told to.
    struct Slow {
        open: Option<Receiver<()>>,
        began: SyncSender<()>,
        bytes: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            if let Some(open) = self.open.take() {
                self.began.send(()).expect("the test listens");
                open.recv().expect("the test opens it");
            }
            self.bytes.lock().expect("nobody panics").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn events(file: Slow) -> Events {
        let sinks = HashMap::from([(SinkId(1), Arc::from("items.jsonl"))]);
        let of = EventsOf { job: JobId(7), schemas: Vec::new(), sinks, log_is_shown: false };
        Events::start(of, Box::new(file)).expect("a thread")
    }

    fn report() -> CrawlReport {
        CrawlReport {
            job: 7,
            continued: false,
            outcome: Outcome::Finished,
            failure: None,
            figures: crate::JobFigures::default(),
            redelivered: 0,
            elapsed: Duration::from_secs(2),
        }
    }

    fn lines(bytes: &Mutex<Vec<u8>>) -> Vec<serde_json::Value> {
        let bytes = bytes.lock().expect("nobody panics");
        bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(parsed).collect()
    }

    fn parsed(line: &[u8]) -> serde_json::Value {
        serde_json::from_slice(line).expect("a line of JSON")
    }

    #[test]
    fn a_file_that_stands_still_holds_up_nobody_and_what_is_lost_is_counted() {
        let (open, opened) = channel();
        let (began, begins) = std::sync::mpsc::sync_channel(1);
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let mut events = events(Slow { open: Some(opened), began, bytes: Arc::clone(&bytes) });
        let page = LogLine::Crawled { status: 200, url: "http://a/".into(), referer: None };
        for _ in 0..100 {
            for _ in 0..1_000 {
                events.logged(&page);
            }
            events.hand_over(UnixMs(0));
        }
        begins.recv().expect("the writer writes");
        open.send(()).expect("the writer waits");
        events.end(UnixMs(1_000), &report());
        let lines = lines(&bytes);
        assert_eq!(lines.len(), QUEUED_MAX + 2);
        assert_eq!(lines[QUEUED_MAX]["count"], 100_000 - QUEUED_MAX as u64, "{}", lines[QUEUED_MAX]);
        let closed = &lines[QUEUED_MAX + 1];
        assert_eq!((&closed["event"], &closed["outcome"]), (&"job_closed".into(), &"finished".into()), "{closed}");
        assert_eq!((&closed["time"], &closed["job"]), (&"1970-01-01T00:00:01Z".into(), &7.into()), "{closed}");
    }

    #[test]
    fn a_refusal_names_its_item_and_says_why() {
        let (began, _) = std::sync::mpsc::sync_channel(1);
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let mut events = events(Slow { open: None, began, bytes: Arc::clone(&bytes) });
        let item = Item { job: JobId(7), schema: 0, id: ItemId(0xab), hash: 1, version: 1, values: Vec::new() };
        let item = Arc::new(item);
        for number in 0..2 {
            events.sent(SinkId(1), &OutboxItem { id: OutboxId(number), item: Arc::clone(&item), sinks: 2 });
        }
        let outcomes = vec![(OutboxId(0), SinkVerdict::Stored), (OutboxId(1), SinkVerdict::Refused)];
        let reasons = vec![(OutboxId(1), "price is text".into())];
        let written = crate::sinks::Written { outcomes, reasons, ..Default::default() };
        events.heard(&ToDriver::Written { job: JobId(7), sink: SinkId(1), written });
        assert!(events.under_way.is_empty(), "nothing is kept of what is settled");
        events.end(UnixMs(0), &report());
        let lines = lines(&bytes);
        let said = |at: usize, key: &str| lines[at][key].as_str().map(str::to_owned);
        assert_eq!((said(0, "outcome").as_deref(), said(0, "reason")), (Some("stored"), None));
        assert_eq!(
            (said(1, "outcome").as_deref(), said(1, "reason").as_deref()),
            (Some("refused"), Some("price is text"))
        );
        assert_eq!(said(1, "item"), Some(item.id.to_hex()));
        assert_eq!(said(1, "sink").as_deref(), Some("items.jsonl"));
    }
}
