//! The sample plans are whole: whatever herald knows is said, shown or declared silent, and no words lie about unused.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use strum::IntoEnumIterator;
use upgrade_herald::{
    config::Origin,
    domain::{
        campaign::upgrade::Urgency,
        plan::{
            language::split,
            notice::{Audience, Happening, Notice, Phase, Trigger},
        },
    },
    lint::{self, Loaded},
    ports::{Platform, Readers},
    words::{
        context::{self, RenderInput},
        templates,
    },
};

use crate::harness::plans::every_notice;

/// Templates that the code names: nobody has to put them into a plan.
const BY_NAME: [&str; 16] = [
    templates::BALLOT,
    templates::TOPIC,
    templates::CARD,
    templates::CALENDAR_EVENT,
    templates::MARK,
    templates::APPROVAL_PREVIEW,
    templates::FEEDBACK_THREAD,
    "answers/none",
    "answers/status",
    "answers/checklist",
    "answers/process",
    "scheduling/said",
    "scheduling/private",
    "answers/schedule",
    "answers/help",
    "appendix/proposal",
];

/// What goes on top of a notice: a mark that it no longer holds, or the request to approve it.
const ON_TOP: usize = 160;

/// The plans as they are, and with every notice.
fn samples() -> [Loaded; 2] {
    let as_it_is = lint::load(&Origin::Embedded);
    [
        as_it_is.unwrap_or_else(|findings| panic!("{findings:?}")),
        every_notice(),
    ]
}

/// Whether some channel of a notice is for these readers.
fn reaches(loaded: &Loaded, notice: &Notice, readers: Readers) -> bool {
    notice
        .channels
        .iter()
        .any(|c| loaded.config.deployment.channels[c].readers == readers)
}

#[test]
fn whatever_happens_is_noticed_shown_or_declared_silent_in_each_plan() {
    let [loaded, _] = samples();
    let plan = &loaded.config.plan;
    let mut missing = Vec::new();
    for urgency in Urgency::iter() {
        for happening in Happening::of_plans() {
            let waits = |n: &&Notice| n.trigger == Trigger::On(happening) && !n.board;
            let told = plan.notices(urgency).iter().filter(waits).count();
            let (board, silent) = (
                plan.board.contains(&happening),
                plan.silent.contains(&happening),
            );
            if told == 0 && !board && !silent {
                missing.push(format!("{}: {}", urgency.name(), happening.name()));
            }
            assert!(
                !(silent && (told > 0 || board)),
                "{} is declared silent, and said in the {} plan",
                happening.name(),
                urgency.name()
            );
        }
        assert!(
            plan.board.is_empty() || plan.notices(urgency).iter().any(|n| n.board),
            "the {} plan has a board",
            urgency.name()
        );
    }
    assert!(
        missing.is_empty(),
        "neither noticed nor declared: {missing:#?}"
    );
    for happening in &plan.board {
        let told = |u: &Urgency| {
            plan.notices(*u)
                .iter()
                .any(|n| n.trigger == Trigger::On(*happening) && !n.board)
        };
        assert!(
            !Urgency::iter().all(|urgency| told(&urgency)),
            "{} is noticed in every plan, and needs no board",
            happening.name()
        );
    }
}

#[test]
fn operators_hear_what_is_theirs_and_the_public_the_rest() {
    let loaded = every_notice();
    for (urgency, notice) in loaded.config.plan.all_notices() {
        let Trigger::On(happening) = notice.trigger else {
            continue;
        };
        if happening.for_operators() {
            assert!(
                !reaches(&loaded, notice, Readers::Public),
                "{}: {}",
                urgency.name(),
                notice.id
            );
        }
    }
    for urgency in Urgency::iter() {
        for happening in Happening::of_plans().filter(|h| !h.for_operators()) {
            let public = |n: &&Notice| {
                n.trigger == Trigger::On(happening) && reaches(&loaded, n, Readers::Public)
            };
            let told = loaded
                .config
                .plan
                .notices(urgency)
                .iter()
                .any(|n| public(&n))
                || loaded.config.plan.board.contains(&happening);
            // Root's calls have other uses, anybody may send code, code that anybody may apply is no trouble yet, and what keeps a chain from being
            // verified may be the plan: operators look first.
            let looked_at = matches!(
                happening,
                Happening::SudoFailed
                    | Happening::CodeRefused
                    | Happening::Unapplied
                    | Happening::Unverified
            );
            assert_eq!(told, !looked_at, "{}: {}", urgency.name(), happening.name());
        }
    }
}

#[test]
fn each_phase_speaks_to_each_audience_in_each_plan() {
    for loaded in samples() {
        let mut missing = Vec::new();
        for urgency in Urgency::iter() {
            for phase in Phase::iter() {
                for audience in Audience::iter() {
                    let speaks = |n: &&Notice| {
                        n.phase == phase
                            && n.audiences.contains(&audience)
                            && reaches(&loaded, n, Readers::Public)
                    };
                    if !loaded
                        .config
                        .plan
                        .notices(urgency)
                        .iter()
                        .any(|n| speaks(&n) && !n.board)
                    {
                        missing.push(format!(
                            "{}, {}: {}",
                            urgency.name(),
                            phase.name(),
                            audience.name()
                        ));
                    }
                }
            }
        }
        assert!(missing.is_empty(), "{missing:#?}");
    }
}

