//! A clock for tests that is set by hand; where time only goes on, `rehearsal::SteppedClock` will do.

use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;
use upgrade_herald::ports::Clock;

/// A clock that goes wherever it is set, back as well.
pub struct SettableClock(AtomicI64);

impl SettableClock {
    pub fn new(at: Timestamp) -> Self {
        Self(AtomicI64::new(at.as_millisecond()))
    }

    pub fn set(&self, at: Timestamp) {
        self.0.store(at.as_millisecond(), Ordering::SeqCst);
    }
}

impl Clock for SettableClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.0.load(Ordering::SeqCst)).expect("a time near now")
    }
}
