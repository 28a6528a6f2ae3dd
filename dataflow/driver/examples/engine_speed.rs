//! The frontier through the real stage, engine and journal: requests canonicalised, fingerprinted, admitted, released and
//! settled a CPU second, each group synced as DESIGN.md section 2 says, at 1 and 2 workers.
//!
//! `cargo run --release -p weir-driver --example engine_speed -- [URLs] [domains] [rounds] [workers]` (without the last: 1 and 2, compared)

use std::sync::Arc;
use std::time::Instant;
use weir_driver::{Action, Engine, EngineConfig, Input, JobRun, StartSource};
use weir_frontier::{FrontierConfig, JobSpec};
use weir_model::{FetchOutcome, JobId, LinkBatch, Outcome, ReceiptId, Report, TargetId, Tick};
use weir_stage::{LaneBytes, SinkMasks, Stage, StageConfig};
use weir_store::{LanePart, Options, RealDisk, Store};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

struct Urls {
    domains: u64,
}

impl StartSource for Urls {
    fn fill(&self, from: u64, count: usize, out: &mut LinkBatch) {
        use std::fmt::Write;
        for number in from..from + count as u64 {
            let domain = number / 50 % self.domains;
            write!(out.urls, "http://www.site{domain}.example/properties/property_{number:06}.html").expect("memory");
            let end = out.urls.len() as u32;
            out.links.push(weir_model::Link { end, target: TargetId(0), priority: 0, extra: None });
        }
    }
}

/// User and system time of this process, all threads.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux tells the time of a process");
    let after = stat.rsplit(')').next().expect("a name in brackets");
    let fields: Vec<f64> = after.split_whitespace().filter_map(|field| field.parse().ok()).collect();
    (fields[10] + fields[11]) / 100.0
}

/// CPU seconds of each living thread, by name: `engine_speed` is the engine, `timely:work-N` are workers, `journal` is the journal.
fn threads() -> String {
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else { return String::new() };
    let told = tasks.flatten().filter_map(|task| {
        let stat = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        let name = std::fs::read_to_string(task.path().join("comm")).ok()?;
        let seconds = stat.split(' ').next()?.parse::<f64>().ok()? / 1e9;
        Some(format!("{} {seconds:.2} s", name.trim()))
    });
    told.collect::<Vec<_>>().join(", ")
}

#[allow(clippy::disallowed_methods, reason = "a benchmark measures")]
fn round(workers: usize, urls: u64, domains: u64) -> (f64, f64) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let disk = Arc::new(RealDisk::create(dir.path()).expect("a folder"));
    let (mut store, _) = Store::open(disk, Options::new(1)).expect("a fresh state");
    let lanes = store.allocate_lanes(workers + 1);
    let frontier = Arc::new(FrontierConfig::default());
    let stage = Stage::new(&StageConfig { frontier, boot: 1, lanes: lanes[..workers].to_vec(), geocoding: None });
    let mut config = EngineConfig::new(lanes[workers], 1);
    config.concurrency = 20_000;
    config.start_batch = 10_000;
    let mut engine = Engine::new(stage, config);
    let job = JobId(1);
    engine.open_job(JobRun {
        spec: Arc::new(JobSpec { id: job, obey_robots: false, concurrency_per_domain: 1000, ..JobSpec::default() }),
        masks: SinkMasks::default(),
        start: Box::new(Urls { domains }),
        start_count: urls,
        start_next: 0,
        stops: Vec::new(),
        started_at: Tick(0),
        stopping: None,
        ended: None,
    });
    let mut now = Tick(1_700_000_000_000_000);
    engine.finish_replay(now);
    // The journal has a thread of its own, as in the driver.
    let (orders, inbox) = std::sync::mpsc::channel::<(u64, Vec<LaneBytes>)>();
    let (done, synced) = std::sync::mpsc::channel();
    let journal = std::thread::Builder::new().name("journal".into()).spawn(move || {
        for (group, parts) in inbox {
            let parts: Vec<LanePart<'_>> =
                parts.iter().map(|p| LanePart { lane: p.lane, offset: p.offset, bytes: &p.bytes }).collect();
            store.append_group(&parts).expect("space");
            store.sync().expect("a disk");
            if done.send(group).is_err() {
                return;
            }
        }
    });
    let journal = journal.expect("a thread");
    let (cpu, wall) = (cpu_seconds(), Instant::now());
    let mut receipts = 0;
    loop {
        now = now.after_us(5_000);
        for action in engine.advance(now) {
            match action {
                Action::Append { group, parts } => orders.send((group, parts)).expect("the journal runs"),
                Action::Dispatch(message) => {
                    receipts += 1;
                    let reports = message.releases.into_iter().map(|release| Report {
                        release: release.id,
                        outcome: FetchOutcome::Response { status: 200 },
                        started_at: now,
                        answered_at: now,
                        ended_at: now,
                        wire_bytes: 2000,
                        body_bytes: 2000,
                        items: Vec::new(),
                        links: LinkBatch::default(),
                        notes: Vec::new(),
                    });
                    engine.feed(Input::Reports { receipt: ReceiptId(receipts), reports: reports.collect() });
                }
                Action::Settle(_) => {}
                Action::Load(_) | Action::Write(_) | Action::Geocode(_) => {
                    unreachable!("nothing is cold and there are no items")
                }
            }
        }
        for group in synced.try_iter() {
            engine.feed(Input::Synced { group });
        }
        if engine.is_over(job) == Some(Outcome::Finished) {
            break;
        }
    }
    println!("  {}", threads());
    drop(orders);
    journal.join().expect("the journal ended well");
    assert_eq!(engine.figures(job).urls.delivered, urls);
    (cpu_seconds() - cpu, wall.elapsed().as_secs_f64())
}

fn main() {
    let mut args = std::env::args().skip(1).map(|text| text.parse::<u64>().expect("a number"));
    let (urls, domains, rounds) =
        (args.next().unwrap_or(1_000_000), args.next().unwrap_or(1000), args.next().unwrap_or(3));
    let only = args.next().map(|workers| workers as usize);
    for at in 0..rounds {
        let mut walls = Vec::new();
        for workers in only.map_or(vec![1, 2], |workers| vec![workers]) {
            let (cpu, wall) = round(workers, urls, domains);
            walls.push(wall);
            println!(
                "round {at}, {workers} workers: {:.0} requests a CPU second, {:.0} a second",
                urls as f64 / cpu,
                urls as f64 / wall
            );
        }
        if let [one, two] = walls[..] {
            println!("round {at}: 2 workers do {:.2} times the rate of 1", one / two);
        }
    }
}
