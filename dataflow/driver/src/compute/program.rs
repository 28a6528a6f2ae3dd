//! One program of a pool: started, asked line by line, started again when it dies.
//!
//! Decides what a death means. Invariants: answers belong to lines in their order; after anything that might have put them out
//! of step (no answer in time, an answer that is none, a line that nobody asked for) the process is killed, and a new one is asked;
//! what was asked and not answered is sent again, at most once if the process may have died of it; a program that ends again and
//! again without an answer is given up by name.

use super::answer::{Bad, line, made, read, short};
use super::lines::Lines;
use super::pool::{Pool, Task};
use super::process::{Process, ended, finish, kill, start};
use super::{Broken, shown};
use crate::crawl::ToDriver;
use crate::error::CrawlError;
use std::collections::VecDeque;
use std::io;
use std::process::ExitStatus;
use std::rc::Rc;
use std::sync::mpsc::Sender;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;
use weir_spider::Performer;

/// How a conversation ended.
enum End {
    /// The job is over.
    Over,
    /// The process ended, or does not do what it should.
    Failed { why: String, killed: bool },
}

/// The life of one place in a pool.
pub(super) async fn run(pool: Rc<Pool>, broken: Broken, driver: Sender<ToDriver>) {
    let (mut starts, allowed) = (0_u64, 3 + 2 * pool.shared.computation.pool);
    while !pool.has_ended() && pool.broken.borrow().is_none() {
        if pool.waiting() == 0 {
            pool.work.notified().await;
            continue;
        }
        let give_up = |why: String| {
            let computation = &pool.shared.computation;
            let why = format!("{} {why}", computation.place());
            match broken {
                Broken::Fails => {
                    // The driver may be gone.
                    let _ = driver.send(ToDriver::Failed(CrawlError::Computation(why.clone())));
                }
                Broken::Refuses => pool.refuse_all(&why),
            }
            pool.give_up(why);
        };
        let Performer::Command { command, .. } = &pool.shared.computation.performer else { return };
        let mut process = match start(command, &pool.shared.computation.name) {
            Ok(process) => process,
            Err(error) => {
                give_up(format!(
                    "cannot start {}: {error}; expected a program that can be run on this machine",
                    shown(command)
                ));
                return;
            }
        };
        if starts > 0 {
            pool.shared.count("restarts");
        }
        starts += 1;
        let mut talk = Talk::new(&pool);
        let end = talk.go_on(&mut process).await;
        let (under_way, answered) = (talk.under_way, talk.answered);
        match end {
            End::Over => return finish(process).await,
            End::Failed { why, killed } => {
                let said = Rc::clone(&process.said);
                let status = if killed { kill(process).await } else { ended(process).await };
                let why = told(&why, killed, status, &said.borrow());
                if answered == 0 && !under_way.is_empty() {
                    pool.fruitless.set(pool.fruitless.get() + 1);
                }
                if !under_way.is_empty() {
                    tracing::warn!(computation = pool.shared.computation.name, "{why}; it is started again");
                }
                if pool.fruitless.get() >= allowed {
                    // With `Fails` the items stay in the journal.
                    let count = pool.fruitless.get();
                    if broken == Broken::Refuses {
                        under_way.iter().for_each(|task| pool.shared.refuse(&task.computing, &why));
                    }
                    give_up(format!(
                        "is given up: {}: {why}, {count} times without an answer in between",
                        shown(command)
                    ));
                    return;
                }
                pool.give_back(under_way, &why);
            }
        }
    }
}

fn told(why: &str, killed: bool, status: Option<ExitStatus>, said: &str) -> String {
    let mut text = why.to_owned();
    if let (false, Some(status)) = (killed, status) {
        text.push_str(&format!(" ({status})"));
    }
    if !said.is_empty() {
        text.push_str(&format!("; the last that it said: {said}"));
    }
    text
}

/// What is under way with one process.
struct Talk<'p> {
    pool: &'p Pool,
    /// Sent, or being sent, and not answered, in this order.
    under_way: VecDeque<Task>,
    /// Bytes to be written, from `written` on.
    out: Vec<u8>,
    written: usize,
    lines: Lines,
    answered: u64,
}

