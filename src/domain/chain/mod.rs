//! Chains, and what they show: blocks, facts, observations, stages and how fast it goes.

pub mod activity;
pub mod block;
pub mod block_times;
pub mod fact;
pub mod fact_kind;
pub mod hours;
pub mod memory;
pub mod observation;
pub mod parachains;
pub mod payload;
pub mod pending;
pub mod reading;
pub(crate) mod stage;
