//! `plan.yaml`: the communication plan.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, tz::TimeZone};
use serde::Deserialize;

use super::{
    deployment::{Deployment, Readers, channel_hint},
    files::SourceFile,
    finding::{Finding, suggest},
};
use crate::domain::{
    feedback::Meaning,
    language::split,
    notice::{Audience, Happening, Notice, Phase, Trigger},
    observation::Limits,
    phase::Rules,
    schedule::{CronRule, Offset, parse_length},
    window::Home,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    zone: String,
    people: Option<RawPeople>,
    #[serde(default)]
    verification: RawVerification,
    #[serde(default)]
    observation: RawObservation,
    #[serde(default, rename = "unplanned")]
    unplanned: Readers,
    feedback: RawFeedback,
    notices: Vec<RawNotice>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPeople {
    zones: BTreeMap<String, f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawVerification {
    healthy_for: String,
    complete_after: String,
    max_block_gap: String,
    max_finality_lag: u64,
    max_failed_share: f64,
    min_transactions: u32,
}
impl Default for RawVerification {
    fn default() -> Self {
        Self {
            healthy_for: "10m".into(),
            complete_after: "20m".into(),
            max_block_gap: "60s".into(),
            max_finality_lag: 20,
            max_failed_share: 0.5,
            min_transactions: 0,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawObservation {
    stalled_after: String,
    lagging_from: u64,
    overdue_after: String,
    unapplied_after: u64,
    stuck_after: u64,
    estimate_drift: String,
}
impl Default for RawObservation {
    fn default() -> Self {
        Self {
            stalled_after: "3m".into(),
            lagging_from: 30,
            overdue_after: "30m".into(),
            unapplied_after: 600,
            stuck_after: 100,
            estimate_drift: "10m".into(),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFeedback {
    open_for: String,
    reactions: Vec<RawMeaning>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMeaning {
    emoji: String,
    means: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawNotice {
    id: String,
    phase: Phase,
    template: String,
    at: Option<String>,
    cron: Option<RawCron>,
    on: Option<String>,
    #[serde(default)]
    audiences: Vec<Audience>,
    channels: Option<Vec<String>>,
    #[serde(default)]
    to: Readers,
    #[serde(default)]
    feedback: bool,
    #[serde(default)]
    live: bool,
    #[serde(default)]
    picture: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCron {
    expression: String,
    zone: Option<String>,
    from: String,
    until: String,
}

/// When feedback closes, and what reactions mean.
#[derive(Clone, Debug)]
pub struct Feedback {
    pub open_for: SignedDuration,
    pub meanings: Vec<Meaning>,
}

#[derive(Clone, Debug)]
pub struct Plan {
    pub zone: TimeZone,
    /// As written: `Europe/Berlin`.
    pub zone_name: String,
    /// Never empty: the plan's zone where nothing is said.
    pub people: Vec<Home>,
    pub rules: Rules,
    pub limits: Limits,
    /// Who hears of an upgrade that nobody planned, until a file joins it.
    pub unplanned: Readers,
    pub feedback: Feedback,
    pub notices: Vec<Notice>,
}

pub fn zone(name: &str) -> Option<TimeZone> {
    TimeZone::get(name).ok()
}

pub fn read(
    file: &SourceFile,
    deployment: Option<&Deployment>,
    templates: &BTreeMap<String, SourceFile>,
    findings: &mut Vec<Finding>,
) -> Option<Plan> {
    let raw: Raw = file.parse(findings)?;
    let before = findings.len();
    let plan_zone = zone(&raw.zone);
    if plan_zone.is_none() {
        findings.push(file.wrong(
            &["zone"],
            format!("`{}` is not a time zone", raw.zone),
            "write an IANA name, such as Europe/Berlin or UTC",
        ));
    }
    let plan_zone = plan_zone.unwrap_or(TimeZone::UTC);
    let people = people(raw.people, &raw.zone, &plan_zone, file, findings);
    let rules = rules(&raw.verification, file, findings);
    let limits = limits(&raw.observation, file, findings);
    let feedback = feedback(&raw.feedback, file, findings);
    let mut notices = Vec::new();
    for (i, notice) in raw.notices.iter().enumerate() {
        let reader = Reader { file, index: i.to_string(), zone: &plan_zone, deployment, templates };
        notices.extend(reader.read(notice, findings));
    }
    let mut ids = BTreeSet::new();
    for (i, notice) in raw.notices.iter().enumerate() {
        if !ids.insert(&notice.id) {
            findings.push(file.wrong(
                &["notices", &i.to_string(), "id"],
                format!("a notice `{}` stands above already", notice.id),
                "give each notice an id of its own",
            ));
        }
    }
    if findings.len() > before {
        return None;
    }
    Some(Plan {
        zone: plan_zone,
        zone_name: raw.zone,
        people,
        rules: rules?,
        limits: limits?,
        unplanned: raw.unplanned,
        feedback: feedback?,
        notices,
    })
}

fn people(raw: Option<RawPeople>, zone_name: &str, plan_zone: &TimeZone, file: &SourceFile, findings: &mut Vec<Finding>) -> Vec<Home> {
    let Some(raw) = raw else { return vec![Home { name: zone_name.to_owned(), zone: plan_zone.clone(), weight: 1.0 }] };
    if raw.zones.is_empty() {
        findings.push(file.wrong(&["people", "zones"], "no zone is named", "leave `people` out if all live in the plan's zone"));
    }
    let mut homes = Vec::new();
    for (name, weight) in raw.zones {
        let mut wrong = |message: String, hint: &str| findings.push(file.wrong(&["people", "zones", &name], message, hint));
        if !(weight.is_finite() && weight > 0.0) {
            wrong(format!("`{weight}` is not a weight"), "write how many people live there, compared with the others, such as 3");
        }
        match zone(&name) {
            Some(zone) => homes.push(Home { name, zone, weight }),
            None => wrong(format!("`{name}` is not a time zone"), "write an IANA name, such as Europe/Berlin or UTC"),
        }
    }
    homes
}

fn length(file: &SourceFile, path: &[&str], text: &str, findings: &mut Vec<Finding>) -> Option<SignedDuration> {
    parse_length(text).map_err(|e| findings.push(file.wrong(path, e.to_string(), "for example 10m"))).ok()
}

fn rules(raw: &RawVerification, file: &SourceFile, findings: &mut Vec<Finding>) -> Option<Rules> {
    let mut read = |key: &str, text: &str| length(file, &["verification", key], text, findings);
    let (healthy_for, complete_after, max_block_gap) =
        (read("healthy_for", &raw.healthy_for), read("complete_after", &raw.complete_after), read("max_block_gap", &raw.max_block_gap));
    if max_block_gap.is_some_and(|gap| gap.is_zero()) || healthy_for.is_some_and(|length| length.is_zero()) {
        findings.push(file.wrong(&["verification"], "healthy_for and max_block_gap can't be nothing", "the defaults are 10m and 60s"));
    }
    if !(0.0..=1.0).contains(&raw.max_failed_share) {
        findings.push(file.wrong(&["verification", "max_failed_share"], "a share is between 0 and 1", "0.5 is half of all transactions"));
    }
    Some(Rules {
        healthy_for: healthy_for?,
        complete_after: complete_after?,
        max_block_gap: max_block_gap?,
        max_finality_lag: raw.max_finality_lag,
        max_failed_share: raw.max_failed_share,
        min_transactions: raw.min_transactions,
    })
}

fn limits(raw: &RawObservation, file: &SourceFile, findings: &mut Vec<Finding>) -> Option<Limits> {
    let mut read = |key: &str, text: &str| {
        let length = length(file, &["observation", key], text, findings);
        if length.is_some_and(|l| l.is_zero()) {
            findings.push(file.wrong(&["observation", key], format!("{key} can't be nothing"), "for example 10m"));
        }
        length
    };
    let stalled_after = read("stalled_after", &raw.stalled_after);
    let overdue_after = read("overdue_after", &raw.overdue_after);
    let drift = read("estimate_drift", &raw.estimate_drift);
    Some(Limits {
        stalled_after: stalled_after?,
        lagging_from: raw.lagging_from,
        overdue_after: overdue_after?,
        unapplied_after: raw.unapplied_after,
        stuck_after: raw.stuck_after,
        drift: drift?,
    })
}

fn feedback(raw: &RawFeedback, file: &SourceFile, findings: &mut Vec<Finding>) -> Option<Feedback> {
    let open_for = length(file, &["feedback", "open_for"], &raw.open_for, findings);
    for (i, meaning) in raw.reactions.iter().enumerate() {
        if meaning.emoji.is_empty() || meaning.emoji.chars().any(|c| c.is_ascii_alphanumeric()) {
            findings.push(file.wrong(
                &["feedback", "reactions", &i.to_string(), "emoji"],
                format!("`{}` is not an emoji", meaning.emoji),
                "write the emoji itself, such as 👍",
            ));
        }
    }
    let meanings = raw.reactions.iter().map(|m| Meaning { emoji: m.emoji.clone(), meaning: m.means.clone() }).collect();
    Some(Feedback { open_for: open_for?, meanings })
}

/// Reads one notice; `index` is its place in the list.
struct Reader<'a> {
    file: &'a SourceFile,
    index: String,
    zone: &'a TimeZone,
    deployment: Option<&'a Deployment>,
    templates: &'a BTreeMap<String, SourceFile>,
}

impl Reader<'_> {
    fn wrong(&self, key: &str, message: impl Into<String>, hint: impl Into<String>) -> Finding {
        self.file.wrong(&["notices", &self.index, key], message, hint)
    }

    fn read(&self, raw: &RawNotice, findings: &mut Vec<Finding>) -> Option<Notice> {
        // A notice names the original; which translation a channel gets, the channel says.
        if !self.templates.contains_key(&raw.template) || split(&raw.template).1.is_some() {
            let names = self.templates.keys().map(String::as_str);
            let names: Vec<&str> = names.filter(|n| !n.starts_with("partials/") && split(n).1.is_none()).collect();
            let message = format!("there is no template `{}` (templates/{}.md.hbs)", raw.template, raw.template);
            findings.push(self.wrong("template", message, suggest(&raw.template, names)));
        }
        let trigger = self.trigger(raw, findings);
        let channels = match (&raw.channels, self.deployment) {
            (None, deployment) => deployment.map(|d| d.channels_for(raw.to)).unwrap_or_default(),
            (Some(named), _) if named.is_empty() => {
                findings.push(self.wrong("channels", "this notice goes nowhere", "name a channel, or leave `channels` out for all"));
                Vec::new()
            }
            (Some(named), deployment) => {
                for (i, name) in named.iter().enumerate() {
                    if let Some(deployment) = deployment.filter(|d| !d.channels.contains_key(name)) {
                        let at = ["notices", &self.index, "channels", &i.to_string()];
                        findings.push(self.file.wrong(
                            &at,
                            format!("there is no channel `{name}` in herald.yaml"),
                            channel_hint(deployment, name),
                        ));
                    }
                }
                named.clone()
            }
        };
        if let (Some(Trigger::On(happening)), Some(deployment)) = (&trigger, self.deployment)
            && happening.for_operators()
            && channels.iter().any(|c| deployment.channels.get(c).is_some_and(|c| c.readers == Readers::Public))
        {
            let key = if raw.channels.is_some() { "channels" } else { "id" };
            findings.push(self.wrong(
                key,
                format!("`{}` is said to operators alone: it says something of herald, not of the chain", happening.name()),
                "add `to: operators`",
            ));
        }
        if raw.live && !matches!(trigger, Some(Trigger::On(_))) {
            findings.push(self.wrong("live", "only a notice that waits for something (`on:`) is kept up to date", "remove `live`"));
        }
        let audiences = if raw.audiences.is_empty() { Audience::ALL.to_vec() } else { raw.audiences.clone() };
        Some(Notice {
            id: raw.id.clone(),
            phase: raw.phase,
            template: raw.template.clone(),
            trigger: trigger?,
            audiences,
            channels,
            feedback: raw.feedback,
            live: raw.live,
            picture: raw.picture,
        })
    }

    fn trigger(&self, raw: &RawNotice, findings: &mut Vec<Finding>) -> Option<Trigger> {
        match (&raw.at, &raw.cron, &raw.on) {
            (Some(at), None, None) => match at.parse::<Offset>() {
                Ok(offset) => Some(Trigger::At(offset)),
                Err(error) => {
                    findings.push(self.wrong("at", error.to_string(), "for example -7d or -1h"));
                    None
                }
            },
            (None, None, Some(on)) => {
                let happening = Happening::parse(on);
                if happening.is_none() {
                    let hint = suggest(on, Happening::ALL.map(Happening::name));
                    findings.push(self.wrong("on", format!("nothing is called `{on}`"), hint));
                }
                happening.map(Trigger::On)
            }
            (None, Some(cron), None) => self.cron(cron, findings),
            _ => {
                findings.push(self.wrong(
                    "id",
                    format!("notice `{}` needs one of `at`, `cron` and `on`, and only one", raw.id),
                    "write, for example, `at: -1d`",
                ));
                None
            }
        }
    }

    fn cron(&self, raw: &RawCron, findings: &mut Vec<Finding>) -> Option<Trigger> {
        let mut wrong = |key: &str, message: String, hint: &str| {
            findings.push(self.file.wrong(&["notices", &self.index, "cron", key], message, hint));
        };
        let zone_of = match &raw.zone {
            None => self.zone.clone(),
            Some(name) => match zone(name) {
                Some(zone) => zone,
                None => {
                    wrong("zone", format!("`{name}` is not a time zone"), "write an IANA name, such as Europe/Berlin");
                    return None;
                }
            },
        };
        let mut offset = |key: &str, text: &str| match text.parse::<Offset>() {
            Ok(offset) => Some(offset),
            Err(error) => {
                wrong(key, error.to_string(), "for example -7d");
                None
            }
        };
        let (from, until) = (offset("from", &raw.from), offset("until", &raw.until));
        let (from, until) = (from?, until?);
        let apart = |offset: Offset| match offset {
            Offset::Days(days) => days.saturating_mul(86_400),
            Offset::Exact(seconds) => seconds,
        };
        if apart(from) >= apart(until) {
            wrong("until", format!("`until: {}` is not after `from: {}`, so this never comes", raw.until, raw.from), "swap the two");
            return None;
        }
        match CronRule::new(&raw.expression, zone_of, from, until) {
            Ok(rule) => Some(Trigger::Cron(Box::new(rule))),
            Err(error) => {
                wrong("expression", error.to_string(), "for example \"0 9 * * Mon-Fri\"");
                None
            }
        }
    }
}
