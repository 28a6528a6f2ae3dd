//! The control socket of an embedded crawl, `control.sock` in its state directory: a command a line in, an answer a line out.
//!
//! A line is a message as on a stage's control queue (`weir_model::json::ControlMessage`), an answer is a `LawAnswer`; both name their
//! version. Decides nothing of the law: the driver does, and is asked by a channel. Invariants: the socket is the owner's alone (mode
//! 0600); only the process that has the state's lease makes it, so one that lies there is a dead process's and is replaced; a crawl
//! whose socket cannot be made goes on without; whoever is slow or says too much is hung up on and holds up nobody else.

use super::{LawAnswer, LawNews};
use crate::crawl::ToDriver;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;
use weir_model::json::{ControlMessage, QueueMessage};

/// Its name in the state directory.
pub const SOCKET_FILE: &str = "control.sock";
/// The longest line: a pushed policy of a million names.
const LINE_BYTES_MAX: u64 = 80 << 20;
/// Who says nothing for so long is hung up on.
const SILENCE_MAX: Duration = Duration::from_secs(10);
/// How long the driver may take: it is at a snapshot, or at its end.
const ANSWER_MAX: Duration = Duration::from_secs(60);
/// Connections at once.
const CONNECTIONS_MAX: usize = 16;

/// A socket that is listened to; its file is removed when this is dropped.
pub(crate) struct ControlSocket {
    path: PathBuf,
    ended: Arc<AtomicBool>,
}

impl ControlSocket {
    /// Listens in a state directory whose lease this process has. `None`: the crawl goes on without, and the log says why.
    pub fn start(state: &Path, driver: Sender<ToDriver>) -> Option<ControlSocket> {
        let path = state.join(SOCKET_FILE);
        let ended = Arc::new(AtomicBool::new(false));
        match listen(&path, driver, Arc::clone(&ended)) {
            Ok(()) => Some(ControlSocket { path, ended }),
            Err(error) => {
                tracing::warn!(
                    path = %path.display(),
                    %error,
                    "the control socket cannot be made: weir throttle and weir blacklist cannot reach this crawl (a path of at most about \
                     100 bytes is needed, on a file system that has sockets); the crawl goes on"
                );
                None
            }
        }
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        // Wakes who listens. The next owner replaces what is left.
        let _ = UnixStream::connect(&self.path);
        let _ = std::fs::remove_file(&self.path);
    }
}

fn listen(path: &Path, driver: Sender<ToDriver>, ended: Arc<AtomicBool>) -> std::io::Result<()> {
    // Made in a folder that only the owner may enter, so that it is never there for anybody else, nor refuses its owner.
    let folder = path.with_extension("new");
    let part = folder.join("sock");
    for gone in [remove(std::fs::remove_file(&part)), remove(std::fs::remove_dir(&folder))] {
        gone?;
    }
    std::fs::DirBuilder::new().mode(0o700).create(&folder)?;
    let listener = UnixListener::bind(&part)?;
    std::fs::set_permissions(&part, std::fs::Permissions::from_mode(0o600))?;
    std::fs::rename(&part, path)?;
    std::fs::remove_dir(&folder)?;
    let open = Arc::new(AtomicUsize::new(0));
    std::thread::Builder::new().name("control".to_owned()).spawn(move || {
        for stream in listener.incoming() {
            let Ok(stream) = stream else { return };
            if ended.load(Ordering::Relaxed) {
                return;
            }
            if open.load(Ordering::Relaxed) >= CONNECTIONS_MAX {
                continue;
            }
            open.fetch_add(1, Ordering::Relaxed);
            let (driver, count) = (driver.clone(), Arc::clone(&open));
            let served = std::thread::Builder::new().name("control".to_owned()).spawn(move || {
                if let Err(error) = serve(stream, &driver) {
                    tracing::debug!(%error, "a connection of the control socket");
                }
                count.fetch_sub(1, Ordering::Relaxed);
            });
            if served.is_err() {
                open.fetch_sub(1, Ordering::Relaxed);
            }
        }
    })?;
    Ok(())
}

/// What is not there need not be removed.
fn remove(removed: std::io::Result<()>) -> std::io::Result<()> {
    removed.or_else(|error| if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(error) })
}

fn serve(stream: UnixStream, driver: &Sender<ToDriver>) -> std::io::Result<()> {
    stream.set_read_timeout(Some(SILENCE_MAX))?;
    stream.set_write_timeout(Some(SILENCE_MAX))?;
    let mut lines = BufReader::new(stream.try_clone()?);
    let mut stream = stream;
    let mut line = String::new();
    loop {
        line.clear();
        let bytes = (&mut lines).take(LINE_BYTES_MAX).read_line(&mut line)?;
        if bytes == 0 {
            return Ok(());
        }
        let answer = if line.ends_with('\n') {
            answer(&line, driver)
        } else {
            LawAnswer::error(format!("expected a line of at most {LINE_BYTES_MAX} bytes that ends with a newline"))
        };
        let mut text = serde_json::to_string(&answer).expect("names, numbers and texts are JSON");
        text.push('\n');
        stream.write_all(text.as_bytes())?;
    }
}

