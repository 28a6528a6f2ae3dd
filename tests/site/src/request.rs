//! One request, borrowed from the connection's buffer; and the query and form parsing that the pages need.

use std::borrow::Cow;

/// A request whose head (and body, if any) has been read.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    pub method: &'a str,
    /// Path and query, as sent.
    pub target: &'a str,
    /// The `Host` header, or `localhost`.
    pub host: &'a str,
    pub headers: &'a [httparse::Header<'a>],
    pub body: &'a [u8],
}

impl<'a> Request<'a> {
    /// Path and query of the target.
    pub fn split(&self) -> (&'a str, &'a str) {
        self.target.split_once('?').unwrap_or((self.target, ""))
    }

    /// The value of a header; the first, when it comes several times.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        find_header(self.headers, name)
    }

    /// A cookie's value.
    pub fn cookie(&self, name: &str) -> Option<&'a str> {
        self.header("cookie")?.split(';').find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
    }

    /// Whether the client takes gzip.
    pub fn takes_gzip(&self) -> bool {
        self.header("accept-encoding").is_some_and(|list| {
            list.split(',').any(|entry| {
                let mut parts = entry.split(';');
                let refused = |part: &str| part.trim().replace(' ', "").trim_end_matches(['0', '.']) == "q=";
                parts.next().is_some_and(|name| name.trim().eq_ignore_ascii_case("gzip")) && !parts.any(refused)
            })
        })
    }
}

pub(crate) fn find_header<'a>(headers: &[httparse::Header<'a>], name: &str) -> Option<&'a str> {
    let found = headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
    std::str::from_utf8(found.value).ok().map(str::trim)
}

/// A value of a query string or an urlencoded form.
pub(crate) fn form_value<'a>(text: &'a str, name: &str) -> Option<Cow<'a, str>> {
    text.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(key) == name).then(|| decode(value))
    })
}

fn decode(text: &str) -> Cow<'_, str> {
    if !text.contains(['%', '+']) {
        return Cow::Borrowed(text);
    }
    let spaced = text.replace('+', " ");
    Cow::Owned(percent_encoding::percent_decode_str(&spaced).decode_utf8_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_decoded() {
        let form = "user=user&pass=p%26ss+w%C3%B6rd&empty=";
        assert_eq!(form_value(form, "pass").unwrap(), "p&ss wörd");
        assert_eq!(form_value(form, "empty").unwrap(), "");
        assert_eq!(form_value(form, "none"), None);
    }

    #[test]
    fn gzip_refused_with_a_zero_weight_is_not_taken() {
        for (value, takes) in [
            ("gzip, br", true),
            ("br;q=1, GZIP;q=0.5", true),
            ("gzip;q=0", false),
            ("gzip; q=0.00", false),
            ("br", false),
        ] {
            let headers = [httparse::Header { name: "Accept-Encoding", value: value.as_bytes() }];
            let request = Request { method: "GET", target: "/", host: "", headers: &headers, body: b"" };
            assert_eq!(request.takes_gzip(), takes, "{value}");
        }
    }
}
