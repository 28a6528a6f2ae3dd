//! Groups and megabytes a second on this machine's disk: `cargo run --release -p weir-store --example throughput [DIR]`.

use std::sync::Arc;
use std::time::Instant;
use weir_store::{Addr, LanePart, Options, RealDisk, Replayed, Store, StoreError};

#[allow(clippy::disallowed_methods)] // a measurement reads the clock
fn now() -> Instant {
    Instant::now()
}

fn main() -> Result<(), StoreError> {
    let dir =
        std::env::args().nth(1).unwrap_or_else(|| std::env::temp_dir().join("weir-throughput").display().to_string());
    let _ = std::fs::remove_dir_all(&dir);
    let disk = Arc::new(RealDisk::create(&dir)?);
    let (mut store, _) = Store::open(disk.clone(), Options::new(1))?;
    let lane = store.allocate_lanes(1)[0];
    let mut offset = 0u64;
    let mut addrs = Vec::new();
    for (name, groups, records) in
        [("groups of 10,000 records of 100 bytes", 200u64, 10_000usize), ("groups of 10 records", 2_000, 10)]
    {
        let mut part = Vec::new();
        for at in 0..records {
            addrs.push(Addr::new(lane, offset + part.len() as u64));
            part.push(99);
            part.extend(std::iter::repeat_n(at as u8, 99));
        }
        let start = now();
        for _ in 0..groups {
            store.append_group(&[LanePart { lane, offset, bytes: &part }])?;
            store.sync()?;
            offset += part.len() as u64;
        }
        let seconds = start.elapsed().as_secs_f64();
        let mb = (groups as usize * part.len()) as f64 / 1e6;
        println!(
            "{name}: {:.0} groups/s, {:.0} records/s, {:.0} MB/s, each synced",
            groups as f64 / seconds,
            (groups as usize * records) as f64 / seconds,
            mb / seconds
        );
    }
    let start = now();
    let mut writer = store.begin_snapshot()?;
    let mut seen = 0usize;
    store.read_many(&addrs, &mut |_, bytes| seen += bytes.len())?;
    println!(
        "{} records read by address: {:.0} records/s",
        addrs.len(),
        addrs.len() as f64 / start.elapsed().as_secs_f64()
    );
    let start = now();
    writer.section("slot 0")?;
    let chunk = vec![7u8; 1 << 20];
    for _ in 0..200 {
        writer.write(&chunk)?;
    }
    drop(writer);
    println!("snapshot written: {:.0} MB/s", 209.7 / start.elapsed().as_secs_f64());
    store.close()?;
    let start = now();
    let (_, mut recovery) = Store::open(disk, Options::new(1))?;
    let opened = start.elapsed().as_secs_f64();
    let mut records = 0u64;
    recovery.for_each(&mut |event| {
        records += u64::from(matches!(event, Replayed::Record { .. }));
        Ok(())
    })?;
    println!("opened in {opened:.3} s, {records} records replayed in {:.3} s in all", start.elapsed().as_secs_f64());
    let _ = std::fs::remove_dir_all(&dir);
    Ok(())
}
