//! The records beside campaigns and posts: what people did and said, and what is wrong now.

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::error::StoreError;

/// Something that a person did in an upgrade, beside its posts, kept as it was said.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    pub kind: RecordKind,
    pub upgrade: String,
    /// Distinguishes it from others of its kind.
    pub id: String,
    pub at: Timestamp,
    pub value: serde_json::Value,
}

impl Record {
    pub fn new(
        kind: RecordKind,
        upgrade: &str,
        id: String,
        at: Timestamp,
        value: &impl Serialize,
    ) -> Result<Self, StoreError> {
        let value = serde_json::to_value(value)
            .map_err(|error| StoreError::invalid(format!("a record ({})", kind.name()), error))?;
        Ok(Self {
            kind,
            upgrade: upgrade.to_owned(),
            id,
            at,
            value,
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RecordKind {
    /// A provider has acknowledged something, or is ready.
    Answer,
    /// Somebody used a privilege: the audit log.
    Act,
    /// Somebody had something to say, by a command.
    Feedback,
    /// Somebody wants to be reminded in private.
    Subscription,
}

impl RecordKind {
    pub const ALL: [Self; 4] = [Self::Answer, Self::Act, Self::Feedback, Self::Subscription];

    pub fn name(self) -> &'static str {
        match self {
            Self::Answer => "answer",
            Self::Act => "act",
            Self::Feedback => "feedback",
            Self::Subscription => "subscription",
        }
    }
}

/// A privileged act, as the audit log has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// The person, in words: `Mara Linde on discord`.
    pub who: String,
    /// `discord 1100000000000000101`; empty for the command line.
    pub account: String,
    /// The channel as herald.yaml calls it, or `the command line`.
    pub place: String,
    /// The command as it was given.
    pub what: String,
    pub outcome: String,
}

/// Records of people's acts, and the list of present troubles. They are written one by one, by any process, whether it
/// has the lead or not.
#[async_trait]
pub trait RecordStore: Send + Sync {
    /// Writes an entry. One with its id that is there already stays (`false`), unless this one is to replace it.
    async fn write(&self, entry: &Record, replace: bool) -> Result<bool, StoreError>;
    /// Takes an entry back; `false` if there was none.
    async fn erase(&self, kind: RecordKind, upgrade: &str, id: &str) -> Result<bool, StoreError>;
    /// The entries of a kind, oldest first.
    async fn entries(&self, kind: RecordKind, upgrade: &str) -> Result<Vec<Record>, StoreError>;
    /// Notes what is wrong with a part (a chain, a channel) now, or that it is well again.
    async fn set_trouble(
        &self,
        part: &str,
        trouble: Option<&str>,
        at: Timestamp,
    ) -> Result<(), StoreError>;
    /// Each part that is in trouble, what is wrong with it and since when.
    async fn troubles(&self) -> Result<Vec<(String, String, Timestamp)>, StoreError>;
}
