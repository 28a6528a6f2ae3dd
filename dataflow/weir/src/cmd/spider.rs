//! `weir spider`: validate spider files, print the JSON Schema.

use crate::cmd;
use clap::Subcommand;
use std::path::PathBuf;

/// Work with spider files
#[derive(Subcommand)]
#[command(after_help = "Examples:\n  weir spider validate examples/*.toml\n  weir spider schema > spider.schema.json")]
pub enum Args {
    /// Compile spider files and say every mistake with its line and column
    #[command(after_help = "Example:\n  weir spider validate examples/*.toml")]
    Validate {
        /// Spider files
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Spider argument, NAME=VALUE; may be repeated
        #[arg(short = 'a', value_name = "NAME=VALUE")]
        args: Vec<String>,
    },
    /// Print the JSON Schema of spider files, for editors
    #[command(after_help = "Example:\n  weir spider schema > spider.schema.json")]
    Schema,
}

pub fn run(args: Args) -> anyhow::Result<u8> {
    match args {
        Args::Schema => {
            crate::out::line!("{}", serde_json::to_string_pretty(&weir_spider::Spider::json_schema())?);
            Ok(crate::exit::FINISHED)
        }
        Args::Validate { files, args } => {
            let args = cmd::arguments(&args)?;
            let mut wrong = 0;
            for file in &files {
                let checked = cmd::load_spider(file, &args).and_then(|spider| {
                    cmd::settings(file, &spider, &[])?;
                    Ok(spider)
                });
                match checked {
                    Ok(spider) => {
                        let count = spider.start_urls().len();
                        crate::out::line!("{}: ok, spider {:?}, {count} start URLs", file.display(), spider.name());
                    }
                    Err(error) => {
                        wrong += 1;
                        crate::out::err!("{}", crate::out::told(&error));
                    }
                }
            }
            Ok(if wrong == 0 { crate::exit::FINISHED } else { crate::exit::USAGE })
        }
    }
}
