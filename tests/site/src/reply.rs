//! What a page answers, before it is bytes: status, type, extra headers, body, and how long to wait.

use crate::pages::Hostile;
use std::time::Duration;

/// An answer. A page's text lies in the buffer that it was rendered into.
#[derive(Debug)]
pub(crate) struct Reply {
    pub status: u16,
    pub content_type: &'static str,
    /// Whole header lines, each ended by CR LF.
    pub headers: String,
    pub body: Body,
    pub wait: Duration,
    /// Whether the answer is compressed when the client takes it.
    pub gzip: bool,
}

/// Where the body is.
#[derive(Debug)]
pub(crate) enum Body {
    /// In the connection's page buffer.
    Page,
    Bytes(Vec<u8>),
    /// Not an answer at all, or not one that ends: performed byte by byte.
    Hostile(Hostile),
}

pub(crate) const HTML: &str = "text/html; charset=utf-8";
pub(crate) const JSON: &str = "application/json; charset=utf-8";
pub(crate) const XML: &str = "application/xml; charset=utf-8";
pub(crate) const PLAIN: &str = "text/plain; charset=utf-8";

impl Reply {
    /// A page that was rendered into the page buffer.
    pub fn page(content_type: &'static str) -> Reply {
        Reply { status: 200, content_type, headers: String::new(), body: Body::Page, wait: Duration::ZERO, gzip: false }
    }

    pub fn bytes(content_type: &'static str, bytes: Vec<u8>) -> Reply {
        Reply { body: Body::Bytes(bytes), ..Reply::page(content_type) }
    }

    pub fn hostile(status: u16, what: Hostile) -> Reply {
        Reply { status, body: Body::Hostile(what), ..Reply::page(HTML) }
    }

    /// A page that says only its status.
    pub fn status(page: &mut String, status: u16) -> Reply {
        page.clear();
        page.push_str("<!DOCTYPE html><html><head><title>");
        crate::portal::push_number(page, u64::from(status), 3);
        page.push_str("</title></head><body><h1>");
        page.push_str(reason(status));
        page.push_str("</h1></body></html>");
        Reply { status, ..Reply::page(HTML) }
    }

    pub fn redirect(page: &mut String, status: u16, location: &str) -> Reply {
        let reply = Reply::status(page, status);
        reply.with("location", location)
    }

    /// Adds a header.
    ///
    /// # Panics
    /// When the value holds a line break: it would be another header.
    pub fn with(mut self, name: &str, value: &str) -> Reply {
        assert!(!value.contains(['\r', '\n']), "a header's value is one line");
        self.headers.push_str(name);
        self.headers.push_str(": ");
        self.headers.push_str(value);
        self.headers.push_str("\r\n");
        self
    }

    pub fn after(self, wait: Duration) -> Reply {
        Reply { wait, ..self }
    }
}

/// The phrase of a status; a status that nobody knows has one too.
pub(crate) fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        other => http::StatusCode::from_u16(other).ok().and_then(|s| s.canonical_reason()).unwrap_or("Unknown"),
    }
}
