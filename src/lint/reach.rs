//! Checks that everything in the plan can come at all.

use jiff::SignedDuration;

use super::{TrialWindow, at_notice, warning};
use crate::{
    config::{Config, Finding, Plan, SourceFile},
    domain::{
        campaign::upgrade::Urgency,
        plan::{
            notice::{Happening, Notice, Trigger},
            schedule::short_length,
        },
    },
    ports::Readers,
    words::length_words,
};

pub(super) fn of(
    config: &Config,
    urgency: Urgency,
    trials: &[TrialWindow],
    findings: &mut Vec<Finding>,
) {
    let plan = &config.plan;
    for notice in plan.notices(urgency) {
        let mut warn = |key: &str, message: String, hint: &str| {
            findings.push(warning(at_notice(
                config, urgency, &notice.id, key, message, hint,
            )));
        };
        if notice.channels.is_empty() {
            let readers = if config
                .deployment
                .channels_for(Readers::Operators)
                .is_empty()
            {
                "operators"
            } else {
                "the public"
            };
            let message = format!("`{}` goes nowhere: no channel is for {readers}", notice.id);
            warn(
                "to",
                message,
                "add one to herald.yaml, or name channels here",
            );
        }
        if matches!(&notice.trigger, Trigger::Cron(rule) if rule.has_two_days()) {
            warn(
                "cron",
                format!(
                    "`{}` comes only on days that are both the day of the month and the weekday, unlike in other crons",
                    notice.id
                ),
                "write * for one of the two, or two notices",
            );
        }
        for trial in trials.iter().filter(|s| s.times(notice, plan).is_empty()) {
            match notice.trigger {
                Trigger::Cron(_) => {
                    let message = format!("`{}` never comes for {}", notice.id, trial.name);
                    warn(
                        "cron",
                        message,
                        "widen `from` and `until`, or look at the expression",
                    );
                }
                Trigger::At(_) => {
                    let message = format!(
                        "`{}` would come outside of the calendar for {}",
                        notice.id, trial.name
                    );
                    warn("at", message, "write a shorter offset, such as -7d");
                }
                Trigger::On(_) => {}
            }
        }
        if let Some((message, hint)) = unasked(notice, plan.notices(urgency)) {
            warn("on", message, hint);
        }
        approvals(config, urgency, notice, findings);
    }
    reminders(plan, urgency, &config.sources.plan, findings);
    for trial in trials {
        limits(config, trial, findings);
    }
}

/// Finds reminders that never come: another comes at the same time, or the time to answer is over.
fn reminders(plan: &Plan, urgency: Urgency, file: &SourceFile, findings: &mut Vec<Finding>) {
    let Some(rules) = plan.plans.get(&urgency) else {
        return;
    };
    let mut warn = |key: &str, message: String, hint: &str| {
        let path = ["plans", urgency.name(), "remind", key];
        findings.push(file.wrong(&path, message, hint).warning());
    };
    let lists = [
        ("unacknowledged", &rules.remind_unacknowledged),
        ("unready", &rules.remind_unready),
    ];
    for (key, steps) in lists {
        let is_twice = |pair: &&[SignedDuration]| matches!(pair, [one, next] if one == next);
        if let Some(twice) = steps.windows(2).find(is_twice).and_then(<[_]>::first) {
            let message = format!("{} stands here twice", short_length(twice.as_secs()));
            warn(key, message, "remove one of the two");
        }
    }
    let within = rules.acknowledge_within;
    if let Some(late) = rules
        .remind_unacknowledged
        .iter()
        .find(|step| **step >= within)
    {
        let message = format!(
            "nobody is reminded after {}: they have {} to answer",
            short_length(late.as_secs()),
            short_length(within.as_secs())
        );
        warn(
            "unacknowledged",
            message,
            "write less than `acknowledge_within`",
        );
    }
}

/// Finds a notice that waits for answers to something that nobody asks.
fn unasked(notice: &Notice, all: &[Notice]) -> Option<(String, &'static str)> {
    let waits = |happening| notice.trigger == Trigger::On(happening);
    if waits(Happening::FeedbackClosed) && !all.iter().any(|n| n.feedback) {
        return Some((
            format!(
                "`{}` waits for feedback, and no notice asks for it",
                notice.id
            ),
            "add `feedback: true` to the notice of `applied`",
        ));
    }
    if waits(Happening::PollClosed)
        && !all
            .iter()
            .any(|n| n.trigger == Trigger::On(Happening::WindowProposed))
    {
        return Some((
            format!(
                "`{}` waits for votes, and no notice asks for them",
                notice.id
            ),
            "add a notice with `on: window_proposed`",
        ));
    }
    None
}

/// Checks that as many people are known as have to agree.
fn approvals(config: &Config, urgency: Urgency, notice: &Notice, findings: &mut Vec<Finding>) {
    let wanted = notice.approval.persons;
    let there = config
        .people
        .all
        .iter()
        .filter(|p| config.people.may_approve(p))
        .count();
    if wanted > 0 && config.sources.people.is_none() {
        let why = "notices of the plan wait for the approval of people who stand there";
        findings.push(config.sources.plan.missing_beside("people.yaml", why));
    } else if u32::try_from(there).is_ok_and(|n| n < wanted) {
        let message = format!(
            "`{}` needs the approval of {wanted}, and {there} may give it",
            notice.id
        );
        let hint = "name people with the role communication_team or operator in people.yaml";
        findings.push(at_notice(
            config, urgency, &notice.id, "approval", message, hint,
        ));
    }
}

fn limits(config: &Config, trial: &TrialWindow, findings: &mut Vec<Finding>) {
    let Plan { limits, .. } = &config.plan;
    let file = &config.sources.plan;
    if limits.delayed_after <= limits.overdue_after {
        let message = format!(
            "people would hear of a delay after {}, and operators are asked only after {}",
            length_words(limits.delayed_after),
            length_words(limits.overdue_after)
        );
        findings.push(file.wrong(
            &["observation", "delayed_after"],
            message,
            "make it longer than overdue_after (30m without)",
        ));
    }
    let length = trial.window.closes.duration_since(trial.window.opens);
    for (key, after, what) in [
        (
            "overdue_after",
            limits.overdue_after,
            "operators are never asked where it stays",
        ),
        (
            "delayed_after",
            limits.delayed_after,
            "a delay is never told",
        ),
    ] {
        if after >= length {
            let message = format!(
                "the window of {} is over after {}, so with {key} {} {what}",
                trial.name,
                length_words(length),
                length_words(after)
            );
            findings.push(warning(file.wrong(
                &["observation", key],
                message,
                "make it shorter than the window",
            )));
        }
    }
}
