//! A node over JSON-RPC, followed and read with subxt.

mod decode;
mod node;

pub use node::Node;
