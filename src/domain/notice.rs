//! A notice of the communication plan: what is said to whom, where, when and by which template.

use jiff::SignedDuration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schedule::{CronRule, Offset};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Audience {
    /// Who run nodes.
    Validators,
    /// Who build on the chain.
    Developers,
    /// Who use it.
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// What is to come.
    Preparation,
    /// When it is.
    Scheduling,
    /// It happens.
    Execution,
    /// Is it well?
    Validation,
    /// What there is to say afterwards.
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
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
    /// What people must do, or the versions to come, are others than were announced.
    Changed,
    /// The final checks are passed.
    Go,
    /// The final checks are not passed.
    NoGo,
    /// The window is open for long, operators were asked, and nothing was authorized.
    Delayed,
    /// The upgrade will not be.
    Cancelled,
    /// It was tried and did not work.
    Failed,
    /// There is guidance on taking it back.
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
    /// The review after the upgrade can be written: its draft.
    ReviewDrafted,
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
    /// People say something that nobody planned: no plan has a notice of it.
    Said,
    /// herald itself can't see a chain.
    Blind,
    /// It sees it again.
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

    /// What is for operators alone: that herald can't see, or has not seen, says nothing of the chain.
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

    /// No fact of a block stands behind it.
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

    /// It speaks of the window, so that a post of it is wrong once the window is another.
    pub fn of_the_window(self) -> bool {
        matches!(self, Self::Planned | Self::WindowProposed | Self::WindowSet | Self::Rescheduled | Self::Go | Self::NoGo | Self::Delayed)
    }

    /// It takes back what was said, so it answers the last post in its channel.
    pub fn answers(self) -> bool {
        matches!(self, Self::Rescheduled | Self::Changed | Self::NoGo | Self::Delayed | Self::Cancelled | Self::Failed | Self::RolledBack)
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

/// What becomes of a notice that could not be posted in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LatePolicy {
    /// It is posted, and says that it is late.
    #[default]
    Post,
    /// It is left out.
    Skip,
    /// Of several missed in a channel, only the newest is posted.
    Newest,
}

/// Who has to agree before a notice is posted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Approval {
    /// How many different people: none, one or two.
    pub persons: u32,
    /// They are asked so long before it is due.
    pub ask_before: SignedDuration,
    /// Held for longer than this, it is of no use any more.
    pub useful_for: SignedDuration,
}

/// The notice of words that nobody planned; no notice of a plan has this name.
pub const SAID: &str = "said";
/// The notice of a reminder that somebody has asked for; no notice of a plan has this name either.
pub const PRIVATE: &str = "private";

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
    /// So long after what it waits for.
    pub delay: SignedDuration,
    /// Groups of people, as channels name them, that are notified.
    pub mention: Vec<String>,
    /// People are asked to answer that they have seen it.
    pub acknowledge: bool,
    pub approval: Approval,
    pub late: LatePolicy,
    /// Items of the checklist that must be ticked before it is posted.
    pub needs: Vec<String>,
    /// The status board: edited with every step, and with what the plan shows on the board alone.
    pub board: bool,
    /// The topic of help.yaml it points to.
    pub help: Option<String>,
}

impl Notice {
    pub fn new(id: impl Into<String>, phase: Phase, template: impl Into<String>, trigger: Trigger) -> Self {
        Self {
            id: id.into(),
            phase,
            template: template.into(),
            trigger,
            audiences: Audience::ALL.to_vec(),
            channels: Vec::new(),
            feedback: false,
            live: false,
            picture: false,
            delay: SignedDuration::ZERO,
            mention: Vec::new(),
            acknowledge: false,
            approval: Approval::default(),
            late: LatePolicy::Post,
            needs: Vec::new(),
            board: false,
            help: None,
        }
    }

    /// Words that nobody planned.
    pub fn said() -> Self {
        Self::new(SAID, Phase::Execution, "scheduling/said", Trigger::On(Happening::Said))
    }

    /// A reminder that somebody has asked for.
    pub fn private() -> Self {
        let notice = Self::new(PRIVATE, Phase::Scheduling, "scheduling/private", Trigger::At(Offset::Exact(-3600)));
        Self { late: LatePolicy::Skip, ..notice }
    }

    /// It speaks of the window as it was when it was posted.
    pub fn of_the_window(&self) -> bool {
        match &self.trigger {
            Trigger::At(_) | Trigger::Cron(_) => true,
            Trigger::On(happening) => happening.of_the_window(),
        }
    }
}
