//! The page from its first character to its last: what stands beside the root, and what in it.
//!
//! Decides which construct begins where, and what is left of the page when one goes wrong. Knows of nodes only what the
//! builder takes. `malformed` is libxml2's own flag: it stays set from the first error on, and changes how text is read.

use super::build::{Builder, Written};
use super::lexis::{is_blank, is_invalid, name_length};
use crate::parse::ParseError;

/// Where a search for the end of a construct ended.
enum End {
    /// At its end mark.
    Marked(usize),
    /// Before it: at a character that no page may hold, or at the end of the page.
    Broken(usize),
}

pub(super) struct Reader<'b, 'p> {
    pub page: &'p str,
    pub at: usize,
    pub out: Builder<'b, 'p>,
    pub malformed: bool,
    /// Entities that the document type declares, sorted.
    pub entities: Vec<&'p str>,
    /// Whether entities may also be declared where nobody looks.
    pub declared_elsewhere: bool,
    /// Kept from tag to tag.
    pub attributes: Vec<Written<'p>>,
}

impl<'b, 'p> Reader<'b, 'p> {
    pub(super) fn new(page: &'p str, out: Builder<'b, 'p>) -> Self {
        Reader {
            page,
            at: 0,
            out,
            malformed: false,
            entities: Vec::new(),
            declared_elsewhere: false,
            attributes: Vec::new(),
        }
    }

    /// Reads the whole page.
    pub(super) fn document(&mut self) -> Result<(), ParseError> {
        self.declaration();
        self.beside_root()?;
        self.document_type();
        self.beside_root()?;
        if self.byte(0) == Some(b'<') {
            self.start_tag()?;
            self.content()?;
            if !self.out.arena.truncated {
                self.beside_root()?;
            }
        }
        Ok(())
    }

    /// Comments and processing instructions.
    fn beside_root(&mut self) -> Result<(), ParseError> {
        loop {
            self.skip_blanks();
            if self.sees("<?") {
                self.instruction(true)?;
            } else if self.sees("<!--") {
                self.comment(true)?;
            } else {
                return Ok(());
            }
        }
    }

    /// What stands in the root element, its end tag included.
    fn content(&mut self) -> Result<(), ParseError> {
        while self.out.innermost().is_some() && !self.out.arena.truncated {
            match (self.byte(0), self.byte(1)) {
                (None, _) => return Ok(()),
                (Some(b'<'), Some(b'/')) => self.end_tag(),
                (Some(b'<'), Some(b'?')) => self.instruction(true)?,
                (Some(b'<'), Some(b'!')) if self.sees("<!--") => self.comment(true)?,
                (Some(b'<'), Some(b'!')) if self.sees("<![CDATA[") => self.cdata()?,
                (Some(b'<'), _) => drop(self.start_tag()?),
                (Some(b'&'), _) => self.reference()?,
                _ => self.text()?,
            }
        }
        Ok(())
    }

    /// At `<!--`.
    pub(super) fn comment(&mut self, keep: bool) -> Result<(), ParseError> {
        let from = self.at + 4;
        match self.comment_end(from) {
            End::Marked(to) => {
                self.at = to + 3;
                if keep { self.out.comment(self.page, from, to) } else { Ok(()) }
            }
            End::Broken(at) => {
                self.broken(at);
                Ok(())
            }
        }
    }

    /// Up to the first character that is not plain, libxml2 takes hyphens by twos: there `--->` is no end.
    fn comment_end(&mut self, from: usize) -> End {
        let bytes = self.page.as_bytes();
        let mut at = from;
        loop {
            match bytes.get(at) {
                None => return End::Broken(at),
                Some(b'-') if bytes.get(at + 1) == Some(&b'-') => {
                    if bytes.get(at + 2) == Some(&b'>') {
                        return End::Marked(at);
                    }
                    self.malformed = true;
                    at += 2;
                }
                Some(b'\r') if bytes.get(at + 1) == Some(&b'\n') => at += 2,
                Some(b'\t' | b'\n' | 0x20..=0x7f) => at += 1,
                Some(_) => break,
            }
        }
        let end = self.find(at, b"-->");
        // Three hyphens at the end are two in the comment.
        let to = match end {
            End::Marked(to) => to + 1,
            End::Broken(to) => to,
        };
        self.malformed |= self.page[at..to].contains("--");
        end
    }

    /// At `<?`.
    pub(super) fn instruction(&mut self, keep: bool) -> Result<(), ParseError> {
        self.at += 2;
        let length = name_length(self.rest());
        let target = &self.rest()[..length];
        self.at += length;
        self.malformed |= length == 0 || target.eq_ignore_ascii_case("xml");
        if length == 0 {
            return Ok(());
        }
        if self.sees("?>") {
            self.at += 2;
            return if keep { self.out.instruction(target, None) } else { Ok(()) };
        }
        self.malformed |= self.skip_blanks() == 0;
        let from = self.at;
        match self.find(from, b"?>") {
            End::Marked(to) => {
                self.at = to + 2;
                if keep { self.out.instruction(target, Some(&self.page[from..to])) } else { Ok(()) }
            }
            End::Broken(at) => {
                self.broken(at);
                Ok(())
            }
        }
    }

    /// At `<![CDATA[`.
    fn cdata(&mut self) -> Result<(), ParseError> {
        let from = self.at + 9;
        match self.find(from, b"]]>") {
            End::Marked(to) => {
                self.at = to + 3;
                self.out.text(self.page, from, to)
            }
            End::Broken(at) => {
                self.broken(at);
                Ok(())
            }
        }
    }

    /// The next `mark`. One pass over every byte, so that a page of many beginnings without ends stays linear.
    fn find(&self, from: usize, mark: &[u8]) -> End {
        let bytes = self.page.as_bytes();
        let mut at = from;
        while at < bytes.len() {
            if bytes[at] == mark[0] && bytes[at..].starts_with(mark) {
                return End::Marked(at);
            }
            if is_invalid(bytes, at) {
                return End::Broken(at);
            }
            at += 1;
        }
        End::Broken(at)
    }

    fn broken(&mut self, at: usize) {
        self.malformed = true;
        self.at = at;
    }

    pub(super) fn rest(&self) -> &'p str {
        &self.page[self.at..]
    }

    pub(super) fn byte(&self, ahead: usize) -> Option<u8> {
        self.page.as_bytes().get(self.at + ahead).copied()
    }

    pub(super) fn sees(&self, text: &str) -> bool {
        self.page.as_bytes()[self.at..].starts_with(text.as_bytes())
    }

    /// Skips `text` if it stands here.
    pub(super) fn takes(&mut self, text: &str) -> bool {
        let sees = self.sees(text);
        if sees {
            self.at += text.len();
        }
        sees
    }

    /// Skips white space; returns how much.
    pub(super) fn skip_blanks(&mut self) -> usize {
        let from = self.at;
        while self.byte(0).is_some_and(is_blank) {
            self.at += 1;
        }
        self.at - from
    }
}
