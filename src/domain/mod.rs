//! The pure core: nouns and rules. No clock, no I/O, no chat, chain or database types.
//!
//! Everything here is a function of its arguments, so the same words serve `run`, `rehearse`,
//! `plan` and the tests.

pub mod campaign;
pub mod chain;
pub mod hex;
pub mod outbox;
pub mod people;
pub mod plan;
pub mod text;
