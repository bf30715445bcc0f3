//! Tells readers at once that there is something new.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures::stream;
use tokio::sync::watch;

use super::{Site, SiteContent};

/// At most this many readers follow, on at most half of the open files: posting needs the rest.
const MAX_READERS: usize = 4_000;
/// A line is sent this often, so that nothing between herald and a reader closes the connection.
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(20);

/// The number of readers who follow now, and how many may.
#[derive(Clone, Debug)]
pub(super) struct StreamReaders(Arc<AtomicUsize>, usize);

impl Default for StreamReaders {
    fn default() -> Self {
        Self(
            Arc::default(),
            max_readers(&std::fs::read_to_string("/proc/self/limits").unwrap_or_default()),
        )
    }
}

/// Reads how many readers may follow from Linux's limits; other systems name none.
fn max_readers(limits: &str) -> usize {
    let open = limits.lines().find_map(|line| {
        line.strip_prefix("Max open files")?
            .split_whitespace()
            .next()?
            .parse::<usize>()
            .ok()
    });
    open.map_or(MAX_READERS, |open| MAX_READERS.min(open / 2))
}

/// One reader, who is counted for as long as this lives.
struct StreamReader(Arc<AtomicUsize>);

impl StreamReaders {
    pub fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn admit(&self) -> Option<StreamReader> {
        let reader = StreamReader(self.0.clone());
        (self.0.fetch_add(1, Ordering::Relaxed) < self.1).then_some(reader)
    }
}

impl Drop for StreamReader {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Sends the name of the content now, and again whenever it has changed.
pub(super) async fn events(State(site): State<Arc<Site>>) -> Response {
    let Some(reader) = site.readers.admit() else {
        return (
            StatusCode::SERVICE_UNAVAILABLE,
            [(header::RETRY_AFTER, "60")],
            "Too many follow already; please reload now and then.\n",
        )
            .into_response();
    };
    let mut contents = site.content.subscribe();
    contents.mark_changed();
    let told = stream::unfold((contents, reader), |(mut contents, reader)| async move {
        let edition = next(&mut contents).await?;
        let event = Event::default()
            .event("edition")
            .id(&edition)
            .data(&edition);
        Some((Ok::<_, Infallible>(event), (contents, reader)))
    });
    let keep = KeepAlive::new().interval(KEEP_ALIVE_EVERY);
    (
        [
            (header::CACHE_CONTROL, "no-store"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ],
        Sse::new(told).keep_alive(keep),
    )
        .into_response()
}

/// Waits for the name of the content that comes next; `None` once the site is closed.
async fn next(contents: &mut watch::Receiver<Arc<SiteContent>>) -> Option<String> {
    loop {
        contents.changed().await.ok()?;
        let content = contents.borrow_and_update().clone();
        if content.is_closed() {
            return None;
        }
        if content.is_written() {
            return Some(content.name().to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn followers_leave_room_for_posting() {
        let limits = |open: &str| {
            format!(
                "Limit                     Soft Limit           Hard Limit           Units\nMax open files            {open}                 524288               files\n"
            )
        };
        assert_eq!(
            (
                max_readers(&limits("1024")),
                max_readers(&limits("20000")),
                max_readers(&limits("unlimited")),
                max_readers("")
            ),
            (512, MAX_READERS, MAX_READERS, MAX_READERS)
        );
        let readers = StreamReaders(Arc::default(), 1);
        let first = readers.admit();
        assert!(
            first.is_some() && readers.admit().is_none() && readers.count() == 1,
            "who is turned away counts no more"
        );
        drop(first);
        assert!(readers.admit().is_some());
    }
}
