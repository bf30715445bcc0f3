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
