//! Clocks for tests: one that is set by hand, and one that is off. Where time only goes on, `rehearsal::SteppedClock` will do.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

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

/// A machine's clock that is off by some milliseconds.
pub struct SkewedClock {
    pub right: Arc<dyn Clock>,
    pub off_by: AtomicI64,
}

impl Clock for SkewedClock {
    fn now(&self) -> Timestamp {
        let ms = self.right.now().as_millisecond() + self.off_by.load(Ordering::SeqCst);
        Timestamp::from_millisecond(ms).expect("a time near now")
    }
}
