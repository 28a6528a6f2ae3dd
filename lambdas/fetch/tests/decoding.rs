//! Content-Encoding: whole, cut, wrong, over each other, and made to fill the memory.

use proptest::prelude::*;
use std::io::Write;
use weir_fetch::{DecodeError, DecodeLimits, decode, split_encodings};

const FREE: DecodeLimits = DecodeLimits { bytes_max: 10 << 20, ratio_max: u64::MAX };

/// A page of 60 listings.
fn page() -> Vec<u8> {
    (0..60)
        .map(|n| format!("<a href=\"/p/{n:06}\">flat {}</a> {}pw\n", n * n, n * 7919 % 1000))
        .collect::<String>()
        .into_bytes()
}

/// That page by brotli's reference encoder, quality 11: there is no encoder among our crates.
#[rustfmt::skip]
const PAGE_BROTLI: &[u8] = &[
    0x1b, 0x29, 0x09, 0xc0, 0x8c, 0x93, 0x4c, 0xc9, 0x72, 0x70, 0x52, 0xe9, 0x8c, 0x7c, 0x40, 0xcd, 0x7b, 0xad, 0xda, 0x5a, 0xe1,
    0xc5, 0xe7, 0x0e, 0xfc, 0x57, 0x27, 0x8e, 0x67, 0xf6, 0x05, 0xf6, 0xae, 0xb2, 0x6b, 0x45, 0xfc, 0xf8, 0x11, 0x6b, 0xe9, 0x94,
    0x52, 0x2c, 0x41, 0xbd, 0x78, 0x18, 0xab, 0xde, 0xb0, 0x2d, 0x8b, 0x72, 0xbc, 0xf2, 0x4c, 0xbe, 0x76, 0x9f, 0xbf, 0x53, 0xc7,
    0xd7, 0x4f, 0x7f, 0xcc, 0x79, 0xff, 0x9f, 0x7f, 0x06, 0x02, 0x1b, 0x2e, 0x0f, 0x97, 0xc1, 0xcd, 0x76, 0xb5, 0xa1, 0xed, 0xec,
    0xcb, 0x0b, 0x3f, 0x51, 0xd9, 0xbe, 0x46, 0x92, 0xb1, 0xb9, 0x44, 0x87, 0x2a, 0xe1, 0x78, 0xe9, 0xb3, 0x96, 0x62, 0xb3, 0xb6,
    0x0a, 0xe3, 0x72, 0xe1, 0xf8, 0x30, 0x31, 0x27, 0x66, 0x64, 0x71, 0x03, 0x06, 0x21, 0xe7, 0x60, 0xda, 0x4b, 0x2e, 0x50, 0xf6,
    0x2e, 0xcf, 0x0f, 0x38, 0xaf, 0x76, 0xdb, 0x48, 0x91, 0xb1, 0x6f, 0x43, 0x47, 0x2a, 0xc7, 0xbc, 0xdc, 0xb3, 0xa5, 0x62, 0x4b,
    0xb4, 0x8d, 0xc9, 0x65, 0xe1, 0x5c, 0x4c, 0x4e, 0x79, 0xc6, 0x6a, 0x07, 0xa4, 0x61, 0x79, 0x07, 0xc7, 0x5a, 0x62, 0x43, 0x15,
    0x9e, 0x85, 0x1e, 0xce, 0xd7, 0x65, 0x8a, 0x48, 0x95, 0xb9, 0xbc, 0x17, 0xd0, 0x7c, 0xb5, 0x7b, 0x8e, 0xd7, 0x8f, 0x27, 0x21,
    0x36, 0xd7, 0xf6, 0x89, 0x71, 0xef, 0x35, 0x0c, 0x55, 0xc1, 0xd4, 0xf4, 0xcd, 0xa8, 0x37, 0x53, 0xe0, 0xd4, 0xde, 0x14, 0x3f,
    0x18, 0xba, 0xe5, 0xec, 0xae, 0xdc, 0xb3, 0xe2, 0xc3, 0x85, 0xd4, 0xd2, 0x25, 0x45, 0xc6, 0xa2, 0xd9, 0x9b, 0xd7, 0xe5, 0x9a,
    0xbc, 0x52, 0xef, 0xa7, 0x82, 0x2d, 0xdb, 0x97, 0x47, 0x92, 0xab, 0x10, 0x6e, 0x8d, 0x9b, 0xa7, 0x3a, 0x63, 0x5f, 0x67, 0x47,
    0x2e, 0x6c, 0xdf, 0xc1, 0x7a, 0xb5, 0xcd, 0x2d, 0xea, 0xf5, 0x49, 0x3c, 0x5c, 0xa7, 0x5a, 0xab, 0x91, 0x3b, 0x87, 0xb1, 0x4a,
    0x68, 0x01, 0xb5, 0x7c, 0xe6, 0x15, 0xe7, 0x2c, 0x4e, 0x6c, 0x6b, 0x2c, 0x41, 0xae, 0x3c, 0x58, 0x09, 0x9c, 0x99, 0x17, 0x63,
    0x86, 0xbc, 0x90, 0x66, 0x47, 0x6e, 0x49, 0xf3, 0x8d, 0x7c, 0x4b, 0x9a, 0x3b, 0xf2, 0x0d, 0x69, 0x1e, 0x64, 0x49, 0x90, 0x8c,
    0x49, 0x0b, 0x92, 0x2e, 0x69, 0xd1, 0x52, 0x4b, 0x5a, 0xaa, 0xd4, 0x90, 0x96, 0xf7, 0x20, 0x05,
];

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(plain).expect("into memory");
    encoder.finish().expect("into memory")
}

