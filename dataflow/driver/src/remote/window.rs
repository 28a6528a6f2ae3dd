//! How many requests may be under way at once: as many as functions keep up with.
//!
//! Releases that wait for a function longer than their slots are sent back unsent and cost no attempt, so a stage that releases more
//! than functions can take would do nothing else. Halves when much comes back unsent, grows while it does not. Pure.

use std::time::Duration;
use weir_model::Tick;

/// Never less: one function's start must not stop everything.
const LEAST: usize = 4;
/// One cut has to show its effect before the next.
const CUT_EVERY: Duration = Duration::from_secs(3);

/// The bound.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    size: usize,
    most: usize,
    cut_at: Tick,
}

impl Window {
    /// Begins at its most.
    pub fn new(most: usize) -> Window {
        Window { size: most, most, cut_at: Tick(0) }
    }

    /// Takes note of a message of reports; gives the bound from now on.
    pub fn reported(&mut self, now: Tick, sent: usize, unsent: usize) -> usize {
        if unsent * 4 > sent {
            if now.since(self.cut_at) >= CUT_EVERY {
                self.size = (self.size / 2).max(LEAST.min(self.most));
                self.cut_at = now;
            }
        } else {
            self.size = (self.size + sent.div_ceil(4)).min(self.most);
        }
        self.size
    }

    /// The bound now.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Whether it was cut since.
    pub fn is_below(&self, before: Window) -> bool {
        self.size < before.size
    }

    /// So many were under way when it was cut: beyond that it was no bound.
    pub fn fit(&mut self, in_flight: usize) {
        self.size = self.size.min(in_flight.max(LEAST));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_back_unsent_halves_the_bound_and_success_opens_it_again() {
        let mut window = Window::new(1_000);
        let at = |seconds: u64| Tick(seconds * 1_000_000);
        assert_eq!(window.reported(at(10), 100, 3), 1_000, "a few are no sign");
        assert_eq!(window.reported(at(11), 10, 90), 500);
        assert_eq!(window.reported(at(12), 10, 90), 500, "one cut has to show its effect");
        for second in 2..20 {
            window.reported(at(second * 10), 0, 50);
        }
        assert_eq!(window.reported(at(201), 0, 1), 4, "never nothing");
        let mut last = 0;
        for _ in 0..100 {
            last = window.reported(at(300), 100, 0);
        }
        assert_eq!(last, 1_000);
    }
}
