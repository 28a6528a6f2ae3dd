//! Text and references.

use super::lexis::{PLAIN, is_invalid, predefined};
use super::reader::Reader;
use crate::parse::ParseError;

impl Reader<'_, '_> {
    /// Text up to the next `<` or `&`, or past the first character that no page may hold.
    ///
    /// As libxml2 has it, a `]]>` drops the text before it, back to the last line end that was CR LF, as long as nothing
    /// but plain ASCII has come; later it stays.
    pub(super) fn text(&mut self) -> Result<(), ParseError> {
        let bytes = self.page.as_bytes();
        let (mut from, mut at) = (self.at, self.at);
        loop {
            while bytes.get(at).is_some_and(|&byte| PLAIN[byte as usize]) {
                at += 1;
            }
            match bytes.get(at) {
                Some(b']') if bytes[at..].starts_with(b"]]>") => {
                    self.malformed = true;
                    self.at = at + 1;
                    return Ok(());
                }
                Some(b']') => at += 1,
                None | Some(b'<' | b'&') => {
                    self.at = at;
                    return self.push_text(from, at);
                }
                Some(b'\r') if bytes.get(at + 1) == Some(&b'\n') => {
                    self.push_text(from, at)?;
                    (from, at) = (at + 1, at + 2);
                    if bytes.get(at).is_some_and(|byte| !matches!(byte, b'\t' | b'\n' | 0x20..=0x7f)) {
                        return self.rare_text(from);
                    }
                }
                Some(_) => {
                    self.push_text(from, at)?;
                    return self.rare_text(at);
                }
            }
        }
    }

    fn rare_text(&mut self, from: usize) -> Result<(), ParseError> {
        let bytes = self.page.as_bytes();
        let mut at = from;
        while at < bytes.len() && !matches!(bytes[at], b'<' | b'&') && !is_invalid(bytes, at) {
            at += 1;
        }
        self.push_text(from, at)?;
        self.malformed = self.malformed || self.page[from..at].contains("]]>");
        self.at = at;
        if let Some(c) = self.rest().chars().next().filter(|c| !matches!(c, '<' | '&')) {
            self.malformed = true;
            self.at += c.len_utf8();
        }
        Ok(())
    }

    fn push_text(&mut self, from: usize, to: usize) -> Result<(), ParseError> {
        if from == to { Ok(()) } else { self.out.text(self.page, from, to) }
    }

    /// At `&`, in text.
    pub(super) fn reference(&mut self) -> Result<(), ParseError> {
        if self.byte(1) == Some(b'#') {
            return match self.character_reference() {
                Some(c) => self.out.character(self.page, c),
                None => Ok(()),
            };
        }
        let from = self.at + 1;
        let Some(name) = self.entity_name() else { return Ok(()) };
        let to = from + name.len();
        match predefined(name) {
            Some(_) if self.malformed => Ok(()),
            Some(c) => self.out.character(self.page, c),
            None if self.entities.binary_search(&&self.page[from..to]).is_ok() && self.malformed => Ok(()),
            None => {
                self.malformed |= !self.is_declared(&self.page[from..to]);
                self.out.reference(from, to)
            }
        }
    }

    pub(super) fn is_declared(&self, entity: &str) -> bool {
        self.declared_elsewhere || self.entities.binary_search(&entity).is_ok()
    }

    /// The character that `&#...;` stands for. `None` for one of no number: then the reader stands where the digits end.
    pub(super) fn character_reference(&mut self) -> Option<char> {
        self.at += 2;
        let radix = if self.takes("x") { 16 } else { 10 };
        let mut code = 0u32;
        while let Some(digit) = self.byte(0).and_then(|byte| char::from(byte).to_digit(radix)) {
            code = (code * radix + digit).min(0x11_0000);
            self.at += 1;
        }
        if !self.takes(";") {
            self.malformed = true;
            return None;
        }
        let c = char::from_u32(code);
        let is_valid =
            c.is_some_and(|c| c >= ' ' && !matches!(c, '\u{fffe}' | '\u{ffff}') || matches!(c, '\t' | '\n' | '\r'));
        self.malformed |= !is_valid;
        // libxml2 lets control characters pass, and surrogates too, which no string can hold here.
        if code == 0 { None } else { Some(c.unwrap_or('\u{fffd}')) }
    }
}