fn zlib(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(plain).expect("into memory");
    encoder.finish().expect("into memory")
}

fn raw_deflate(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(plain).expect("into memory");
    encoder.finish().expect("into memory")
}

fn zstd(plain: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(plain, 3).expect("into memory")
}

/// The page in every encoding that weir asks for, by the token of its header.
fn encoded() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let page = page();
    vec![
        ("gzip", "gzip", gzip(&page)),
        ("x-gzip", "gzip by its old name", gzip(&page)),
        ("deflate", "zlib", zlib(&page)),
        ("deflate", "raw deflate", raw_deflate(&page)),
        ("br", "brotli", PAGE_BROTLI.to_vec()),
        ("zstd", "zstd", zstd(&page)),
    ]
}

fn undo(header: &str, body: Vec<u8>, limits: DecodeLimits) -> Result<Vec<u8>, DecodeError> {
    let (left, undone) = split_encodings(&[header]);
    assert!(left.is_empty(), "{header}");
    decode(&undone, body, limits)
}

#[test]
fn every_encoding_is_undone_and_so_are_several_over_each_other() {
    for (token, name, body) in encoded() {
        assert_eq!(undo(token, body.clone(), FREE).expect(name), page(), "{name}");
        assert_eq!(undo(&format!("{token}, gzip"), gzip(&body), FREE).expect(name), page(), "gzip over {name}");
        assert_eq!(
            undo(&format!("{token} , IDENTITY,ZSTD"), zstd(&body), FREE).expect(name),
            page(),
            "zstd over {name}"
        );
        assert_eq!(undo(token, Vec::new(), FREE).expect(name), b"", "an empty body is no stream: {name}");
    }
    let twice = [gzip(b"one "), gzip(b"two")].concat();
    assert_eq!(undo("gzip", twice, FREE).expect("members"), b"one two", "gzip may have several members");
}

#[test]
fn a_stream_that_was_cut_anywhere_gives_what_it_held() {
    let page = page();
    for (token, name, body) in encoded() {
        let mut held_before = 0;
        for cut in 0..body.len() {
            let held = match undo(token, body[..cut].to_vec(), FREE) {
                Ok(held) => held,
                // Without a mark at the front, nobody knows that these bytes were to be such a stream.
                Err(DecodeError::Invalid { .. }) if held_before == 0 && matches!(name, "brotli" | "raw deflate") => {
                    continue;
                }
                Err(DecodeError::Invalid { .. }) if name == "zlib" && cut < 2 => continue,
                Err(error) => panic!("{name} cut at {cut}: {error}"),
            };
            assert!(page.starts_with(&held), "{name} cut at {cut}");
            assert!(held.len() >= held_before, "{name} cut at {cut}: more bytes never hold less");
            held_before = held.len();
        }
        assert!(name == "zstd" || held_before > page.len() / 2, "{name}: {held_before}");
    }
}

