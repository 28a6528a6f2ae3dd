//! From bytes to text: byte order mark, then header, then `<meta>`, then detection. Valid UTF-8 costs no copy.

use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};
use std::borrow::Cow;

/// Bytes that are searched for a `<meta>` declaration: what the HTML standard asks for.
const META_BYTES: usize = 1024;
/// Bytes that detection looks at.
const DETECT_BYTES: usize = 16 << 10;

/// The text of a body.
#[must_use]
pub fn decode_text<'a>(content_type: Option<&str>, body: &'a [u8]) -> Cow<'a, str> {
    if let Some((encoding, skip)) = Encoding::for_bom(body) {
        return encoding.decode_without_bom_handling(&body[skip..]).0;
    }
    let declared = content_type.and_then(charset_of).or_else(|| from_meta(body));
    if declared.is_none_or(|encoding| encoding == UTF_8)
        && let Ok(text) = std::str::from_utf8(body)
    {
        return Cow::Borrowed(text);
    }
    let encoding = declared.unwrap_or_else(|| detect(body));
    encoding.decode_without_bom_handling(body).0
}

/// The charset parameter of a Content-Type.
fn charset_of(content_type: &str) -> Option<&'static Encoding> {
    let lower = content_type.to_ascii_lowercase();
    let at = lower.find("charset")?;
    let value = lower[at + "charset".len()..].trim_start().strip_prefix('=')?.trim_start();
    let value = value.trim_start_matches(['"', '\'']);
    let end = value.find(|c: char| c == ';' || c == '"' || c == '\'' || c.is_ascii_whitespace()).unwrap_or(value.len());
    Encoding::for_label(&value.as_bytes()[..end])
}

/// `<meta charset=...>`, `<meta http-equiv ... content="...charset=...">` or `<?xml ... encoding="..."?>` near the front.
fn from_meta(body: &[u8]) -> Option<&'static Encoding> {
    let head = &body[..body.len().min(META_BYTES)];
    let mut from = 0;
    while let Some(at) = memchr::memchr(b'<', &head[from..]) {
        let tag = &head[from + at..];
        let end = memchr::memchr(b'>', tag).unwrap_or(tag.len());
        let (tag, next) = (&tag[..end], from + at + end.max(1));
        let lower = tag.get(..5).map(<[u8]>::to_ascii_lowercase);
        let text = String::from_utf8_lossy(tag);
        let found = match lower.as_deref() {
            Some(b"<meta") => charset_of(&text),
            Some(b"<?xml") => charset_of(&text.replace("encoding", "charset")),
            _ => None,
        };
        if let Some(encoding) = found {
            // A page that says UTF-16 in ASCII bytes does not mean it.
            return Some(if encoding.is_ascii_compatible() { encoding } else { UTF_8 });
        }
        from = next;
        if from >= head.len() {
            break;
        }
    }
    None
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
    use super::decode_text;
    use std::borrow::Cow;

    #[test]
    fn valid_utf8_is_not_copied() {
        assert!(matches!(decode_text(Some("text/html; charset=utf-8"), "£".as_bytes()), Cow::Borrowed("£")));
        assert!(matches!(decode_text(None, b"plain"), Cow::Borrowed("plain")));
    }

    #[test]
    fn mark_then_header_then_meta_then_detection() {
        assert_eq!(decode_text(Some("text/html; charset=iso-8859-1"), b"\xa3"), "£");
        assert_eq!(decode_text(Some("text/html; charset=iso-8859-1"), b"\xef\xbb\xbf\xc2\xa3"), "£", "the mark wins");
        assert_eq!(
            decode_text(None, b"<html><meta charset='windows-1251'>\xcf"),
            "<html><meta charset='windows-1251'>П"
        );
        let equiv = b"<meta http-equiv=Content-Type content=\"text/html; charset=shift_jis\">\x93\xfa";
        assert!(decode_text(None, equiv).ends_with('日'));
        assert_eq!(
            decode_text(Some("text/html; charset=nonsense"), b"caf\xe9 cr\xe8me br\xfbl\xe9e"),
            "café crème brûlée"
        );
    }
}
