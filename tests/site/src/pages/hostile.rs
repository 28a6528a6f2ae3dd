//! `/hostile/...`: what a crawler meets out there and must survive. `/hostile/` lists one address of each kind.
//!
//! What is an answer (redirects, odd statuses, bytes that are no text, calendars) is made here; what breaks the protocol
//! or takes its time is only named here (`Hostile`) and performed by the server.

use super::Visit;
use crate::knobs::{EXTRA_BYTES_MAX, duration};
use crate::portal::{Day, Dice, push_number};
use crate::reply::{HTML, PLAIN, Reply};
use crate::request::form_value;
use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What the server does instead of answering.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hostile {
    /// Closes without a byte.
    Drop,
    /// Resets the connection without a byte.
    Reset,
    /// Accepts the request and says nothing for ever.
    Silent,
    /// Half a head, then nothing for ever.
    HeadStalls,
    /// Header lines for ever.
    HeadEndless,
    /// A body for ever, in chunks.
    EndlessChunks,
    /// A body for ever, of a length that was announced.
    EndlessLength,
    /// A body of so many bytes, one at a time.
    Drip { bytes: usize, every: Duration },
    /// Half of a body, then a pause for ever.
    BodyStalls,
    /// Fewer bytes than announced, then the end.
    BodyShort,
    /// More bytes than announced.
    BodyLong,
    /// Chunks that end in the middle.
    ChunksCut,
    /// A chunk size that is no number.
    ChunksWrong,
    /// A status line that is none.
    NotHttp,
    /// Two different lengths.
    TwoLengths,
    /// A body that ends with the connection.
    UntilClose,
}

/// How often which address was asked for, for those that fail at first.
#[derive(Debug, Default)]
pub(super) struct Counters(Mutex<BTreeMap<String, u32>>);

/// Addresses that are counted; beyond it none is added, and they fail for ever.
const COUNTED_MAX: usize = 100_000;

impl Counters {
    fn next(&self, key: &str) -> u32 {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(key) {
            *count = count.saturating_add(1);
            return *count;
        }
        if counts.len() < COUNTED_MAX {
            counts.insert(key.to_owned(), 1);
        }
        1
    }
}

/// Where a hostile redirect leads.
const PRIVATE: &[(&str, &str)] = &[
    ("metadata", "http://169.254.169.254/latest/meta-data/"),
    ("ten", "http://10.0.0.1/"),
    ("lan", "http://192.168.1.1/admin"),
    ("mapped", "http://[::ffff:10.0.0.1]/"),
    ("local6", "http://[fd00::1]/"),
    ("decimal", "http://2130706433:9/"),
    ("zero", "http://0.0.0.0:9/"),
    ("file", "file:///etc/passwd"),
    ("ftp", "ftp://127.0.0.1/secret"),
    ("script", "javascript:alert(1)"),
    ("broken", "http://[::1/"),
    ("empty", ""),
];

