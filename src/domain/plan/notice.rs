//! A notice of the communication plan says something: to whom, where, when and by which template.

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{EnumIter, IntoEnumIterator, IntoStaticStr};

use super::schedule::{CronRule, Offset};

use super::happening::ALL_CLEAR;

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
    /// People who run nodes.
    Validators,
    /// People who build on the chain.
    Developers,
    /// People who use the chain.
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
    /// People learn what is to come.
    Preparation,
    /// People learn when it comes.
    Scheduling,
    /// The upgrade happens.
    Execution,
    /// The upgrade is verified.
    Validation,
    /// People learn what is to be said afterwards.
    PostDeployment,
}

impl Phase {
    /// The phase in words: `Post-Deployment`.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// The trigger decides when a notice is due.
#[derive(Clone, Debug, PartialEq)]
pub enum Trigger {
    /// The notice is due before or after the window opens.
    At(Offset),
    /// The notice is due at a repeated civil time between two offsets from the window.
    Cron(Box<CronRule>),
    /// As soon as something has happened.
    On(Happening),
}

impl Trigger {
    /// The key under which a notice's file has it.
    pub fn key(&self) -> &'static str {
        match self {
            Self::At(_) => "at",
            Self::Cron(_) => "cron",
            Self::On(_) => "on",
        }
    }

    /// The notice is due at an hour that the window sets, and waits for no happening.
    pub fn is_by_clock(&self) -> bool {
        match self {
            Self::At(_) | Self::Cron(_) => true,
            Self::On(_) => false,
        }
    }

    /// The times by the clock at which the notice is due, for a window that opens at `opens`.
    pub fn times(&self, opens: Timestamp, zone: &TimeZone) -> Vec<Timestamp> {
        match self {
            Self::At(offset) => offset.from(opens, zone).into_iter().collect(),
            Self::Cron(rule) => rule.occurrences(opens, zone),
            Self::On(_) => Vec::new(),
        }
    }

    /// A happening that a fact stands behind, if the notice waits for one.
    pub fn happening_with_fact(&self) -> Option<Happening> {
        match self {
            Self::At(_) | Self::Cron(_) => None,
            Self::On(happening) => Some(*happening).filter(|h| !h.without_fact()),
        }
    }
}

/// The policy for a notice that could not be posted in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LatePolicy {
    /// The notice is posted, and says that it is late.
    #[default]
    Post,
    /// The notice is left out.
    Skip,
    /// Only the newest of several missed notices in a channel is posted.
    Newest,
}

/// The policy for a notice by the clock whose time was over before its upgrade was accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MissedPolicy {
    /// The notice is posted as soon as the upgrade is accepted.
    Now,
    /// The notice is left out.
    #[default]
    Skip,
}

impl MissedPolicy {
    /// The policy of a notice that names none: people have to learn what is to come, and need no reminder of what
    /// they have just learned.
    pub fn of(phase: Phase) -> Self {
        match phase {
            Phase::Preparation => Self::Now,
            Phase::Scheduling | Phase::Execution | Phase::Validation | Phase::PostDeployment => {
                Self::Skip
            }
        }
    }
}

/// The approval that a notice needs before it is posted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Approval {
    /// The number of different people who have to agree: none, one or two.
    pub persons: u32,
    /// People are asked this long before the notice is due.
    pub ask_before: SignedDuration,
    /// A notice that is held for longer than this is of no use any more.
    pub useful_for: SignedDuration,
}

/// The id of the notice for words that nobody planned; no notice of a plan has it.
pub const SAID_NOTICE: &str = "said";
/// The id of the notice for a reminder that somebody asked for; no notice of a plan has it either.
pub const PRIVATE_NOTICE: &str = "private";

/// One notice of the plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    pub id: String,
    /// What people read of the notice before it is posted: `Reminder, one week before`.
    pub title: String,
    pub phase: Phase,
    /// The template's path below `templates/`, without the ending: `execution/applied`.
    pub template: String,
    pub trigger: Trigger,
    pub audiences: Vec<Audience>,
    pub channels: Vec<String>,
    /// True if a feedback thread opens below the post.
    pub feedback: bool,
    /// True if the posts are edited when a chain of the upgrade moves on.
    pub live: bool,
    /// True if a picture of the block times goes with the post.
    pub picture: bool,
    /// The notice is posted this long after the happening that it waits for.
    pub delay: SignedDuration,
    /// The groups of people who are notified, as channels name them.
    pub mention: Vec<String>,
    /// True if people are asked to answer that they have seen it.
    pub acknowledge: bool,
    pub approval: Approval,
    pub late: LatePolicy,
    pub if_missed: MissedPolicy,
    /// The items of the checklist that must be ticked before it is posted.
    pub needs: Vec<String>,
    /// True for the status board, which is edited with every step.
    pub board: bool,
    /// The channels whose posts are handed on to the servers that follow them.
    pub published: Vec<String>,
    /// The channel in whose server the window stands in the calendar.
    pub calendar: Option<String>,
    /// The topic of help.yaml that the notice points to.
    pub help: Option<String>,
}

