//! Watch: reads the chains and turns what they show into facts, progress and posts.

pub mod catchup;
pub mod observer;
pub mod unplanned;
pub mod watcher;
