//! An [`Upgrade`] holds what an upgrade's file says.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{EnumIter, IntoStaticStr};

use crate::domain::plan::notice::Audience;

/// The urgency decides how much notice people get.
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
pub enum Urgency {
    /// People get weeks of notice.
    Routine,
    /// People get a day of notice.
    Expedited,
    /// The upgrade comes at once: providers have 48 hours.
    Emergency,
}

impl Urgency {
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// The method says who enacts the upgrade.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// The holder of the sudo key enacts it.
    Sudo,
    /// A referendum enacts it.
    Governance,
    /// Nobody announced the upgrade, so the method is not known.
    #[schemars(skip)]
    Unknown,
}

/// The time in which the upgrade is to be enacted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    pub opens: Timestamp,
    pub closes: Timestamp,
}

/// A poll lets people choose one of several windows by reacting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Poll {
    /// There are two to nine windows, in the order of their numbers.
    pub windows: Vec<Window>,
    /// Votes are counted at this time.
    pub decide_by: Timestamp,
}

/// The decision that people made at the final checks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    Go,
    /// Notices by the clock are held until this decision is taken back. The text is the reason.
    NoGo(String),
}

/// A step that people take and no chain shows: told once, when the upgrade's file or a command says so.
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
pub enum Step {
    /// The proposal can be read and answered.
    UnderReview,
    /// The runtime is being taken back, or a fix is on its way: there is guidance.
    RolledBack,
    /// The documentation speaks of the new runtime.
    Documented,
    /// The review after the upgrade can be read.
    Reviewed,
}

impl Step {
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// The duty of one audience.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Duty {
    pub required: bool,
    pub what: String,
    pub node_version: Option<String>,
    pub by: Option<Timestamp>,
}

/// One chain that the upgrade touches, and the `spec_version` that it is to run afterwards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    pub spec_version: u32,
    /// The hash of the code that is to run, where the file names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code_hash: Option<String>,
}

/// The referendum that decides on an upgrade.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Referendum {
    pub chain: String,
    pub index: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    pub name: String,
    pub url: String,
}

/// An upgrade as its file describes it: what changes, where, when, and what each audience must do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upgrade {
    pub id: String,
    pub title: String,
    pub summary: String,
    pub urgency: Urgency,
    pub method: Method,
    /// While a poll is open, this is the first window that people can choose.
    pub window: Window,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub poll: Option<Poll>,
    pub chains: BTreeMap<String, Target>,
    pub changes: Vec<String>,
    pub links: Vec<Link>,
    pub duties: BTreeMap<Audience, Duty>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub referendum: Option<Referendum>,
    /// The guidance for the case that it goes wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<String>,
    /// The steps that people have taken, each with the place to read of it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub steps: BTreeMap<Step, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,
    /// The reason, if the upgrade will not happen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancelled: Option<String>,
    /// The reason, if the upgrade was tried and did not work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
    /// True if nobody announced the upgrade: herald opened the campaign when a chain showed it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unplanned: bool,
    /// The id of the file that joined this campaign, if nobody had planned it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joined: Option<String>,
}

impl Upgrade {
    /// Makes an upgrade with a title, a window and chains; the caller fills in the rest.
    pub fn new(
        id: impl Into<String>,
        title: impl Into<String>,
        window: Window,
        chains: BTreeMap<String, Target>,
    ) -> Self {
        Self {
            id: id.into(),
            title: title.into(),
            summary: String::new(),
            urgency: Urgency::Routine,
            method: Method::Sudo,
            window,
            poll: None,
            chains,
            changes: Vec::new(),
            links: Vec::new(),
            duties: BTreeMap::new(),
            referendum: None,
            rollback: None,
            steps: BTreeMap::new(),
            decision: None,
            cancelled: None,
            failed: None,
            unplanned: false,
            joined: None,
        }
    }

    /// Returns the reason why notices by the clock are held, if they are.
    pub fn no_go(&self) -> Option<&str> {
        match &self.decision {
            Some(Decision::NoGo(reason)) => Some(reason),
            _ => None,
        }
    }

