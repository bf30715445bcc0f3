//! What people ask, command and answer.

pub mod commands;
pub mod messages;
pub mod questions;
pub mod readiness;
