//! The frontier through the real stage, engine and journal: requests canonicalised, fingerprinted, admitted, released and
//! settled a CPU second, each group synced as DESIGN.md section 2 says, at 1 and 2 workers.
//!
//! `cargo run --release -p weir-driver --example engine_speed -- [URLs] [domains] [rounds] [workers]` (without the last: 1 and 2, compared)

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use weir_driver::{Action, Engine, EngineConfig, Input, JobRun, StartSource};
use weir_frontier::{Addr, FrontierConfig, JobSpec};
use weir_model::{FetchMessage, FetchOutcome, JobId, LinkBatch, Outcome, ReceiptId, ReleaseId, Report, TargetId, Tick};
use weir_stage::{LaneBytes, SinkMasks, Stage, StageConfig};
use weir_store::{LanePart, Options, RealDisk, Store};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What the journal is asked for.
enum Order {
    Append(u64, Vec<LaneBytes>),
    Load(Vec<(usize, Addr)>),
}

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

/// A page of 2,000 bytes without items and links.
fn answer(release: ReleaseId, now: Tick) -> Report {
    Report {
        release,
        outcome: FetchOutcome::Response { status: 200 },
        started_at: now,
        answered_at: now,
        ended_at: now,
        wire_bytes: 2000,
        body_bytes: 2000,
        items: Vec::new(),
        links: LinkBatch::default(),
        notes: Vec::new(),
    }
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
        pieces: Vec::new(),
        header: None,
    });
    let mut now = Tick(1_700_000_000_000_000);
    engine.finish_replay(now);
    // The journal has a thread of its own, as in the driver.
    let (orders, inbox) = std::sync::mpsc::channel::<Order>();
    let (done, back) = std::sync::mpsc::channel::<Vec<Input>>();
    // Requests are answered by another thread, too, as in the driver.
    let (requests, released) = std::sync::mpsc::channel::<(Tick, FetchMessage)>();
    let answered = done.clone();
    let fetcher = std::thread::Builder::new().name("fetcher".into()).spawn(move || {
        for (receipt, (now, message)) in (1..).zip(released) {
            let reports = message.releases.into_iter().map(|release| answer(release.id, now)).collect();
            if answered.send(vec![Input::Reports { receipt: ReceiptId(receipt), reports }]).is_err() {
                return;
            }
        }
    });
    let fetcher = fetcher.expect("a thread");
    let journal = std::thread::Builder::new().name("journal".into()).spawn(move || {
        for order in inbox {
            let told = match order {
                Order::Append(group, parts) => {
                    let parts: Vec<LanePart<'_>> =
                        parts.iter().map(|p| LanePart { lane: p.lane, offset: p.offset, bytes: &p.bytes }).collect();
                    store.append_group(&parts).expect("space");
                    store.sync().expect("a disk");
                    vec![Input::Synced { group }]
                }
                Order::Load(wanted) => {
                    let workers: HashMap<u64, usize> = wanted.iter().map(|(worker, addr)| (addr.0, *worker)).collect();
                    let addrs: Vec<_> = wanted.iter().map(|(_, addr)| weir_store::Addr(addr.0)).collect();
                    let mut found = Vec::new();
                    let mut keep = |addr: weir_store::Addr, record: &[u8]| {
                        let worker = workers[&addr.0];
                        found.push(Input::Loaded { worker, addr: Addr(addr.0), record: record.to_vec() });
                    };
                    store.read_many(&addrs, &mut keep).expect("what was appended");
                    found
                }
            };
            if done.send(told).is_err() {
                return;
            }
        }
    });
    let journal = journal.expect("a thread");
    let (cpu, wall) = (cpu_seconds(), Instant::now());
    let mut loads = 0;
    loop {
        now = now.after_us(5_000);
        for action in engine.advance(now) {
            match action {
                Action::Append { group, parts } => orders.send(Order::Append(group, parts)).expect("the journal runs"),
                Action::Load(wanted) => {
                    loads += wanted.len();
                    orders.send(Order::Load(wanted)).expect("the journal runs");
                }
                Action::Dispatch(message) => requests.send((now, message)).expect("the fetcher runs"),
                Action::Settle(_) | Action::Letters(_) => {}
                Action::Write(_) | Action::Geocode(_) | Action::Compute(_) | Action::HandOn(_) => {
                    unreachable!("there are no items and no other stages")
                }
            }
        }
        // Something is always under way: a group, or a request.
        let first = back.recv_timeout(Duration::from_millis(1)).ok();
        for input in first.into_iter().chain(back.try_iter()).flatten() {
            engine.feed(input);
        }
        if engine.is_over(job) == Some(Outcome::Finished) {
            break;
        }
    }
    println!("  {}; {loads} bodies read back", threads());
    drop((orders, requests));
    fetcher.join().expect("the fetcher ended well");
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
