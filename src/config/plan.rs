//! `plan.yaml`: the communication plan.

mod shape;
mod window_rules;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, civil::Time, tz::TimeZone};
use strum::IntoEnumIterator;

use self::shape::{
    RawFeedback, RawMeaning, RawObservation, RawPeople, RawUrgency, RawVerification,
};
use super::{
    deployment::Deployment,
    notice::{NoticeScope, happening, read_notices},
    yaml::{
        finding::Finding,
        source::SourceFile,
        values::{comparable_name, is_emoji, length, zone},
    },
};
use crate::{
    domain::{
        campaign::{progress::VerificationRules, upgrade::Urgency},
        chain::observation::Limits,
        people::feedback::{Meaning, same},
        plan::{
            notice::{Happening, Notice},
            window::Home,
        },
    },
    ports::Readers,
};

pub(super) use self::shape::RawPlan;

/// The rules for feedback: when it closes, and what reactions mean.
#[derive(Clone, Debug)]
pub struct Feedback {
    pub open_for: SignedDuration,
    /// Operators are told at once when this many people have a problem.
    pub raise_at: u32,
    pub meanings: Vec<Meaning>,
}

/// The notices of one urgency, and what the plan asks of its upgrades.
#[derive(Clone, Debug)]
pub struct UrgencyPlan {
    /// People hear of an upgrade at least so long before its window.
    pub least_notice: SignedDuration,
    /// The most posts in one channel on one day, when all goes well.
    pub posts_per_day: Option<u32>,
    /// The most posts of an upgrade that notify people in one channel, when all goes well.
    pub mentions_per_upgrade: Option<u32>,
    /// The time for acknowledging a notice.
    pub acknowledge_within: SignedDuration,
    /// Reminders of those who have not answered, by the time after the notice, in this order.
    pub remind_unacknowledged: Vec<SignedDuration>,
    /// Reminders of those who are not ready, by the time before they are to be, the longest first.
    pub remind_unready: Vec<SignedDuration>,
    /// A window may open on a Saturday or Sunday, in the plan's zone.
    pub weekends: bool,
    /// A window may open while it is night for some of the people.
    pub nights: bool,
    /// The plan's own notices, then those of every urgency; in this order where they are due at the same time.
    pub notices: Vec<Notice>,
    /// How many of these are its own.
    pub own: usize,
}

#[derive(Clone, Debug)]
pub struct Plan {
    pub zone: TimeZone,
    /// As written: `Europe/Berlin`.
    pub zone_name: String,
    /// Never empty: the plan's zone where nothing is said.
    pub people: Vec<Home>,
    pub rules: VerificationRules,
    pub limits: Limits,
    /// The readers of an upgrade that nobody planned, until a file joins it.
    pub unplanned: Readers,
    pub feedback: Feedback,
    /// The reaction that says "seen".
    pub acknowledge: String,
    /// The night where people live: from and until.
    pub night: (Time, Time),
    /// Notices that no plan has: words that nobody planned, and reminders that somebody asked for.
    pub own: [Notice; 2],
    /// One for each urgency.
    pub plans: BTreeMap<Urgency, UrgencyPlan>,
    /// Happenings that are shown on the status board alone.
    pub board: BTreeSet<Happening>,
    /// Happenings that nobody is told of, on purpose.
    pub silent: BTreeSet<Happening>,
}

impl Plan {
    /// The notices of an urgency, in the order in which they are posted when due together.
    pub fn notices(&self, urgency: Urgency) -> &[Notice] {
        self.plans.get(&urgency).map_or(&[], |p| &p.notices)
    }

    /// A notice of an urgency, or one that no plan has.
    pub fn notice(&self, urgency: Urgency, id: &str) -> Option<&Notice> {
        self.notices(urgency)
            .iter()
            .find(|n| n.id == id)
            .or_else(|| self.own.iter().find(|n| n.id == id))
    }

    /// The key path of a notice's key in the file: among its urgency's own, or among those of all.
    pub fn place_of(&self, urgency: Urgency, id: &str, key: &str) -> Vec<String> {
        let index = self
            .notices(urgency)
            .iter()
            .position(|n| n.id == id)
            .unwrap_or(0);
        let own = self.plans.get(&urgency).map_or(0, |p| p.own);
        let (list, index) = if index < own {
            (vec!["plans", urgency.name(), "notices"], index)
        } else {
            (vec!["notices"], index - own)
        };
        list.into_iter()
            .map(str::to_owned)
            .chain([index.to_string(), key.to_owned()])
            .collect()
    }

