//! Deliver: takes due posts from the outbox and sends them to the chats, each once.

pub mod approval;
pub(crate) mod backoff;
mod compose;
pub mod destination;
pub mod dispatcher;
pub(crate) mod lateness;
