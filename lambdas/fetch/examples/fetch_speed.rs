//! How many small pages one thread fetches per CPU second over kept-alive connections, beside loops that do less.
//!
//! `cargo run --release -p weir-fetch --example fetch_speed -- [weir|hyper|socket|all] [REQUESTS] [CONCURRENCY] [BODY_BYTES]`
//!
//! The server is a thread of this process that answers every request with the same bytes. `hyper` is hyper's own connections
//! without pool, guard, limits and decoding; `socket` writes and reads the same bytes without HTTP: what the kernel costs.
//! CPU is that of the fetching thread alone, from `/proc/thread-self/schedstat` (Linux).

use http_body_util::BodyExt;
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use weir_fetch::{Answer, ByteBudget, FetchSettings, Fetcher, Guard};
use weir_model::{Clock, JobId, Release, ReleaseId, Request, Tick};

#[allow(clippy::disallowed_methods, reason = "a measurement reads clocks")]
fn now() -> Instant {
    Instant::now()
}

struct Monotonic(Instant);

impl Clock for Monotonic {
    fn now(&self) -> Tick {
        Tick(1).after(self.0.elapsed())
    }
}

#[derive(Clone, Copy)]
struct Load {
    port: u16,
    requests: usize,
    concurrency: usize,
    answer_bytes: usize,
}

fn answer(body_bytes: usize) -> Vec<u8> {
    let line = "<li itemtype=\"http://schema.org/Product\"><a itemprop=\"url\" href=\"property_000001.html\">a flat</a></li>\n";
    let body = line.repeat(body_bytes / line.len() + 1);
    let body = &body[..body_bytes];
    format!(
        "HTTP/1.1 200 OK\r\nServer: practice\r\nDate: Sat, 21 Nov 2026 06:00:00 GMT\r\nContent-Type: text/html; charset=utf-8\r\n\
         ETag: \"0123456789abcdef\"\r\nContent-Length: {body_bytes}\r\n\r\n{body}"
    )
    .into_bytes()
}

async fn serve(listener: TcpListener, answer: Rc<[u8]>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let answer = Rc::clone(&answer);
        tokio::task::spawn_local(async move {
            stream.set_nodelay(true).expect("a socket option");
            let mut seen = Vec::with_capacity(4096);
            while stream.read_buf(&mut seen).await.is_ok_and(|count| count > 0) {
                if seen.ends_with(b"\r\n\r\n") {
                    seen.clear();
                    if stream.write_all(&answer).await.is_err() {
                        return;
                    }
                }
            }
        });
    }
}

fn run<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    tokio::task::LocalSet::new().block_on(&runtime, future)
}

/// Nanoseconds this thread has been on a CPU.
fn cpu_ns() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    text.split_ascii_whitespace().next().and_then(|first| first.parse().ok()).expect("nanoseconds")
}

