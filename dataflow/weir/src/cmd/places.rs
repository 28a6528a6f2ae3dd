//! Where a crawl writes, looked at before it begins: no two sinks share a file, and no folder of a path is a file.
//!
//! It only looks. What it cannot know yet (permissions, free space) is told by who writes.

use crate::cmd::{self, Usage};
use std::path::{Component, Path, PathBuf};
use weir_connector::{FeedPlace, FeedUrl, SinkUrl, identity, redact};

/// Refuses places that cannot work; `outputs` are the sinks as they were typed, `events` is the file of the events.
pub fn check(outputs: &[String], sinks: &[SinkUrl], events: Option<&Path>, state: &Path) -> Result<(), Usage> {
    if let Some(file) = file_in_the_way(state) {
        return Err(Usage(format!(
            "--state {}: {} is a file, expected a folder: a new one, or that of an earlier crawl. Choose another with --state",
            state.display(),
            file.display()
        )));
    }
    let mut taken: Vec<(PathBuf, &str)> = Vec::new();
    let mut servers: Vec<(String, &str)> = Vec::new();
    for (output, sink) in outputs.iter().zip(sinks) {
        let Some(path) = file_of(sink) else {
            if let Some((_, other)) = servers.iter().find(|(other, _)| *other == identity(output)) {
                return Err(Usage(format!(
                    "-o {} and -o {} are one place, expected a sink for each place. Leave one out",
                    redact(other),
                    redact(output)
                )));
            }
            servers.push((identity(output), output));
            continue;
        };
        if let Some(file) = path.parent().and_then(file_in_the_way) {
            return Err(Usage(format!(
                "-o {output}: {} is a file, expected a folder. Choose another path with -o",
                file.display()
            )));
        }
        let place = place(path);
        if let Some((_, other)) = taken.iter().find(|(other, _)| *other == place) {
            return Err(Usage(format!(
                "-o {other} and -o {output} are one file, expected a file for each sink. Leave one out, or name another file"
            )));
        }
        taken.push((place, output));
    }
    let Some(events) = events.filter(|path| !cmd::events::is_standard_output(path)) else { return Ok(()) };
    let place = place(events);
    if let Some((_, other)) = taken.iter().find(|(other, _)| *other == place) {
        return Err(Usage(format!(
            "--events {} and -o {other} are one file, expected a file of its own. Name another with --events",
            events.display()
        )));
    }
    Ok(())
}

fn file_of(sink: &SinkUrl) -> Option<&Path> {
    match sink {
        SinkUrl::Feed(FeedUrl { place: FeedPlace::File(path), .. }) | SinkUrl::Sqlite { path, .. } => Some(path),
        SinkUrl::Feed(_) | SinkUrl::Server { .. } => None,
    }
}

/// The nearest thing on the way down that exists, when it is no folder.
fn file_in_the_way(folder: &Path) -> Option<&Path> {
    let nearest = folder.ancestors().find(|place| std::fs::symlink_metadata(place).is_ok())?;
    std::fs::metadata(nearest).is_ok_and(|found| !found.is_dir()).then_some(nearest)
}

/// The file's one name: links resolved as far as they exist, `.` and `..` gone.
fn place(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut place = PathBuf::new();
    for part in absolute.components() {
        match part {
            Component::ParentDir => {
                place.pop();
            }
            part => {
                place.push(part);
                if let Ok(real) = place.canonicalize() {
                    place = real;
                }
            }
        }
    }
    place
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_file_under_two_names_is_one_place() {
        let here = std::env::current_dir().expect("a current folder");
        for name in ["x/../items.jsonl", "./items.jsonl", "items.jsonl"] {
            assert_eq!(place(Path::new(name)), here.canonicalize().expect("it exists").join("items.jsonl"), "{name}");
        }
        assert_ne!(place(Path::new("a/items.jsonl")), place(Path::new("items.jsonl")));
    }
}
