//! Fetch messages that no function has begun, taken back: the stage claims them itself, so that no copy of them fetches anything any more.
//!
//! Decides when a silent message is claimed and what its silence means. A claim that is won says that nothing was requested: the requests go
//! back as unsent and cost no attempt, however long functions did not start. A claim that is lost says that a function began and is silent:
//! its lease runs out, and that is a failed attempt. Invariants: a message is claimed only when the slots of all its releases are over, and
//! before any of their leases is; a request that is never begun while functions work on others is no outage, and counts as failed.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::time::Duration;
use weir_model::{FetchMessage, FetchOutcome, JobId, LinkBatch, MessageId, Release, ReleaseId, Report, Tick};

/// So often a request goes back for nothing while functions report others; after that something about it keeps them from beginning.
const TAKEN_BACK_MAX: u32 = 5;

/// A request's name here: its job, and a hash of its URL.
type Name = (JobId, u64);

/// A message under way.
struct Sent {
    releases: Vec<ReleaseId>,
    /// Of them, not reported yet.
    silent: usize,
    sent_at: Tick,
    claim_at: Tick,
}

/// What became of a message that was claimed.
#[derive(Debug, PartialEq)]
pub(super) enum Silence {
    /// No function had begun: these reports say so.
    Unbegun(Vec<Report>),
    /// A function had, or must be taken to have: the leases decide.
    Left,
}

/// Messages under way and how often requests came back unbegun.
#[derive(Default)]
pub(super) struct Unbegun {
    messages: HashMap<MessageId, Sent>,
    /// The message of each release under way, and the request's name here.
    releases: HashMap<ReleaseId, (MessageId, Name)>,
    due: BTreeSet<(Tick, MessageId)>,
    /// How often in a row requests were taken back, by their names.
    taken_back: HashMap<Name, u32>,
    hasher: BuildHasherDefault<DefaultHasher>,
    heard_at: Tick,
}

impl Unbegun {
    /// A message leaves; its requests may take as long as `timeout`.
    pub fn sent(&mut self, now: Tick, message: &FetchMessage, timeout: Duration) {
        let Some(slots_end) = message.releases.iter().map(|release| release.not_after).max() else { return };
        // A lease lasts for the time-out beyond its slot: half of it is for functions that are under way, half for the claim.
        let claim_at = slots_end.after(timeout / 2);
        let releases = message.releases.iter().map(|release| release.id).collect::<Vec<_>>();
        for release in &message.releases {
            self.releases.insert(release.id, (message.id, self.name(release)));
        }
        self.due.insert((claim_at, message.id));
        self.messages.insert(message.id, Sent { silent: releases.len(), releases, sent_at: now, claim_at });
    }

    /// Functions reported.
    pub fn reported(&mut self, now: Tick, reports: &[Report]) {
        self.heard_at = now;
        for report in reports {
            let Some(request) = self.settled(report.release) else { continue };
            if !matches!(report.outcome, FetchOutcome::Unfetched { .. }) && !self.taken_back.is_empty() {
                self.taken_back.remove(&request);
            }
        }
    }

    /// A job has ended: whether its requests are begun changes nothing any more.
    pub fn forget(&mut self, job: JobId) {
        self.taken_back.retain(|(of, _), _| *of != job);
        let of_job = self.releases.iter().filter(|(_, (_, (of, _)))| *of == job);
        for release in of_job.map(|(release, _)| *release).collect::<Vec<_>>() {
            self.settled(release);
        }
    }

    /// Nothing is to be found out about a release any more.
    fn settled(&mut self, release: ReleaseId) -> Option<Name> {
        let (message, request) = self.releases.remove(&release)?;
        let sent = self.messages.get_mut(&message).expect("a release is known as long as its message");
        sent.silent -= 1;
        if sent.silent == 0 {
            self.due.remove(&(sent.claim_at, message));
            self.messages.remove(&message);
        }
        Some(request)
    }

    /// The next message that is to be claimed by now.
    pub fn next(&mut self, now: Tick) -> Option<MessageId> {
        let (at, message) = *self.due.first()?;
        (at <= now).then(|| {
            self.due.remove(&(at, message));
            message
        })
    }

    /// Whether the stage has won a message's claim.
    pub fn claimed(&mut self, now: Tick, message: MessageId, won: bool) -> Silence {
        // Reported meanwhile: a function had begun.
        let Some(sent) = self.messages.remove(&message) else { return Silence::Left };
        let functions_work = self.heard_at > sent.sent_at;
        let mut reports = Vec::new();
        for id in sent.releases {
            let Some((_, request)) = self.releases.remove(&id) else { continue };
            if !won {
                self.taken_back.remove(&request);
                continue;
            }
            if functions_work {
                let times = self.taken_back.entry(request).or_default();
                *times += 1;
                if *times > TAKEN_BACK_MAX {
                    continue;
                }
            }
            reports.push(unbegun(id, now));
        }
        if reports.is_empty() { Silence::Left } else { Silence::Unbegun(reports) }
    }

    fn name(&self, release: &Release) -> Name {
        (release.job, self.hasher.hash_one(&release.request.url))
    }
}

