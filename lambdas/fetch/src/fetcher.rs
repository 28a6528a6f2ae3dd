//! One request, exactly: connection first, then the slot, then the first byte, then the answer within its limits.
//!
//! Invariants: nothing is sent after `not_after`; nothing is sent twice, whatever fails; every phase has a limit; what comes
//! back says whether the request was written.

use crate::answer::{Answer, Deadline, Failure, Fetched, Response};
use crate::body::{Pace, Reader, Source, Wanted, instant};
use crate::budget::ByteBudget;
use crate::guard::Guard;
use crate::http1::{Broken, Http1};
use crate::http2::{Http2, Stream};
use crate::pool::{Link, Pool, Site};
use crate::request::{Prepared, prepare};
use crate::settings::FetchSettings;
use crate::target::Target;
use crate::tls::Tls;
use http::HeaderValue;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::time::Sleep;
use weir_model::{Clock, FailureClass, Release, RequestKind, Tick};

/// Connections that may die before a byte was written, until the server counts as not reachable.
const DEAD_CONNECTIONS_MAX: usize = 3;

/// Makes requests. One a thread, on a single-threaded runtime inside a `LocalSet`.
pub struct Fetcher {
    settings: Arc<FetchSettings>,
    budget: Arc<ByteBudget>,
    clock: Arc<dyn Clock>,
    pool: Pool,
    user_agent: HeaderValue,
}

/// A connection, ready, and for this request alone.
enum Ready {
    Http1(Box<Http1>),
    Http2(Rc<Http2>, Stream),
}

/// How an exchange ended without a response.
enum Lost {
    /// The connection was dead before a byte was written.
    Dead(String),
    /// The slot was over before a byte was written.
    Late,
    /// It may have reached the server.
    Failed(Failure),
}

/// What the clock says of a slot.
enum Slot {
    /// It was open.
    Open,
    /// It is open now.
    Awaited,
    /// It is over, or opens too late: what the request's answer is then.
    Over(Answer),
}

/// Until when.
#[derive(Clone, Copy)]
struct Limits {
    not_after: Tick,
    done_until: Tick,
}

impl Fetcher {
    /// A fetcher with the platform's certificates.
    ///
    /// # Panics
    /// When the user agent is no header value: settings check it before.
    #[must_use]
    pub fn new(
        settings: Arc<FetchSettings>,
        guard: Arc<Guard>,
        budget: Arc<ByteBudget>,
        clock: Arc<dyn Clock>,
    ) -> Fetcher {
        Fetcher::with_tls(settings, guard, budget, clock, None)
    }

    /// A fetcher with a TLS configuration of its own.
    ///
    /// # Panics
    /// As `new`.
    #[must_use]
    pub fn with_tls(
        settings: Arc<FetchSettings>,
        guard: Arc<Guard>,
        budget: Arc<ByteBudget>,
        clock: Arc<dyn Clock>,
        tls: Option<Arc<rustls::ClientConfig>>,
    ) -> Fetcher {
        let user_agent = HeaderValue::from_str(&settings.user_agent).expect("settings check the user agent");
        let pool = Pool::new(Arc::clone(&settings), guard, Arc::clone(&clock), Tls::new(tls));
        Fetcher { settings, budget, clock, pool, user_agent }
    }

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> &FetchSettings {
        &self.settings
    }

    /// The clock that slots are measured by.
    #[must_use]
    pub fn now(&self) -> Tick {
        self.clock.now()
    }

    /// Makes one request.
    pub async fn fetch(&self, release: &Release) -> Fetched {
        self.fetch_within(release, Deadline::NEVER).await
    }

    /// Makes one request, unless the deadline comes first.
    pub async fn fetch_within(&self, release: &Release, deadline: Deadline) -> Fetched {
        let mut fetched = Fetched {
            answer: Answer::Unfetched { reason: String::new() },
            started_at: Tick(0),
            answered_at: Tick(0),
            ended_at: Tick(0),
            wire_bytes: 0,
        };
        fetched.answer = self.answer(release, deadline, &mut fetched).await;
        fetched.ended_at = self.clock.now();
        fetched
    }

