//! One connection: read heads, answer them in order, keep it alive. Answers to requests that arrived together leave in
//! one write.

use super::{Shared, perform};
use crate::clock::UnixMicros;
use crate::log::Entry;
use crate::pages::Hostile;
use crate::reply::{Body, Reply, reason};
use crate::request::{Request, find_header};
use std::io;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A head larger than this is refused.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// A request body larger than this is refused.
const BODY_BYTES_MAX: usize = 1 << 20;
const HEADERS_MAX: usize = 64;

/// What a look at the buffer found.
enum Step {
    /// The request is not complete; at least so many bytes belong to it.
    Incomplete,
    /// One request was answered into the output.
    Answered { bytes: usize, keep: bool, pause: std::time::Duration, hostile: Option<Hostile> },
}

/// Buffers that live as long as the connection.
#[derive(Default)]
struct Buffers {
    page: String,
    out: Vec<u8>,
}

pub(super) async fn serve(mut stream: TcpStream, port: u16, shared: Arc<Shared>) {
    // Errors are the client's going away; there is nobody to tell.
    let _ = stream.set_nodelay(true);
    let _ = converse(&mut stream, port, &shared).await;
}

async fn converse(stream: &mut TcpStream, port: u16, shared: &Shared) -> io::Result<()> {
    let mut input: Vec<u8> = Vec::with_capacity(4 << 10);
    let mut buffers = Buffers::default();
    loop {
        if stream.read_buf(&mut input).await? == 0 {
            return Ok(());
        }
        // Once a read: requests that came together arrived together, however long the first of them takes.
        let arrived = shared.clock.now();
        let mut used = 0;
        while used < input.len() {
            match step(&input[used..], arrived, port, shared, &mut buffers) {
                Step::Incomplete => break,
                Step::Answered { bytes, keep, pause, hostile } => {
                    used += bytes;
                    if !pause.is_zero() {
                        tokio::time::sleep(pause).await;
                    }
                    if let Some(hostile) = hostile {
                        stream.write_all(&buffers.out).await?;
                        return perform::perform(hostile, stream).await;
                    }
                    if !keep {
                        stream.write_all(&buffers.out).await?;
                        return stream.shutdown().await;
                    }
                }
            }
        }
        if !buffers.out.is_empty() {
            stream.write_all(&buffers.out).await?;
            buffers.out.clear();
            // One bomb or endless sitemap should not be held for as long as the connection lives.
            buffers.out.shrink_to(256 << 10);
            buffers.page.shrink_to(256 << 10);
        }
        if used == input.len() {
            input.clear();
        } else {
            input.drain(..used);
        }
    }
}

/// Answers the first request of `input`, when it is complete.
fn step(input: &[u8], arrived: UnixMicros, port: u16, shared: &Shared, buffers: &mut Buffers) -> Step {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut head = httparse::Request::new(&mut headers);
    let head_bytes = match head.parse(input) {
        Ok(httparse::Status::Complete(bytes)) => bytes,
        Ok(httparse::Status::Partial) if input.len() < HEAD_BYTES_MAX => return Step::Incomplete,
        Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => return refuse(431, input, buffers),
        Err(_) => return refuse(400, input, buffers),
    };
    let body_bytes = match (find_header(head.headers, "content-length"), find_header(head.headers, "transfer-encoding"))
    {
        (None, None) => 0,
        (Some(length), None) => match length.parse::<usize>() {
            Ok(bytes) if bytes <= BODY_BYTES_MAX => bytes,
            Ok(_) => return refuse(413, input, buffers),
            Err(_) => return refuse(400, input, buffers),
        },
        _ => return refuse(411, input, buffers),
    };
    let Some(body) = input.get(head_bytes..head_bytes + body_bytes) else { return Step::Incomplete };
    let (mut host, mut target) = (find_header(head.headers, "host").unwrap_or("localhost"), head.path.unwrap_or("/"));
    if let Some(rest) = target.strip_prefix("http://") {
        // The form that is sent to proxies (RFC 9112, 3.2.2); its host wins.
        let at = rest.find('/').unwrap_or(rest.len());
        (host, target) = (&rest[..at], if at == rest.len() { "/" } else { &rest[at..] });
    }
    if !target.starts_with('/') {
        return refuse(400, input, buffers);
    }
    let method = head.method.unwrap_or("GET");
    let keep = match find_header(head.headers, "connection") {
        Some(value) if value.eq_ignore_ascii_case("close") => false,
        Some(value) if value.eq_ignore_ascii_case("keep-alive") => true,
        _ => head.version == Some(1),
    };
    let request = Request { method, target, host, headers: head.headers, body };
    let reply = shared.world.answer(&request, arrived, &mut buffers.page);
    shared.log.note(Entry { arrived, host, method, path: target, status: reply.status, port });
    let hostile = match reply.body {
        Body::Hostile(what) => Some(what),
        _ => None,
    };
    let pause = reply.wait;
    if hostile.is_none() {
        write(&mut buffers.out, &buffers.page, reply, method == "HEAD", keep);
    }
    Step::Answered { bytes: head_bytes + body_bytes, keep, pause, hostile }
}

/// Refuses what is no request, and ends the connection: where the next one begins is unknown.
fn refuse(status: u16, input: &[u8], buffers: &mut Buffers) -> Step {
    let reply = Reply::status(&mut buffers.page, status);
    write(&mut buffers.out, &buffers.page, reply, false, false);
    Step::Answered { bytes: input.len(), keep: false, pause: std::time::Duration::ZERO, hostile: None }
}

/// Appends an answer.
fn write(out: &mut Vec<u8>, page: &str, mut reply: Reply, head_only: bool, keep: bool) {
    let packed;
    let mut body = match &reply.body {
        Body::Page => page.as_bytes(),
        Body::Bytes(bytes) => bytes.as_slice(),
        Body::Hostile(_) => unreachable!("hostile answers are performed, not written"),
    };
    if reply.gzip && reply.status == 200 && !reply.headers.contains("content-encoding") {
        packed = crate::pages::gzip(body);
        body = &packed;
        reply.headers.push_str("content-encoding: gzip\r\nvary: accept-encoding\r\n");
    }
    let mut digits = itoa::Buffer::new();
    out.reserve(256 + reply.headers.len() + body.len());
    let mut put = |text: &str| out.extend_from_slice(text.as_bytes());
    put("HTTP/1.1 ");
    put(digits.format(reply.status));
    put(" ");
    put(reason(reply.status));
    put("\r\n");
    // Neither has a body (RFC 9110, 15.3.5 and 15.4.5), and a length would be taken for that of the page.
    let bodiless = matches!(reply.status, 204 | 304);
    if !bodiless {
        put("content-type: ");
        put(reply.content_type);
        put("\r\ncontent-length: ");
        put(digits.format(body.len()));
        put("\r\n");
    }
    put(&reply.headers);
    put(if keep { "\r\n" } else { "connection: close\r\n\r\n" });
    if !head_only && !bodiless {
        out.extend_from_slice(body);
    }
}
