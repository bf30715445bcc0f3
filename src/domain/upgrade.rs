//! An upgrade: one campaign, as its file describes it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::notice::Audience;

/// How much notice people get.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Urgency {
    Routine,
    Expedited,
    Emergency,
}

/// Who enacts the upgrade.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    Sudo,
    Governance,
    /// Of an upgrade that nobody announced.
    Unknown,
}

/// The time in which the upgrade is to be enacted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    pub opens: Timestamp,
    pub closes: Timestamp,
}

/// What one audience must do.
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
    pub window: Window,
    pub chains: BTreeMap<String, Target>,
    pub changes: Vec<String>,
    pub links: Vec<Link>,
    pub duties: BTreeMap<Audience, Duty>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub referendum: Option<Referendum>,
    /// Nobody announced it: herald opened the campaign when the chain showed it. Targets are what is known.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unplanned: bool,
    /// The id of the file that joined a campaign nobody had planned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joined: Option<String>,
}
