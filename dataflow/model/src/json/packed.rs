//! One field, compressed: gzip in base64, readable with `base64 -d | gunzip`.
//!
//! Why it pays: a queue bills every 64 KiB of a message three times (sent, received, deleted), and reports of one site are alike.
//! Measured on the practice site, 320 reports together: a listing 770 bytes plain and 228 packed, an index page with 30 links 1,946
//! and 246 (`cargo run --release -p weir-fetch-parse --example report_bytes`). So a billed unit holds 260 pages instead of 34 to 85,
//! for some 20 microseconds of CPU a page.
//!
//! Invariant: unpacking allocates at most [`UNPACKED_BYTES_MAX`], whatever the field holds.

use super::link::Text;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::io::{Read, Write};

/// Below this nothing is gained: the message is billed as one unit either way.
const PACKED_FROM_BYTES: usize = 4 << 10;

/// What a packed field may hold. A message of 1 MiB holds 768 KiB of gzip; pages compress by less than 40.
pub const UNPACKED_BYTES_MAX: usize = 32 << 20;

/// A packed field in a message.
pub(super) type Packed<'a> = Text<'a>;

/// The text packed, when that makes it smaller.
pub(super) fn pack(text: &str) -> Option<String> {
    if text.len() < PACKED_FROM_BYTES || text.len() > UNPACKED_BYTES_MAX {
        return None;
    }
    let mut encoder = flate2::write::GzEncoder::new(Vec::with_capacity(text.len() / 4), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).expect("a vector takes everything");
    let packed = STANDARD.encode(encoder.finish().expect("a vector takes everything"));
    (packed.len() < text.len()).then_some(packed)
}

/// The text that was packed.
pub(super) fn unpack(packed: &Packed<'_>) -> Result<String, String> {
    let bytes = STANDARD.decode(packed.0.as_bytes()).map_err(|error| format!("expected base64: {error}"))?;
    let mut text = String::new();
    let limit = UNPACKED_BYTES_MAX as u64 + 1;
    flate2::read::GzDecoder::new(&*bytes)
        .take(limit)
        .read_to_string(&mut text)
        .map_err(|error| format!("expected gzip of UTF-8: {error}"))?;
    if text.len() > UNPACKED_BYTES_MAX {
        return Err(format!("holds more than {UNPACKED_BYTES_MAX} bytes"));
    }
    Ok(text)
}
