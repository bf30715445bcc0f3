//! Who gives many commands at once is not listened to for a while, so that others are.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use jiff::Timestamp;

use crate::ports::{Ear, Platform};

/// So many commands at once, and then one in so many milliseconds.
const BURST: i64 = 6;
const EACH_MS: i64 = 2_000;
/// People remembered; of more, those who were quiet for long are forgotten.
const MOST: usize = 10_000;

#[derive(Default)]
pub struct Manners(Mutex<HashMap<(Platform, String), Used>>);

/// What somebody has used of their burst.
#[derive(Clone, Copy)]
struct Used {
    /// When it would be nothing again, in milliseconds since 1970.
    until: i64,
    /// They were told that it is all.
    told: bool,
}

impl Manners {
    /// Whether one more command of theirs is listened to now.
    pub fn listens(&self, platform: Platform, user: &str, now: Timestamp) -> Ear {
        let now = now.as_millisecond();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
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
                    *used = Used { until: used.until + EACH_MS, told: false };
                    return Ear::Open;
                }
                if std::mem::replace(&mut used.told, true) { Ear::Closed } else { Ear::Closing }
            }
            None if full => Ear::Closed,
            None => {
                all.insert(key, Used { until: now + EACH_MS, told: false });
                Ear::Open
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_heard_and_then_one_in_a_while() {
        let (manners, at) = (Manners::default(), |ms| Timestamp::from_millisecond(ms).unwrap());
        let heard = |user: &str, ms| (0..1_000).filter(|_| manners.listens(Platform::Matrix, user, at(ms)) == Ear::Open).count();
        assert_eq!((heard("a", 0), heard("b", 0)), (6, 6));
        assert_eq!((heard("a", 1_999), heard("a", 2_000), heard("a", 9_000), heard("a", 100_000)), (0, 1, 3, 6));
        assert_eq!(heard("a", 10_000), 0, "the clock was set back");
        assert_eq!(heard("a", 22_000), 6);
    }

    #[test]
    fn who_goes_on_is_told_once() {
        let manners = Manners::default();
        let ears: Vec<Ear> = (0..9).map(|_| manners.listens(Platform::Discord, "a", Timestamp::UNIX_EPOCH)).collect();
        assert_eq!(ears[5..], [Ear::Open, Ear::Closing, Ear::Closed, Ear::Closed]);
    }

    #[test]
    fn a_crowd_takes_no_more_than_its_room() {
        let manners = Manners::default();
        let at = |ms| Timestamp::from_millisecond(ms).unwrap();
        let heard = |ms| (0..50_000).filter(|n| manners.listens(Platform::Discord, &format!("{ms} {n}"), at(ms)) == Ear::Open).count();
        assert_eq!((heard(0), manners.0.lock().unwrap().len()), (MOST, MOST));
        assert_eq!(heard(60_000), MOST);
    }
}
