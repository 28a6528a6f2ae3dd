//! How a driver takes news of the law: kept durably, put in force in the engine, told.
//!
//! Invariant: in this order; so an answer says what also a crash leaves.

use super::{DOCUMENT, Law, LawAnswer, LawNews, Taken};
use crate::engine::Engine;
use crate::error::CrawlError;
use crate::journal::JournalThread;
use weir_model::Tick;
use weir_model::json::{Control, ControlMessage};

/// Domains that a socket's answer shows of each worker.
const DOMAINS_MAX: usize = 10_000;
/// The longest law that a socket's answer shows whole.
const IN_FORCE_BYTES_MAX: usize = 64 << 20;

/// What happened, for the events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LawEvent {
    /// Another law holds from now on.
    Changed {
        /// `file` or `command`.
        by: &'static str,
        /// The file, or the command's name.
        name: String,
    },
    /// The file is bad; the law before stays.
    Refused {
        /// What is wrong, and where.
        error: String,
    },
}

impl Law {
    /// Takes what the policy file has become, or what somebody asks on the socket.
    ///
    /// # Errors
    /// When the change cannot be kept: the journal has failed.
    pub fn take(
        &mut self,
        now: Tick,
        news: LawNews,
        engine: &mut Engine,
        journal: &JournalThread,
    ) -> Result<Option<LawEvent>, CrawlError> {
        match news {
            LawNews::File(read) => Ok(self.take_news_of_file(now, read, engine)),
            LawNews::Asked(message, answer) => {
                let taken = match self.command(now, &message, engine, journal) {
                    Some(Ok(taken)) => taken,
                    Some(Err(error)) => {
                        // Whoever asked may have hung up.
                        let _ = answer.send(LawAnswer::error(error.to_string()));
                        return match error {
                            Refused::Command(_) => Ok(None),
                            Refused::Journal(error) => Err(error),
                        };
                    }
                    None if message.command == (Control::Status {}) => Taken::Known,
                    None => {
                        let what =
                            "a crawl on this machine obeys weir throttle and weir blacklist; stop it with Ctrl-C";
                        let _ = answer.send(LawAnswer::error(what.to_owned()));
                        return Ok(None);
                    }
                };
                let changed = taken == Taken::Changed;
                let status = self.status(engine.domain_laws(DOMAINS_MAX), IN_FORCE_BYTES_MAX);
                let _ = answer.send(LawAnswer::law(status, changed));
                Ok(changed.then(|| LawEvent::Changed { by: "command", name: message.id.clone() }))
            }
        }
    }

    fn take_news_of_file(
        &mut self,
        now: Tick,
        read: Result<(weir_frontier::policy::Policy, weir_model::ContentHash), String>,
        engine: &mut Engine,
    ) -> Option<LawEvent> {
        match self.take_file(read) {
            Ok(false) => None,
            Ok(true) => {
                engine.set_laws(now, &self.book());
                let name = self.file.as_ref().map(|file| file.path.display().to_string()).unwrap_or_default();
                tracing::info!(file = name, "the policy file has changed: its law holds from now on");
                Some(LawEvent::Changed { by: "file", name })
            }
            Err(error) => {
                tracing::error!("the policy file has changed and cannot be used, the law before stays: {error}");
                Some(LawEvent::Refused { error })
            }
        }
    }

    /// Obeys a command about the law; `None`: it is about something else.
    pub fn command(
        &mut self,
        now: Tick,
        message: &ControlMessage,
        engine: &mut Engine,
        journal: &JournalThread,
    ) -> Option<Result<Taken, Refused>> {
        let taken = self.obey(message, now)?;
        Some(taken.map_err(Refused::Command).and_then(|taken| {
            if taken == Taken::Changed {
                journal.put(DOCUMENT, self.document()).map_err(Refused::Journal)?;
                engine.set_laws(now, &self.book());
                tracing::info!(command = message.id, "the law has changed by command");
            }
            Ok(taken)
        }))
    }
}

/// Why a command was not obeyed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    /// It is wrong.
    #[error("{0}")]
    Command(String),
    /// It cannot be kept.
    #[error("{0}")]
    Journal(CrawlError),
}
