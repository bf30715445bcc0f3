//! The pure core: nouns and rules. No clock, no I/O, no chat, chain or database types.
//!
//! Everything here is a function of its arguments, so the same words serve `run`, `rehearse`,
//! `plan` and the tests.

pub mod activity;
pub mod approval;
pub mod aside;
pub mod block;
pub mod change;
pub mod command;
pub mod fact;
pub mod feedback;
pub mod happening;
pub mod health;
pub mod hex;
pub mod language;
pub mod notice;
pub mod observation;
pub mod pace;
pub mod permission;
pub mod phase;
pub mod post;
pub mod roster;
pub mod schedule;
mod stage;
pub mod upgrade;
pub mod window;
