//! What the tests are made with: worlds, stores, chats with hooks, and processes that may be killed.

pub mod hooks;
pub mod memory_store;
pub mod model;
pub mod worker;
pub mod world;
