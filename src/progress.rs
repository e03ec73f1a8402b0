//! How a run is going, on standard error: bars on a terminal, now and then a line elsewhere.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use fleetfit_scheduler::journal::Summary;
use fleetfit_scheduler::query::StatusView;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::output::Printer;
use crate::show;

/// How often a line is written where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// How a run is going.
pub(crate) struct Progress<'a> {
    printer: &'a Printer,
    study: &'a str,
    metric: &'a str,
    total: u64,
    started: Instant,
    /// How many models an earlier run of this study had fitted.
    fitted_before: Cell<Option<u64>>,
    picture: Picture,
}

enum Picture {
    /// For a terminal: trials with time left, and a line of what is known.
    Bars { trials: ProgressBar, known: ProgressBar, _bars: MultiProgress },
    /// For a file or a pipe.
    Lines(RefCell<Said>),
}

/// What was written last, and when.
struct Said {
    at: Instant,
    standing: Option<Standing>,
}

impl Said {
    /// Whether there is something to write by now; then that is what was written last.
    fn is_news(&mut self, standing: &Standing, now: Instant) -> bool {
        let is_due = now.saturating_duration_since(self.at) >= LINE_EVERY;
        if !is_due || self.standing.as_ref() == Some(standing) {
            return false;
        }
        *self = Self { at: now, standing: Some(standing.clone()) };
        true
    }
}

/// What is shown of a study.
#[derive(Clone, PartialEq)]
pub(crate) struct Standing {
    ended: u64,
    failed: u64,
    fits: u64,
    best: Option<Leader>,
}

/// The best configuration so far.
#[derive(Clone, PartialEq)]
struct Leader {
    value: f64,
    configuration: u32,
    /// For how many entities it completed.
    completed: u32,
}

impl From<&Summary> for Standing {
    fn from(summary: &Summary) -> Self {
        let best = summary.shared_best.map(|best| Leader {
            value: best.value,
            configuration: best.configuration,
            completed: best.completed,
        });
        let ended = summary.completed + summary.stopped + summary.failed;
        Self { ended, failed: summary.failed, fits: summary.fits, best }
    }
}

impl From<&StatusView> for Standing {
    fn from(view: &StatusView) -> Self {
        let best = view.best.as_ref().map(|best| Leader {
            value: best.value,
            configuration: best.trial,
            completed: 1,
        });
        let trials = view.trials;
        let ended = trials.completed + trials.stopped + trials.failed;
        Self { ended, failed: trials.failed, fits: view.fits, best }
    }
}

impl<'a> Progress<'a> {
    /// Begins to show a study of so many trials.
    pub(crate) fn start(printer: &'a Printer, study: &'a str, metric: &'a str, total: u64) -> Self {
        let started = Instant::now();
        let picture = if printer.can_animate() {
            bars(total)
        } else {
            Picture::Lines(RefCell::new(Said { at: started, standing: None }))
        };
        Self { printer, study, metric, total, started, fitted_before: Cell::new(None), picture }
    }

    /// Shows how the study stands.
    pub(crate) fn show(&self, standing: impl Into<Standing>) {
        let standing = &standing.into();
        let ended = standing.ended;
        let before = self.fitted_before.get().unwrap_or(standing.fits);
        self.fitted_before.set(Some(before));
        match &self.picture {
            Picture::Bars { trials, known, .. } => {
                trials.set_position(ended.min(self.total));
                known.set_message(self.known(standing));
            }
            Picture::Lines(said) => {
                if said.borrow_mut().is_news(standing, Instant::now()) {
                    let (ended, total) = (show::count(ended), show::count(self.total));
                    let known = self.known(standing);
                    self.printer
                        .note(&format!("{}: {ended} of {total} trials, {known}", self.study));
                }
            }
        }
    }

    /// Takes the bars away.
    pub(crate) fn finish(&self) {
        if let Picture::Bars { trials, known, .. } = &self.picture {
            trials.finish_and_clear();
            known.finish_and_clear();
        }
    }

    fn known(&self, standing: &Standing) -> String {
        let mut known = Vec::new();
        if standing.fits > 0 {
            let fitted = standing.fits - self.fitted_before.get().unwrap_or(0);
            let per_second = fitted as f64 / self.started.elapsed().as_secs_f64().max(0.1);
            let fits = show::count(standing.fits);
            known.push(format!("{fits} fits ({}/s)", show::count(per_second.round() as u64)));
        }
        match &standing.best {
            Some(best) => {
                let value = show::number(best.value);
                known.push(format!("best {} {value} (trial {})", self.metric, best.configuration));
                if best.completed > 1 {
                    known.push(format!("{} entities", show::count(u64::from(best.completed))));
                }
            }
            None => known.push(format!("no {} yet", self.metric)),
        }
        if standing.failed > 0 {
            known.push(format!("{} failed", show::count(standing.failed)));
        }
        known.join(", ")
    }
}

/// How the sending of files is going.
pub(crate) struct Sending<'a> {
    printer: &'a Printer,
    total: u64,
    sent: u64,
    bar: Option<ProgressBar>,
    last: Instant,
}

impl<'a> Sending<'a> {
    /// Begins to show the sending of so many bytes.
    pub(crate) fn start(printer: &'a Printer, total: u64) -> Self {
        let bar = printer.can_animate().then(|| {
            let bar = ProgressBar::new(total);
            let template =
                "{elapsed_precise} {bar:40.cyan/dim} {bytes} of {total_bytes}, {eta} left";
            let style = ProgressStyle::with_template(template);
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar
        });
        Self { printer, total, sent: 0, bar, last: Instant::now() }
    }

    /// Shows that so many more bytes are sent.
    pub(crate) fn add(&mut self, bytes: u64) {
        self.sent += bytes;
        match &self.bar {
            Some(bar) => bar.set_position(self.sent.min(self.total)),
            None if self.last.elapsed() >= LINE_EVERY => {
                self.last = Instant::now();
                let (sent, total) = (self.sent >> 20, self.total >> 20);
                self.printer.note(&format!("sent {sent} of {total} MB"));
            }
            None => {}
        }
    }

    /// Takes the bar away.
    pub(crate) fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

fn bars(total: u64) -> Picture {
    let bars = MultiProgress::new();
    let style = |template: &str| {
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
    };
    let trials = bars.add(ProgressBar::new(total));
    trials.set_style(style(
        "{elapsed_precise} {bar:40.cyan/dim} {human_pos} of {human_len} trials, {eta} left",
    ));
    let known = bars.add(ProgressBar::new_spinner());
    known.set_style(style("         {msg}"));
    trials.enable_steady_tick(Duration::from_millis(200));
    Picture::Bars { trials, known, _bars: bars }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_says_nothing_new_is_not_written() {
        let begun = Instant::now();
        let mut said = Said { at: begun, standing: None };
        let mut is_news = |ended, after_s| {
            let standing = Standing { ended, failed: 0, fits: 0, best: None };
            said.is_news(&standing, begun + Duration::from_secs(after_s))
        };
        assert!(!is_news(1, 9), "too early");
        assert!(is_news(1, 10));
        assert!(!is_news(2, 19), "too early");
        assert!(!is_news(1, 30), "nothing new");
        assert!(is_news(2, 31));
        assert!(!is_news(2, 99), "nothing new");
    }
}
