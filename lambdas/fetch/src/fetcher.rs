//! One request, exactly: connection first, then the slot, then the first byte, then the answer within its limits.
//!
//! Invariants: nothing is sent after `not_after`; nothing is sent twice, whatever fails; every phase has a limit; what comes
//! back says whether the request was written.

use crate::budget::ByteBudget;
use crate::decode::{DecodeError, DecodeLimits, decode, split_encodings};
use crate::guard::Guard;
use crate::pool::{Body, Connection, Origin, Pool};
use crate::settings::FetchSettings;
use crate::tls::Tls;
use bytes::{Buf, Bytes};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Request as HttpRequest, Response as HttpResponse, Uri};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use std::sync::Arc;
use weir_model::{Clock, FailureClass, Release, Request, RequestKind, Tick};

/// What came of a release.
#[derive(Debug)]
pub struct Fetched {
    /// What happened.
    pub answer: Answer,
    /// When the first byte of the request was about to be written; zero when it was not.
    pub started_at: Tick,
    /// When the answer's headers were there; zero when they were not.
    pub answered_at: Tick,
    /// When all was done.
    pub ended_at: Tick,
    /// Body on the wire.
    pub wire_bytes: u64,
}

/// An answer, or why there is none.
#[derive(Debug)]
pub enum Answer {
    /// Headers and whole body, decoded.
    Response(Response),
    /// No usable answer.
    Failed {
        /// What retry looks at.
        class: FailureClass,
        /// What a person reads.
        reason: String,
        /// Whether the request may have reached the server.
        written: bool,
    },
    /// Too late for its slot: nothing was sent.
    Unfetched {
        /// Why.
        reason: String,
    },
}

/// An answer.
#[derive(Debug)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// All headers.
    pub headers: HeaderMap,
    /// Body, decoded.
    pub body: Vec<u8>,
}

