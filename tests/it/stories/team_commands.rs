//! What the team does around an upgrade: said once, written down with who, where and when, and in the review.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use jiff::SignedDuration;
use upgrade_herald::{
    adapters::room::Room,
    answer::AnswerService,
    config::{People, Person},
    domain::{
        outbox::{Operation, Post, PostState},
        people::{command::Command, permission::Role},
    },
    plan::planner::Planner,
    ports::{Asker, AuditEntry, CommandHandler, Outlet, Platform, Readers, RecordKind},
    report::{self, Report},
    words::snapshot::ConfigSnapshot,
};

use crate::harness::pipeline::Pipeline;

/// Mara is of the team, on both platforms; Ines of the operators; Juno writes the runtime.
async fn world() -> Pipeline {
    let mut w = Pipeline::build(
        &["relay"],
        |_| {},
        |core| {
            let (mut config, renderer) = (
                core.snapshot().config.clone(),
                core.snapshot().renderer.clone(),
            );
            let person = |name: &str, number: u32, role| Person {
                name: name.to_owned(),
                discord: Some(number.to_string()),
                matrix: Some(format!("@{}:example.org", name.to_lowercase())),
                roles: vec![role],
                ..Person::default()
            };
            let all = vec![
                person("Mara", 11, Role::CommunicationTeam),
                person("Ines", 12, Role::Operator),
                person("Juno", 13, Role::CoreDeveloper),
            ];
            config.people = People {
                all,
                ..People::default()
            };
            for plan in config.plan.plans.values_mut() {
                for notice in plan.notices.iter_mut().filter(|n| n.id == "final-checks") {
                    notice.needs = vec!["1.1".into(), "3.2".into()];
                }
            }
            core.files.replace(ConfigSnapshot { config, renderer });
            let chat = Arc::new(Room::new(Platform::Matrix));
            let room = Outlet {
                chat,
                place: "!ops:example.org".into(),
                readers: Readers::Operators,
                ..core.outlets["matrix-upgrades"].clone()
            };
            core.outlets.insert("matrix-operations".into(), room);
        },
    )
    .await;
    let mut upgrade = w.upgrade("v2", &["relay"]);
    let later = |at: jiff::Timestamp| at.checked_add(SignedDuration::from_hours(48)).unwrap();
    (upgrade.window.opens, upgrade.window.closes) =
        (later(upgrade.window.opens), later(upgrade.window.closes));
    w.sample = upgrade.clone();
    w.plan(&[upgrade]).await;
    w.settle().await;
    w
}

/// What is answered to a line in the operators' channel, with the planner at work.
async fn says(w: &Pipeline, service: &AnswerService, who: u32, line: &str) -> String {
    let (user, place) = (
        who.to_string(),
        w.core.outlets["discord-operations"].place.clone(),
    );
    let asker = Asker::new(Platform::Discord, &user, &place);
    let planner = Planner::new(w.core.clone());
    let ticking = async {
        loop {
            tokio::time::sleep(Duration::from_millis(20)).await;
            planner.tick_with(&[]).await.unwrap();
        }
    };
    let command = Command::from_line(line);
    let said = tokio::select! {
        body = service.answer(&asker, &command) => body.text,
        never = ticking => never,
    };
    w.settle().await;
    said
}

async fn posts(w: &Pipeline, notice: &str) -> Vec<Post> {
    let all = w.store.posts("v2").await.unwrap();
    all.into_iter().filter(|p| p.notice == notice).collect()
}

fn texts(posts: &[Post], operation: Operation) -> Vec<&str> {
    let sent = posts
        .iter()
        .filter(|p| p.operation == operation && p.state == PostState::Sent);
    sent.filter_map(|p| p.body.as_ref())
        .map(|b| b.text.as_str())
        .collect()
}

/// The texts one below the other, with a ¦ where a character of no width keeps a mention from calling anybody.
fn shown(posts: &[Post], operation: Operation) -> String {
    texts(posts, operation)
        .join("\n---\n")
        .replace('\u{200b}', "¦")
}

