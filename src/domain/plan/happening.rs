//! Happenings are the events that a notice can wait for.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An event that a notice waits for. A notice that says that something *happened* waits for one of
/// these, never for the hour alone.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Happening {
    /// The upgrade is known to herald.
    Planned,
    /// The proposal can be read and answered.
    UnderReview,
    /// People may choose a window.
    WindowProposed,
    /// The window is known.
    WindowSet,
    /// The duties or the target versions differ from those that were announced.
    Changed,
    /// The final checks are passed.
    Go,
    /// The final checks are not passed.
    NoGo,
    /// The window has been open for long, operators were asked, and nothing was authorized.
    Delayed,
    /// The upgrade will not happen.
    Cancelled,
    /// The upgrade was tried and did not work.
    Failed,
    /// There is guidance on taking the upgrade back.
    RolledBack,
    /// The documentation speaks of the new runtime.
    Documented,
    /// The review after the upgrade can be read.
    Reviewed,
    /// The votes on the window were counted.
    PollClosed,
    /// A notice is due and was not approved.
    Held,
    /// A notice was held until it was of no use any more.
    Expired,
    /// A change of files, or a command, was refused.
    Refused,
    /// Providers have not answered a notice that asks for it.
    Unacknowledged,
    /// Providers are not ready.
    Unready,
    /// The time to answer, or to be ready, is over.
    RollCalled,
    /// Several people have the same problem.
    ProblemRaised,
    /// The draft of the review after the upgrade is ready.
    ReviewDrafted,
    /// A chain shows an upgrade that nobody announced.
    Unplanned,
    /// The referendum on the upgrade moved on.
    Referendum,
    /// The upgrade's call is to be dispatched at a known block.
    Scheduled,
    /// The upgrade's call was dispatched, and succeeded.
    Dispatched,
    /// The upgrade's call was dispatched, and failed.
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
    /// Every chain has been healthy for `verification.healthy_for` since it was applied.
    Verified,
    /// Every chain has stayed healthy for `verification.complete_after` more.
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
    /// People say something that nobody planned; no plan has a notice of it.
    Said,
    /// herald itself can't see a chain.
    Blind,
    /// herald sees the chain again.
    Sighted,
}

impl Happening {
    pub const ALL: [Happening; 54] = [
        Self::Planned,
        Self::UnderReview,
        Self::WindowProposed,
        Self::WindowSet,
        Self::Changed,
        Self::Go,
        Self::NoGo,
        Self::Delayed,
        Self::Cancelled,
        Self::Failed,
        Self::RolledBack,
        Self::Documented,
        Self::Reviewed,
        Self::PollClosed,
        Self::Held,
        Self::Expired,
        Self::Refused,
        Self::Unacknowledged,
        Self::Unready,
        Self::RollCalled,
        Self::ProblemRaised,
        Self::ReviewDrafted,
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
            Self::Planned => "planned",
            Self::UnderReview => "under_review",
            Self::WindowProposed => "window_proposed",
            Self::WindowSet => "window_set",
            Self::Changed => "changed",
            Self::Go => "go",
            Self::NoGo => "no_go",
            Self::Delayed => "delayed",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
            Self::RolledBack => "rolled_back",
            Self::Documented => "documented",
            Self::Reviewed => "reviewed",
            Self::PollClosed => "poll_closed",
            Self::Held => "held",
            Self::Expired => "expired",
            Self::Refused => "refused",
            Self::Unacknowledged => "unacknowledged",
            Self::Unready => "unready",
            Self::RollCalled => "roll_called",
            Self::ProblemRaised => "problem_raised",
            Self::ReviewDrafted => "review_drafted",
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
            Self::Said => "said",
            Self::Blind => "blind",
            Self::Sighted => "sighted",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|h| h.name() == name)
    }

    /// True if only operators hear of it, since it says nothing of the chain itself.
    pub fn for_operators(self) -> bool {
        matches!(
            self,
            Self::Blind
                | Self::Sighted
                | Self::Unexamined
                | Self::Overdue
                | Self::PollClosed
                | Self::Held
                | Self::Expired
                | Self::Refused
                | Self::RollCalled
                | Self::ProblemRaised
                | Self::ReviewDrafted
        )
    }

    /// True if no fact of a block stands behind it.
    pub fn without_fact(self) -> bool {
        matches!(
            self,
            Self::Planned
                | Self::UnderReview
                | Self::WindowProposed
                | Self::WindowSet
                | Self::Rescheduled
                | Self::Changed
                | Self::Go
                | Self::NoGo
                | Self::Cancelled
                | Self::Failed
                | Self::RolledBack
                | Self::Documented
                | Self::Reviewed
                | Self::PollClosed
                | Self::Held
                | Self::Expired
                | Self::Refused
                | Self::Said
                | Self::Unacknowledged
                | Self::Unready
                | Self::RollCalled
                | Self::ProblemRaised
                | Self::ReviewDrafted
                | Self::FeedbackClosed
        )
    }

    /// True if it speaks of the window, so that a post of it is wrong once the window is another.
    pub fn of_the_window(self) -> bool {
        matches!(
            self,
            Self::Planned
                | Self::WindowProposed
                | Self::WindowSet
                | Self::Rescheduled
                | Self::Go
                | Self::NoGo
                | Self::Delayed
        )
    }

    /// True if it takes back what was said; a post of it then answers the last post in its channel.
    pub fn answers(self) -> bool {
        matches!(
            self,
            Self::Rescheduled
                | Self::Changed
                | Self::NoGo
                | Self::Delayed
                | Self::Cancelled
                | Self::Failed
                | Self::RolledBack
        )
    }
}
