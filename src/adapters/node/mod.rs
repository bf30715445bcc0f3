//! A node over JSON-RPC, followed and read with subxt; its activity is read from block bodies alone.

mod activity;
mod allowance;
mod client;
mod comparison;
mod connection;
mod decode;
mod endpoint;
mod error;
mod follower;
mod other_means;
mod pending;
mod read;
mod requests;
mod witness;

pub use self::activity::{ActivitySample, sample};
pub use self::client::Node;
pub use self::witness::host;
