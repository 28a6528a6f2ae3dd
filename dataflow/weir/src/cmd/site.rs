//! `weir site`: the practice site, as a command.

use clap::Args as ClapArgs;
use std::path::PathBuf;
use weir_site::{Site, SiteOptions};

/// Serve the practice site on loopback: a property portal with 50,000 listings
#[derive(ClapArgs)]
#[command(after_help = "Example:\n  weir site --port 9312 --pages 100")]
pub struct Args {
    /// Port; 0 takes a free one and prints it
    #[arg(long, default_value_t = 9312)]
    port: u16,
    /// Index pages, 30 listings each; the default gives 50,000 listings
    #[arg(long)]
    pages: Option<usize>,
    /// Everything on the site follows from this number
    #[arg(long)]
    seed: Option<u64>,
    /// Threads that serve
    #[arg(long)]
    threads: Option<usize>,
    /// Write an access log: arrival in microseconds, host, method, path, status
    #[arg(long)]
    log: Option<PathBuf>,
}

pub fn run(args: Args) -> anyhow::Result<u8> {
    let mut options = SiteOptions { port: args.port, log: args.log, ..SiteOptions::default() };
    if let Some(pages) = args.pages {
        options.pages = pages;
    }
    if let Some(seed) = args.seed {
        options.seed = seed;
    }
    if let Some(threads) = args.threads {
        options.threads = threads;
    }
    // Before the address is printed: who reads it may stop the site at once.
    let stop = crate::signals::stop_flag()?;
    let site = Site::spawn(options)?;
    crate::out::line!("http://localhost:{}/properties/index_00000.html", site.port());
    while !crate::signals::is_set(&stop) {
        std::thread::park_timeout(std::time::Duration::from_millis(200));
    }
    Ok(crate::exit::FINISHED)
}
