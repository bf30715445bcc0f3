//! Stand-ins for the services that the bot talks to.
//!
//! They run in the test's own process, on loopback, and speak the real wire protocols, so that the
//! bot under test is the unpatched one.
#![allow(
    dead_code,
    unused_imports,
    reason = "the tests and the benchmark each use a part of it"
)]
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a double is test code: it owns its clock, and a broken one should stop the test"
)]

pub mod discord;
pub mod node;
