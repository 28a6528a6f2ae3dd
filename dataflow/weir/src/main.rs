//! The `weir` binary: commands and composition, nothing else.

mod cmd;
mod out;
mod progress;
mod signals;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Exit codes: what a script can rely on.
pub(crate) mod exit {
    /// The job finished; all contracts passed.
    pub const FINISHED: u8 = 0;
    /// The command line, a setting or the spider file is wrong.
    pub const USAGE: u8 = 2;
    /// Stopped early by a stop condition.
    pub const STOPPED: u8 = 3;
    /// Could not go on, or a contract failed.
    pub const FAILED: u8 = 4;
    /// An audit found differences.
    pub const DIFFERS: u8 = 5;
    /// Interrupted; the same command goes on.
    pub const INTERRUPTED: u8 = 130;
}

/// A web-scraping pipeline as a dataflow.
#[derive(Parser)]
#[command(
    name = "weir",
    version,
    after_help = "Example:\n  weir crawl examples/properties.toml -o items.jsonl -o sqlite:items.db"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Crawl with a spider on this machine; the same command goes on where it stopped
    Crawl(cmd::crawl::Args),
    /// The listings nearest to a point, from a sink that has locations
    Geo(cmd::geo::Args),
    /// Run a spider's contracts
    Check(cmd::check::Args),
    /// Validate spider files, print their JSON Schema
    #[command(subcommand)]
    Spider(cmd::spider::Args),
    /// What went wrong for good: list it, look at it, let it enter again
    #[command(subcommand)]
    DeadLetters(cmd::dead_letters::Args),
    /// Prove a job: every URL has one verdict, every item is in every required sink with its content
    Audit(cmd::audit::Args),
    /// Write a job's items as a file, from a sink that holds them
    Export(cmd::export::Args),
    /// Serve the practice site on loopback
    Site(cmd::site::Args),
    /// Run a stage of a deployment: its slice of the domains, from its queues to the sinks
    Stage(cmd::stage::Args),
    /// What a crawl on AWS will cost and how long it will take, before it is begun
    Plan(cmd::plan::Args),
    /// Open a job in a deployment
    Enqueue(cmd::enqueue::Args),
    /// List the jobs of a deployment, or show one
    Jobs(cmd::jobs::Args),
    /// End a job of a deployment
    Cancel(cmd::jobs::CancelArgs),
    /// How often domains may be asked: read it, change it while a crawl runs
    #[command(subcommand)]
    Throttle(cmd::law::throttle::Args),
    /// Names that are never asked: read them, change them while a crawl runs
    #[command(subcommand)]
    Blacklist(cmd::law::blacklist::Args),
    /// Crawl 50,000 listings of the practice site, from nothing to answers
    Demo(cmd::demo::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        Command::Crawl(args) => cmd::crawl::run(args),
        Command::Geo(args) => cmd::geo::run(args),
        Command::Check(args) => cmd::check::run(args),
        Command::Spider(args) => cmd::spider::run(args),
        Command::DeadLetters(args) => cmd::dead_letters::run(args),
        Command::Audit(args) => cmd::audit::run(args),
        Command::Export(args) => cmd::export::run(args),
        Command::Site(args) => cmd::site::run(args),
        Command::Stage(args) => cmd::stage::run(args),
        Command::Plan(args) => cmd::plan::run(args),
        Command::Enqueue(args) => cmd::enqueue::run(args),
        Command::Jobs(args) => cmd::jobs::run(args),
        Command::Cancel(args) => cmd::jobs::cancel(args),
        Command::Throttle(args) => cmd::law::throttle::run(args),
        Command::Blacklist(args) => cmd::law::blacklist::run(args),
        Command::Demo(args) => cmd::demo::run(args),
    };
    match result {
        Ok(code) => match crate::out::failure() {
            Some(error) => {
                crate::out::err!("weir: standard output cannot be written to: {error}");
                ExitCode::from(if code == exit::FINISHED { exit::FAILED } else { code })
            }
            None => ExitCode::from(code),
        },
        Err(error) => {
            crate::out::err!("weir: {}", crate::out::told(&error));
            let usage = error.is::<cmd::Usage>() || error.chain().any(|cause| cause.is::<weir_spider::SpiderErrors>());
            ExitCode::from(if usage { exit::USAGE } else { exit::FAILED })
        }
    }
}