    /// Every notice of every urgency; those of all are there once for each.
    pub fn all_notices(&self) -> impl Iterator<Item = (Urgency, &Notice)> {
        self.plans
            .iter()
            .flat_map(|(urgency, plan)| plan.notices.iter().map(|n| (*urgency, n)))
    }
}

/// Reminders of one clock at most.
const MAX_REMINDERS: usize = 9;

pub fn read(
    file: &SourceFile,
    deployment: Option<&Deployment>,
    templates: &BTreeMap<String, SourceFile>,
    findings: &mut Vec<Finding>,
) -> Option<Plan> {
    let mut raw: RawPlan = file.parse(findings)?;
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
    let raw_night = raw.people.as_ref().and_then(|p| p.night.clone());
    let people = people(raw.people.take(), &raw.zone, &plan_zone, file, findings);
    let rules = rules(&raw.verification, file, findings);
    let limits = limits(&raw.observation, file, findings);
    let feedback = feedback(&raw.feedback, file, findings);
    let scope = NoticeScope {
        file,
        zone: &plan_zone,
        deployment,
        templates,
    };
    let plans = plans(&raw, &scope, findings);
    let listed = |key: &str, findings: &mut Vec<Finding>| {
        let names = if key == "board" {
            &raw.board
        } else {
            &raw.silent
        };
        names
            .iter()
            .enumerate()
            .filter_map(|(i, name)| happening(file, &[key, &i.to_string()], name, findings))
            .collect::<BTreeSet<_>>()
    };
    if !is_emoji(&raw.acknowledge) {
        findings.push(file.wrong(
            &["acknowledge"],
            format!("`{}` is not one emoji", raw.acknowledge),
            "write one emoji itself, such as ✅",
        ));
    }
    let (board, silent) = (listed("board", findings), listed("silent", findings));
    let night = night(raw_night.as_deref(), file, findings);
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
        acknowledge: raw.acknowledge,
        night: night?,
        own: [Notice::said(), Notice::private()],
        plans,
        board,
        silent,
    })
}

/// Reads the three plans: each has its own notices and those of all.
fn plans(
    raw: &RawPlan,
    scope: &NoticeScope<'_>,
    findings: &mut Vec<Finding>,
) -> BTreeMap<Urgency, UrgencyPlan> {
    let common = read_notices(scope, &["notices"], &raw.notices, findings);
    let mut plans = BTreeMap::new();
    for urgency in Urgency::iter() {
        let own = match urgency {
            Urgency::Routine => &raw.plans.routine,
            Urgency::Expedited => &raw.plans.expedited,
            Urgency::Emergency => &raw.plans.emergency,
        };
        if let Some(plan) = urgency_plan(urgency, own, &common, scope, findings) {
            plans.insert(urgency, plan);
        }
    }
    plans
}

fn urgency_plan(
    urgency: Urgency,
    raw: &RawUrgency,
    common: &[Notice],
    scope: &NoticeScope<'_>,
    findings: &mut Vec<Finding>,
) -> Option<UrgencyPlan> {
    let file = scope.file;
    let name = urgency.name();
    for (key, most, message) in [
        (
            "posts_per_day",
            raw.posts_per_day,
            "no post at all would be allowed",
        ),
        (
            "mentions_per_upgrade",
            raw.mentions_per_upgrade,
            "nobody would ever be notified",
        ),
    ] {
        if most == Some(0) {
            let hint = "leave it out for as many as come";
            findings.push(file.wrong(&["plans", name, key], message, hint));
        }
    }
    let mut wait = |key: &str, text: &Option<String>, default_hours: i64| match text {
        None => Some(SignedDuration::from_hours(default_hours)),
        Some(text) => length(file, &["plans", name, key], text, findings),
    };
    let least_notice = wait("least_notice", &raw.least_notice, 0);
    let default_hours = if urgency == Urgency::Emergency {
        48
    } else {
        72
    };
    let within = wait("acknowledge_within", &raw.acknowledge_within, default_hours);
    let mut notices = read_notices(scope, &["plans", name, "notices"], &raw.notices, findings);
    for (i, notice) in common.iter().enumerate() {
        let is_same = |own: &&Notice| comparable_name(&own.id) == comparable_name(&notice.id);
        if let Some(own) = notices.iter().find(is_same) {
            findings.push(file.wrong(
                &["notices", &i.to_string(), "id"],
                format!("the {name} plan has a notice `{}` of its own", own.id),
                "give each notice an id of its own",
            ));
        }
    }
    let own = notices.len();
    notices.extend(common.iter().cloned());
    let mut steps = |key: &str, texts: &[String]| {
        reminders(&["plans", name, "remind", key], texts, file, findings)
    };
    let remind_unacknowledged = steps("unacknowledged", &raw.remind.unacknowledged);
    let mut remind_unready = steps("unready", &raw.remind.unready);
    remind_unready.reverse();
    Some(UrgencyPlan {
        least_notice: least_notice?,
        posts_per_day: raw.posts_per_day,
        mentions_per_upgrade: raw.mentions_per_upgrade,
        acknowledge_within: within?,
        remind_unacknowledged,
        remind_unready,
        weekends: raw.window.weekends,
        nights: raw.window.nights,
        notices,
        own,
    })
}

