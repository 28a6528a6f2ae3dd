//! How a sink fails as a whole. Retry looks at the class, never at the text; a person reads the text.

/// What to do about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorClass {
    /// May pass: back off, try the same batch again (disk full, database locked).
    Transient,
    /// Will not pass: the sink is given up for this run (damaged database, failed sync).
    Permanent,
    /// The command or the place is wrong: say so before the crawl starts (file exists, other schema, read-only).
    Configuration,
}

/// An error of a sink: what, where, what was expected, what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {place}: expected {expected}. {todo}")]
pub struct SinkError {
    /// Class.
    pub class: ErrorClass,
    /// What is wrong.
    pub what: String,
    /// Where: file, table, URL without secrets.
    pub place: String,
    /// What was expected.
    pub expected: String,
    /// What to do.
    pub todo: String,
}

impl SinkError {
    /// An error of a class.
    pub fn new(
        class: ErrorClass,
        what: impl Into<String>,
        place: impl Into<String>,
        expected: impl Into<String>,
        todo: impl Into<String>,
    ) -> SinkError {
        SinkError { class, what: what.into(), place: place.into(), expected: expected.into(), todo: todo.into() }
    }

    /// A sink is used before it is open.
    #[must_use]
    pub fn not_open(place: &str) -> SinkError {
        SinkError::new(
            ErrorClass::Permanent,
            "the sink is not open",
            place,
            "open before write",
            "This is a mistake in weir: please report it",
        )
    }

    /// The error as it is told where nobody tries again by himself: at the start of a crawl, and by commands that only read.
    #[must_use]
    pub fn not_tried_again(mut self) -> SinkError {
        let todo = self.todo.replace("; it is tried again", "").replace("It is tried again; ", "");
        let todo = todo.replace("It is tried again", "");
        let mut letters = todo.trim().chars();
        self.todo = letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect());
        self
    }

    /// The error with another sentence behind what to do.
    #[must_use]
    pub fn and(mut self, sentence: &str) -> SinkError {
        if !self.todo.is_empty() {
            self.todo.push_str(if self.todo.ends_with(['.', '?', '!']) { " " } else { ". " });
        }
        self.todo.push_str(sentence);
        self
    }

    /// An error of the file system.
    #[must_use]
    pub fn io(action: &str, place: &std::path::Path, error: &std::io::Error) -> SinkError {
        use std::io::ErrorKind as Kind;
        let (class, expected, todo) = match error.kind() {
            Kind::StorageFull | Kind::QuotaExceeded => (
                ErrorClass::Transient,
                "free space",
                "Make room; the crawl goes on by itself, or run the same command again",
            ),
            Kind::ReadOnlyFilesystem | Kind::PermissionDenied => (
                ErrorClass::Configuration,
                "a folder that may be written to",
                "Choose another path with -o, or change the folder's owner or mode",
            ),
            Kind::NotFound | Kind::NotADirectory => {
                (ErrorClass::Configuration, "an existing folder", "Make the folder, or choose another path with -o")
            }
            Kind::IsADirectory => (ErrorClass::Configuration, "a file", "Choose another path with -o"),
            Kind::Interrupted | Kind::TimedOut | Kind::WouldBlock | Kind::ResourceBusy => {
                (ErrorClass::Transient, "a file system that answers", "It is tried again")
            }
            _ => (ErrorClass::Permanent, "a working disk", "Check the disk, then run the same command again"),
        };
        SinkError::new(class, format!("cannot {action} ({error})"), place.display().to_string(), expected, todo)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_nobody_tries_again_nobody_says_so() {
        let told = |todo: &str| {
            let error = SinkError::new(ErrorClass::Transient, "away", "redis://h/0", "a server", todo);
            error.not_tried_again().and("Nothing is lost").todo
        };
        assert_eq!(told("Check the port; it is tried again"), "Check the port. Nothing is lost");
        assert_eq!(told("Is it up? It is tried again"), "Is it up? Nothing is lost");
        assert_eq!(told("It is tried again; make room there"), "Make room there. Nothing is lost");
        assert_eq!(told("It is tried again"), "Nothing is lost");
        assert_eq!(told("Raise max_connections"), "Raise max_connections. Nothing is lost");
    }
}
