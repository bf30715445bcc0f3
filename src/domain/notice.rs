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
    /// The code is authorized on the first chain.
    Authorized,
    /// Every chain runs its target `spec_version`, proven in finalized blocks.
    Applied,
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
    /// A parachain's new code was thrown away.
    Discarded,
    /// A chain runs a version that is not the target.
    VersionUnexpected,
    /// A migration stopped with an error.
    MigrationFailed,
    /// The chain began again from another genesis.
    Reset,
}

impl Happening {
    pub const ALL: [Happening; 12] = [
        Self::Authorized,
        Self::Applied,
        Self::Verified,
        Self::Completed,
        Self::FeedbackClosed,
        Self::Rescheduled,
        Self::AuthorizationRejected,
        Self::SudoFailed,
        Self::Discarded,
        Self::VersionUnexpected,
        Self::MigrationFailed,
        Self::Reset,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Authorized => "authorized",
            Self::Applied => "applied",
            Self::Verified => "verified",
            Self::Completed => "completed",
            Self::FeedbackClosed => "feedback_closed",
            Self::Rescheduled => "rescheduled",
            Self::AuthorizationRejected => "authorization_rejected",
            Self::SudoFailed => "sudo_failed",
            Self::Discarded => "discarded",
            Self::VersionUnexpected => "version_unexpected",
            Self::MigrationFailed => "migration_failed",
            Self::Reset => "reset",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|h| h.name() == name)
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
}
