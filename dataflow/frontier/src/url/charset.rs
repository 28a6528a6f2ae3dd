//! Charsets of URLs: a page's own for its queries, UTF-8 for paths.
//!
//! ISO 8859-1 and ASCII mean themselves here, not windows-1252 as in HTML: w3lib's users name Python codecs. A charset that comes
//! from a page arrives as `encoding_rs::Encoding` and keeps the web's meaning.

use super::bytes::push_escape;
use encoding_rs::{DecoderResult, EncoderResult, Encoding, UTF_8};
use std::borrow::Cow;
use thiserror::Error;

/// How characters of a URL become bytes before they are escaped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Charset {
    /// UTF-8.
    #[default]
    Utf8,
    /// ISO 8859-1: code points to 255 are their own bytes.
    Latin1,
    /// ASCII only.
    Ascii,
    /// Any other of the web's encodings.
    Web(&'static Encoding),
}

/// A character that the charset cannot write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{character:?} does not exist in the charset")]
pub struct Unencodable {
    /// The first such character.
    pub character: char,
}

impl From<&'static Encoding> for Charset {
    fn from(encoding: &'static Encoding) -> Self {
        if encoding == UTF_8 { Charset::Utf8 } else { Charset::Web(encoding) }
    }
}

impl Charset {
    /// The charset with this label, in the web's or in Python's spelling; `None` when it is not known.
    #[must_use]
    pub fn for_label(label: &str) -> Option<Charset> {
        let label = label.trim().to_ascii_lowercase().replace('_', "-");
        Some(match label.as_str() {
            "utf8" | "utf-8" => Charset::Utf8,
            "latin1" | "latin-1" | "l1" | "iso-8859-1" | "iso8859-1" | "8859" | "cp819" => Charset::Latin1,
            "ascii" | "us-ascii" => Charset::Ascii,
            "iso2022jp" | "iso2022-jp" => Charset::Web(encoding_rs::ISO_2022_JP),
            "sjis" | "shiftjis" | "cp932" => Charset::Web(encoding_rs::SHIFT_JIS),
            "eucjp" => Charset::Web(encoding_rs::EUC_JP),
            "cp949" | "uhc" => Charset::Web(encoding_rs::EUC_KR),
            "cp936" => Charset::Web(encoding_rs::GBK),
            "cp950" | "big5hkscs" => Charset::Web(encoding_rs::BIG5),
            other => Charset::from(Encoding::for_label(other.as_bytes())?),
        })
    }

    /// `text` in this charset.
    ///
    /// # Errors
    /// The first character that it does not have.
    pub fn encode(self, text: &str) -> Result<Cow<'_, [u8]>, Unencodable> {
        if text.is_ascii() {
            return Ok(Cow::Borrowed(text.as_bytes()));
        }
        let bytes: Result<Vec<u8>, char> = match self {
            Charset::Utf8 => return Ok(Cow::Borrowed(text.as_bytes())),
            Charset::Latin1 => text.chars().map(|c| u8::try_from(u32::from(c)).map_err(|_| c)).collect(),
            Charset::Ascii => text.chars().map(|c| if c.is_ascii() { Ok(c as u8) } else { Err(c) }).collect(),
            Charset::Web(encoding) => encode_web(encoding, text),
        };
        bytes.map(Cow::Owned).map_err(|character| Unencodable { character })
    }
}

fn encode_web(encoding: &'static Encoding, text: &str) -> Result<Vec<u8>, char> {
    let mut encoder = encoding.new_encoder();
    let room = encoder.max_buffer_length_from_utf8_without_replacement(text.len()).unwrap_or(text.len() * 4 + 16);
    let mut out = Vec::with_capacity(room);
    match encoder.encode_from_utf8_to_vec_without_replacement(text, &mut out, true).0 {
        EncoderResult::InputEmpty => Ok(out),
        EncoderResult::Unmappable(character) => Err(character),
        EncoderResult::OutputFull => unreachable!("the encoder was given the room it asked for"),
    }
}

/// A URL given as bytes of a document in `charset`: decoded, and bytes that the charset does not know are escaped.
#[must_use]
pub fn decode_url_bytes(bytes: &[u8], charset: Charset) -> String {
    match charset {
        Charset::Latin1 => bytes.iter().map(|&b| char::from(b)).collect(),
        Charset::Utf8 => {
            let mut out = String::with_capacity(bytes.len());
            for chunk in bytes.utf8_chunks() {
                out.push_str(chunk.valid());
                push_escapes(chunk.invalid(), &mut out);
            }
            out
        }
        Charset::Ascii => {
            let mut out = String::with_capacity(bytes.len());
            for &byte in bytes {
                if byte.is_ascii() { out.push(char::from(byte)) } else { push_escapes(&[byte], &mut out) }
            }
            out
        }
        Charset::Web(encoding) => decode_web(bytes, encoding),
    }
}

fn decode_web(bytes: &[u8], encoding: &'static Encoding) -> String {
    let mut decoder = encoding.new_decoder_without_bom_handling();
    let mut out = String::with_capacity(bytes.len() * 3 + 16);
    let mut at = 0;
    loop {
        let rest = bytes.len() - at;
        out.reserve(decoder.max_utf8_buffer_length_without_replacement(rest).unwrap_or(rest * 3 + 16));
        let (result, read) = decoder.decode_to_string_without_replacement(&bytes[at..], &mut out, true);
        at += read;
        match result {
            DecoderResult::InputEmpty => return out,
            DecoderResult::OutputFull => {}
            DecoderResult::Malformed(length, after) => {
                let end = at - usize::from(after);
                push_escapes(&bytes[end.saturating_sub(usize::from(length))..end], &mut out);
            }
        }
    }
}

fn push_escapes(bytes: &[u8], out: &mut String) {
    let mut escaped = Vec::with_capacity(bytes.len() * 3);
    for &byte in bytes {
        // Python's handler quotes what it escapes, so ASCII inside a broken sequence stays readable.
        if super::bytes::UNRESERVED.has(byte) { escaped.push(byte) } else { push_escape(byte, &mut escaped) }
    }
    out.extend(escaped.iter().map(|&b| char::from(b)));
}
