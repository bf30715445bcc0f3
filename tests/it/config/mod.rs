//! The files: what is refused, what they make, and how they are followed when they change.

pub mod check;
pub mod exports;
pub mod malformed;
pub mod reload;
pub mod sample_plans;
pub mod times;
