//! A campaign: one upgrade as it was accepted, what changes it, and how far it has come.

pub mod change;
pub mod health;
pub mod notes;
pub mod progress;
pub mod upgrade;
