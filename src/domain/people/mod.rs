//! People: who runs nodes, who may give which command, who approves, and what they say.

pub mod approval;
pub mod command;
pub mod feedback;
pub mod permission;
pub mod reply;
pub mod roster;
pub mod value;
