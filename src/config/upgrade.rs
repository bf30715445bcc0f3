//! `upgrades/<id>.yaml`: one upgrade.

mod lengths;
mod shape;

use std::collections::BTreeMap;

use jiff::{Timestamp, civil::Date, tz::AmbiguousOffset};
use strum::IntoEnumIterator;

use self::{
    lengths::check_lengths,
    shape::{RawAction, RawPoll, RawWindow},
};
use super::{
    deployment::Deployment,
    plan::Plan,
    yaml::{
        finding::{Finding, Severity, suggest},
        source::SourceFile,
        values::{comparable_name, instant, linkable},
    },
};
use crate::domain::{
    campaign::upgrade::{Decision, Duty, Link, Method, Poll, Referendum, Target, Upgrade, Window},
    hex,
    plan::{
        notice::Audience,
        schedule::{PlanTime, TimeError},
    },
    text::says_something,
};

pub(super) use self::shape::RawUpgrade;

/// The ids that herald gives by itself begin so.
const UNPLANNED_ID: &str = "unplanned-";

/// An upgrade and the file it came from.
#[derive(Clone, Debug)]
pub struct UpgradeFile {
    pub upgrade: Upgrade,
    pub file: SourceFile,
}

/// Reads an upgrade, and everything that is wrong with it.
pub fn read(
    file: &SourceFile,
    deployment: &Deployment,
    plan: &Plan,
    findings: &mut Vec<Finding>,
) -> Option<Upgrade> {
    let raw: RawUpgrade = file.parse(findings)?;
    let before = findings.len();
    check_id(&raw, file, findings);
    check_lengths(&raw, file, findings);
    if raw.method == Method::Unknown {
        findings.push(file.wrong(
            &["method"],
            "who enacts the upgrade has to be known",
            "write sudo or governance",
        ));
    }
    check_chains(&raw, deployment, file, findings);
    check_links(&raw, file, findings);
    let mut times = Times {
        plan,
        file,
        findings,
    };
    let window = raw
        .window
        .as_ref()
        .and_then(|w| times.window(&["window"], w));
    let poll = raw.poll.as_ref().map(|poll| times.poll(poll));
    let duties = times.duties(&raw);
    times.check_window(&raw, window.as_ref());
    if let Some(poll) = &poll {
        times.check_poll(poll);
    }
    check_audiences(&duties, file, findings);
    check_statements(&raw, file, findings);
    let is_error = |f: &Finding| f.severity == Severity::Error;
    if findings.iter().skip(before).any(is_error) {
        return None;
    }
    let poll = match poll {
        Some(PollTimes { windows, decide_by }) => Some(Poll {
            windows,
            decide_by: decide_by?,
        }),
        None => None,
    };
    let window = window.or_else(|| poll.as_ref()?.windows.first().cloned())?;
    Some(assemble(raw, window, poll, duties))
}

/// Says what keeps a text from being the id of an upgrade.
pub fn unfit_id(id: &str) -> Option<&'static str> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if !id.starts_with(|c: char| c.is_ascii_alphanumeric()) || !id.chars().all(fits) {
        return Some(
            "use letters, digits, dots and dashes, a letter or a digit first, such as v2.3.1",
        );
    }
    let is_own = comparable_name(id).starts_with(UNPLANNED_ID);
    is_own.then_some("take another: herald gives such ids to upgrades that no file speaks of")
}

fn check_id(raw: &RawUpgrade, file: &SourceFile, findings: &mut Vec<Finding>) {
    if let Some(hint) = unfit_id(&raw.id) {
        findings.push(file.wrong(&["id"], format!("`{}` can't be an id", raw.id), hint));
    }
}

