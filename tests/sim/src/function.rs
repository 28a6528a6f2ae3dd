//! Fetch-parse functions: each message to one of them, which has its own clock, claims the message, keeps to the slots, reports
//! in batches, and may die.

use crate::Violation;
use crate::sim::{Event, Sim};
use crate::web::{Behaviour, RobotsFile, SECOND, host_of};
use std::rc::Rc;
use weir_model::{FailureClass, FetchMessage, FetchOutcome, LinkBatch, Release, Report, RequestKind, TargetId, Tick};

/// Reports wait for others of their message at most this long.
const BATCH_WAIT_US: u64 = SECOND / 4;
/// Attempts of one page that the world may spoil; the job's retries are more.
const HARM_MAX: u32 = 3;
/// As robots.txt are asked three times at most, one of which the site itself may spoil.
const ROBOTS_HARM_MAX: u32 = 1;

#[derive(Debug)]
pub(crate) struct Function {
    /// Its clock is ahead by this.
    skew_us: i64,
    dead: bool,
    left: usize,
    ready: Vec<Report>,
}

/// A request on its way to its site.
#[derive(Debug)]
pub(crate) struct UnderWay {
    pub function: usize,
    pub release: Release,
    /// By the function's clock.
    pub started_at: Tick,
}

impl Function {
    fn clock(&self, now: Tick) -> Tick {
        Tick(now.0.saturating_add_signed(self.skew_us))
    }

    fn real(&self, at: Tick) -> Tick {
        Tick(at.0.saturating_add_signed(-self.skew_us))
    }
}

