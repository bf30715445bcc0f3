//! What the chain shows, on real runtimes, recordings and faulty nodes.

pub mod facts;
pub mod faults;
pub mod networks;
pub mod parachains;
pub mod pending;
pub mod plan_window;
pub mod providers;
pub mod pruned_nodes;
pub mod recordings;
pub mod stages;
pub mod trouble;
pub mod upgrades;
pub mod watching;
