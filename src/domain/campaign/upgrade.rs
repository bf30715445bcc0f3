//! An upgrade: one campaign, as its file describes it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{EnumIter, IntoStaticStr};

use crate::domain::plan::notice::Audience;

/// How much notice people get.
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
    /// Weeks.
    Routine,
    /// A day.
    Expedited,
    /// At once: providers have 48 hours.
    Emergency,
}

impl Urgency {
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// Who enacts the upgrade.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// Who holds the sudo key.
    Sudo,
    /// A referendum.
    Governance,
    /// Of an upgrade that nobody announced.
    #[schemars(skip)]
    Unknown,
}

/// The time in which the upgrade is to be enacted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    pub opens: Timestamp,
    pub closes: Timestamp,
}

/// Windows that people choose from, by reacting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Poll {
    /// Two to nine, in the order of their numbers.
    pub windows: Vec<Window>,
    /// Votes are counted then.
    pub decide_by: Timestamp,
}

/// The decision of people at the final checks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    Go,
    /// And why: notices by the clock are held until it is taken back.
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

/// The things that one audience must do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Duty {
    pub required: bool,
    pub what: String,
    pub node_version: Option<String>,
    pub by: Option<Timestamp>,
}

/// One chain the upgrade touches, and the `spec_version` it is to run afterwards.
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

/// One campaign: what changes, where, when, and what each audience must do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upgrade {
    pub id: String,
    pub title: String,
    pub summary: String,
    pub urgency: Urgency,
    pub method: Method,
    /// While people still choose one, the first they choose from.
    pub window: Window,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub poll: Option<Poll>,
    pub chains: BTreeMap<String, Target>,
    pub changes: Vec<String>,
    pub links: Vec<Link>,
    pub duties: BTreeMap<Audience, Duty>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub referendum: Option<Referendum>,
    /// The way back if it goes wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<String>,
    /// Steps that people have taken, and where to read of them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub steps: BTreeMap<Step, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,
    /// The reason why it will not be, if that is so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancelled: Option<String>,
    /// The reason why it did not work when it was tried, if that is so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
    /// Nobody announced it: herald opened the campaign when the chain showed it. Targets are what is known.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unplanned: bool,
    /// The id of the file that joined a campaign nobody had planned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joined: Option<String>,
}

impl Upgrade {
    /// One with a title, a window and chains: the rest is to be filled in.
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

    /// Why its notices by the clock are held, if they are.
    pub fn no_go(&self) -> Option<&str> {
        match &self.decision {
            Some(Decision::NoGo(reason)) => Some(reason),
            _ => None,
        }
    }

    /// Nobody goes on with it.
    pub fn given_up(&self) -> bool {
        self.cancelled.is_some() || self.failed.is_some()
    }
}
