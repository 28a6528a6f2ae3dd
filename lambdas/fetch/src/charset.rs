//! From bytes to text: byte order mark, then header, then what the page declares, then detection, as Scrapy's w3lib has it.
//!
//! Decides which charset a body is in. Invariants: no bytes fail (what cannot be read becomes U+FFFD); valid UTF-8 costs no
//! copy; one pass to find out, one to decode.

use crate::declared::declared;
use encoding_rs::{Encoding, ISO_2022_JP, UTF_8, UTF_16BE, WINDOWS_1252};
use std::borrow::Cow;

/// Bytes that detection looks at.
const DETECT_BYTES: usize = 16 << 10;

/// A charset that `encoding_rs` has, or one of the two that browsers dropped.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Charset {
    Known(&'static Encoding),
    Utf32Be,
    Utf32Le,
}

/// The text of a body.
#[must_use]
pub fn decode_text<'a>(content_type: Option<&str>, body: &'a [u8]) -> Cow<'a, str> {
    decode_page(content_type, body).0
}

/// The text of a body, and the charset it was in unless that is UTF-8 or one that no link is sent in.
#[must_use]
pub fn decode_page<'a>(content_type: Option<&str>, body: &'a [u8]) -> (Cow<'a, str>, Option<&'static Encoding>) {
    if let Some((charset, mark_bytes)) = by_mark(body) {
        return (decode(charset, &body[mark_bytes..]), sent_in(charset));
    }
    let from_header = content_type.and_then(in_header);
    let charset = from_header.or_else(|| if may_declare(content_type) { in_page(body) } else { None });
    if charset.is_none_or(|charset| charset == Charset::Known(UTF_8))
        && let Ok(text) = std::str::from_utf8(body)
    {
        return (Cow::Borrowed(text), None);
    }
    let charset = charset.unwrap_or_else(|| Charset::Known(detect(body)));
    (decode(charset, body), sent_in(charset))
}

/// The charset of links: UTF-16 and UTF-32 are for bodies alone.
fn sent_in(charset: Charset) -> Option<&'static Encoding> {
    match charset {
        Charset::Known(encoding) => Some(encoding.output_encoding()).filter(|encoding| *encoding != UTF_8),
        Charset::Utf32Be | Charset::Utf32Le => None,
    }
}

fn decode(charset: Charset, body: &[u8]) -> Cow<'_, str> {
    match charset {
        Charset::Known(encoding) => encoding.decode_without_bom_handling(body).0,
        Charset::Utf32Be => utf32(body, u32::from_be_bytes).into(),
        Charset::Utf32Le => utf32(body, u32::from_le_bytes).into(),
    }
}

fn utf32(body: &[u8], unit: fn([u8; 4]) -> u32) -> String {
    let (units, rest) = body.as_chunks::<4>();
    let text = units.iter().map(|bytes| char::from_u32(unit(*bytes)).unwrap_or(char::REPLACEMENT_CHARACTER));
    text.chain((!rest.is_empty()).then_some(char::REPLACEMENT_CHARACTER)).collect()
}

fn by_mark(body: &[u8]) -> Option<(Charset, usize)> {
    // Before UTF-16, whose little-endian mark begins like this one.
    match body {
        [0, 0, 0xfe, 0xff, ..] => Some((Charset::Utf32Be, 4)),
        [0xff, 0xfe, 0, 0, ..] => Some((Charset::Utf32Le, 4)),
        _ => Encoding::for_bom(body).map(|(encoding, bytes)| (Charset::Known(encoding), bytes)),
    }
}

/// The charset of a label. Python knows some that browsers do not, and writes them in several ways.
fn by_label(label: &[u8]) -> Option<Charset> {
    let label = label.trim_ascii();
    if let Some(encoding) = Encoding::for_label(label) {
        // Without a mark, these two are big-endian (RFC 2781, section 4.3), as w3lib reads them.
        let bare = label.eq_ignore_ascii_case(b"utf-16");
        return Some(Charset::Known(if bare { UTF_16BE } else { encoding }));
    }
    if !label.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b' ')) {
        return None;
    }
    let dashed: Vec<u8> =
        label.iter().map(|byte| if *byte == b'_' { b'-' } else { byte.to_ascii_lowercase() }).collect();
    let plain: Vec<u8> = dashed.iter().copied().filter(u8::is_ascii_alphanumeric).collect();
    match &*plain {
        b"utf32" | b"utf32be" => Some(Charset::Utf32Be),
        b"utf32le" => Some(Charset::Utf32Le),
        _ => Encoding::for_label(&dashed).or_else(|| Encoding::for_label(&plain)).map(Charset::Known),
    }
}

