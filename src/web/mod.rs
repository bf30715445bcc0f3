//! Serves the status page, its feeds and API, and, on another address, the answers for monitors.
//!
//! Each answer is written as a whole when it changes ([`SiteContent`]), so that a thousand readers cost
//! no more than one and never wait for the store. Nobody can order anything here.

mod api;
mod content;
mod feed;
mod metrics;
mod operations;
mod page;
mod stream;

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use parking_lot::RwLock;
use percent_encoding::percent_decode_str;
use tokio::{net::TcpListener, sync::watch};
use tokio_util::sync::CancellationToken;

use crate::{
    outbox::Core,
    ports::{Chain, StoreError},
    report::bulletin,
};

pub use self::content::SiteContent;

/// The store is read this often to see whether something has changed.
const POLL_EVERY: Duration = Duration::from_secs(1);

/// The health of the process itself.
#[derive(Clone, Debug, Default)]
pub struct ProcessHealth {
    /// The state in words: active, standing by.
    pub state: String,
    /// True if it does what it was started for, or stands by for that.
    pub ready: bool,
    pub active: bool,
    /// The parts that hang.
    pub hangs: Vec<String>,
    /// The reason why the store takes no writes, while it takes none.
    pub store: Option<String>,
}

/// The site holds what is served, and knows where that is read from.
pub struct Site {
    core: RwLock<Arc<Core>>,
    content: watch::Sender<Arc<SiteContent>>,
    /// The address by which readers find it, with a slash at its end.
    address: String,
    title: String,
    chains: BTreeMap<String, Arc<dyn Chain>>,
    vitals: Box<dyn Fn() -> ProcessHealth + Send + Sync>,
    readers: stream::StreamReaders,
}

impl Site {
    pub fn new(
        core: Arc<Core>,
        address: String,
        title: String,
        chains: BTreeMap<String, Arc<dyn Chain>>,
        vitals: impl Fn() -> ProcessHealth + Send + Sync + 'static,
    ) -> Arc<Self> {
        let content = watch::Sender::new(Arc::new(SiteContent::default()));
        let (core, vitals) = (RwLock::new(core), Box::new(vitals));
        Arc::new(Self {
            core,
            content,
            address,
            title,
            chains,
            vitals,
            readers: stream::StreamReaders::default(),
        })
    }

    /// Shows what this core follows from now on.
    pub fn follow(&self, core: Arc<Core>) {
        *self.core.write() = core;
    }

    fn core(&self) -> Arc<Core> {
        self.core.read().clone()
    }

    /// Writes the content anew if there is something else to show, and returns whether there is.
    pub async fn tick(&self) -> Result<bool, StoreError> {
        let core = self.core();
        let now = core.clock.now();
        let bulletins = bulletin::all(&core, now).await?;
        let last = self.content.borrow().clone();
        if last.is_written() && last.bulletins() == bulletins {
            return Ok(false);
        }
        let snapshot = core.snapshot();
        let content = SiteContent::write(
            bulletins,
            &self.title,
            &self.address,
            snapshot.renderer.zone(),
            now,
        );
        self.content.send_replace(Arc::new(content));
        Ok(true)
    }

    /// Keeps the content up to date; the last stays while the store can't be read.
    pub async fn keep(self: Arc<Self>, stop: CancellationToken) {
        let mut was_logged = false;
        loop {
            match self.tick().await {
                Ok(_) => was_logged = false,
                Err(error) if !was_logged => {
                    tracing::warn!("the page can't be brought up to date: {error}");
                    was_logged = true;
                }
                Err(_) => {}
            }
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(POLL_EVERY) => {}
            }
        }
        // Readers who follow are let go, so that the server can end.
        self.content.send_replace(Arc::new(SiteContent::closing()));
    }

    /// Routes what everybody may ask for.
    pub fn public(self: &Arc<Self>) -> Router {
        Router::new()
            .route("/events", get(stream::events))
            .fallback(resource)
            .with_state(self.clone())
    }

    /// Routes what monitors ask for.
    pub fn operations(self: &Arc<Self>) -> Router {
        Router::new()
            .route("/healthz", get(operations::health))
            .route("/readyz", get(operations::ready))
            .route("/metrics", get(operations::metrics))
            .with_state(self.clone())
    }
}

