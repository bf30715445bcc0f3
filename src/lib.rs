//! upgrade-herald: the communication side of a runtime upgrade.
//!
//! Each folder is a stage of the pipeline and imports only from folders below it. The map is in
//! `docs/ARCHITECTURE.md`.
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::todo
    )
)]
// tokio::spawn over matrix-sdk's sync future needs more than the default depth
#![recursion_limit = "256"]

pub mod adapters;
pub mod answer;
#[cfg(all(
    feature = "discord",
    feature = "matrix",
    feature = "chain",
    feature = "sql",
    feature = "web"
))]
pub mod cli;
pub mod config;
pub mod deliver;
pub mod domain;
pub mod lint;
pub mod listen;
pub mod outbox;
pub mod plan;
pub mod ports;
#[cfg(all(feature = "chain", feature = "sql"))]
pub mod rehearsal;
pub mod report;
#[cfg(all(
    feature = "discord",
    feature = "matrix",
    feature = "chain",
    feature = "sql",
    feature = "web"
))]
pub mod run;
pub mod watch;
#[cfg(feature = "web")]
pub mod web;
pub mod words;