/// Reads the lengths after which people are reminded, the shortest first.
fn reminders(
    path: &[&str],
    texts: &[String],
    file: &SourceFile,
    findings: &mut Vec<Finding>,
) -> Vec<SignedDuration> {
    if texts.len() > MAX_REMINDERS {
        let message = format!("{} reminders are listed; {MAX_REMINDERS} fit", texts.len());
        findings.push(file.wrong(path, message, "remind people less often"));
    }
    let mut steps = Vec::new();
    for (i, text) in texts.iter().enumerate() {
        let index = i.to_string();
        let at = [path, &[index.as_str()]].concat();
        let Some(step) = length(file, &at, text, findings) else {
            continue;
        };
        if step.is_zero() {
            findings.push(file.wrong(&at, "a reminder at once is none", "for example 24h"));
        }
        steps.push(step);
    }
    steps.sort();
    steps
}

/// `22:00-06:00`
fn night(
    text: Option<&str>,
    file: &SourceFile,
    findings: &mut Vec<Finding>,
) -> Option<(Time, Time)> {
    let text = text.unwrap_or("22:00-06:00");
    let read = text
        .split_once('-')
        .and_then(|(from, until)| Some((from.trim().parse().ok()?, until.trim().parse().ok()?)));
    if read.is_some_and(|(from, until): (Time, Time)| from == until) {
        findings.push(file.wrong(
            &["people", "night"],
            format!("`{text}` is a night of no length"),
            "write, for example, 22:00-06:00; a plan that minds no night says `window: { nights: true }`",
        ));
    }
    if read.is_none() {
        findings.push(file.wrong(
            &["people", "night"],
            format!("`{text}` is not a night"),
            "write, for example, 22:00-06:00",
        ));
    }
    read
}

fn people(
    raw: Option<RawPeople>,
    zone_name: &str,
    plan_zone: &TimeZone,
    file: &SourceFile,
    findings: &mut Vec<Finding>,
) -> Vec<Home> {
    let Some(raw) = raw else {
        return vec![Home {
            name: zone_name.to_owned(),
            zone: plan_zone.clone(),
            weight: 1.0,
        }];
    };
    if raw.zones.is_empty() {
        findings.push(file.wrong(
            &["people", "zones"],
            "no zone is named",
            "leave `people` out if all live in the plan's zone",
        ));
    }
    let mut homes: Vec<Home> = Vec::new();
    for (name, weight) in raw.zones {
        let mut wrong = |message: String, hint: &str| {
            findings.push(file.wrong(&["people", "zones", &name], message, hint))
        };
        if !(weight.is_finite() && weight > 0.0) {
            wrong(
                format!("`{weight}` is not a weight"),
                "write how many people live there, compared with the others, such as 3",
            );
        }
        if let Some(first) = homes
            .iter()
            .find(|home| home.name.eq_ignore_ascii_case(&name))
        {
            wrong(
                format!("`{}` is this zone already", first.name),
                "keep one of the two, with the weight of both",
            );
        }
        match zone(&name) {
            Some(zone) => homes.push(Home { name, zone, weight }),
            None => wrong(
                format!("`{name}` is not a time zone"),
                "write an IANA name, such as Europe/Berlin or UTC",
            ),
        }
    }
    homes
}

