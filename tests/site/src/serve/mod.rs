//! The server: sockets, threads, and the site's two handles. What is answered is decided in `pages`.
//!
//! HTTP/1.1 is spoken by hand (`connection`), not by a library: half of the hostile section consists of what a correct
//! server cannot be made to send.

mod connection;
mod listen;
mod perform;

use crate::clock::Clock;
use crate::log::{Access, Log};
use crate::options::SiteOptions;
use crate::pages::World;
use crate::portal::Portal;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

/// What connections share.
#[derive(Debug)]
struct Shared {
    world: World,
    log: Log,
    clock: Clock,
    portal: Portal,
    port: u16,
}

/// Connections at a time and listener; more wait in the operating system's queue.
const CONNECTIONS_MAX: usize = 16_384;
/// How often the log's file is brought up to date.
const FLUSH_EVERY: Duration = Duration::from_millis(100);

impl Shared {
    fn new(options: &SiteOptions) -> io::Result<(Arc<Shared>, Vec<TcpListener>)> {
        let listeners = listen::bind(options.port)?;
        let port = listeners[0].local_addr()?.port();
        let shared = Shared {
            world: World::new(options),
            log: Log::new(options.log_entries_max, options.log.as_deref())?,
            clock: Clock::start(),
            portal: options.portal(),
            port,
        };
        Ok((Arc::new(shared), listeners))
    }
}

/// A site on the runtime that it was started on; it stops when this is dropped.
#[derive(Debug)]
pub struct Site {
    shared: Arc<Shared>,
    tasks: Vec<AbortHandle>,
}

/// A site on threads of its own, for synchronous code; it stops when this is dropped.
#[derive(Debug)]
pub struct SiteHandle {
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    threads: Vec<JoinHandle<()>>,
}

impl Site {
    /// Starts the site on the current tokio runtime.
    ///
    /// # Errors
    /// When the port is taken, or the log's file cannot be written.
    pub async fn start(options: SiteOptions) -> io::Result<Site> {
        let (shared, listeners) = Shared::new(&options)?;
        let mut tasks = Vec::new();
        for listener in listeners {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            tasks.push(tokio::spawn(accept(listener, Arc::clone(&shared))).abort_handle());
        }
        tasks.push(tokio::spawn(keep_flushed(Arc::clone(&shared))).abort_handle());
        Ok(Site { shared, tasks })
    }

    /// Starts the site on threads of its own (`SiteOptions::threads`).
    ///
    /// # Errors
    /// As `start`.
    pub fn spawn(options: SiteOptions) -> io::Result<SiteHandle> {
        let (shared, listeners) = Shared::new(&options)?;
        let (stop, stopped) = watch::channel(false);
        let mut handle = SiteHandle { shared, stop, threads: Vec::new() };
        for _ in 0..options.threads.max(1) {
            let listeners = listeners.iter().map(TcpListener::try_clone).collect::<io::Result<Vec<_>>>()?;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let (shared, mut stopped) = (Arc::clone(&handle.shared), stopped.clone());
            let serve = move || {
                runtime.block_on(async move {
                    let mut tasks = JoinSet::new();
                    for listener in listeners {
                        match tokio::net::TcpListener::from_std(listener) {
                            Ok(listener) => drop(tasks.spawn(accept(listener, Arc::clone(&shared)))),
                            Err(error) => eprintln!("the practice site cannot listen: {error}"),
                        }
                    }
                    tasks.spawn(keep_flushed(shared));
                    // The sender is gone when the handle is: that is a stop too.
                    let _ = stopped.wait_for(|stop| *stop).await;
                });
            };
            handle.threads.push(std::thread::Builder::new().name("weir-site".to_owned()).spawn(serve)?);
        }
        Ok(handle)
    }
}

macro_rules! both_handles {
    ($handle:ty) => {
        impl $handle {
            /// The port that it listens on, on 127.0.0.1 and (where there is one) on ::1.
            pub fn port(&self) -> u16 {
                self.shared.port
            }

            /// An address on the canonical host, `http://localhost:PORT` and `path`.
            pub fn url(&self, path: &str) -> String {
                format!("http://localhost:{}{path}", self.shared.port)
            }

            /// The generator of the canonical host's portal; `for_host` gives that of another.
            pub fn portal(&self) -> Portal {
                self.shared.portal
            }

            /// The requests so far, by arrival.
            pub fn log(&self) -> Vec<Access> {
                self.shared.log.entries()
            }

            /// How many of the oldest requests the log no longer holds (`SiteOptions::log_entries_max`).
            pub fn log_forgotten(&self) -> u64 {
                self.shared.log.forgotten()
            }

            /// Empties the log in memory.
            pub fn clear_log(&self) {
                self.shared.log.clear();
            }
        }
    };
}

both_handles!(Site);
both_handles!(SiteHandle);

impl Drop for Site {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
        self.shared.log.flush();
    }
}

impl Drop for SiteHandle {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so on stderr already.
            let _ = thread.join();
        }
        self.shared.log.flush();
    }
}

/// Accepts for ever. Connections end with this task.
async fn accept(listener: tokio::net::TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        if connections.len() >= CONNECTIONS_MAX {
            connections.join_next().await;
        }
        match listener.accept().await {
            Ok((stream, peer)) => {
                connections.spawn(connection::serve(stream, peer.port(), Arc::clone(&shared)));
            }
            // Out of file descriptors, or a client that was gone already: neither ends a server.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn keep_flushed(shared: Arc<Shared>) {
    loop {
        tokio::time::sleep(FLUSH_EVERY).await;
        shared.log.flush();
    }
}
