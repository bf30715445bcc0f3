//! A clock that goes on only when it is told to.

use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;

use crate::ports::Clock;

pub struct SteppedClock(AtomicI64);

impl SteppedClock {
    pub fn new(start: Timestamp) -> Self {
        Self(AtomicI64::new(start.as_millisecond()))
    }

    /// Goes on to `at`; never back.
    pub fn step_to(&self, at: Timestamp) {
        self.0.fetch_max(at.as_millisecond(), Ordering::SeqCst);
    }
}

impl Clock for SteppedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.0.load(Ordering::SeqCst)).unwrap_or(Timestamp::UNIX_EPOCH)
    }
}
