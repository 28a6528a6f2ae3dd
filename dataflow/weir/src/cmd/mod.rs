//! The commands. Each reads its arguments, puts the pieces together, and says what came of it.

pub mod advice;
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
mod numbers;
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
use weir_driver::{SettingError, Settings};
use weir_spider::{Spider, SpiderError, SpiderErrors};

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
    let text = files::read(path, "a spider file")?;
    compile_spider(path, &text, args).map(Arc::new)
}

/// Compiles the text of a spider file. When something is wrong with it, mistakes in its `[settings]` are told in the same breath.
pub fn compile_spider(path: &Path, text: &str, args: &[(String, String)]) -> anyhow::Result<Spider> {
    let name = path.display().to_string();
    Spider::load(&name, text, args).map_err(|SpiderErrors(mut errors)| {
        errors.extend(mistakes_in_settings(&name, text));
        errors.sort_by_key(|error| (error.line, error.column));
        SpiderErrors(errors).into()
    })
}

/// What is wrong with the `[settings]` of a spider file that may be wrong elsewhere too.
fn mistakes_in_settings(name: &str, text: &str) -> Vec<SpiderError> {
    let Ok(root) = text.parse::<toml::Table>() else { return Vec::new() };
    let Some(toml::Value::Table(table)) = root.get("settings") else { return Vec::new() };
    let Err(errors) = Settings::default().apply_table(table, "") else { return Vec::new() };
    let told = |error: SettingError| {
        let (line, column) = files::find_setting(text, &["settings"], setting_of(&error)).unwrap_or((1, 1));
        let excerpt = text.lines().nth(line - 1).unwrap_or_default();
        SpiderError::at(name, line, column, error.message.clone(), excerpt)
    };
    errors.0.into_iter().map(told).collect()
}

/// Settings in their order: default, `weir.toml` beside the spider, the spider's own, the command line. All mistakes are told at once.
pub fn settings(spider_path: &Path, spider: &Spider, assignments: &[String]) -> anyhow::Result<Settings> {
    let mut settings = Settings::default();
    let mut wrong: Vec<String> = Vec::new();
    let file = spider_path.parent().unwrap_or(Path::new("")).join("weir.toml");
    if file.exists() {
        let text = files::read(&file, "a file of settings")?;
        let table: toml::Table = text.parse().map_err(|error| files::no_toml(&file, &text, &error))?;
        if let Err(errors) = settings.apply_table(&table, "") {
            wrong.extend(errors.0.iter().map(|error| wrong_setting(&file, &text, &[], error)));
        }
    }
    // What the spider file says at its top level counts like its [settings].
    settings.order = match spider.order() {
        weir_spider::Order::Lifo => settings.order,
        weir_spider::Order::Fifo => weir_driver::Order::Fifo,
    };
    settings.depth_max = spider.depth_max().or(settings.depth_max);
    if let Err(errors) = settings.apply_table(spider.settings(), "") {
        let text = std::fs::read_to_string(spider_path).unwrap_or_default();
        wrong.extend(errors.0.iter().map(|error| wrong_setting(spider_path, &text, &["settings"], error)));
    }
    wrong.extend(assignments.iter().filter_map(|text| settings.set(text).err()).map(|error| error.to_string()));
    if wrong.is_empty() { Ok(settings) } else { Err(Usage(wrong.join("\n")).into()) }
}

/// The name of the setting that an error of a table is about.
fn setting_of(error: &SettingError) -> &str {
    error.place.trim_start_matches(": ")
}

/// A mistake among the settings of a file, with line and column.
fn wrong_setting(file: &Path, text: &str, tables: &[&str], error: &SettingError) -> String {
    format!("{}: {}", files::place_of_setting(file, text, tables, setting_of(error)), error.message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_in_the_settings_are_told_with_those_of_the_spider_and_all_at_once() {
        let text = "name = \"a\"\nstrat = \"http://a.example/\"\n[settings]\nconcurency = 5\nstop.items = \"x\"\n";
        let error = compile_spider(Path::new("a.toml"), text, &[]).expect_err("three mistakes").to_string();
        for told in
            ["a.toml:2:1: ", "a.toml:4:1: there is no setting \"concurency\"", "a.toml:5:6: stop.items", "3 mistakes"]
        {
            assert!(error.contains(told), "{told} in {error}");
        }
        let right = "name = \"a\"\nstart = \"http://a.example/\"\n[settings]\nconcurency = 5\n\"retry.times\" = -1\n";
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.toml");
        std::fs::write(&path, right).expect("written");
        std::fs::write(folder.path().join("weir.toml"), "[settings]\nrobots = false\n").expect("written");
        let spider = compile_spider(&path, right, &[]).expect("right but for its settings");
        let given = ["foo=1".to_owned(), "bar=2".to_owned(), "stop.items=3".to_owned()];
        let error = settings(&path, &spider, &given).expect_err("five mistakes").to_string();
        let lines: Vec<&str> = error.lines().collect();
        assert_eq!(lines.len(), 5, "{error}");
        for (line, told) in
            lines.iter().zip(["weir.toml:2:1: ", "a.toml:4:1: ", "a.toml:5:1: ", "-s foo=1: ", "-s bar=2: "])
        {
            assert!(line.contains(told), "{told} in {line}");
        }
        assert!(lines[0].contains("write robots at its top"), "{error}");
    }
}
