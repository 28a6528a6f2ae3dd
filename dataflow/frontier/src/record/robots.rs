//! The `Robots` record: what the robots.txt of an origin came to.

use super::{ROBOTS, put_record};
use crate::out::RobotsOutcome;
use weir_model::wire::{Reader, WireError, put_bytes, put_fixed, put_u64};
use weir_model::{DomainKey, FailureClass, Tick};

/// Appends a `Robots`: what the robots.txt of an origin came to at `fetched_at`.
pub fn put_robots(
    out: &mut Vec<u8>,
    slot: u8,
    domain: DomainKey,
    name: &str,
    url: &str,
    outcome: &RobotsOutcome,
    fetched_at: Tick,
) {
    put_record(out, ROBOTS, slot, |out| {
        put_fixed(out, domain.0);
        put_bytes(out, name.as_bytes());
        put_bytes(out, url.as_bytes());
        put_u64(out, fetched_at.0);
        match outcome {
            RobotsOutcome::Rules(body) => {
                out.push(0);
                put_bytes(out, body);
            }
            RobotsOutcome::Missing => out.push(1),
            RobotsOutcome::ServerError => out.push(2),
            RobotsOutcome::Unreachable(class) => out.push(16 + class_code(*class)),
        }
    });
}

/// A `Robots` record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RobotsRecord<'a> {
    /// The origin's domain.
    pub domain: DomainKey,
    /// Its name.
    pub name: &'a str,
    /// The origin's robots.txt.
    pub url: &'a str,
    /// When it was answered.
    pub fetched_at: Tick,
    /// What it said.
    pub outcome: RobotsOutcome,
}

/// Reads a `Robots` (after type and slot).
pub fn read_robots<'a>(reader: &mut Reader<'a>) -> Result<RobotsRecord<'a>, WireError> {
    let domain = DomainKey(reader.fixed()?);
    let (name, url) = (reader.str()?, reader.str()?);
    let fetched_at = Tick(reader.u64()?);
    let outcome = match reader.u8()? {
        0 => RobotsOutcome::Rules(reader.bytes()?.into()),
        1 => RobotsOutcome::Missing,
        2 => RobotsOutcome::ServerError,
        code => RobotsOutcome::Unreachable(class_of(code.wrapping_sub(16))?),
    };
    Ok(RobotsRecord { domain, name, url, fetched_at, outcome })
}

const CLASSES: [FailureClass; 9] = [
    FailureClass::Dns,
    FailureClass::Connect,
    FailureClass::Tls,
    FailureClass::Protocol,
    FailureClass::Timeout,
    FailureClass::TooLarge,
    FailureClass::Decode,
    FailureClass::ForbiddenAddress,
    FailureClass::BadRequest,
];

/// Position of a class in `JobCounts::failures`, and its code.
#[must_use]
pub fn class_code(class: FailureClass) -> u8 {
    CLASSES.iter().position(|entry| *entry == class).expect("the list holds every class") as u8
}

fn class_of(code: u8) -> Result<FailureClass, WireError> {
    CLASSES.get(usize::from(code)).copied().ok_or(WireError { expected: "a class of failure" })
}
