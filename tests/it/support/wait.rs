//! Waiting for something to become true, with a limit and a sentence for when it doesn't.

use std::time::{Duration, Instant};

use anyhow::bail;

const PAUSE: Duration = Duration::from_millis(50);

/// Asks `probe` until it gives something, at most for `limit`.
///
/// # Errors
/// When it never did: "waited 5.0 s in vain for {what}".
pub async fn until<T>(
    what: &str,
    limit: Duration,
    mut probe: impl AsyncFnMut() -> Option<T>,
) -> anyhow::Result<T> {
    let start = Instant::now();
    loop {
        if let Some(found) = probe().await {
            return Ok(found);
        }
        if start.elapsed() > limit {
            bail!("waited {:.1} s in vain for {what}", limit.as_secs_f64());
        }
        tokio::time::sleep(PAUSE).await;
    }
}
