//! Content-Encoding: one streaming interface over gzip, deflate, brotli and zstd, capped alike for each.
//!
//! Decides what the bytes of a body are once its encodings are undone; knows nothing of requests. Invariants: output never
//! grows beyond the limits, whatever the input, and no room is made for more; several encodings are undone from the last to
//! the first, a bounded number of them; a stream that was cut gives what it held (as browsers and Scrapy do), be it nothing;
//! one that is no such stream is an error. brotli and raw deflate have no mark at their front: of them, a stream that gave
//! nothing counts as none.

use std::io::{self, Read};

/// Limits of decoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeLimits {
    /// Decoded bytes.
    pub bytes_max: u64,
    /// Decoded bytes a wire byte, beyond the first 64 KiB.
    pub ratio_max: u64,
}

/// Why a body was not decoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// More bytes than allowed.
    #[error("body decodes to more than {max} bytes")]
    TooLarge {
        /// The limit that was met.
        max: u64,
    },
    /// Not such a stream.
    #[error("body is not valid {encoding}")]
    Invalid {
        /// The encoding.
        encoding: &'static str,
    },
    /// So many encodings over each other that only the work of undoing them can be meant.
    #[error("body is encoded {count} times over, at most {ENCODINGS_MAX} are undone")]
    TooMany {
        /// How many.
        count: usize,
    },
}

/// Encodings over each other that are undone: real answers have one, seldom two; each layer may be as large as the limit.
const ENCODINGS_MAX: usize = 5;

/// The window that RFC 8878 asks decoders on the web to support, 8 MiB, as a power of two; more is a memory bomb.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Decoded at a time; the limit is asked after each.
const PIECE_BYTES: usize = 16 << 10;

/// Bytes below which no ratio is judged.
const RATIO_FREE_BYTES: u64 = 64 << 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

impl Encoding {
    fn from_token(token: &str) -> Option<Encoding> {
        match token.trim().to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => Some(Encoding::Gzip),
            "deflate" => Some(Encoding::Deflate),
            "br" => Some(Encoding::Brotli),
            "zstd" => Some(Encoding::Zstd),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Encoding::Gzip => "gzip",
            Encoding::Deflate => "deflate",
            Encoding::Brotli => "br",
            Encoding::Zstd => "zstd",
        }
    }
}

/// Splits Content-Encoding headers into those that are undone and those that are left because we do not know them: from the first
/// unknown one (seen from the end) on, everything before stays.
#[must_use]
pub fn split_encodings(headers: &[&str]) -> (Vec<String>, Vec<String>) {
    let mut tokens: Vec<String> = headers
        .iter()
        .flat_map(|header| header.split(','))
        .map(|token| token.trim().to_owned())
        .filter(|token| !token.is_empty() && !token.eq_ignore_ascii_case("identity"))
        .collect();
    let known = tokens.iter().rev().take_while(|token| Encoding::from_token(token).is_some()).count();
    let undone = tokens.split_off(tokens.len() - known);
    (tokens, undone)
}

/// Undoes the encodings, the last one first. Tokens that are not known are an error here: ask `split_encodings` before.
///
/// # Errors
/// See [`DecodeError`].
pub fn decode(encodings: &[String], body: Vec<u8>, limits: DecodeLimits) -> Result<Vec<u8>, DecodeError> {
    if encodings.len() > ENCODINGS_MAX {
        return Err(DecodeError::TooMany { count: encodings.len() });
    }
    let by_ratio = (body.len() as u64).saturating_mul(limits.ratio_max).max(RATIO_FREE_BYTES);
    let max = limits.bytes_max.min(by_ratio);
    let mut body = body;
    for token in encodings.iter().rev() {
        let encoding = Encoding::from_token(token).ok_or(DecodeError::Invalid { encoding: "a known encoding" })?;
        body = undo(encoding, &body, max)?;
    }
    Ok(body)
}

fn undo(encoding: Encoding, body: &[u8], max: u64) -> Result<Vec<u8>, DecodeError> {
    let read = match encoding {
        // An empty body is no stream, and no error either.
        _ if body.is_empty() => Ok(Vec::new()),
        // flate2 looks at these two when it has ten.
        Encoding::Gzip if !GZIP_MAGIC.starts_with(&body[..body.len().min(2)]) => Err(Stopped::Invalid),
        Encoding::Gzip => read_capped(flate2::bufread::MultiGzDecoder::new(body), body.len(), max),
        Encoding::Deflate => undo_deflate(body, max),
        Encoding::Brotli => {
            let buffer_bytes = body.len().min(PIECE_BYTES);
            read_capped(brotli_decompressor::Decompressor::new(body, buffer_bytes), body.len(), max)
        }
        Encoding::Zstd => undo_zstd(body, max),
    };
    match read {
        Ok(read) => Ok(read),
        Err(Stopped::Cut) if encoding != Encoding::Brotli => Ok(Vec::new()),
        Err(Stopped::TooLarge) => Err(DecodeError::TooLarge { max }),
        Err(Stopped::Cut | Stopped::Invalid) => Err(DecodeError::Invalid { encoding: encoding.name() }),
    }
}

/// The name means zlib, but servers send raw deflate as well: two bytes tell them apart.
fn undo_deflate(body: &[u8], max: u64) -> Result<Vec<u8>, Stopped> {
    let zlib =
        matches!(body, [first, second, ..] if first & 0x0f == 8 && u16::from_be_bytes([*first, *second]) % 31 == 0);
    if zlib {
        match read_capped(flate2::bufread::ZlibDecoder::new(body), body.len(), max) {
            // By chance a raw stream begins like that.
            Err(Stopped::Invalid) => {}
            done => return done,
        }
    }
    read_capped(flate2::bufread::DeflateDecoder::new(body), body.len(), max).map_err(|stopped| match stopped {
        Stopped::Cut => Stopped::Invalid,
        other => other,
    })
}

fn undo_zstd(body: &[u8], max: u64) -> Result<Vec<u8>, Stopped> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(body).map_err(|_| Stopped::Invalid)?;
    decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(|_| Stopped::Invalid)?;
    read_capped(decoder, body.len(), max)
}

/// Why reading stopped before the end.
enum Stopped {
    TooLarge,
    /// By the end of the input, before anything came out.
    Cut,
    Invalid,
}

fn read_capped(mut reader: impl Read, wire: usize, max: u64) -> Result<Vec<u8>, Stopped> {
    let max = usize::try_from(max).unwrap_or(usize::MAX);
    let mut out = Vec::with_capacity(wire.saturating_mul(4).min(max).min(1 << 20));
    let mut piece = [0u8; PIECE_BYTES];
    loop {
        match reader.read(&mut piece) {
            Ok(0) => return Ok(out),
            Ok(count) if count > max - out.len() => return Err(Stopped::TooLarge),
            Ok(count) => append(&mut out, &piece[..count], max),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // What was cut, or has rubbish behind its end, gives what it held.
            Err(_) if !out.is_empty() => return Ok(out),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(Stopped::Cut),
            Err(_) => return Err(Stopped::Invalid),
        }
    }
}

/// Appends; makes no room beyond `max`, which the bytes fit in.
pub(crate) fn append(out: &mut Vec<u8>, bytes: &[u8], max: usize) {
    let needed = out.len() + bytes.len();
    debug_assert!(needed <= max, "the caller asks the limit first");
    if needed > out.capacity() {
        let room = needed.max(out.capacity().saturating_mul(2).min(max));
        out.reserve_exact(room - out.len());
    }
    out.extend_from_slice(bytes);
}