#[test]
fn rubbish_behind_the_end_is_left_out() {
    for (token, name, body) in encoded() {
        let more = [&body[..], b"\0\0 <!-- served by cache 7 -->"].concat();
        assert_eq!(undo(token, more, FREE).expect(name), page(), "{name}");
    }
}

#[test]
fn what_never_was_such_a_stream_is_an_error_by_name() {
    for (token, name) in [("gzip", "gzip"), ("deflate", "deflate"), ("br", "br"), ("zstd", "zstd")] {
        for text in ["<html><body>plain text under a wrong header</body></html>", "Works"] {
            let error = undo(token, text.into(), FREE).expect_err(name);
            assert_eq!(error, DecodeError::Invalid { encoding: name }, "{text}");
        }
    }
}

#[test]
fn unknown_encodings_and_all_before_them_are_left() {
    let split = |headers: &[&str]| {
        let (left, undone) = split_encodings(headers);
        (left.join(" "), undone.join(" "))
    };
    assert_eq!(split(&["gzip, foo", "deflate"]), ("gzip foo".into(), "deflate".into()));
    assert_eq!(split(&["foo"]), ("foo".into(), String::new()));
    assert_eq!(split(&["", "identity"]), (String::new(), String::new()));
}

/// The longest zeros that brotli's reference encoder puts in so few bytes: 64 MiB of them.
#[rustfmt::skip]
const ZEROS_BROTLI: &[u8] = &[
    0xcb, 0xff, 0xff, 0x3f, 0xf8, 0x27, 0x00, 0xe2, 0xb1, 0x40, 0x20, 0xf7, 0xfe, 0x8f, 0xff, 0xff, 0x7f, 0xf0, 0x4f, 0x00, 0xc4,
    0x61, 0x11, 0x80, 0xee, 0xfd, 0x1f, 0xff, 0xff, 0xff, 0xe0, 0x9f, 0x00, 0x88, 0xc3, 0x02, 0x00, 0xdd, 0xfb, 0x3f, 0xfe, 0xff,
    0xff, 0xc1, 0x3f, 0x01, 0x10, 0x87, 0x05, 0x00, 0xba, 0xf7, 0x7f, 0xfc, 0xff, 0xff, 0x83, 0x7f, 0x02, 0x20, 0x0e, 0x0b, 0x00,
    0x74, 0xef, 0xff, 0xf8, 0xff, 0xff, 0x07, 0xff, 0x04, 0x40, 0x1c, 0x16, 0x00, 0xe8, 0xde, 0xff, 0xf1, 0xff, 0xff, 0x0f, 0xfe,
    0x09, 0x80, 0x38, 0x2c, 0x00, 0xd0, 0xbd, 0xff, 0xe3, 0xff, 0xff, 0x1f, 0xfc, 0x13, 0x00, 0x71, 0x58, 0x00, 0xa0, 0x7b, 0xff,
    0x37,
];

#[test]
fn a_body_may_be_as_large_as_the_limit_and_not_a_byte_larger() {
    const MAX: usize = 300_000;
    let limits = DecodeLimits { bytes_max: MAX as u64, ratio_max: u64::MAX };
    for (name, encode) in
        [("gzip", gzip as fn(&[u8]) -> Vec<u8>), ("deflate", zlib), ("deflate", raw_deflate), ("zstd", zstd)]
    {
        let body = undo(name, encode(&[0; MAX]), limits).expect(name);
        assert_eq!(body.len(), MAX, "{name}");
        assert!(body.capacity() <= MAX, "{name}: room for {} bytes", body.capacity());
        assert_eq!(undo(name, encode(&[0; MAX + 1]), limits), Err(DecodeError::TooLarge { max: MAX as u64 }), "{name}");
    }
    assert_eq!(undo("br", ZEROS_BROTLI.to_vec(), limits), Err(DecodeError::TooLarge { max: MAX as u64 }));
    let enough = DecodeLimits { bytes_max: 64 << 20, ratio_max: u64::MAX };
    assert_eq!(undo("br", ZEROS_BROTLI.to_vec(), enough).expect("br").len(), 64 << 20);
}

