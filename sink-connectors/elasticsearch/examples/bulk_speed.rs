//! Documents a second and CPU seconds for 50,000 listings:
//! `cargo run --release -p weir-elasticsearch --example bulk_speed -- URL [ITEMS]`.

use std::sync::Arc;
use std::time::Instant;
use weir_connector::{ItemOutcome, Sink, contract};
use weir_elasticsearch::ElasticsearchSink;
use weir_model::{Item, ItemId, Outcome};

#[allow(clippy::disallowed_methods)] // a measurement reads the clock
fn now() -> Instant {
    Instant::now()
}

/// User and system time of this process, all threads, in seconds (proc_pid_stat(5), fields 14 and 15, 100 ticks a second).
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks = |at: usize| fields.get(at).and_then(|ticks| ticks.parse::<f64>().ok()).unwrap_or_default();
    (ticks(11) + ticks(12)) / 100.0
}

fn main() -> Result<(), weir_connector::SinkError> {
    let url = std::env::args().nth(1).unwrap_or_default();
    let count = std::env::args().nth(2).and_then(|count| count.parse().ok()).unwrap_or(50_000u32);
    let mut sink = ElasticsearchSink::from_url(&url)?;
    sink.open(&contract::job(None))?;
    let batch = sink.describe().batch.items_max;
    for (version, what) in [(1, "new"), (2, "newer"), (2, "unchanged")] {
        // Ids as they come: spread over the whole range.
        let items: Vec<Arc<Item>> = (0..count)
            .map(|id| {
                let spread = ItemId(u128::from(id).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835));
                Arc::new(Item { id: spread, ..(*contract::item(id, version, f64::from(id))).clone() })
            })
            .collect();
        let (start, cpu) = (now(), cpu_seconds());
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a thread's runtime");
        let (mut outcomes, mut stored) = (Vec::new(), 0);
        for batch in items.chunks(batch) {
            runtime.block_on(sink.write(batch, &mut outcomes))?;
            stored += outcomes.iter().filter(|outcome| **outcome == ItemOutcome::Stored).count();
        }
        let (seconds, cpu) = (start.elapsed().as_secs_f64(), cpu_seconds() - cpu);
        println!(
            "{count} {what} items, {stored} stored: {:.0} a second, {cpu:.2} CPU seconds of this process, {:.3} for 10,000",
            f64::from(count) / seconds,
            cpu * 10_000.0 / f64::from(count)
        );
    }
    contract::wait(sink.finish(Outcome::Finished, true))
}
