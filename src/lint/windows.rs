//! Checks that each window opens when the plan allows it.

use jiff::{SignedDuration, Timestamp};

use super::{is_public, warning};
use crate::{
    config::{Config, Finding, Plan, UpgradeFile},
    domain::{
        campaign::upgrade::{Upgrade, Window},
        plan::notice::{Audience, MissedPolicy, Notice},
    },
    words::length_words,
};

/// A window is longer than this only by mistake.
const MAX_LENGTH: SignedDuration = SignedDuration::from_hours(14 * 24);
/// A duty's time is further before the window than this only by mistake.
const MAX_LEAD: SignedDuration = SignedDuration::from_hours(180 * 24);

pub(super) fn of(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in config.upgrades.iter().filter(|f| !f.upgrade.given_up()) {
        for (path, window) in windows(file) {
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            findings.extend(weekend(&config.plan, file, &path, window));
            findings.extend(night(&config.plan, file, &path, window));
            findings.extend(long(file, &path, window));
        }
        findings.extend(deadlines(file));
        findings.extend(twins(config, file));
    }
    findings
}

/// Warns of a window that is longer than any upgrade takes: its year or month may be mistyped.
fn long(file: &UpgradeFile, path: &[&str], window: &Window) -> Option<Finding> {
    let length = window.closes.duration_since(window.opens);
    (length > MAX_LENGTH).then(|| {
        let closes: Vec<&str> = path
            .iter()
            .map(|key| if *key == "opens" { "closes" } else { key })
            .collect();
        let message = format!("the window is open for {}", length_words(length));
        warning(file.file.wrong(
            &closes,
            message,
            "look at the date; people want to know the hours in which it comes",
        ))
    })
}

/// Warns of duties whose time is behind an opening, or so long before that its year may be mistyped.
fn deadlines(file: &UpgradeFile) -> Vec<Finding> {
    let windows: Vec<&Window> = windows(file)
        .into_iter()
        .map(|(_, window)| window)
        .collect();
    let first = windows.iter().map(|window| window.opens).min();
    let last = windows.iter().map(|window| window.closes).max();
    let (Some(first), Some(last)) = (first, last) else {
        return Vec::new();
    };
    let hint = "write when it has to be done so that the upgrade finds it done";
    let wrong = times_of_duties(file).filter_map(|(audience, by)| {
        let away = |from: Timestamp| length_words(by.duration_since(from).abs());
        let message = if by > last {
            format!("`by` is {} after the window", away(last))
        } else if by > first {
            format!("`by` is {} after the window opens", away(first))
        } else if first.duration_since(by) > MAX_LEAD {
            format!("`by` is {} before the window", away(first))
        } else {
            return None;
        };
        let path = ["audiences", audience.name(), "by"];
        Some(warning(file.file.wrong(&path, message, hint)))
    });
    wrong.collect()
}

/// Lists until when something is to be done, and by whom.
fn times_of_duties(file: &UpgradeFile) -> impl Iterator<Item = (Audience, Timestamp)> {
    let duties = file.upgrade.duties.iter();
    duties.filter_map(|(audience, duty)| Some((*audience, duty.by?)))
}

/// Warns of what was to be done by a time that is over, though no window has opened.
fn over(file: &UpgradeFile, now: Timestamp) -> Vec<Finding> {
    let first = windows(file).iter().map(|(_, window)| window.opens).min();
    let duties = times_of_duties(file).filter(|(_, by)| *by <= now && first > Some(now));
    let warn = |(audience, by): (Audience, Timestamp)| {
        let message = format!(
            "`by` is over since {}",
            length_words(now.duration_since(by))
        );
        let hint = "if the upgrade is new, write a time that is still to come";
        let path = ["audiences", audience.name(), "by"];
        warning(file.file.wrong(&path, message, hint))
    };
    duties.map(warn).collect()
}

/// Finds an upgrade that another file brings as well: to the same version of a chain, in the same hours.
fn twins(config: &Config, file: &UpgradeFile) -> Option<Finding> {
    let this = &file.upgrade;
    let earlier = config
        .upgrades
        .iter()
        .take_while(|other| other.file.name != file.file.name);
    let (other, chain) = earlier
        .filter(|other| !other.upgrade.given_up())
        .find_map(|other| {
            let other_windows = windows(other);
            let meet = windows(file).iter().any(|(_, one)| {
                let overlaps =
                    |(_, two): &(_, &Window)| one.opens < two.closes && two.opens < one.closes;
                other_windows.iter().any(overlaps)
            });
            let is_same = |name: &&String| {
                let target = |upgrade: &Upgrade| upgrade.chains.get(*name).map(|t| t.spec_version);
                target(this) == target(&other.upgrade)
            };
            let chain = this.chains.keys().find(is_same).filter(|_| meet)?;
            Some((other, chain))
        })?;
    let message = format!(
        "{} brings `{chain}` to the same version in the same hours, so everything would be said twice",
        other.file.name
    );
    let hint = "keep one of the two files";
    Some(file.file.wrong(&["chains", chain], message, hint))
}

