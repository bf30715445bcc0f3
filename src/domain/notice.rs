//! A notice of the communication plan: what is said to whom, where, when and by which template.

use serde::{Deserialize, Serialize};

use super::schedule::{CronRule, Offset};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Audience {
    Validators,
    Developers,
    Users,
}

impl Audience {
    pub const ALL: [Audience; 3] = [Self::Validators, Self::Developers, Self::Users];

    pub fn name(self) -> &'static str {
        match self {
            Self::Validators => "validators",
            Self::Developers => "developers",
            Self::Users => "users",
        }
    }
}

/// The five phases of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    Preparation,
    Scheduling,
    Execution,
    Validation,
    PostDeployment,
}

impl Phase {
    pub const ALL: [Phase; 5] = [Self::Preparation, Self::Scheduling, Self::Execution, Self::Validation, Self::PostDeployment];

    pub fn name(self) -> &'static str {
        match self {
            Self::Preparation => "Preparation",
            Self::Scheduling => "Scheduling",
            Self::Execution => "Execution",
            Self::Validation => "Validation",
            Self::PostDeployment => "Post-Deployment",
        }
    }
}

/// What happened, for a notice that says so. Never the hour alone: a notice that says something
/// *happened* waits for one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Happening {
    /// A chain shows an upgrade that nobody announced.
    Unplanned,
    /// The referendum on the upgrade moved on.
    Referendum,
    /// Its call is to be dispatched at a known block.
    Scheduled,
    /// Its call was dispatched, and succeeded.
    Dispatched,
    /// Its call was dispatched, and failed.
    DispatchFailed,
    /// The code is authorized on the first chain.
    Authorized,
    /// A parachain's code goes ahead at a known block of its relay.
    GoAhead,
    /// The time expected for a known block has moved by more than the plan lets pass.
    EstimateMoved,
    /// The first of several chains runs its target.
    FirstApplied,
    /// Every chain runs its target `spec_version`, proven in finalized blocks.
    Applied,
    /// Transactions signed for the version before are refused: offline signers need an update.
    TransactionVersion,
    /// Storage migrations have begun on the first chain that has some.
    MigrationStarted,
    /// Every chain has been healthy for `verification.healthy_for` since.
    Verified,
    /// And stayed healthy for `verification.complete_after` more.
    Completed,
    /// The feedback window has closed and the answers were counted.
    FeedbackClosed,
    /// The window in the upgrade file moved.
    Rescheduled,
    /// An authorized code was refused by the chain.
    AuthorizationRejected,
    /// Root's call was included, but the call inside failed.
    SudoFailed,
    /// Validators rejected a parachain's new code.
    PvfRejected,
    /// A parachain's new code was thrown away.
    Discarded,
    /// A chain runs a version, or a code, that is not the target's.
    VersionUnexpected,
    /// A migration stopped with an error.
    MigrationFailed,
    /// A migration makes no step for many blocks.
    MigrationStuck,
    /// Authorized code was not applied for many blocks.
    Unapplied,
    /// The window is open, and nothing was authorized.
    Overdue,
    /// A chain finalizes no blocks.
    Stalled,
    /// A chain's finality hangs behind.
    Lagging,
    /// A chain that stood still or hung behind goes on.
    Recovered,
    /// The chain began again from another genesis.
    Reset,
    /// Events in a range of blocks could not be read.
    Unexamined,
    /// herald itself can't see a chain.
    Blind,
    /// It sees it again.
    Sighted,
}

impl Happening {
    pub const ALL: [Happening; 32] = [
        Self::Unplanned,
        Self::Referendum,
        Self::Scheduled,
        Self::Dispatched,
        Self::DispatchFailed,
        Self::Authorized,
        Self::GoAhead,
        Self::EstimateMoved,
        Self::FirstApplied,
        Self::Applied,
        Self::TransactionVersion,
        Self::MigrationStarted,
        Self::Verified,
        Self::Completed,
        Self::FeedbackClosed,
        Self::Rescheduled,
        Self::AuthorizationRejected,
        Self::SudoFailed,
        Self::PvfRejected,
        Self::Discarded,
        Self::VersionUnexpected,
        Self::MigrationFailed,
        Self::MigrationStuck,
        Self::Unapplied,
        Self::Overdue,
        Self::Stalled,
        Self::Lagging,
        Self::Recovered,
        Self::Reset,
        Self::Unexamined,
        Self::Blind,
        Self::Sighted,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Unplanned => "unplanned",
            Self::Referendum => "referendum",
            Self::Scheduled => "scheduled",
            Self::Dispatched => "dispatched",
            Self::DispatchFailed => "dispatch_failed",
            Self::Authorized => "authorized",
            Self::GoAhead => "go_ahead",
            Self::EstimateMoved => "estimate_moved",
            Self::FirstApplied => "first_applied",
            Self::Applied => "applied",
            Self::TransactionVersion => "transaction_version",
            Self::MigrationStarted => "migration_started",
            Self::Verified => "verified",
            Self::Completed => "completed",
            Self::FeedbackClosed => "feedback_closed",
            Self::Rescheduled => "rescheduled",
            Self::AuthorizationRejected => "authorization_rejected",
            Self::SudoFailed => "sudo_failed",
            Self::PvfRejected => "pvf_rejected",
            Self::Discarded => "discarded",
            Self::VersionUnexpected => "version_unexpected",
            Self::MigrationFailed => "migration_failed",
            Self::MigrationStuck => "migration_stuck",
            Self::Unapplied => "unapplied",
            Self::Overdue => "overdue",
            Self::Stalled => "stalled",
            Self::Lagging => "lagging",
            Self::Recovered => "recovered",
            Self::Reset => "reset",
            Self::Unexamined => "unexamined",
            Self::Blind => "blind",
            Self::Sighted => "sighted",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|h| h.name() == name)
    }

    /// What is for operators alone: that herald can't see, or has not seen, says nothing of the chain.
    pub fn for_operators(self) -> bool {
        matches!(self, Self::Blind | Self::Sighted | Self::Unexamined)
    }

    /// No fact of a block stands behind it.
    pub fn without_fact(self) -> bool {
        matches!(self, Self::Rescheduled | Self::FeedbackClosed)
    }
}

/// When a notice is due.
#[derive(Clone, Debug, PartialEq)]
pub enum Trigger {
    /// Before or after the window opens.
    At(Offset),
    /// A repeated civil time between two offsets from the window.
    Cron(Box<CronRule>),
    /// When something has happened.
    On(Happening),
}

/// One notice of the plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    pub id: String,
    pub phase: Phase,
    /// Below `templates/`, without the ending: `execution/applied`.
    pub template: String,
    pub trigger: Trigger,
    pub audiences: Vec<Audience>,
    pub channels: Vec<String>,
    /// Opens a feedback thread below the post.
    pub feedback: bool,
    /// Its posts are edited when a chain of the upgrade moves on.
    pub live: bool,
    /// A picture of the block times goes with it.
    pub picture: bool,
}
