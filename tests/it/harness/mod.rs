//! What the tests are made with: the world of real servers, the pipeline in one process, one file of fakes for each port, and
//! processes that may be killed.

pub mod chains;
pub mod chats;
pub mod clocks;
pub mod dice;
pub mod hooks;
pub mod model;
pub mod pipeline;
pub mod plans;
pub mod stores;
pub mod worker;
pub mod world;
