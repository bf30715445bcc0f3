//! Checks that each window opens when the plan allows it.

use jiff::{SignedDuration, Timestamp};

use super::{is_public, warning};
use crate::{
    config::{Config, Finding, Plan, UpgradeFile},
    domain::{
        campaign::upgrade::Window,
        plan::notice::{MissedPolicy, Notice},
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

/// Warns of duties whose time is behind every window, or so long before that its year may be mistyped.
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
    let duties = file.upgrade.duties.iter();
    let duties = duties.filter_map(|(audience, duty)| Some((audience, duty.by?)));
    let wrong = duties.filter_map(|(audience, by)| {
        let (away, where_) = if by > last {
            (by.duration_since(last), "after the window")
        } else {
            (first.duration_since(by), "before the window")
        };
        let is_wrong = by > last || away > MAX_LEAD;
        let path = ["audiences", audience.name(), "by"];
        let message = format!("`by` is {} {where_}", length_words(away));
        let hint = "write when it has to be done so that the upgrade finds it done";
        is_wrong.then(|| warning(file.file.wrong(&path, message, hint)))
    });
    wrong.collect()
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

/// Finds windows that people hear of too late, if their upgrade is new.
pub fn near(config: &Config, now: Timestamp) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in config.upgrades.iter().filter(|f| !f.upgrade.given_up()) {
        findings.extend(missed(config, file, now));
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
