//! `make conformance DIR=FOLDER`: what established tools do, as data, against what weir does.
//!
//! Runs every file that it knows in a folder, prints one line a file, writes failing lines with what was got instead to
//! `target/conformance/`, and succeeds only when nothing fails that `decisions.toml` does not explain. It knows formats, never
//! particular lines.

mod case;
mod decisions;
mod files;
mod run;

use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(folder) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: weir-conformance FOLDER\nexample: make conformance DIR=../shared/conformance");
        return ExitCode::from(2);
    };
    let decisions = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/decisions.toml"));
    match run::run(&folder, &decisions, &PathBuf::from("target/conformance")) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::from(2)
        }
    }
}
