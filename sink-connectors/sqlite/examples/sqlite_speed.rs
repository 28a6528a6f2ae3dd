//! Items a second into a database on this machine's disk: `cargo run --release -p weir-sqlite --example sqlite_speed [FILE [ITEMS]]`.

use std::sync::Arc;
use std::time::Instant;
use weir_connector::{Sink, contract};
use weir_model::{Item, Outcome};
use weir_sqlite::SqliteSink;

#[allow(clippy::disallowed_methods)] // a measurement reads the clock
fn now() -> Instant {
    Instant::now()
}

fn main() -> Result<(), weir_connector::SinkError> {
    let path = std::env::args().nth(1).map_or_else(|| std::env::temp_dir().join("weir-rate.db"), Into::into);
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{suffix}", path.display()));
    }
    let mut sink = SqliteSink::new(&path);
    sink.open(&contract::job(None))?;
    let count = std::env::args().nth(2).and_then(|count| count.parse().ok()).unwrap_or(50_000u32);
    // First without places, then the same items with half of them placed: what the R*Tree costs.
    for (version, what, places) in
        [(1, "new", false), (2, "newer", false), (3, "newly placed", true), (4, "newer, placed", true)]
    {
        // Ids as they come: spread over the whole range.
        let items: Vec<Arc<Item>> = (0..count)
            .map(|id| {
                let item = contract::item(id, version, 1.0);
                let spread = weir_model::ItemId(u128::from(id).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835));
                let mut values = item.values.clone();
                if !places {
                    values[5] = weir_model::Value::Null;
                }
                Arc::new(Item { id: spread, values, ..(*item).clone() })
            })
            .collect();
        let start = now();
        let mut outcomes = Vec::new();
        for batch in items.chunks(sink.describe().batch.items_max) {
            contract::wait(sink.write(batch, &mut outcomes))?;
        }
        println!("{what} items: {:.0} a second", items.len() as f64 / start.elapsed().as_secs_f64());
    }
    contract::wait(sink.finish(Outcome::Finished, true))?;
    let _ = std::fs::remove_file(&path);
    Ok(())
}
