//! One domain with millions of queued URLs: RAM while it runs, and time and RAM of a restart from its journal.
//!
//! `cargo run --release -p weir-frontier --example queue_memory -- [millions]` (default: 5). The journal lies in a temporary file.

use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Read, Write};
use std::sync::Arc;
use weir_frontier::{
    Addr, BootInfo, Budget, Frontier, FrontierConfig, JobSpec, JobTable, Offer, OfferSource, Out, Scratch, prepare,
    record,
};
use weir_model::{FetchOutcome, JobId, LinkBatch, Report, TargetId, Tick};

fn memory_mib(what: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux tells the memory of a process");
    let line = status.lines().find(|line| line.starts_with(what)).expect("a known field");
    line.split_whitespace().nth(1).and_then(|number| number.parse::<u64>().ok()).expect("KiB") / 1024
}

fn frontier(lane: u16, spec: &Arc<JobSpec>) -> Frontier {
    let boot = BootInfo { epoch: u32::from(lane) + 1 };
    let mut frontier = Frontier::new(Arc::new(FrontierConfig::default()), lane, 0, 1, boot);
    frontier.open_job(spec.clone());
    frontier
}

#[allow(clippy::disallowed_methods, reason = "a measurement reads the clock")]
fn main() {
    let millions: u64 = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(5);
    let path = std::env::temp_dir().join(format!("weir-queue-memory-{}", std::process::id()));
    let mut journal = BufWriter::new(File::create(&path).expect("a temporary file"));
    let spec = Arc::new(JobSpec { id: JobId(1), obey_robots: false, ..JobSpec::default() });
    let mut jobs = JobTable::default();
    jobs.open(spec.clone());
    let now = Tick(1_700_000_000_000_000);
    {
        let mut running = frontier(0, &spec);
        let (mut scratch, mut out, mut batches) = (Scratch::new(false), Out::default(), Vec::new());
        // One in a thousand is fetched meanwhile, so that the journal holds ends, too.
        for step in 0..millions * 1000 {
            let mut links = LinkBatch::default();
            for n in 0..1000 {
                links.push(
                    &format!("https://www.example.com/catalogue/item-{:09}.html", step * 1000 + n),
                    TargetId(1),
                    0,
                );
            }
            let offer = Offer { job: JobId(1), links, source: OfferSource::Start, ..Offer::default() };
            prepare(&offer, &jobs, &mut scratch, &mut batches, &mut out.counters);
            for batch in batches.drain(..) {
                running.admit(now, &batch, &mut out);
                scratch.recycle(batch);
            }
            running.release_due(now, Budget { requests: 1 }, &mut out);
            for release in std::mem::take(&mut out.free) {
                let report = Report {
                    release: release.id,
                    outcome: FetchOutcome::Response { status: 200 },
                    started_at: now,
                    answered_at: now,
                    ended_at: now,
                    wire_bytes: 0,
                    body_bytes: 0,
                    items: Vec::new(),
                    links: LinkBatch::default(),
                    notes: Vec::new(),
                };
                running.settle(now, report, &mut out);
            }
            running.end_step(&mut out);
            journal.write_all(&out.journal).expect("room for the journal");
            out.journal.clear();
            out.counters.clear();
        }
        journal.flush().expect("room for the journal");
        println!(
            "{} URLs queued: {} MiB, peak {} MiB",
            running.live(JobId(1)).queued,
            memory_mib("VmRSS"),
            memory_mib("VmHWM")
        );
    }
    let begin = std::time::Instant::now();
    let mut again = frontier(1, &spec);
    let mut file = BufReader::with_capacity(1 << 20, File::open(&path).expect("written above"));
    let (mut buffer, mut offset) = (Vec::new(), 0u64);
    loop {
        let mut chunk = vec![0; 1 << 20];
        let got = file.read(&mut chunk).expect("written above");
        buffer.extend_from_slice(&chunk[..got]);
        let mut used = 0;
        while let Some((body, rest)) = record::split(&buffer[used..]) {
            again.replay(Addr::new(0, offset + used as u64), body).expect("written above");
            used = buffer.len() - rest.len();
        }
        buffer.drain(..used);
        offset += used as u64;
        if got == 0 {
            break;
        }
    }
    again.finish_replay(now);
    println!(
        "restarted with {} URLs from {} MiB in {:.2} s: {} MiB, peak {} MiB",
        again.live(JobId(1)).queued,
        offset >> 20,
        begin.elapsed().as_secs_f64(),
        memory_mib("VmRSS"),
        memory_mib("VmHWM")
    );
    fs::remove_file(&path).expect("our own file");
}
