//! Notes that people add to an upgrade's progress: lines in its status, and steps of the process that are done.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::progress::Progress;

/// A line of people's in the status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    pub at: Timestamp,
    pub text: String,
}

/// The mark that an item of the checklist is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tick {
    pub at: Timestamp,
    /// The person who said so, in words.
    pub by: String,
    pub remark: Option<String>,
}

/// Lines that the status keeps.
const MAX_NOTES: usize = 3;

impl Progress {
    /// Adds a line to the status, below the older ones.
    pub fn add_note(&mut self, at: Timestamp, text: String) {
        self.notes.push(Note { at, text });
        let older = self.notes.len().saturating_sub(MAX_NOTES);
        self.notes.drain(..older);
    }
}
