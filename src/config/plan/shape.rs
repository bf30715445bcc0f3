//! The shapes of plan.yaml, as they are read and as its schema shows them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    config::{
        notice::RawNotice,
        yaml::kinds::{self, Length, SomeLength},
    },
    domain::{campaign::progress::Awaited, plan::notice::Happening},
    ports::Readers,
};

/// The communication plan: what is said to whom, where and when.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawPlan {
    /// In which people write times: an IANA name, such as Europe/Berlin.
    #[schemars(with = "kinds::Zone")]
    pub(super) zone: String,
    /// The place where people live.
    pub(super) people: Option<RawPeople>,
    /// The rules by which an upgrade counts as verified and completed.
    #[serde(default)]
    pub(super) verification: RawVerification,
    /// The limits beyond which something is worth a word.
    #[serde(default)]
    pub(super) observation: RawObservation,
    /// The readers who hear of an upgrade that no file speaks of.
    #[serde(default)]
    pub(super) unplanned: Readers,
    /// For how long it is heard, and what reactions mean.
    pub(super) feedback: RawFeedback,
    /// The reaction that says "seen".
    #[serde(default = "seen")]
    #[schemars(with = "kinds::Emoji")]
    pub(super) acknowledge: String,
    /// The plan of each urgency, with what it has of its own.
    #[serde(default)]
    pub(super) plans: RawPlans,
    /// The notices of every urgency, behind those of its own.
    #[serde(default)]
    pub(super) notices: Vec<RawNotice>,
    /// The events that are shown on the status board alone.
    #[serde(default)]
    #[schemars(with = "Vec<Happening>")]
    pub(super) board: Vec<String>,
    /// The events that nobody is told of, on purpose.
    #[serde(default)]
    #[schemars(with = "Vec<Happening>")]
    pub(super) silent: Vec<String>,
}

