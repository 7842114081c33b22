//! What the command line shows while it works: a bar with rows and rate on a terminal, plain lines otherwise. Always on
//! stderr, so that stdout holds results alone.

use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use sellcast_warehouse::{Progress, RunRecord};

/// Tells steps and rows.
pub(crate) struct Reporter {
    bar: Option<ProgressBar>,
    state: Mutex<State>,
}

struct State {
    step: String,
    since: Instant,
}

impl Reporter {
    pub(crate) fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new_spinner();
            let style = ProgressStyle::with_template("{spinner} {msg} {human_pos} rows ({per_sec}) {elapsed}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Self { bar, state: Mutex::new(State { step: String::new(), since: Instant::now() }) }
    }

    /// A line that stays.
    pub(crate) fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| eprintln!("{text}")),
            None => eprintln!("{text}"),
        }
    }

    /// Ends the bar, if there is one.
    pub(crate) fn done(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Progress for Reporter {
    fn step(&self, what: &str) {
        match &self.bar {
            Some(bar) => {
                bar.reset();
                bar.set_message(what.to_owned());
            }
            None => {
                if let Ok(mut state) = self.state.lock()
                    && state.step != what
                {
                    eprintln!("{what}");
                    *state = State { step: what.to_owned(), since: Instant::now() };
                }
            }
        }
    }

    fn rows(&self, done: u64) {
        match &self.bar {
            Some(bar) => bar.set_position(done),
            None => {
                if let Ok(mut state) = self.state.lock()
                    && state.since.elapsed() > Duration::from_secs(5)
                {
                    eprintln!("  {}: {done} rows", state.step);
                    state.since = Instant::now();
                }
            }
        }
    }
}

/// One line of what a run did.
pub(crate) fn summary(record: &RunRecord) -> String {
    let (mut read, mut loaded, mut removed) = (0, 0, 0);
    let mut rules: Vec<String> = Vec::new();
    for (entity, counts) in &record.entities {
        read += counts.read;
        loaded += counts.loaded;
        removed += counts.removed;
        rules.extend(counts.quarantined.iter().map(|(rule, count)| format!("{count} {entity} {rule}")));
    }
    let quarantine = if rules.is_empty() { "nothing quarantined".to_owned() } else { format!("quarantined {}", rules.join(", ")) };
    let removed = if removed == 0 { String::new() } else { format!("removed {removed}, ") };
    let told: String = record.schema_changes.iter().chain(&record.notes).map(|told| format!("; {told}")).collect();
    format!("read {read} rows, loaded {loaded}, {removed}{quarantine}, in {:.1} s{told}", record.seconds)
}
