//! upgrade-herald: the communication side of a runtime upgrade.
//!
//! `main → app → {adapters, service} → ports → domain`. The map is in `docs/ARCHITECTURE.md`.
#![forbid(unsafe_code)]
// tokio::spawn over matrix-sdk's sync future needs more than the default depth
#![recursion_limit = "256"]

pub mod domain;
pub mod ports;
