//! Items a second into feeds on this machine's disk: `cargo run --release -p weir-feed --example feed_speed [FOLDER]`.

use std::sync::Arc;
use std::time::Instant;
use weir_connector::{FeedFormat, Sink, contract};
use weir_feed::{Existing, FeedSink};
use weir_model::{Item, Outcome};

#[allow(clippy::disallowed_methods)] // a measurement reads the clock
fn now() -> Instant {
    Instant::now()
}

fn main() -> Result<(), weir_connector::SinkError> {
    let folder = std::env::args().nth(1).map_or_else(std::env::temp_dir, Into::into);
    let items: Vec<Arc<Item>> = (0..300_000u32).map(|id| contract::item(id, 1, f64::from(id) + 0.25)).collect();
    for (name, format) in
        [("rate.jsonl", FeedFormat::JsonLines), ("rate.json", FeedFormat::Json), ("rate.csv", FeedFormat::Csv)]
    {
        let path = folder.join(name);
        let mut sink = FeedSink::new(&path, format).with_existing(Existing::Overwrite);
        sink.open(&contract::job(None))?;
        let start = now();
        let mut outcomes = Vec::new();
        for batch in items.chunks(sink.describe().batch.items_max) {
            contract::wait(sink.write(batch, &mut outcomes))?;
        }
        let seconds = start.elapsed().as_secs_f64();
        contract::wait(sink.finish(Outcome::Finished, true))?;
        let bytes = std::fs::metadata(&path).map_or(0, |metadata| metadata.len());
        println!(
            "{name}: {:.0} items a second, {:.0} MB/s, each batch synced",
            items.len() as f64 / seconds,
            bytes as f64 / 1e6 / seconds
        );
        let _ = std::fs::remove_file(&path);
    }
    Ok(())
}