/// Checks the chains that are named, and the code that they are to run.
fn check_chains(
    raw: &RawUpgrade,
    deployment: &Deployment,
    file: &SourceFile,
    findings: &mut Vec<Finding>,
) {
    if raw.chains.is_empty() {
        findings.push(file.wrong(
            &["chains"],
            "the upgrade touches no chain",
            "name each chain with its `spec_version`",
        ));
    }
    let mut check_name = |path: &[&str], name: &str| {
        if !deployment.chains.contains_key(name) {
            let known: Vec<&str> = deployment.chains.keys().map(String::as_str).collect();
            let message = format!("there is no chain `{name}` in herald.yaml");
            findings.push(file.wrong(path, message, suggest(name, known)));
        }
    };
    for name in raw.chains.keys() {
        check_name(&["chains", name], name);
    }
    if let Some(referendum) = &raw.referendum {
        check_name(&["referendum", "chain"], &referendum.chain);
    }
    for (name, target) in &raw.chains {
        if target.spec_version == 0 {
            findings.push(file.wrong(
                &["chains", name, "spec_version"],
                "0 is no version that a chain can change to",
                "write the version of the new runtime, such as 2003001",
            ));
        }
        let is_hash = |h: &String| hex::decode(h).is_some_and(|bytes| bytes.len() == 32);
        if let Some(hash) = target.code_hash.as_ref().filter(|h| !is_hash(h)) {
            findings.push(file.wrong(
                &["chains", name, "code_hash"],
                format!("`{hash}` is not a code hash"),
                "write 0x and 64 digits, as the authorization has it (BLAKE2b-256 of the code)",
            ));
        }
    }
}

fn check_links(raw: &RawUpgrade, file: &SourceFile, findings: &mut Vec<Finding>) {
    for (i, link) in raw.links.iter().enumerate() {
        if !linkable(&link.url) {
            findings.push(file.wrong(
                &["links", &i.to_string(), "url"],
                format!("`{}` can't be linked", link.url),
                "write an https:// address without spaces or brackets",
            ));
        }
    }
}

/// Reads the times of an upgrade in the plan's zone, and checks its windows.
struct Times<'a> {
    plan: &'a Plan,
    file: &'a SourceFile,
    findings: &'a mut Vec<Finding>,
}

/// The times of a poll, as far as they can be read.
struct PollTimes {
    windows: Vec<Window>,
    decide_by: Option<Timestamp>,
}