impl Sim {
    /// True, and counted, when nothing of this was spoilt too often already.
    fn may_harm<'a>(&mut self, percent: u64, urls: impl Iterator<Item = &'a str> + Clone) -> bool {
        let spare = |url: &str| {
            let max = if url.ends_with("/robots.txt") { ROBOTS_HARM_MAX } else { HARM_MAX };
            self.harm.get(url).copied().unwrap_or(0) < max
        };
        if !self.dice.percent(percent) || !urls.clone().all(spare) {
            return false;
        }
        for url in urls {
            *self.harm.entry(url.to_owned()).or_insert(0) += 1;
        }
        true
    }

    /// A message leaves the process.
    pub(crate) fn dispatch(&mut self, message: FetchMessage) -> Result<(), Violation> {
        self.oracle.dispatched(self.now, &message, &self.plan, &self.web)?;
        self.note(|| {
            let what: Vec<String> = message.releases.iter().map(|r| format!("{}={}", r.id.0, r.request.url)).collect();
            format!("dispatch {:x}: {}", message.id.0, what.join(" "))
        });
        let weather = self.plan.weather;
        let urls: Vec<String> = message.releases.iter().map(|release| release.request.url.to_string()).collect();
        let urls = || urls.iter().map(String::as_str);
        if self.may_harm(weather.message_lost, urls()) {
            self.note(|| "  lost on its way".to_owned());
            return Ok(());
        }
        let mut delay = self.dice.skewed(SECOND / 3);
        if self.may_harm(weather.message_late, urls()) {
            delay += self.dice.within(SECOND..=2 * self.lease_us());
        }
        let message = Rc::new(message);
        if self.dice.percent(weather.message_twice) {
            let again = delay + self.dice.skewed(20 * SECOND);
            self.after(again, Event::Deliver(Rc::clone(&message)));
        }
        self.after(delay, Event::Deliver(message));
        Ok(())
    }

    pub(crate) fn lease_us(&self) -> u64 {
        self.plan.slot_us + self.plan.margin_us + self.plan.timeout_us + 10 * SECOND
    }

    /// A copy of a message reaches a function.
    pub(crate) fn deliver(&mut self, message: &FetchMessage) {
        if !self.claims.insert(message.id) && self.sabotage != Some(crate::Sabotage::UnclaimedCopy) {
            self.note(|| format!("message {:x} is claimed already", message.id.0));
            return;
        }
        let margin = self.plan.margin_us;
        let skew_us = self.dice.within(0..=margin) as i64 - (margin / 2) as i64;
        let at = self.functions.len();
        let left = message.releases.len();
        self.functions.push(Function { skew_us, dead: false, left, ready: Vec::new() });
        let weather = self.plan.weather;
        if self.may_harm(weather.function_killed, message.releases.iter().map(|release| &*release.request.url)) {
            let delay = self.dice.within(0..=self.plan.timeout_us / 2);
            self.after(delay, Event::Kill(at));
        }
        for release in &message.releases {
            self.begin(at, release);
        }
    }

    /// Waits for the slot, looks at its end, writes.
    fn begin(&mut self, at: usize, release: &Release) {
        let begin = self.functions[at].clock(self.now).after_us(self.dice.skewed(50_000));
        let started_at = begin.max(release.not_before.after_us(self.plan.margin_us));
        let real = self.functions[at].real(started_at);
        if started_at > release.not_after {
            let outcome = FetchOutcome::Unfetched { reason: "too late for its slot".into() };
            let report = blank(release, outcome);
            self.at(real, Event::Ready(at, Box::new(report)));
            return;
        }
        // It may stand still between check and write.
        let written = real.after_us(self.dice.within(0..=self.plan.margin_us / 2));
        // Nobody knows when a request reached a site that never answers.
        let silent =
            self.web.pages.get(&*release.request.url).is_some_and(|p| matches!(p.behaviour, Behaviour::Silent));
        let way = if silent { self.dice.within(0..=self.plan.timeout_us) } else { self.dice.skewed(SECOND) };
        let under_way = UnderWay { function: at, release: release.clone(), started_at };
        self.at(written.after_us(way), Event::Arrive(Box::new(under_way)));
    }

    /// A request reaches its site, unless its function died before it was written.
    pub(crate) fn arrive(&mut self, request: UnderWay) -> Result<(), Violation> {
        let UnderWay { function: at, release, started_at } = request;
        self.check_arrival(&release.request.url)?;
        if self.functions[at].dead {
            // Half of the requests of a killed function were written before.
            if self.dice.percent(50) {
                self.note(|| format!("arrival {} from the dead", release.id.0));
                self.count_arrival(&release);
                return self.oracle.arrived(self.now, &release, &self.plan, &self.web);
            }
            return Ok(());
        }
        self.oracle.arrived(self.now, &release, &self.plan, &self.web)?;
        let tries = self.count_arrival(&release);
        let latency = self.web.sites[host_of(&release.request.url)].latency_us;
        let outcome = self.answer(&release, started_at, tries);
        let silent = matches!(outcome, FetchOutcome::Failed { .. });
        let function = &self.functions[at];
        let (answered_at, ended_at) = if silent {
            (Tick(0), started_at.after_us(self.plan.timeout_us))
        } else {
            let answered_at = function.clock(self.now).after_us(self.dice.within(500..=latency));
            (answered_at, answered_at.after_us(self.dice.skewed(SECOND / 2)))
        };
        let real = function.real(ended_at);
        let mut report = Report { started_at, answered_at, ended_at, ..blank(&release, outcome) };
        if let FetchOutcome::Response { status: 200 } = report.outcome {
            let url = &*release.request.url;
            report.items = self.web.items(url, release.job, started_at.0);
            for link in &self.web.pages[url].links {
                report.links.push(link, TargetId::START, 0);
            }
            self.oracle.starts.insert((url.to_owned(), started_at.0));
        }
        self.note(|| format!("arrival {} of {}: {:?}", release.id.0, release.request.url, short(&report.outcome)));
        self.at(real.max(self.now), Event::Ready(at, Box::new(report)));
        Ok(())
    }

    fn count_arrival(&mut self, release: &Release) -> u32 {
        let tries = self.tries.entry(release.request.url.to_string()).or_insert(0);
        *tries += 1;
        *tries
    }

    fn answer(&self, release: &Release, _started_at: Tick, tries: u32) -> FetchOutcome {
        let url = &*release.request.url;
        if release.request.kind == RequestKind::Robots {
            let site = &self.web.sites[host_of(url)];
            let robots = |status: u16, body: &str| FetchOutcome::Robots { status, body: body.as_bytes().into() };
            return match &site.robots {
                RobotsFile::Rules { body, .. } => robots(200, body),
                RobotsFile::Missing => robots(404, ""),
                RobotsFile::Broken => robots(503, ""),
                RobotsFile::HealsOnce(_) if tries == 1 => robots(500, ""),
                RobotsFile::HealsOnce(body) => robots(200, body),
                RobotsFile::Redirect(to) => FetchOutcome::Redirect { status: 302, location: to.as_str().into() },
            };
        }
        match &self.web.pages[url].behaviour {
            Behaviour::Ok => FetchOutcome::Response { status: 200 },
            Behaviour::NotFound => FetchOutcome::Response { status: 404 },
            Behaviour::Redirect(to) => FetchOutcome::Redirect { status: 301, location: to.as_str().into() },
            Behaviour::Heals(after) if tries <= *after => FetchOutcome::Response { status: 500 },
            Behaviour::Heals(_) => FetchOutcome::Response { status: 200 },
            Behaviour::Broken => FetchOutcome::Response { status: 500 },
            Behaviour::Silent => FetchOutcome::Failed {
                class: FailureClass::Timeout,
                reason: "no headers in time".into(),
                written: true,
            },
            Behaviour::Unreadable => FetchOutcome::Unreadable { status: 200, reason: "no text".into() },
        }
    }

    pub(crate) fn kill(&mut self, at: usize) {
        self.note(|| format!("function {at} is killed"));
        self.functions[at].dead = true;
        self.functions[at].ready.clear();
    }

    pub(crate) fn ready(&mut self, at: usize, report: Report) {
        let function = &mut self.functions[at];
        if function.dead {
            return;
        }
        function.left -= 1;
        function.ready.push(report);
        let last = function.left == 0;
        if last || self.dice.percent(50) {
            self.send_reports(at);
        } else {
            self.after(BATCH_WAIT_US, Event::Flush(at));
        }
    }

    pub(crate) fn send_reports(&mut self, at: usize) {
        let reports = std::mem::take(&mut self.functions[at].ready);
        if reports.is_empty() {
            return;
        }
        let urls: Vec<String> = reports.iter().filter_map(|report| self.urls.get(&report.release).cloned()).collect();
        let urls = || urls.iter().map(String::as_str);
        let weather = self.plan.weather;
        if self.may_harm(weather.report_lost, urls()) {
            self.note(|| format!("{} reports are lost", reports.len()));
            return;
        }
        let mut delay = self.dice.skewed(SECOND);
        if self.may_harm(weather.report_late, urls()) {
            delay += self.dice.within(SECOND..=2 * self.lease_us());
        }
        if self.dice.percent(weather.report_twice) {
            let message = self.queue.send(reports.clone());
            let again = self.dice.skewed(60 * SECOND);
            self.after(again, Event::Receive(message));
        }
        let message = self.queue.send(reports);
        self.after(delay, Event::Receive(message));
    }
}

fn blank(release: &Release, outcome: FetchOutcome) -> Report {
    Report {
        release: release.id,
        outcome,
        started_at: Tick(0),
        answered_at: Tick(0),
        ended_at: Tick(0),
        wire_bytes: 100,
        body_bytes: 300,
        items: Vec::new(),
        links: LinkBatch::default(),
        notes: Vec::new(),
    }
}

pub(crate) fn short(outcome: &FetchOutcome) -> String {
    match outcome {
        FetchOutcome::Response { status } => format!("{status}"),
        FetchOutcome::Redirect { location, .. } => format!("to {location}"),
        FetchOutcome::Robots { status, .. } => format!("robots {status}"),
        FetchOutcome::Failed { class, .. } => class.as_str().to_owned(),
        FetchOutcome::Unreadable { .. } => "unreadable".to_owned(),
        FetchOutcome::Unfetched { .. } => "unfetched".to_owned(),
    }
}