fn unbegun(release: ReleaseId, now: Tick) -> Report {
    Report {
        release,
        outcome: FetchOutcome::Unfetched { reason: "no function began in time".into() },
        started_at: Tick(0),
        answered_at: Tick(0),
        ended_at: now,
        wire_bytes: 0,
        body_bytes: 0,
        items: Vec::new(),
        links: LinkBatch::default(),
        notes: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_model::Request;

    const TIMEOUT: Duration = Duration::from_secs(4);

    fn at(seconds: u64) -> Tick {
        Tick(seconds * 1_000_000)
    }

    /// Releases of these numbers whose slots end at ten seconds.
    fn message(id: u64, releases: &[u64]) -> FetchMessage {
        let release = |number: &u64| {
            let request = Request { url: format!("http://a.org/{}", number % 100).into(), ..Request::default() };
            Release { id: ReleaseId(*number), job: JobId(1), not_before: at(0), not_after: at(10), request }
        };
        FetchMessage { id: MessageId(id), releases: releases.iter().map(release).collect() }
    }

    fn report(release: u64) -> Report {
        Report { outcome: FetchOutcome::Response { status: 200 }, ..unbegun(ReleaseId(release), at(0)) }
    }

    fn ids(silence: &Silence) -> Vec<u64> {
        match silence {
            Silence::Unbegun(reports) => reports.iter().map(|report| report.release.0).collect(),
            Silence::Left => Vec::new(),
        }
    }

    #[test]
    fn a_silent_message_is_claimed_after_its_slots_and_before_its_leases_end() {
        let mut unbegun = Unbegun::default();
        unbegun.sent(at(0), &message(1, &[1, 2]), TIMEOUT);
        unbegun.sent(at(0), &message(2, &[3]), TIMEOUT);
        unbegun.reported(at(1), &[report(1), report(3), report(77)]);
        assert_eq!(unbegun.next(at(11)), None);
        assert_eq!(
            (unbegun.next(at(12)), unbegun.next(at(14))),
            (Some(MessageId(1)), None),
            "the other one is reported whole"
        );
        let silence = unbegun.claimed(at(12), MessageId(1), true);
        assert_eq!(ids(&silence), [2], "what was reported is settled: {silence:?}");
        assert!(unbegun.messages.is_empty() && unbegun.releases.is_empty() && unbegun.due.is_empty());
    }

    #[test]
    fn what_a_function_has_begun_is_left_to_its_lease() {
        let mut unbegun = Unbegun::default();
        unbegun.sent(at(0), &message(1, &[1]), TIMEOUT);
        assert_eq!(unbegun.next(at(20)), Some(MessageId(1)));
        assert_eq!(unbegun.claimed(at(20), MessageId(1), false), Silence::Left);
        // A report that comes while the claim is made.
        unbegun.sent(at(0), &message(2, &[2]), TIMEOUT);
        assert_eq!(unbegun.next(at(20)), Some(MessageId(2)));
        unbegun.reported(at(20), &[report(2)]);
        assert_eq!(unbegun.claimed(at(21), MessageId(2), true), Silence::Left);
        assert!(unbegun.releases.is_empty() && unbegun.taken_back.is_empty());
    }

    #[test]
    fn an_outage_costs_nothing_however_long_and_what_is_never_begun_while_functions_work_does() {
        let mut unbegun = Unbegun::default();
        let mut round = |number: u64, heard: bool| {
            unbegun.sent(at(number * 100), &message(number, &[number * 100 + 7]), TIMEOUT);
            if heard {
                unbegun.reported(at(number * 100 + 1), &[report(1)]);
            }
            assert!(unbegun.next(at(number * 100 + 50)).is_some());
            unbegun.claimed(at(number * 100 + 50), MessageId(number), true)
        };
        for number in 1..50 {
            assert_eq!(ids(&round(number, false)).len(), 1, "{number}");
        }
        assert_eq!(ids(&round(50, true)).len(), 1, "functions work again");
        let mut unbegun = Unbegun::default();
        for (number, expected) in (1..=7).zip([1, 1, 1, 1, 1, 0, 0]) {
            unbegun.sent(at(number * 100), &message(number, &[number * 100 + 7]), TIMEOUT);
            unbegun.reported(at(number * 100 + 1), &[report(1)]);
            let silence = unbegun.claimed(at(number * 100 + 50), MessageId(number), true);
            assert_eq!(ids(&silence).len(), expected, "round {number}");
        }
        // Begun after all: it begins from the start.
        unbegun.sent(at(900), &message(9, &[907]), TIMEOUT);
        unbegun.reported(at(901), &[report(907)]);
        assert!(unbegun.taken_back.is_empty());
    }
    #[test]
    fn nothing_is_kept_of_ended_jobs_nor_of_messages_whose_claim_nobody_knows_of() {
        let mut unbegun = Unbegun::default();
        let is_empty =
            |unbegun: &Unbegun| unbegun.messages.is_empty() && unbegun.releases.is_empty() && unbegun.due.is_empty();
        // Taken back once while functions work, and under way again.
        unbegun.sent(at(100), &message(1, &[107]), TIMEOUT);
        unbegun.reported(at(101), &[report(1)]);
        assert_eq!(unbegun.next(at(150)), Some(MessageId(1)));
        assert_eq!(ids(&unbegun.claimed(at(150), MessageId(1), true)), [107]);
        unbegun.sent(at(200), &message(2, &[207, 208]), TIMEOUT);
        unbegun.forget(JobId(2));
        assert!(!is_empty(&unbegun) && !unbegun.taken_back.is_empty(), "another job's end");
        unbegun.forget(JobId(1));
        assert!(is_empty(&unbegun) && unbegun.taken_back.is_empty());
        // Such a claim is told as lost.
        unbegun.sent(at(300), &message(3, &[301]), TIMEOUT);
        assert_eq!(unbegun.next(at(350)), Some(MessageId(3)));
        assert_eq!(unbegun.claimed(at(400), MessageId(3), false), Silence::Left);
        assert!(is_empty(&unbegun));
    }
}
