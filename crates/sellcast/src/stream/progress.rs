//! How far a stream has come, and whether it stands still.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use sellcast_server::Standing;

/// Told by the follower, read by the server.
#[derive(Debug)]
pub(super) struct Progress {
    state: Mutex<State>,
    limit: Duration,
}

#[derive(Debug)]
struct State {
    as_of: Option<DateTime<Utc>>,
    /// The same by this machine's clock, where it is told.
    heard: Option<DateTime<Utc>>,
    read: u64,
    heard_at: Instant,
}

impl Progress {
    /// A stream that may be silent for `limit`.
    pub(super) fn new(limit: Duration) -> Self {
        Self { state: Mutex::new(State { as_of: None, heard: None, read: 0, heard_at: Instant::now() }), limit }
    }

    /// Everything up to `as_of` is read, by the shop's clock.
    pub(super) fn caught_up(&self, as_of: DateTime<Utc>) {
        let mut state = self.lock();
        (state.as_of, state.heard_at) = (Some(as_of), Instant::now());
    }

    /// Everything up to `heard` by this machine's clock, `as_of` by the shop's, is read; to hear the same again is no sign of life.
    pub(super) fn reached(&self, heard: DateTime<Utc>, as_of: DateTime<Utc>) {
        let mut state = self.lock();
        if state.heard < Some(heard) {
            *state = State { as_of: Some(as_of), heard: Some(heard), heard_at: Instant::now(), ..*state };
        }
    }

    /// This much more was read.
    pub(super) fn add(&self, rows: u64) {
        self.lock().read += rows;
    }

    /// So much was read in all.
    pub(super) fn set(&self, rows: u64) {
        self.lock().read = rows;
    }

    pub(super) fn standing(&self) -> Standing {
        let state = self.lock();
        Standing { as_of: state.as_of, is_still: state.heard_at.elapsed() > self.limit, read: state.read }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
