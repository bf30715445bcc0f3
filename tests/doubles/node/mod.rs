//! A node with a synthetic chain: JSON-RPC over a WebSocket on loopback, by the methods of old.
//!
//! A [`SyntheticChain`] follows a [`Script`] and is computed as it is asked for, so it may have a million
//! blocks. Its headers are real (each names the hash of the one before), and its state answers as the
//! embedded recording's runtime would. Several [`Endpoint`]s may serve one chain, each with a head, a
//! branch and faults of its own.
//!
//! ```ignore
//! let chain = SyntheticChain::new(Script { blocks: 100, steps: vec![(20, Step::Authorize(hash)), (50, Step::Upgrade(2))], ..Script::default() });
//! let node = Endpoint::start(chain.clone()).await;
//! node.advance_to(40);
//! let fork = chain.fork(38, vec![(39, Step::Upgrade(2))]);
//! node.set_best(fork, 41); // seen, and never final
//! node.drop_connections();
//! ```
//!
//! Included by the integration tests and, with `#[path]`, by a benchmark: so nothing here may say `crate::`.
#![allow(
    dead_code,
    unused_imports,
    reason = "each that includes this uses a part of it"
)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a double is test code: a broken one should stop the test"
)]

mod chain;
mod endpoint;
mod rpc;
#[cfg(test)]
mod tests;

pub use chain::{Branch, Script, State, Step, SyntheticChain, code_hash, key, version};
pub use endpoint::{Counts, Endpoint, MethodFault, Unreadable};
