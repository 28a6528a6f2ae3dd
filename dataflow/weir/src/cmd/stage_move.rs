//! `weir stage export` and `weir stage import`: another number of stages, with all that the states hold.

use crate::cmd::Usage;
use crate::cmd::crawl::read_law;
use crate::cmd::deployment::variable;
use crate::exit;
use clap::{Args, Subcommand};
use std::path::PathBuf;
use weir_driver::remote::Pace;
use weir_driver::remote::moving::{MoveOptions, Seat, export_slices, import_slice};
use weir_driver::{CrawlError, Settings};

/// Another number of stages.
#[derive(Subcommand)]
pub enum Move {
    /// Write what other stages own when there are another number of them: one file for each
    #[command(
        after_help = "The stage must have stopped. Nothing has to be crawled to its end first. From then on the state is one of the new number\n\
and starts when it has imported what the others exported. Until then the same command with the old number takes it back.\n\n\
Example, from one stage to two:\n  weir stage export --state .weir/stage-0 --stages 2 --to move\n  \
weir stage import --state .weir/stage-1 move/stage-0-of-1.to-stage-1-of-2.weir-slice"
    )]
    Export(Export),
    /// Take in what other stages have exported for this one
    #[command(after_help = "Example:\n  weir stage import --state .weir/stage-1 move/*.to-stage-1-of-2.weir-slice\n\n\
A state that is not there yet is made. When it breaks off, the same command goes on.")]
    Import(Import),
}

#[derive(Args)]
pub struct Common {
    /// State directory of the stage, or WEIR_STATE
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// The deployment, or WEIR_STACK: a state of another one is refused
    #[arg(long, value_name = "NAME")]
    stack: Option<String>,
    /// The law of the stage, as it was given to weir stage: which requests still count follows from it
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Setting of the stage (profile); may be repeated
    #[arg(short = 's', value_name = "NAME=VALUE")]
    settings: Vec<String>,
}

#[derive(Args)]
pub struct Export {
    #[command(flatten)]
    common: Common,
    /// How many stages there will be
    #[arg(long, value_name = "K")]
    stages: u32,
    /// Folder for the files
    #[arg(long, value_name = "DIR", default_value = ".")]
    to: PathBuf,
}

#[derive(Args)]
pub struct Import {
    #[command(flatten)]
    common: Common,
    /// Which stage this is: a file for another one is refused
    #[arg(long, value_name = "N", requires = "stages")]
    stage: Option<u32>,
    /// Of how many
    #[arg(long, value_name = "K", requires = "stage")]
    stages: Option<u32>,
    /// Files that weir stage export has written
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
}

impl Common {
    fn options(&self) -> anyhow::Result<MoveOptions> {
        let mut settings = Settings::default();
        for assignment in &self.settings {
            settings.set(assignment).map_err(|error| Usage(error.to_string()))?;
        }
        let state = self.state.clone().or_else(|| variable("WEIR_STATE").map(PathBuf::from));
        let state = state.ok_or_else(|| Usage("--state DIR is missing: the folder of the stage's state".into()))?;
        let laws = read_law(self.policy.as_deref(), settings.profile)?;
        let timeout = settings.fetch_timeout.min(Pace::default().timeout);
        let stack = self.stack.clone().or_else(|| variable("WEIR_STACK"));
        Ok(MoveOptions { state, stack, laws, pace: Pace { timeout, ..Pace::default() } })
    }
}

fn told(error: CrawlError) -> anyhow::Error {
    match error {
        CrawlError::Usage(text) => Usage(text).into(),
        other => other.into(),
    }
}

pub fn run(command: &Move) -> anyhow::Result<u8> {
    crate::cmd::crawl::start_log(weir_driver::LogLevel::Info);
    match command {
        Move::Export(args) => export(args),
        Move::Import(args) => import(args),
    }
}

fn export(args: &Export) -> anyhow::Result<u8> {
    let options = args.common.options()?;
    let exported = export_slices(&options, args.stages, &args.to).map_err(told)?;
    let state = options.state.display();
    if exported.taken_back {
        crate::out::line!("{state}: the export was taken back; it is as it was");
        return Ok(exit::FINISHED);
    }
    for file in &exported.files {
        crate::out::line!("{}", file.display());
    }
    crate::out::line!(
        "{state}: {} records of domains that move, versions of {} items; now import each file into the stage it names, and start all anew",
        exported.records,
        exported.items
    );
    Ok(exit::FINISHED)
}

fn import(args: &Import) -> anyhow::Result<u8> {
    let options = args.common.options()?;
    let seat = args.stage.zip(args.stages).map(|(index, of)| Seat { index, of });
    for file in &args.files {
        let imported = import_slice(&options, seat, file).map_err(told)?;
        let awaits = match imported.awaits.as_slice() {
            [] => "it may start".to_owned(),
            left => format!("still to come from stages {left:?}"),
        };
        crate::out::line!("{}: imported what {} had for {}; {awaits}", file.display(), imported.from, imported.to);
    }
    Ok(exit::FINISHED)
}
