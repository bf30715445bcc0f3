//! `upgrades/<id>.yaml`: one upgrade.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use serde::Deserialize;

use super::{
    UpgradeFile,
    deployment::Deployment,
    files::SourceFile,
    finding::{Finding, suggest},
    plan::Plan,
};
use crate::domain::{
    hex,
    notice::Audience,
    schedule::civil_instant,
    upgrade::{Duty, Link, Method, Referendum, Target, Upgrade, Urgency, Window},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    id: String,
    title: String,
    #[serde(default)]
    summary: String,
    urgency: Urgency,
    method: Method,
    window: RawWindow,
    chains: BTreeMap<String, RawTarget>,
    #[serde(default)]
    changes: Vec<String>,
    #[serde(default)]
    links: Vec<RawLink>,
    referendum: Option<RawReferendum>,
    audiences: BTreeMap<Audience, RawDuty>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWindow {
    opens: String,
    closes: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTarget {
    spec_version: u32,
    code_hash: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawReferendum {
    chain: String,
    index: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLink {
    name: String,
    url: String,
}

#[derive(Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Action {
    Required,
    None,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDuty {
    action: Action,
    what: String,
    node_version: Option<String>,
    by: Option<String>,
}

/// The longest each text may be, in characters, so that every notice fits a post.
const LONGEST: [(&str, usize); 7] =
    [("id", 24), ("name", 16), ("title", 60), ("summary", 160), ("what", 110), ("node_version", 16), ("changes", 70)];

pub fn read(file: &SourceFile, deployment: &Deployment, plan: &Plan, findings: &mut Vec<Finding>) -> Option<Upgrade> {
    let raw: Raw = file.parse(findings)?;
    let before = findings.len();
    if raw.id.is_empty() || !raw.id.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)) {
        findings.push(file.wrong(&["id"], format!("`{}` can't be an id", raw.id), "use letters, digits, dots and dashes, such as v2.3.1"));
    }
    lengths(&raw, file, findings);
    if raw.method == Method::Unknown {
        findings.push(file.wrong(&["method"], "who enacts the upgrade has to be known", "write sudo or governance"));
    }
    if raw.chains.is_empty() {
        findings.push(file.wrong(&["chains"], "the upgrade touches no chain", "name each chain with its `spec_version`"));
    }
    for name in raw.chains.keys().filter(|name| !deployment.chains.contains_key(*name)) {
        let hint = suggest(name, deployment.chains.keys().map(String::as_str).collect::<Vec<_>>());
        findings.push(file.wrong(&["chains", name], format!("there is no chain `{name}` in herald.yaml"), hint));
    }
    if let Some(referendum) = raw.referendum.as_ref().filter(|r| !deployment.chains.contains_key(&r.chain)) {
        let hint = suggest(&referendum.chain, deployment.chains.keys().map(String::as_str).collect::<Vec<_>>());
        findings.push(file.wrong(&["referendum", "chain"], format!("there is no chain `{}` in herald.yaml", referendum.chain), hint));
    }
    for (name, target) in &raw.chains {
        if let Some(hash) = target.code_hash.as_ref().filter(|h| hex::decode(h).is_none_or(|bytes| bytes.len() != 32)) {
            findings.push(file.wrong(
                &["chains", name, "code_hash"],
                format!("`{hash}` is not a code hash"),
                "write 0x and 64 digits, as the authorization has it (BLAKE2b-256 of the code)",
            ));
        }
    }
    for (i, link) in raw.links.iter().enumerate() {
        if !link.url.starts_with("https://") || link.url.chars().any(|c| c.is_whitespace() || c.is_control() || "<>()".contains(c)) {
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
            let hint = format!("write 2026-12-01 14:00 (in the plan's zone, {}) or 2026-12-01T13:00:00Z", plan.zone_name);
            findings.push(file.wrong(path, format!("`{text}` is not a time"), hint));
        }
        read
    };
    let (opens, closes) = (time(&["window", "opens"], &raw.window.opens), time(&["window", "closes"], &raw.window.closes));
    let mut duties = BTreeMap::new();
    for (audience, duty) in &raw.audiences {
        let by = duty.by.as_deref().and_then(|by| time(&["audiences", audience.name(), "by"], by));
        let required = duty.action == Action::Required;
        duties.insert(*audience, Duty { required, what: duty.what.clone(), node_version: duty.node_version.clone(), by });
    }
    for audience in Audience::ALL.into_iter().filter(|a| !duties.contains_key(a)) {
        let name = audience.name();
        findings.push(file.wrong(
            &["audiences", name],
            format!("nothing is said for {name}"),
            format!("add `{name}:` with `action: required` or `action: none`, and `what`"),
        ));
    }
    if let (Some(opens), Some(closes)) = (opens, closes)
        && closes <= opens
    {
        findings.push(file.wrong(&["window", "closes"], "the window closes before it opens", "swap the two times"));
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
        window: Window { opens: opens?, closes: closes? },
        chains: raw
            .chains
            .into_iter()
            .map(|(n, t)| (n, Target { spec_version: t.spec_version, code_hash: t.code_hash.map(|h| h.to_lowercase()) }))
            .collect(),
        changes: raw.changes,
        links: raw.links.into_iter().map(|l| Link { name: l.name, url: l.url }).collect(),
        duties,
        referendum: raw.referendum.map(|r| Referendum { chain: r.chain, index: r.index }),
        unplanned: false,
        joined: None,
    })
}

fn lengths(raw: &Raw, file: &SourceFile, findings: &mut Vec<Finding>) {
    let mut check = |path: &[&str], kind: &str, text: &str| {
        let most = LONGEST.iter().find(|(k, _)| *k == kind).map_or(100, |(_, n)| *n);
        let has = text.chars().count();
        if has > most {
            findings.push(file.wrong(path, format!("this has {has} characters; {most} fit"), "say it shorter and link to the rest"));
        }
    };
    check(&["title"], "title", &raw.title);
    check(&["id"], "id", &raw.id);
    for name in raw.chains.keys() {
        check(&["chains", name], "name", name);
    }
    check(&["summary"], "summary", &raw.summary);
    for (i, change) in raw.changes.iter().enumerate() {
        check(&["changes", &i.to_string()], "changes", change);
    }
    for (audience, duty) in &raw.audiences {
        check(&["audiences", audience.name(), "what"], "what", &duty.what);
        check(&["audiences", audience.name(), "node_version"], "node_version", duty.node_version.as_deref().unwrap_or_default());
    }
    for (i, link) in raw.links.iter().enumerate() {
        if link.name.chars().count() > 20 || link.url.chars().count() > 80 {
            findings.push(file.wrong(
                &["links", &i.to_string()],
                "a link holds a name of 20 and an address of 80 characters",
                "use a shorter address",
            ));
        }
    }
    if raw.chains.len() > 8 {
        findings.push(file.wrong(&["chains"], format!("{} chains are named; 8 fit", raw.chains.len()), "make two upgrades of them"));
    }
    if raw.changes.len() > 3 {
        findings.push(file.wrong(
            &["changes"],
            format!("{} changes are listed; 3 fit", raw.changes.len()),
            "keep the ones people notice and link to the rest",
        ));
    }
    if raw.links.len() > 2 {
        findings.push(file.wrong(&["links"], format!("{} links are listed; 2 fit", raw.links.len()), "keep the most useful ones"));
    }
}

/// `2026-12-01 14:00` in the plan's zone, or an instant with its own offset.
pub fn instant(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    let text = text.trim();
    text.parse::<Timestamp>().ok().or_else(|| civil_instant(text.parse::<DateTime>().ok()?, zone))
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
