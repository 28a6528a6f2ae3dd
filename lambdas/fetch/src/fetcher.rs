//! One request, exactly: connection first, then the slot, then the first byte, then the answer within its limits.
//!
//! Invariants: nothing is sent after `not_after`; nothing is sent twice, whatever fails; every phase has a limit; what comes
//! back says whether the request was written.

mod exchange;

use self::exchange::{Limits, Lost};
use crate::answer::{Answer, Deadline, Failure, Fetched};
use crate::budget::ByteBudget;
use crate::guard::Guard;
use crate::http1::Http1;
use crate::http2::{Http2, Stream};
use crate::pool::{Link, Pool, Site};
use crate::request::prepare;
use crate::resolve::Resolver;
use crate::settings::FetchSettings;
use crate::target::Target;
use crate::tls::Tls;
use http::HeaderValue;
use std::rc::Rc;
use std::sync::Arc;
use weir_model::{Clock, FailureClass, Release, Tick};

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

/// What the clock says of a slot.
enum Slot {
    /// It was open.
    Open,
    /// It is open now.
    Awaited,
    /// It is over, or opens too late: what the request's answer is then.
    Over(Answer),
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

    /// A fetcher that asks for names where others of its thread do.
    ///
    /// # Panics
    /// As `new`.
    #[must_use]
    pub fn sharing(
        settings: Arc<FetchSettings>,
        guard: Arc<Guard>,
        budget: Arc<ByteBudget>,
        clock: Arc<dyn Clock>,
        resolver: Resolver,
    ) -> Fetcher {
        Fetcher::made_of(settings, guard, budget, clock, (None, Some(resolver)))
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
        Fetcher::made_of(settings, guard, budget, clock, (tls, None))
    }

    fn made_of(
        settings: Arc<FetchSettings>,
        guard: Arc<Guard>,
        budget: Arc<ByteBudget>,
        clock: Arc<dyn Clock>,
        (tls, resolver): (Option<Arc<rustls::ClientConfig>>, Option<Resolver>),
    ) -> Fetcher {
        let user_agent = HeaderValue::from_str(&settings.user_agent).expect("settings check the user agent");
        let pool = Pool::new(Arc::clone(&settings), guard, Arc::clone(&clock), Tls::new(tls), resolver);
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