pub(super) fn answer(counters: &Counters, visit: &Visit<'_>, rest: &str, page: &mut String) -> Reply {
    let mut parts = rest.split('/');
    let (kind, first, second) = (parts.next().unwrap_or(""), parts.next(), parts.next());
    let count = |part: Option<&str>| part.and_then(|text| text.parse::<usize>().ok());
    let bytes = |part| count(part).map(|bytes| bytes.min(EXTRA_BYTES_MAX));
    let found = match kind {
        "" => Some(contents(page)),
        "loop" => count(first).filter(|length| *length > 0).map(|length| {
            let at = count(second).unwrap_or(0);
            Reply::redirect(page, 302, &format!("/hostile/loop/{length}/{}", (at + 1) % length))
        }),
        "chain" => count(first).map(|left| match left {
            0 => end(page, "the end of the chain"),
            left => Reply::redirect(page, [301, 302, 303, 307, 308][left % 5], &format!("/hostile/chain/{}", left - 1)),
        }),
        "to" => {
            PRIVATE.iter().find(|(name, _)| Some(*name) == first).map(|(_, target)| Reply::redirect(page, 302, target))
        }
        "status" => count(first)
            .and_then(|status| u16::try_from(status).ok())
            .filter(|s| (200..1_000).contains(s))
            .map(|status| {
                let reply = Reply::status(page, status);
                match form_value(visit.query, "retry-after").filter(|value| !value.contains(['\r', '\n'])) {
                    Some(value) => reply.with("retry-after", &value),
                    None => reply,
                }
            }),
        "429" => Some(Reply::status(page, 429).with("retry-after", &count(first).unwrap_or(1).to_string())),
        "flaky" => count(first).map(|failures| {
            if counters.next(&format!("{}{}", visit.request.host, visit.request.target)) as usize <= failures {
                Reply::status(
                    page,
                    count(second).and_then(|s| u16::try_from(s).ok()).filter(|s| *s >= 400).unwrap_or(503),
                )
            } else {
                end(page, "at last")
            }
        }),
        "wait" => first.and_then(duration).map(|wait| end(page, "here you are").after(wait)),
        "drip" => bytes(first).map(|bytes| {
            let every = second.and_then(duration).unwrap_or(Duration::from_millis(100));
            Reply::hostile(200, Hostile::Drip { bytes, every })
        }),
        "size" => bytes(first).map(|bytes| sized(page, bytes)),
        "noise" => bytes(first).map(|bytes| Reply::bytes(HTML, noise(bytes))),
        "deep" => bytes(first).map(|depth| nested(page, (depth / 11).max(1))),
        "links" => bytes(first).map(|links| many_links(page, links.min(1_000_000))),
        "grow" => Some(linked(page, "grow/")),
        "calendar" => calendar(visit.path, page),
        "permutations" => Some(permutations(visit.query, page)),
        "bomb" => first.and_then(|encoding| bomb(encoding, bytes(second).unwrap_or(EXTRA_BYTES_MAX))),
        other => performed(other).map(|what| {
            let answers = !matches!(what, Hostile::Drop | Hostile::Reset | Hostile::Silent);
            Reply::hostile(if answers { 200 } else { 0 }, what)
        }),
    };
    found.unwrap_or_else(|| Reply::status(page, 404))
}

/// The kinds that have no parameter.
const PERFORMED: &[(&str, Hostile)] = &[
    ("drop", Hostile::Drop),
    ("reset", Hostile::Reset),
    ("silent", Hostile::Silent),
    ("head-stalls", Hostile::HeadStalls),
    ("head-endless", Hostile::HeadEndless),
    ("endless", Hostile::EndlessChunks),
    ("endless-length", Hostile::EndlessLength),
    ("body-stalls", Hostile::BodyStalls),
    ("body-short", Hostile::BodyShort),
    ("body-long", Hostile::BodyLong),
    ("chunks-cut", Hostile::ChunksCut),
    ("chunks-wrong", Hostile::ChunksWrong),
    ("not-http", Hostile::NotHttp),
    ("two-lengths", Hostile::TwoLengths),
    ("until-close", Hostile::UntilClose),
];

fn performed(name: &str) -> Option<Hostile> {
    PERFORMED.iter().find(|(known, _)| *known == name).map(|(_, what)| *what)
}

fn contents(page: &mut String) -> Reply {
    const ANSWERED: &[&str] = &[
        "loop/1",
        "loop/3",
        "chain/5",
        "chain/30",
        "status/404",
        "status/503?retry-after=2",
        "429/2",
        "flaky/2",
        "wait/500ms",
        "drip/100/50ms",
        "size/10000000",
        "noise/10000",
        "deep/100000",
        "links/10000",
        "grow/",
        "calendar/2026-11-21",
        "permutations?a=1&amp;b=2&amp;c=3",
        "bomb/gzip",
        "bomb/deflate",
        "bomb/zstd",
    ];
    page.push_str("<!DOCTYPE html>\n<html><head><title>Hostile</title></head><body>\n<ul>\n");
    let private = PRIVATE.iter().map(|(name, _)| format!("to/{name}"));
    let all = ANSWERED.iter().map(|name| (*name).to_owned()).chain(private);
    for path in all.chain(PERFORMED.iter().map(|(name, _)| (*name).to_owned())) {
        page.push_str(&format!("  <li><a href=\"/hostile/{path}\">{path}</a></li>\n"));
    }
    page.push_str("</ul>\n</body></html>\n");
    Reply::page(HTML)
}

fn end(page: &mut String, text: &str) -> Reply {
    page.push_str("<!DOCTYPE html>\n<html><body><p>");
    page.push_str(text);
    page.push_str("</p></body></html>\n");
    Reply::page(HTML)
}

fn linked(page: &mut String, href: &str) -> Reply {
    page.push_str(&format!("<!DOCTYPE html>\n<html><body><a href=\"{href}\">further</a></body></html>\n"));
    Reply::page(HTML)
}

