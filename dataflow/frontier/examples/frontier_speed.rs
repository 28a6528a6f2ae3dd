//! How many URLs a CPU second goes through prepare, admit, release and settle, without journal I/O.
//!
//! `cargo run --release -p weir-frontier --example frontier_speed -- [URLs] [domains] [law]` (default: 2000000 1000; `law`: every
//! domain has one, wide enough never to wait)

use std::fs;
use std::sync::Arc;
use weir_frontier::{
    BootInfo, Budget, Frontier, FrontierConfig, JobSpec, JobTable, LawBook, Limits, Offer, OfferSource, Out, Scratch,
    prepare,
};
use weir_model::{FetchOutcome, JobId, LinkBatch, Report, TargetId, Tick};

struct Wide;

impl LawBook for Wide {
    fn limits(&self, _domain: &str) -> Option<Limits> {
        Some(Limits { hits: 1_000_000, window_us: 1_000_000, moderated: false })
    }
    fn blacklisted(&self, _domain: &str) -> bool {
        false
    }
}

/// User and system time of this process.
fn cpu_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").expect("Linux tells the time of a process");
    let after = stat.rsplit(')').next().expect("a name in brackets");
    let fields: Vec<f64> = after.split_whitespace().filter_map(|field| field.parse().ok()).collect();
    // The state is no number, so fields 14 and 15 are at 10 and 11 here.
    (fields[10] + fields[11]) / 100.0
}

fn main() {
    let mut args = std::env::args().skip(1);
    let total: u64 = args.next().and_then(|text| text.parse().ok()).unwrap_or(2_000_000);
    let domains: u64 = args.next().and_then(|text| text.parse().ok()).unwrap_or(1000);
    let law = args.next().is_some();
    let mut config = FrontierConfig::default();
    if law {
        config.laws = Arc::new(Wide);
    }
    // As many under way as a step releases, so that nothing queues up and no body has to be read back.
    let concurrency_per_domain = (4000 / domains).max(16) as u32;
    let spec = Arc::new(JobSpec { id: JobId(1), obey_robots: false, concurrency_per_domain, ..JobSpec::default() });
    let mut jobs = JobTable::default();
    jobs.open(spec.clone());
    let mut frontier = Frontier::new(Arc::new(config), 0, 0, 1, BootInfo { epoch: 1 });
    frontier.open_job(spec);
    let (mut scratch, mut out, mut batches) = (Scratch::new(false), Out::default(), Vec::new());
    let mut now = Tick(1_700_000_000_000_000);
    let mut releases = Vec::new();
    let (mut next, mut done, mut bytes) = (0u64, 0u64, 0u64);
    let referer: Arc<str> = "http://www.site1.example/properties/index_00000.html".into();
    let begin = cpu_seconds();
    // Pages of 50 new links each, as a crawl would find them; made here, so their making is measured, too.
    let mut offer =
        Offer { job: JobId(1), depth: 1, referer: Some(referer), source: OfferSource::Page, ..Offer::default() };
    while done < total {
        for _ in 0..40 {
            if next == total {
                break;
            }
            offer.links = LinkBatch::default();
            let domain = next / 50 % domains;
            for _ in 0..50.min(total - next) {
                use std::fmt::Write;
                write!(offer.links.urls, "http://www.site{domain}.example/properties/property_{next:06}.html")
                    .expect("memory");
                let end = offer.links.urls.len() as u32;
                offer.links.links.push(weir_model::Link { end, target: TargetId(1), priority: 0, extra: None });
                next += 1;
            }
            prepare(&offer, &jobs, &mut scratch, &mut batches, &mut out.counters);
        }
        for batch in batches.drain(..) {
            frontier.admit(now, &batch, &mut out);
            scratch.recycle(batch);
        }
        frontier.release_due(now, Budget { requests: 2000 }, &mut out);
        frontier.end_step(&mut out);
        bytes += out.journal.len() as u64;
        out.journal.clear();
        out.counters.clear();
        now = now.after_us(20_000);
        releases.append(&mut out.releases);
        releases.append(&mut out.free);
        for release in releases.drain(..) {
            let report = Report {
                release: release.id,
                outcome: FetchOutcome::Response { status: 200 },
                started_at: now,
                answered_at: now,
                ended_at: now,
                wire_bytes: 3000,
                body_bytes: 3000,
                items: Vec::new(),
                links: LinkBatch::default(),
                notes: Vec::new(),
            };
            frontier.settle(now, report, &mut out);
            done += 1;
        }
    }
    let seconds = cpu_seconds() - begin;
    println!(
        "{done} URLs of {domains} domains{}: {seconds:.2} CPU seconds, {:.0} a CPU second, {} journal bytes a URL",
        if law { " under a law" } else { "" },
        done as f64 / seconds,
        bytes / done
    );
}
