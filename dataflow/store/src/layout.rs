//! Names of the files, and whether a directory is ours. Invariant: a directory is written to only after it was found empty or ours.

use crate::document::{self, FORMAT_VERSION};
use crate::error::At;
use crate::{Disk, GroupSeq, StoreError};

/// The file that makes a directory a state directory.
pub(crate) const STATE: &str = "state.weir";

/// What a name in the directory is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    State,
    Owner(u64),
    Journal(u32),
    Snapshot(GroupSeq),
    Document(String),
    /// Unfinished work of ours: may be removed.
    Part,
    /// Not ours.
    Other,
}

pub(crate) fn journal(number: u32) -> String {
    format!("journal-{number:08}.weir")
}

pub(crate) fn snapshot(seq: GroupSeq) -> String {
    format!("snapshot-{:016}.weir", seq.0)
}

pub(crate) fn owner(generation: u64) -> String {
    format!("owner-{generation:08}.weir")
}

pub(crate) fn document_file(name: &str) -> String {
    format!("doc-{name}.weir")
}

/// Classifies a name.
pub(crate) fn kind(name: &str) -> Kind {
    if let Some(whole) = name.strip_suffix(".part") {
        // Parts of claims have a number of their own, so that two at once do not write into one.
        let whole = whole
            .rsplit_once('.')
            .filter(|(_, own)| own.bytes().all(|b| b.is_ascii_digit()))
            .map_or(whole, |(whole, _)| whole);
        return if matches!(kind(whole), Kind::Other | Kind::Part) { Kind::Other } else { Kind::Part };
    }
    if name == STATE {
        return Kind::State;
    }
    let Some(stem) = name.strip_suffix(".weir") else { return Kind::Other };
    let Some((prefix, rest)) = stem.split_once('-') else { return Kind::Other };
    let digits = !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit());
    match prefix {
        "doc" if valid_document_name(rest) => Kind::Document(rest.to_owned()),
        "owner" if digits => rest.parse().map_or(Kind::Other, Kind::Owner),
        "journal" if digits => rest.parse().map_or(Kind::Other, Kind::Journal),
        "snapshot" if digits => rest.parse().map_or(Kind::Other, |seq| Kind::Snapshot(GroupSeq(seq))),
        _ => Kind::Other,
    }
}

/// Letters, digits, dot, dash and underscore; 1 to 100.
pub(crate) fn valid_document_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= 100 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

/// What a look at the directory says.
#[derive(Debug)]
pub(crate) struct Survey {
    /// The state's id; `None` in a fresh directory.
    pub state_id: Option<u128>,
    /// Segment numbers, ascending.
    pub journals: Vec<u32>,
    /// Snapshots, ascending.
    pub snapshots: Vec<GroupSeq>,
    /// Unfinished files of ours.
    pub parts: Vec<String>,
    /// Files that are not ours, beside a state that is.
    pub others: Vec<String>,
}

/// Looks at the directory and refuses it when it is not ours; changes nothing.
pub(crate) fn survey(disk: &dyn Disk, allowed: &[String]) -> Result<Survey, StoreError> {
    let mut found =
        Survey { state_id: None, journals: Vec::new(), snapshots: Vec::new(), parts: Vec::new(), others: Vec::new() };
    let mut documents = None;
    for name in disk.names().at(disk, "", "list")? {
        match kind(&name) {
            Kind::State => found.state_id = Some(read_state(disk)?),
            Kind::Owner(_) => {}
            Kind::Journal(number) => found.journals.push(number),
            Kind::Snapshot(seq) => found.snapshots.push(seq),
            Kind::Document(_) => documents = Some(name),
            Kind::Part => found.parts.push(name),
            Kind::Other if name == "lost+found/" || allowed.iter().any(|a| a == name.trim_end_matches('/')) => {}
            Kind::Other => found.others.push(name),
        }
    }
    let foreign = |name: &str, expected: &str| StoreError::Foreign {
        path: disk.path(""),
        expected: expected.to_owned(),
        found: format!("{name:?}"),
    };
    if found.state_id.is_none() {
        if let Some(name) = found.others.first() {
            return Err(foreign(name, "an empty directory, or one with a state.weir"));
        }
        let number = found.journals.first().map(|&n| journal(n));
        if let Some(name) = number.or(found.snapshots.first().map(|&s| snapshot(s))).or(documents) {
            return Err(StoreError::Damaged {
                path: disk.path(STATE),
                offset: 0,
                expected: format!("the identity of the state that {name} belongs to"),
                found: "no such file".to_owned(),
            });
        }
    } else if let Some(name) = found.others.iter().find(|name| name.ends_with(".weir")) {
        return Err(foreign(name, &format!("only files of format version {FORMAT_VERSION}")));
    }
    Ok(found)
}

fn read_state(disk: &dyn Disk) -> Result<u128, StoreError> {
    let content = document::read_whole(disk, STATE)?.unwrap_or_default();
    let body = document::decode(disk, STATE, "state", &content)?;
    let text = String::from_utf8_lossy(body);
    text.lines()
        .find_map(|line| line.strip_prefix("id="))
        .and_then(|hex| u128::from_str_radix(hex, 16).ok())
        .ok_or_else(|| StoreError::Damaged {
            path: disk.path(STATE),
            offset: 0,
            expected: "a line id= and 32 hexadecimal digits".to_owned(),
            found: text.into_owned(),
        })
}

/// Makes a fresh directory ours.
pub(crate) fn write_state(disk: &dyn Disk, state_id: u128) -> Result<(), StoreError> {
    document::replace(disk, STATE, &document::encode("state", format!("id={state_id:032x}\n").as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_told_from_those_that_are_not_ours() {
        assert_eq!(kind(&journal(7)), Kind::Journal(7));
        assert_eq!(kind(&snapshot(GroupSeq(7))), Kind::Snapshot(GroupSeq(7)));
        assert_eq!(kind(&document_file("a-b.toml")), Kind::Document("a-b.toml".to_owned()));
        for part in ["journal-00000001.weir.part", "owner-00000001.weir.179.part", "doc-x.weir.part"] {
            assert_eq!(kind(part), Kind::Part, "{part}");
        }
        for other in [
            "thesis.txt",
            "thesis.part",
            "journal-x.weir",
            "journal-1.txt",
            "owner-.weir",
            "sub/",
            "journal-1.weir.part.part",
        ] {
            assert_eq!(kind(other), Kind::Other, "{other}");
        }
    }
}
