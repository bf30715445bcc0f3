//! What a store keeps beside upgrades and posts: what people did, and who shares it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What people have done in an upgrade, beside its posts: kept as it was said, for the record.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    pub kind: RecordKind,
    pub upgrade: String,
    /// Which one it is of its kind.
    pub id: String,
    pub at: Timestamp,
    pub value: serde_json::Value,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RecordKind {
    /// A provider has acknowledged something, or is ready.
    Answer,
    /// A privileged act.
    Act,
    /// What somebody had to say, by a command.
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

/// One process among those that share a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replica {
    /// As the operator calls it.
    pub name: String,
    /// Of this process alone: another one under the same name is another instance.
    pub instance: String,
}

/// Who is active.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leadership {
    /// This process, since the takeover with this number.
    Mine {
        term: i64,
    },
    Theirs {
        replica: String,
    },
    /// Another process under the same name was heard of lately.
    Doubled,
}

/// A replica as the store knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaInfo {
    pub name: String,
    pub active: bool,
    pub since: Timestamp,
    /// When it was last heard of.
    pub seen: Timestamp,
}

/// A privileged act, for the record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// In words: `Mara Linde on discord`.
    pub who: String,
    /// `discord 1100000000000000101`; nothing of one on the command line.
    pub account: String,
    /// The channel as herald.yaml calls it, or `the command line`.
    pub place: String,
    /// The command as it was given.
    pub what: String,
    pub outcome: String,
}