impl Times<'_> {
    fn time(&mut self, path: &[&str], text: &str) -> Option<Timestamp> {
        let read = instant(text, &self.plan.zone);
        if let Err(error) = read {
            let message = format!("`{text}` {error}");
            let hint = self.remedy(text, error);
            self.findings.push(self.file.wrong(path, message, hint));
        }
        self.warn_of_clock_change(path, text, read.ok());
        read.ok()
    }

    /// Says what to write instead of a text that is no time.
    fn remedy(&self, text: &str, error: TimeError) -> String {
        match error {
            TimeError::Form => format!(
                "write 2026-12-01 14:00 (in the plan's zone, {}) or 2026-12-01T13:00:00Z",
                self.plan.zone_name
            ),
            TimeError::NoSuchDay => {
                let month = text.trim().get(..7).unwrap_or_default();
                let first = format!("{month}-01").parse::<Date>();
                let days = first.map_or(31, |first| first.days_in_month());
                format!("{month} has {days} days")
            }
            TimeError::NoHour => format!("write the hour as well, such as {} 14:00", text.trim()),
            TimeError::LeapSecond => "write 59 seconds at most".to_owned(),
            TimeError::Contradiction => {
                "keep one of the two: an offset such as +01:00, or a zone such as [Europe/Berlin]"
                    .to_owned()
            }
            TimeError::NoSuchOffset => {
                "look at the offset's digits: Berlin has +01:00 or +02:00".to_owned()
            }
            TimeError::BeyondCalendar => "write a nearer year".to_owned(),
        }
    }

    /// Warns of a time that the plan's zone has twice or not at all, because its clocks change then.
    fn warn_of_clock_change(&mut self, path: &[&str], text: &str, read: Option<Timestamp>) {
        let zone = &self.plan.zone;
        let (Some(read), Ok(PlanTime::Civil(civil))) = (read, text.parse()) else {
            return;
        };
        let what = match zone.to_ambiguous_timestamp(civil).offset() {
            AmbiguousOffset::Unambiguous { .. } => return,
            AmbiguousOffset::Gap { .. } => "no clock shows",
            AmbiguousOffset::Fold { .. } => "clocks show twice",
        };
        let read = read.display_with_offset(zone.to_offset(read));
        let message = format!(
            "in {} {what} `{text}`, since they change then; it is read as {read}",
            self.plan.zone_name
        );
        let finding = self.file.wrong(
            path,
            message,
            format!("write the time with its offset, such as {read}"),
        );
        self.findings.push(Finding {
            severity: Severity::Warning,
            ..finding
        });
    }

    fn window(&mut self, path: &[&str], raw: &RawWindow) -> Option<Window> {
        let opens = self.time(&[path, &["opens"]].concat(), &raw.opens);
        let closes = self.time(&[path, &["closes"]].concat(), &raw.closes);
        Some(Window {
            opens: opens?,
            closes: closes?,
        })
    }

    fn poll(&mut self, raw: &RawPoll) -> PollTimes {
        let windows =
            raw.windows.iter().enumerate().filter_map(|(i, window)| {
                self.window(&["poll", "windows", &i.to_string()], window)
            });
        PollTimes {
            windows: windows.collect(),
            decide_by: self.time(&["poll", "decide_by"], &raw.decide_by),
        }
    }

    fn duties(&mut self, raw: &RawUpgrade) -> BTreeMap<Audience, Duty> {
        let duties = raw.audiences.iter().map(|(audience, duty)| {
            let path = ["audiences", audience.name(), "by"];
            let by = duty.by.as_deref().and_then(|by| self.time(&path, by));
            let duty = Duty {
                required: duty.action == RawAction::Required,
                what: duty.what.clone(),
                node_version: duty.node_version.clone(),
                by,
            };
            (*audience, duty)
        });
        duties.collect()
    }

    fn say(&mut self, path: &[&str], message: impl Into<String>, hint: &str) {
        self.findings.push(self.file.wrong(path, message, hint));
    }

    /// Checks that the window is a time, and that there is one window or a choice of several.
    fn check_window(&mut self, raw: &RawUpgrade, window: Option<&Window>) {
        if let Some(window) = window {
            self.check_length(&["window", "closes"], window);
        }
        if raw.window.is_some() && raw.poll.is_some() {
            self.say(
                &["poll"],
                "the window is set, so there is nothing to choose",
                "remove `poll`, or `window` until it is decided",
            );
        }
        if raw.window.is_none() && raw.poll.is_none() {
            self.say(
                &["id"],
                "nothing is said of the window",
                "add `window:` with `opens` and `closes`, or a `poll:`",
            );
        }
    }

    /// Checks that a window closes after it opens. Both times are shown in one zone: they may be written in two.
    fn check_length(&mut self, path: &[&str], window: &Window) {
        let shown = |at: Timestamp| {
            let at = at.to_zoned_datetime(self.plan.zone.clone());
            at.strftime("%Y-%m-%d %H:%M:%S %Z").to_string()
        };
        let (opens, closes) = (shown(window.opens), shown(window.closes));
        if window.closes == window.opens {
            let message = format!("the window closes as it opens, at {opens}");
            self.say(path, message, "write a later time");
        } else if window.closes < window.opens {
            let message =
                format!("the window closes before it opens: at {closes}, and it opens at {opens}");
            let hint =
                "swap the two times, or look at their zones: a time without one is in the plan's";
            self.say(path, message, hint);
        }
    }

    fn check_poll(&mut self, poll: &PollTimes) {
        let PollTimes { windows, decide_by } = poll;
        if !(2..=9).contains(&windows.len()) {
            let message = format!(
                "{} windows are proposed; two to nine can be chosen from",
                windows.len()
            );
            self.say(
                &["poll", "windows"],
                message,
                "each gets a number to react with",
            );
        }
        for (i, window) in windows.iter().enumerate() {
            let index = i.to_string();
            self.check_length(&["poll", "windows", &index, "closes"], window);
            if let Some(first) = windows.iter().take(i).position(|other| other == window) {
                self.say(
                    &["poll", "windows", &index],
                    format!("this is window {} of the poll once more", first + 1),
                    "propose another, or remove this one",
                );
            }
        }
        let first = windows.iter().map(|window| window.opens).min();
        if decide_by.is_some_and(|at| first.is_some_and(|opens| at >= opens)) {
            self.say(
                &["poll", "decide_by"],
                "it is decided after a window has opened",
                "decide before the first of them",
            );
        }
    }
}