fn rules(
    raw: &RawVerification,
    file: &SourceFile,
    findings: &mut Vec<Finding>,
) -> Option<VerificationRules> {
    let mut read = |key: &str, text: &str| length(file, &["verification", key], text, findings);
    let (healthy_for, complete_after, watch_for, max_block_gap) = (
        read("healthy_for", &raw.healthy_for),
        read("complete_after", &raw.complete_after),
        read("watch_for", &raw.watch_for),
        read("max_block_gap", &raw.max_block_gap),
    );
    if max_block_gap.is_some_and(|gap| gap.is_zero())
        || healthy_for.is_some_and(|length| length.is_zero())
    {
        findings.push(file.wrong(
            &["verification"],
            "healthy_for and max_block_gap can't be nothing",
            "the defaults are 10m and 60s",
        ));
    }
    if !(0.0..=1.0).contains(&raw.max_failed_share) {
        findings.push(file.wrong(
            &["verification", "max_failed_share"],
            "a share is between 0 and 1",
            "0.5 is half of all transactions",
        ));
    }
    if raw.worse_than_before.is_nan() || raw.worse_than_before < 1.0 {
        findings.push(file.wrong(
            &["verification", "worse_than_before"],
            "worse_than_before is 1 or more",
            "3 is three times worse than in the worst hour before the upgrade",
        ));
    }
    if raw.slis.is_some_and(|share| !(0.0..=1.0).contains(&share)) {
        findings.push(file.wrong(
            &["verification", "slis"],
            "a share is between 0 and 1",
            "0.9 is nine of ten blocks",
        ));
    }
    Some(VerificationRules {
        healthy_for: healthy_for?,
        complete_after: complete_after?,
        watch_for: watch_for?,
        max_block_gap: max_block_gap?,
        max_finality_lag: raw.max_finality_lag,
        max_failed_share: raw.max_failed_share,
        min_transactions: raw.min_transactions,
        worse_than_before: raw.worse_than_before,
        slis: raw.slis,
        after: raw.after.clone(),
    })
}

fn limits(raw: &RawObservation, file: &SourceFile, findings: &mut Vec<Finding>) -> Option<Limits> {
    let mut read = |key: &str, text: &str| {
        let length = length(file, &["observation", key], text, findings);
        if length.is_some_and(|l| l.is_zero()) {
            findings.push(file.wrong(
                &["observation", key],
                format!("{key} can't be nothing"),
                "for example 10m",
            ));
        }
        length
    };
    let stalled_after = read("stalled_after", &raw.stalled_after);
    let overdue_after = read("overdue_after", &raw.overdue_after);
    let delayed_after = read("delayed_after", &raw.delayed_after);
    let drift = read("estimate_drift", &raw.estimate_drift);
    Some(Limits {
        stalled_after: stalled_after?,
        lagging_from: raw.lagging_from,
        overdue_after: overdue_after?,
        delayed_after: delayed_after?,
        unapplied_after: raw.unapplied_after,
        stuck_after: raw.stuck_after,
        drift: drift?,
    })
}

fn feedback(raw: &RawFeedback, file: &SourceFile, findings: &mut Vec<Finding>) -> Option<Feedback> {
    let open_for = length(file, &["feedback", "open_for"], &raw.open_for, findings);
    if open_for.is_some_and(|l| l.is_zero()) {
        findings.push(file.wrong(
            &["feedback", "open_for"],
            "nobody could answer in no time",
            "for example 48h",
        ));
    }
    for (i, meaning) in raw.reactions.iter().enumerate() {
        let mut earlier = raw.reactions.iter().take(i);
        let is_same = |other: &&RawMeaning| same(&other.emoji, &meaning.emoji);
        if let Some(first) = earlier.find(is_same) {
            findings.push(file.wrong(
                &["feedback", "reactions", &i.to_string(), "emoji"],
                format!("{} means “{}” above", meaning.emoji, first.means),
                "take another emoji, or one meaning for both",
            ));
        }
        if meaning.means.trim().is_empty() || meaning.means.trim().contains('\n') {
            let at = ["feedback", "reactions", &i.to_string(), "means"];
            findings.push(file.wrong(
                &at,
                format!("{} means nothing, or more than one line", meaning.emoji),
                "say in a few words what it means",
            ));
        }
        if !is_emoji(&meaning.emoji) {
            findings.push(file.wrong(
                &["feedback", "reactions", &i.to_string(), "emoji"],
                format!("`{}` is not one emoji", meaning.emoji),
                "write one emoji itself, such as 👍",
            ));
        }
    }
    if raw.raise_at == 0 {
        findings.push(file.wrong(
            &["feedback", "raise_at"],
            "nobody can't have a problem",
            "write 1 or more, such as 3",
        ));
    }
    let meaning = |m: &RawMeaning| Meaning {
        emoji: m.emoji.clone(),
        meaning: m.means.clone(),
        problem: m.problem,
    };
    let meanings = raw.reactions.iter().map(meaning).collect();
    Some(Feedback {
        open_for: open_for?,
        raise_at: raw.raise_at,
        meanings,
    })
}
