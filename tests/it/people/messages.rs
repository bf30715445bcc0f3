//! Every template on every surface, as people read it: a change of words shows here.

use std::{collections::BTreeSet, path::Path};

use jiff::Timestamp;
use serde_json::Value;
use upgrade_herald::{
    domain::{
        campaign::{
            Campaign,
            upgrade::{Decision, Upgrade, Urgency},
        },
        people::command::Verb,
    },
    lint::Loaded,
    ports::Platform,
    words::{
        context::{self, ApprovalRequest, RenderInput},
        templates,
    },
};

use crate::{
    harness::plans::{ask_for_all, every_notice},
    process::cli::{changed, herald, sample},
    support::repo,
};

fn shown(name: &str, text: &str) {
    insta::with_settings!({ snapshot_path => "../snapshots", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(name, text);
    });
}

fn previews(dir: &Path) -> String {
    let output = herald(dir, &["preview"]);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn previews_of_the_sample() {
    let dir = sample();
    ask_for_all(dir.path());
    shown("previews", &previews(dir.path()));
}

/// What an upgrade in a hurry says in other words or at another hour than a routine one.
#[test]
fn previews_of_the_other_urgencies() {
    let dir = sample();
    ask_for_all(dir.path());
    let routine = previews(dir.path());
    let known: BTreeSet<&str> = routine.split("── ").collect();
    for urgency in [Urgency::Expedited, Urgency::Emergency] {
        let dir = changed(
            "config/upgrades/v2.3.1.yaml",
            "urgency: routine",
            &format!("urgency: {}", urgency.name()),
        );
        ask_for_all(dir.path());
        let said = previews(dir.path());
        let own = said
            .split("── ")
            .filter(|post| !known.contains(post))
            .map(|post| format!("── {post}"));
        shown(
            &format!("previews-{}", urgency.name()),
            &own.collect::<String>(),
        );
    }
}

fn loaded() -> Loaded {
    every_notice()
}

/// A text as both platforms get it.
fn both(
    loaded: &Loaded,
    template: &str,
    campaign: &Campaign,
    moment: &RenderInput<'_>,
    now: Timestamp,
) -> String {
    let notice = loaded
        .config
        .plan
        .notice(campaign.upgrade.urgency, "reminder-7d");
    written(
        loaded,
        template,
        context::of(campaign, notice, &loaded.config, moment),
        now,
    )
}

fn written(loaded: &Loaded, template: &str, context: Value, now: Timestamp) -> String {
    let text = loaded
        .renderer
        .markdown(template, "en", &context.into())
        .unwrap();
    let on = |platform| loaded.renderer.body(&text, platform, now);
    let matrix = on(Platform::Matrix);
    format!(
        "{}\n\n{}\n\n{}\n\n",
        on(Platform::Discord).text,
        matrix.text,
        matrix.html.unwrap_or_default()
    )
}

#[test]
fn marks_approvals_and_answers() {
    let loaded = loaded();
    let sample = &loaded.config.upgrades[0].upgrade;
    let now = "2027-03-02T13:00:00Z".parse().unwrap();
    let mut all = String::new();
    let mut show = |what: &str, template: &str, upgrade: Upgrade, moment: RenderInput<'_>| {
        let campaign = Campaign::new(upgrade, now);
        all.push_str(&format!(
            "── {what}\n{}",
            both(&loaded, template, &campaign, &moment, now)
        ));
    };
    let no_go = Upgrade {
        decision: Some(Decision::NoGo("Too few validators are ready.".into())),
        ..sample.clone()
    };
    let cancelled = Upgrade {
        cancelled: Some("A fault was found in the staking code.".into()),
        ..sample.clone()
    };
    let failed = Upgrade {
        failed: Some("The new code was refused.".into()),
        ..sample.clone()
    };
    show(
        "mark, the window moved",
        templates::MARK,
        sample.clone(),
        RenderInput::default(),
    );
    show(
        "mark, no-go",
        templates::MARK,
        no_go.clone(),
        RenderInput::default(),
    );
    show(
        "mark, cancelled",
        templates::MARK,
        cancelled.clone(),
        RenderInput::default(),
    );
    show(
        "mark, failed",
        templates::MARK,
        failed,
        RenderInput::default(),
    );

    let mut asked = ApprovalRequest {
        code: "k7f2".into(),
        persons: 2,
        given: vec![],
        until: now,
    };
    show(
        "approval",
        templates::APPROVAL_PREVIEW,
        sample.clone(),
        RenderInput {
            due: Some(now),
            approval: Some(&asked),
            ..RenderInput::default()
        },
    );
    asked.given.push("Mara Linde".into());
    show(
        "approval, half given",
        templates::APPROVAL_PREVIEW,
        sample.clone(),
        RenderInput {
            due: Some(now),
            approval: Some(&asked),
            ..RenderInput::default()
        },
    );

    let next = RenderInput {
        next: Some(("reminder-1d", now)),
        ..RenderInput::default()
    };
    show("status", "answers/status", sample.clone(), next.clone());
    show("status, on hold", "answers/status", no_go, next);
    show(
        "status, cancelled",
        "answers/status",
        cancelled,
        RenderInput::default(),
    );
    show(
        "status, without an upgrade",
        "answers/none",
        sample.clone(),
        RenderInput::default(),
    );
    for template in ["answers/schedule", "answers/checklist"] {
        show(
            template.trim_start_matches("answers/"),
            template,
            sample.clone(),
            RenderInput {
                due: Some(now),
                ..RenderInput::default()
            },
        );
    }
    for topic in &loaded.config.help.topics {
        show(
            &format!("help {}", topic.id),
            "answers/help",
            sample.clone(),
            RenderInput {
                topic: Some(topic),
                ..RenderInput::default()
            },
        );
    }
    let help = context::of_help(&loaded.config, None, Verb::ALL);
    all.push_str(&format!(
        "── help\n{}",
        written(&loaded, "answers/help", help, now)
    ));
    shown("answers", &all);
}

#[test]
fn a_proposal_is_a_document() {
    let output = herald(repo(), &["new", "proposal", "v2.3.1"]);
    assert!(output.status.success(), "{output:?}");
    shown("proposal", &String::from_utf8_lossy(&output.stdout));
}

#[test]
fn a_command_is_written_as_each_platform_takes_it() {
    let loaded = loaded();
    let upgrade = loaded.config.upgrades[0].upgrade.clone();
    let urgency = upgrade.urgency;
    let now = "2027-03-02T13:00:00Z".parse().unwrap();
    let campaign = Campaign::new(upgrade, now);
    let notice = loaded.config.plan.notice(urgency, "reminder-7d").cloned();
    let mut notice = notice.expect("a reminder");
    notice.help = Some(loaded.config.help.topics[0].id.clone());
    let moment = RenderInput::default();
    let context = context::of(&campaign, Some(&notice), &loaded.config, &moment).into();
    let text = loaded.renderer.markdown(&notice.template, "en", &context);
    let text = text.unwrap();
    for (platform, command) in [
        (Platform::Discord, "/upgrade help "),
        (Platform::Matrix, "!upgrade help "),
    ] {
        let said = loaded.renderer.body(&text, platform, now).text;
        assert!(said.contains(command), "{said}");
    }
}
