//! A node over JSON-RPC, followed and read with subxt.

mod connection;
mod decode;
mod node;
mod read;
mod witness;

pub use node::Node;
