//! A rate limiter for commands: somebody who gives many at once is not answered for a while, so that others are.
//!
//! The crate `governor` would count as well, but three things would have to be written around it: a clock that is set back,
//! a bound on the people remembered that holds while all of them are busy, and that somebody is told once.

use std::collections::HashMap;

use jiff::Timestamp;
use parking_lot::Mutex;

use crate::ports::{Admission, Platform};

/// A burst of commands is answered at once.
const BURST_COMMANDS: i64 = 6;
/// After a burst one more is answered after so long.
const REFILL_MS: i64 = 2_000;
/// The limiter remembers so many people; of more, those who were quiet for long are forgotten.
const MAX_PEOPLE: usize = 10_000;

#[derive(Default)]
pub struct RateLimiter(Mutex<HashMap<(Platform, String), Allowance>>);

/// The part of a burst that somebody has used.
#[derive(Clone, Copy)]
struct Allowance {
    /// The time at which it would be nothing again, in milliseconds since 1970.
    until: i64,
    /// Set once they were told that it is all.
    told: bool,
}

impl RateLimiter {
    /// Returns whether one more command of theirs is answered now.
    pub fn admit(&self, platform: Platform, user: &str, now: Timestamp) -> Admission {
        let now = now.as_millisecond();
        let mut all = self.0.lock();
        if all.len() >= MAX_PEOPLE {
            all.retain(|_, used| used.until > now);
        }
        // With the table still full, everybody in it is busy: a new one waits as they do.
        let full = all.len() >= MAX_PEOPLE;
        let key = (platform, user.to_owned());
        match all.get_mut(&key) {
            Some(used) => {
                // A clock that was set back leaves nobody waiting for longer than a burst takes.
                used.until = used.until.clamp(now, now + BURST_COMMANDS * REFILL_MS);
                if used.until + REFILL_MS <= now + BURST_COMMANDS * REFILL_MS {
                    *used = Allowance {
                        until: used.until + REFILL_MS,
                        told: false,
                    };
                    return Admission::Open;
                }
                if std::mem::replace(&mut used.told, true) {
                    Admission::Closed
                } else {
                    Admission::Closing
                }
            }
            None if full => Admission::Closed,
            None => {
                all.insert(
                    key,
                    Allowance {
                        until: now + REFILL_MS,
                        told: false,
                    },
                );
                Admission::Open
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_heard_and_then_one_in_a_while() {
        let (limiter, at) = (RateLimiter::default(), |ms| {
            Timestamp::from_millisecond(ms).unwrap()
        });
        let heard = |user: &str, ms| {
            (0..1_000)
                .filter(|_| limiter.admit(Platform::Matrix, user, at(ms)) == Admission::Open)
                .count()
        };
        assert_eq!((heard("a", 0), heard("b", 0)), (6, 6));
        assert_eq!(
            (
                heard("a", 1_999),
                heard("a", 2_000),
                heard("a", 9_000),
                heard("a", 100_000)
            ),
            (0, 1, 3, 6)
        );
        assert_eq!(heard("a", 10_000), 0, "the clock was set back");
        assert_eq!(heard("a", 22_000), 6);
    }

    #[test]
    fn who_goes_on_is_told_once() {
        let limiter = RateLimiter::default();
        let admissions: Vec<Admission> = (0..9)
            .map(|_| limiter.admit(Platform::Discord, "a", Timestamp::UNIX_EPOCH))
            .collect();
        assert_eq!(
            admissions[5..],
            [
                Admission::Open,
                Admission::Closing,
                Admission::Closed,
                Admission::Closed
            ]
        );
    }

    #[test]
    fn a_crowd_takes_no_more_than_its_room() {
        let limiter = RateLimiter::default();
        let at = |ms| Timestamp::from_millisecond(ms).unwrap();
        let heard = |ms| {
            (0..50_000)
                .filter(|n| {
                    limiter.admit(Platform::Discord, &format!("{ms} {n}"), at(ms))
                        == Admission::Open
                })
                .count()
        };
        assert_eq!((heard(0), limiter.0.lock().len()), (MAX_PEOPLE, MAX_PEOPLE));
        assert_eq!(heard(60_000), MAX_PEOPLE);
    }
}
