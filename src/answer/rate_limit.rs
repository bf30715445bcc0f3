//! Who gives many commands at once is not listened to for a while, so that others are.

use std::collections::HashMap;

use jiff::Timestamp;
use parking_lot::Mutex;

use crate::ports::{Admission, Platform};

/// So many commands at once, and then one in so many milliseconds.
const BURST: i64 = 6;
const EACH_MS: i64 = 2_000;
/// People remembered; of more, those who were quiet for long are forgotten.
const MOST: usize = 10_000;

#[derive(Default)]
pub struct RateLimiter(Mutex<HashMap<(Platform, String), Allowance>>);

/// What somebody has used of their burst.
#[derive(Clone, Copy)]
struct Allowance {
    /// When it would be nothing again, in milliseconds since 1970.
    until: i64,
    /// They were told that it is all.
    told: bool,
}

impl RateLimiter {
    /// Whether one more command of theirs is listened to now.
    pub fn listens(&self, platform: Platform, user: &str, now: Timestamp) -> Admission {
        let now = now.as_millisecond();
        let mut all = self.0.lock();
        if all.len() >= MOST {
            all.retain(|_, used| used.until > now);
        }
        // With the table still full, everybody in it is busy: a new one waits as they do.
        let full = all.len() >= MOST;
        let key = (platform, user.to_owned());
        match all.get_mut(&key) {
            Some(used) => {
                // A clock that was set back leaves nobody waiting for longer than a burst takes.
                used.until = used.until.clamp(now, now + BURST * EACH_MS);
                if used.until + EACH_MS <= now + BURST * EACH_MS {
                    *used = Allowance {
                        until: used.until + EACH_MS,
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
                        until: now + EACH_MS,
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
        let (manners, at) = (RateLimiter::default(), |ms| {
            Timestamp::from_millisecond(ms).unwrap()
        });
        let heard = |user: &str, ms| {
            (0..1_000)
                .filter(|_| manners.listens(Platform::Matrix, user, at(ms)) == Admission::Open)
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
        let manners = RateLimiter::default();
        let ears: Vec<Admission> = (0..9)
            .map(|_| manners.listens(Platform::Discord, "a", Timestamp::UNIX_EPOCH))
            .collect();
        assert_eq!(
            ears[5..],
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
        let manners = RateLimiter::default();
        let at = |ms| Timestamp::from_millisecond(ms).unwrap();
        let heard = |ms| {
            (0..50_000)
                .filter(|n| {
                    manners.listens(Platform::Discord, &format!("{ms} {n}"), at(ms))
                        == Admission::Open
                })
                .count()
        };
        assert_eq!((heard(0), manners.0.lock().len()), (MOST, MOST));
        assert_eq!(heard(60_000), MOST);
    }
}
