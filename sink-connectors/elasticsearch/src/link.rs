//! One HTTP/1.1 connection: made when it is needed, thrown away when it is in doubt.
//!
//! Invariants: a request and its answer take no longer than the place's time-out; an idle connection that turns out to be dead is
//! replaced once (every request of ours may be repeated); nothing follows a redirect; nothing else is tried again here.

use crate::place::ElasticsearchPlace;
use crate::tls;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde_json::Value as Json;
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use weir_connector::{ErrorClass, SinkError};

/// Largest answer that is read. A page of a migration asks for less when it is reached.
const ANSWER_BYTES_MAX: usize = 128 << 20;

/// What the server said.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub status: u16,
    pub body: Bytes,
}

impl Answer {
    pub fn is_ok(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body as JSON; `Null` when it is none.
    pub fn json(&self) -> Json {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    /// No connection.
    Unreachable(String),
    /// The certificate or the handshake.
    Tls(String),
    /// The connection ended before the answer did.
    Lost(String),
    /// Not within the named setting.
    TimedOut(&'static str),
    /// Longer than is read.
    TooLong,
}

/// What a request carries.
#[derive(Clone, Debug)]
pub(crate) enum Body {
    None,
    Json(Bytes),
    Lines(Bytes),
}

impl Body {
    pub fn json(value: &impl Serialize) -> Body {
        Body::Json(serde_json::to_vec(value).expect("keys are strings, and nothing else can fail").into())
    }
}

pub(crate) struct Link {
    pub place: ElasticsearchPlace,
    authorization: Option<HeaderValue>,
    host: HeaderValue,
    tls: Option<TlsConnector>,
    conn: Option<Conn>,
}

struct Conn {
    sender: SendRequest<Full<Bytes>>,
    task: AbortHandle,
}

impl Drop for Conn {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("place", &self.place).finish_non_exhaustive()
    }
}

impl Link {
    pub fn new(place: ElasticsearchPlace, authorization: Option<HeaderValue>) -> Result<Link, SinkError> {
        let refuse = |what: String| {
            SinkError::new(
                ErrorClass::Configuration,
                what,
                place.shown.clone(),
                "a server's name and, with tls_ca=, a readable PEM file of roots",
                "Correct the URL",
            )
        };
        let name = if place.host.contains(':') { format!("[{}]", place.host) } else { place.host.clone() };
        let host = HeaderValue::try_from(format!("{name}:{}", place.port));
        let host = host.map_err(|_| refuse(format!("{:?} is no name of a server", place.host)))?;
        let tls = tls::connector(&place.tls).map_err(|why| refuse(format!("no TLS: {why}")))?;
        Ok(Link { place, authorization, host, tls, conn: None })
    }

    /// Asks and waits for the whole answer. `path` begins with a slash and is encoded.
    pub async fn ask(&mut self, method: Method, path: &str, body: &Body) -> Result<Answer, NoAnswer> {
        let was_idle = self.conn.is_some();
        match self.once(method.clone(), path, body).await {
            Err(NoAnswer::Lost(_)) if was_idle => self.once(method, path, body).await,
            result => result,
        }
    }

    async fn once(&mut self, method: Method, path: &str, body: &Body) -> Result<Answer, NoAnswer> {
        // Taken out: whatever ends this early, a time-out or a drop, leaves no connection with half an answer behind.
        let mut conn = match self.conn.take().filter(|conn| !conn.sender.is_closed()) {
            Some(conn) => conn,
            None => self.connect().await?,
        };
        let request = self.request(method, path, body);
        let exchange = async {
            let lost = |error: hyper::Error| NoAnswer::Lost(said(&error));
            conn.sender.ready().await.map_err(lost)?;
            let answer = conn.sender.send_request(request).await.map_err(lost)?;
            let status = answer.status().as_u16();
            let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await.map_err(|error| {
                if error.is::<LengthLimitError>() { NoAnswer::TooLong } else { NoAnswer::Lost(said(&*error)) }
            })?;
            Ok(Answer { status, body: body.to_bytes() })
        };
        let answer = timeout(self.place.timeout, exchange).await.map_err(|_| NoAnswer::TimedOut("timeout"))??;
        self.conn = Some(conn);
        Ok(answer)
    }

    fn request(&self, method: Method, path: &str, body: &Body) -> Request<Full<Bytes>> {
        let (kind, bytes) = match body {
            Body::None => (None, Bytes::new()),
            Body::Json(bytes) => (Some("application/json"), bytes.clone()),
            Body::Lines(bytes) => (Some("application/x-ndjson"), bytes.clone()),
        };
        let mut request = Request::new(Full::new(bytes));
        *request.method_mut() = method;
        *request.uri_mut() =
            format!("{}{path}", self.place.prefix).parse().expect("made of a URL's path and encoded names");
        let headers = request.headers_mut();
        headers.insert(header::HOST, self.host.clone());
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(header::USER_AGENT, HeaderValue::from_static("weir"));
        if let Some(kind) = kind {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        }
        if let Some(authorization) = &self.authorization {
            headers.insert(header::AUTHORIZATION, authorization.clone());
        }
        request
    }

    async fn connect(&self) -> Result<Conn, NoAnswer> {
        let connecting = async {
            let unreachable = |error: std::io::Error| NoAnswer::Unreachable(error.to_string());
            let stream = TcpStream::connect((self.place.host.as_str(), self.place.port)).await.map_err(unreachable)?;
            stream.set_nodelay(true).map_err(unreachable)?;
            let Some(tls) = &self.tls else { return handshake(TokioIo::new(stream)).await };
            let name = rustls::pki_types::ServerName::try_from(self.place.host.clone());
            let name = name.map_err(|error| NoAnswer::Tls(error.to_string()))?;
            let stream = tls.connect(name, stream).await.map_err(|error| NoAnswer::Tls(error.to_string()))?;
            handshake(TokioIo::new(stream)).await
        };
        timeout(self.place.connect_timeout, connecting).await.map_err(|_| NoAnswer::TimedOut("connect_timeout"))?
    }
}

async fn handshake(io: impl hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static) -> Result<Conn, NoAnswer> {
    let (sender, connection) = http1::handshake(io).await.map_err(|error| NoAnswer::Unreachable(said(&error)))?;
    // Its error comes to the request that meets it.
    let task = tokio::spawn(async move { drop(connection.await) }).abort_handle();
    Ok(Conn { sender, task })
}

/// An error with its causes.
fn said(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}
