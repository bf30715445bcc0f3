//! A node over JSON-RPC, followed and read with subxt; its activity is read from block bodies alone.

mod activity;
mod decode;
mod node;
mod read;

pub use activity::{Sample, sample};
pub use node::Node;
