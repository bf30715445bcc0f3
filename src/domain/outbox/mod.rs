//! The outbox's rows: posts and what is done to them.

pub mod post;