fn answer(line: &str, driver: &Sender<ToDriver>) -> LawAnswer {
    let message = match ControlMessage::from_json(line) {
        Ok(message) => message,
        Err(error) => {
            return LawAnswer::error(format!("not understood: {error}; is this weir of the crawl's version?"));
        }
    };
    let (tell, answered) = channel();
    let ended = || LawAnswer::error("the crawl is ending; what was asked may or may not have been done".to_owned());
    match driver.send(ToDriver::Law(LawNews::Asked(Box::new(message), tell))) {
        Ok(()) => answered.recv_timeout(ANSWER_MAX).unwrap_or_else(|_| ended()),
        Err(_) => ended(),
    }
}

/// Why a crawl could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum LawClientError {
    /// Nobody listens.
    #[error("no crawl listens at {}: {error}", path.display())]
    Nobody {
        /// Where.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// It hung up.
    #[error("the crawl that listened at {} has ended before it answered; what was asked may or may not have been done", path.display())]
    Ended {
        /// Where.
        path: PathBuf,
    },
    /// The connection broke.
    #[error("{}: {error}", path.display())]
    Broken {
        /// Where.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// The answer is not understood.
    #[error("{}: an answer that is not understood ({error}): is this weir of the crawl's version?", path.display())]
    Strange {
        /// Where.
        path: PathBuf,
        /// What is wrong with it.
        error: serde_json::Error,
    },
}

/// Asks the crawl that runs on a state directory.
///
/// # Errors
/// When none runs there, or it does not answer.
pub fn ask(state: &Path, message: &ControlMessage) -> Result<LawAnswer, LawClientError> {
    let path = state.join(SOCKET_FILE);
    let mut stream =
        UnixStream::connect(&path).map_err(|error| LawClientError::Nobody { path: path.clone(), error })?;
    let broken = |error| LawClientError::Broken { path: path.clone(), error };
    stream.set_read_timeout(Some(ANSWER_MAX + SILENCE_MAX)).map_err(broken)?;
    let mut line = message.to_json();
    line.push('\n');
    stream.write_all(line.as_bytes()).map_err(broken)?;
    let mut text = String::new();
    BufReader::new(stream).read_line(&mut text).map_err(broken)?;
    if text.is_empty() {
        return Err(LawClientError::Ended { path });
    }
    serde_json::from_str(&text).map_err(|error| LawClientError::Strange { path, error })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::Receiver;
    use weir_model::json::Control;

    fn status() -> ControlMessage {
        ControlMessage { id: "c-1".into(), command: Control::Status {} }
    }

    /// A driver that answers everything with the name of the command.
    fn driver(inbox: Receiver<ToDriver>) {
        std::thread::spawn(move || {
            for told in inbox {
                if let ToDriver::Law(LawNews::Asked(message, answer)) = told {
                    let _ = answer.send(LawAnswer::error(message.id));
                }
            }
        });
    }

    #[test]
    fn a_socket_left_by_a_crash_is_replaced_and_is_the_owners_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(SOCKET_FILE);
        drop(UnixListener::bind(&path).expect("a socket that nobody listens to"));
        assert!(matches!(ask(folder.path(), &status()), Err(LawClientError::Nobody { .. })));
        let (to_driver, inbox) = channel();
        driver(inbox);
        let socket = ControlSocket::start(folder.path(), to_driver).expect("made");
        assert_eq!(std::fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        let answer = ask(folder.path(), &status()).expect("answered");
        assert_eq!((answer.v, answer.error.as_deref()), (1, Some("c-1")));
        drop(socket);
        assert!(!path.exists());
    }

    #[test]
    fn what_is_not_understood_is_answered_so_and_the_next_line_is_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let (to_driver, inbox) = channel();
        driver(inbox);
        let _socket = ControlSocket::start(folder.path(), to_driver).expect("made");
        let mut stream = UnixStream::connect(folder.path().join(SOCKET_FILE)).expect("connected");
        stream.write_all(format!("hello\n{{\"v\":9}}\n{}\n", status().to_json()).as_bytes()).expect("written");
        let mut answers = BufReader::new(stream).lines();
        for told in ["not understood", "not understood", "c-1"] {
            let answer: LawAnswer =
                serde_json::from_str(&answers.next().expect("a line").expect("text")).expect("JSON");
            assert!(answer.error.is_some_and(|error| error.contains(told)), "{told}");
        }
    }
}
