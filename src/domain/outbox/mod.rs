//! The outbox's rows: posts, what is done to them, and what they say.

mod body;
mod key;
mod operation;
mod post;

pub use body::{Ballot, Body, Button, CalendarEvent, CalendarEventStage, Card, Picture, cut};
pub use key::{KeyParts, PostKey, digest, occurrence_of};
pub use operation::{Action, Content, Handling, Operation, Refusal, Rules};
pub use post::{Post, PostState};
