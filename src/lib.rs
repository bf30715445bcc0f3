//! upgrade-herald: the communication side of a runtime upgrade.
//!
//! `main → app → {adapters, service} → ports → domain`. The map is in `docs/ARCHITECTURE.md`.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::todo))]
// tokio::spawn over matrix-sdk's sync future needs more than the default depth
#![recursion_limit = "256"]

pub mod domain;
pub mod ports;

#[cfg(all(feature = "discord", feature = "matrix", feature = "chain", feature = "sql", feature = "web"))]
pub mod app;
pub mod calendar;
#[cfg(feature = "chain")]
pub mod chain;
pub mod channel;
pub mod clock;
#[cfg(all(feature = "discord", feature = "matrix", feature = "chain", feature = "sql", feature = "web"))]
mod command;
pub mod config;
#[cfg(feature = "web")]
mod look;
pub mod picture;
#[cfg(all(feature = "chain", feature = "sql"))]
pub mod rehearsal;
pub mod service;
#[cfg(feature = "sql")]
pub mod store;
pub mod template;
#[cfg(feature = "web")]
pub mod web;
