//! Facts: what finalized blocks showed.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FactKind {
    Authorized,
    AuthorizationRejected,
    SudoFailed,
    CodeStored,
    CodeUpdated,
    Applied,
    Discarded,
    MigrationStarted,
    MigrationStep,
    MigrationCompleted,
    MigrationFailed,
    VersionUnexpected,
    Reset,
}

impl FactKind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Authorized => "authorized",
            Self::AuthorizationRejected => "authorization_rejected",
            Self::SudoFailed => "sudo_failed",
            Self::CodeStored => "code_stored",
            Self::CodeUpdated => "code_updated",
            Self::Applied => "applied",
            Self::Discarded => "discarded",
            Self::MigrationStarted => "migration_started",
            Self::MigrationStep => "migration_step",
            Self::MigrationCompleted => "migration_completed",
            Self::MigrationFailed => "migration_failed",
            Self::VersionUnexpected => "version_unexpected",
            Self::Reset => "reset",
        }
    }
}

/// One thing a finalized block showed. `time` is the block's own clock, never ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    pub kind: FactKind,
    pub chain: String,
    pub block: u64,
    pub hash: String,
    /// The version the chain runs after this fact.
    pub spec_version: u32,
    pub time: Option<Timestamp>,
    /// A code hash, an error's name, a count: empty where there is nothing to add.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}
