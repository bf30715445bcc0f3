//! Who gives many commands at once is not listened to for a while, so that others are.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use jiff::Timestamp;

use crate::ports::Platform;

/// So many commands at once, and then one in so many milliseconds.
const BURST: i64 = 6;
const EACH_MS: i64 = 2_000;
/// People remembered; of more, those who were quiet for long are forgotten.
const MOST: usize = 10_000;

#[derive(Default)]
pub struct Manners {
    /// When each would have used up nothing again, in milliseconds since 1970.
    free_at: Mutex<HashMap<(Platform, String), i64>>,
}

impl Manners {
    /// Whether one more command of theirs is listened to now.
    pub fn listens(&self, platform: Platform, user: &str, now: Timestamp) -> bool {
        let now = now.as_millisecond();
        let mut all = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MOST {
            all.retain(|_, free| *free > now);
        }
        // With the table still full, everybody in it is busy: a new one waits as they do.
        let full = all.len() >= MOST;
        let key = (platform, user.to_owned());
        match all.get_mut(&key) {
            // A clock that was set back leaves nobody waiting for longer than a burst takes.
            Some(free) => {
                let used = (*free).clamp(now, now + BURST * EACH_MS);
                let listens = used + EACH_MS <= now + BURST * EACH_MS;
                *free = if listens { used + EACH_MS } else { used };
                listens
            }
            None if full => false,
            None => {
                all.insert(key, now + EACH_MS);
                true
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
        let heard = |user: &str, ms| (0..1_000).filter(|_| manners.listens(Platform::Matrix, user, at(ms))).count();
        assert_eq!((heard("a", 0), heard("b", 0)), (6, 6));
        assert_eq!((heard("a", 1_999), heard("a", 2_000), heard("a", 9_000), heard("a", 100_000)), (0, 1, 3, 6));
        assert_eq!(heard("a", 10_000), 0, "the clock was set back");
        assert_eq!(heard("a", 22_000), 6);
    }

    #[test]
    fn a_crowd_takes_no_more_than_its_room() {
        let manners = Manners::default();
        let at = |ms| Timestamp::from_millisecond(ms).unwrap();
        let heard = |ms| (0..50_000).filter(|n| manners.listens(Platform::Discord, &format!("{ms} {n}"), at(ms))).count();
        assert_eq!((heard(0), manners.free_at.lock().unwrap().len()), (MOST, MOST));
        assert_eq!(heard(60_000), MOST);
    }
}
