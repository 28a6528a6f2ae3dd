//! What a page says in its own bytes about its charset: `<meta>` and the XML declaration near the front.
//!
//! Decides which of them counts: the first, outside of comments, before `<body>`. Knows nothing of headers. Invariant: one pass
//! over a bounded part of the page; works on bytes, since what they mean is not yet known.

use memchr::{memchr, memmem};

/// Bytes that are searched, as in w3lib; the HTML standard asks for 1,024.
const SEARCHED_BYTES: usize = 4096;

/// The label that the page gives, if it gives one.
pub(crate) fn declared(body: &[u8]) -> Option<&[u8]> {
    let mut rest = &body[..body.len().min(SEARCHED_BYTES)];
    while let Some(at) = memchr(b'<', rest) {
        rest = &rest[at + 1..];
        if let Some(comment) = rest.strip_prefix(b"!--") {
            rest = &comment[memmem::find(comment, b"-->")?..];
            continue;
        }
        // `< meta` is no tag, but sites that write it mean it.
        rest = rest.trim_ascii_start();
        let name_end =
            rest.iter().position(|byte| !byte.is_ascii_alphanumeric() && *byte != b'?').unwrap_or(rest.len());
        let (name, after) = rest.split_at(name_end);
        if name.eq_ignore_ascii_case(b"body") {
            return None;
        }
        let wanted: &[&[u8]] = if name.eq_ignore_ascii_case(b"meta") {
            &[b"charset", b"content"]
        } else if name == b"?xml" {
            &[b"encoding"]
        } else {
            continue;
        };
        let (label, end) = in_tag(after, wanted);
        if label.is_some() {
            return label;
        }
        rest = end;
    }
    None
}

/// The first charset among the wanted attributes of a tag, and what comes behind the tag.
fn in_tag<'a>(mut rest: &'a [u8], wanted: &[&[u8]]) -> (Option<&'a [u8]>, &'a [u8]) {
    loop {
        let start = rest.iter().position(|byte| !byte.is_ascii_whitespace() && !matches!(byte, b'/' | b'?'));
        let Some(start) = start else { return (None, &[]) };
        rest = &rest[start..];
        if rest[0] == b'>' {
            return (None, &rest[1..]);
        }
        let ends_name = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'=' | b'>' | b'/' | b'?');
        // A stray `=` is a name of its own, so that every round goes on.
        let name_end = rest.iter().position(ends_name).unwrap_or(rest.len()).max(1);
        let (name, after) = rest.split_at(name_end);
        let (value, after) = match after.trim_ascii_start().strip_prefix(b"=") {
            Some(after) => value(after.trim_ascii_start()),
            None => (&b""[..], after),
        };
        rest = after;
        if !wanted.iter().any(|wanted| name.eq_ignore_ascii_case(wanted)) {
            continue;
        }
        let label = if name.eq_ignore_ascii_case(b"content") { in_content(value) } else { Some(value) };
        if let Some(label) = label.filter(|label| !label.is_empty()) {
            return (Some(label), rest);
        }
    }
}

/// An attribute's value, and what comes behind it.
fn value(rest: &[u8]) -> (&[u8], &[u8]) {
    match rest.first() {
        Some(quote @ (b'"' | b'\'')) => {
            let rest = &rest[1..];
            match memchr(*quote, rest) {
                Some(end) => (&rest[..end], &rest[end + 1..]),
                None => (&[], &[]),
            }
        }
        _ => {
            let end = rest.iter().position(|byte| byte.is_ascii_whitespace() || matches!(byte, b'>' | b'?'));
            rest.split_at(end.unwrap_or(rest.len()))
        }
    }
}

/// The charset in `text/html; charset=...`.
fn in_content(content: &[u8]) -> Option<&[u8]> {
    let at = content.windows(7).position(|seven| seven.eq_ignore_ascii_case(b"charset"))?;
    let label = content[at + 7..].trim_ascii_start().strip_prefix(b"=")?.trim_ascii_start();
    let label = label.trim_ascii_start().strip_prefix(b"'").unwrap_or(label);
    let end = label.iter().position(|byte| byte.is_ascii_whitespace() || matches!(byte, b';' | b',' | b'\''));
    Some(&label[..end.unwrap_or(label.len())])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(page: &str) -> Option<&str> {
        declared(page.as_bytes()).map(|label| std::str::from_utf8(label).expect("ascii"))
    }

    #[test]
    fn a_charset_is_found_in_every_form_that_pages_use() {
        for page in [
            "<meta http-equiv=\"content-type\" content=\"text/html;charset=x-1\" />",
            "\n<meta http-equiv=\"Content-Type\"\ncontent=\"text/html; charset=x-1\">",
            "<meta http-equiv=\"Content-Type\" content=\"text/html\" charset=\"x-1\">",
            "<meta http-equiv=Content-Type content=\"text/html\" charset='x-1'>",
            "<meta http-equiv=\"Content-Type\" content\t=\n\"text/html\" charset\t=\"x-1\">",
            "<meta content=\"text/html; charset=x-1\"\n http-equiv='Content-Type'>",
            " bad html < meta http-equiv='Content-Type'\n content=\"text/html; charset=x-1\">",
            "<META CHARSET=x-1>",
            "<meta charset =\n\"x-1\">",
            "<meta charset=x-1/>".trim_end_matches("/>"),
            "<?xml version=\"1.0\" encoding=\"x-1\"?>",
            "<?xml version='1.0' encoding='x-1' standalone='yes'?><a/>",
            "<meta name=viewport content='width=1'><meta name=a><meta charset=x-1>",
            "<!-- <body> --><meta charset=\"x-1\">",
            "<!-- <meta charset=y> --><meta charset=x-1>",
            "<meta http-equiv=a content='text/html; charset = x-1; b'>",
            "<meta = charset=x-1>",
        ] {
            assert_eq!(of(page), Some("x-1"), "{page}");
        }
    }

    #[test]
    fn what_is_no_declaration_is_none() {
        for page in [
            "something else",
            "<head></head><body>\nthis is not searched\n<meta charset=\"x-1\">",
            "<!-- <meta charset=\"x-1\"> -->",
            "<!-- never closed <meta charset=\"x-1\">",
            "<metadata charset=x-1>",
            "<meta charset=\"never closed",
            "<meta charset=''><p charset=x-1>",
            "<meta name=\"charset\" content=\"x-1\">",
            "<",
            "",
        ] {
            assert_eq!(of(page), None, "{page}");
        }
        let late = format!("{}<meta charset=x-1>", " ".repeat(SEARCHED_BYTES));
        assert_eq!(of(&late), None);
    }

    proptest! {
        #[test]
        fn no_page_panics(page in "(<|< |<!--|-->|<meta|<\\?xml|charset|content|encoding|=|'|\"| |>|/|x){0,30}") {
            let _ = declared(page.as_bytes());
        }
    }
}
