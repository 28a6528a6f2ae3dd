//! Links: from what an attribute says to an absolute URL.
//!
//! Decides what `href` means on a page. Invariant: the fast path gives exactly what `url::Url::join` gives, or steps aside
//! (a property test holds them against each other). It takes hrefs in which nothing needs escaping, joined to a base in
//! normal form; nearly all links of nearly all pages are such.

use encoding_rs::Encoding;
use std::borrow::Cow;
use std::cell::OnceCell;
use url::Url;

/// Why an href gives no link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadLink {
    /// Not a URL.
    Malformed,
    /// `mailto:`, `javascript:` and so on.
    OtherScheme,
}

/// Resolves the links of one page.
pub(crate) struct Resolver<'p> {
    base: Cow<'p, str>,
    /// End of `scheme://host:port` when the base is in normal form, else 0: then there is no fast path.
    origin: usize,
    /// End of the path's last `/`, itself included.
    directory: usize,
    /// End of the path.
    path: usize,
    parsed: OnceCell<Option<Url>>,
    /// What queries are sent in; `None` is UTF-8.
    charset: Option<&'static Encoding>,
}

const PATH: u8 = 1;
const QUERY: u8 = 2;

/// Bytes that `url` leaves as they are in a path and in a query.
const PLAIN: [u8; 256] = {
    let mut table = [0u8; 256];
    let mut b = 0;
    while b < 256 {
        let c = b as u8;
        if c.is_ascii_alphanumeric() {
            table[b] = PATH | QUERY;
        }
        b += 1;
    }
    let both = b"-._~!$&()*+,;=:@/%|[]";
    let mut i = 0;
    while i < both.len() {
        table[both[i] as usize] = PATH | QUERY;
        i += 1;
    }
    table[b'\'' as usize] = PATH;
    table[b'?' as usize] = QUERY;
    table[b'`' as usize] = QUERY;
    table[b'{' as usize] = QUERY;
    table[b'}' as usize] = QUERY;
    table[b'^' as usize] = QUERY;
    table
};

