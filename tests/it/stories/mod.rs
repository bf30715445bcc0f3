//! Whole upgrades on real parts, as people live them.

pub mod approval;
pub mod change;
pub mod drills;
pub mod first_hour;
pub mod languages;
pub mod pages;
pub mod polls;
pub mod site;
pub mod story;
pub mod team_commands;
