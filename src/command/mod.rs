//! One file a command.

pub mod check;
pub mod plan;
pub mod preview;
pub mod rehearse;
pub mod run;
pub mod status;
