//! Checks that everything that may happen is told, to everybody.

use std::collections::{BTreeMap, BTreeSet};

use strum::IntoEnumIterator;

use super::{is_public, warning};
use crate::{
    config::{Config, Finding},
    domain::{
        campaign::upgrade::Urgency,
        plan::notice::{Audience, Happening, Notice, Phase, Trigger},
    },
};

pub(super) fn of(config: &Config, findings: &mut Vec<Finding>) {
    lists(config, findings);
    let plan = &config.plan;
    let mut warn = |missing_in: &dyn Fn(&[Notice]) -> Vec<&'static str>, what: &str, hint: &str| {
        for (missing, plans) in by_missing(config, missing_in) {
            let message = format!(
                "{what} in the plan for {}: {}",
                plans.join(", "),
                missing.join(", ")
            );
            findings.push(warning(config.sources.plan.wrong(
                &["notices"],
                message,
                hint,
            )));
        }
    };
    let untold = |notices: &[Notice]| {
        let said = noticed(notices);
        let is_told =
            |h: &Happening| said.contains(h) || plan.board.contains(h) || plan.silent.contains(h);
        Happening::of_plans()
            .filter(|h| !is_told(h))
            .map(Happening::name)
            .collect()
    };
    warn(
        &untold,
        "nothing is said when this happens",
        "add a notice with `on:`, or list it under `board` or `silent`",
    );
    let empty = |notices: &[Notice]| {
        Phase::iter()
            .filter(|phase| !notices.iter().any(|n| n.phase == *phase))
            .map(Phase::name)
            .collect()
    };
    warn(
        &empty,
        "there is no notice of these phases",
        "add one, or give another its phase",
    );
    let forgotten = |notices: &[Notice]| {
        let spoken = |a: &Audience| {
            notices
                .iter()
                .any(|n| n.audiences.contains(a) && is_public(n, config))
        };
        Audience::iter()
            .filter(|a| !spoken(a))
            .map(Audience::name)
            .collect()
    };
    warn(
        &forgotten,
        "nobody speaks to these audiences",
        "name them in a notice's `audiences`, or leave that out for all",
    );
}

fn noticed(notices: &[Notice]) -> BTreeSet<Happening> {
    let on = |n: &Notice| {
        if let Trigger::On(happening) = n.trigger {
            Some(happening)
        } else {
            None
        }
    };
    notices.iter().filter_map(on).collect()
}

/// Groups what is missing, with the urgencies whose plans miss just that.
fn by_missing(
    config: &Config,
    missing_in: &dyn Fn(&[Notice]) -> Vec<&'static str>,
) -> BTreeMap<Vec<&'static str>, Vec<&'static str>> {
    let mut found: BTreeMap<Vec<&str>, Vec<&str>> = BTreeMap::new();
    for urgency in Urgency::iter() {
        let missing = missing_in(config.plan.notices(urgency));
        if !missing.is_empty() {
            found.entry(missing).or_default().push(urgency.name());
        }
    }
    found
}

/// Checks that `silent` contradicts neither notices nor `board`, and that a board is there if used.
fn lists(config: &Config, findings: &mut Vec<Finding>) {
    let (plan, file) = (&config.plan, &config.sources.plan);
    let mut said: BTreeMap<Happening, &str> = BTreeMap::new();
    for (_, notice) in plan.all_notices() {
        if let Trigger::On(happening) = notice.trigger {
            said.entry(happening).or_insert(&notice.id);
        }
    }
    for happening in &plan.silent {
        let message = match (said.get(happening), plan.board.contains(happening)) {
            (Some(id), _) => format!(
                "`{}` is silent, and the notice `{id}` tells it",
                happening.name()
            ),
            (None, true) => format!("`{}` is silent, and shown on the board", happening.name()),
            (None, false) => continue,
        };
        findings.push(file.wrong(&["silent"], message, "remove it from one of the two"));
    }
    let without: Vec<&str> = Urgency::iter()
        .filter(|u| !plan.notices(*u).iter().any(|n| n.board))
        .map(Urgency::name)
        .collect();
    if !plan.board.is_empty() && !without.is_empty() {
        let message = format!(
            "there is no status board in the plan for {}, so nobody sees this",
            without.join(", ")
        );
        findings.push(file.wrong(
            &["board"],
            message,
            "add a notice with `on: planned` and `board: true`",
        ));
    }
}
