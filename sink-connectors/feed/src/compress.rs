//! Compression that can be gone on with: after every write all of it can be read back, and a mark of a few bytes says how to go on.
//!
//! One gzip member or zstd frame lasts as long as a process writes; each write ends with a flush. What a killed process left is closed by
//! a few bytes that the mark determines (an empty last block, and gzip's sum and length), and the next process begins another one: every
//! reader takes several as one. Pure: bytes in, bytes out.
//!
//! Invariant: the bytes up to a mark, the frame's end, and a new frame are what an uninterrupted run decodes to.

use flate2::{Compress, Compression as Level, Crc, FlushCompress};
use weir_connector::Compression;
use zstd::stream::raw::{Encoder, InBuffer, Operation, OutBuffer};

/// Scrapy's and gzip's own default.
const GZIP_LEVEL: u32 = 6;
const ZSTD_LEVEL: i32 = 3;
/// No name, no time: the same items are the same bytes.
const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
/// The header of a frame that says it holds nothing.
const ZSTD_EMPTY: [u8; 6] = [0x28, 0xb5, 0x2f, 0xfd, 0x20, 0];

/// What a mark keeps of an open frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Something was written that is not closed yet.
    pub open: bool,
    /// CRC-32 of what it holds (gzip).
    pub sum: u32,
    /// Its length modulo 2^32 (gzip).
    pub len: u32,
}

impl Frame {
    /// The bytes that close it.
    fn end(self, kind: Compression, out: &mut Vec<u8>) {
        match kind {
            _ if !self.open => {}
            Compression::None => {}
            Compression::Gzip => {
                out.extend_from_slice(&[3, 0]);
                out.extend_from_slice(&self.sum.to_le_bytes());
                out.extend_from_slice(&self.len.to_le_bytes());
            }
            Compression::Zstd => out.extend_from_slice(&[1, 0, 0]),
        }
    }
}

/// A compressor of one file.
pub(crate) struct Compressor {
    kind: Compression,
    /// A frame that another process, or a write that failed, has left open.
    left: Frame,
    now: Option<Open>,
}

enum Open {
    Gzip(Box<Compress>, Crc),
    Zstd(Encoder<'static>),
}

impl std::fmt::Debug for Compressor {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Compressor").field("kind", &self.kind).field("frame", &self.frame()).finish()
    }
}

impl Compressor {
    /// A compressor behind what a mark says.
    pub fn new(kind: Compression, left: Frame) -> Compressor {
        Compressor { kind, left, now: None }
    }

    /// Where it stands.
    pub fn frame(&self) -> Frame {
        match &self.now {
            None => self.left,
            Some(Open::Gzip(_, crc)) => Frame { open: true, sum: crc.sum(), len: crc.amount() },
            Some(Open::Zstd(_)) => Frame { open: true, sum: 0, len: 0 },
        }
    }

    /// Compresses, so that all of it can be read back.
    pub fn push(&mut self, plain: &[u8], out: &mut Vec<u8>) {
        if plain.is_empty() {
            return;
        }
        if self.kind == Compression::None {
            out.extend_from_slice(plain);
            return;
        }
        match self.open(out) {
            Open::Gzip(deflate, crc) => {
                crc.update(plain);
                push_gzip(deflate, plain, out);
            }
            Open::Zstd(encoder) => push_zstd(encoder, plain, out),
        }
    }

    /// Closes the file: `empty` when nothing is in it yet.
    pub fn end(&mut self, empty: bool, out: &mut Vec<u8>) {
        if self.kind == Compression::None {
            return;
        }
        if empty && self.now.is_none() {
            out.extend_from_slice(if self.kind == Compression::Gzip { &GZIP_HEADER } else { &ZSTD_EMPTY });
            self.left = Frame { open: true, ..Frame::default() };
        }
        self.frame().end(self.kind, out);
        *self = Compressor::new(self.kind, Frame::default());
    }

    fn open(&mut self, out: &mut Vec<u8>) -> &mut Open {
        let (kind, left) = (self.kind, std::mem::take(&mut self.left));
        self.now.get_or_insert_with(|| {
            left.end(kind, out);
            match kind {
                Compression::Zstd => Open::Zstd(Encoder::new(ZSTD_LEVEL).expect("the level exists")),
                _ => {
                    out.extend_from_slice(&GZIP_HEADER);
                    Open::Gzip(Box::new(Compress::new(Level::new(GZIP_LEVEL), false)), Crc::new())
                }
            }
        })
    }
}

