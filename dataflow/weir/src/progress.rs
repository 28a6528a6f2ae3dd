//! Progress on a terminal (one line that moves) or as plain lines otherwise. Written to standard error.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::time::Duration;
use weir_driver::Progress;

/// Shows how a crawl goes.
pub struct Display {
    bar: Option<ProgressBar>,
    quiet: bool,
    last_line: Option<Duration>,
    last: Option<(Duration, u64, u64)>,
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
        Display { bar, quiet, last_line: None, last: None }
    }

    /// Shows the newest figures.
    pub fn show(&mut self, progress: &Progress) {
        if self.quiet {
            return;
        }
        let (rate, item_rate) = self.rates(progress);
        let message = format!(
            "{} pages, {} items, {} errors, {rate:.0} pages/s, {item_rate:.0} items/s | queued {} under way {} to store {}",
            progress.pages, progress.items, progress.errors, progress.queued, progress.in_flight, progress.pending,
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

    /// Pages and items a second since the last call that was at least half a second ago.
    fn rates(&mut self, progress: &Progress) -> (f64, f64) {
        let (at, pages, items) = self.last.unwrap_or((Duration::ZERO, 0, 0));
        let seconds = (progress.elapsed.saturating_sub(at)).as_secs_f64();
        if seconds >= 2.0 || self.last.is_none() {
            self.last = Some((progress.elapsed, progress.pages, progress.items));
        }
        let seconds = seconds.max(1e-3);
        ((progress.pages - pages) as f64 / seconds, (progress.items - items) as f64 / seconds)
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
