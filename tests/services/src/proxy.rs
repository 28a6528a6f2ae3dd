//! A TCP proxy whose faults are switched while connections live.
//!
//! Decides what a client of a server sees when the network or the server fails. Must not know any protocol. A fault takes
//! effect on the next bytes, on connections that are open as well. Counts what passed, so that a test waits for "the
//! request is there" instead of for a time.

mod link;

use anyhow::{Context, Result};
use link::Link;
use socket2::{Domain, SockAddr, Socket, Type};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

/// What a [`FaultProxy`] does to connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing: bytes pass both ways.
    None,
    /// Nobody listens: connecting is refused, and open connections are reset.
    Refuse,
    /// A connection is reset after this many bytes of answer from now on; 0 resets in place of the first byte of answer.
    CutAfter(u64),
    /// Every piece of an answer (up to 64 KiB) comes this much later.
    Delay(Duration),
    /// Requests are forwarded and answers swallowed: the client times out after the server has done the work. A connection
    /// that lost an answer is reset when the fault ends.
    BlackHole,
    /// [`Fault::BlackHole`] from the first piece of a request on that contains these bytes, that piece's answer included.
    BlackHoleFrom(Vec<u8>),
    /// The first bytes of a request are answered with these and the connection is closed; nothing is forwarded.
    Answer(Vec<u8>),
}

/// What passed a [`FaultProxy`] since it was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Connections accepted.
    pub connections: u64,
    /// Bytes forwarded to the server.
    pub request_bytes: u64,
    /// Bytes of answer given to the client.
    pub answer_bytes: u64,
    /// Bytes of answer that [`Fault::BlackHole`] swallowed: more than 0 means that the server has answered.
    pub swallowed_bytes: u64,
}

/// A proxy on a free port of 127.0.0.1 in front of a server. Dropped, it closes every connection and its threads end.
#[derive(Debug)]
pub struct FaultProxy {
    shared: Arc<Shared>,
    port: u16,
    door: Option<Door>,
}

/// The port is always ours: either threads accept on it, or a socket that does not listen keeps others away.
#[derive(Debug)]
enum Door {
    Open(JoinHandle<()>),
    Closed(Socket),
}

#[derive(Debug)]
struct Shared {
    target: SocketAddr,
    state: Mutex<State>,
    closing: AtomicBool,
    connections: AtomicU64,
    request_bytes: AtomicU64,
    answer_bytes: AtomicU64,
    swallowed_bytes: AtomicU64,
}

#[derive(Debug)]
struct State {
    fault: Fault,
    /// Counts the switches, so that a connection knows when to count its bytes of answer anew.
    switch: u64,
    links: Vec<Weak<Link>>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics under this lock")
    }
}

impl FaultProxy {
    /// A proxy in front of `target` (`127.0.0.1:6379`), without a fault.
    ///
    /// # Errors
    /// A target that is no address, or no free port.
    pub fn new(target: impl ToSocketAddrs) -> Result<Self> {
        let target = target
            .to_socket_addrs()
            .context("the target is no address")?
            .next()
            .context("the target has no address")?;
        let state = State { fault: Fault::None, switch: 0, links: Vec::new() };
        let shared = Arc::new(Shared {
            target,
            state: Mutex::new(state),
            closing: AtomicBool::new(false),
            connections: AtomicU64::new(0),
            request_bytes: AtomicU64::new(0),
            answer_bytes: AtomicU64::new(0),
            swallowed_bytes: AtomicU64::new(0),
        });
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port on 127.0.0.1")?;
        let port = listener.local_addr()?.port();
        let door = Some(open(&shared, listener));
        Ok(Self { shared, port, door })
    }

    /// The port that clients connect to.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address that clients connect to.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// `url` of the server behind, with this proxy in its place.
    ///
    /// # Errors
    /// What is no URL with a host.
    pub fn in_place_of(&self, url: &str) -> Result<String> {
        let mut url = url::Url::parse(url).with_context(|| format!("{url:?} is no URL"))?;
        url.set_host(Some("127.0.0.1")).with_context(|| format!("{url} has no host"))?;
        url.set_port(Some(self.port)).ok().with_context(|| format!("{url} can have no port"))?;
        Ok(url.into())
    }

    /// Switches to a fault, or back to [`Fault::None`]; in effect when this returns.
    ///
    /// # Errors
    /// The port cannot be closed or opened.
    pub fn set(&mut self, fault: Fault) -> Result<()> {
        let refuse = fault == Fault::Refuse;
        let swallowing = matches!(fault, Fault::BlackHole | Fault::BlackHoleFrom(_));
        {
            let mut state = self.shared.state();
            state.fault = fault;
            state.switch += 1;
            state.links.retain(|link| {
                let Some(link) = link.upgrade() else { return false };
                let cut = refuse || (!swallowing && link.lost_an_answer());
                if cut {
                    link.reset();
                }
                !cut
            });
        }
        match (refuse, self.door.take()) {
            (true, Some(Door::Open(accepting))) => {
                self.close(accepting);
                self.door = Some(Door::Closed(placeholder(self.port)?));
                self.reset_all(); // those accepted while the door was closing
            }
            (false, Some(Door::Closed(socket))) => {
                socket.listen(128).context("cannot listen again")?;
                self.door = Some(open(&self.shared, socket.into()));
            }
            (_, door) => self.door = door,
        }
        Ok(())
    }

    /// What passed until now.
    #[must_use]
    pub fn seen(&self) -> Seen {
        let load = |counter: &AtomicU64| counter.load(Ordering::Acquire);
        Seen {
            connections: load(&self.shared.connections),
            request_bytes: load(&self.shared.request_bytes),
            answer_bytes: load(&self.shared.answer_bytes),
            swallowed_bytes: load(&self.shared.swallowed_bytes),
        }
    }

    /// Waits until `enough` of what was seen; `None` when `limit` has passed.
    pub fn wait(&self, limit: Duration, enough: impl Fn(&Seen) -> bool) -> Option<Seen> {
        crate::within(limit, || Some(self.seen()).filter(&enough))
    }

    fn reset_all(&self) {
        self.shared.state().links.drain(..).filter_map(|link| link.upgrade()).for_each(|link| link.reset());
    }

    fn close(&self, accepting: JoinHandle<()>) {
        self.shared.closing.store(true, Ordering::Release);
        let _ = TcpStream::connect(self.address()); // wakes `accept`; refused means that it has ended
        let _ = accepting.join();
        self.shared.closing.store(false, Ordering::Release);
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        if let Some(Door::Open(accepting)) = self.door.take() {
            self.close(accepting);
        }
        self.reset_all();
    }
}

/// Accepts until `closing`; the listener is closed when the thread has ended.
fn open(shared: &Arc<Shared>, listener: TcpListener) -> Door {
    let shared = Arc::clone(shared);
    Door::Open(std::thread::spawn(move || {
        for client in listener.incoming() {
            if shared.closing.load(Ordering::Acquire) {
                return;
            }
            if let Ok(client) = client {
                shared.connections.fetch_add(1, Ordering::AcqRel);
                link::start(&shared, client);
            }
        }
    }))
}

/// A socket bound to the port that does not listen: connecting is refused, and nobody else gets the port.
fn placeholder(port: u16) -> Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket
        .bind(&SockAddr::from(SocketAddr::from((Ipv4Addr::LOCALHOST, port))))
        .context("the proxy's port was taken")?;
    Ok(socket)
}