impl<'p> Talk<'p> {
    fn new(pool: &'p Pool) -> Talk<'p> {
        Talk { pool, under_way: VecDeque::new(), out: Vec::new(), written: 0, lines: Lines::default(), answered: 0 }
    }

    async fn go_on(&mut self, process: &mut Process) -> End {
        let Performer::Command { timeout, startup, ahead, .. } = self.pool.shared.computation.performer else {
            return End::Over;
        };
        let mut chunk = vec![0_u8; 64 << 10];
        let patience = tokio::time::sleep(timeout + startup);
        tokio::pin!(patience);
        // Of the line that is to be answered next.
        let mut is_timed = false;
        loop {
            if self.pool.has_ended() || self.pool.broken.borrow().is_some() {
                return End::Over;
            }
            while self.under_way.len() < ahead
                && let Some(task) = self.pool.next()
            {
                self.say(task);
            }
            if self.under_way.is_empty() {
                is_timed = false;
            } else if !is_timed {
                let grace = if self.answered == 0 { startup } else { Duration::ZERO };
                patience.set(tokio::time::sleep(timeout + grace));
                is_timed = true;
            }
            let unwritten = self.written < self.out.len();
            tokio::select! {
                read = process.stdout.read(&mut chunk) => match read {
                    Ok(0) => {
                        // A last answer may lack its end.
                        if let Some(rest) = self.lines.rest()
                            && let Err(why) = self.hear(&rest)
                        {
                            return End::Failed { why, killed: true };
                        }
                        return End::Failed { why: "the program ended".to_owned(), killed: false };
                    }
                    Ok(count) => {
                        let before = self.answered;
                        if let Err(why) = self.take(&chunk[..count]) {
                            return End::Failed { why, killed: true };
                        }
                        is_timed &= self.answered == before;
                    }
                    Err(error) => return End::Failed { why: format!("its output cannot be read: {error}"), killed: true },
                },
                wrote = write(&mut process.stdin, &self.out[self.written..]), if unwritten && process.stdin.is_some() => match wrote {
                    Ok(count) => {
                        self.written += count;
                        if self.written == self.out.len() {
                            self.out.clear();
                            self.written = 0;
                        }
                    }
                    // It has closed its input; what it still has to say, and its end, are read.
                    Err(_) => process.stdin = None,
                },
                () = &mut patience, if is_timed => {
                    self.pool.shared.count("timeouts");
                    let grace = if self.answered == 0 { startup } else { Duration::ZERO };
                    return End::Failed { why: format!("the program gave no answer within {:?}", timeout + grace), killed: true };
                }
                () = self.pool.over.notified() => {}
                () = self.pool.work.notified(), if self.under_way.len() < ahead => {}
            }
        }
    }

    fn say(&mut self, task: Task) {
        let shared = &self.pool.shared;
        self.out.extend_from_slice(&line(&shared.spider, &shared.computation, &task.computing.item));
        self.under_way.push_back(task);
    }

    fn take(&mut self, chunk: &[u8]) -> Result<(), String> {
        let lines = self.lines.take(chunk).map_err(|_| "the program's answer is longer than 1 MiB".to_owned())?;
        lines.iter().try_for_each(|line| self.hear(line))
    }

    /// One line of the program: the answer to the oldest line that it has.
    fn hear(&mut self, answer: &[u8]) -> Result<(), String> {
        let shared = &self.pool.shared;
        let Some(task) = self.under_way.front() else {
            shared.count("unasked_lines");
            let text = short(&String::from_utf8_lossy(answer));
            return Err(format!(
                "the program wrote a line that nobody asked for: {text:?}; expected one line for each that it gets"
            ));
        };
        let mut notes = Vec::new();
        match read(&shared.spider, &shared.computation, answer, &mut notes) {
            Ok(values) => {
                let made = made(&shared.spider, &shared.computation, &task.computing.item, values);
                shared.answer(&task.computing, made, notes);
            }
            Err(Bad::Refused(why)) => shared.refuse(&task.computing, &why),
            Err(Bad::NoAnswer(why)) => return Err(why),
        }
        self.under_way.pop_front();
        self.answered += 1;
        self.pool.answered();
        Ok(())
    }
}

async fn write(stdin: &mut Option<pipe::Sender>, bytes: &[u8]) -> io::Result<usize> {
    match stdin {
        Some(stdin) => stdin.write(bytes).await,
        None => Err(io::ErrorKind::BrokenPipe.into()),
    }
}
