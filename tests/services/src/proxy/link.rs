//! One connection through the proxy: two threads, one a direction, that end when either side does.

use super::{Fault, Shared};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How much is read at once.
const PIECE_BYTES: usize = 64 * 1024;
/// How long connecting to the server may take before the client's connection is reset.
const CONNECT: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Link {
    client: TcpStream,
    server: TcpStream,
    lost: AtomicBool,
    cut: AtomicBool,
}

impl Link {
    /// Whether the client waits for bytes that were swallowed.
    pub(super) fn lost_an_answer(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }

    /// Ends both sides; the client gets a reset, not an end of file.
    pub(super) fn reset(&self) {
        self.cut.store(true, Ordering::Release);
        reset(&self.client);
        let _ = self.server.shutdown(Shutdown::Both);
    }
}

/// Makes the close of `stream` a reset, and wakes whoever reads from it.
fn reset(stream: &TcpStream) {
    let _ = socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO));
    // Reading only: a shutdown for writing would send a polite end first.
    let _ = stream.shutdown(Shutdown::Read);
}

/// Connects to the server and starts both directions.
pub(super) fn start(shared: &Arc<Shared>, client: TcpStream) {
    let shared = Arc::clone(shared);
    std::thread::spawn(move || {
        let Ok(server) = TcpStream::connect_timeout(&shared.target, CONNECT) else {
            reset(&client);
            return;
        };
        let _ = client.set_nodelay(true);
        let _ = server.set_nodelay(true);
        let link = Arc::new(Link { client, server, lost: AtomicBool::new(false), cut: AtomicBool::new(false) });
        {
            let mut state = shared.state();
            if state.fault == Fault::Refuse {
                link.reset();
                return;
            }
            state.links.retain(|other| other.strong_count() > 0);
            state.links.push(Arc::downgrade(&link)); // weak: the sockets close when both threads have ended
        }
        let (answers, shared_answers) = (Arc::clone(&link), Arc::clone(&shared));
        std::thread::spawn(move || copy_answers(&shared_answers, &answers));
        copy_requests(&shared, &link);
    });
}

fn copy_requests(shared: &Shared, link: &Link) {
    let mut piece = vec![0; PIECE_BYTES];
    while let Some(bytes) = next_piece(&link.client, &mut piece) {
        let answer = {
            let mut state = shared.state();
            match &state.fault {
                Fault::Answer(answer) => Some(answer.clone()),
                Fault::BlackHoleFrom(begin) => {
                    if bytes.windows(begin.len()).any(|window| window == begin) {
                        state.fault = Fault::BlackHole;
                    }
                    None
                }
                _ => None,
            }
        };
        if let Some(answer) = answer {
            let _ = (&link.client).write_all(&answer);
            shared.answer_bytes.fetch_add(answer.len() as u64, Ordering::AcqRel);
            let _ = link.client.shutdown(Shutdown::Both);
            let _ = link.server.shutdown(Shutdown::Both);
            return;
        }
        if (&link.server).write_all(bytes).is_err() {
            link.reset();
            return;
        }
        shared.request_bytes.fetch_add(bytes.len() as u64, Ordering::AcqRel);
    }
    let _ = link.server.shutdown(Shutdown::Write);
}

fn copy_answers(shared: &Shared, link: &Link) {
    let mut piece = vec![0; PIECE_BYTES];
    let (mut since_switch, mut counted_for) = (0_u64, 0_u64);
    while let Some(bytes) = next_piece(&link.server, &mut piece) {
        let (fault, switch) = {
            let state = shared.state();
            // Marked under the lock, so that the switch that ends the fault finds the mark.
            if state.fault == Fault::BlackHole {
                link.lost.store(true, Ordering::Release);
            }
            (state.fault.clone(), state.switch)
        };
        if counted_for != switch {
            (since_switch, counted_for) = (0, switch);
        }
        let mut give = bytes;
        match fault {
            Fault::BlackHole => {
                shared.swallowed_bytes.fetch_add(bytes.len() as u64, Ordering::AcqRel);
                continue;
            }
            Fault::Delay(time) => wait(time),
            Fault::CutAfter(limit) => {
                let left = limit.saturating_sub(since_switch);
                give = &bytes[..bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX))];
            }
            Fault::None | Fault::Refuse | Fault::Answer(_) | Fault::BlackHoleFrom(_) => {}
        }
        since_switch += give.len() as u64;
        if (&link.client).write_all(give).is_err() {
            link.reset();
            return;
        }
        shared.answer_bytes.fetch_add(give.len() as u64, Ordering::AcqRel);
        if give.len() < bytes.len() {
            link.reset();
            return;
        }
    }
    if !link.cut.load(Ordering::Acquire) {
        let _ = link.client.shutdown(Shutdown::Write); // an orderly end, which must not come before a reset
    }
}

/// `None` at the end of the stream, orderly or not.
fn next_piece<'a>(mut from: &TcpStream, piece: &'a mut [u8]) -> Option<&'a [u8]> {
    loop {
        match from.read(piece) {
            Ok(0) => return None,
            Ok(count) => return Some(&piece[..count]),
            Err(problem) if problem.kind() == ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
}

#[allow(clippy::disallowed_methods)] // lateness is the fault itself
fn wait(time: Duration) {
    std::thread::sleep(time);
}
