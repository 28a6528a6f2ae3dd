//! Dead letters in pages, for those who cannot read a state: a page has the letters of [`PAGE_LETTERS`] numbers, a line each, as in the
//! state's file but for secrets.
//!
//! Decides bytes and names only. Invariants: a page is made of what the file has, so it says nothing that the journal does not; making
//! it again gives the same bytes; no header's or URL's secret is in it. What enters again comes from the file, never from a page.

use crate::letter_file::{DeadLetters, KeptLetter, LetterFile, Line, put_line};
use crate::letters::Content;
use weir_connector::redact;

/// Numbers of one page: a change writes a page anew, and who lists letters reads each page.
pub const PAGE_LETTERS: u64 = 100;
/// Where pages lie, of all stages.
pub const PAGES_PREFIX: &str = "dead-letters/";
/// Headers whose values are nobody's business.
const SECRET_HEADERS: [&str; 4] = ["authorization", "proxy-authorization", "cookie", "x-api-key"];

/// Where the pages of a stage lie.
#[must_use]
pub fn pages_of(stage: u32) -> String {
    format!("{PAGES_PREFIX}stage-{stage}/")
}

/// Where a page lies.
#[must_use]
pub fn page_key(stage: u32, page: u64) -> String {
    format!("{}{page:010}.jsonl", pages_of(stage))
}

/// Whose page lies there.
#[must_use]
pub fn page_stage(key: &str) -> Option<u32> {
    key.strip_prefix(PAGES_PREFIX)?.strip_prefix("stage-")?.split_once('/')?.0.parse().ok()
}

/// A page: its number and its bytes, none when no letter of it is left.
pub(crate) type Page = (u64, Vec<u8>);

impl LetterFile {
    /// The pages that changed since they were last asked for; at first all of them.
    pub fn take_pages(&mut self) -> Vec<Page> {
        let changed = std::mem::take(&mut self.changed_pages);
        changed.into_iter().map(|page| (page, page_bytes(self.known(), page))).collect()
    }
}

fn page_bytes(known: &DeadLetters, page: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    for kept in known.letters.range(page * PAGE_LETTERS..(page + 1) * PAGE_LETTERS).map(|(_, kept)| kept) {
        put_line(&mut bytes, &Line::Kept(Box::new(without_secrets(kept.clone()))));
    }
    bytes
}

fn without_secrets(mut kept: KeptLetter) -> KeptLetter {
    if let Content::Request { request, .. } = &mut kept.letter.content {
        request.url = redact(&request.url).into();
        request.referer = request.referer.take().map(|url| redact(&url).into());
        request.first_url = request.first_url.take().map(|url| redact(&url).into());
        if let Some(extra) = &mut request.extra {
            for (name, value) in &mut extra.headers {
                if SECRET_HEADERS.contains(&name.to_ascii_lowercase().as_str()) {
                    *value = "***".into();
                }
            }
            // A form may hold a password, and nobody can tell.
            extra.body = extra.body.take().map(|body| format!("*** ({} bytes)", body.len()).into_bytes().into());
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Document;
    use crate::letters::{Letter, LetterOp};
    use weir_model::{JobId, LinkExtra, Reason, Request, UnixMs};

    fn letter(id: u64) -> LetterOp {
        let extra = LinkExtra {
            headers: vec![("Cookie".into(), "sid=geheim".into()), ("Accept".into(), "text/html".into())],
            body: Some(b"password=geheim".as_slice().into()),
            ..LinkExtra::default()
        };
        let request = Request {
            url: format!("http://shop.example/{id}?page=2&token=geheim").into(),
            extra: Some(Box::new(extra)),
            ..Request::default()
        };
        let content = Content::Request { verdict: Reason::KilledTheFunction, target: String::new(), request };
        LetterOp::Kept(Box::new(Letter { id, job: JobId(1), at_ms: UnixMs(5), reason: "why".into(), content }))
    }

    fn numbers(page: &Page) -> Vec<u64> {
        DeadLetters::of_page("page", &page.1).letters.into_keys().collect()
    }

    #[test]
    fn pages_have_what_the_file_has_and_change_with_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let document = Document::default();
        let mut file = LetterFile::open(folder.path()).expect("opened");
        assert!(file.take_pages().is_empty());
        file.append(&[letter(1), letter(99), letter(100)], &document).expect("written");
        let pages = file.take_pages();
        assert_eq!(pages.iter().map(numbers).collect::<Vec<_>>(), [vec![1, 99], vec![100]]);
        assert!(file.take_pages().is_empty(), "nothing changed since");
        file.append(&[LetterOp::Gone(100), letter(1)], &document).expect("written");
        assert_eq!(file.take_pages(), [(1, Vec::new())], "its last letter is gone");
        let mut again = LetterFile::open(folder.path()).expect("opened");
        assert_eq!(again.take_pages(), [pages[0].clone()], "a new process makes the same");
    }

    #[test]
    fn no_secret_is_on_a_page_and_all_are_in_the_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut file = LetterFile::open(folder.path()).expect("opened");
        file.append(&[letter(7)], &Document::default()).expect("written");
        let pages = file.take_pages();
        let text = String::from_utf8_lossy(&pages[0].1);
        assert!(!text.contains("geheim") && text.contains("text/html") && text.contains("page=2"), "{text}");
        let found = DeadLetters::read(folder.path()).expect("readable");
        let LetterOp::Kept(meant) = letter(7) else { unreachable!() };
        assert_eq!(found.letters[&7].letter, *meant);
        let mut damaged = pages[0].1.clone();
        damaged[20] ^= 1;
        let read = DeadLetters::of_page("dead-letters/stage-0/0000000000.jsonl", &damaged);
        assert!(read.letters.is_empty() && read.damaged[0].contains("0000000000.jsonl:1: "), "{:?}", read.damaged);
    }

    #[test]
    fn a_page_says_whose_it_is() {
        assert_eq!(page_key(12, 3), "dead-letters/stage-12/0000000003.jsonl");
        assert_eq!(page_stage(&page_key(12, 3)), Some(12));
        assert_eq!(page_stage("dead-letters/else"), None);
    }
}
