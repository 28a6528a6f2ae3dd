//! Content-Encoding: one streaming interface over gzip, deflate, brotli and zstd, capped alike for each.
//!
//! Invariants: output never grows beyond the limits, whatever the input; several encodings are undone from the last to the
//! first; a stream that ends early gives what it held (as browsers and Scrapy do), one that is no such stream is an error.

use std::io::Read;

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
}

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
pub fn decode(encodings: &[String], body: Vec<u8>, limits: DecodeLimits) -> Result<Vec<u8>, DecodeError> {
    let wire = body.len() as u64;
    let by_ratio = wire.saturating_mul(limits.ratio_max).max(RATIO_FREE_BYTES);
    let max = limits.bytes_max.min(by_ratio);
    let mut body = body;
    for token in encodings.iter().rev() {
        let encoding = Encoding::from_token(token).ok_or(DecodeError::Invalid { encoding: "a known encoding" })?;
        body = undo(encoding, &body, max)?;
    }
    Ok(body)
}

fn undo(encoding: Encoding, body: &[u8], max: u64) -> Result<Vec<u8>, DecodeError> {
    if body.is_empty() {
        return Ok(Vec::new());
    }
    match encoding {
        Encoding::Gzip => read_capped(flate2::bufread::MultiGzDecoder::new(body), body.len(), max, encoding),
        Encoding::Deflate => {
            // The name means zlib, but servers send raw deflate as well: two bytes tell them apart.
            let zlib =
                body.len() >= 2 && body[0] & 0x0f == 8 && (usize::from(body[0]) << 8 | usize::from(body[1])) % 31 == 0;
            if zlib {
                match read_capped(flate2::bufread::ZlibDecoder::new(body), body.len(), max, encoding) {
                    Err(DecodeError::Invalid { .. }) => {}
                    done => return done,
                }
            }
            read_capped(flate2::bufread::DeflateDecoder::new(body), body.len(), max, encoding)
        }
        Encoding::Brotli => read_capped(brotli_decompressor::Decompressor::new(body, 4096), body.len(), max, encoding),
        Encoding::Zstd => {
            let decoder = zstd::stream::read::Decoder::with_buffer(body).and_then(|mut decoder| {
                // A window of 8 MiB is what RFC 8878 asks decoders on the web to support; more is a memory bomb.
                decoder.window_log_max(23)?;
                Ok(decoder)
            });
            let decoder = decoder.map_err(|_| DecodeError::Invalid { encoding: "zstd" })?;
            read_capped(decoder, body.len(), max, encoding)
        }
    }
}

fn read_capped(mut reader: impl Read, wire: usize, max: u64, encoding: Encoding) -> Result<Vec<u8>, DecodeError> {
    let mut out = Vec::with_capacity((wire * 4).min(max as usize).min(1 << 20));
    let mut chunk = [0u8; 16 << 10];
    loop {
        match reader.read(&mut chunk) {
            Ok(0) => return Ok(out),
            Ok(count) => {
                if (out.len() + count) as u64 > max {
                    return Err(DecodeError::TooLarge { max });
                }
                out.extend_from_slice(&chunk[..count]);
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            // A stream that was cut, or has rubbish behind its end, gives what it held.
            Err(_) if !out.is_empty() => return Ok(out),
            Err(_) => return Err(DecodeError::Invalid { encoding: encoding.name() }),
        }
    }
}