/// What a query is in a charset; characters that it does not have are numbered, as in a form (the URL standard, section 1.3).
fn in_charset(charset: &'static Encoding) -> impl Fn(&str) -> Cow<'_, [u8]> {
    move |query| match charset.encode(query) {
        (bytes, _, false) => bytes,
        (_, _, true) => query.chars().flat_map(|c| in_charset_or_numbered(charset, c)).collect(),
    }
}

fn in_charset_or_numbered(charset: &'static Encoding, c: char) -> Vec<u8> {
    match charset.encode(c.encode_utf8(&mut [0; 4])) {
        (bytes, _, false) => bytes.into_owned(),
        (_, _, true) => format!("%26%23{}%3B", u32::from(c)).into_bytes(),
    }
}

impl<'p> Resolver<'p> {
    /// For a page at `url`.
    pub fn new(url: &'p str) -> Resolver<'p> {
        Resolver::of(Cow::Borrowed(url))
    }

    /// For a page at `url` whose `<base href>` is `href`; a base that is no URL counts as none.
    pub fn with_base(url: &'p str, href: &str) -> Resolver<'p> {
        let plain = Resolver::new(url);
        let mut base = String::new();
        match plain.resolve(href, false, &mut base) {
            Ok(()) => Resolver::of(Cow::Owned(base)),
            Err(_) => plain,
        }
    }

    fn of(base: Cow<'p, str>) -> Resolver<'p> {
        let (origin, path) = normal_form(&base).unwrap_or((0, 0));
        let directory = base[..path].rfind('/').map_or(0, |at| at + 1);
        Resolver { base, origin, directory, path, parsed: OnceCell::new(), charset: None }
    }

    /// For links of a page in this charset: a server reads the query of a link in the charset of its page, as browsers send it.
    pub fn with_charset(mut self, charset: Option<&'static Encoding>) -> Resolver<'p> {
        self.charset = charset.map(Encoding::output_encoding);
        self
    }

    /// Appends the absolute URL of `href` to `out`, without its fragment unless `fragment`. On an error `out` is as before.
    pub fn resolve(&self, href: &str, fragment: bool, out: &mut String) -> Result<(), BadLink> {
        let href = href.trim_matches(|c: char| c <= ' ');
        let start = out.len();
        let (front, behind) = match href.find('#') {
            Some(at) => (&href[..at], &href[at..]),
            None => (href, ""),
        };
        if self.fast(front, out) && (behind.is_empty() || !fragment || behind.bytes().all(plain_fragment)) {
            if fragment {
                out.push_str(behind);
            }
            return Ok(());
        }
        out.truncate(start);
        let base = self.parsed.get_or_init(|| Url::parse(&self.base).ok());
        let encoded = self.charset.map(in_charset);
        let encode = encoded.as_ref().map(|encode| encode as &dyn Fn(&str) -> Cow<'_, [u8]>);
        let parsed = Url::options().base_url(base.as_ref()).encoding_override(encode).parse(href);
        let Ok(mut url) = parsed else { return Err(BadLink::Malformed) };
        if !matches!(url.scheme(), "http" | "https") {
            return Err(BadLink::OtherScheme);
        }
        if !fragment {
            url.set_fragment(None);
        }
        if !url.username().is_empty() || url.password().is_some() {
            // Neither can fail: an http URL has a host.
            let _ = url.set_username("");
            let _ = url.set_password(None);
        }
        out.push_str(url.as_str());
        Ok(())
    }

    /// The absolute form of a URL value, of any scheme; `Err` gives back what is no URL.
    pub fn absolute<'v>(&self, value: Cow<'v, str>) -> Result<Cow<'v, str>, Cow<'v, str>> {
        let mut out = String::new();
        match self.resolve(&value, true, &mut out) {
            Ok(()) if out == *value => Ok(value),
            Ok(()) => Ok(Cow::Owned(out)),
            Err(BadLink::OtherScheme) => Ok(value),
            Err(BadLink::Malformed) => Err(value),
        }
    }

    /// True for an href that means the page itself.
    pub fn is_self(&self, href: &str) -> bool {
        matches!(self.base, Cow::Borrowed(_))
            && matches!(href.trim_matches(|c: char| c <= ' ').as_bytes(), [] | [b'#', ..])
    }

    fn fast(&self, href: &str, out: &mut String) -> bool {
        if self.origin == 0 {
            return false;
        }
        let bytes = href.as_bytes();
        match bytes {
            [] => {
                // Without a fragment the base itself, query included; it has no fragment in normal form.
                out.push_str(&self.base);
                true
            }
            [b'/', b'/', ..] => false,
            [b'/', ..] => {
                if !plain_path(href) {
                    return false;
                }
                out.push_str(&self.base[..self.origin]);
                out.push_str(href);
                true
            }
            [b'?', query @ ..] => {
                if !query.iter().all(|b| PLAIN[usize::from(*b)] & QUERY != 0) {
                    return false;
                }
                out.push_str(&self.base[..self.path]);
                out.push_str(href);
                true
            }
            [b'h', ..] if href.starts_with("http://") || href.starts_with("https://") => match normal_form(href) {
                Some(_) => {
                    out.push_str(href);
                    true
                }
                None => false,
            },
            _ => self.relative(href, out),
        }
    }

    fn relative(&self, href: &str, out: &mut String) -> bool {
        let mut rest = href;
        let mut directory = self.directory;
        loop {
            if let Some(tail) = rest.strip_prefix("../") {
                let parent = &self.base[self.origin..directory - 1];
                directory = parent.rfind('/').map_or(directory, |at| self.origin + at + 1);
                rest = tail;
            } else if let Some(tail) = rest.strip_prefix("./") {
                rest = tail;
            } else {
                break;
            }
        }
        let first = rest.bytes().find(|b| matches!(b, b':' | b'/' | b'?'));
        if first == Some(b':')
            || rest.starts_with('.')
            || rest.starts_with('/')
            || rest.is_empty()
            || rest.starts_with('?')
        {
            return false;
        }
        if !plain_path(rest) {
            return false;
        }
        out.push_str(&self.base[..directory]);
        out.push_str(rest);
        true
    }
}

fn plain_fragment(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/%?#".contains(&b)
}

/// True when nothing in a path and its query would be changed by normalising it.
fn plain_path(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let b = bytes[at];
        if PLAIN[usize::from(b)] & PATH == 0 {
            if b == b'?' {
                return bytes[at + 1..].iter().all(|b| PLAIN[usize::from(*b)] & QUERY != 0);
            }
            return false;
        }
        // A segment that begins with a dot, written out or escaped, may be `.` or `..`.
        if b == b'/' && matches!(bytes.get(at + 1), Some(b'.')) {
            return false;
        }
        if b == b'%' && matches!(bytes.get(at + 1..at + 3), Some([b'2', b'e' | b'E'])) {
            return false;
        }
        at += 1;
    }
    true
}

/// Ends of origin and path, when the URL is http(s) in the form in which `url` would write it, without fragment.
fn normal_form(url: &str) -> Option<(usize, usize)> {
    let (scheme, port) = match url.as_bytes() {
        [b'h', b't', b't', b'p', b':', b'/', b'/', ..] => (7, "80"),
        [b'h', b't', b't', b'p', b's', b':', b'/', b'/', ..] => (8, "443"),
        _ => return None,
    };
    let rest = &url[scheme..];
    let end = rest.find('/')?;
    normal_host(&rest[..end], port)?;
    if !plain_path(&rest[end..]) {
        return None;
    }
    let path = rest.find('?').unwrap_or(rest.len());
    Some((scheme + end, scheme + path))
}

fn normal_host(authority: &str, default_port: &str) -> Option<()> {
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    if let Some(port) = port {
        let digits = port.bytes().all(|b| b.is_ascii_digit()) && !port.starts_with('0');
        if !digits || port.is_empty() || port == default_port || port.parse::<u16>().is_err() {
            return None;
        }
    }
    let plain = !host.is_empty()
        && host.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.'))
        && !host.starts_with("xn--")
        && !host.contains(".xn--");
    if !plain {
        return None;
    }
    let last = host.trim_end_matches('.').rsplit('.').next().unwrap_or("");
    if last.as_bytes().first().is_none_or(u8::is_ascii_digit) {
        // May be an IPv4 address in one of its many forms: only the usual one is kept as it is.
        let address: std::net::Ipv4Addr = host.parse().ok()?;
        return (address.to_string() == host).then_some(());
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn slow(base: &str, href: &str) -> Option<String> {
        let mut url = Url::options().base_url(Url::parse(base).ok().as_ref()).parse(href).ok()?;
        url.set_fragment(None);
        let _ = url.set_username("");
        let _ = url.set_password(None);
        matches!(url.scheme(), "http" | "https").then(|| url.into())
    }

    fn ours(base: &str, href: &str) -> Option<String> {
        let mut out = String::new();
        Resolver::new(base).resolve(href, false, &mut out).ok().map(|()| out)
    }

    fn took_fast_path(base: &str, href: &str) -> bool {
        Resolver::new(base).fast(href, &mut String::new())
    }

    #[test]
    fn a_query_is_sent_in_the_charset_of_its_page_a_path_in_utf_8() {
        let resolve = |charset, href| {
            let mut out = String::new();
            Resolver::new("http://a.example/x").with_charset(charset).resolve(href, false, &mut out).expect("a link");
            out
        };
        let latin = Some(encoding_rs::WINDOWS_1252);
        assert_eq!(resolve(latin, "/caf\u{e9}?c=\u{e9}"), "http://a.example/caf%C3%A9?c=%E9");
        assert_eq!(resolve(latin, "?c=\u{4e2d}"), "http://a.example/x?c=%26%2320013%3B", "numbered, as in a form");
        assert_eq!(resolve(None, "?c=\u{e9}"), "http://a.example/x?c=%C3%A9");
        assert_eq!(resolve(Some(encoding_rs::UTF_16LE), "?c=\u{e9}"), "http://a.example/x?c=%C3%A9", "never in UTF-16");
    }

    #[test]
    fn usual_links_take_the_fast_path_and_mean_what_url_says() {
        let base = "http://localhost:9312/properties/index_00000.html?page=2";
        for href in [
            "/properties/property_000001.html",
            "property_000001.html",
            "../images/i01.jpg",
            "../../../up.html",
            "./x/y.html?a=b&c=d",
            "?page=3",
            "http://example.com/a/b?q=1",
            "",
            "http://10.0.0.1:8080/x",
        ] {
            assert!(took_fast_path(base, href), "{href}");
            assert_eq!(ours(base, href), slow(base, href), "{href}");
        }
    }

    #[test]
    fn unusual_links_mean_what_url_says_too() {
        for base in
            ["http://localhost:9312/a/b/c.html", "https://example.com/", "http://EXAMPLE.com:80/x/./y", "http://127.1/"]
        {
            for href in [
                "//other.example/x",
                "/a/../b",
                "/a/%2e%2E/b",
                "a b",
                "ä?ö",
                "x\\y",
                "\thttp://ex\nample.com/",
                "HTTP://A.B/",
                "http://example.com",
                "http://0x7f.1/",
                "http://a:b@c.d/e",
                "mailto:x@y",
                "javascript:void(0)",
                "a:b",
                "/a:b",
                "..",
                ".",
                "../",
                "./",
                ".hidden",
                "...",
                "/.",
                "http://xn--bcher-kva.example/",
                "http://a..b/",
                "http://a/'?'",
                "#x",
                "x#y",
                "?",
                "??",
                "https://example.com:443/",
                "http://example.com:080/",
                "http://1.2.3.4.5/",
                "http://a.1/",
                "/a|b^c`d{e}",
                "/x?a|b^c`d{e}'\"<>",
                "http://[::1]/",
                "http://example.com:99999/",
                "http:/x",
                "http:x",
            ] {
                assert_eq!(ours(base, href), slow(base, href), "{base} + {href}");
            }
        }
    }

    #[test]
    fn base_href_decides_and_a_broken_one_does_not() {
        let mut out = String::new();
        Resolver::with_base("http://a.example/x/y", "/base/").resolve("z", false, &mut out).unwrap();
        assert_eq!(out, "http://a.example/base/z");
        out.clear();
        Resolver::with_base("http://a.example/x/y", "http://[").resolve("z", false, &mut out).unwrap();
        assert_eq!(out, "http://a.example/x/z");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]
        #[test]
        fn fast_path_equals_slow_path(
            base in "https?://(localhost|a\\.b|1\\.2\\.3\\.4|A\\.b|x)(:(80|443|8080|0))?/[a-c./%2eE?]{0,12}",
            href in "(https?:)?(//(a\\.b|1\\.2|c))?[a-c./?#:%2eE@|'^`{}\\[\\]\\\\ \\n&=ä~!,;$*+\"<>]{0,16}",
        ) {
            if Url::parse(&base).is_ok() {
                prop_assert_eq!(ours(&base, &href), slow(&base, &href), "{} + {}", base, href);
                let mut with_fragment = String::new();
                if Resolver::new(&base).resolve(&href, true, &mut with_fragment).is_ok() && !href.contains('@') {
                    let joined = Url::parse(&base).and_then(|base| base.join(&href)).map(String::from);
                    prop_assert_eq!(Ok(with_fragment), joined, "{} + {}", base, href);
                }
            }
        }
    }
}
