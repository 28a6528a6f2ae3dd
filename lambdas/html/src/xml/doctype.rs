//! What comes before the root: the XML declaration and the document type. Nothing in them is obeyed; what they say about
//! entities tells whether an unknown reference is an error.

use super::lexis::name_length;
use super::reader::Reader;

impl<'p> Reader<'_, 'p> {
    /// The XML declaration, if the page begins with one.
    pub(super) fn declaration(&mut self) {
        if !["<?xml ", "<?xml\t", "<?xml\n", "<?xml\r"].iter().any(|start| self.sees(start)) {
            return;
        }
        self.at += 5;
        self.skip_blanks();
        let is_version = |version: &str| {
            version.strip_prefix("1.").is_some_and(|minor| minor.bytes().all(|byte| byte.is_ascii_digit()))
        };
        self.malformed |= !self.pseudo_attribute("version").is_some_and(is_version);
        self.malformed |= self.skip_blanks() == 0 && !self.sees("?>");
        if self.sees("encoding") {
            let may_stand = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
            let is_name =
                |name: &str| name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.bytes().all(may_stand);
            self.malformed |= !self.pseudo_attribute("encoding").is_some_and(is_name);
            self.malformed |= self.skip_blanks() == 0 && !self.sees("?>");
        }
        if self.sees("standalone") {
            self.malformed |= !matches!(self.pseudo_attribute("standalone"), Some("yes" | "no"));
            self.skip_blanks();
        }
        if !self.takes("?>") {
            self.malformed = true;
            let end = self.rest().find('>');
            self.at = end.map_or(self.page.len(), |end| self.at + end + 1);
        }
    }

    /// `name = "value"`, the reader behind it; `None`, and it stays, if something else stands here.
    fn pseudo_attribute(&mut self, name: &str) -> Option<&'p str> {
        let rest = self.rest().strip_prefix(name)?.trim_ascii_start().strip_prefix('=')?.trim_ascii_start();
        let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        let (value, after) = rest[1..].split_once(quote)?;
        if value.contains('>') {
            return None;
        }
        self.at = self.page.len() - after.len();
        Some(value)
    }

    /// The document type, if one stands here. What libxml2 cannot read in it ends the page.
    pub(super) fn document_type(&mut self) {
        if !self.takes("<!DOCTYPE") {
            return;
        }
        self.malformed |= self.skip_blanks() == 0;
        let name = name_length(self.rest());
        self.malformed |= name == 0;
        self.at += name;
        self.skip_blanks();
        let is_public = self.takes("PUBLIC");
        if is_public || self.takes("SYSTEM") {
            self.declared_elsewhere = true;
            self.malformed |= self.skip_blanks() == 0;
            if is_public {
                self.literal(|c| c.is_ascii_alphanumeric() || " \r\n-'()+,./:=?;!*#@$_%".contains(c));
                self.malformed |= self.skip_blanks() == 0;
            }
            self.literal(|_| true);
        }
        self.skip_blanks();
        if self.takes("[") {
            self.subset();
        } else {
            self.malformed |= !self.takes(">");
        }
    }

    /// A quoted text of the characters that `may_stand` there; the reader stands where it goes wrong, if it does.
    fn literal(&mut self, may_stand: fn(char) -> bool) {
        let Some(quote) = self.byte(0).filter(|byte| matches!(byte, b'"' | b'\'')).map(char::from) else {
            self.malformed = true;
            return;
        };
        let rest = &self.rest()[1..];
        let end = rest.find(|c: char| c == quote || !may_stand(c)).unwrap_or(rest.len());
        self.at += 1 + end;
        if rest[end..].starts_with(quote) {
            self.at += 1;
        } else {
            self.malformed = true;
        }
    }

    /// The declarations in square brackets.
    fn subset(&mut self) {
        loop {
            self.skip_blanks();
            if self.sees("<!--") {
                let kept = self.comment(false);
                debug_assert!(kept.is_ok(), "nothing is kept of it");
            } else if self.sees("<?") {
                let kept = self.instruction(false);
                debug_assert!(kept.is_ok(), "nothing is kept of it");
            } else if ["<!ENTITY", "<!ELEMENT", "<!ATTLIST", "<!NOTATION"].iter().any(|start| self.sees(start)) {
                self.markup();
            } else if self.takes("%") {
                self.declared_elsewhere = true;
                self.at += name_length(self.rest());
                self.malformed |= !self.takes(";");
            } else {
                break;
            }
        }
        self.malformed |= !self.takes("]");
        self.skip_blanks();
        self.malformed |= !self.takes(">");
        self.entities.sort_unstable();
    }

    /// A declaration, to the first `>` outside quotes.
    fn markup(&mut self) {
        if let Some(rest) = self.rest().strip_prefix("<!ENTITY") {
            let rest = rest.trim_ascii_start();
            self.entities.push(&rest[..name_length(rest)]);
        }
        let mut quote = None;
        for (at, byte) in self.rest().bytes().enumerate() {
            match (quote, byte) {
                (None, b'"' | b'\'') => quote = Some(byte),
                (None, b'>') => {
                    self.at += at + 1;
                    return;
                }
                (Some(open), _) if open == byte => quote = None,
                _ => {}
            }
        }
        self.malformed = true;
        self.at = self.page.len();
    }
}