impl Response {
    /// A header as text.
    #[must_use]
    pub fn header(&self, name: HeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

struct Failure {
    class: FailureClass,
    reason: String,
}

impl Failure {
    fn new(class: FailureClass, reason: impl Into<String>) -> Failure {
        Failure { class, reason: reason.into() }
    }
}

/// Makes requests. One a thread, on a single-threaded runtime inside a `LocalSet`.
pub struct Fetcher {
    settings: Arc<FetchSettings>,
    budget: Arc<ByteBudget>,
    clock: Arc<dyn Clock>,
    pool: Pool,
    user_agent: HeaderValue,
}

const ACCEPT: HeaderValue = HeaderValue::from_static("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8");
const ACCEPT_ENCODING: HeaderValue = HeaderValue::from_static("gzip, deflate, br, zstd");
const ACCEPT_LANGUAGE: HeaderValue = HeaderValue::from_static("en");

impl Fetcher {
    /// A fetcher with the platform's certificates.
    ///
    /// # Panics
    /// When the user agent is no header value: settings check it before.
    #[must_use]
    pub fn new(settings: Arc<FetchSettings>, guard: Arc<Guard>, budget: Arc<ByteBudget>, clock: Arc<dyn Clock>) -> Fetcher {
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
        let pool = Pool::new(Arc::clone(&settings), guard, Tls::new(tls));
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
        let mut fetched = Fetched {
            answer: Answer::Unfetched { reason: String::new() },
            started_at: Tick(0),
            answered_at: Tick(0),
            ended_at: Tick(0),
            wire_bytes: 0,
        };
        let total = self.settings.total_timeout;
        let done = tokio::time::timeout(total, self.fetch_in_time(release, &mut fetched)).await;
        fetched.answer = match done {
            Ok(answer) => answer,
            Err(_) => Answer::Failed {
                class: FailureClass::Timeout,
                reason: format!("not done within {total:?}"),
                written: fetched.started_at > Tick(0),
            },
        };
        fetched.ended_at = self.clock.now();
        fetched
    }

    async fn fetch_in_time(&self, release: &Release, fetched: &mut Fetched) -> Answer {
        let (origin, mut request) = match self.prepare(&release.request) {
            Ok(prepared) => prepared,
            Err(reason) => return Answer::Failed { class: FailureClass::BadRequest, reason, written: false },
        };
        // A kept connection may die between `take` and the write: then nothing was sent, and a new one is opened.
        loop {
            let kept = self.pool.take(&origin, self.clock.now());
            let fresh = kept.is_none();
            let connection = match kept {
                // The one before may still be finishing with it; one that was closed meanwhile is passed over.
                Some(mut connection) => match connection.ready().await {
                    true => connection,
                    false => continue,
                },
                None => match self.pool.open(&origin, self.clock.now()).await {
                    Ok(connection) => connection,
                    Err(error) => return Answer::Failed { class: error.class, reason: error.reason, written: false },
                },
            };
            if let Some(late) = self.await_slot(release).await {
                return late;
            }
            fetched.started_at = self.clock.now();
            match self.exchange(connection, &origin, request, fetched, release.request.kind).await {
                Ok(response) => return Answer::Response(response),
                Err(Lost::Unsent(unsent, _)) if !fresh => {
                    fetched.started_at = Tick(0);
                    request = *unsent;
                }
                Err(Lost::Unsent(_, reason)) => {
                    fetched.started_at = Tick(0);
                    return Answer::Failed { class: FailureClass::Connect, reason, written: false };
                }
                Err(Lost::Failed(failure)) => {
                    return Answer::Failed { class: failure.class, reason: failure.reason, written: true };
                }
            }
        }
    }

    /// Waits for the slot to open; gives the answer when it is already over.
    async fn await_slot(&self, release: &Release) -> Option<Answer> {
        let now = self.clock.now();
        if now < release.not_before {
            tokio::time::sleep(release.not_before.since(now)).await;
        }
        let now = self.clock.now();
        (now > release.not_after).then(|| Answer::Unfetched {
            reason: format!("{} ms late for its slot", now.since(release.not_after).as_millis()),
        })
    }

    fn prepare(&self, request: &Request) -> Result<(Origin, HttpRequest<Body>), String> {
        let uri: Uri = request.url.parse().map_err(|error| format!("not a URL: {error}"))?;
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            other => return Err(format!("scheme {}: expected http or https", other.unwrap_or("missing"))),
        };
        let authority = uri.authority().ok_or("a URL without a host")?;
        let port = authority.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let origin = Origin { tls, host: authority.host().into(), port };
        let host = match authority.port_u16() {
            Some(port) if port != if tls { 443 } else { 80 } => format!("{}:{port}", authority.host()),
            _ => authority.host().to_owned(),
        };
        let method = http::Method::from_bytes(request.method().as_str().as_bytes()).map_err(|error| error.to_string())?;
        let extra = request.extra.as_deref();
        let body = extra.and_then(|extra| extra.body.as_deref()).map_or_else(Bytes::new, Bytes::copy_from_slice);
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        // HTTP/1 sends the path alone; HTTP/2 needs the whole URI, which `exchange` restores.
        let mut made = HttpRequest::new(Body::new(body));
        *made.method_mut() = method;
        *made.uri_mut() = path.parse().map_err(|_| "a URL without a path")?;
        let headers = made.headers_mut();
        headers.reserve(8);
        headers.insert(header::HOST, HeaderValue::from_str(&host).map_err(|error| error.to_string())?);
        headers.insert(header::USER_AGENT, self.user_agent.clone());
        headers.insert(header::ACCEPT, ACCEPT);
        headers.insert(header::ACCEPT_LANGUAGE, ACCEPT_LANGUAGE);
        headers.insert(header::ACCEPT_ENCODING, ACCEPT_ENCODING);
        if let Some(referer) = request.referer.as_deref().and_then(|referer| referer_for(referer, &uri)) {
            headers.insert(header::REFERER, referer);
        }
        for (name, value) in extra.map(|extra| extra.headers.as_slice()).unwrap_or_default() {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("{name:?} is no header name"))?;
            let value = HeaderValue::from_str(value).map_err(|_| format!("the value of {name} is no header value"))?;
            headers.insert(name, value);
        }
        Ok((origin, made))
    }

    async fn exchange(
        &self,
        connection: Connection,
        origin: &Origin,
        request: HttpRequest<Body>,
        fetched: &mut Fetched,
        kind: RequestKind,
    ) -> Result<Response, Lost> {
        let limit = self.settings.headers_timeout;
        let timed_out = || Lost::Failed(Failure::new(FailureClass::Timeout, format!("no headers within {limit:?}")));
        let (response, reusable) = match connection {
            Connection::Http1(mut sender) => {
                let sent = tokio::time::timeout(limit, sender.try_send_request(request)).await.map_err(|_| timed_out())?;
                (sent.map_err(lost)?, Some(sender))
            }
            Connection::Http2(mut sender) => {
                let request = absolute(request, origin).map_err(Lost::Failed)?;
                let sent = tokio::time::timeout(limit, sender.try_send_request(request)).await.map_err(|_| timed_out())?;
                (sent.map_err(lost)?, None)
            }
        };
        fetched.answered_at = self.clock.now();
        let response = self.read(response, fetched, kind).await.map_err(Lost::Failed)?;
        if let Some(sender) = reusable {
            self.pool.give(origin, sender, self.clock.now());
        }
        Ok(response)
    }

