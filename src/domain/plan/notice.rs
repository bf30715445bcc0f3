//! A notice of the communication plan: what is said to whom, where, when and by which template.

use jiff::SignedDuration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{EnumIter, IntoEnumIterator, IntoStaticStr};

use super::schedule::{CronRule, Offset};

pub use super::happening::Happening;

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
    JsonSchema,
    EnumIter,
    IntoStaticStr,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Audience {
    /// Who run nodes.
    Validators,
    /// Who build on the chain.
    Developers,
    /// Who use it.
    Users,
}

impl Audience {
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// The five phases of the process.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    JsonSchema,
    EnumIter,
    IntoStaticStr,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "Train-Case")]
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
    /// The phase in words: `Post-Deployment`.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// The moment at which a notice is due.
#[derive(Clone, Debug, PartialEq)]
pub enum Trigger {
    /// Before or after the window opens.
    At(Offset),
    /// A repeated civil time between two offsets from the window.
    Cron(Box<CronRule>),
    /// As soon as something has happened.
    On(Happening),
}

impl Trigger {
    /// The notice is due at an hour that the window sets, and waits for no happening.
    pub fn is_by_clock(&self) -> bool {
        match self {
            Self::At(_) | Self::Cron(_) => true,
            Self::On(_) => false,
        }
    }
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

/// The agreement that a notice needs before it is posted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Approval {
    /// How many different people: none, one or two.
    pub persons: u32,
    /// People are asked so long before the notice is due.
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
    /// The posts are edited when a chain of the upgrade moves on.
    pub live: bool,
    /// A picture of the block times goes with it.
    pub picture: bool,
    /// The notice is posted so long after what it waits for.
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
    /// Those of its channels whose posts are handed on to the servers that follow them.
    pub published: Vec<String>,
    /// The one of its channels in whose server the window stands in the calendar.
    pub calendar: Option<String>,
    /// The topic of help.yaml it points to.
    pub help: Option<String>,
}

impl Notice {
    pub fn new(
        id: impl Into<String>,
        phase: Phase,
        template: impl Into<String>,
        trigger: Trigger,
    ) -> Self {
        Self {
            id: id.into(),
            phase,
            template: template.into(),
            trigger,
            audiences: Audience::iter().collect(),
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
            published: Vec::new(),
            calendar: None,
            help: None,
        }
    }

    /// Words that nobody planned.
    pub fn said() -> Self {
        Self::new(
            SAID,
            Phase::Execution,
            "scheduling/said",
            Trigger::On(Happening::Said),
        )
    }

    /// A reminder that somebody has asked for.
    pub fn private() -> Self {
        let notice = Self::new(
            PRIVATE,
            Phase::Scheduling,
            "scheduling/private",
            Trigger::At(Offset::Exact(-3600)),
        );
        Self {
            late: LatePolicy::Skip,
            ..notice
        }
    }

    /// The notice speaks of the window as it was when it was posted.
    pub fn of_the_window(&self) -> bool {
        match &self.trigger {
            Trigger::At(_) | Trigger::Cron(_) => true,
            Trigger::On(happening) => happening.of_the_window(),
        }
    }
}
