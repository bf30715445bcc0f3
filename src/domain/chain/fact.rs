//! Facts: what finalized blocks showed.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::block_times::Estimate;

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
    /// Validators check a parachain's new code: `started`, `accepted` or `rejected`.
    PvfCheck,
    /// The block at which a parachain's new code goes ahead is known.
    GoAhead,
    /// A referendum moved: `submitted`, `deciding`, `confirming`, `confirmed`, `rejected`, …
    Referendum,
    /// The call of an approved referendum is to be dispatched at a known block.
    Scheduled,
    /// That call was dispatched, or one that was whitelisted: `ok`, or its error's name.
    Dispatched,
    /// Transactions signed for the version before are refused from here on.
    TransactionVersion,
    MigrationStarted,
    MigrationStep,
    MigrationCompleted,
    MigrationFailed,
    VersionUnexpected,
    Reset,
    /// Events in a range of blocks could not be read.
    Unexamined,
    // Observations: what no block shows. Block and hash are the last finalized ones they stand on.
    Stalled,
    Lagging,
    Recovered,
    /// Authorized, and not applied for many blocks.
    Unapplied,
    /// The window is open, and nothing was authorized.
    Overdue,
    MigrationStuck,
    /// herald itself can't see the chain.
    Blind,
    /// It sees it again.
    Sighted,
}

impl FactKind {
    pub fn parse(name: &str) -> Option<Self> {
        serde_json::from_value(serde_json::Value::String(name.to_owned())).ok()
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Authorized => "authorized",
            Self::AuthorizationRejected => "authorization_rejected",
            Self::SudoFailed => "sudo_failed",
            Self::CodeStored => "code_stored",
            Self::CodeUpdated => "code_updated",
            Self::Applied => "applied",
            Self::Discarded => "discarded",
            Self::PvfCheck => "pvf_check",
            Self::GoAhead => "go_ahead",
            Self::Referendum => "referendum",
            Self::Scheduled => "scheduled",
            Self::Dispatched => "dispatched",
            Self::TransactionVersion => "transaction_version",
            Self::MigrationStarted => "migration_started",
            Self::MigrationStep => "migration_step",
            Self::MigrationCompleted => "migration_completed",
            Self::MigrationFailed => "migration_failed",
            Self::VersionUnexpected => "version_unexpected",
            Self::Reset => "reset",
            Self::Unexamined => "unexamined",
            Self::Stalled => "stalled",
            Self::Lagging => "lagging",
            Self::Recovered => "recovered",
            Self::Unapplied => "unapplied",
            Self::Overdue => "overdue",
            Self::MigrationStuck => "migration_stuck",
            Self::Blind => "blind",
            Self::Sighted => "sighted",
        }
    }
}

/// A block at which something is to take effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expected {
    /// The chain whose blocks are counted: a parachain's code goes ahead at a block of its relay.
    pub chain: String,
    pub block: u64,
    /// When that will be, if enough blocks were seen to tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimate: Option<Estimate>,
}

/// One thing a finalized block showed. `time` is the block's own clock, never ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    pub kind: FactKind,
    pub chain: String,
    pub block: u64,
    pub hash: String,
    /// The version the chain runs after this fact; 0 where another chain tells of it, which does not know.
    pub spec_version: u32,
    pub time: Option<Timestamp>,
    /// A code hash, an error's name, a count: empty where there is nothing to add.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// The chain whose block showed it, where that is another: a relay tells of its parachains.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<Expected>,
    /// Found while catching up: it is long over.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub late: bool,
}
