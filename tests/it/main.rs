//! The tests on real parts, in one binary: a real homeserver, a real runtime, the bot's own process,
//! and a strict double of Discord. Run by `tests/run`.
#![recursion_limit = "256"]

#[path = "../doubles/mod.rs"]
mod doubles;
mod support;

mod chain;
mod config;
mod delivery;
mod harness;
mod people;
mod process;
mod stories;
mod third_platform;
