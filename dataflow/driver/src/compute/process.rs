//! A process with its pipes: how it is started, listened to, and ended.
//!
//! Decides nothing of what is said on the pipes. Invariants: a process has a group of its own, so that Ctrl-C is weir's to take and
//! its children end with it; one that was started is waited for.

use super::answer::short;
use super::lines::Lines;
use rustix::process::{Pid, Signal, kill_process_group};
use std::cell::RefCell;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::rc::Rc;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;

/// How long a program may take to end after the end of its input; then it is killed.
const END_MAX: Duration = Duration::from_secs(2);
/// How often it is looked whether it has ended.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Lines of its standard error that are logged, of one process; the others are counted.
const SAID_MAX: u64 = 100;

/// A process and its pipes.
pub(super) struct Process {
    child: Child,
    /// `None`: it does not read any more, or has been told that there is no more.
    pub stdin: Option<pipe::Sender>,
    pub stdout: pipe::Receiver,
    /// The last line that it said on standard error.
    pub said: Rc<RefCell<String>>,
}

/// Starts a program in a process group of its own: Ctrl-C is weir's to take, and its children can be ended with it.
pub(super) fn start(command: &[String], name: &str) -> io::Result<Process> {
    let (program, arguments) = command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()?;
    match pipes(&mut child) {
        Ok((stdin, stdout, stderr)) => {
            let said = Rc::new(RefCell::new(String::new()));
            tokio::task::spawn_local(listen(stderr, name.to_owned(), Rc::clone(&said)));
            Ok(Process { child, stdin: Some(stdin), stdout, said })
        }
        Err(error) => {
            // It may be gone already.
            let _ = child.kill();
            let _ = child.wait();
            Err(error)
        }
    }
}

fn pipes(child: &mut Child) -> io::Result<(pipe::Sender, pipe::Receiver, pipe::Receiver)> {
    let missing = || io::Error::from(io::ErrorKind::BrokenPipe);
    let stdin = OwnedFd::from(child.stdin.take().ok_or_else(missing)?);
    let stdout = OwnedFd::from(child.stdout.take().ok_or_else(missing)?);
    let stderr = OwnedFd::from(child.stderr.take().ok_or_else(missing)?);
    Ok((
        pipe::Sender::from_owned_fd(stdin)?,
        pipe::Receiver::from_owned_fd(stdout)?,
        pipe::Receiver::from_owned_fd(stderr)?,
    ))
}

/// Says what a program says on standard error, within a bound.
async fn listen(mut stderr: pipe::Receiver, name: String, said: Rc<RefCell<String>>) {
    let (mut lines, mut chunk, mut count) = (Lines::default(), vec![0_u8; 8 << 10], 0_u64);
    let mut say = |line: &[u8]| {
        let text = short(String::from_utf8_lossy(line).trim_end());
        if text.is_empty() {
            return;
        }
        count += 1;
        if count <= SAID_MAX {
            tracing::info!(computation = name, "the program says: {text}");
        } else if count == SAID_MAX + 1 {
            tracing::info!(computation = name, "the program says more than {SAID_MAX} lines: the others are left out");
        }
        *said.borrow_mut() = text;
    };
    loop {
        match stderr.read(&mut chunk).await {
            Ok(0) | Err(_) => break,
            // What is too long for a line is said in pieces.
            Ok(read) => match lines.take(&chunk[..read]) {
                Ok(found) => found.iter().for_each(|line| say(line)),
                Err(_) => {
                    let begun = lines.rest().unwrap_or_default();
                    say(&begun);
                }
            },
        }
    }
    if let Some(rest) = lines.rest() {
        say(&rest);
    }
}

/// Ends a process that has nothing to do: by the end of its input, or by force.
pub(super) async fn finish(mut process: Process) {
    process.stdin = None;
    let _ = exited(&mut process, END_MAX).await;
    kill(process).await;
}

/// A process that has closed its output: it should be ending.
pub(super) async fn ended(mut process: Process) -> Option<ExitStatus> {
    process.stdin = None;
    match exited(&mut process, END_MAX).await {
        Some(status) => {
            kill(process).await;
            Some(status)
        }
        None => kill(process).await,
    }
}

async fn exited(process: &mut Process, within: Duration) -> Option<ExitStatus> {
    let mut sink = [0_u8; 4096];
    let look = async {
        loop {
            match process.child.try_wait() {
                Ok(None) => {}
                Ok(Some(status)) => return Some(status),
                Err(_) => return None,
            }
            // A program that still writes must not stand still because of it.
            let _ = tokio::time::timeout(LOOK_EVERY, process.stdout.read(&mut sink)).await;
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    tokio::time::timeout(within, look).await.ok().flatten()
}

/// Kills a process with all that it has started, and waits for it.
pub(super) async fn kill(process: Process) -> Option<ExitStatus> {
    let Process { mut child, stdin, stdout, .. } = process;
    drop((stdin, stdout));
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // Nobody of it may be there any more.
        let _ = kill_process_group(group, Signal::KILL);
    }
    tokio::task::spawn_blocking(move || child.wait().ok()).await.ok().flatten()
}
