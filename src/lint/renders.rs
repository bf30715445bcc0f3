//! Checks that every notice can be rendered at its hour, with no more than what is there then.

use super::{distinct, versions};
use crate::{
    config::{Config, Finding},
    domain::{
        campaign::{
            Campaign,
            progress::Progress,
            upgrade::{Duty, Upgrade},
        },
        chain::fact::{Expected, Fact},
        plan::notice::{Happening, Notice, Trigger},
    },
    words::{
        Renderer,
        context::{self, RenderInput},
    },
};

pub(super) fn of(
    config: &Config,
    renderer: &Renderer,
    sample: &Campaign,
    fact: &Fact,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for notice in distinct(config) {
        for (locale, file) in versions(config, renderer, &notice.template, &notice.channels, |_| {
            true
        }) {
            let unguarded = if without_fact(notice) {
                renderer.unguarded(&notice.template, locale)
            } else {
                Vec::new()
            };
            for found in &unguarded {
                let Some(file) = config.templates.get(&found.template) else {
                    continue;
                };
                let message = format!(
                    "`{}` is nothing for the notice `{}`, which has no fact",
                    found.variable, notice.id
                );
                let finding = file.at(
                    found.place,
                    message,
                    "guard it: {{#if fact}}…{{/if}}".to_owned(),
                );
                // A partial is reached from many notices; it is to be mended once.
                if !findings.iter().any(|f: &Finding| {
                    (&f.file, f.line, f.column) == (&finding.file, finding.line, finding.column)
                }) {
                    findings.push(finding);
                }
            }
            if unguarded.is_empty() {
                findings.extend(
                    rendered(config, renderer, notice, locale, (sample, fact))
                        .map(|(message, hint)| file.at((1, 1), message, hint)),
                );
            }
        }
    }
    findings
}

fn without_fact(notice: &Notice) -> bool {
    notice.trigger.happening_with_fact().is_none()
}

/// Returns what is wrong with a notice that has everything, or only what is always there.
fn rendered(
    config: &Config,
    renderer: &Renderer,
    notice: &Notice,
    locale: &str,
    full: (&Campaign, &Fact),
) -> Option<(String, String)> {
    let (sample, fact) = full;
    let (least, least_fact) = (barely(sample, notice), sparse(fact, notice));
    for (campaign, fact, everything) in [(sample, fact, true), (&least, &least_fact, false)] {
        let fact = (!without_fact(notice)).then_some(fact);
        let moment = RenderInput {
            fact,
            due: Some(sample.accepted),
            ..RenderInput::default()
        };
        match renderer.markdown(
            &notice.template,
            locale,
            &context::of(campaign, Some(notice), config, &moment).into(),
        ) {
            Ok(text) if everything && text.says_nothing() => {
                return Some((
                    format!("this says nothing for the notice `{}`", notice.id),
                    "write some words".to_owned(),
                ));
            }
            Ok(_) => {}
            Err(error) if everything => {
                return Some((
                    error,
                    format!(
                        "mend it for the notice `{}`, or guard what it need not have: {{{{#if …}}}}…{{{{/if}}}}",
                        notice.id
                    ),
                ));
            }
            Err(error) => {
                let hint = format!(
                    "that need not be there for the notice `{}`: guard it, {{{{#if …}}}}…{{{{/if}}}}",
                    notice.id
                );
                return Some((error, hint));
            }
        }
    }
    None
}

/// Makes the upgrade with only what its file must say and the notice's happening brings.
fn barely(sample: &Campaign, notice: &Notice) -> Campaign {
    let full = &sample.upgrade;
    let mut upgrade = Upgrade::new(
        full.id.clone(),
        full.title.clone(),
        full.window.clone(),
        full.chains.clone(),
    );
    upgrade.duties = full
        .duties
        .iter()
        .map(|(a, d)| {
            (
                *a,
                Duty {
                    node_version: None,
                    by: None,
                    ..d.clone()
                },
            )
        })
        .collect();
    let mut progress = Progress::new(&upgrade);
    if let Trigger::On(happening) = notice.trigger {
        if matches!(happening, Happening::WindowProposed | Happening::PollClosed) {
            upgrade.poll = full.poll.clone();
        }
        if matches!(
            happening,
            Happening::Applied
                | Happening::Verified
                | Happening::Completed
                | Happening::FeedbackClosed
        ) {
            progress.applied_at = sample.progress.applied_at;
        }
    }
    Campaign {
        progress,
        ..Campaign::new(upgrade, sample.accepted)
    }
}

/// Makes the fact with only what its kind always has.
fn sparse(fact: &Fact, notice: &Notice) -> Fact {
    let expected = match notice.trigger {
        Trigger::On(Happening::EstimateMoved) => fact.expected.clone(),
        Trigger::On(Happening::GoAhead) => fact.expected.as_ref().map(|e| Expected {
            estimate: None,
            ..e.clone()
        }),
        _ => None,
    };
    Fact {
        time: None,
        on: None,
        late: false,
        expected,
        ..fact.clone()
    }
}
