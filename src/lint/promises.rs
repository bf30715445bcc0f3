//! Checks that the plan keeps what it promises: notice, and no more posts a day than people bear.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp, civil::Date};

use super::{
    TrialWindow, at_notice,
    expected::{ExpectedPosts, ON_THE_DAY, expected_posts},
    is_public, warning,
};
use crate::{
    config::{Config, Finding, UrgencyPlan},
    domain::{
        campaign::upgrade::Urgency,
        plan::notice::{Happening, Notice, Trigger},
    },
    words::length_words,
};

pub(super) fn of(
    config: &Config,
    urgency: Urgency,
    trials: &[TrialWindow],
    findings: &mut Vec<Finding>,
) {
    let Some(rules) = config.plan.plans.get(&urgency) else {
        return;
    };
    findings.extend(
        trials
            .iter()
            .find_map(|trial| too_late(config, urgency, rules, trial)),
    );
    for trial in trials {
        caps(config, urgency, rules, trial, findings);
        mentions(config, urgency, rules, trial, findings);
        twice(config, urgency, rules, trial, findings);
    }
}

/// Finds out whether the first notice that the public gets by the clock comes too late.
fn too_late(
    config: &Config,
    urgency: Urgency,
    rules: &UrgencyPlan,
    trial: &TrialWindow,
) -> Option<Finding> {
    let public: Vec<&Notice> = rules
        .notices
        .iter()
        .filter(|n| is_public(n, config))
        .collect();
    // A notice that is posted as soon as the upgrade is known is as early as can be, unless it waits for another's approval.
    let is_guarded = public.iter().any(|n| n.approval.persons > 0);
    let at_once = public.iter().any(|n| {
        let comes_at_once = matches!(
            n.trigger,
            Trigger::On(Happening::Planned | Happening::WindowProposed | Happening::WindowSet)
        );
        comes_at_once && !(is_guarded && n.repeats_the_announcement())
    });
    if rules.least_notice.is_zero() || at_once {
        return None;
    }
    let first = public
        .iter()
        .flat_map(|n| {
            trial
                .times(n, &config.plan)
                .into_iter()
                .map(|at| (at, n.id.as_str()))
        })
        .min();
    // A civil day is an hour short where the clocks go forward.
    let slack = if rules.least_notice.as_hours() >= 24 {
        SignedDuration::from_hours(1)
    } else {
        SignedDuration::ZERO
    };
    let wanted = trial
        .window
        .opens
        .checked_sub(rules.least_notice)
        .ok()?
        .checked_add(slack)
        .ok()?;
    let least = length_words(rules.least_notice);
    let message = match first {
        Some((at, _)) if at <= wanted => return None,
        Some((at, id)) => {
            let before = length_words(
                trial
                    .window
                    .opens
                    .duration_since(at)
                    .max(SignedDuration::ZERO),
            );
            format!(
                "people are to hear of an upgrade {least} before its window; the first they hear is `{id}`, {before} before it"
            )
        }
        None => format!(
            "people are to hear of an upgrade {least} before its window, and no notice for the public comes before it"
        ),
    };
    let hint = "add a notice that is early enough: `on: planned`, or `at:` with a longer offset";
    Some(
        config
            .sources
            .plan
            .wrong(&["plans", urgency.name(), "least_notice"], message, hint),
    )
}

fn mentions(
    config: &Config,
    urgency: Urgency,
    rules: &UrgencyPlan,
    trial: &TrialWindow,
    findings: &mut Vec<Finding>,
) {
    let Some(most) = rules.mentions_per_upgrade else {
        return;
    };
    let expected = expected_posts(config, urgency, &trial.window, trial.several_chains);
    let too_many = |own: &ExpectedPosts| u32::try_from(own.mentions).is_ok_and(|n| n > most);
    let Some((channel, own)) = expected.iter().find(|(_, own)| too_many(own)) else {
        return;
    };
    let message = format!(
        "{} posts notify people in {channel} for {}; the {} plan allows {most}",
        own.mentions,
        trial.name,
        urgency.name()
    );
    findings.push(config.sources.plan.wrong(
        &["plans", urgency.name(), "mentions_per_upgrade"],
        message,
        "take `mention` out of a notice, or raise the number",
    ));
}