#[test]
fn a_bomb_inside_a_bomb_meets_the_limit_at_its_first_layer() {
    let zeros = vec![0; 8 << 20];
    let limits = DecodeLimits { bytes_max: 1 << 20, ratio_max: 200 };
    for (headers, body) in [
        ("gzip, gzip", gzip(&gzip(&zeros))),
        ("gzip, deflate", zlib(&gzip(&zeros))),
        ("zstd, gzip", gzip(&zstd(&zeros))),
        ("br, zstd", zstd(ZEROS_BROTLI)),
        ("gzip, gzip, gzip", gzip(&gzip(&gzip(&zeros)))),
    ] {
        let error = undo(headers, body, limits).expect_err(headers);
        assert!(matches!(error, DecodeError::TooLarge { .. }), "{headers}: {error}");
    }
}

#[test]
fn the_ratio_counts_beyond_the_first_64_kib_alone() {
    let limits = DecodeLimits { bytes_max: 10 << 20, ratio_max: 200 };
    assert_eq!(undo("gzip", gzip(&[0; 64 << 10]), limits).expect("small").len(), 64 << 10);
    let bomb = gzip(&[0; 1 << 20]);
    assert_eq!(undo("gzip", bomb.clone(), limits), Err(DecodeError::TooLarge { max: 200 * bomb.len() as u64 }));
    // Real pages that compress well: a table of a thousand like rows.
    let table = "<tr><td class=\"price\">£100pw</td></tr>\n".repeat(1000);
    assert_eq!(undo("gzip", gzip(table.as_bytes()), limits).expect("a table").len(), table.len());
}

#[test]
fn endless_layers_are_refused_before_the_first_is_undone() {
    let header = ["gzip"; 6].join(",");
    let error = undo(&header, gzip(b"anything"), FREE).expect_err("layers");
    assert_eq!(error.to_string(), "body is encoded 6 times over, at most 5 are undone");
    let five = (0..5).fold(b"five".to_vec(), |body, _| gzip(&body));
    assert_eq!(undo(&["gzip"; 5].join(","), five, FREE).expect("five"), b"five");
}

#[test]
fn a_window_larger_than_the_web_asks_for_is_refused() {
    let frame = |window_log| {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).expect("an encoder");
        encoder.window_log(window_log).expect("a window");
        encoder.write_all(&page()).expect("into memory");
        encoder.flush().expect("into memory");
        encoder.finish().expect("into memory")
    };
    assert_eq!(undo("zstd", frame(23), FREE).expect("8 MiB"), page());
    assert_eq!(undo("zstd", frame(27), FREE), Err(DecodeError::Invalid { encoding: "zstd" }));
}

proptest! {
    #[test]
    fn no_bytes_panic_and_none_pass_the_limit(
        token in prop::sample::select(vec!["gzip", "deflate", "br", "zstd", "gzip, br", "zstd, deflate"]),
        which in 0usize..6,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        random in prop::collection::vec(any::<u8>(), 0..64),
        whole: bool,
    ) {
        let mut body = if whole { random.clone() } else { encoded().swap_remove(which).2 };
        for (at, byte) in changes {
            if !body.is_empty() {
                let at = at.index(body.len());
                body[at] = byte;
            }
        }
        let limits = DecodeLimits { bytes_max: 2000, ratio_max: 200 };
        if let Ok(decoded) = undo(token, body, limits) {
            prop_assert!(decoded.len() <= 2000);
        }
    }
}
