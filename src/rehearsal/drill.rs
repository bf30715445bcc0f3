//! Drills: upgrades that went wrong, as files.
//!
//! A drill is a file with the times that were published. The chain's own blocks can't be had, so they are made from
//! these times.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::domain::{
    campaign::upgrade::Urgency, chain::pending::PendingChanges, plan::notice::Happening,
};

/// The drills by their names.
pub const DRILLS: [(&str, &str); 6] = [
    (
        "kusama-2025-05-09",
        include_str!("drills/kusama-2025-05-09.yaml"),
    ),
    ("laos-2026-03", include_str!("drills/laos-2026-03.yaml")),
    ("wrong-code", include_str!("drills/wrong-code.yaml")),
    ("short-notice", include_str!("drills/short-notice.yaml")),
    ("call-fails", include_str!("drills/call-fails.yaml")),
    ("half-way", include_str!("drills/half-way.yaml")),
];

/// An upgrade as it is known to have gone.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drill {
    pub title: String,
    /// Where the times are from.
    pub sources: Vec<String>,
    /// What is made, since it is not known or could not be had.
    pub made: String,
    pub chain: String,
    pub upgrade: DrillUpgrade,
    pub begins: Timestamp,
    pub ends: Timestamp,
    pub first_block: u64,
    pub session: Option<u32>,
    #[serde(default)]
    pub parachains: Vec<u32>,
    pub steps: Vec<DrillStep>,
    pub known: Vec<KnownThen>,
    pub truth: Truth,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DrillUpgrade {
    pub title: String,
    #[serde(default = "routine")]
    pub urgency: Urgency,
    /// The time at which herald reads the file of the upgrade.
    pub accepted: Timestamp,
    pub opens: Timestamp,
    pub closes: Timestamp,
    pub from: u32,
    pub to: u32,
    pub code_hash: Option<String>,
}

fn routine() -> Urgency {
    Urgency::Routine
}

/// What happens on the chain from a moment on.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DrillStep {
    pub at: Timestamp,
    /// An event in the next block.
    pub event: Option<DrillEvent>,
    /// The version that has run.
    pub version: Option<u32>,
    /// The hash of the code that runs.
    pub code: Option<String>,
    pub session: Option<u32>,
    /// What the upgrade has set in motion.
    pub pending: Option<PendingChanges>,
    /// The blocks that become final with each that is made, from 0 to 1.
    pub finality: Option<f64>,
    /// No block is made.
    pub stands: Option<bool>,
    /// The transactions in a block.
    pub transactions: Option<u32>,
    /// Parachains that make no block any more, and such that do again.
    #[serde(default)]
    pub stop: Vec<u32>,
    #[serde(default)]
    pub back: Vec<u32>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DrillEvent {
    pub pallet: String,
    pub name: String,
    #[serde(default)]
    pub fields: Value,
}

/// What people knew.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownThen {
    pub at: Timestamp,
    pub text: String,
}

/// What herald should say.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Truth {
    /// The time at which it could be said first.
    pub since: Timestamp,
    pub happenings: Vec<Happening>,
    /// An all-clear from this moment on is a false one.
    pub no_all_clear_from: Option<Timestamp>,
}

impl Drill {
    /// The drill of a name.
    pub fn named(name: &str) -> Option<Result<Self, String>> {
        let (_, text) = DRILLS.iter().find(|(drill, _)| *drill == name)?;
        Some(serde_yaml::from_str(text).map_err(|e| format!("{name}: {e}")))
    }
}