/// The charset parameter of a Content-Type: the first that names one; what is quoted must be so to its end.
fn in_header(content_type: &str) -> Option<Charset> {
    let mut rest = content_type;
    while let Some(at) = rest.find([';', '"', '=']) {
        let (name, after) = (rest[..at].trim(), &rest[at + 1..]);
        match rest.as_bytes()[at] {
            b';' => rest = after,
            b'"' => rest = after.split_once('"')?.1,
            _ => {
                let (value, behind) = parameter(after)?;
                // `charset =` is no parameter: HTTP has no blanks there.
                if name.eq_ignore_ascii_case("charset")
                    && !rest[..at].ends_with([' ', '\t'])
                    && let Some(charset) = value.and_then(|value| by_label(value.as_bytes()))
                {
                    return Some(charset);
                }
                rest = behind;
            }
        }
    }
    None
}

/// A parameter's value, if it is well formed, and what comes behind it.
fn parameter(text: &str) -> Option<(Option<&str>, &str)> {
    let ends = [';', ','];
    if let Some(quoted) = text.strip_prefix('"') {
        let (value, behind) = quoted.split_once('"')?;
        let end = behind.find(ends).unwrap_or(behind.len());
        return Some((behind[..end].trim().is_empty().then_some(value), &behind[end..]));
    }
    let end = text.find(ends).unwrap_or(text.len());
    let value = text[..end].trim_end();
    Some(((!value.starts_with([' ', '\t'])).then_some(value), &text[end..]))
}

/// JSON is UTF-8 (RFC 8259), and in plain text, styles and scripts a `<meta>` is part of the text.
fn may_declare(content_type: Option<&str>) -> bool {
    let Some(content_type) = content_type else { return true };
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    !(kind.ends_with("json")
        || kind.ends_with("javascript")
        || matches!(&*kind, "text/plain" | "text/css" | "text/csv"))
}

fn in_page(body: &[u8]) -> Option<Charset> {
    match by_label(declared(body)?)? {
        Charset::Known(encoding) if encoding.is_ascii_compatible() || encoding == ISO_2022_JP => {
            Some(Charset::Known(encoding))
        }
        // A page that says UTF-16 in ASCII bytes does not mean it.
        _ => Some(Charset::Known(UTF_8)),
    }
}