/// Answers on an address until told to stop.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    stop: CancellationToken,
) -> std::io::Result<()> {
    axum::serve(listener, router)
        .with_graceful_shutdown(stop.cancelled_owned())
        .await
}

/// Listens on an address; `what` is its key in herald.yaml.
pub async fn bind(address: SocketAddr, what: &str) -> Result<TcpListener, String> {
    let taken = |error| {
        format!(
            "web.{what} in herald.yaml: {address} can't be listened on: {error}; free it, or write another port"
        )
    };
    TcpListener::bind(address).await.map_err(taken)
}

/// The policy for a reader's browser: nothing from elsewhere, nothing in frames, no forms.
const CONTENT_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Tells whether an If-None-Match names this tag. A proxy that compresses makes a tag weak, and adds how it compressed
/// (`W/"x-gzip"`); the content is the same.
fn is_named(tag: &str, named: &str) -> bool {
    let opaque = tag.trim_matches('"');
    named.split(',').map(str::trim).any(|named| {
        let named = named.strip_prefix("W/").unwrap_or(named);
        let inside = named
            .strip_prefix('"')
            .and_then(|named| named.strip_suffix('"'));
        let is_same = inside.is_some_and(|inside| {
            let (content, _) = inside.split_once(['-', ';', ':']).unwrap_or((inside, ""));
            content == opaque
        });
        named == "*" || is_same
    })
}

/// Answers with one of the written pages and files.
async fn resource(
    State(site): State<Arc<Site>>,
    method: axum::http::Method,
    uri: axum::http::Uri,
    headers: HeaderMap,
) -> Response {
    let safety = [
        (header::CONTENT_SECURITY_POLICY, CONTENT_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    if method != axum::http::Method::GET && method != axum::http::Method::HEAD {
        return (
            StatusCode::METHOD_NOT_ALLOWED,
            [(header::ALLOW, "GET, HEAD")],
            safety,
            "This can only be read.\n",
        )
            .into_response();
    }
    let content = site.content.borrow().clone();
    if !content.is_written() {
        let again = [(header::RETRY_AFTER, "2")];
        return (
            StatusCode::SERVICE_UNAVAILABLE,
            again,
            safety,
            "herald is starting; try again in a moment.\n",
        )
            .into_response();
    }
    let path = percent_decode_str(uri.path()).decode_utf8_lossy();
    let Some(found) = content.find(&path) else {
        let kind = [(header::CONTENT_TYPE, "text/html; charset=utf-8")];
        return (
            StatusCode::NOT_FOUND,
            kind,
            safety,
            content.lost().to_owned(),
        )
            .into_response();
    };
    let tag = [
        (header::ETAG, found.tag.clone()),
        (header::CACHE_CONTROL, "no-cache".to_owned()),
    ];
    let has_it = headers
        .get(header::IF_NONE_MATCH)
        .and_then(|tags| tags.to_str().ok());
    if has_it.is_some_and(|tags| is_named(&found.tag, tags)) {
        return (StatusCode::NOT_MODIFIED, tag, safety).into_response();
    }
    let anywhere = found
        .open
        .then_some([(header::ACCESS_CONTROL_ALLOW_ORIGIN, "*")]);
    let kind = [(header::CONTENT_TYPE, found.kind)];
    match anywhere {
        Some(anywhere) => (kind, tag, safety, anywhere, found.bytes.clone()).into_response(),
        None => (kind, tag, safety, found.bytes.clone()).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::is_named;

    #[test]
    fn a_tag_is_known_again_behind_a_proxy() {
        for (named, is_it) in [
            ("\"0f\"", true),
            ("W/\"0f\"", true),
            ("W/\"0f-gzip\"", true),
            ("\"0f-br\"", true),
            ("\"0f;gzip\"", true),
            ("\"1e\", W/\"0f-gzip\" , \"2d\"", true),
            ("*", true),
            ("", false),
            ("0f", false),
            ("W/0f", false),
            ("\"0f", false),
            ("\"0f0\"", false),
            ("\"1e-0f\"", false),
        ] {
            assert_eq!(is_named("\"0f\"", named), is_it, "{named}");
        }
    }
}
