//! The wall clock: the only place that reads it.

use jiff::Timestamp;

use crate::ports::Clock;

pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods)]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}
