//! The kinds of facts, by name alone.

use serde::{Deserialize, Serialize};
use strum::{EnumIter, IntoStaticStr};

/// A fact's kind, by which it is stored, looked up and worded. What is known besides is its payload.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    EnumIter,
    IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum FactKind {
    Authorized,
    AuthorizationRejected,
    SudoFailed,
    CodeRefused,
    CodeStored,
    CodeUpdated,
    Applied,
    Discarded,
    /// Validators check a parachain's new code.
    PvfCheck,
    /// The block at which a parachain's new code goes ahead is known.
    GoAhead,
    /// A referendum moved.
    Referendum,
    /// The call of an approved referendum is to be dispatched at a known block.
    Scheduled,
    /// The call of a referendum, or one that was whitelisted, was dispatched.
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
    /// Configurations that were pending at the upgrade take effect later.
    ChangesPending,
    /// Parachains have stopped since the upgrade of their relay.
    ParachainsStopped,
    ParachainsRecovered,
    /// Applied, and not verified for far longer than that takes.
    Unverified,
    /// herald itself can't see the chain.
    Blind,
    /// herald sees the chain again.
    Sighted,
}

impl FactKind {
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// The fact is of a referendum, or of the call that one decides on.
    pub fn is_of_governance(self) -> bool {
        matches!(self, Self::Referendum | Self::Scheduled | Self::Dispatched)
    }

    /// No block tells the fact by itself: it takes a campaign, which knows the target and the limits.
    pub fn takes_campaign(self) -> bool {
        matches!(
            self,
            Self::VersionUnexpected
                | Self::Unapplied
                | Self::Overdue
                | Self::MigrationStuck
                | Self::ChangesPending
                | Self::ParachainsStopped
                | Self::ParachainsRecovered
                | Self::Unverified
        )
    }
}