fn seen() -> String {
    "✅".into()
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawPlans {
    /// Weeks of notice.
    pub(super) routine: RawUrgency,
    /// A day.
    pub(super) expedited: RawUrgency,
    /// At once.
    pub(super) emergency: RawUrgency,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawUrgency {
    /// People hear of it at least so long before the window: 7d.
    #[schemars(with = "Option<Length>")]
    pub(super) least_notice: Option<String>,
    /// The most posts in one channel on one day, when all goes well.
    #[schemars(range(min = 1))]
    pub(super) posts_per_day: Option<u32>,
    /// The most posts of an upgrade that notify people in one channel, when all goes well.
    #[schemars(range(min = 1))]
    pub(super) mentions_per_upgrade: Option<u32>,
    /// The time to acknowledge a notice that asks for it; 72h without, 48h in an emergency.
    #[schemars(with = "Option<Length>")]
    pub(super) acknowledge_within: Option<String>,
    /// The reminders of providers who have not answered yet, or are not ready.
    pub(super) remind: RawRemind,
    /// The rules for when a window may open.
    pub(super) window: RawWindowRules,
    /// The urgency's own notices.
    pub(super) notices: Vec<RawNotice>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawRemind {
    /// Times after the notice that asks: [24h, 48h].
    #[schemars(with = "Vec<SomeLength>", length(max = 9))]
    pub(super) unacknowledged: Vec<String>,
    /// Times before they are to be ready: [24h, 6h].
    #[schemars(with = "Vec<SomeLength>", length(max = 9))]
    pub(super) unready: Vec<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawWindowRules {
    /// On a Saturday or Sunday, in the plan's zone.
    pub(super) weekends: bool,
    /// While it is night for some of the people.
    pub(super) nights: bool,
}
impl Default for RawWindowRules {
    fn default() -> Self {
        Self {
            weekends: true,
            nights: true,
        }
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPeople {
    /// How many live where, compared: { Europe/Berlin: 5, America/New_York: 3 }.
    #[schemars(with = "BTreeMap<String, kinds::Weight>", extend("minProperties" = 1))]
    pub(super) zones: BTreeMap<String, f64>,
    /// The hours in which people sleep: 22:00-06:00.
    #[schemars(with = "Option<kinds::Night>")]
    pub(super) night: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawVerification {
    /// Blocks, finality and transactions healthy for so long: verified.
    #[schemars(with = "SomeLength")]
    pub(super) healthy_for: String,
    /// And for so long again: completed.
    #[schemars(with = "Length")]
    pub(super) complete_after: String,
    /// And for so long after "completed" a stall is told to everybody, and takes the all-clear back.
    #[schemars(with = "Length")]
    pub(super) watch_for: String,
    /// No longer between two blocks.
    #[schemars(with = "SomeLength")]
    pub(super) max_block_gap: String,
    /// Blocks of six seconds that finality may be behind: a chain with shorter ones may be behind by more.
    pub(super) max_finality_lag: u64,
    /// The highest share of failed ones among all transactions since, from 0 to 1.
    #[schemars(with = "kinds::Share")]
    pub(super) max_failed_share: f64,
    /// The number of transactions that are needed.
    pub(super) min_transactions: u32,
    /// How many times worse a chain may be than in the worst of its own hours in the day before: in block times, finality,
    /// failed transactions and blocks with a transaction.
    #[schemars(range(min = 1.0))]
    pub(super) worse_than_before: f64,
    /// The least share of blocks, from 0 to 1, by which each of the community's service level indicators has to be met in ten
    /// minutes: blocks made and finalized of those due, made within 10 s, final within 20 s. Without it they don't count.
    #[schemars(with = "Option<kinds::Share>")]
    pub(super) slis: Option<f64>,
    /// The time of health begins once these are over: the next session, the relay's configurations that were pending
    /// when the upgrade was applied, the next era, multi-block migrations.
    #[schemars(extend("uniqueItems" = true))]
    pub(super) after: Vec<Awaited>,
}
impl Default for RawVerification {
    fn default() -> Self {
        Self {
            healthy_for: "10m".into(),
            complete_after: "20m".into(),
            watch_for: "24h".into(),
            max_block_gap: "60s".into(),
            max_finality_lag: 20,
            max_failed_share: 0.5,
            min_transactions: 0,
            worse_than_before: 3.0,
            slis: None,
            after: vec![Awaited::PendingConfig, Awaited::Migrations],
        }
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawObservation {
    /// No finalized block for so long.
    #[schemars(with = "SomeLength")]
    pub(super) stalled_after: String,
    /// Blocks of six seconds that finality is behind: with shorter ones it takes more.
    pub(super) lagging_from: u64,
    /// The window is open for so long and nothing was authorized: operators are asked.
    #[schemars(with = "SomeLength")]
    pub(super) overdue_after: String,
    /// The window is open for so long and nothing was authorized: everybody hears of the delay.
    #[schemars(with = "SomeLength")]
    pub(super) delayed_after: String,
    /// Blocks of six seconds since code was authorized, stored or set, and the chain does not run it.
    pub(super) unapplied_after: u64,
    /// Blocks of six seconds without a step of a migration.
    pub(super) stuck_after: u64,
    /// An estimate that moves by more is told anew.
    #[schemars(with = "SomeLength")]
    pub(super) estimate_drift: String,
}
impl Default for RawObservation {
    fn default() -> Self {
        Self {
            stalled_after: "3m".into(),
            lagging_from: 30,
            overdue_after: "30m".into(),
            delayed_after: "1h".into(),
            unapplied_after: 600,
            stuck_after: 100,
            estimate_drift: "10m".into(),
        }
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawFeedback {
    /// From "applied": 48h.
    #[schemars(with = "SomeLength")]
    pub(super) open_for: String,
    /// The number of people with a reaction that means a problem from which operators are told at once; 3 without.
    #[serde(default = "raise_at")]
    #[schemars(range(min = 1))]
    pub(super) raise_at: u32,
    /// Under the call for feedback, in this order.
    pub(super) reactions: Vec<RawMeaning>,
}

fn raise_at() -> u32 {
    3
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawMeaning {
    /// The emoji itself.
    #[schemars(with = "kinds::Emoji")]
    pub(super) emoji: String,
    /// In a few words.
    #[schemars(length(min = 1))]
    pub(super) means: String,
    /// Several people who mean this are told to operators while it is fresh.
    #[serde(default)]
    pub(super) problem: bool,
}
