//! One request on one connection: write, wait for the headers, read the body, each within its limits.
//!
//! Decides what a failure means for the request: nothing written (another connection may be tried), too late, or lost. Knows
//! nothing of slots and of how the connection was had. Invariants: the request is handed over once; whether it was written is
//! what the gate saw; one timer a request.

use super::{Fetcher, Ready};
use crate::answer::{Failure, Fetched, Response};
use crate::body::{Pace, Reader, Source, Wanted, instant};
use crate::http1::{Broken, Http1};
use crate::http2::{Http2, Stream};
use crate::pool::Site;
use crate::request::Prepared;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;
use tokio::time::Sleep;
use weir_model::{FailureClass, RequestKind, Tick};

/// How an exchange ended without a response.
pub(super) enum Lost {
    /// The connection was dead before a byte was written.
    Dead(String),
    /// The slot was over before a byte was written.
    Late,
    /// It may have reached the server.
    Failed(Failure),
}

/// Until when.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    pub not_after: Tick,
    pub done_until: Tick,
}

impl Fetcher {
    /// Sends a request on a connection and reads the answer.
    pub(super) async fn exchange(
        &self,
        ready: Ready,
        site: &Rc<Site>,
        prepared: Prepared<'_>,
        limits: Limits,
        kind: RequestKind,
        fetched: &mut Fetched,
    ) -> Result<Response, Lost> {
        let began = instant();
        let left =
            if limits.done_until == Tick::NEVER { Duration::MAX } else { limits.done_until.since(self.clock.now()) };
        let by_deadline = left < self.settings.total_timeout;
        let ends_at = began + self.settings.total_timeout.min(left);
        let mut timer = pin!(tokio::time::sleep_until(ends_at.min(began + self.settings.headers_timeout)));
        let pace = Pace { timer: timer.as_mut(), ends_at, by_deadline, total: self.settings.total_timeout };
        match ready {
            Ready::Http1(connection) => self.on_http1(connection, site, prepared, limits, kind, pace, fetched).await,
            Ready::Http2(connection, stream) => {
                self.on_http2(&connection, &stream, site, prepared, limits, kind, pace, fetched).await
            }
        }
    }

    #[allow(clippy::too_many_arguments, reason = "the one place where a request's parts meet")]
    async fn on_http1(
        &self,
        mut connection: Box<Http1>,
        site: &Site,
        prepared: Prepared<'_>,
        limits: Limits,
        kind: RequestKind,
        mut pace: Pace<'_>,
        fetched: &mut Fetched,
    ) -> Result<Response, Lost> {
        let answered = self.head(&mut pace, connection.send(prepared.for_http1(), limits.not_after)).await;
        fetched.started_at = connection.gate().written_at();
        fetched.answered_at = connection.gate().answered_at();
        let answer = match answered {
            Ok(Ok(answer)) => answer,
            _ if connection.was_late() => return Err(Lost::Late),
            Ok(Err(broken)) if !connection.was_written() => return Err(Lost::Dead(broken.reason)),
            Ok(Err(broken)) => return Err(Lost::Failed(self.broken(broken))),
            // Not written within all that time: the server does not read.
            Err(failure) if !connection.was_written() => return Err(Lost::Dead(failure.reason)),
            Err(failure) => return Err(Lost::Failed(failure)),
        };
        let (parts, body) = answer.into_parts();
        let wanted = Wanted { kind, status: parts.status.as_u16() };
        let mut source = Source::Http1 { connection: &mut connection, body };
        let reader = self.reader();
        let declared = source.declared(&parts.headers);
        let read =
            reader.read(&mut source, declared, &wanted, pace, &mut fetched.wire_bytes).await.map_err(Lost::Failed)?;
        drop(source);
        if read.whole {
            self.pool.give(site, connection);
        }
        reader.decoded(parts.headers, read, &wanted).map_err(Lost::Failed)
    }

    #[allow(clippy::too_many_arguments, reason = "as above")]
    async fn on_http2(
        &self,
        connection: &Http2,
        stream: &Stream,
        site: &Site,
        prepared: Prepared<'_>,
        limits: Limits,
        kind: RequestKind,
        mut pace: Pace<'_>,
        fetched: &mut Fetched,
    ) -> Result<Response, Lost> {
        let bad = |reason| Lost::Failed(Failure::new(FailureClass::BadRequest, reason));
        let request = prepared.for_http2(site).map_err(bad)?;
        if connection.is_blocked() {
            let patience = limits.not_after.since(self.clock.now()).min(self.settings.headers_timeout);
            if tokio::time::timeout(patience, connection.unblocked()).await.is_err() {
                if patience < self.settings.headers_timeout {
                    return Err(Lost::Late);
                }
                connection.close();
                return Err(Lost::Dead("the server does not read what it is sent".into()));
            }
            pace.timer.as_mut().reset(pace.ends_at.min(instant() + self.settings.headers_timeout));
        }
        let now = self.clock.now();
        if now > limits.not_after {
            return Err(Lost::Late);
        }
        let answer = match stream.send(request) {
            Ok(answer) => answer,
            Err(broken) => {
                connection.close();
                return Err(Lost::Dead(broken.reason));
            }
        };
        fetched.started_at = now;
        let answer = match self.head(&mut pace, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(Lost::Failed(self.broken(Broken::from(error)))),
            Err(failure) => {
                // A connection that answers nobody is not offered to others.
                connection.close();
                return Err(Lost::Failed(failure));
            }
        };
        fetched.answered_at = self.clock.now();
        let (parts, body) = answer.into_parts();
        let wanted = Wanted { kind, status: parts.status.as_u16() };
        let mut source = Source::Http2(body);
        let reader = self.reader();
        let declared = source.declared(&parts.headers);
        let read =
            reader.read(&mut source, declared, &wanted, pace, &mut fetched.wire_bytes).await.map_err(Lost::Failed)?;
        reader.decoded(parts.headers, read, &wanted).map_err(Lost::Failed)
    }

    fn reader(&self) -> Reader<'_> {
        Reader { settings: &self.settings, budget: &self.budget }
    }

    /// Waits for an answer's headers until the timer ends it.
    async fn head<T>(&self, pace: &mut Pace<'_>, answer: impl Future<Output = T>) -> Result<T, Failure> {
        let limit = self.settings.headers_timeout;
        match race(pin!(answer), pace.timer.as_mut()).await {
            Some(answer) => Ok(answer),
            None if pace.timer.deadline() < pace.ends_at => {
                Err(Failure::new(FailureClass::Timeout, format!("no headers within {limit:?}")))
            }
            None => Err(Failure::new(FailureClass::Timeout, pace.ended())),
        }
    }

    fn broken(&self, broken: Broken) -> Failure {
        if broken.head_too_large {
            let (bytes, count) = (self.settings.header_bytes_max, self.settings.header_count_max);
            return Failure::new(
                FailureClass::TooLarge,
                format!("headers of more than {bytes} bytes or {count} lines"),
            );
        }
        Failure::new(FailureClass::Protocol, broken.reason)
    }
}

/// What comes first; `None` when it is the timer.
async fn race<T>(mut what: Pin<&mut impl Future<Output = T>>, mut timer: Pin<&mut Sleep>) -> Option<T> {
    poll_fn(|cx| match what.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending => timer.as_mut().poll(cx).map(|()| None),
    })
    .await
}
