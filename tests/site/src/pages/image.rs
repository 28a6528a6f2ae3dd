//! `/images/iNN.jpg`: one grey pixel each, different in bytes by a comment, so that a crawl can tell them apart.

use crate::portal::IMAGE_COUNT;
use crate::reply::Reply;

/// A picture by its file name.
pub(super) fn answer(name: &str, page: &mut String) -> Reply {
    let number = name.strip_prefix('i').and_then(|rest| rest.strip_suffix(".jpg")).filter(|digits| digits.len() == 2);
    match number.and_then(|digits| digits.parse::<usize>().ok()).filter(|number| *number < IMAGE_COUNT) {
        Some(number) => Reply::bytes("image/jpeg", jpeg(number)),
        None => Reply::status(page, 404),
    }
}

/// A baseline JPEG (ITU-T T.81, annex B) of one pixel: one code a table, each one bit long.
fn jpeg(number: usize) -> Vec<u8> {
    let mut out = vec![0xFF, 0xD8];
    let mut segment = |marker: u8, payload: &[u8]| {
        out.extend_from_slice(&[0xFF, marker]);
        out.extend_from_slice(&u16::try_from(payload.len() + 2).expect("segments here are short").to_be_bytes());
        out.extend_from_slice(payload);
    };
    segment(0xE0, b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0");
    segment(0xFE, format!("image {number:02}").as_bytes());
    let mut quantisation = [1u8; 65];
    quantisation[0] = 0;
    segment(0xDB, &quantisation);
    segment(0xC0, &[8, 0, 1, 0, 1, 1, 1, 0x11, 0]);
    for class in [0x00, 0x10] {
        let mut table = [0u8; 18];
        table[0] = class;
        table[1] = 1;
        segment(0xC4, &table);
    }
    segment(0xDA, &[1, 1, 0, 0, 63, 0]);
    // Two codes, difference 0 and end of block, then ones to the end of the byte.
    out.extend_from_slice(&[0x3F, 0xFF, 0xD9]);
    out
}
