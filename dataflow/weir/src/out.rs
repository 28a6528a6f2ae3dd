//! Printing that does not panic when nobody reads on (`weir ... | head`): what cannot be printed is dropped, the work goes on.

/// A line on standard output.
macro_rules! line {
    ($($arg:tt)*) => {{
        use std::io::Write as _;
        // A reader that went away is no error of ours.
        let _ = writeln!(std::io::stdout(), $($arg)*);
    }};
}

/// Text on standard output.
macro_rules! text {
    ($($arg:tt)*) => {{
        use std::io::Write as _;
        // A reader that went away is no error of ours.
        let _ = write!(std::io::stdout(), $($arg)*);
    }};
}

/// A line on standard error.
macro_rules! err {
    ($($arg:tt)*) => {{
        use std::io::Write as _;
        // A reader that went away is no error of ours.
        let _ = writeln!(std::io::stderr(), $($arg)*);
    }};
}

pub(crate) use {err, line, text};
