//! Answers monitors: whether herald lives, whether it does all it should, and its figures.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

use super::{Site, metrics};
use crate::ports::StoreError;

const STORE_REFUSES: &str = "the store takes no writes";
/// A monitor gets its answer within this time, whatever the store does.
const MAX_ANSWER_WAIT: Duration = Duration::from_secs(3);
const NO_STORE: [(header::HeaderName, &str); 1] = [(header::CACHE_CONTROL, "no-store")];

/// Answers 503 when a part hangs, so that a new start would help.
pub(super) async fn health(State(site): State<Arc<Site>>) -> Response {
    let vitals = (site.vitals)();
    if vitals.hangs.is_empty() {
        // A new start would not give the store its room back.
        let store = vitals
            .store
            .map(|why| format!(", and {STORE_REFUSES}: {why}"));
        let words = format!("{}{}\n", vitals.state, store.unwrap_or_default());
        return (NO_STORE, words).into_response();
    }
    (
        StatusCode::SERVICE_UNAVAILABLE,
        NO_STORE,
        format!("{}, and hangs: {}\n", vitals.state, vitals.hangs.join(", ")),
    )
        .into_response()
}

/// Answers 503 as long as something is broken, with a line for each, for a person.
pub(super) async fn ready(State(site): State<Arc<Site>>) -> Response {
    let vitals = (site.vitals)();
    let core = site.core();
    let mut broken: Vec<String> = vitals
        .hangs
        .iter()
        .map(|part| format!("{part}: hangs"))
        .collect();
    if !vitals.ready {
        broken.push(format!("herald: {}", vitals.state));
    }
    if let Some(why) = &vitals.store {
        broken.push(format!("{STORE_REFUSES}: {why}"));
    }
    let troubles = tokio::time::timeout(MAX_ANSWER_WAIT, core.store.troubles()).await;
    match troubles.unwrap_or_else(|_| Err(StoreError::Unavailable("it doesn't answer".to_owned())))
    {
        Ok(troubles) => broken.extend(troubles.into_iter().map(|(part, words, since)| {
            let since = since.strftime("%Y-%m-%d %H:%M:%S UTC");
            format!("{part}: {words} (since {since})")
        })),
        Err(error) => broken.push(error.to_string()),
    }
    if broken.is_empty() {
        return (NO_STORE, format!("ready: {}\n", vitals.state)).into_response();
    }
    (
        StatusCode::SERVICE_UNAVAILABLE,
        NO_STORE,
        format!("{}\n", broken.join("\n")),
    )
        .into_response()
}

pub(super) async fn metrics(State(site): State<Arc<Site>>) -> Response {
    match metrics::read(&site).await {
        Ok(text) => (
            NO_STORE,
            [(header::CONTENT_TYPE, metrics::MEDIA_TYPE)],
            text,
        )
            .into_response(),
        Err(error) => (
            StatusCode::SERVICE_UNAVAILABLE,
            NO_STORE,
            format!("{error}\n"),
        )
            .into_response(),
    }
}
