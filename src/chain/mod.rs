//! A node over JSON-RPC, followed and read with subxt.

mod decode;
mod node;
mod read;

pub use node::Node;
