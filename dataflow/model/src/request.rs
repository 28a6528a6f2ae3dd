//! Requests and the links that become requests.
//!
//! Invariant: a `LinkBatch` holds the links of one page as one string and one column of spans, so that a page of 1,000
//! links costs two allocations, not thousands.

use crate::TargetId;
use serde::{Deserialize, Serialize};

/// Values that travel from a page to the pages it leads to (`carry`).
pub type Carry = serde_json::Map<String, serde_json::Value>;

/// HTTP method.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// GET.
    #[default]
    Get,
    /// POST.
    Post,
    /// PUT.
    Put,
    /// HEAD.
    Head,
    /// DELETE.
    Delete,
    /// PATCH.
    Patch,
    /// OPTIONS.
    Options,
}

impl Method {
    /// The token on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Head => "HEAD",
            Method::Delete => "DELETE",
            Method::Patch => "PATCH",
            Method::Options => "OPTIONS",
        }
    }
}

/// Why a request is made. Everything that makes an HTTP request passes the frontier, so each kind has a name here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestKind {
    /// A page to search or parse.
    #[default]
    Page,
    /// A robots.txt: its report carries the body, nothing is extracted.
    Robots,
}

/// What is rare in a link, boxed so that the common link stays small.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LinkExtra {
    /// Method, GET by default.
    #[serde(default)]
    pub method: Method,
    /// Request body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Box<[u8]>>,
    /// Extra headers, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(Box<str>, Box<str>)>,
    /// Values for the next page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carry: Option<Box<Carry>>,
}

/// One link: where its URL ends in the batch's string (it begins where the one before ends).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Link {
    /// End of the URL in `LinkBatch::urls`.
    pub end: u32,
    /// What to do with the page.
    pub target: TargetId,
    /// Higher goes first.
    pub priority: i16,
    /// The rare rest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extra: Option<Box<LinkExtra>>,
}

/// Absolute URLs found on one page (or the start URLs of one shard), in order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LinkBatch {
    /// All URLs, one after the other.
    pub urls: String,
    /// Where each ends, and what it is for.
    pub links: Vec<Link>,
}

impl LinkBatch {
    /// Adds a plain GET link.
    pub fn push(&mut self, url: &str, target: TargetId, priority: i16) {
        self.push_extra(url, target, priority, None);
    }

    /// Adds a link with a body, headers or carried values.
    pub fn push_extra(&mut self, url: &str, target: TargetId, priority: i16, extra: Option<Box<LinkExtra>>) {
        self.urls.push_str(url);
        let end = u32::try_from(self.urls.len()).expect("a page is under 4 GB, so its links are too");
        self.links.push(Link { end, target, priority, extra });
    }

    /// Number of links.
    #[must_use]
    pub fn len(&self) -> usize {
        self.links.len()
    }

    /// True when there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.links.is_empty()
    }

    /// Forgets the links, keeps the memory.
    pub fn clear(&mut self) {
        self.urls.clear();
        self.links.clear();
    }

    /// Each URL with its link.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Link)> {
        let mut start = 0;
        self.links.iter().map(move |link| {
            let end = link.end as usize;
            let url = &self.urls[start..end];
            start = end;
            (url, link)
        })
    }

    /// Bytes held, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.urls.len() + self.links.len() * size_of::<Link>()
    }
}

/// One request as a function gets it: everything needed to make it and to process the answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// The URL to fetch, absolute, percent-encoded, without fragment and userinfo.
    pub url: Box<str>,
    /// Why.
    #[serde(default)]
    pub kind: RequestKind,
    /// What to do with the page.
    pub target: TargetId,
    /// Links followed since a start page; redirects do not count.
    pub depth: u16,
    /// Redirects followed to get here.
    #[serde(default)]
    pub redirects: u8,
    /// Failed attempts before this one.
    #[serde(default)]
    pub attempts: u8,
    /// Priority it was queued with.
    #[serde(default)]
    pub priority: i16,
    /// The page that led here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub referer: Option<Box<str>>,
    /// First URL of the redirect chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_url: Option<Box<str>>,
    /// Method, body, headers, carried values when not a plain GET.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extra: Option<Box<LinkExtra>>,
}

impl Request {
    /// Bytes held, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of::<Request>() + self.url.len() + self.referer.as_ref().map_or(0, |r| r.len())
    }

    /// The method.
    #[must_use]
    pub fn method(&self) -> Method {
        self.extra.as_ref().map_or(Method::Get, |extra| extra.method)
    }
}
