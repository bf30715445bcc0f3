//! How long a post that failed waits before its next try.

use jiff::SignedDuration;

use crate::domain::outbox::post::PostKey;

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