    async fn answer(&self, release: &Release, deadline: Deadline, fetched: &mut Fetched) -> Answer {
        let unsent = |class, reason| Answer::Failed { class, reason, written: false };
        let target = Target::parse(&release.request.url);
        let (target, site) = match target.and_then(|target| Ok((target, self.pool.site(&target)?))) {
            Ok(found) => found,
            Err(reason) => return unsent(FailureClass::BadRequest, reason),
        };
        let limits = Limits { not_after: release.not_after.min(deadline.send_until), done_until: deadline.done_until };
        let mut dead = String::new();
        for _ in 0..DEAD_CONNECTIONS_MAX {
            let prepared = match prepare(&release.request, &target, &site, &self.user_agent) {
                Ok(prepared) => prepared,
                Err(reason) => return unsent(FailureClass::BadRequest, reason),
            };
            let mut ready = match self.ready(&site, deadline).await {
                Ok(ready) => ready,
                Err(answer) => return *answer,
            };
            let slot = self.await_slot(release, deadline).await;
            if let Slot::Over(late) = slot {
                self.keep(&site, ready);
                return late;
            }
            // It may have died while the slot was awaited: nothing was sent, so another one is no retry.
            if matches!(slot, Slot::Awaited) && !ready.is_usable() {
                dead = "connection closed before the request was written".into();
                continue;
            }
            match self.exchange(ready, &site, prepared, limits, release.request.kind, fetched).await {
                Ok(response) => return Answer::Response(response),
                Err(Lost::Dead(reason)) => dead = reason,
                Err(Lost::Late) => return self.late(release, deadline, self.clock.now()),
                Err(Lost::Failed(Failure { class, reason })) => return Answer::Failed { class, reason, written: true },
            }
        }
        unsent(FailureClass::Connect, dead)
    }

    /// A kept connection, or a new one.
    async fn ready(&self, site: &Rc<Site>, deadline: Deadline) -> Result<Ready, Box<Answer>> {
        let unsent = |class, reason| Err(Box::new(Answer::Failed { class, reason, written: false }));
        loop {
            let link = match self.pool.take(site) {
                Some(link) => link,
                None => match self.until(deadline.send_until, self.pool.open(site)).await {
                    Some(Ok(link)) => link,
                    Some(Err(error)) => return unsent(error.class, error.reason),
                    None => return Err(Box::new(near())),
                },
            };
            match link {
                Link::Http1(connection) => return Ok(Ready::Http1(connection)),
                Link::Http2(connection) => {
                    let patience = self.clock.now().after(self.settings.total_timeout).min(deadline.send_until);
                    match self.until(patience, connection.stream()).await {
                        Some(Some(stream)) => return Ok(Ready::Http2(connection, stream)),
                        // Closed meanwhile: the next look finds that, and opens another.
                        Some(None) => {}
                        None => {
                            return Err(Box::new(Answer::Unfetched {
                                reason: "no room on the connection to its server".into(),
                            }));
                        }
                    }
                }
            }
        }
    }

    /// Waits for something, but not beyond an instant.
    async fn until<T>(&self, end: Tick, what: impl Future<Output = T>) -> Option<T> {
        if end == Tick::NEVER {
            return Some(what.await);
        }
        tokio::time::timeout(end.since(self.clock.now()), what).await.ok()
    }

    /// Waits for the slot to open.
    async fn await_slot(&self, release: &Release, deadline: Deadline) -> Slot {
        let opens = release.not_before.after(self.settings.margin);
        let mut slot = Slot::Open;
        loop {
            let now = self.clock.now();
            if now > release.not_after.min(deadline.send_until) || opens > deadline.send_until {
                return Slot::Over(self.late(release, deadline, now));
            }
            if now >= opens {
                return slot;
            }
            slot = Slot::Awaited;
            tokio::time::sleep(opens.since(now)).await;
        }
    }

    fn late(&self, release: &Release, deadline: Deadline, now: Tick) -> Answer {
        if release.not_after > deadline.send_until {
            return near();
        }
        Answer::Unfetched { reason: format!("{} ms late for its slot", now.since(release.not_after).as_millis()) }
    }

    /// Keeps a connection that was not used.
    fn keep(&self, site: &Site, ready: Ready) {
        match ready {
            Ready::Http1(connection) => self.pool.give(site, connection),
            Ready::Http2(..) => {}
        }
    }

    async fn exchange(
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

impl Ready {
    fn is_usable(&mut self) -> bool {
        match self {
            Ready::Http1(connection) => connection.is_usable(),
            Ready::Http2(_, stream) => stream.is_usable(),
        }
    }
}

fn near() -> Answer {
    Answer::Unfetched { reason: "the function's deadline is near".into() }
}

/// What comes first; `None` when it is the timer.
async fn race<T>(mut what: Pin<&mut impl Future<Output = T>>, mut timer: Pin<&mut Sleep>) -> Option<T> {
    poll_fn(|cx| match what.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending => timer.as_mut().poll(cx).map(|()| None),
    })
    .await
}
