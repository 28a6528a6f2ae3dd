//! Reading an answer's body: within time, rate, bytes and the common memory, then decoded.
//!
//! Invariants: beyond `free_bytes` nothing more is read before the budget has given room for all of it; a body that stops
//! coming is given up; what is held never passes the limits. Decoding waits for nothing: a thread has one body under the
//! decoder at a time, and what came out holds room like what was read, as far as there is any.

use crate::answer::{Failure, Response};
use crate::budget::{ByteBudget, Room};
use crate::decode::{DecodeError, DecodeLimits, append, decode, split_encodings};
use crate::http1::{Broken, Http1};
use crate::http2::poll_data;
use crate::settings::FetchSettings;
use bytes::Bytes;
use h2::RecvStream;
use http::header::{self, HeaderMap};
use hyper::body::{Body as _, Incoming};
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep};
use weir_model::{FailureClass, RequestKind};

/// Where a body comes from.
pub(crate) enum Source<'a> {
    Http1 { connection: &'a mut Http1, body: Incoming },
    Http2(RecvStream),
}

impl Source<'_> {
    /// The length that the headers promise.
    pub fn declared(&self, headers: &HeaderMap) -> Option<u64> {
        match self {
            Source::Http1 { body, .. } => body.size_hint().exact(),
            Source::Http2(body) if body.is_end_stream() => Some(0),
            Source::Http2(_) => headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok(),
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Broken>>> {
        match self {
            Source::Http2(body) => poll_data(body, cx),
            Source::Http1 { connection, body } => loop {
                match std::task::ready!(connection.poll_frame(body, cx)) {
                    None => return Poll::Ready(None),
                    Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                    Some(Ok(frame)) => {
                        // Trailers say nothing that a crawl uses.
                        if let Ok(data) = frame.into_data() {
                            return Poll::Ready(Some(Ok(data)));
                        }
                    }
                }
            },
        }
    }
}

/// When a body must have come.
pub(crate) struct Pace<'a> {
    pub timer: Pin<&'a mut Sleep>,
    /// The end of the request's time.
    pub ends_at: Instant,
    /// What ends it: the function's deadline, or the time-out.
    pub by_deadline: bool,
    pub total: Duration,
}

impl Pace<'_> {
    /// What is said when the time has ended.
    pub fn ended(&self) -> String {
        match self.by_deadline {
            true => "cut off by the function's deadline".into(),
            false => format!("not done within {:?}", self.total),
        }
    }
}

/// What is read of a body.
pub(crate) struct Wanted {
    pub kind: RequestKind,
    pub status: u16,
}

impl Wanted {
    /// Only of a page all is needed; of what is none, a part will do.
    fn part_will_do(&self) -> bool {
        !(200..300).contains(&self.status)
    }
}

/// What was read.
pub(crate) struct Read {
    pub bytes: Vec<u8>,
    room: Option<Room>,
    /// The end was reached, so the connection can take another request.
    pub whole: bool,
}

pub(crate) struct Reader<'a> {
    pub settings: &'a FetchSettings,
    pub budget: &'a ByteBudget,
}

