//! People add notes to an upgrade's status, and ticks to its checklist.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::progress::Progress;

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
const MAX_NOTES: usize = 3;

impl Progress {
    /// Adds a line to the status, below the older ones.
    pub fn add_note(&mut self, at: Timestamp, text: String) {
        self.notes.push(Note { at, text });
        let older = self.notes.len().saturating_sub(MAX_NOTES);
        self.notes.drain(..older);
    }
}
