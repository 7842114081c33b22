//! The live board: the newest status of the running shop day, and the viewer's wish to stop the replay.
//! The replay writes the status and reads the wish; the server does the reverse. Nothing is queued: only
//! the newest value counts, so a slow reader costs nothing.

use std::sync::Arc;

use sellcast_domain::LiveStatus;
use tokio::sync::watch;

/// Where the running day is told. Clones share one board.
#[derive(Clone, Debug)]
pub struct LiveBoard {
    channels: Arc<Channels>,
}

#[derive(Debug)]
struct Channels {
    status: watch::Sender<Option<LiveStatus>>,
    paused: watch::Sender<bool>,
}

impl Default for LiveBoard {
    fn default() -> Self {
        Self { channels: Arc::new(Channels { status: watch::Sender::new(None), paused: watch::Sender::new(false) }) }
    }
}

impl LiveBoard {
    /// An empty board: nothing is known of the running day, nobody has paused.
    pub fn new() -> Self {
        Self::default()
    }

    /// Replaces the status. Its `replay.paused` is overwritten with the viewer's wish, which is kept here.
    pub fn set_status(&self, mut status: LiveStatus) {
        if let Some(replay) = &mut status.replay {
            replay.paused = *self.channels.paused.borrow();
        }
        self.channels.status.send_replace(Some(status));
    }

    /// The newest status; `None` while nobody watches the running day.
    pub fn status(&self) -> Option<LiveStatus> {
        self.channels.status.borrow().clone()
    }

    /// Follows the status.
    pub fn subscribe(&self) -> watch::Receiver<Option<LiveStatus>> {
        self.channels.status.subscribe()
    }

    /// Asks the replay to stop where it is.
    pub fn pause(&self) {
        self.wish(true);
    }

    /// Asks the replay to go on.
    pub fn resume(&self) {
        self.wish(false);
    }

    /// Whether the replay is asked to stand still.
    pub fn is_paused(&self) -> bool {
        *self.channels.paused.borrow()
    }

    /// Follows the wish; the replay waits on this one while paused.
    pub fn paused(&self) -> watch::Receiver<bool> {
        self.channels.paused.subscribe()
    }

    fn wish(&self, paused: bool) {
        self.channels.paused.send_replace(paused);
        self.channels.status.send_if_modified(|status| match status.as_mut().and_then(|status| status.replay.as_mut()) {
            Some(replay) if replay.paused != paused => {
                replay.paused = paused;
                true
            }
            _ => false,
        });
    }
}

#[cfg(test)]
mod tests {
    use sellcast_domain::{Money, ReplayStatus};

    use super::*;

    fn status() -> LiveStatus {
        let day = "2017-12-04".parse().expect("a day");
        LiveStatus {
            shop_time: "2017-12-04T19:20:00Z".parse().expect("an instant"),
            shop_day: day,
            sold_so_far: Some(Money::from_cents(691_200)),
            expected_today: None,
            replay: Some(ReplayStatus { paused: false, first_day: day, last_day: day, day_seconds: 30.0, finished: false }),
            activity: None,
        }
    }

    #[test]
    fn a_pause_shows_at_once_and_survives_the_next_status() {
        let board = LiveBoard::new();
        board.set_status(status());
        let seen = board.subscribe();
        board.clone().pause();
        assert!(seen.has_changed().expect("the board lives"));
        assert!(*board.paused().borrow());
        board.set_status(status());
        assert!(board.status().and_then(|status| status.replay).expect("a replay").paused);
        board.resume();
        assert!(!board.is_paused());
        assert!(!board.status().and_then(|status| status.replay).expect("a replay").paused);
    }

    #[test]
    fn pausing_without_a_replay_tells_nobody() {
        let board = LiveBoard::new();
        let seen = board.subscribe();
        board.pause();
        assert!(!seen.has_changed().expect("the board lives"));
    }
}