#[tokio::test]
async fn what_nobody_planned_is_said_corrected_and_noted_once() {
    let w = world().await;
    let service = AnswerService::new(w.core.clone());
    insta::assert_snapshot!(says(&w, &service, 11, "say nowhere Hello").await, @"I can't do that: there is no channel nowhere: there are: discord-operations, discord-upgrades, matrix-upgrades.");
    let done = says(
        &w,
        &service,
        11,
        "say all The explorer is down. @everyone [more](https://evil.example)",
    )
    .await;
    insta::assert_snapshot!(done, @"it goes to discord-upgrades, matrix-upgrades.");
    let said = posts(&w, "said").await;
    assert_eq!(texts(&said, Operation::Post).len(), 2);
    insta::assert_snapshot!(shown(&said, Operation::Post), @r"
    ## Paseo runtime 2.3.1
    **Must I update my node?** Yes, at once, if it is older than **v1.21.0**.

    The explorer is down. @¦everyone \[more\](https://evil.example)

    *From the communication team.*
    ---
    Paseo runtime 2.3.1

    Must I update my node? Yes, at once, if it is older than v1.21.0.

    The explorer is down. @everyone [more](https://evil.example)

    From the communication team.
    ");
    let bodies: Vec<_> = said.iter().filter_map(|p| p.body.as_ref()).collect();
    assert!(
        bodies.iter().all(|b| b.mentions.is_empty()),
        "words call nobody"
    );
    let masked = |b: &upgrade_herald::domain::outbox::Body| {
        b.html.as_ref().map_or(b.text.contains("[more]("), |html| {
            html.contains("href=\"https://evil")
        })
    };
    assert!(!bodies.iter().any(|b| masked(b)), "{bodies:?}");

    // Corrected on top, in every channel in which it was said; a second time with the words of then.
    insta::assert_snapshot!(says(&w, &service, 12, "correct nothing It is up.").await, @r##"I can't do that: The plan has no notice nothing: there are: announced, communication-plan, reminder-7d, countdown, checklist-before, reminder-1d, reminder-1h, final-checks, op-decide, under-review, window-proposed, go, no-go, rescheduled, changed, delayed, cancelled, referendum, scheduled, dispatched, authorized, go-ahead, new-estimate, under-way, applied, signers, migration, changes-pending, verified, completed, feedback, documented, reviewed, unplanned, rejected, call-failed, pvf-rejected, discarded, other-version, migration-failed, migration-stuck, stalled, lagging, recovered, parachains-stopped, parachains-back, reset, failed, rolled-back, unacknowledged, unready, op-poll-closed, op-held, op-expired, op-refused, op-roll, op-problem, op-review, op-unplanned, op-call-failed, op-code-refused, op-overdue, op-unapplied, op-unverified, op-blind, op-sighted, op-unexamined."##);
    let done = says(&w, &service, 12, "correct said It is up again.").await;
    insta::assert_snapshot!(done, @"the correction stands on top of said in discord-upgrades, matrix-upgrades.");
    let marks = posts(&w, "said").await;
    assert_eq!(texts(&marks, Operation::Mark).len(), 2);
    insta::assert_snapshot!(shown(&marks, Operation::Mark), @r"
    > **Correction:** It is up again.

    ## Paseo runtime 2.3.1
    **Must I update my node?** Yes, at once, if it is older than **v1.21.0**.

    The explorer is down. @¦everyone \[more\](https://evil.example)

    *From the communication team.*
    ---
    > Correction: It is up again.

    Paseo runtime 2.3.1

    Must I update my node? Yes, at once, if it is older than v1.21.0.

    The explorer is down. @everyone [more](https://evil.example)

    From the communication team.
    ");

    // A line for everybody, three of them at the most.
    for n in 1..=4 {
        let noted = says(&w, &service, 11, &format!("note Line {n} of the day.")).await;
        assert_eq!(noted, "the line stands in the status now.");
    }
    let status = says(&w, &service, 99, "status").await;
    assert!(
        !status.contains("Line 1")
            && ["Line 2", "Line 3", "Line 4"]
                .iter()
                .all(|l| status.contains(l)),
        "{status}"
    );
    assert!(
        says(&w, &service, 11, "close")
            .await
            .contains("feedback is not open yet")
    );
}

#[tokio::test]
async fn a_notice_goes_out_before_its_time_when_it_is_announced_and_not_again() {
    let w = world().await;
    let service = AnswerService::new(w.core.clone());
    let next = posts(&w, "reminder-1h").await;
    assert!(
        next.iter().all(|p| p.state == PostState::Planned),
        "{next:?}"
    );
    insta::assert_snapshot!(says(&w, &service, 11, "announce reminder-1h").await, @"reminder-1h is due now.");
    let out = posts(&w, "reminder-1h").await;
    assert!(out.iter().all(|p| p.state == PostState::Sent), "{out:?}");
    insta::assert_snapshot!(says(&w, &service, 11, "announce reminder-1h").await, @"I can't do that: nothing of reminder-1h is planned; for words of your own there is say.");
    // Its own time brings no other.
    w.step(
        w.sample
            .window
            .opens
            .duration_since(w.core.clock.now())
            .as_secs()
            - 1,
    );
    Planner::new(w.core.clone()).tick_with(&[]).await.unwrap();
    w.settle().await;
    assert_eq!(posts(&w, "reminder-1h").await.len(), out.len());
}

#[tokio::test]
async fn a_step_is_ticked_by_its_role_and_a_notice_waits_for_it() {
    let w = world().await;
    let service = AnswerService::new(w.core.clone());
    insta::assert_snapshot!(says(&w, &service, 11, "tick 1.1").await, @"1.1 of the checklist is for core developers to tick.");
    insta::assert_snapshot!(says(&w, &service, 13, "tick 9.9").await, @"I can't do that: the checklist has no item 9.9.");
    let done = says(&w, &service, 13, "tick 1.1 In the pull request.").await;
    insta::assert_snapshot!(done, @"1.1 is done: The proposal is written, and reviewed by another developer. (1 of 19).");
    insta::assert_snapshot!(says(&w, &service, 13, "tick 1.1").await, @"I can't do that: 1.1 is ticked already, by Juno on discord.");
    let list = says(&w, &service, 11, "checklist").await;
    insta::assert_snapshot!(list, @r"
    **Paseo runtime 2.3.1**: 1 of 19 steps are done

    - ✅ **1.1** The proposal is written, and reviewed by another developer.
    - ⬜ **1.1a** Its impact is known: on validators, developers and users. (core developers)
    - ⬜ **1.2** The communication plan is checked and its upgrade file written. (communication team)
    - ⬜ **1.3** Benchmarks are made, and migrations pass on a copy of the state. (core developers)
    - ⬜ **1.3a** A fork runs it through an epoch, an era and transfers between chains. (core developers)
    - ⬜ **1.3b** It has run on a test instance for a day. (core developers)
    - ⬜ **2.1** The window is chosen with those who must be there. (communication team)
    - ⬜ **2.2** The change is approved and merged, and the release is made. (core developers)
    - ⬜ **2.3** Everybody concerned has been told, and knows what to do. (communication team)
    - ⬜ **3.1** Providers have answered, and enough of them are ready. (communication team)
    - ⬜ **3.2** The databases are backed up, and somebody can restore them. (operators)
    - ⬜ **3.3** The final checks are passed, and the code's hash is the one tested. (core developers)
    - ⬜ **3.4** The upgrade is submitted, and somebody watches it. (core developers)
    - ⬜ **4.1** The network is stable on the new version. (operators)
    - ⬜ **4.2** Feedback is read and answered. (communication team)
    - ⬜ **4.3** What was reported is tracked, and solved or told. (core developers)
    - ⬜ **5.1** Completion is announced. (communication team)
    - ⬜ **5.2** The documentation speaks of the new version. (core developers)
    - ⬜ **5.3** The review is held, and can be read. (communication team)

    What a validator does: **checklist validators**. To tick a step: **tick** and its number.
    ");
    assert!(
        says(&w, &service, 99, "checklist")
            .await
            .contains("Before the upgrade"),
        "a validator sees theirs"
    );
    // Who may tick has a button for each open step of theirs.
    let place = w.core.outlets["discord-operations"].place.clone();
    let juno = service
        .answer(
            &Asker::new(Platform::Discord, "13", &place),
            &Command::from_line("checklist process"),
        )
        .await;
    let labels: Vec<&str> = juno.buttons.iter().map(|b| b.label.as_str()).collect();
    assert_eq!(
        labels,
        [
            "1.1a", "1.3", "1.3a", "1.3b", "2.2", "3.3", "3.4", "4.3", "5.2"
        ]
    );
    assert_eq!(juno.buttons[0].line, "tick 1.1a upgrade=v2");
    let anybody = service
        .answer(
            &Asker::new(Platform::Discord, "99", &place),
            &Command::from_line("checklist process"),
        )
        .await;
    assert!(anybody.buttons.is_empty());

    // Ten minutes before the window it is due, and waits.
    w.step(
        w.sample
            .window
            .opens
            .duration_since(w.core.clock.now())
            .as_secs()
            - 600,
    );
    w.settle().await;
    let held = posts(&w, "final-checks").await;
    assert!(
        held.iter().all(|p| p.state == PostState::Held
            && p.error.as_deref() == Some("it waits for 3.2 of the checklist")),
        "{held:?}"
    );
    let told = posts(&w, "op-held").await;
    assert!(
        told.iter().any(|p| p
            .detail
            .as_deref()
            .is_some_and(|d| d.contains("it waits for 3.2 of the checklist"))),
        "{told:?}"
    );
    insta::assert_snapshot!(says(&w, &service, 12, "tick 3.2").await, @"3.2 is done: The databases are backed up, and somebody can restore them. (2 of 19).");
    w.gate.tick().await.unwrap();
    w.settle().await;
    let out = posts(&w, "final-checks").await;
    assert!(out.iter().all(|p| p.state == PostState::Sent), "{out:?}");
    insta::assert_snapshot!(says(&w, &service, 12, "untick 3.2").await, @"3.2 is open again.");
}

#[tokio::test]
async fn the_review_has_each_act_with_who_where_and_when() -> Result<()> {
    let w = world().await;
    let service = AnswerService::new(w.core.clone());
    let began = w.core.clock.now();
    says(&w, &service, 13, "tick 1.1").await;
    w.step(60);
    says(
        &w,
        &service,
        11,
        "say discord-upgrades A word with | and <b>tags</b>.",
    )
    .await;
    w.step(60);
    says(&w, &service, 11, "no-go Two nodes don't sync.").await;
    says(&w, &service, 13, "no-go I may not.").await;
    says(&w, &service, 99, "status").await;

    let acts: Vec<AuditEntry> = w
        .store
        .entries(RecordKind::Act, "v2")
        .await?
        .into_iter()
        .map(|e| serde_json::from_value(e.value))
        .collect::<Result<_, _>>()?;
    let shown: Vec<String> = acts
        .iter()
        .map(|a| format!("{} ({}) in {}: {}", a.who, a.account, a.place, a.what))
        .collect();
    assert_eq!(
        shown,
        [
            "Juno on discord (discord 13) in discord-operations: tick item=1.1",
            "Mara on discord (discord 11) in discord-operations: say channel=discord-upgrades text=\"A word with | and <b>tags</b>.\"",
            "Mara on discord (discord 11) in discord-operations: no-go reason=\"Two nodes don't sync.\"",
        ],
        "what was denied, and what everybody may, is no act"
    );
    let campaign = w.core.campaign("v2").await?.unwrap();
    let report: Report = report::of(&w.core, &w.core.snapshot(), &campaign).await?;
    assert_eq!(
        report
            .acts
            .iter()
            .map(|a| a.at.duration_since(began).as_secs())
            .collect::<Vec<_>>(),
        [0, 60, 120]
    );
    assert_eq!((report.done.len(), report.open.len()), (1, 18));
    assert!(
        report
            .posts
            .iter()
            .any(|r| r.notice == "said" && r.late_s == Some(0)),
        "{:?}",
        report.posts
    );
    let snapshot = w.core.snapshot();
    let markdown = report::markdown::markdown(&report, snapshot.renderer.zone());
    for part in [
        "# Review: ",
        "## Plan against actual",
        "## Chains",
        "## Feedback",
        "## Incidents",
        "## Decisions",
        "- [x] 1.1 ",
        "- [ ] 5.3 ",
    ] {
        assert!(markdown.contains(part), "no {part} in {markdown}");
    }
    assert!(
        !markdown.contains("<b>tags") && markdown.contains("\\<b\\>tags"),
        "{markdown}"
    );
    let table = |line: &&str| line.starts_with("| ") && line.contains("upgrades");
    let cells: Vec<usize> = markdown
        .lines()
        .filter(table)
        .map(|l| l.replace("\\|", "").matches('|').count())
        .collect();
    assert!(
        !cells.is_empty() && cells.iter().all(|n| *n == 7),
        "{cells:?}"
    );
    assert!(campaign.accepted.duration_since(began) <= SignedDuration::ZERO);
    Ok(())
}
