//! A whole upgrade without the outside: an embedded chain, embedded rooms and a stepped clock.
//!
//! The services, the store, the templates and the chain client are those of `herald run`; only the
//! node is a replayed recording, the chats are rooms in memory, and time goes on in steps.

mod act;
mod chain;
mod clock;
mod drive;
mod people;
mod recording;
mod report;
mod room;
mod stage;
#[cfg(feature = "web")]
pub mod theatre;
mod upset;

pub use act::{Act, Twist};
pub use chain::EmbeddedChain;
pub use clock::SteppedClock;
pub use drive::{Rehearsal, Verdict, cast};
pub use recording::Recording;
pub use report::Output;
pub use room::{Room, Seen};
pub use stage::{Passed, Stage, Trouble};
