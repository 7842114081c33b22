//! How a long step tells what it does, without knowing who listens.

/// Told what a run is doing.
pub trait Progress {
    /// A new step begins.
    fn step(&self, what: &str);
    /// So many rows of the step are done.
    fn rows(&self, done: u64);
}

/// Listens to nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct SilentProgress;

impl Progress for SilentProgress {
    fn step(&self, _what: &str) {}
    fn rows(&self, _done: u64) {}
}
