//! The lease under which this process acts. Of several replicas one alone acts, and it must stop by itself before another
//! may begin, even when it slept, was cut off from the store, or was halted in the middle of an attempt.

use std::{
    pin::pin,
    task::Poll,
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;

use super::Clock;

/// A moment on both clocks. The steady clock may stand still while a machine sleeps, and the wall's may be set, so time has
/// passed as soon as either of them says so.
#[derive(Clone, Copy, Debug)]
pub struct ClockReading {
    steady: Instant,
    wall: Timestamp,
}

impl ClockReading {
    pub fn now(clock: &dyn Clock) -> Self {
        Self {
            steady: Instant::now(),
            wall: clock.now(),
        }
    }

    /// Says whether this much time has passed since the reading.
    pub fn is_past(&self, length: SignedDuration, clock: &dyn Clock) -> bool {
        let steady = SignedDuration::try_from(self.steady.elapsed()).unwrap_or(SignedDuration::MAX);
        steady >= length || clock.now().duration_since(self.wall) >= length
    }
}

/// The time for which this process may act. Without an end it may act for ever: nobody else could take over.
#[derive(Debug, Default)]
pub struct Lease(Mutex<Option<(ClockReading, SignedDuration)>>);

impl Lease {
    /// Lets the lease run for `length` from `since` on.
    pub fn renew(&self, since: ClockReading, length: SignedDuration) {
        *self.0.lock() = Some((since, length));
    }

    pub fn is_over(&self, clock: &dyn Clock) -> bool {
        let until = *self.0.lock();
        until.is_some_and(|(since, length)| since.is_past(length, clock))
    }
}

/// The reason for which work was broken off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// The work took too long.
    Late,
    /// The lease is over, and another replica may act by now.
    Deposed,
}

/// Runs `work` while it is in time and the lease holds. Both are looked at before each step of it, not after, so that work
/// which slept in between takes no step more.
pub async fn while_allowed<T>(
    work: impl Future<Output = T>,
    limit: Duration,
    lease: &Lease,
    clock: &dyn Clock,
) -> Result<T, Broken> {
    let began = ClockReading::now(clock);
    let length = SignedDuration::try_from(limit).unwrap_or(SignedDuration::MAX);
    let (mut work, mut alarm) = (pin!(work), pin!(tokio::time::sleep(limit)));
    std::future::poll_fn(|context| {
        if lease.is_over(clock) {
            return Poll::Ready(Err(Broken::Deposed));
        }
        if alarm.as_mut().poll(context).is_ready() || began.is_past(length, clock) {
            return Poll::Ready(Err(Broken::Late));
        }
        work.as_mut().poll(context).map(Ok)
    })
    .await
}

#[cfg(all(test, feature = "chain", feature = "sql"))]
mod tests {
    use super::*;
    use crate::rehearsal::SteppedClock;

    #[tokio::test]
    async fn what_slept_in_between_takes_no_step_more() {
        let clock = SteppedClock::new("2027-03-09T13:00:00Z".parse().unwrap());
        let (lease, minute) = (Lease::default(), Duration::from_secs(60));
        let sent = std::cell::Cell::new(false);
        let work = |pause: SignedDuration| {
            let (clock, sent) = (&clock, &sent);
            async move {
                // The machine sleeps here, and the request would go out behind it.
                clock.step_to(clock.now().checked_add(pause).unwrap());
                tokio::task::yield_now().await;
                sent.set(true);
            }
        };
        assert_eq!(
            while_allowed(work(SignedDuration::from_secs(61)), minute, &lease, &clock).await,
            Err(Broken::Late)
        );
        assert!(!sent.get());
        lease.renew(ClockReading::now(&clock), SignedDuration::from_secs(30));
        assert_eq!(
            while_allowed(work(SignedDuration::from_secs(31)), minute, &lease, &clock).await,
            Err(Broken::Deposed)
        );
        assert!(!sent.get());
        lease.renew(ClockReading::now(&clock), SignedDuration::from_secs(30));
        assert_eq!(
            while_allowed(work(SignedDuration::from_secs(29)), minute, &lease, &clock).await,
            Ok(())
        );
        assert!(sent.get());
    }
}
