//! Deliver: takes due posts from the outbox and sends them to the chats, each once.
//!
//! [`dispatcher`] goes through the steps of one post, each in a file of its own: `lateness` says whether it may go out,
//! `compose` makes its words, the store gives it to one worker, `send` brings it to its chat, and `record` writes down how
//! that went.

pub mod approval;
mod backoff;
mod compose;
pub mod dispatcher;
mod due;
mod lateness;
mod record;
mod send;

pub use record::PostOutcome;