    /// Returns the reason why the upgrade was given up, if it was.
    pub fn reason(&self) -> Option<&str> {
        self.cancelled.as_deref().or(self.failed.as_deref())
    }

    /// The time until which people answer what they were asked at `asked`: `within` so long, but before the deadline of
    /// validators and before the window opens, where these are still to come.
    pub fn answer_by(&self, asked: Timestamp, within: SignedDuration) -> Timestamp {
        let deadline = self
            .duties
            .get(&Audience::Validators)
            .and_then(|duty| duty.by);
        let opens = self.poll.is_none().then_some(self.window.opens);
        let to_come = [deadline, opens]
            .into_iter()
            .flatten()
            .filter(|at| *at > asked);
        let by = asked.checked_add(within).unwrap_or(Timestamp::MAX);
        to_come.fold(by, Timestamp::min)
    }

    /// True if the upgrade was cancelled or has failed, so that nobody goes on with it.
    pub fn given_up(&self) -> bool {
        self.cancelled.is_some() || self.failed.is_some()
    }
}

#[cfg(test)]
mod tests {
    use strum::IntoEnumIterator;

    use super::*;

    #[test]
    fn an_upgrade_is_given_up_either_way_and_says_why() {
        let window = Window {
            opens: Timestamp::UNIX_EPOCH,
            closes: Timestamp::UNIX_EPOCH,
        };
        let upgrade = Upgrade::new("v2", "Two", window, BTreeMap::new());
        let fault = |is: bool| is.then(|| "a fault".to_owned());
        for (cancelled, failed) in [(false, false), (true, false), (false, true)] {
            let over = Upgrade {
                cancelled: fault(cancelled),
                failed: fault(failed),
                ..upgrade.clone()
            };
            let is_over = cancelled || failed;
            assert_eq!(over.given_up(), is_over);
            assert_eq!(over.reason(), is_over.then_some("a fault"));
        }
        let decided = |decision| {
            let upgrade = Upgrade {
                decision,
                ..upgrade.clone()
            };
            upgrade.no_go().map(str::to_owned)
        };
        let no_go = Some(Decision::NoGo("a fault".to_owned()));
        assert_eq!(decided(no_go), fault(true));
        assert_eq!((decided(Some(Decision::Go)), decided(None)), (None, None));
    }

    #[test]
    fn names_are_those_of_files() {
        for step in Step::iter() {
            assert_eq!(serde_json::to_value(step).unwrap(), step.name());
        }
        for urgency in Urgency::iter() {
            assert_eq!(serde_json::to_value(urgency).unwrap(), urgency.name());
        }
    }

    #[test]
    fn an_answer_is_wanted_before_the_deadline_and_before_the_window() {
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        let window = Window {
            opens: at(1_000),
            closes: at(2_000),
        };
        let mut upgrade = Upgrade::new("v2", "Two", window.clone(), BTreeMap::new());
        let by = |upgrade: &Upgrade, asked: i64, within: i64| {
            let by = upgrade.answer_by(at(asked), SignedDuration::from_secs(within));
            by.as_second()
        };
        assert_eq!(by(&upgrade, 100, 200), 300, "in time anyway");
        assert_eq!(by(&upgrade, 900, 200), 1_000, "before the window");
        assert_eq!(by(&upgrade, 1_000, 200), 1_200, "which is open already");
        let duty = Duty {
            required: true,
            what: "Update".into(),
            node_version: None,
            by: Some(at(700)),
        };
        upgrade.duties.insert(Audience::Validators, duty);
        assert_eq!(by(&upgrade, 600, 200), 700, "before the deadline");
        assert_eq!(by(&upgrade, 700, 200), 900, "which is over");
        upgrade.duties.clear();
        upgrade.poll = Some(Poll {
            windows: vec![window.clone(), window],
            decide_by: at(500),
        });
        assert_eq!(by(&upgrade, 900, 200), 1_100, "no window is set");
    }
}
