//! What an endpoint allows: how many requests in a time, and which methods.
//!
//! No endpoint tells this beforehand, so it is learned from refusals. It outlives a connection, so that a new one does
//! not begin with the same refusals.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::time::sleep_until;

/// The first pause between two requests, once an endpoint has refused one for its limit, and the longest.
const FIRST_INTERVAL: Duration = Duration::from_millis(50);
const LONGEST_INTERVAL: Duration = Duration::from_secs(2);
/// The pause after a refusal.
const PAUSE_AFTER_REFUSAL: Duration = Duration::from_secs(1);
/// Refusals within this time are of requests that were sent together, and count as one.
const SAME_BURST: Duration = Duration::from_millis(500);
/// After this time without a refusal, and each time as long again, the interval becomes shorter.
const EASE_AFTER: Duration = Duration::from_secs(30);
/// A shorter interval is none.
const NO_INTERVAL: Duration = Duration::from_millis(20);
/// The time for which a method that was refused is not asked for.
const REFUSED_FOR: Duration = Duration::from_mins(10);

/// What one endpoint allows, as far as it has shown.
#[derive(Debug)]
pub(super) struct Allowance {
    throttle: Mutex<Throttle>,
    /// Methods that are answered by other means, until then; `true` of one that the endpoint says it hasn't.
    refused: Mutex<BTreeMap<String, (Instant, bool)>>,
}

/// The pauses between requests. Times are handed in, so that no test has to wait.
#[derive(Debug)]
struct Throttle {
    /// The time from one request to the next; zero while no limit is known.
    interval: Duration,
    next: Instant,
    /// The time at which the interval was changed last.
    changed: Instant,
}

impl Throttle {
    fn new(now: Instant) -> Self {
        Self {
            interval: Duration::ZERO,
            next: now,
            changed: now,
        }
    }

    /// The time at which one more request is due.
    fn turn(&mut self, now: Instant) -> Instant {
        let at = self.next.max(now);
        self.next = at + self.interval;
        at
    }

    fn exceeded(&mut self, now: Instant) {
        if !self.interval.is_zero() && now < self.changed + SAME_BURST {
            return;
        }
        self.interval = (self.interval * 3 / 2).clamp(FIRST_INTERVAL, LONGEST_INTERVAL);
        self.next = self.next.max(now + PAUSE_AFTER_REFUSAL);
        self.changed = now;
    }

    fn served(&mut self, now: Instant) {
        if self.interval.is_zero() || now < self.changed + EASE_AFTER {
            return;
        }
        self.interval = self.interval * 9 / 10;
        if self.interval < NO_INTERVAL {
            self.interval = Duration::ZERO;
        }
        self.changed = now;
    }
}

impl Allowance {
    pub fn new() -> Self {
        Self {
            throttle: Mutex::new(Throttle::new(Instant::now())),
            refused: Mutex::default(),
        }
    }

    /// Waits until one more request is due.
    pub async fn turn(&self) {
        let at = self.throttle.lock().turn(Instant::now());
        sleep_until(at.into()).await;
    }

    /// Takes note that a request was refused since there were too many.
    pub fn exceeded(&self) {
        self.throttle.lock().exceeded(Instant::now());
    }

    /// Takes note that a request was served.
    pub fn served(&self) {
        self.throttle.lock().served(Instant::now());
    }

    /// The time from one request to the next, where the endpoint has shown a limit.
    pub fn interval(&self) -> Option<Duration> {
        let interval = self.throttle.lock().interval;
        (!interval.is_zero()).then_some(interval)
    }

    /// Takes note that a method does not answer as it should, while other means do. `absent`: the endpoint says that it
    /// hasn't it.
    pub fn refuse(&self, method: &str, absent: bool) {
        let until = Instant::now() + REFUSED_FOR;
        let mut refused = self.refused.lock();
        if refused.insert(method.to_owned(), (until, absent)).is_none() {
            tracing::debug!(method, "is not served; other methods are asked instead");
        }
    }

    pub fn refuses(&self, method: &str) -> bool {
        let mut refused = self.refused.lock();
        refused.retain(|_, (until, _)| *until > Instant::now());
        refused.contains_key(method)
    }

    /// Says that the endpoint hasn't a method, by its own word.
    pub fn lacks(&self, method: &str) -> bool {
        let refused = self.refused.lock();
        refused.get(method).is_some_and(|(_, absent)| *absent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_spaced_by_what_refusals_have_taught() {
        let now = Instant::now();
        let mut throttle = Throttle::new(now);
        assert!(
            (0..100).all(|_| throttle.turn(now) == now),
            "no limit is known"
        );
        // Ten that were sent together are refused together.
        (0..10).for_each(|_| throttle.exceeded(now));
        assert_eq!(throttle.interval, FIRST_INTERVAL);
        let last = (0..11).map(|_| throttle.turn(now)).last();
        assert_eq!(last, Some(now + PAUSE_AFTER_REFUSAL + FIRST_INTERVAL * 10));
    }

    #[test]
    fn a_limit_of_five_a_second_is_found_and_kept_to() {
        let begun = Instant::now();
        let (mut now, mut last) = (begun, begun);
        let mut throttle = Throttle::new(now);
        let (mut tokens, mut refused) = (5.0_f64, 0);
        for _ in 0..600 {
            now = throttle.turn(now);
            tokens = (tokens + (now - last).as_secs_f64() * 5.0).min(5.0);
            last = now;
            if tokens < 1.0 {
                refused += 1;
                throttle.exceeded(now);
            } else {
                tokens -= 1.0;
                throttle.served(now);
            }
        }
        let rate = 600.0 / (now - begun).as_secs_f64();
        assert!((3.0..5.0).contains(&rate), "{rate} a second");
        assert!(refused <= 12, "{refused} of 600 were refused");
    }

    #[test]
    fn a_limit_that_is_gone_is_forgotten() {
        let mut now = Instant::now();
        let mut throttle = Throttle::new(now);
        throttle.exceeded(now);
        for _ in 0..20 {
            now += EASE_AFTER;
            throttle.served(now);
        }
        assert!(throttle.interval.is_zero());
    }
}
