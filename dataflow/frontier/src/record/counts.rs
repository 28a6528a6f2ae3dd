//! The `Count` record: what was counted in a step, by job. Only what is not zero is written.

use super::{COUNT, narrow, put_record};
use crate::counters::{Counters, JobCounts};
use weir_model::JobId;
use weir_model::wire::{Reader, WireError, put_i64, put_u64};

/// Appends a `Count` for every job that was counted.
pub fn put_counts(out: &mut Vec<u8>, slot: u8, counters: &Counters) {
    for (job, counts) in counters.iter() {
        put_record(out, COUNT, slot, |out| {
            put_u64(out, job.0);
            put_u64(out, 0);
            put_job_counts(out, counts);
        });
    }
    if counters.redelivered > 0 {
        put_record(out, COUNT, slot, |out| {
            put_u64(out, 0);
            put_u64(out, counters.redelivered);
        });
    }
}

/// Reads a `Count` (after type and slot) and adds it.
pub fn read_counts(reader: &mut Reader<'_>, into: &mut Counters) -> Result<(), WireError> {
    let job = JobId(reader.u64()?);
    let redelivered = reader.u64()?;
    into.redelivered += redelivered;
    if redelivered == 0 {
        let counts = read_job_counts(reader)?;
        into.job(job).add(&counts);
    }
    Ok(())
}

fn plain_counts(counts: &mut JobCounts) -> impl Iterator<Item = &mut u64> {
    let JobCounts {
        offered,
        admitted,
        delivered,
        duplicate,
        redirected,
        abandoned,
        rejected,
        pending: _,
        requests,
        responses: _,
        wire_bytes,
        body_bytes,
        retries,
        unfetched,
        leases_lost,
        robots_requests,
        failures,
    } = counts;
    let (known, later) = rejected.split_at_mut(FIRST_REASONS);
    [
        offered,
        admitted,
        delivered,
        duplicate,
        redirected,
        abandoned,
        requests,
        wire_bytes,
        body_bytes,
        retries,
        unfetched,
        leases_lost,
        robots_requests,
    ]
    .into_iter()
    .chain(known)
    .chain(failures)
    // What came later is behind what was there: states of earlier versions are read by these places.
    .chain(later)
}

/// Reasons of the first version, whose counters stand before those of failures.
const FIRST_REASONS: usize = 21;

fn put_job_counts(out: &mut Vec<u8>, counts: &JobCounts) {
    put_i64(out, counts.pending);
    let mut counts = counts.clone();
    let used = plain_counts(&mut counts).filter(|count| **count != 0).count();
    put_u64(out, used as u64);
    for (index, count) in plain_counts(&mut counts).enumerate().filter(|entry| *entry.1 != 0) {
        put_u64(out, index as u64);
        put_u64(out, *count);
    }
    put_u64(out, counts.responses.len() as u64);
    for (status, count) in &counts.responses {
        put_u64(out, u64::from(*status));
        put_u64(out, *count);
    }
}

fn read_job_counts(reader: &mut Reader<'_>) -> Result<JobCounts, WireError> {
    let mut counts = JobCounts { pending: reader.i64()?, ..JobCounts::default() };
    for _ in 0..reader.u64()? {
        let index = narrow(reader.u64()?)?;
        let value = reader.u64()?;
        *plain_counts(&mut counts).nth(index).ok_or(WireError { expected: "a counter" })? = value;
    }
    for _ in 0..reader.u64()? {
        let status = narrow(reader.u64()?)?;
        counts.response(status, reader.u64()?);
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::split;
    use proptest::prelude::*;

    #[test]
    fn counters_of_the_first_version_keep_their_places() {
        let mut job = JobCounts::default();
        let places = plain_counts(&mut job).count();
        for (place, count) in plain_counts(&mut job).enumerate() {
            *count = place as u64;
        }
        assert_eq!(job.rejected(weir_model::Reason::SinkRefused), 33);
        assert_eq!((job.failures[0], job.failures[8]), (34, 42));
        assert_eq!((job.rejected(weir_model::Reason::OffsiteRedirect), places), (43, 44));
    }

    proptest! {
        #[test]
        fn counts_add_up_through_their_record(counts in prop::collection::vec(any::<u32>(), 44), pending: i32, statuses in prop::collection::vec((100u16..600, 1u64..9), 0..9)) {
            let mut job = JobCounts { pending: i64::from(pending), ..JobCounts::default() };
            for (place, count) in plain_counts(&mut job).zip(counts) {
                *place = u64::from(count);
            }
            statuses.iter().for_each(|(status, count)| job.response(*status, *count));
            let mut counters = Counters::default();
            counters.redelivered = 3;
            counters.job(JobId(6)).add(&job);
            let mut bytes = Vec::new();
            put_counts(&mut bytes, 1, &counters);
            let (mut back, mut rest) = (Counters::default(), bytes.as_slice());
            while let Some((body, after)) = split(rest) {
                read_counts(&mut Reader::new(&body[2..]), &mut back).unwrap();
                rest = after;
            }
            prop_assert_eq!(back, counters);
        }
    }
}