/// The names of the partials a template includes.
fn included(text: &str) -> impl Iterator<Item = String> {
    text.split("{{>")
        .skip(1)
        .filter_map(|rest| Some(format!("partials/{}", rest.split("}}").next()?.trim())))
}

#[test]
fn no_template_is_an_orphan() {
    let loaded = every_notice();
    let files: BTreeMap<String, String> = loaded
        .config
        .templates
        .iter()
        .map(|(name, file)| (name.clone(), file.text.clone()))
        .collect();
    let mut used: BTreeSet<String> = BY_NAME.into_iter().map(str::to_owned).collect();
    used.extend(
        loaded
            .config
            .plan
            .all_notices()
            .map(|(_, n)| n.template.clone()),
    );
    let mut open: Vec<String> = used.iter().cloned().collect();
    while let Some(name) = open.pop() {
        let versions = files.iter().filter(|(file, _)| split(file).0 == name);
        for partial in versions.flat_map(|(_, text)| included(text)) {
            if used.insert(partial.clone()) {
                open.push(partial);
            }
        }
    }
    let orphans: Vec<&String> = files
        .keys()
        .filter(|name| !used.contains(split(name).0))
        .collect();
    assert!(orphans.is_empty(), "{orphans:?}");
    let lost: Vec<&String> = used
        .iter()
        .filter(|name| !files.contains_key(*name))
        .collect();
    assert!(lost.is_empty(), "{lost:?}");
}

/// Posts in which the question would be out of place: something is wrong, or all is over, and nodes are to be left alone.
const WITHOUT_THE_QUESTION: [&str; 10] = [
    "execution/observed",
    "post-deployment/call-for-feedback",
    "post-deployment/documented",
    "post-deployment/feedback-summary",
    "post-deployment/review",
    "scheduling/delayed",
    "scheduling/no-go",
    "validation/migration",
    "validation/parachains",
    "validation/signers",
];

#[test]
fn every_public_post_has_a_title_and_says_whether_a_node_must_be_updated() {
    let loaded = every_notice();
    for (_, notice) in loaded
        .config
        .plan
        .all_notices()
        .filter(|(_, n)| reaches(&loaded, n, Readers::Public))
    {
        let text = &loaded.config.templates[&notice.template].text;
        assert!(
            text.starts_with("## ") && text.contains("\n{{> late}}\n"),
            "{}",
            notice.template
        );
        let answers =
            text.contains("\n{{> must}}\n") || text.contains("**Must I update my node?**");
        let asks = !WITHOUT_THE_QUESTION.contains(&notice.template.as_str());
        assert_eq!(answers, asks, "{}", notice.template);
    }
}

#[test]
fn what_may_be_marked_or_approved_leaves_room_for_that() {
    let loaded = every_notice();
    let config = &loaded.config;
    let long = |n: usize| "m".repeat(n);
    let (campaign, _) = context::sample(&config.plan, long);
    let (topic, asked, detail) = context::sample_extras(long);
    let moment = RenderInput {
        due: Some(campaign.accepted),
        late: true,
        thread: Some("https://discord.com/channels/1100000000000000001/1100000000000000002"),
        detail: Some(&detail),
        topic: Some(&topic),
        approval: Some(&asked),
        ..RenderInput::default()
    };
    let mut context = context::of_everything(&campaign, config, &moment);
    let mut tight = BTreeSet::new();
    for (_, notice) in config
        .plan
        .all_notices()
        .filter(|(_, n)| reaches(&loaded, n, Readers::Public))
    {
        if !notice.of_the_window() && notice.approval.persons == 0 {
            continue;
        }
        context["notice"]["id"] = Value::String(notice.id.clone());
        let text = loaded
            .renderer
            .markdown(&notice.template, "en", &context.clone().into())
            .unwrap();
        let body = loaded
            .renderer
            .body(&text, Platform::Discord, campaign.accepted);
        let limit = Platform::Discord.capabilities().max_text;
        let length = limit.length(&body);
        if length + ON_TOP > limit.max() {
            tight.insert(format!("{}: {length}", notice.template));
        }
    }
    assert!(tight.is_empty(), "{tight:?}");
}

#[test]
fn people_help_and_checklists_are_there_and_enough_of_them() {
    let config = every_notice().config;
    assert!(
        config.help.topics.len() >= 7 && config.people.all.len() >= 3,
        "they are read"
    );
    assert!(
        !config.checklist.before.is_empty() && !config.checklist.after.is_empty(),
        "and so is the checklist"
    );
    let may = config
        .people
        .all
        .iter()
        .filter(|p| config.people.may_approve(p))
        .count();
    let most = config
        .plan
        .all_notices()
        .map(|(_, n)| n.approval.persons)
        .max()
        .unwrap_or(0);
    assert!(
        may > usize::try_from(most).unwrap(),
        "{may} people may approve what takes {most}, also on somebody's day off"
    );
}