impl Notice {
    pub fn new(
        id: impl Into<String>,
        phase: Phase,
        template: impl Into<String>,
        trigger: Trigger,
    ) -> Self {
        let id = id.into();
        Self {
            title: id.replace('-', " "),
            id,
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
            if_missed: MissedPolicy::Skip,
            needs: Vec::new(),
            board: false,
            published: Vec::new(),
            calendar: None,
            help: None,
        }
    }

    /// Returns whether it tells of the upgrade's file without an approval of its own, so that it comes behind a notice that
    /// was approved.
    pub fn repeats_the_announcement(&self) -> bool {
        let of_the_file = matches!(
            self.trigger,
            Trigger::On(Happening::Planned | Happening::WindowSet)
        );
        of_the_file && self.approval.persons == 0
    }

    /// Makes the notice for words that nobody planned.
    pub fn said() -> Self {
        Self::new(
            SAID_NOTICE,
            Phase::Execution,
            "scheduling/said",
            Trigger::On(Happening::Said),
        )
    }

    /// Makes the notice for a reminder that somebody asked for.
    pub fn private() -> Self {
        let notice = Self::new(
            PRIVATE_NOTICE,
            Phase::Scheduling,
            "scheduling/private",
            Trigger::At(Offset::Exact(-3600)),
        );
        Self {
            late: LatePolicy::Skip,
            ..notice
        }
    }

    /// True if the notice says that all chains are well, at the moment at which they are.
    pub fn gives_all_clear(&self) -> bool {
        let is_clear =
            matches!(self.trigger, Trigger::On(happening) if ALL_CLEAR.contains(&happening));
        is_clear && self.delay.is_zero()
    }

    /// True if the notice speaks of the window as it was when it was posted.
    pub fn of_the_window(&self) -> bool {
        match &self.trigger {
            Trigger::At(_) | Trigger::Cron(_) => true,
            Trigger::On(happening) => happening.of_the_window(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trigger_says_when_its_notice_is_due_and_of_what_it_speaks() {
        let opens: Timestamp = "2026-12-10T12:00:00Z".parse().unwrap();
        let daily = CronRule::new(
            "0 9 * * *",
            TimeZone::UTC,
            Offset::Days(-2),
            Offset::Exact(0),
        );
        let cron = Trigger::Cron(Box::new(daily.unwrap()));
        let on = Trigger::On;
        // The key, the times, whether it goes by the clock and speaks of the window, and the happening that a fact is behind.
        let hour_before = ["2026-12-10T11:00:00Z"].as_slice();
        let mornings = ["2026-12-09T09:00:00Z", "2026-12-10T09:00:00Z"].as_slice();
        let rows = [
            (
                Trigger::At(Offset::Exact(-3600)),
                "at",
                hour_before,
                true,
                true,
                None,
            ),
            (cron, "cron", mornings, true, true, None),
            (on(Happening::Go), "on", &[], false, true, None),
            (on(Happening::Cancelled), "on", &[], false, false, None),
            (
                on(Happening::Applied),
                "on",
                &[],
                false,
                false,
                Some(Happening::Applied),
            ),
        ];
        for (trigger, key, times, by_clock, of_the_window, with_fact) in rows {
            assert_eq!(trigger.key(), key);
            let due = trigger.times(opens, &TimeZone::UTC);
            let due: Vec<String> = due.iter().map(Timestamp::to_string).collect();
            assert_eq!(due, times);
            assert_eq!(trigger.is_by_clock(), by_clock);
            assert_eq!(trigger.happening_with_fact(), with_fact);
            let notice = Notice::new("a", Phase::Execution, "", trigger);
            assert_eq!(notice.of_the_window(), of_the_window, "{notice:?}");
        }
    }

    #[test]
    fn words_and_reminders_that_no_plan_has_are_notices_too() {
        let said = Notice::said();
        assert_eq!(
            (said.id.as_str(), said.late),
            (SAID_NOTICE, LatePolicy::Post)
        );
        assert_eq!(said.trigger, Trigger::On(Happening::Said));
        let private = Notice::private();
        assert_eq!(
            (private.id.as_str(), private.late),
            (PRIVATE_NOTICE, LatePolicy::Skip)
        );
        assert_eq!(private.trigger, Trigger::At(Offset::Exact(-3600)));
    }

    #[test]
    fn names_are_those_of_files_and_of_headings() {
        assert_eq!(Phase::PostDeployment.name(), "Post-Deployment");
        assert_eq!(Audience::Developers.name(), "developers");
    }
}
