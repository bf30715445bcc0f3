//! `upgrades/<id>.yaml`: one upgrade.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{Timestamp, tz::TimeZone};
use schemars::JsonSchema;
use serde::Deserialize;
use strum::IntoEnumIterator;

use super::{
    UpgradeFile,
    deployment::Deployment,
    plan::Plan,
    schema::{self, Text},
    yaml::{
        finding::{Finding, suggest},
        source::SourceFile,
    },
};
use crate::domain::{
    campaign::upgrade::{
        Decision, Duty, Link, Method, Poll, Referendum, Step, Target, Upgrade, Urgency, Window,
    },
    hex,
    plan::{notice::Audience, schedule::PlanTime},
};

/// One upgrade. Times are in the plan's zone unless they carry their own.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = [{ "required": ["window"] }, { "required": ["poll"] }]))]
pub(super) struct Raw {
    /// Letters, digits, dots and dashes: v2.3.1.
    #[schemars(with = "schema::Id")]
    id: String,
    /// What people call it.
    #[schemars(with = "Text<60>")]
    title: String,
    /// What it is, in one sentence.
    #[serde(default)]
    #[schemars(length(max = 140))]
    summary: String,
    /// Which plan it follows.
    urgency: Urgency,
    /// Who enacts it.
    method: Method,
    /// When it is to be enacted.
    window: Option<RawWindow>,
    /// Windows that people choose from, while none is set.
    poll: Option<RawPoll>,
    /// The chains it touches, as herald.yaml names them.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 8))]
    chains: BTreeMap<String, RawTarget>,
    /// Up to three that people notice.
    #[serde(default)]
    #[schemars(with = "Vec<Text<60>>", length(max = 3))]
    changes: Vec<String>,
    /// Up to two.
    #[serde(default)]
    #[schemars(length(max = 2))]
    links: Vec<RawLink>,
    /// The one that decides, where governance does.
    referendum: Option<RawReferendum>,
    /// What to do if it goes wrong.
    #[schemars(length(max = 160))]
    rollback: Option<String>,
    /// What people have done, and where to read of it.
    #[serde(default)]
    #[schemars(with = "Steps")]
    steps: BTreeMap<Step, String>,
    /// The final checks are passed.
    go: Option<bool>,
    /// They are not, and why: notices by the clock are held.
    #[schemars(with = "Option<Text<160>>")]
    no_go: Option<String>,
    /// It will not be, and why.
    #[schemars(with = "Option<Text<160>>")]
    cancelled: Option<String>,
    /// It was tried and did not work, and why.
    #[schemars(with = "Option<Text<160>>")]
    failed: Option<String>,
    /// What each audience must do.
    #[schemars(with = "Audiences")]
    audiences: BTreeMap<Audience, RawDuty>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawPoll {
    /// Two to nine; each gets a number to react with.
    #[schemars(length(min = 2, max = 9))]
    windows: Vec<RawWindow>,
    /// Votes are counted then, before the first of them opens.
    #[schemars(with = "schema::Time")]
    decide_by: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawWindow {
    /// 2026-12-01 14:00 (in the plan's zone) or 2026-12-01T13:00:00Z.
    #[schemars(with = "schema::Time")]
    opens: String,
    /// Later than it opens.
    #[schemars(with = "schema::Time")]
    closes: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawTarget {
    /// What the chain is to run afterwards; higher than what it runs now.
    spec_version: u32,
    /// 0x and 64 digits, BLAKE2b-256 of the code: what runs is compared with it.
    #[schemars(with = "Option<schema::CodeHash>")]
    code_hash: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawReferendum {
    /// Where it is, as herald.yaml names it.
    #[schemars(with = "schema::Chain")]
    chain: String,
    /// Its number.
    index: u32,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawLink {
    /// What people click.
    #[schemars(with = "Text<20>")]
    name: String,
    /// An https:// address.
    #[schemars(with = "schema::ShortLink")]
    url: String,
}

/// Must they do something?
#[derive(Deserialize, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Action {
    /// They must.
    Required,
    /// They need not.
    None,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawDuty {
    /// Must they do something?
    action: Action,
    /// What, in one or two sentences.
    #[schemars(with = "Text<100>")]
    what: String,
    /// The oldest node that does: v1.21.0.
    #[schemars(with = "Option<Text<16>>")]
    node_version: Option<String>,
    /// Until when.
    #[schemars(with = "Option<schema::Time>")]
    by: Option<String>,
}

/// For the schema: each audience is spoken to.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[allow(dead_code, reason = "a shape for the schema alone")]
struct Audiences {
    /// Who run nodes.
    validators: RawDuty,
    /// Who build on the chain.
    developers: RawDuty,
    /// Who use it.
    users: RawDuty,
}

/// For the schema: what people can have done.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[allow(dead_code, reason = "a shape for the schema alone")]
struct Steps {
    /// Where the proposal can be read and answered.
    under_review: Option<schema::Link>,
    /// Where there is guidance on taking the runtime back.
    rolled_back: Option<schema::Link>,
    /// Where the documentation speaks of the new runtime.
    documented: Option<schema::Link>,
    /// Where the review after the upgrade can be read.
    reviewed: Option<schema::Link>,
}

/// The longest each text may be, in characters, so that every notice fits a post.
const LONGEST: [(&str, usize); 11] = [
    ("id", 24),
    ("name", 16),
    ("title", 60),
    ("summary", 140),
    ("what", 100),
    ("node_version", 16),
    ("changes", 60),
    ("rollback", 160),
    ("reason", 160),
    ("link", 20),
    ("address", 80),
];

pub fn read(
    file: &SourceFile,
    deployment: &Deployment,
    plan: &Plan,
    findings: &mut Vec<Finding>,
) -> Option<Upgrade> {
    let raw: Raw = file.parse(findings)?;
    let before = findings.len();
    if raw.id.is_empty()
        || !raw
            .id
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
    {
        findings.push(file.wrong(
            &["id"],
            format!("`{}` can't be an id", raw.id),
            "use letters, digits, dots and dashes, such as v2.3.1",
        ));
    }
    lengths(&raw, file, findings);
    if raw.method == Method::Unknown {
        findings.push(file.wrong(
            &["method"],
            "who enacts the upgrade has to be known",
            "write sudo or governance",
        ));
    }
    if raw.chains.is_empty() {
        findings.push(file.wrong(
            &["chains"],
            "the upgrade touches no chain",
            "name each chain with its `spec_version`",
        ));
    }
    for name in raw
        .chains
        .keys()
        .filter(|name| !deployment.chains.contains_key(*name))
    {
        let hint = suggest(
            name,
            deployment
                .chains
                .keys()
                .map(String::as_str)
                .collect::<Vec<_>>(),
        );
        findings.push(file.wrong(
            &["chains", name],
            format!("there is no chain `{name}` in herald.yaml"),
            hint,
        ));
    }
    if let Some(referendum) = raw
        .referendum
        .as_ref()
        .filter(|r| !deployment.chains.contains_key(&r.chain))
    {
        let hint = suggest(
            &referendum.chain,
            deployment
                .chains
                .keys()
                .map(String::as_str)
                .collect::<Vec<_>>(),
        );
        findings.push(file.wrong(
            &["referendum", "chain"],
            format!("there is no chain `{}` in herald.yaml", referendum.chain),
            hint,
        ));
    }
    for (name, target) in &raw.chains {
        if let Some(hash) = target
            .code_hash
            .as_ref()
            .filter(|h| hex::decode(h).is_none_or(|bytes| bytes.len() != 32))
        {
            findings.push(file.wrong(
                &["chains", name, "code_hash"],
                format!("`{hash}` is not a code hash"),
                "write 0x and 64 digits, as the authorization has it (BLAKE2b-256 of the code)",
            ));
        }
    }
    for (i, link) in raw.links.iter().enumerate() {
        if !linkable(&link.url) {
            findings.push(file.wrong(
                &["links", &i.to_string(), "url"],
                format!("`{}` can't be linked", link.url),
                "write an https:// address without spaces or brackets",
            ));
        }
    }
    let mut time = |path: &[&str], text: &str| {
        let read = instant(text, &plan.zone);
        if read.is_none() {
            let hint = format!(
                "write 2026-12-01 14:00 (in the plan's zone, {}) or 2026-12-01T13:00:00Z",
                plan.zone_name
            );
            findings.push(file.wrong(path, format!("`{text}` is not a time"), hint));
        }
        read
    };
    let window = match (&raw.window, &raw.poll) {
        (Some(window), _) => time(&["window", "opens"], &window.opens)
            .zip(time(&["window", "closes"], &window.closes))
            .map(|(opens, closes)| Window { opens, closes }),
        (None, _) => None,
    };
    let poll = raw.poll.as_ref().map(|poll| {
        let read = |(i, w): (usize, &RawWindow)| {
            let index = i.to_string();
            let (opens, closes) = (
                time(&["poll", "windows", &index, "opens"], &w.opens),
                time(&["poll", "windows", &index, "closes"], &w.closes),
            );
            Some(Window {
                opens: opens?,
                closes: closes?,
            })
        };
        let windows: Vec<Option<Window>> = poll.windows.iter().enumerate().map(read).collect();
        (
            windows.into_iter().flatten().collect::<Vec<Window>>(),
            time(&["poll", "decide_by"], &poll.decide_by),
        )
    });
    let mut duties = BTreeMap::new();
    for (audience, duty) in &raw.audiences {
        let by = duty
            .by
            .as_deref()
            .and_then(|by| time(&["audiences", audience.name(), "by"], by));
        let required = duty.action == Action::Required;
        duties.insert(
            *audience,
            Duty {
                required,
                what: duty.what.clone(),
                node_version: duty.node_version.clone(),
                by,
            },
        );
    }
    for audience in Audience::iter().filter(|a| !duties.contains_key(a)) {
        let name = audience.name();
        findings.push(file.wrong(
            &["audiences", name],
            format!("nothing is said for {name}"),
            format!("add `{name}:` with `action: required` or `action: none`, and `what`"),
        ));
    }
    if window.as_ref().is_some_and(|w| w.closes <= w.opens) {
        findings.push(file.wrong(
            &["window", "closes"],
            "the window closes before it opens",
            "swap the two times",
        ));
    }
    if raw.window.is_some() && raw.poll.is_some() {
        findings.push(file.wrong(
            &["poll"],
            "the window is set, so there is nothing to choose",
            "remove `poll`, or `window` until it is decided",
        ));
    }
    if raw.window.is_none() && raw.poll.is_none() {
        findings.push(file.wrong(
            &["id"],
            "nothing is said of the window",
            "add `window:` with `opens` and `closes`, or a `poll:`",
        ));
    }
    if let Some((windows, decide_by)) = &poll {
        check_poll(windows, *decide_by, file, findings);
    }
    for (step, link) in raw.steps.iter().filter(|(_, link)| !linkable(link)) {
        findings.push(file.wrong(
            &["steps", step.name()],
            format!("`{link}` can't be linked"),
            "write the https:// address where it can be read",
        ));
    }
    if raw.go == Some(true) && raw.no_go.is_some() {
        findings.push(file.wrong(
            &["no_go"],
            "it can't be go and no-go",
            "remove one of the two",
        ));
    }
    if findings.len() > before {
        return None;
    }
    Some(Upgrade {
        id: raw.id,
        title: raw.title,
        summary: raw.summary,
        urgency: raw.urgency,
        method: raw.method,
        window: window.or_else(|| poll.as_ref()?.0.first().cloned())?,
        poll: match poll {
            Some((windows, decide_by)) => Some(Poll {
                windows,
                decide_by: decide_by?,
            }),
            None => None,
        },
        chains: raw
            .chains
            .into_iter()
            .map(|(n, t)| {
                (
                    n,
                    Target {
                        spec_version: t.spec_version,
                        code_hash: t.code_hash.map(|h| h.to_lowercase()),
                    },
                )
            })
            .collect(),
        changes: raw.changes,
        links: raw
            .links
            .into_iter()
            .map(|l| Link {
                name: l.name,
                url: l.url,
            })
            .collect(),
        duties,
        referendum: raw.referendum.map(|r| Referendum {
            chain: r.chain,
            index: r.index,
        }),
        rollback: raw.rollback,
        steps: raw.steps,
        decision: match (raw.no_go, raw.go) {
            (Some(reason), _) => Some(Decision::NoGo(reason)),
            (None, Some(true)) => Some(Decision::Go),
            _ => None,
        },
        cancelled: raw.cancelled,
        failed: raw.failed,
        unplanned: false,
        joined: None,
    })
}

/// An address that can stand in a post.
pub fn linkable(url: &str) -> bool {
    url.starts_with("https://")
        && url.chars().count() <= 200
        && !url
            .chars()
            .any(|c| c.is_whitespace() || c.is_control() || "<>()".contains(c))
}

fn check_poll(
    windows: &[Window],
    decide_by: Option<Timestamp>,
    file: &SourceFile,
    findings: &mut Vec<Finding>,
) {
    if !(2..=9).contains(&windows.len()) {
        let message = format!(
            "{} windows are proposed; two to nine can be chosen from",
            windows.len()
        );
        findings.push(file.wrong(
            &["poll", "windows"],
            message,
            "each gets a number to react with",
        ));
    }
    for (i, window) in windows.iter().enumerate() {
        let index = i.to_string();
        if window.closes <= window.opens {
            findings.push(file.wrong(
                &["poll", "windows", &index, "closes"],
                "the window closes before it opens",
                "swap the two times",
            ));
        }
        if decide_by.is_some_and(|at| at >= window.opens) {
            findings.push(file.wrong(
                &["poll", "decide_by"],
                "it is decided after a window has opened",
                "decide before the first of them",
            ));
            break;
        }
    }
}

/// What people read is neither empty nor too long for a post.
fn lengths(raw: &Raw, file: &SourceFile, findings: &mut Vec<Finding>) {
    let mut check = |path: &[&str], kind: &str, text: &str| {
        let most = LONGEST
            .iter()
            .find(|(k, _)| *k == kind)
            .map_or(100, |(_, n)| *n);
        let has = text.chars().count();
        if has > most {
            findings.push(file.wrong(
                path,
                format!("this has {has} characters; {most} fit"),
                "say it shorter and link to the rest",
            ));
        }
        if text.trim().is_empty() && !matches!(kind, "summary" | "rollback") {
            findings.push(file.wrong(
                path,
                "nothing is written here",
                "write some words for people to read",
            ));
        }
    };
    check(&["title"], "title", &raw.title);
    check(&["id"], "id", &raw.id);
    for name in raw.chains.keys() {
        check(&["chains", name], "name", name);
    }
    check(&["summary"], "summary", &raw.summary);
    check(
        &["rollback"],
        "rollback",
        raw.rollback.as_deref().unwrap_or_default(),
    );
    for (key, reason) in [
        ("no_go", &raw.no_go),
        ("cancelled", &raw.cancelled),
        ("failed", &raw.failed),
    ] {
        reason.iter().for_each(|text| check(&[key], "reason", text));
    }
    for (i, change) in raw.changes.iter().enumerate() {
        check(&["changes", &i.to_string()], "changes", change);
    }
    for (audience, duty) in &raw.audiences {
        check(&["audiences", audience.name(), "what"], "what", &duty.what);
        duty.node_version.iter().for_each(|text| {
            check(
                &["audiences", audience.name(), "node_version"],
                "node_version",
                text,
            )
        });
    }
    for (i, link) in raw.links.iter().enumerate() {
        check(&["links", &i.to_string(), "name"], "link", &link.name);
        check(&["links", &i.to_string(), "url"], "address", &link.url);
    }
    counts(raw, file, findings);
}

fn counts(raw: &Raw, file: &SourceFile, findings: &mut Vec<Finding>) {
    if raw.chains.len() > 8 {
        findings.push(file.wrong(
            &["chains"],
            format!("{} chains are named; 8 fit", raw.chains.len()),
            "make two upgrades of them",
        ));
    }
    if raw.changes.len() > 3 {
        findings.push(file.wrong(
            &["changes"],
            format!("{} changes are listed; 3 fit", raw.changes.len()),
            "keep the ones people notice and link to the rest",
        ));
    }
    if raw.links.len() > 2 {
        findings.push(file.wrong(
            &["links"],
            format!("{} links are listed; 2 fit", raw.links.len()),
            "keep the most useful ones",
        ));
    }
}

/// `2026-12-01 14:00` in the plan's zone, or an instant with its own offset.
pub fn instant(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    text.parse::<PlanTime>().ok()?.at(zone)
}

pub fn check_ids(upgrades: &[UpgradeFile], findings: &mut Vec<Finding>) {
    let mut ids = BTreeSet::new();
    for UpgradeFile { upgrade, file } in upgrades {
        if !ids.insert(&upgrade.id) {
            findings.push(file.wrong(
                &["id"],
                format!("another file has the id `{}` already", upgrade.id),
                "give each upgrade an id of its own",
            ));
        }
    }
}
