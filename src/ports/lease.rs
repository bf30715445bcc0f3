//! How long this process may act. With several replicas only one does, and it must stop by itself before another may begin:
//! also one that slept, was cut off from the store, or was stopped in the middle of an attempt.

use std::{
    pin::pin,
    sync::{Mutex, PoisonError},
    task::Poll,
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};

use super::Clock;

/// A moment on both clocks. The steady one stands still while a machine sleeps, the wall's may be set: what either of them
/// says has passed, has passed.
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

    /// Whether so much has passed since.
    pub fn is_past(&self, length: SignedDuration, clock: &dyn Clock) -> bool {
        let steady = SignedDuration::try_from(self.steady.elapsed()).unwrap_or(SignedDuration::MAX);
        steady >= length || clock.now().duration_since(self.wall) >= length
    }
}

/// Whether this process may act, and until when.
#[derive(Debug, Default)]
pub struct Lease(Mutex<Option<(ClockReading, SignedDuration)>>);

impl Lease {
    /// From `since` on for `length`. Without, it never ends: nobody else could take over.
    pub fn extend(&self, since: ClockReading, length: SignedDuration) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((since, length));
    }

    pub fn is_over(&self, clock: &dyn Clock) -> bool {
        let until = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|(since, length)| since.is_past(length, clock))
    }
}

/// Why work was broken off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// It took too long.
    Late,
    /// Another replica may act by now.
    Deposed,
}

/// Goes on with `work` while it is in time and this process may act. That is looked at before each step of it and not after:
/// what was stopped in between does not take one step more.
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

#[cfg(test)]
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
        lease.extend(ClockReading::now(&clock), SignedDuration::from_secs(30));
        assert_eq!(
            while_allowed(work(SignedDuration::from_secs(31)), minute, &lease, &clock).await,
            Err(Broken::Deposed)
        );
        assert!(!sent.get());
        lease.extend(ClockReading::now(&clock), SignedDuration::from_secs(30));
        assert_eq!(
            while_allowed(work(SignedDuration::from_secs(29)), minute, &lease, &clock).await,
            Ok(())
        );
        assert!(sent.get());
    }
}
