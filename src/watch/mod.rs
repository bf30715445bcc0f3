//! Watch: reads the chains and turns what they show into facts, progress and posts.

mod all_clear;
pub mod catchup;
pub mod observer;
mod parachains;
mod pending;
mod relevance;
pub mod unplanned;
pub mod unreadable;
pub mod watcher;
