//! Approval: who must agree to a text before it goes out, and whether they have.

pub mod code;
pub mod gate;
mod input;
pub(crate) mod preview;