async fn weir(load: Load) {
    let settings =
        Arc::new(FetchSettings { user_agent: "speed (+mailto:speed@example.com)".into(), ..FetchSettings::default() });
    let mut guard = Guard::new();
    guard.allow_host("localhost");
    let clock = Arc::new(Monotonic(now()));
    let fetcher = Rc::new(Fetcher::new(settings, Arc::new(guard), Arc::new(ByteBudget::new(64 << 20)), clock));
    let left = Rc::new(Cell::new(load.requests));
    let tasks: Vec<_> = (0..load.concurrency)
        .map(|task| {
            let (fetcher, left) = (Rc::clone(&fetcher), Rc::clone(&left));
            tokio::task::spawn_local(async move {
                while left.get() > 0 {
                    left.set(left.get() - 1);
                    let url =
                        format!("http://localhost:{}/properties/property_{:06}.html", load.port, left.get() + task);
                    let request = Request { url: url.into(), ..Request::default() };
                    let id = ReleaseId(left.get() as u64);
                    let release = Release { id, job: JobId(1), not_before: Tick(0), not_after: Tick::NEVER, request };
                    let fetched = fetcher.fetch(&release).await;
                    let Answer::Response(response) = fetched.answer else { panic!("{:?}", fetched.answer) };
                    assert_eq!(response.status, 200);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("a task");
    }
}

async fn bare_hyper(load: Load) {
    let left = Rc::new(Cell::new(load.requests));
    let tasks: Vec<_> = (0..load.concurrency)
        .map(|_| {
            let left = Rc::clone(&left);
            tokio::task::spawn_local(async move {
                let stream = TcpStream::connect(("127.0.0.1", load.port)).await.expect("a connection");
                stream.set_nodelay(true).expect("a socket option");
                let io = hyper_util::rt::TokioIo::new(stream);
                let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.expect("a handshake");
                tokio::task::spawn_local(connection);
                while left.get() > 0 {
                    left.set(left.get() - 1);
                    let request = http::Request::get(format!("/properties/property_{:06}.html", left.get()))
                        .header("host", format!("localhost:{}", load.port))
                        .header("user-agent", "speed (+mailto:speed@example.com)")
                        .header("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")
                        .header("accept-language", "en")
                        .header("accept-encoding", "gzip, deflate, br, zstd")
                        .body(http_body_util::Empty::<bytes::Bytes>::new())
                        .expect("a request");
                    sender.ready().await.expect("ready");
                    let answer = sender.send_request(request).await.expect("an answer");
                    answer.into_body().collect().await.expect("a body").to_bytes();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("a task");
    }
}

async fn bare_socket(load: Load) {
    let left = Rc::new(Cell::new(load.requests));
    let request: Rc<[u8]> = Rc::from(
        format!(
            "GET /properties/property_000000.html HTTP/1.1\r\nhost: localhost:{}\r\n{:0>180}\r\n\r\n",
            load.port, "x: y"
        )
        .into_bytes(),
    );
    let tasks: Vec<_> = (0..load.concurrency)
        .map(|_| {
            let (left, request) = (Rc::clone(&left), Rc::clone(&request));
            tokio::task::spawn_local(async move {
                let mut stream = TcpStream::connect(("127.0.0.1", load.port)).await.expect("a connection");
                stream.set_nodelay(true).expect("a socket option");
                let mut seen = Vec::with_capacity(64 << 10);
                while left.get() > 0 {
                    left.set(left.get() - 1);
                    stream.write_all(&request).await.expect("written");
                    seen.clear();
                    while seen.len() < load.answer_bytes {
                        stream.read_buf(&mut seen).await.expect("read");
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("a task");
    }
}

fn main() {
    let mut words = std::env::args().skip(1);
    let what = words.next().unwrap_or_else(|| "all".into());
    let mut number = |default: usize| words.next().map_or(default, |word| word.parse().expect("a number"));
    let (requests, concurrency, body_bytes) = (number(200_000), number(100), number(2_000));
    let bytes = answer(body_bytes);
    let answer_bytes = bytes.len();
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        run(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            tell.send(listener.local_addr().expect("an address").port()).expect("somebody listens");
            serve(listener, bytes.into()).await;
        });
    });
    let load = Load { port: told.recv().expect("the server is up"), requests, concurrency, answer_bytes };
    println!("{requests} requests, {concurrency} at once, {body_bytes} bytes a body");
    for round in 0..3 {
        for name in ["socket", "hyper", "weir"] {
            if what != name && what != "all" {
                continue;
            }
            let (cpu, wall) = (cpu_ns(), now());
            match name {
                "socket" => run(bare_socket(load)),
                "hyper" => run(bare_hyper(load)),
                _ => run(weir(load)),
            }
            let (cpu, wall) = ((cpu_ns() - cpu) as f64 / 1e9, wall.elapsed().as_secs_f64());
            println!(
                "round {round} {name:>6}: {:6.2} us of CPU a request, {:7.0} a CPU second, {:7.0} a second",
                cpu * 1e6 / requests as f64,
                requests as f64 / cpu,
                requests as f64 / wall
            );
        }
    }
}
