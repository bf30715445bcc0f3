//! People add notes to an upgrade's status, and ticks to its checklist.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A line that somebody added to the status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    pub at: Timestamp,
    pub text: String,
}

/// A tick: somebody says that an item of the checklist is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tick {
    pub at: Timestamp,
    /// The author of the command, as posts show the name.
    pub by: String,
    pub remark: Option<String>,
}

/// The status keeps at most this many notes; older ones are dropped.
pub(super) const MAX_NOTES: usize = 3;
