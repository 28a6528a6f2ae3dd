//! The request as it goes on the wire: method, path, headers, body.
//!
//! Invariant: what a spider adds cannot change how the message is framed or where it goes.

use crate::http1::Body;
use crate::pool::Site;
use crate::target::Target;
use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::uri::{self, Uri};
use weir_model::{LinkExtra, Method, Request};

const ACCEPT: HeaderValue = HeaderValue::from_static("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8");
const ACCEPT_ENCODING: HeaderValue = HeaderValue::from_static("gzip, deflate, br, zstd");
const ACCEPT_LANGUAGE: HeaderValue = HeaderValue::from_static("en");

/// Headers that say how a message is framed or forwarded: hyper's and ours alone.
const FRAMING: [HeaderName; 7] = [
    header::HOST,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::TE,
    header::TRAILER,
];

fn method(method: Method) -> http::Method {
    match method {
        Method::Get => http::Method::GET,
        Method::Post => http::Method::POST,
        Method::Put => http::Method::PUT,
        Method::Head => http::Method::HEAD,
        Method::Delete => http::Method::DELETE,
        Method::Patch => http::Method::PATCH,
        Method::Options => http::Method::OPTIONS,
    }
}

/// A checked request, to be made for the connection that takes it.
pub(crate) struct Prepared<'a> {
    extra: Option<&'a LinkExtra>,
    path: uri::PathAndQuery,
    method: http::Method,
    headers: HeaderMap,
}

/// Checks a request; `Err` says what is wrong with it.
pub(crate) fn prepare<'a>(
    request: &'a Request,
    target: &Target<'_>,
    site: &Site,
    user_agent: &HeaderValue,
) -> Result<Prepared<'a>, String> {
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(header::HOST, site.place.header.clone());
    headers.insert(header::USER_AGENT, user_agent.clone());
    headers.insert(header::ACCEPT, ACCEPT);
    headers.insert(header::ACCEPT_LANGUAGE, ACCEPT_LANGUAGE);
    headers.insert(header::ACCEPT_ENCODING, ACCEPT_ENCODING);
    if let Some(referer) = request.referer.as_deref().and_then(|referer| target.referer(referer)) {
        headers.insert(header::REFERER, referer);
    }
    let extra = request.extra.as_deref();
    if let Some(extra) = extra {
        add(&mut headers, &extra.headers)?;
    }
    Ok(Prepared { extra, path: target.path_and_query()?, method: method(request.method()), headers })
}

/// A spider's own headers: the first of a name takes the place of ours, more are added to it.
fn add(headers: &mut HeaderMap, own: &[(Box<str>, Box<str>)]) -> Result<(), String> {
    let mut seen: Vec<HeaderName> = Vec::with_capacity(own.len());
    for (name, value) in own {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("{name:?} is no header name"))?;
        // Not printed: it may be a key.
        let value =
            HeaderValue::from_bytes(value.as_bytes()).map_err(|_| format!("the value of {name} is no header value"))?;
        if FRAMING.contains(&name) {
            return Err(format!("header {name} is set by weir: leave it out"));
        }
        if seen.contains(&name) {
            headers.append(name, value);
        } else {
            headers.insert(name.clone(), value);
            seen.push(name);
        }
    }
    Ok(())
}

impl Prepared<'_> {
    fn body(&self) -> Bytes {
        self.extra.and_then(|extra| extra.body.as_deref()).map_or_else(Bytes::new, Bytes::copy_from_slice)
    }

    /// As HTTP/1.1 has it: the path in the request line, the host in a header.
    pub fn for_http1(self) -> http::Request<Body> {
        let mut made = http::Request::new(Body::new(self.body()));
        *made.method_mut() = self.method;
        *made.uri_mut() = Uri::from(self.path);
        *made.headers_mut() = self.headers;
        made
    }

    /// As HTTP/2 has it: the whole URI, in pseudo-headers.
    pub fn for_http2(mut self, site: &Site) -> Result<http::Request<Bytes>, String> {
        let mut parts = uri::Parts::default();
        parts.scheme = Some(if site.tls { uri::Scheme::HTTPS } else { uri::Scheme::HTTP });
        parts.authority =
            Some(uri::Authority::try_from(site.place.header.as_bytes()).map_err(|error| error.to_string())?);
        let body = self.body();
        parts.path_and_query = Some(self.path);
        self.headers.remove(header::HOST);
        if !body.is_empty() {
            self.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        }
        let mut made = http::Request::new(body);
        *made.method_mut() = self.method;
        *made.uri_mut() = Uri::from_parts(parts).map_err(|error| error.to_string())?;
        *made.headers_mut() = self.headers;
        Ok(made)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(pairs: &[(&str, &str)]) -> Result<HeaderMap, String> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, ACCEPT);
        let pairs: Vec<_> = pairs.iter().map(|(name, value)| (Box::from(*name), Box::from(*value))).collect();
        add(&mut headers, &pairs).map(|()| headers)
    }

    #[test]
    fn a_spiders_headers_take_the_place_of_ours_and_keep_their_repetitions() {
        let headers = own(&[("Accept", "application/json"), ("X-A", "1"), ("x-a", "2")]).expect("headers");
        assert_eq!(headers.get_all("accept").iter().collect::<Vec<_>>(), ["application/json"]);
        assert_eq!(headers.get_all("x-a").iter().collect::<Vec<_>>(), ["1", "2"]);
    }

    #[test]
    fn a_spider_cannot_change_how_a_message_is_framed() {
        assert_eq!(
            own(&[("Content-Length", "3")]).expect_err("framing"),
            "header content-length is set by weir: leave it out"
        );
        assert_eq!(own(&[("X-A", "1\r\nX-B: 2")]).expect_err("a line break"), "the value of x-a is no header value");
        assert_eq!(own(&[("X A", "1")]).expect_err("a space"), "\"X A\" is no header name");
    }
}
