//! Progress on a terminal (one line that moves) or as plain lines otherwise. Written to standard error.
//!
//! Latencies are told by Little's law, S = N / T: what was under way on average, divided by what got through a second. So they need
//! no clock a request, and say the same as the queue lengths beside them.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::time::Duration;
use weir_driver::Progress;

/// Shows how a crawl goes.
pub struct Display {
    bar: Option<ProgressBar>,
    quiet: bool,
    last_line: Option<Duration>,
    window: Option<Window>,
}

/// What happened since rates were last told anew, and the sums of the queue lengths seen since.
#[derive(Default)]
struct Window {
    began: Duration,
    pages: u64,
    items: u64,
    seen: u64,
    under_way: u64,
    to_store: u64,
    /// Figures of the window before; in the first one they are told at every look.
    told: Option<Rates>,
}

/// Figures a second, and seconds a page where they can be told.
#[derive(Clone, Copy, Default)]
struct Rates {
    pages: f64,
    items: f64,
    latency: Option<f64>,
    storing: Option<f64>,
}

/// Rates are means over at least this long.
const WINDOW: Duration = Duration::from_secs(2);

impl Window {
    /// Begins now: what an earlier run of the job did is no rate of this one.
    fn new(progress: &Progress, told: Option<Rates>) -> Window {
        Window { began: progress.elapsed, pages: progress.pages, items: progress.items, told, ..Window::default() }
    }

    /// Rates of the last whole window; of what there is so far in the first one.
    fn rates(&mut self, progress: &Progress) -> Rates {
        self.seen += 1;
        self.under_way += progress.in_flight;
        self.to_store += progress.pending;
        let took = progress.elapsed.saturating_sub(self.began);
        match self.told {
            Some(told) if took < WINDOW => told,
            _ => {
                let rates = self.measured(progress, took);
                if took >= WINDOW {
                    *self = Window::new(progress, Some(rates));
                }
                rates
            }
        }
    }

    fn measured(&self, progress: &Progress, took: Duration) -> Rates {
        let (pages, items) = (progress.pages - self.pages, progress.items - self.items);
        let seconds = took.as_secs_f64().max(1e-3);
        let rate = pages as f64 / seconds;
        // The law holds for what comes and goes; before as many left as there are, most are still the first ones.
        let law = |sum: u64| (pages > 0 && sum <= pages * self.seen).then(|| sum as f64 / self.seen as f64 / rate);
        let (latency, storing) = (law(self.under_way), law(self.to_store));
        Rates { pages: rate, items: items as f64 / seconds, latency, storing }
    }
}

/// Plain lines come this often.
const PLAIN_EVERY: Duration = Duration::from_secs(5);

impl Display {
    /// A bar on a terminal, plain lines elsewhere, nothing when quiet.
    pub fn new(quiet: bool) -> Display {
        let bar = (!quiet && std::io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
            let style = ProgressStyle::with_template("{spinner} [{elapsed_precise}] {bar:24} {msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar
        });
        Display { bar, quiet, last_line: None, window: None }
    }

    /// Shows the newest figures.
    pub fn show(&mut self, progress: &Progress) {
        if self.quiet {
            return;
        }
        let rates = self.window.get_or_insert_with(|| Window::new(progress, None)).rates(progress);
        let seconds = |told: Option<f64>| told.map_or("unknown".to_owned(), |seconds| format!("{seconds:.3} s"));
        let message = format!(
            "{} pages, {} items, {} errors, {:.0} pages/s, {:.0} items/s, latency {}, storing {} | queued {} under way {} to store {}",
            progress.pages,
            progress.items,
            progress.errors,
            rates.pages,
            rates.items,
            seconds(rates.latency),
            seconds(rates.storing),
            progress.queued,
            progress.in_flight,
            progress.pending,
        );
        if let Some(bar) = &self.bar {
            bar.set_length(progress.pages + progress.queued + progress.in_flight);
            bar.set_position(progress.pages);
            bar.set_message(message);
        } else if self.last_line.is_none_or(|last| progress.elapsed >= last + PLAIN_EVERY) {
            self.last_line = Some(progress.elapsed);
            crate::out::err!("[{:>6.1}s] {message}", progress.elapsed.as_secs_f64());
        }
    }

    /// A line above the bar.
    pub fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            None => crate::out::err!("{text}"),
        }
    }

    /// Takes the bar away.
    pub fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(ms: u64, pages: u64, in_flight: u64, pending: u64) -> Progress {
        let elapsed = Duration::from_millis(ms);
        Progress { elapsed, pages, items: 2 * pages, errors: 0, queued: 0, in_flight, pending }
    }

    #[test]
    fn latency_follows_from_queue_lengths_and_rate_once_pages_come_and_go() {
        let near = |told: Option<f64>, wanted: f64| told.is_some_and(|told| (told - wanted).abs() < 1e-6);
        // An earlier run of the job got 1,000 pages.
        let progress = |ms, pages, in_flight, pending| progress(ms, 1_000 + pages, in_flight, pending);
        let mut window = Window::new(&progress(0, 0, 4, 1), None);
        // Ten pages a second, four under way and one to store all the time: 0.4 s and 0.1 s a page.
        for at in 1..=50 {
            let rates = window.rates(&progress(at * 100, at, 4, 1));
            assert!((rates.pages - 10.0).abs() < 1e-6 && (rates.items - 20.0).abs() < 1e-6, "at {at}: {}", rates.pages);
            assert!(near(rates.storing, 0.1), "at {at}: {:?}", rates.storing);
            assert!(
                if at < 4 { rates.latency.is_none() } else { near(rates.latency, 0.4) },
                "at {at}: {:?}",
                rates.latency
            );
        }
        // The site stands still: nothing gets through, and no latency can be told.
        for at in 51..=100 {
            window.rates(&progress(at * 100, 50, 4, 0));
        }
        let rates = window.rates(&progress(10_100, 50, 4, 0));
        assert_eq!((rates.pages, rates.latency), (0.0, None));
    }
}