fn detect(body: &[u8]) -> &'static Encoding {
    let head = &body[..body.len().min(DETECT_BYTES)];
    let mut detector = chardetng::EncodingDetector::new(chardetng::Iso2022JpDetection::Allow);
    detector.feed(head, head.len() == body.len());
    let encoding = detector.guess(None, chardetng::Utf8Detection::Allow);
    if encoding == UTF_8 && std::str::from_utf8(body).is_err() { WINDOWS_1252 } else { encoding }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_page_that_declares_iso_2022_jp_means_it() {
        let page = b"<meta charset=iso-2022-jp><p>\x1b$B%b%8%e!<%k\x1b(B</p>";
        assert_eq!(decode_text(Some("text/html"), page), "<meta charset=iso-2022-jp><p>モジュール</p>");
        let page = b"<meta charset=utf-16le><p>caf\xc3\xa9</p>";
        assert_eq!(decode_text(Some("text/html"), page), "<meta charset=utf-16le><p>café</p>");
    }

    #[test]
    fn valid_utf8_is_not_copied() {
        assert!(matches!(decode_text(Some("text/html; charset=utf-8"), "£".as_bytes()), Cow::Borrowed("£")));
        assert!(matches!(decode_text(None, b"plain"), Cow::Borrowed("plain")));
        assert!(matches!(decode_text(Some("text/html; charset=latin1"), b"ascii alone"), Cow::Borrowed("ascii alone")));
    }

    #[test]
    fn mark_then_header_then_page_then_detection() {
        let html = Some("text/html");
        assert_eq!(decode_text(Some("text/html; charset=iso-8859-1"), b"\xa3"), "£");
        assert_eq!(decode_text(Some("text/html; charset=iso-8859-1"), b"\xef\xbb\xbf\xc2\xa3"), "£", "the mark wins");
        assert_eq!(
            decode_text(Some("text/html; charset=iso-8859-1"), b"<meta charset=utf-8>\xa3"),
            "<meta charset=utf-8>£"
        );
        assert_eq!(
            decode_text(html, b"<html><meta charset='windows-1251'>\xcf"),
            "<html><meta charset='windows-1251'>П"
        );
        let equiv = b"<meta http-equiv=Content-Type content=\"text/html; charset=shift_jis\">\x93\xfa";
        assert!(decode_text(None, equiv).ends_with('日'));
        let detected = decode_text(Some("text/html; charset=nonsense"), b"caf\xe9 cr\xe8me br\xfbl\xe9e");
        assert_eq!(detected, "café crème brûlée");
        assert_eq!(decode_text(html, b"<meta charset=utf-16>\xc2\xa3"), "<meta charset=utf-16>£", "it is not");
    }

    #[test]
    fn json_and_plain_text_declare_nothing_in_their_body() {
        let body = "{\"html\": \"<meta charset=iso-8859-1>£\"}";
        for kind in ["application/json", "application/ld+json; x=y", "text/plain"] {
            assert_eq!(decode_text(Some(kind), body.as_bytes()), body, "{kind}");
        }
        assert_ne!(decode_text(Some("text/html"), body.as_bytes()), body);
    }

    #[test]
    fn marks_of_every_width_are_left_out() {
        for (body, text) in [
            (&b"\xef\xbb\xbfhi"[..], "hi"),
            (b"\xfe\xff\0h\0i", "hi"),
            (b"\xff\xfeh\0i\0", "hi"),
            (b"\0\0\xfe\xff\0\0\0h\0\0\0i", "hi"),
            (b"\xff\xfe\0\0h\0\0\0i\0\0\0", "hi"),
            (b"\xff\xfe\0\0h\0\0\0i\0", "h\u{fffd}"),
            (b"\xef\xbb\xbfWORD\xe3\xabWORD2", "WORD\u{fffd}WORD2"),
        ] {
            assert_eq!(decode_text(None, body), text);
            assert_eq!(decode_text(Some("text/html; charset=utf-8"), body), text, "the mark wins");
        }
        assert_eq!(decode_text(Some("text/html; charset=utf-16"), b"\0h\0i"), "hi");
        assert_eq!(decode_text(Some("text/html; charset=UTF-16LE"), b"h\0i\0"), "hi");
        assert_eq!(decode_text(Some("text/html; charset=utf-32"), b"\0\0\0h\0\0\0i"), "hi");
    }

    #[test]
    fn bytes_that_are_no_text_become_replacement_characters() {
        let utf8 = Some("text/html; charset=utf-8");
        assert_eq!(decode_text(utf8, b"PREFIX\xe3\xabSUFFIX"), "PREFIX\u{fffd}SUFFIX");
        assert_eq!(decode_text(utf8, b"\xf0<span>value</span>"), "\u{fffd}<span>value</span>");
    }

    #[test]
    fn charsets_of_headers_are_read_as_scrapy_reads_them() {
        let is_utf8 = Some(Charset::Known(UTF_8));
        for (header, expected) in [
            ("something else", None),
            ("text/html; charset=\"utf-8\"", is_utf8),
            ("text/html;charset=\"UTF-8\"", is_utf8),
            ("text/html; Charset=utf-8", is_utf8),
            ("text/html; charset = utf-8", None),
            ("text/html; charset= \"utf-8\"", None),
            ("text/html; charset='utf-8'", None),
            ("text/html; charset=\"utf-8", None),
            ("text/html; charset=utf-8\"", None),
            ("text/html; charset=\"utf-8\" ; foo=bar", is_utf8),
            ("foo=bar; charset=\"utf-8\"", is_utf8),
            ("text/html; charset=\"utf-8\"extra", None),
            ("text/html; xcharset=\"utf-8\"", None),
            ("text/html; foo=\"bar; charset=latin1;\"; charset=utf-8", is_utf8),
            ("text/html; foo=\"bar; charset=latin1\"", None),
            ("text/html; foo=\"bar; charset=latin1;\"; charset=\"\"; charset=utf-8", is_utf8),
            ("text/html; charset=utf-8, text/plain; charset=utf-16", is_utf8),
            ("text/html; charset=utf-8\r\n", is_utf8),
        ] {
            assert!(in_header(header) == expected, "{header}");
        }
    }

    #[test]
    fn labels_are_known_by_pythons_spellings_too() {
        for (label, name) in [
            ("latin1", "windows-1252"),
            (" Latin-1", "windows-1252"),
            ("gb_2312-80", "GBK"),
            ("UTF_8", "UTF-8"),
            ("iso8859_4", "ISO-8859-4"),
            ("euc_jp", "EUC-JP"),
            ("big5", "Big5"),
        ] {
            let Some(Charset::Known(encoding)) = by_label(label.as_bytes()) else { panic!("{label} is not known") };
            assert_eq!(encoding.name(), name, "{label}");
        }
        assert!(by_label(b"unknown encoding").is_none());
        assert_eq!(decode_text(Some("text/html; charset=gb2312"), b"\xa8\x44"), "―");
        assert_eq!(decode_text(Some("text/html; charset=big5"), b"\xf9\xda"), "恒");
    }

    proptest! {
        #[test]
        fn no_header_and_no_bytes_panic(header in "\\PC{0,10}(;|\"|=|charset|utf-32| ){0,8}", body: Vec<u8>) {
            let _ = decode_text(Some(&header), &body);
        }
    }
}