/// Checks that something is said for each audience.
fn check_audiences(
    duties: &BTreeMap<Audience, Duty>,
    file: &SourceFile,
    findings: &mut Vec<Finding>,
) {
    for audience in Audience::iter() {
        if !duties.contains_key(&audience) {
            let name = audience.name();
            findings.push(file.wrong(
                &["audiences", name],
                format!("nothing is said for {name}"),
                format!("add `{name}:` with `action: required` or `action: none`, and `what`"),
            ));
        }
    }
}

/// Checks what people say of the upgrade: steps they have taken, and how it is decided.
fn check_statements(raw: &RawUpgrade, file: &SourceFile, findings: &mut Vec<Finding>) {
    for (step, link) in raw.steps.iter().filter(|(_, link)| !linkable(link)) {
        findings.push(file.wrong(
            &["steps", step.name()],
            format!("`{link}` can't be linked"),
            "write the https:// address where it can be read",
        ));
    }
    for (key, text) in [
        ("no_go", &raw.no_go),
        ("cancelled", &raw.cancelled),
        ("failed", &raw.failed),
        ("rollback", &raw.rollback),
    ] {
        let Some(text) = text.as_ref().filter(|text| !says_something(text)) else {
            continue;
        };
        let message = format!("`{key}: {text}` says it with `{text}` as its words");
        let hint = format!("write it in words for people, or remove `{key}`");
        findings.push(file.wrong(&[key], message, hint));
    }
    if raw.cancelled.is_some() && raw.failed.is_some() {
        findings.push(file.wrong(
            &["failed"],
            "it can't be cancelled and have failed",
            "remove one of the two: what was tried has failed, what was not is cancelled",
        ));
    }
    if raw.go == Some(true) && raw.no_go.is_some() {
        findings.push(file.wrong(
            &["no_go"],
            "it can't be go and no-go",
            "remove one of the two",
        ));
    }
}

fn assemble(
    raw: RawUpgrade,
    window: Window,
    poll: Option<Poll>,
    duties: BTreeMap<Audience, Duty>,
) -> Upgrade {
    let chains = raw.chains.into_iter().map(|(name, target)| {
        let target = Target {
            spec_version: target.spec_version,
            code_hash: target.code_hash.map(|h| h.to_lowercase()),
        };
        (name, target)
    });
    let links = raw.links.into_iter().map(|link| Link {
        name: link.name,
        url: link.url,
    });
    Upgrade {
        id: raw.id,
        title: raw.title,
        summary: raw.summary,
        urgency: raw.urgency,
        method: raw.method,
        window,
        poll,
        chains: chains.collect(),
        changes: raw.changes,
        links: links.collect(),
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
    }
}

/// Checks that no two upgrades have one id. The case of letters makes no other: on some disks it makes no other file.
pub fn check_ids(upgrades: &[UpgradeFile], findings: &mut Vec<Finding>) {
    let mut files: BTreeMap<String, &UpgradeFile> = BTreeMap::new();
    for this in upgrades {
        let first = files
            .entry(comparable_name(&this.upgrade.id))
            .or_insert(this);
        if first.file.name != this.file.name {
            let message = format!(
                "{} has the id `{}` already",
                first.file.name, first.upgrade.id
            );
            let hint = "give each upgrade an id of its own";
            findings.push(this.file.wrong(&["id"], message, hint));
        }
    }
}