/// The most posts that a channel has on a day, and the channels that have too many.
type CrowdedDay<'a> = (usize, Vec<&'a str>);

fn caps(
    config: &Config,
    urgency: Urgency,
    rules: &UrgencyPlan,
    trial: &TrialWindow,
    findings: &mut Vec<Finding>,
) {
    let Some(most) = rules.posts_per_day else {
        return;
    };
    let day = |at: Timestamp| config.plan.zone.to_datetime(at).date();
    let mut posts: BTreeMap<(Date, &str), Vec<&str>> = BTreeMap::new();
    for notice in &rules.notices {
        let mut days: Vec<Date> = trial
            .times(notice, &config.plan)
            .into_iter()
            .map(day)
            .collect();
        if let Trigger::On(happening) = notice.trigger
            && ON_THE_DAY.contains(&happening)
            && (happening != Happening::FirstApplied || trial.several_chains)
        {
            days.extend(trial.window.opens.checked_add(notice.delay).ok().map(day));
        }
        for day in days {
            for channel in &notice.channels {
                posts.entry((day, channel)).or_default().push(&notice.id);
            }
        }
    }
    // Channels and days with the same notices are one finding.
    let mut crowded: BTreeMap<Vec<&str>, BTreeMap<Date, CrowdedDay<'_>>> = BTreeMap::new();
    for ((day, channel), mut ids) in posts {
        let number = ids.len();
        if u32::try_from(number).is_ok_and(|n| n > most) {
            ids.dedup();
            let (greatest, channels) = crowded.entry(ids).or_default().entry(day).or_default();
            *greatest = number.max(*greatest);
            channels.push(channel);
        }
    }
    for (ids, days) in crowded {
        let fullest = days.iter().rev().max_by_key(|(_, (number, _))| *number);
        let Some((day, (number, channels))) = fullest else {
            continue;
        };
        let others = match days.len() {
            1 => String::new(),
            all => format!(" (and too many on {} more)", all - 1),
        };
        let message = format!(
            "{number} posts on {day}{others} for {}, in {}; the {} plan allows {most} a channel and day: {}",
            trial.name,
            channels.join(", "),
            urgency.name(),
            ids.join(", ")
        );
        let hint = "leave one out, move it to another day, show it on the board alone, or raise the number";
        findings.push(config.sources.plan.wrong(
            &["plans", urgency.name(), "posts_per_day"],
            message,
            hint,
        ));
    }
}

/// Finds two notices at the same instant in the same channel.
fn twice(
    config: &Config,
    urgency: Urgency,
    rules: &UrgencyPlan,
    trial: &TrialWindow,
    findings: &mut Vec<Finding>,
) {
    let mut due: BTreeMap<(Timestamp, &str), &Notice> = BTreeMap::new();
    let mut said: BTreeSet<(&str, &str)> = BTreeSet::new();
    for notice in &rules.notices {
        for at in trial.times(notice, &config.plan) {
            for channel in &notice.channels {
                let Some(first) = due
                    .insert((at, channel), notice)
                    .filter(|first| first.id != notice.id)
                else {
                    continue;
                };
                if said.insert((&first.id, &notice.id)) {
                    let key = notice.trigger.key();
                    let message = format!(
                        "`{}` and `{}` come at the same time in {channel}, for {}",
                        first.id, notice.id, trial.name
                    );
                    let hint = "make one notice of them, or move one by some minutes";
                    findings.push(warning(at_notice(
                        config, urgency, &notice.id, key, message, hint,
                    )));
                }
            }
        }
    }
}
