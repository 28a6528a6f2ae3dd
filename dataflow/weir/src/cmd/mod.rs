//! The commands. Each reads its arguments, puts the pieces together, and says what came of it.

pub mod audit;
pub mod backfill;
pub mod check;
pub mod crawl;
pub mod dead_letters;
mod dead_queues;
pub mod demo;
pub mod deployed_letters;
pub mod deployment;
pub mod enqueue;
pub mod events;
pub mod export;
pub mod feeds;
pub mod files;
pub mod geo;
pub mod geocode;
pub mod jobs;
pub mod law;
pub mod places;
pub mod plan;
pub mod prices;
mod replay;
pub mod s3;
pub mod sink_secrets;
pub mod site;
pub mod spider;
pub mod stage;
mod stage_move;
mod state_dir;

use std::path::Path;
use std::sync::Arc;
use weir_driver::Settings;
use weir_spider::Spider;

/// Something about the command line or a file named there is wrong: exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// Splits `-a name=value` pairs.
pub fn arguments(pairs: &[String]) -> anyhow::Result<Vec<(String, String)>> {
    pairs
        .iter()
        .map(|pair| {
            let (name, value) = pair.split_once('=').ok_or_else(|| {
                Usage(format!("-a {pair}: expected NAME=VALUE, for example -a base=http://localhost:9312"))
            })?;
            Ok((name.to_owned(), value.to_owned()))
        })
        .collect()
}

/// Reads and compiles a spider file.
pub fn load_spider(path: &Path, args: &[(String, String)]) -> anyhow::Result<Arc<Spider>> {
    let name = path.display().to_string();
    let text = files::read(path, "a spider file")?;
    Ok(Arc::new(Spider::load(&name, &text, args)?))
}

/// Settings in their order: default, `weir.toml` beside the spider, the spider's own, the command line.
pub fn settings(spider_path: &Path, spider: &Spider, assignments: &[String]) -> anyhow::Result<Settings> {
    let mut settings = Settings::default();
    let file = spider_path.parent().unwrap_or(Path::new("")).join("weir.toml");
    if file.exists() {
        let text = files::read(&file, "a file of settings")?;
        let table: toml::Table = text.parse().map_err(|error| files::no_toml(&file, &text, &error))?;
        settings.apply_table(&table, "").map_err(|error| wrong_setting(&file, &text, &[], &error))?;
    }
    // What the spider file says at its top level counts like its [settings].
    settings.order = match spider.order() {
        weir_spider::Order::Lifo => settings.order,
        weir_spider::Order::Fifo => weir_driver::Order::Fifo,
    };
    settings.depth_max = spider.depth_max().or(settings.depth_max);
    settings.apply_table(spider.settings(), "").map_err(|error| {
        let text = std::fs::read_to_string(spider_path).unwrap_or_default();
        wrong_setting(spider_path, &text, &["settings"], &error)
    })?;
    for assignment in assignments {
        settings.set(assignment).map_err(|error| Usage(error.to_string()))?;
    }
    Ok(settings)
}

/// A mistake among the settings of a file, with line and column.
fn wrong_setting(file: &Path, text: &str, tables: &[&str], error: &weir_driver::SettingError) -> Usage {
    let name = error.place.trim_start_matches(": ");
    Usage(format!("{}: {}", files::place_of_setting(file, text, tables, name), error.message))
}