impl Reader<'_> {
    /// Reads the body to its end, or as far as it is wanted.
    pub async fn read(
        &self,
        source: &mut Source<'_>,
        declared: Option<u64>,
        wanted: &Wanted,
        mut pace: Pace<'_>,
        wire_bytes: &mut u64,
    ) -> Result<Read, Failure> {
        let settings = self.settings;
        let robots = wanted.kind == RequestKind::Robots;
        // How much is read at all, and whether more than that is a failure.
        let (most, more_fails) = match wanted.part_will_do() {
            true => (settings.free_bytes.min(settings.wire_bytes_max), false),
            false if robots => (settings.robots_bytes_max as u64, false),
            false => (settings.wire_bytes_max, true),
        };
        if let Some(declared) = declared.filter(|declared| more_fails && *declared > most) {
            return Err(Failure::new(
                FailureClass::TooLarge,
                format!("body of {declared} bytes, fetch.wire_bytes_max allows {most}"),
            ));
        }
        let expected = declared.unwrap_or(most).min(most);
        let mut room = None;
        let mut bytes = Vec::with_capacity(declared.unwrap_or(0).min(settings.free_bytes).min(most) as usize);
        let mut window = Window { bytes: 0, ends_at: None };
        loop {
            if room.is_none()
                && expected > settings.free_bytes
                && (declared.is_some() || *wire_bytes > settings.free_bytes)
            {
                room = Some(self.room(expected, &mut pace).await?);
                bytes.reserve_exact(if declared.is_some() { expected as usize - bytes.len() } else { 0 });
                // It was our turn that was waited for, not the server's.
                window.ends_at = None;
            }
            let data = match self.next(source, &mut pace, &mut window, *wire_bytes).await {
                Ok(Some(data)) => data,
                Ok(None) => return Ok(Read { bytes, room, whole: true }),
                Err(_) if wanted.part_will_do() => return Ok(Read { bytes, room, whole: false }),
                Err(failure) => return Err(failure),
            };
            *wire_bytes += data.len() as u64;
            if *wire_bytes > most {
                if more_fails {
                    return Err(Failure::new(
                        FailureClass::TooLarge,
                        format!("body of more than the {most} bytes that fetch.wire_bytes_max allows"),
                    ));
                }
                let left = most as usize - bytes.len();
                append(&mut bytes, &data[..left.min(data.len())], most as usize);
                return Ok(Read { bytes, room, whole: false });
            }
            append(&mut bytes, &data, most as usize);
        }
    }

    /// Room in the common memory, unless the request's time ends before.
    async fn room(&self, bytes: u64, pace: &mut Pace<'_>) -> Result<Room, Failure> {
        pace.timer.as_mut().reset(pace.ends_at);
        let mut asked = std::pin::pin!(self.budget.take(bytes));
        poll_fn(|cx| match asked.as_mut().poll(cx) {
            Poll::Ready(room) => Poll::Ready(Ok(room)),
            Poll::Pending => pace.timer.as_mut().poll(cx).map(|()| {
                Err(Failure::new(FailureClass::Timeout, format!("{}: it waited for memory for its body", pace.ended())))
            }),
        })
        .await
    }

    /// The next piece, unless time or patience ends before.
    async fn next(
        &self,
        source: &mut Source<'_>,
        pace: &mut Pace<'_>,
        window: &mut Window,
        so_far: u64,
    ) -> Result<Option<Bytes>, Failure> {
        poll_fn(|cx| {
            loop {
                if let Poll::Ready(data) = source.poll(cx) {
                    let broken = |error: Broken| Failure::new(FailureClass::Protocol, error.reason);
                    return Poll::Ready(data.transpose().map_err(broken));
                }
                // The timer is set when there is something to wait for: a small body comes with its headers.
                let window_ends_at = *window.ends_at.get_or_insert_with(|| {
                    window.bytes = so_far;
                    let ends_at = instant() + self.settings.rate_grace;
                    pace.timer.as_mut().reset(ends_at.min(pace.ends_at));
                    ends_at
                });
                std::task::ready!(pace.timer.as_mut().poll(cx));
                if window_ends_at >= pace.ends_at {
                    return Poll::Ready(Err(Failure::new(FailureClass::Timeout, pace.ended())));
                }
                let came = so_far - window.bytes;
                if (came as f64) < self.settings.rate_min as f64 * self.settings.rate_grace.as_secs_f64() {
                    return Poll::Ready(Err(slow(came, self.settings.rate_grace, self.settings.rate_min)));
                }
                window.ends_at = None;
            }
        })
        .await
    }

    /// The answer with its body decoded.
    pub fn decoded(&self, headers: HeaderMap, read: Read, wanted: &Wanted) -> Result<Response, Failure> {
        let Read { bytes, room, .. } = read;
        let mut body = match self.decode(&headers, bytes) {
            Ok(body) => body,
            Err(_) if wanted.part_will_do() => Vec::new(),
            Err(failure) => return Err(failure),
        };
        if wanted.kind == RequestKind::Robots {
            body.truncate(self.settings.robots_bytes_max);
        }
        let room = self.fitted(room, body.capacity() as u64);
        Ok(Response { status: wanted.status, headers, body, room })
    }

    /// The room for a body that is whole: less than was asked for, or more when it was encoded. More is had at once or not at
    /// all: whoever holds room waits for none.
    fn fitted(&self, room: Option<Room>, bytes: u64) -> Option<Room> {
        if bytes <= self.settings.free_bytes {
            return None;
        }
        let Some(mut room) = room else { return self.budget.try_take(bytes) };
        room.shrink(bytes);
        if let Some(more) = bytes.checked_sub(room.bytes()).and_then(|more| self.budget.try_take(more)) {
            room.join(more);
        }
        Some(room)
    }

    fn decode(&self, headers: &HeaderMap, body: Vec<u8>) -> Result<Vec<u8>, Failure> {
        let max = self.settings.body_bytes_max;
        if !headers.contains_key(header::CONTENT_ENCODING) {
            if body.len() as u64 > max {
                return Err(Failure::new(
                    FailureClass::TooLarge,
                    format!("body of more than the {max} bytes that fetch.body_bytes_max allows"),
                ));
            }
            return Ok(body);
        }
        let tokens: Vec<&str> =
            headers.get_all(header::CONTENT_ENCODING).iter().filter_map(|value| value.to_str().ok()).collect();
        let (_, undone) = split_encodings(&tokens);
        let limits = DecodeLimits { bytes_max: max, ratio_max: self.settings.ratio_max };
        decode(&undone, body, limits).map_err(|error| match error {
            DecodeError::TooLarge { max: met } if met == max => {
                Failure::new(FailureClass::TooLarge, format!("{error}, which fetch.body_bytes_max allows"))
            }
            // More than a page ever shrinks to: a bomb, which no setting lets in.
            DecodeError::TooLarge { .. } => {
                let most = self.settings.ratio_max;
                Failure::new(FailureClass::TooLarge, format!("{error}: a body may grow to {most} times what was sent"))
            }
            DecodeError::TooMany { .. } => Failure::new(FailureClass::TooLarge, error.to_string()),
            DecodeError::Invalid { .. } => Failure::new(FailureClass::Decode, error.to_string()),
        })
    }
}

/// A stretch of time in which a body must bring its minimum.
struct Window {
    bytes: u64,
    ends_at: Option<Instant>,
}

fn slow(came: u64, took: Duration, rate_min: u64) -> Failure {
    Failure::new(
        FailureClass::Timeout,
        format!("{came} bytes of the body in {took:?}, expected at least {rate_min} a second"),
    )
}

/// Now, for the runtime's timers.
#[allow(clippy::disallowed_methods, reason = "timers are set by the runtime's own clock")]
pub(crate) fn instant() -> Instant {
    Instant::now()
}
