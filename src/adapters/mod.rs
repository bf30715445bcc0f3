//! The adapters: each implements a port with a platform, a node, a database or the machine's clock.

pub mod clock;
#[cfg(feature = "discord")]
pub mod discord;
pub mod irc;
#[cfg(feature = "matrix")]
pub mod matrix;
#[cfg(feature = "chain")]
pub mod node;
pub mod room;
#[cfg(feature = "sql")]
pub mod store;
