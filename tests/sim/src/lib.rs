//! The real state machine in virtual time: `weir_driver::Engine` over the real stage and the real store, on a disk that forgets and
//! tears, against a web, functions, queues and sinks that go wrong in every way they may. Everything from one seed.
//!
//! A seed is a story: `run(seed, None)` plays it and checks the named invariants all the time and at the end. With several stage
//! workers (one seed in ten) threads decide the order within a step, so such a story may go another way when it is told again; its
//! invariants hold all the same.

mod dice;
mod function;
mod judge;
mod letters;
mod oracle;
mod plan;
mod process;
mod queue;
mod sim;
mod sinks;
mod web;

use std::fmt;

/// What must hold, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Invariant {
    /// Every offered URL has one verdict or is live; at the end all have one, and the right one.
    Conservation,
    /// No window of a domain sees more arrivals than its law allows, restarts included.
    Law,
    /// A receipt is settled only when a crash right now would not lose what its message did.
    NoSettlementBeforeEffect,
    /// What sinks hold is a function of the set of items, not of what went wrong on the way.
    SinksAreAFunctionOfTheItems,
    /// The crawl ends within bounded virtual time, and never stands still before.
    NothingWaitsForEver,
    /// Everything in flight is bounded.
    Limits,
    /// No page is fetched that robots.txt forbids, and none without a fresh answer of it.
    Robots,
    /// Each release is fetched at most once.
    OneReleaseOneRequest,
    /// A state that a crash left behind is opened and goes on.
    Recovery,
    /// The product's own assertions hold.
    Assertions,
}

impl Invariant {
    /// Its name, the same everywhere.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Invariant::Conservation => "conservation",
            Invariant::Law => "law",
            Invariant::NoSettlementBeforeEffect => "no_settlement_before_effect",
            Invariant::SinksAreAFunctionOfTheItems => "sinks_are_a_function_of_the_items",
            Invariant::NothingWaitsForEver => "nothing_waits_for_ever",
            Invariant::Limits => "limits",
            Invariant::Robots => "robots",
            Invariant::OneReleaseOneRequest => "one_release_one_request",
            Invariant::Recovery => "recovery",
            Invariant::Assertions => "assertions",
        }
    }
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Known-bad variants: each must be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// Receipts are settled when their message is received.
    SettledAtOnce,
    /// Groups are said to be synced when they are written.
    PretendedSync,
    /// A restart forgets the hits of the laws.
    ForgottenHits,
    /// A released URL counts as done: lost leases are not noticed.
    LostIsDone,
    /// A feed is not cut back to its mark.
    UncutFeed,
    /// A second copy of a message is fetched, too.
    UnclaimedCopy,
    /// A full outbox holds up nobody.
    NoBackpressure,
    /// A sink that has failed often is said to have taken its items.
    GivesUp,
}

impl Sabotage {
    /// All of them.
    pub const ALL: [Sabotage; 8] = [
        Sabotage::SettledAtOnce,
        Sabotage::PretendedSync,
        Sabotage::ForgottenHits,
        Sabotage::LostIsDone,
        Sabotage::UncutFeed,
        Sabotage::UnclaimedCopy,
        Sabotage::NoBackpressure,
        Sabotage::GivesUp,
    ];
}

/// A broken invariant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub invariant: Invariant,
    /// What was seen.
    pub what: String,
}

/// What a story is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Scenario {
    /// Whatever the seed brings.
    #[default]
    Anything,
    /// Some hundred pages, a small outbox, and one of the sinks takes nothing for an hour.
    SinkAway,
}

/// What was seen while the outbox was full: of a sink that is away for long, nearly nothing may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// The longest time for which it was full in one life, microseconds.
    pub full_us: u64,
    /// The most bytes in the outbox at any time.
    pub outbox_bytes_most: usize,
    /// The most items that waited at one sink at any time.
    pub waiting_most: usize,
    /// Bytes of journal that were written when it had been full for a while.
    pub journal_bytes: usize,
}

/// What a seed came to.
#[derive(Clone, Debug)]
pub struct Told {
    /// The seed.
    pub seed: u64,
    /// What it was about.
    pub scenario: Scenario,
    /// What was seen while the outbox was full.
    pub held: Held,
    /// Hash over every event.
    pub trace: u64,
    /// Events.
    pub events: u64,
    /// Virtual time, microseconds.
    pub simulated_us: u64,
    /// Process starts.
    pub lives: u32,
    /// Pages delivered.
    pub delivered: u64,
    /// More than one stage worker at some time: the trace depends on threads.
    pub threaded: bool,
    /// The first broken invariant.
    pub violation: Option<Violation>,
    /// The last events.
    pub last: Vec<String>,
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.last {
            writeln!(f, "  {line}")?;
        }
        match &self.violation {
            None => write!(
                f,
                "seed {}: {} events, {} lives, {} delivered",
                self.seed, self.events, self.lives, self.delivered
            ),
            Some(Violation { invariant, what }) => write!(
                f,
                "seed {}: invariant `{invariant}` is broken: {what}\nreplay: cargo run --release -p weir-sim -- --seed {}{} --trace",
                self.seed,
                self.seed,
                if self.scenario == Scenario::SinkAway { " --sink-away" } else { "" }
            ),
        }
    }
}

/// Plays a seed. `trace` gives every event to a function as it happens.
#[must_use]
pub fn run(seed: u64, sabotage: Option<Sabotage>, trace: Option<fn(&str)>) -> Told {
    sim::run(seed, Scenario::Anything, sabotage, trace)
}

/// Plays a seed of a scenario.
#[must_use]
pub fn run_scenario(seed: u64, scenario: Scenario, sabotage: Option<Sabotage>, trace: Option<fn(&str)>) -> Told {
    sim::run(seed, scenario, sabotage, trace)
}
