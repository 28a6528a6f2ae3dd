//! Health and metrics on loopback: `/healthz` for whoever starts processes again, `/metrics` for Prometheus.
//!
//! Healthy means that the loop has turned lately. One connection at a time, small requests only, nothing else is served.

use crate::error::CrawlError;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use weir_model::{Clock, Tick};

/// A loop that has not turned for so long is stuck: its longest wait is a write of the journal.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// A client has so long for its request.
const PATIENCE: Duration = Duration::from_secs(2);
const REQUEST_BYTES_MAX: u64 = 8 << 10;

#[derive(Default)]
struct Told {
    turned_at: Tick,
    metrics: String,
}

/// The stage's end.
#[derive(Clone, Default)]
pub(super) struct Health {
    told: Arc<Mutex<Told>>,
}

impl Health {
    /// Serves on a port of loopback.
    pub fn serve(&self, port: u16, clock: Arc<dyn Clock>) -> Result<(), CrawlError> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(|error| {
            CrawlError::Usage(format!(
                "health on 127.0.0.1:{port}: {error}; name another port by WEIR_HEALTH_PORT or --health-port"
            ))
        })?;
        let told = Arc::clone(&self.told);
        std::thread::Builder::new()
            .name("health".into())
            .spawn(move || {
                for stream in listener.incoming().flatten() {
                    // A client that went away is its own matter.
                    let _ = answer(&stream, &told, &*clock);
                }
            })
            .map_err(|error| CrawlError::System { what: "the thread for health", error })?;
        Ok(())
    }

    pub fn turned(&self, now: Tick) {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).turned_at = now;
    }

    pub fn tell(&self, metrics: String) {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).metrics = metrics;
    }
}

fn answer(stream: &TcpStream, told: &Mutex<Told>, clock: &dyn Clock) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(std::io::Read::take(stream, REQUEST_BYTES_MAX));
    let mut request = String::new();
    reader.read_line(&mut request)?;
    let mut line = String::new();
    while reader.read_line(&mut line)? > 2 {
        line.clear();
    }
    let (turned_at, metrics) = {
        let told = told.lock().unwrap_or_else(PoisonError::into_inner);
        (told.turned_at, told.metrics.clone())
    };
    let silence = clock.now().since(turned_at);
    let (status, body) = match request.split(' ').nth(1) {
        Some("/healthz") if silence <= SILENCE_MAX => ("200 OK", "ok\n".to_owned()),
        Some("/healthz") => {
            ("503 Service Unavailable", format!("the loop has not turned for {} s\n", silence.as_secs()))
        }
        Some("/metrics") => ("200 OK", metrics),
        _ => ("404 Not Found", "here are /healthz and /metrics\n".to_owned()),
    };
    let length = body.len();
    let mut stream = stream;
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}
