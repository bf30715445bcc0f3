//! Posting: each post once and in order, whatever is killed, away or slow.

pub mod chats;
pub mod crash;
pub mod edge_cases;
pub mod encrypted;
pub mod kill_points;
pub mod kills;
pub mod month;
pub mod outages;
pub mod refusals;
pub mod replicas;
pub mod side_effects;
pub mod simulation;
pub mod soak;
pub mod stores;
