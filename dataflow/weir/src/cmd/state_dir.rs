//! Which state directory a command means: the one that is named, or the only one under `.weir`.

use crate::cmd::Usage;
use std::path::{Path, PathBuf};

/// The state directory; a command that only looks makes none.
pub fn choose(named: Option<PathBuf>) -> anyhow::Result<PathBuf> {
    let is_state = |path: &Path| path.join("state.weir").is_file();
    if let Some(path) = named {
        if !is_state(&path) {
            return Err(Usage(format!(
                "--state {}: expected the state directory of a crawl, a folder with a file state.weir. Name one with --state",
                path.display()
            ))
            .into());
        }
        return Ok(path);
    }
    let mut found: Vec<PathBuf> = match std::fs::read_dir(".weir") {
        Ok(entries) => entries.flatten().map(|entry| entry.path()).filter(|path| is_state(path)).collect(),
        Err(_) => Vec::new(),
    };
    found.sort();
    match &found[..] {
        [one] => Ok(one.clone()),
        [] => {
            Err(Usage("there is no state in .weir here: name the state directory of a crawl with --state".into())
                .into())
        }
        several => {
            let names: Vec<String> = several.iter().map(|path| path.display().to_string()).collect();
            Err(Usage(format!("which state? name one with --state: {}", names.join(", "))).into())
        }
    }
}
