//! The communication plan: notices, their triggers, times and languages.

pub mod happening;
pub mod language;
pub mod notice;
pub mod schedule;
pub mod window;
