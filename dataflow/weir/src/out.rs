//! Printing that does not panic. A reader that goes away (`weir ... | head`) is no error: the work goes on. Anything else that keeps
//! standard output from being written, a full disk for example, is remembered and told at the end.

use std::sync::OnceLock;

static FAILURE: OnceLock<String> = OnceLock::new();

/// Remembers the first failure of standard output.
pub(crate) fn note(result: std::io::Result<()>) {
    if let Err(error) = result
        && error.kind() != std::io::ErrorKind::BrokenPipe
    {
        FAILURE.get_or_init(|| error.to_string());
    }
}

/// Why standard output lacks something.
pub(crate) fn failure() -> Option<&'static str> {
    FAILURE.get().map(String::as_str)
}

/// An error and its causes, without what was said already.
pub(crate) fn told(error: &anyhow::Error) -> String {
    let mut told = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if told.is_empty() {
            told = cause;
        } else if !told.contains(&cause) {
            told = format!("{told}: {cause}");
        }
    }
    told
}

/// A line on standard output.
macro_rules! line {
    ($($arg:tt)*) => {{
        use std::io::Write as _;
        crate::out::note(writeln!(std::io::stdout(), $($arg)*));
    }};
}

/// Text on standard output.
macro_rules! text {
    ($($arg:tt)*) => {{
        use std::io::Write as _;
        let mut out = std::io::stdout();
        crate::out::note(write!(out, $($arg)*).and_then(|()| out.flush()));
    }};
}

/// A line on standard error.
macro_rules! err {
    ($($arg:tt)*) => {{
        use std::io::Write as _;
        // Nobody is there to be told.
        let _ = writeln!(std::io::stderr(), $($arg)*);
    }};
}

pub(crate) use {err, line, text};

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context as _;

    #[test]
    fn a_cause_is_told_once() {
        let error = anyhow::anyhow!("disk full").context("cannot write a.jsonl: disk full");
        assert_eq!(told(&error), "cannot write a.jsonl: disk full");
        let error = anyhow::anyhow!("disk full").context("cannot write a.jsonl");
        assert_eq!(told(&error), "cannot write a.jsonl: disk full");
        assert!(Err::<(), _>(error).context("the end").is_err_and(|error| told(&error).starts_with("the end: cannot")));
    }
}