/// Lists each window that may come to be, with the place of its opening.
fn windows(file: &UpgradeFile) -> Vec<(Vec<String>, &Window)> {
    let path = |keys: &[&str]| keys.iter().map(|k| (*k).to_owned()).collect::<Vec<_>>();
    match &file.upgrade.poll {
        None => vec![(path(&["window", "opens"]), &file.upgrade.window)],
        Some(poll) => poll
            .windows
            .iter()
            .enumerate()
            .map(|(i, w)| (path(&["poll", "windows", &i.to_string(), "opens"]), w))
            .collect(),
    }
}

fn weekend(plan: &Plan, file: &UpgradeFile, path: &[&str], window: &Window) -> Option<Finding> {
    let urgency = file.upgrade.urgency;
    plan.is_on_weekend(urgency, window.opens).then(|| {
        let local = plan.zone.to_datetime(window.opens);
        let message = format!(
            "the window opens on a {} ({}), which the {} plan does not allow",
            local.strftime("%A"),
            plan.zone_name,
            urgency.name()
        );
        file.file.wrong(
            path,
            message,
            format!(
                "choose a weekday, or allow it: plans.{}.window.weekends in plan.yaml",
                urgency.name()
            ),
        )
    })
}

fn night(plan: &Plan, file: &UpgradeFile, path: &[&str], window: &Window) -> Option<Finding> {
    let urgency = file.upgrade.urgency;
    let asleep = plan.asleep(urgency, window.opens);
    (!asleep.is_empty()).then(|| {
        let message = format!(
            "the window opens in the night of people in {}, which the {} plan does not allow",
            asleep.join(" and "),
            urgency.name()
        );
        let hint =
            "`herald plan window` proposes times; or allow it: plans.{}.window.nights in plan.yaml";
        file.file
            .wrong(path, message, hint.replace("{}", urgency.name()))
    })
}

/// Warns of the notices for the public whose time is over, if the upgrade is new: what becomes of each.
fn missed(config: &Config, file: &UpgradeFile, now: Timestamp) -> Option<Finding> {
    let upgrade = &file.upgrade;
    if upgrade.poll.is_some() || upgrade.window.opens <= now {
        return None;
    }
    let notices = config.plan.notices(upgrade.urgency).iter();
    let is_missed = |notice: &&Notice| {
        let times = notice
            .trigger
            .times(upgrade.window.opens, &config.plan.zone);
        is_public(notice, config) && times.first().is_some_and(|first| *first < now)
    };
    let of = |policy| -> Vec<&str> {
        notices
            .clone()
            .filter(|notice| notice.if_missed == policy)
            .filter(is_missed)
            .map(|notice| notice.id.as_str())
            .collect()
    };
    let fates = [
        (of(MissedPolicy::Now), "posted at once"),
        (of(MissedPolicy::Skip), "left out"),
    ];
    let fates: Vec<String> = fates
        .into_iter()
        .filter(|(ids, _)| !ids.is_empty())
        .map(|(ids, fate)| format!("{} ({fate})", ids.join(", ")))
        .collect();
    (!fates.is_empty()).then(|| {
        let message = format!(
            "if this upgrade is new, the time of these notices is over: {}",
            fates.join(", ")
        );
        let hint =
            "choose a later window, or say what becomes of each with `if_missed` in plan.yaml";
        warning(file.file.wrong(&["window", "opens"], message, hint))
    })
}

/// Warns of a poll whose votes would be counted before it is put to people.
fn poll_over(file: &UpgradeFile, now: Timestamp) -> Option<Finding> {
    let poll = file
        .upgrade
        .poll
        .as_ref()
        .filter(|poll| poll.decide_by <= now)?;
    let message = format!(
        "the votes on the window are due since {}: if this upgrade is new, it is refused",
        poll.decide_by
    );
    let hint = "set a `decide_by` that is still to come";
    Some(warning(file.file.wrong(
        &["poll", "decide_by"],
        message,
        hint,
    )))
}

/// Finds windows and times that people hear of too late, if their upgrade is new.
pub fn near(config: &Config, now: Timestamp) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in config.upgrades.iter().filter(|f| !f.upgrade.given_up()) {
        findings.extend(missed(config, file, now));
        findings.extend(over(file, now));
        findings.extend(poll_over(file, now));
        for (path, window) in windows(file) {
            let urgency = file.upgrade.urgency;
            if let Some(least) = config.plan.promised_notice(urgency, window.opens, now) {
                let left = window.opens.duration_since(now);
                let path: Vec<&str> = path.iter().map(String::as_str).collect();
                let message = format!(
                    "the window opens in {}; the {} plan gives people {}",
                    length_words(left),
                    urgency.name(),
                    length_words(least)
                );
                findings.push(warning(file.file.wrong(
                    &path,
                    message,
                    "if it is new, choose a later window or a more urgent plan",
                )));
            }
        }
    }
    findings
}
