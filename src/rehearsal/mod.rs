//! A whole upgrade without the outside: an embedded chain, embedded rooms and a stepped clock.
//!
//! The services, the store, the templates and the chain client are those of `herald run`; only the
//! node is a replayed recording, the chats are rooms in memory, and time goes on in steps.

#[cfg(feature = "web")]
pub mod browser;
mod chain;
mod clock;
pub(crate) mod controls;
pub(crate) mod driver;
pub(crate) mod faults;
mod people;
mod recording;
mod report;
mod room;
pub(crate) mod scenario;

pub use self::chain::EmbeddedChain;
pub use self::clock::SteppedClock;
pub use self::controls::{Controls, InjectedFault, Passed};
pub use self::driver::{Rehearsal, RehearsalResult, cast};
pub use self::recording::Recording;
pub use self::report::Output;
pub use self::room::{Room, SeenPost};
pub use self::scenario::{Scenario, Twist};