/// A page of exactly so many bytes.
fn sized(page: &mut String, bytes: usize) -> Reply {
    page.push_str("<!DOCTYPE html>\n<html><body>\n");
    while page.len() < bytes {
        page.push_str("<p>A paragraph, and another one after it.</p>\n");
    }
    page.truncate(bytes);
    Reply::page(HTML)
}

/// Bytes that are no text in any encoding.
fn noise(bytes: usize) -> Vec<u8> {
    let dice = Dice::new(0x6E_6F_69_73_65, bytes as u64);
    let mut out: Vec<u8> = (0..bytes.div_ceil(8) as u64).flat_map(|at| dice.draw(at).to_le_bytes()).collect();
    out.truncate(bytes);
    out
}

fn nested(page: &mut String, depth: usize) -> Reply {
    page.push_str("<!DOCTYPE html>\n<html><body>");
    (0..depth).for_each(|_| page.push_str("<div>"));
    page.push_str("<span itemprop=\"name\">deep</span>");
    (0..depth).for_each(|_| page.push_str("</div>"));
    page.push_str("</body></html>\n");
    Reply::page(HTML)
}

fn many_links(page: &mut String, links: usize) -> Reply {
    page.push_str("<!DOCTYPE html>\n<html><body>\n");
    for link in 0..links {
        page.push_str("<a href=\"/hostile/size/");
        push_number(page, link as u64, 1);
        page.push_str("\">x</a>\n");
    }
    page.push_str("</body></html>\n");
    Reply::page(HTML)
}

/// A calendar without end: every day links the one before and the one after, each also as print view.
fn calendar(path: &str, page: &mut String) -> Option<Reply> {
    let day = Day::parse(path.strip_prefix("/hostile/calendar/")?)?;
    let (before, after) = (day.plus(-1)?, day.plus(1)?);
    page.push_str(&format!(
        "<!DOCTYPE html>\n<html><body><h1>{day}</h1><p>Nothing on this day.</p>\n<a class=\"prev\" href=\"{before}\">{before}</a>\n\
         <a class=\"next\" href=\"{after}\">{after}</a>\n<a href=\"{day}?view=print\">print</a>\n</body></html>\n"
    ));
    Some(Reply::page(HTML))
}

/// Every order of the parameters is a link, and every page has one parameter more.
fn permutations(query: &str, page: &mut String) -> Reply {
    let pairs: Vec<&str> = query.split('&').filter(|pair| !pair.is_empty()).take(12).collect();
    page.push_str("<!DOCTYPE html>\n<html><body>\n");
    for turn in 0..pairs.len() {
        let turned: Vec<&str> = pairs[turn..].iter().chain(&pairs[..turn]).copied().collect();
        let safe = turned.join("&amp;").replace(['"', '<', '>'], "");
        page.push_str(&format!(
            "<a href=\"?{safe}\">same</a>\n<a href=\"?{safe}&amp;p{}={turn}\">more</a>\n",
            pairs.len()
        ));
    }
    page.push_str("</body></html>\n");
    Reply::page(HTML)
}

/// A small body that unpacks to `bytes`.
fn bomb(encoding: &str, bytes: usize) -> Option<Reply> {
    let packed = match encoding {
        "gzip" => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
            encoder.write_all(&vec![b' '; bytes]).expect("a Vec takes every byte");
            encoder.finish().expect("a Vec takes every byte")
        }
        "deflate" => {
            let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
            encoder.write_all(&vec![b' '; bytes]).expect("a Vec takes every byte");
            encoder.finish().expect("a Vec takes every byte")
        }
        "zstd" => zstd_of_spaces(bytes),
        _ => return None,
    };
    Some(Reply::bytes(PLAIN, packed).with("content-encoding", encoding))
}

/// A Zstandard frame of run-length blocks (RFC 8878, 3.1.1.2): four bytes for each 128 KiB.
fn zstd_of_spaces(bytes: usize) -> Vec<u8> {
    const BLOCK: usize = 128 << 10;
    // Magic number; no size, no checksum; a window of 128 KiB (exponent 7).
    let mut out = vec![0x28, 0xB5, 0x2F, 0xFD, 0x00, 7 << 3];
    let mut left = bytes;
    loop {
        let size = left.min(BLOCK);
        left -= size;
        let header = u32::try_from(size << 3).expect("20 bits") | 1 << 1 | u32::from(left == 0);
        out.extend_from_slice(&header.to_le_bytes()[..3]);
        out.push(b' ');
        if left == 0 {
            return out;
        }
    }
}
