//! Every template on every surface, as people read it: a change of words shows here.

use std::{collections::BTreeSet, path::Path};

use jiff::Timestamp;
use serde_json::Value;
use upgrade_herald::{
    cli::args::{self, Loaded},
    config::Origin,
    domain::{
        campaign::upgrade::{Decision, Upgrade, Urgency},
        people::command::Verb,
    },
    ports::{Accepting, Platform},
    words::{
        context::{self, Asked, Moment},
        render::{MARK_TEMPLATE, PREVIEW_TEMPLATE},
    },
};

use crate::{
    cli::{changed, herald},
    support::repo,
};

fn shown(name: &str, text: &str) {
    insta::with_settings!({ snapshot_path => "snapshots", prepend_module_to_snapshot => false, omit_expression => true }, {
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
    shown("previews", &previews(repo()));
}

/// What an upgrade in a hurry says in other words or at another hour than a routine one.
#[test]
fn previews_of_the_other_urgencies() {
    let routine = previews(repo());
    let known: BTreeSet<&str> = routine.split("── ").collect();
    for urgency in [Urgency::Expedited, Urgency::Emergency] {
        let dir = changed("config/upgrades/v2.3.1.yaml", "urgency: routine", &format!("urgency: {}", urgency.name()));
        let said = previews(dir.path());
        let own = said.split("── ").filter(|post| !known.contains(post)).map(|post| format!("── {post}"));
        shown(&format!("previews-{}", urgency.name()), &own.collect::<String>());
    }
}

fn loaded() -> Loaded {
    args::load(&Origin::Embedded).unwrap_or_else(|findings| panic!("{findings:?}"))
}

/// A text as both platforms get it.
fn both(loaded: &Loaded, template: &str, accepted: &Accepting, moment: &Moment<'_>, now: Timestamp) -> String {
    let notice = loaded.config.plan.notice(accepted.upgrade.urgency, "reminder-7d");
    written(loaded, template, context::of(accepted, notice, &loaded.config, moment), now)
}

fn written(loaded: &Loaded, template: &str, context: Value, now: Timestamp) -> String {
    let text = loaded.renderer.markdown(template, "en", &context.into()).unwrap();
    let on = |platform| loaded.renderer.body(&text, platform, now);
    let matrix = on(Platform::Matrix);
    format!("{}\n\n{}\n\n{}\n\n", on(Platform::Discord).text, matrix.text, matrix.html.unwrap_or_default())
}

#[test]
fn marks_approvals_and_answers() {
    let loaded = loaded();
    let sample = &loaded.config.upgrades[0].upgrade;
    let now = "2027-03-02T13:00:00Z".parse().unwrap();
    let mut all = String::new();
    let mut show = |what: &str, template: &str, upgrade: Upgrade, moment: Moment<'_>| {
        let accepted = Accepting::new(upgrade, now);
        all.push_str(&format!("── {what}\n{}", both(&loaded, template, &accepted, &moment, now)));
    };
    let no_go = Upgrade { decision: Some(Decision::NoGo("Too few validators are ready.".into())), ..sample.clone() };
    let cancelled = Upgrade { cancelled: Some("A fault was found in the staking code.".into()), ..sample.clone() };
    let failed = Upgrade { failed: Some("The new code was refused.".into()), ..sample.clone() };
    show("mark, the window moved", MARK_TEMPLATE, sample.clone(), Moment::default());
    show("mark, no-go", MARK_TEMPLATE, no_go.clone(), Moment::default());
    show("mark, cancelled", MARK_TEMPLATE, cancelled.clone(), Moment::default());
    show("mark, failed", MARK_TEMPLATE, failed, Moment::default());

    let mut asked = Asked { code: "k7f2".into(), persons: 2, given: vec![], until: now };
    show("approval", PREVIEW_TEMPLATE, sample.clone(), Moment { due: Some(now), approval: Some(&asked), ..Moment::default() });
    asked.given.push("Mara Linde".into());
    show("approval, half given", PREVIEW_TEMPLATE, sample.clone(), Moment { due: Some(now), approval: Some(&asked), ..Moment::default() });

    let next = Moment { next: Some(("reminder-1d", now)), ..Moment::default() };
    show("status", "answers/status", sample.clone(), next.clone());
    show("status, on hold", "answers/status", no_go, next);
    show("status, cancelled", "answers/status", cancelled, Moment::default());
    show("status, without an upgrade", "answers/none", sample.clone(), Moment::default());
    for template in ["answers/schedule", "answers/checklist"] {
        show(template.trim_start_matches("answers/"), template, sample.clone(), Moment { due: Some(now), ..Moment::default() });
    }
    for topic in &loaded.config.help.topics {
        show(&format!("help {}", topic.id), "answers/help", sample.clone(), Moment { topic: Some(topic), ..Moment::default() });
    }
    let help = context::of_help(&loaded.config, None, &Verb::ALL);
    all.push_str(&format!("── help\n{}", written(&loaded, "answers/help", help, now)));
    shown("answers", &all);
}

#[test]
fn a_proposal_is_a_document() {
    let output = herald(repo(), &["new", "proposal", "v2.3.1"]);
    assert!(output.status.success(), "{output:?}");
    shown("proposal", &String::from_utf8_lossy(&output.stdout));
}
