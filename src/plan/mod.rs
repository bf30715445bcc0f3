//! Plan: turns files, times and commands into posts of the outbox.

pub mod planner;
pub mod reminders;
pub mod requests;
pub(crate) mod team_commands;
