//! The shapes of an upgrade's file, as they are read and as its schema shows them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    config::yaml::kinds::{self, TextUpTo},
    domain::{
        campaign::upgrade::{Method, Step, Urgency},
        plan::notice::Audience,
    },
};

/// One upgrade. Times are in the plan's zone unless they carry their own.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = [{ "required": ["window"] }, { "required": ["poll"] }]))]
pub(in crate::config) struct RawUpgrade {
    /// Letters, digits, dots and dashes, a letter or a digit first: v2.3.1.
    #[schemars(with = "kinds::Id")]
    pub(super) id: String,
    /// The name that people call it by.
    #[schemars(with = "TextUpTo<60>")]
    pub(super) title: String,
    /// The upgrade in one sentence.
    #[serde(default)]
    #[schemars(length(max = 140))]
    pub(super) summary: String,
    /// The plan it follows.
    pub(super) urgency: Urgency,
    /// The method by which it is enacted.
    pub(super) method: Method,
    /// The window in which it is to be enacted.
    pub(super) window: Option<RawWindow>,
    /// Windows that people choose from, while none is set.
    pub(super) poll: Option<RawPoll>,
    /// The chains it touches, as herald.yaml names them.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 8))]
    pub(super) chains: BTreeMap<String, RawTarget>,
    /// Up to three that people notice.
    #[serde(default)]
    #[schemars(with = "Vec<TextUpTo<60>>", length(max = 3))]
    pub(super) changes: Vec<String>,
    /// Up to two.
    #[serde(default)]
    #[schemars(length(max = 2))]
    pub(super) links: Vec<RawLink>,
    /// The one that decides, where governance does.
    pub(super) referendum: Option<RawReferendum>,
    /// The thing to do if it goes wrong.
    #[schemars(length(max = 160))]
    pub(super) rollback: Option<String>,
    /// The steps that people have done, and where to read of each.
    #[serde(default)]
    #[schemars(with = "Steps")]
    pub(super) steps: BTreeMap<Step, String>,
    /// The final checks are passed.
    pub(super) go: Option<bool>,
    /// The reason why they are not passed: notices by the clock are held.
    #[schemars(with = "Option<TextUpTo<160>>")]
    pub(super) no_go: Option<String>,
    /// The reason why it will not take place.
    #[schemars(with = "Option<TextUpTo<160>>")]
    pub(super) cancelled: Option<String>,
    /// The reason why it was tried and did not work out.
    #[schemars(with = "Option<TextUpTo<160>>")]
    pub(super) failed: Option<String>,
    /// The duty of each audience.
    #[schemars(with = "Audiences")]
    pub(super) audiences: BTreeMap<Audience, RawDuty>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPoll {
    /// Two to nine; each gets a number to react with.
    #[schemars(length(min = 2, max = 9))]
    pub(super) windows: Vec<RawWindow>,
    /// Votes are counted then, before the first of them opens.
    #[schemars(with = "kinds::Time")]
    pub(super) decide_by: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawWindow {
    /// 2026-12-01 14:00 (in the plan's zone) or 2026-12-01T13:00:00Z.
    #[schemars(with = "kinds::Time")]
    pub(super) opens: String,
    /// Later than it opens.
    #[schemars(with = "kinds::Time")]
    pub(super) closes: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTarget {
    /// The version that the chain is to run afterwards; higher than the one it runs now.
    #[schemars(range(min = 1))]
    pub(super) spec_version: u32,
    /// 0x and 64 digits, BLAKE2b-256 of the code: what runs is compared with it.
    #[schemars(with = "Option<kinds::CodeHash>")]
    pub(super) code_hash: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawReferendum {
    /// The chain on which it is, as herald.yaml names it.
    #[schemars(with = "kinds::Chain")]
    pub(super) chain: String,
    /// The referendum's number.
    pub(super) index: u32,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLink {
    /// The text that people click.
    #[schemars(with = "TextUpTo<20>")]
    pub(super) name: String,
    /// An https:// address.
    #[schemars(with = "kinds::ShortLink")]
    pub(super) url: String,
}

/// Must they do something?
#[derive(Deserialize, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "Action")]
pub(super) enum RawAction {
    /// Something must be done.
    Required,
    /// Nothing need be done.
    None,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawDuty {
    /// Must they do something?
    pub(super) action: RawAction,
    /// The thing to do, in one or two sentences.
    #[schemars(with = "TextUpTo<100>")]
    pub(super) what: String,
    /// The oldest node that does: v1.21.0.
    #[schemars(with = "Option<TextUpTo<16>>")]
    pub(super) node_version: Option<String>,
    /// Until when.
    #[schemars(with = "Option<kinds::Time>")]
    pub(super) by: Option<String>,
}

/// For the schema: each audience is spoken to.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[allow(dead_code, reason = "a shape for the schema alone")]
struct Audiences {
    /// People who run nodes.
    validators: RawDuty,
    /// People who build on the chain.
    developers: RawDuty,
    /// People who use it.
    users: RawDuty,
}

/// For the schema: what people can have done.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[allow(dead_code, reason = "a shape for the schema alone")]
struct Steps {
    /// The page where the proposal can be read and answered.
    under_review: Option<kinds::Link>,
    /// The page with guidance on taking the runtime back.
    rolled_back: Option<kinds::Link>,
    /// The page where the documentation speaks of the new runtime.
    documented: Option<kinds::Link>,
    /// The page where the review after the upgrade can be read.
    reviewed: Option<kinds::Link>,
}
