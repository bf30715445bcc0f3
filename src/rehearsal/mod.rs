//! A whole upgrade without the outside: an embedded chain, embedded rooms and a stepped clock.
//!
//! The services, the store, the templates and the chain client are those of `herald run`; only the
//! node is a replayed recording, the chats are rooms in memory, and time goes on in steps.

#[cfg(feature = "web")]
pub mod browser;
mod chain;
mod clock;
mod controls;
mod drill;
mod drill_chain;
mod drill_player;
mod driver;
mod faults;
mod people;
mod recording;
mod report;
mod scenario;
mod services;

pub use self::chain::EmbeddedChain;
pub use self::clock::SteppedClock;
pub use self::controls::{Controls, InjectedFault, SeenBlock};
pub use self::drill::{DRILLS, Drill};
pub use self::drill_player::{DrillEntry, DrillPlayer, DrillResult};
pub use self::driver::{Rehearsal, RehearsalOptions, RehearsalResult, recordings_for};
pub use self::recording::Recording;
pub use self::report::Output;
pub use self::scenario::{PlannedChange, Scenario};
