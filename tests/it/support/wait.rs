//! Waiting for something to become true, with a limit and a sentence for when it doesn't.

use std::time::{Duration, Instant};

use anyhow::bail;

const PAUSE: Duration = Duration::from_millis(50);
/// A machine that has other things to do may be so many times slower. Who is well never waits for that long.
const SLOWEST: u32 = 5;

/// Asks `probe` until it gives something, at most for `limit` on a machine that has nothing else to do.
///
/// # Errors
/// When it never did: "waited 25.0 s in vain for {what}".
pub async fn until<T>(
    what: &str,
    limit: Duration,
    probe: impl AsyncFnMut() -> Option<T>,
) -> anyhow::Result<T> {
    within(what, limit * SLOWEST, probe).await
}

/// Does the same as [`until`] where the limit is what is tested, however busy the machine is.
pub async fn within<T>(
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
