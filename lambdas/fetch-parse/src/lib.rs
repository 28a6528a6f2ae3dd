//! the fetch-and-parse function's handler.
