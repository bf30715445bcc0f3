//! The wait of a post that failed, before its next try.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use parking_lot::Mutex;

use crate::domain::outbox::PostKey;

const FIRST_BACKOFF: SignedDuration = SignedDuration::from_secs(1);
const LONGEST_BACKOFF: SignedDuration = SignedDuration::from_mins(5);

/// Doubles from a second to five minutes, spread by up to a quarter; a platform's own wish counts if longer.
pub fn backoff(key: &PostKey, failures: u32, after_ms: Option<u64>) -> SignedDuration {
    let doubled = FIRST_BACKOFF * 2_i32.saturating_pow(failures.min(10));
    let base = doubled.min(LONGEST_BACKOFF);
    let seed = key.0.bytes().fold(failures, |a, b| {
        a.wrapping_mul(31).wrapping_add(u32::from(b))
    });
    let spread = base.as_millis() as i64 / 4 * i64::from(seed % 100) / 100;
    let wish =
        SignedDuration::from_millis(after_ms.and_then(|ms| i64::try_from(ms).ok()).unwrap_or(0));
    (base + SignedDuration::from_millis(spread)).max(wish)
}

/// Counts how often posts have failed in a row, in this process: an attempt that a crash broke off says nothing of the chat.
#[derive(Default)]
pub(crate) struct Failures(Mutex<BTreeMap<PostKey, u32>>);

impl Failures {
    /// Counts an attempt, and returns how often the post had failed in a row before it.
    pub fn count(&self, key: &PostKey, has_failed: bool) -> u32 {
        let mut all = self.0.lock();
        let before = all.remove(key).unwrap_or(0);
        if has_failed {
            all.insert(key.clone(), before.saturating_add(1));
        }
        before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_five_minutes_and_is_never_shorter_than_the_wish() {
        // With the spread that the key and the number of failures make.
        let rows = [
            (0, None, 1135),
            (3, None, 8540),
            (9, None, 354_750),
            (20, None, 355_500),
            (3, Some(8540), 8540),
            (3, Some(9000), 9000),
            (3, Some(u64::MAX), 8540),
        ];
        let key = PostKey("abc".to_owned());
        for (failures, after_ms, wait) in rows {
            let wait = SignedDuration::from_millis(wait);
            assert_eq!(backoff(&key, failures, after_ms), wait, "{failures}");
        }
    }

    #[test]
    fn failures_in_a_row_are_counted_for_each_post() {
        let (failures, one, other) = (
            Failures::default(),
            PostKey("a".into()),
            PostKey("b".into()),
        );
        let counted = [
            (&one, true),
            (&one, true),
            (&other, true),
            (&one, false),
            (&one, true),
        ]
        .map(|(key, has_failed)| failures.count(key, has_failed));
        assert_eq!(counted, [0, 1, 0, 2, 0]);
    }
}