fn push_gzip(deflate: &mut Compress, mut plain: &[u8], out: &mut Vec<u8>) {
    loop {
        out.reserve(plain.len() / 2 + 256);
        let before = deflate.total_in();
        deflate.compress_vec(plain, out, FlushCompress::Sync).expect("a compressor in good order takes everything");
        plain = &plain[(deflate.total_in() - before) as usize..];
        // Room that was left says that the flush is complete.
        if plain.is_empty() && out.len() < out.capacity() {
            return;
        }
    }
}

fn push_zstd(encoder: &mut Encoder<'static>, plain: &[u8], out: &mut Vec<u8>) {
    let mut chunk = [0u8; 16 << 10];
    let mut input = InBuffer::around(plain);
    while input.pos() < plain.len() {
        let mut output = OutBuffer::around(&mut chunk[..]);
        encoder.run(&mut input, &mut output).expect("an encoder in good order takes everything");
        out.extend_from_slice(output.as_slice());
    }
    loop {
        let mut output = OutBuffer::around(&mut chunk[..]);
        let left = encoder.flush(&mut output).expect("an encoder in good order flushes");
        out.extend_from_slice(output.as_slice());
        if left == 0 {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn plain(kind: Compression, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        match kind {
            Compression::None => out.extend_from_slice(bytes),
            Compression::Gzip => {
                flate2::read::MultiGzDecoder::new(bytes).read_to_end(&mut out).expect("gzip");
            }
            Compression::Zstd => {
                zstd::stream::read::Decoder::new(bytes).expect("zstd").read_to_end(&mut out).expect("zstd");
            }
        }
        out
    }

    fn line(number: usize) -> Vec<u8> {
        format!(
            "{{\"url\": \"http://site/{number}\", \"title\": \"a house with a garden\", \"n\": {}}}\n",
            number * 7919
        )
        .into_bytes()
    }

    #[test]
    fn killed_after_any_write_the_rest_goes_on_and_reads_as_one() {
        for kind in [Compression::None, Compression::Gzip, Compression::Zstd] {
            for kill_every in [1, 3, 10, 1000] {
                let (mut file, mut expected) = (Vec::new(), Vec::new());
                let mut compressor = Compressor::new(kind, Frame::default());
                for number in 0..40 {
                    if number % kill_every == 0 {
                        compressor = Compressor::new(kind, compressor.frame());
                    }
                    compressor.push(&line(number), &mut file);
                    expected.extend(line(number));
                }
                compressor.end(false, &mut file);
                assert_eq!(plain(kind, &file), expected, "{kind:?}, killed every {kill_every}");
            }
        }
    }

    #[test]
    fn a_write_that_did_not_reach_the_file_is_forgotten() {
        for kind in [Compression::Gzip, Compression::Zstd] {
            let (mut file, mut lost) = (Vec::new(), Vec::new());
            let mut compressor = Compressor::new(kind, Frame::default());
            compressor.push(&line(1), &mut file);
            let before = compressor.frame();
            compressor.push(&line(2), &mut lost);
            let mut compressor = Compressor::new(kind, before);
            compressor.push(&line(3), &mut file);
            compressor.end(false, &mut file);
            assert_eq!(plain(kind, &file), [line(1), line(3)].concat());
        }
    }

    #[test]
    fn an_empty_file_is_a_whole_one_and_large_writes_fit() {
        for kind in [Compression::Gzip, Compression::Zstd] {
            let mut file = Vec::new();
            Compressor::new(kind, Frame::default()).end(true, &mut file);
            assert!(!file.is_empty() && plain(kind, &file).is_empty(), "{kind:?}");
            let noise: Vec<u8> = (0..300_000u64).map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect();
            let mut file = Vec::new();
            let mut compressor = Compressor::new(kind, Frame::default());
            compressor.push(&noise, &mut file);
            compressor.end(false, &mut file);
            assert!(plain(kind, &file) == noise, "{kind:?}");
        }
    }

    #[test]
    fn small_writes_share_what_they_have_in_common() {
        for kind in [Compression::Gzip, Compression::Zstd] {
            let (mut file, mut total) = (Vec::new(), 0);
            let mut compressor = Compressor::new(kind, Frame::default());
            for number in 0..1000 {
                compressor.push(&line(number), &mut file);
                total += line(number).len();
            }
            assert!(file.len() * 2 < total, "{kind:?}: {} of {total} bytes", file.len());
        }
    }
}