    /// Reads the body to its end, within the limits.
    async fn read(&self, response: HttpResponse<Incoming>, fetched: &mut Fetched, kind: RequestKind) -> Result<Response, Failure> {
        let (parts, mut body) = response.into_parts();
        let settings = &*self.settings;
        let declared = hyper::body::Body::size_hint(&body).exact();
        if let Some(declared) = declared.filter(|declared| *declared > settings.wire_bytes_max && kind == RequestKind::Page) {
            let max = settings.wire_bytes_max;
            return Err(Failure::new(FailureClass::TooLarge, format!("body of {declared} bytes, allowed are {max}")));
        }
        let most = declared.unwrap_or(settings.wire_bytes_max);
        let mut permit = None;
        let mut bytes = Vec::with_capacity(most.min(settings.free_bytes) as usize * usize::from(declared.is_some()));
        let began = self.clock.now();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| Failure::new(FailureClass::Protocol, whole(&error)))?;
            let Ok(mut data) = frame.into_data() else { continue };
            fetched.wire_bytes += data.len() as u64;
            if kind == RequestKind::Robots && fetched.wire_bytes > settings.robots_bytes_max as u64 {
                data.truncate(settings.robots_bytes_max.saturating_sub(bytes.len()));
                bytes.extend_from_slice(data.chunk());
                break;
            }
            if fetched.wire_bytes > settings.wire_bytes_max {
                let max = settings.wire_bytes_max;
                return Err(Failure::new(FailureClass::TooLarge, format!("body of more than {max} bytes")));
            }
            bytes.extend_from_slice(data.chunk());
            drop(data);
            if permit.is_none() && fetched.wire_bytes > settings.free_bytes {
                permit = Some(self.budget.take(most).await);
            }
            self.check_rate(began, fetched.wire_bytes)?;
        }
        let body = self.decoded(&parts.headers, bytes)?;
        Ok(Response { status: parts.status.as_u16(), headers: parts.headers, body })
    }

    fn check_rate(&self, began: Tick, bytes: u64) -> Result<(), Failure> {
        let took = self.clock.now().since(began);
        let slow = took > self.settings.rate_grace && (bytes as f64) < self.settings.rate_min as f64 * took.as_secs_f64();
        if slow {
            let min = self.settings.rate_min;
            return Err(Failure::new(FailureClass::Timeout, format!("{bytes} bytes in {took:?}, slower than {min} a second")));
        }
        Ok(())
    }

    fn decoded(&self, headers: &HeaderMap, body: Vec<u8>) -> Result<Vec<u8>, Failure> {
        if !headers.contains_key(header::CONTENT_ENCODING) {
            if body.len() as u64 > self.settings.body_bytes_max {
                let max = self.settings.body_bytes_max;
                return Err(Failure::new(FailureClass::TooLarge, format!("body of more than {max} bytes")));
            }
            return Ok(body);
        }
        let tokens: Vec<&str> = headers.get_all(header::CONTENT_ENCODING).iter().filter_map(|value| value.to_str().ok()).collect();
        let (_, undone) = split_encodings(&tokens);
        let limits = DecodeLimits { bytes_max: self.settings.body_bytes_max, ratio_max: self.settings.ratio_max };
        decode(&undone, body, limits).map_err(|error| match error {
            DecodeError::TooLarge { .. } => Failure::new(FailureClass::TooLarge, error.to_string()),
            DecodeError::Invalid { .. } => Failure::new(FailureClass::Decode, error.to_string()),
        })
    }
}

/// Why an exchange gave no response.
enum Lost {
    /// Not a byte was written: the request comes back.
    Unsent(Box<HttpRequest<Body>>, String),
    /// It may have reached the server.
    Failed(Failure),
}

fn lost(mut error: hyper::client::conn::TrySendError<HttpRequest<Body>>) -> Lost {
    let reason = whole(error.error());
    match error.take_message() {
        Some(request) => Lost::Unsent(Box::new(request), reason),
        None => Lost::Failed(Failure::new(FailureClass::Protocol, reason)),
    }
}

/// An error with its causes, as one line.
fn whole(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

fn absolute(mut request: HttpRequest<Body>, origin: &Origin) -> Result<HttpRequest<Body>, Failure> {
    let host = request.headers_mut().remove(header::HOST);
    let host = host.as_ref().and_then(|host| host.to_str().ok()).unwrap_or(&origin.host);
    let scheme = if origin.tls { "https" } else { "http" };
    let uri = format!("{scheme}://{host}{}", request.uri());
    *request.uri_mut() = uri.parse().map_err(|_| Failure::new(FailureClass::BadRequest, "a URL that HTTP/2 cannot send"))?;
    Ok(request)
}

/// `strict-origin-when-cross-origin`: the whole page to the same origin, the origin alone to others, nothing from https to http.
fn referer_for(referer: &str, target: &Uri) -> Option<HeaderValue> {
    let from: Uri = referer.parse().ok()?;
    if from.scheme_str() == Some("https") && target.scheme_str() != Some("https") {
        return None;
    }
    if from.scheme() == target.scheme() && from.authority() == target.authority() {
        return HeaderValue::from_str(referer).ok();
    }
    HeaderValue::from_str(&format!("{}://{}/", from.scheme_str()?, from.authority()?)).ok()
}

