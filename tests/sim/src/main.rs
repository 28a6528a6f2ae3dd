//! `weir-sim`: any number of seeds, or one told in full.

use clap::Parser;
use std::process::ExitCode;
use weir_sim::{Scenario, Told};

/// Plays seeds of the simulation and says which break an invariant.
#[derive(Debug, Parser)]
struct Args {
    /// How many seeds.
    #[arg(long, default_value_t = 200)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Only this one.
    #[arg(long)]
    seed: Option<u64>,
    /// Tell every event.
    #[arg(long)]
    trace: bool,
    /// Some hundred pages, and a sink takes nothing for an hour.
    #[arg(long)]
    sink_away: bool,
    /// Stop at the first failure.
    #[arg(long)]
    first: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    // What panics is told with its seed.
    std::panic::set_hook(Box::new(|panic| eprintln!("{panic}")));
    let seeds = match args.seed {
        Some(seed) => seed..seed + 1,
        None => args.from..args.from + args.seeds,
    };
    let scenario = if args.sink_away { Scenario::SinkAway } else { Scenario::Anything };
    let tell: Option<fn(&str)> = args.trace.then_some(|line| println!("{line}"));
    let (mut failed, mut events, mut simulated_us, mut lives, mut delivered) = (0u64, 0, 0, 0u64, 0);
    for seed in seeds.clone() {
        let mut told: Told = weir_sim::run_scenario(seed, scenario, None, tell);
        events += told.events;
        simulated_us += told.simulated_us;
        lives += u64::from(told.lives);
        delivered += told.delivered;
        if told.violation.is_some() {
            failed += 1;
            if args.trace {
                told.last.clear();
            }
            println!("{told}\n");
            if args.first {
                break;
            }
        } else if args.seed.is_some() {
            told.last.clear();
            println!("{told}, trace {:016x}", told.trace);
        }
    }
    println!(
        "{} seeds, {failed} failed; {events} events, {lives} lives, {delivered} pages, {:.1} simulated hours",
        seeds.end - seeds.start,
        simulated_us as f64 / 3.6e9
    );
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
