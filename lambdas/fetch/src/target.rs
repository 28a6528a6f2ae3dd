//! A URL, taken apart as far as a request needs it: origin, Host, path and query.
//!
//! The frontier sends canonical URLs (absolute, percent-encoded); what is not, is encoded here or refused by name. Userinfo and
//! fragment never leave this module.

use http::HeaderValue;
use http::uri::PathAndQuery;
use std::borrow::Cow;
use std::fmt::Write;

/// A URL in parts, borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target<'a> {
    pub tls: bool,
    /// Scheme, `://` and authority: the key of its site.
    pub origin: &'a str,
    pub authority: &'a str,
    pub path: &'a str,
}

/// Where a site is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Name or address; IPv6 without its brackets.
    pub host: Box<str>,
    pub port: u16,
    /// The Host header: the port is left out when it is the scheme's own.
    pub header: HeaderValue,
}

impl<'a> Target<'a> {
    pub fn parse(url: &'a str) -> Result<Target<'a>, String> {
        let colon = url.find("://").ok_or("no absolute URL")?;
        let tls = match &url[..colon] {
            scheme if scheme.eq_ignore_ascii_case("http") => false,
            scheme if scheme.eq_ignore_ascii_case("https") => true,
            scheme => return Err(format!("scheme {scheme}: expected http or https")),
        };
        let rest = &url[colon + 3..];
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let path = &path[..path.find('#').unwrap_or(path.len())];
        Ok(Target { tls, origin: &url[..colon + 3 + end], authority, path })
    }

    /// Host and port of the authority.
    pub fn place(&self) -> Result<Place, String> {
        let bare = self.authority.rsplit_once('@').map_or(self.authority, |(_, bare)| bare);
        let (host, port) = match bare.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, Some(port)),
            _ => (bare, None),
        };
        let own = if self.tls { 443 } else { 80 };
        let port = match port {
            None | Some("") => own,
            Some(port) => {
                port.parse().ok().filter(|port| *port > 0).ok_or_else(|| format!("port {port}: expected 1 to 65535"))?
            }
        };
        if host.is_empty() {
            return Err("a URL without a host".into());
        }
        let header = if port == own { Cow::Borrowed(host) } else { Cow::Owned(format!("{host}:{port}")) };
        let header = HeaderValue::from_str(&header).map_err(|_| format!("{host:?} is no host"))?;
        let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        Ok(Place { host: bracketed.unwrap_or(host).to_ascii_lowercase().into(), port, header })
    }

    /// Path and query as they are sent.
    pub fn path_and_query(&self) -> Result<PathAndQuery, String> {
        let whole =
            if self.path.starts_with('/') { Cow::Borrowed(self.path) } else { Cow::Owned(format!("/{}", self.path)) };
        let parsed = match whole.is_ascii() {
            true => PathAndQuery::try_from(&*whole).ok(),
            false => None,
        };
        match parsed {
            Some(parsed) => Ok(parsed),
            None => PathAndQuery::try_from(encoded(&whole)).map_err(|error| error.to_string()),
        }
    }

    /// The Referer for a request to this one: `strict-origin-when-cross-origin` (the whole URL to the same origin, the origin
    /// alone to others, nothing from https to http).
    pub fn referer(&self, from: &str) -> Option<HeaderValue> {
        let from = Target::parse(from).ok()?;
        if from.tls && !self.tls || from.authority.contains('@') {
            return None;
        }
        if from.origin == self.origin {
            let whole = [from.origin, from.path].concat();
            return HeaderValue::try_from(whole).ok();
        }
        HeaderValue::try_from(format!("{}/", from.origin)).ok()
    }
}

/// What no request line may hold, percent-encoded.
fn encoded(path: &str) -> String {
    let mut out = String::with_capacity(path.len() + 16);
    for byte in path.bytes() {
        if matches!(byte, 0x21 | 0x23..=0x3b | 0x3d | 0x3f..=0x5b | 0x5d | 0x5f | 0x61..=0x7a | 0x7e) {
            out.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn place(url: &str) -> (String, u16, String) {
        let place = Target::parse(url).and_then(|target| target.place()).expect("a place");
        (place.host.into(), place.port, place.header.to_str().expect("ascii").to_owned())
    }

    #[test]
    fn host_and_port_come_out_of_every_form_of_authority() {
        assert_eq!(place("http://example.com/a"), ("example.com".into(), 80, "example.com".into()));
        assert_eq!(place("https://example.com:443"), ("example.com".into(), 443, "example.com".into()));
        assert_eq!(place("HTTP://Example.com:8080?q"), ("example.com".into(), 8080, "Example.com:8080".into()));
        assert_eq!(place("http://[::1]/"), ("::1".into(), 80, "[::1]".into()));
        assert_eq!(place("http://[::1]:81/"), ("::1".into(), 81, "[::1]:81".into()));
        assert_eq!(place("http://user:secret@example.com/"), ("example.com".into(), 80, "example.com".into()));
    }

    #[test]
    fn what_is_no_address_of_a_page_is_refused_by_name() {
        for (url, why) in [
            ("/relative", "no absolute URL"),
            ("ftp://example.com/", "scheme ftp: expected http or https"),
            ("http:///path", "a URL without a host"),
            ("http://example.com:0/", "port 0: expected 1 to 65535"),
            ("http://example.com:70000/", "port 70000: expected 1 to 65535"),
            ("http://a\nb/", "\"a\\nb\" is no host"),
        ] {
            let error = Target::parse(url).and_then(|target| target.place()).expect_err(url);
            assert_eq!(error, why);
        }
    }

    #[test]
    fn paths_are_sent_as_they_are_and_what_cannot_be_is_encoded() {
        let path = |url| Target::parse(url).and_then(|target| target.path_and_query()).expect(url).as_str().to_owned();
        assert_eq!(path("http://h"), "/");
        assert_eq!(path("http://h?a=1"), "/?a=1");
        assert_eq!(path("http://h/a%20b;c=1?q=[1]&r={2}#fragment"), "/a%20b;c=1?q=[1]&r={2}");
        assert_eq!(path("http://h/£ b"), "/%C2%A3%20b");
    }

    #[test]
    fn referer_is_whole_within_an_origin_and_bare_across() {
        let referer = |from, to| Target::parse(to).expect("a URL").referer(from);
        let text = |text| Some(HeaderValue::from_static(text));
        assert_eq!(referer("http://h/a?b#c", "http://h/d"), text("http://h/a?b"));
        assert_eq!(referer("http://h/a", "http://h:81/d"), text("http://h/"));
        assert_eq!(referer("https://h/a", "https://i/d"), text("https://h/"));
        assert_eq!(referer("https://h/a", "http://h/d"), None, "nothing leaves TLS");
        assert_eq!(referer("http://me:secret@h/a", "http://h/d"), None, "no password travels");
    }

    proptest! {
        #[test]
        fn no_url_panics_and_no_line_break_gets_into_a_request(url in "https?://\\PC{0,20}(/|\\?)?[\\x00-\\x7f£]{0,20}") {
            if let Ok(target) = Target::parse(&url) {
                let _ = target.place();
                if let Ok(path) = target.path_and_query() {
                    prop_assert!(path.as_str().bytes().all(|byte| byte > b' ' && byte < 0x7f), "{path}");
                }
            }
        }
    }
}
