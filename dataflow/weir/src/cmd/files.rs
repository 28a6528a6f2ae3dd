//! Text files that a command is given: read whole, and where in them a mistake is.

use crate::cmd::Usage;
use std::path::Path;
use toml::de::{DeTable, DeValue};

/// Reads a file of UTF-8; `what` says what it should be.
pub fn read(path: &Path, what: &str) -> Result<String, Usage> {
    let name = path.display();
    let bytes = std::fs::read(path).map_err(|error| {
        let hint = match error.kind() {
            std::io::ErrorKind::NotFound => "; is the name right, and the folder?",
            std::io::ErrorKind::IsADirectory => ", not a folder",
            std::io::ErrorKind::PermissionDenied => " that may be read; change its owner or mode",
            _ => "",
        };
        Usage(format!("{name}: cannot be read: {error}: expected {what}{hint}"))
    })?;
    String::from_utf8(bytes).map_err(|error| {
        let (good, bad) = error.as_bytes().split_at(error.utf8_error().valid_up_to());
        let (line, column) = position(&String::from_utf8_lossy(good));
        Usage(format!(
            "{name}:{line}:{column}: the byte 0x{:02x} is not UTF-8\n  expected: {what} in UTF-8\n  hint: save the file as UTF-8 (in most editors: Save with Encoding)",
            bad[0]
        ))
    })
}

/// A file that is no TOML, with line and column.
pub fn no_toml(file: &Path, text: &str, error: &toml::de::Error) -> Usage {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let (line, column) = position(before);
    Usage(format!("{}:{line}:{column}: this is no TOML: {}", file.display(), error.message().trim()))
}

/// Line and column, from 1, of what comes behind a text.
fn position(before: &str) -> (usize, usize) {
    let line = before.rsplit('\n').next().unwrap_or_default();
    (before.matches('\n').count() + 1, line.chars().count() + 1)
}

/// `FILE:LINE:COLUMN` of a setting in a TOML file, under `tables`; just the file when it is not found.
pub fn place_of_setting(file: &Path, text: &str, tables: &[&str], setting: &str) -> String {
    let name = file.display();
    match find_setting(text, tables, setting) {
        Some((line, column)) => format!("{name}:{line}:{column}"),
        None => name.to_string(),
    }
}

/// Line and column of a setting in a TOML text, under `tables`.
pub fn find_setting(text: &str, tables: &[&str], setting: &str) -> Option<(usize, usize)> {
    let document = DeTable::parse(text).ok()?;
    let mut table = document.get_ref();
    for key in tables {
        table = inner(table, key)?;
    }
    let mut rest = setting;
    // A dotted name is one key in quotes, or a table in a table.
    loop {
        if let Some((key, _)) = table.iter().find(|(key, _)| key.get_ref() == rest) {
            return text.get(..key.span().start).map(position);
        }
        let (first, behind) = rest.split_once('.')?;
        (table, rest) = (inner(table, first)?, behind);
    }
}

fn inner<'t, 'd>(table: &'t DeTable<'d>, key: &str) -> Option<&'t DeTable<'d>> {
    let (_, value) = table.iter().find(|(name, _)| name.get_ref() == key)?;
    if let DeValue::Table(table) = value.get_ref() { Some(table) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_found_however_it_is_written() {
        let place = |text: &str, tables: &[&str], setting| place_of_setting(Path::new("f"), text, tables, setting);
        assert_eq!(place("a = 1\n  stop.items = 2", &[], "stop.items"), "f:2:8");
        assert_eq!(place("[stop]\nitems = 2", &[], "stop.items"), "f:2:1");
        assert_eq!(place("[settings]\n\"stop.items\" = 2", &["settings"], "stop.items"), "f:2:1");
        assert_eq!(place("x = 1", &["settings"], "stop.items"), "f");
    }
}
