//! Passwords and keys of sinks: where they come from, and that they never show.

use crate::{ErrorClass, SinkError};
use std::fmt;
use std::path::PathBuf;

/// Text that never shows.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Where a secret comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// The sink's URL.
    Url(Secret),
    /// A variable, which must be there.
    Env(String),
    /// A file, without the end of its last line.
    File(PathBuf),
    /// This variable if there is one, else none.
    Usual(&'static str),
}

impl SecretSource {
    /// The secret; empty: none. The options `OPTION_env` and `OPTION_file` of the URL at `place` name what may have to be corrected.
    ///
    /// # Errors
    /// The variable is not set, or the file cannot be read.
    pub fn read(&self, option: &str, place: &str, env: impl Fn(&str) -> Option<String>) -> Result<Secret, SinkError> {
        let missing = |what: String, todo: String| {
            let expected = if option == "api_key" { "an API key" } else { "a password" };
            SinkError::new(ErrorClass::Configuration, what, place.to_owned(), expected, todo)
        };
        match self {
            SecretSource::Url(secret) => Ok(secret.clone()),
            SecretSource::Usual(name) => Ok(Secret(env(name).unwrap_or_default())),
            SecretSource::Env(name) => env(name).map(Secret).ok_or_else(|| {
                missing(format!("the variable {name} is not set"), format!("Set {name}, or correct {option}_env="))
            }),
            SecretSource::File(path) => match std::fs::read_to_string(path) {
                Ok(text) => Ok(Secret(text.trim_end_matches(['\r', '\n']).to_owned())),
                Err(error) => Err(missing(
                    format!("cannot read the {} from {} ({error})", option.replace('_', " "), path.display()),
                    format!("Correct {option}_file=, or the file's owner and mode"),
                )),
            },
        }
    }
}
