//! How many pages the site serves in a second of its own CPU time:
//! `cargo run --release -p weir-site --example site_speed -- [CONNECTIONS] [REQUESTS]`.
//!
//! The site runs on one thread of its own, whose CPU time is read before and after from `/proc`; clients on another
//! thread keep their connections alive and wait for each answer before they ask again.

use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use weir_site::{Site, SiteOptions};

fn main() -> io::Result<()> {
    let mut numbers = std::env::args().skip(1).filter_map(|text| text.parse::<usize>().ok());
    let (connections, requests) = (numbers.next().unwrap_or(64), numbers.next().unwrap_or(300_000));
    let site = Site::spawn(SiteOptions::default())?;
    let kinds: [(&str, &str, usize); 4] = [
        ("listing", "/properties/property_", 1),
        ("listing, 31 kB", "/large/properties/property_", 4),
        ("index", "/properties/index_", 4),
        ("304", "/properties/property_", 1),
    ];
    println!("{connections} connections, one thread");
    drive(site.port(), kinds[0].1, connections, 1_000, false)?;
    for (name, path, divisor) in kinds {
        let count = requests / divisor;
        let before = site_cpu_seconds()?;
        let bytes = drive(site.port(), path, connections, count, name == "304")?;
        let seconds = site_cpu_seconds()? - before;
        let (rate, size) = (count as f64 / seconds, bytes as f64 / count as f64);
        println!("{name}: {count} answers of {size:.0} bytes, {seconds:.2} CPU seconds, {rate:.0} a CPU second");
    }
    Ok(())
}

/// Asks `count` times over `connections`; returns the bytes that came back.
fn drive(port: u16, path: &'static str, connections: usize, count: usize, conditional: bool) -> io::Result<u64> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async move {
        let mut clients = tokio::task::JoinSet::new();
        for client in 0..connections {
            let share = count / connections + usize::from(client < count % connections);
            clients.spawn(ask(port, path, client, share, conditional));
        }
        let mut bytes = 0;
        while let Some(done) = clients.join_next().await {
            bytes += done??;
        }
        Ok(bytes)
    })
}

async fn ask(port: u16, path: &str, client: usize, count: usize, conditional: bool) -> io::Result<u64> {
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await?;
    stream.set_nodelay(true)?;
    let (mut answer, mut bytes, mut condition) = (vec![0u8; 256 << 10], 0u64, String::new());
    for nth in 0..count {
        let number = if conditional { client } else { (client * 997 + nth) % 1_600 };
        let number = if path.ends_with("index_") { format!("{number:05}") } else { format!("{number:06}") };
        let request = format!(
            "GET {path}{number}.html HTTP/1.1\r\nHost: localhost:{port}\r\nUser-Agent: site_speed\r\nAccept: */*\r\n{condition}\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut filled = 0;
        loop {
            filled += stream.read(&mut answer[filled..]).await?;
            let Some(end) = answer[..filled].windows(4).position(|four| four == b"\r\n\r\n") else { continue };
            let head = std::str::from_utf8(&answer[..end]).map_err(io::Error::other)?;
            let value = |name: &str| head.split("\r\n").find_map(|line| line.strip_prefix(name));
            let length: usize = value("content-length: ").map_or(Ok(0), str::parse).map_err(io::Error::other)?;
            if conditional && let Some(tag) = value("etag: ") {
                condition = format!("If-None-Match: {tag}\r\n");
            }
            if filled == end + 4 + length {
                break;
            }
        }
        bytes += filled as u64;
    }
    Ok(bytes)
}

/// User and system time of the site's thread, in seconds.
fn site_cpu_seconds() -> io::Result<f64> {
    for task in std::fs::read_dir("/proc/self/task")? {
        let folder = task?.path();
        if std::fs::read_to_string(folder.join("comm"))?.trim() == "weir-site" {
            // The first figure of `schedstat` is the time on a CPU, in nanoseconds.
            let schedstat = std::fs::read_to_string(folder.join("schedstat"))?;
            let nanos = schedstat.split_whitespace().next().and_then(|text| text.parse::<f64>().ok());
            return nanos.map(|nanos| nanos / 1e9).ok_or_else(|| io::Error::other("no schedstat"));
        }
    }
    Err(io::Error::other("the site's thread is not there"))
}
