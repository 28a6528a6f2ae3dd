//! What a failure of a provider leads to: another try, a pause, the next provider, a line for the operator.

use super::{Flight, Line, Queued};
use crate::message::{Notice, Out, ProviderVerdict};
use std::sync::Arc;
use weir_model::Tick;

/// A slot that was missed costs no attempt, but so often in a row it means that the driver cannot send at all.
const UNSENT_MAX: u32 = 100;
/// How long what is wrong with a provider is not said again: one that is away fails every call.
const QUIET_US: u64 = 60_000_000;

impl Line {
    /// It was sent, and what came back is nothing.
    pub(super) fn no_answer(&mut self, now: Tick, flight: Flight, why: &str, out: &mut Out) {
        self.complain(now, &format!("does not answer: {why}; its own log may say more, or who runs it"), out);
        self.pause(now);
        self.missed(now, flight, out);
    }

    /// Says what is wrong, for the operator, once in a while.
    pub(super) fn complain(&mut self, now: Tick, wrong: &str, out: &mut Out) {
        self.unsaid += 1;
        if now < self.quiet_until {
            return;
        }
        let onward = if self.is_last {
            "items wait for it, at most geocode.wait_max"
        } else {
            "its addresses go on to the next provider"
        };
        let name = self.provider.name();
        let failures = std::mem::take(&mut self.unsaid);
        let text = format!(
            "geocode provider `{name}` {wrong} (geocode.providers.{name}). It is asked again, with growing pauses, and {onward}; \
             failures since this was last said: {failures}"
        );
        out.notices.push(Notice { provider: Arc::clone(name), text });
        self.quiet_until = now.after_us(QUIET_US);
    }

    /// Not sent: its turn comes again, soon, and costs nothing.
    pub(super) fn unsent(&mut self, now: Tick, flight: Flight, out: &mut Out) {
        let Flight { mut queued, number, dropped, .. } = flight;
        queued.unsent += 1;
        if dropped {
            self.tell(queued.address, ProviderVerdict::Dropped, out);
        } else if queued.unsent >= UNSENT_MAX || now < self.denied_until || self.is_passed_over() {
            if queued.unsent >= UNSENT_MAX {
                let slot_ms = self.config.slot_us / 1_000;
                let wrong = format!(
                    "was not asked: {UNSENT_MAX} slots of {slot_ms} ms were missed in a row; this machine is too busy"
                );
                self.complain(now, &wrong, out);
            }
            out.count(queued.job).errors += 1;
            self.tell(queued.address, ProviderVerdict::Failed, out);
        } else {
            self.queue_later(now.after_us(self.config.backoff_us / 10), number, queued);
        }
    }

    /// One more failure of the line.
    pub(super) fn pause(&mut self, now: Tick) {
        self.failures = self.failures.saturating_add(1);
        if self.failures > 1 {
            self.hold(now.after_us(self.config.backoff(self.failures - 1)));
        }
    }

    /// Addresses do not wait for it as long as it is away: there is another one to ask.
    pub(super) fn is_passed_over(&self) -> bool {
        !self.is_last && self.away.is_away()
    }

    /// No answer, so that the provider may be away.
    pub(super) fn missed(&mut self, now: Tick, flight: Flight, out: &mut Out) {
        self.away.missed(now, flight.left, flight.number, &self.config);
        self.failed(now, flight, out);
        if self.is_passed_over() {
            self.fail_waiting(out);
        }
    }

    /// One more failure of an address.
    pub(super) fn failed(&mut self, now: Tick, flight: Flight, out: &mut Out) {
        let Flight { mut queued, mut number, dropped, .. } = flight;
        queued.attempts += 1;
        let is_over = queued.attempts >= self.config.attempts_max || now < self.denied_until || self.is_passed_over();
        if dropped {
            self.tell(queued.address, ProviderVerdict::Dropped, out);
        } else if is_over {
            out.count(queued.job).errors += 1;
            self.tell(queued.address, ProviderVerdict::Failed, out);
        } else {
            out.count(queued.job).retries += 1;
            if self.away.is_away() {
                // Those who wait try in turn, so that none uses up its attempts for the others.
                number = self.next_number;
                self.next_number += 1;
            }
            self.queue_later(now.after_us(self.config.backoff(queued.attempts)), number, queued);
        }
    }

    /// Nobody who waits in the line is asked for any more.
    fn fail_waiting(&mut self, out: &mut Out) {
        let waiting = std::mem::take(&mut self.ready).into_values();
        let waiting: Vec<Queued> = waiting.chain(std::mem::take(&mut self.later).into_values()).collect();
        for queued in waiting {
            out.count(queued.job).errors += 1;
            self.tell(queued.address, ProviderVerdict::Failed, out);
        }
    }

    /// The provider does not serve us: nobody in its line will be answered.
    pub(super) fn denied(&mut self, now: Tick, flight: Flight, why: &str, out: &mut Out) {
        if now >= self.denied_until {
            self.denials = self.denials.saturating_add(1);
            let pause_us = self.config.denied(self.denials);
            self.denied_until = now.after_us(pause_us);
            out.notices.push(Notice {
                provider: Arc::clone(self.provider.name()),
                text: format!(
                    "geocode provider `{}` denies its service: {why}; check its key, url and user_agent. It is asked again in {} s, \
                     until then items go on without its locations",
                    self.provider.name(),
                    pause_us / 1_000_000
                ),
            });
        }
        out.count(flight.queued.job).errors += u64::from(!flight.dropped);
        self.tell(flight.queued.address, ProviderVerdict::Failed, out);
        self.fail_waiting(out);
    }
}
