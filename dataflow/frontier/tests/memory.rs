//! RAM of a queue, as the operating system counts it. Alone in its file, since a process has one peak.
//! (`examples/queue_memory.rs` shows the same at 5 million, with the time of a restart.)

#![allow(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::sync::Arc;
use weir_frontier::{
    Addr, BootInfo, Frontier, FrontierConfig, JobSpec, JobTable, Offer, OfferSource, Out, Scratch, prepare, record,
};
use weir_model::{JobId, LinkBatch, TargetId, Tick};

fn peak_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

fn frontier(lane: u16, spec: &Arc<JobSpec>) -> Frontier {
    let config = FrontierConfig { hot_bytes: 1 << 20, ..FrontierConfig::default() };
    let mut frontier = Frontier::new(Arc::new(config), lane, 0, 1, BootInfo { epoch: u32::from(lane) });
    frontier.open_job(spec.clone());
    frontier
}

#[test]
fn a_queued_url_costs_its_address_and_its_dedup_entry() {
    const URLS: u64 = 600_000;
    let spec = Arc::new(JobSpec { id: JobId(1), obey_robots: false, ..JobSpec::default() });
    let mut jobs = JobTable::default();
    jobs.open(spec.clone());
    let (mut running, mut again) = (frontier(0, &spec), frontier(1, &spec));
    let (mut scratch, mut out, mut batches) = (Scratch::new(false), Out::default(), Vec::new());
    let before = peak_bytes();
    let mut offset = 0;
    for step in 0..URLS / 500 {
        let mut links = LinkBatch::default();
        for n in 0..500 {
            links.push(&format!("https://www.example.com/catalogue/item-{:09}.html", step * 500 + n), TargetId(1), 0);
        }
        let offer = Offer { job: JobId(1), links, source: OfferSource::Start, ..Offer::default() };
        prepare(&offer, &jobs, &mut scratch, &mut batches, &mut out.counters);
        for batch in batches.drain(..) {
            running.admit(Tick(1), &batch, &mut out);
            scratch.recycle(batch);
        }
        running.end_step(&mut out);
        // The journal goes straight to a second frontier, as if that one read it after a restart.
        let mut rest = out.journal.as_slice();
        while let Some((body, after)) = record::split(rest) {
            again.replay(Addr::new(0, offset + (out.journal.len() - rest.len()) as u64), body).unwrap();
            rest = after;
        }
        offset += out.journal.len() as u64;
        out.journal.clear();
        out.counters.clear();
    }
    again.finish_replay(Tick(2));
    assert_eq!((running.live(JobId(1)).queued, again.live(JobId(1)).queued), (URLS, URLS));
    // 8 bytes of address and at most 16 of dedup entry, twice, and the fixed buffers.
    let each = (peak_bytes() - before).saturating_sub(6 << 20) / (2 * URLS);
    assert!(each <= 24, "{each} bytes a queued URL");
}
