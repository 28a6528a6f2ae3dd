//! What a seed decides before the first event: bounds of the engine, how bad the world is, when the process dies.

use crate::dice::Dice;
use crate::web::SECOND;
use crate::{Sabotage, Scenario};

/// When the process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// At the event with this number of this life.
    Event(u64),
    /// Right after the n-th receipt of this life was settled.
    Settled(u64),
    /// Right after the n-th message of this life was dispatched.
    Dispatched(u64),
    /// When the n-th group of this life is written and not yet synced.
    Appended(u64),
    /// When a sink has written its n-th batch of this life, before it says so.
    Written(u64),
    /// In the middle of the n-th change to the disk of this life: a power cut.
    DiskChange(u64),
}

/// How it dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Death {
    pub moment: Moment,
    /// The machine loses power: what was not synced is lost, or torn. Otherwise only the process is killed.
    pub power: bool,
}

/// Percentages of messages that go wrong.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Weather {
    pub message_lost: u64,
    pub message_twice: u64,
    pub message_late: u64,
    pub function_killed: u64,
    pub report_twice: u64,
    pub report_late: u64,
    pub report_lost: u64,
    pub sink_fails: u64,
    pub sink_refuses: u64,
}

/// A sink takes nothing for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outage {
    pub sink: usize,
    /// From the story's beginning.
    pub from_us: u64,
    pub to_us: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub concurrency: usize,
    pub message_releases_max: usize,
    pub group_us: u64,
    pub group_events_max: usize,
    pub outbox_bytes_max: usize,
    pub start_low_water: u64,
    pub start_batch: usize,
    pub step_events_max: usize,
    pub margin_us: u64,
    pub lookahead_us: u64,
    pub slot_us: u64,
    pub timeout_us: u64,
    pub lease_grace_us: u64,
    pub hot_bytes: usize,
    pub read_ahead: usize,
    pub parked_max: usize,
    pub robots_ttl_us: u64,
    pub robots_failure_ttl_us: u64,
    pub concurrency_per_domain: u32,
    pub fifo: bool,
    pub segment_bytes: u64,
    pub workers_max: u64,
    pub sync_us: u64,
    pub snapshot_every: Option<u64>,
    pub visibility_us: u64,
    pub weather: Weather,
    pub deaths: Vec<Death>,
    /// Graceful stops: at this event of a life.
    pub stops: Vec<u64>,
    pub outage: Option<Outage>,
}

impl Plan {
    pub fn new(seed: u64, scenario: Scenario, sabotage: Option<Sabotage>) -> Plan {
        let dice = &mut Dice::of(seed, "plan");
        let calm = dice.percent(20);
        let margin_us = dice.pick(&[0, 0, 50_000]);
        let mut plan = Plan {
            concurrency: dice.within(1..=16) as usize,
            message_releases_max: dice.within(1..=8) as usize,
            group_us: dice.within(1_000..=50_000),
            group_events_max: dice.pick(&[1, 5, 10_000]),
            outbox_bytes_max: dice.pick(&[1_000, 10_000, 1 << 20]),
            start_low_water: dice.within(1..=10),
            start_batch: dice.within(1..=4) as usize,
            step_events_max: dice.pick(&[1, 3, 4_096]),
            margin_us,
            lookahead_us: dice.pick(&[0, 0, 200_000, SECOND]),
            slot_us: dice.within(SECOND / 2..=2 * SECOND),
            timeout_us: dice.within(4 * SECOND..=8 * SECOND),
            lease_grace_us: 10 * SECOND,
            hot_bytes: dice.pick(&[1, 1_000, 8 << 20]),
            read_ahead: dice.pick(&[1, 2, 64]),
            parked_max: dice.pick(&[1, 3, 16]),
            robots_ttl_us: dice.pick(&[20 * SECOND, 600 * SECOND, 86_400 * SECOND]),
            robots_failure_ttl_us: dice.pick(&[20 * SECOND, 3_600 * SECOND]),
            concurrency_per_domain: dice.pick(&[1, 2, 16]),
            fifo: dice.percent(50),
            segment_bytes: dice.pick(&[2_000, 20_000, 1 << 20]),
            workers_max: if dice.percent(10) { 3 } else { 1 },
            sync_us: dice.pick(&[100, 5_000, 60_000]),
            snapshot_every: dice.percent(60).then(|| dice.within(20..=300)),
            visibility_us: dice.within(2 * SECOND..=20 * SECOND),
            weather: Weather::default(),
            deaths: Vec::new(),
            stops: Vec::new(),
            outage: None,
        };
        if !calm {
            let mut sometimes = |max: u64| if dice.percent(50) { dice.within(1..=max) } else { 0 };
            plan.weather = Weather {
                message_lost: sometimes(10),
                message_twice: sometimes(20),
                message_late: sometimes(10),
                function_killed: sometimes(10),
                report_twice: sometimes(20),
                report_late: sometimes(10),
                report_lost: sometimes(10),
                sink_fails: sometimes(30),
                sink_refuses: sometimes(10),
            };
            plan.deaths = (0..dice.within(0..=7)).map(|_| death(dice)).collect();
            plan.stops = (0..dice.pick(&[0, 0, 0, 1, 2])).map(|_| dice.within(10..=400)).collect();
        }
        if scenario == Scenario::SinkAway {
            // Dice of its own: what a seed means otherwise stays.
            let dice = &mut Dice::of(seed, "outage");
            let from_us = dice.within(SECOND..=60 * SECOND);
            plan.outage = Some(Outage { sink: dice.below(2), from_us, to_us: from_us + 3_600 * SECOND });
            plan.outbox_bytes_max = dice.pick(&[1_000, 2_000, 4_000]);
        }
        plan.spoil(sabotage);
        plan
    }

    /// What a known-bad variant changes in the plan itself.
    fn spoil(&mut self, sabotage: Option<Sabotage>) {
        match sabotage {
            Some(Sabotage::LostIsDone) => self.lease_grace_us = 365 * 86_400 * SECOND,
            // Snapshots hold the hits, too: this variant recovers from the journal alone.
            Some(Sabotage::ForgottenHits) => self.snapshot_every = None,
            _ => {}
        }
    }
}

fn death(dice: &mut Dice) -> Death {
    let moment = match dice.within(0..=6) {
        0 | 1 => Moment::Event(dice.within(1..=400)),
        2 => Moment::Settled(dice.within(1..=30)),
        3 => Moment::Dispatched(dice.within(1..=40)),
        4 => Moment::Appended(dice.within(1..=60)),
        5 => Moment::Written(dice.within(1..=20)),
        _ => Moment::DiskChange(dice.within(1..=120)),
    };
    Death { moment, power: matches!(moment, Moment::DiskChange(_)) || dice.percent(60) }
}
