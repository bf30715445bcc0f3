//! Upgrades that change: by a command, by an edited file, by both.

use jiff::{SignedDuration, Timestamp};
use strum::IntoEnumIterator;
use upgrade_herald::{
    config::{Plan, SourceFile, UpgradeFile},
    domain::{
        campaign::{
            change::Change,
            upgrade::{Poll, Step, Upgrade, Urgency, Window},
        },
        outbox::{Operation, PostState},
        people::reply::Outcome,
        plan::{
            notice::{Audience, Happening, MissedPolicy, Notice, Phase, Trigger},
            schedule::Offset,
        },
    },
    plan::planner::{Planned, Planner},
    ports::Clock,
    words::snapshot::ConfigSnapshot,
};

use crate::harness::pipeline::{Pipeline, authorized};

const CHANNEL: &str = "discord-upgrades";
const OPERATORS: &str = "discord-operations";

/// Three notices by the clock, and one for each thing that changes.
fn small(plan: &mut Plan) {
    let notice = |id: &str, template: &str, trigger| Notice {
        channels: vec![CHANNEL.into(), "matrix-upgrades".into()],
        ..Notice::new(id, Phase::Scheduling, template, trigger)
    };
    let mut notices = vec![
        notice(
            "announced",
            "preparation/announced",
            Trigger::At(Offset::Days(-7)),
        ),
        notice(
            "reminder",
            "scheduling/reminder",
            Trigger::At(Offset::Days(-1)),
        ),
        notice(
            "soon",
            "scheduling/reminder",
            Trigger::At(Offset::Exact(-600)),
        ),
    ];
    for happening in [
        Happening::WindowSet,
        Happening::Rescheduled,
        Happening::Changed,
        Happening::Cancelled,
        Happening::Failed,
        Happening::Documented,
        Happening::NoGo,
        Happening::Go,
        Happening::Unplanned,
    ] {
        let template = match happening {
            Happening::Unplanned => "execution/unplanned",
            Happening::Changed => "scheduling/changed",
            _ => "scheduling/rescheduled",
        };
        notices.push(notice(happening.name(), template, Trigger::On(happening)));
    }
    let refused = notice(
        "refused",
        "scheduling/rescheduled",
        Trigger::On(Happening::Refused),
    );
    notices.push(Notice {
        channels: vec![OPERATORS.into()],
        ..refused
    });
    for urgency in Urgency::iter() {
        plan.plans.get_mut(&urgency).unwrap().notices = notices.clone();
    }
}

fn days(n: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * n)
}

/// The sample with a window this many days from now.
fn upgrade_in(w: &Pipeline, n: i64) -> Upgrade {
    let opens = w.clock.now().checked_add(days(n)).unwrap();
    let window = Window {
        opens,
        closes: opens.checked_add(SignedDuration::from_hours(2)).unwrap(),
    };
    Upgrade {
        window,
        ..w.upgrade("v2", &["relay"])
    }
}

fn moved(upgrade: &Upgrade, n: i64) -> Window {
    let later = |at: Timestamp| at.checked_add(days(n)).unwrap();
    Window {
        opens: later(upgrade.window.opens),
        closes: later(upgrade.window.closes),
    }
}

async fn follow(w: &Pipeline, upgrade: &Upgrade) -> Planned {
    let planned = plan_alone(w, upgrade).await;
    w.settle().await;
    planned
}

/// Without anything being posted.
async fn plan_alone(w: &Pipeline, upgrade: &Upgrade) -> Planned {
    w.step(1);
    let file = SourceFile {
        name: "config/upgrades/v2.yaml".into(),
        text: "id: v2\nwindow: {}\n".into(),
    };
    Planner::new(w.core.clone())
        .tick_with(&[UpgradeFile {
            upgrade: upgrade.clone(),
            file,
        }])
        .await
        .unwrap()
}

async fn command(w: &Pipeline, file: &Upgrade, change: Change) -> String {
    let number = w
        .store
        .request("v2", &change, "Tessa Test", w.clock.now())
        .await
        .unwrap();
    follow(w, file).await;
    outcome(w, number).await
}

/// What came of a request, in English.
async fn outcome(w: &Pipeline, number: i64) -> String {
    let outcome = w.store.outcome(number).await.unwrap().unwrap();
    let words = w.core.snapshot().renderer.english_words(outcome.reply());
    match outcome {
        Outcome::Done(_) => words,
        Outcome::Refused(_) => format!("refused: {words}"),
    }
}

fn reschedule(window: Window) -> Change {
    Change::Reschedule {
        opens: window.opens,
        closes: window.closes,
        reason: Some("more time to test".into()),
    }
}

async fn days_pass(w: &Pipeline, n: i64) {
    for _ in 0..n * 24 {
        w.step(3600);
        w.settle().await;
    }
}

#[tokio::test]
async fn a_command_moves_what_is_to_come_marks_what_is_out_and_tells_it_once() {
    let w = Pipeline::new(&["relay"], small).await;
    let file = upgrade_in(&w, 8);
    follow(&w, &file).await;
    days_pass(&w, 2).await;
    assert_eq!(w.told("v2", CHANNEL).await, ["window_set", "announced"]);
    let done = command(&w, &file, reschedule(moved(&file, 10))).await;
    assert!(
        done.starts_with("done: ") && done.contains(" now opens ") && done.contains("Tessa Test"),
        "{done}"
    );
    for _ in 0..3 {
        follow(&w, &file).await;
    }
    let told = w.told("v2", CHANNEL).await;
    assert_eq!(
        told,
        [
            "window_set",
            "announced",
            "announced mark",
            "window_set mark",
            "rescheduled"
        ]
    );
    let text = w.text("v2", "announced", CHANNEL).await;
    let (mark, rest) = text.split_once("\n\n").unwrap();
    assert!(
        mark.contains("New time") && rest.starts_with("## "),
        "{text}"
    );
    // Everything is due again for the new window, and nothing of the old one is left.
    days_pass(&w, 17).await;
    let later: Vec<String> = w.told("v2", CHANNEL).await.split_off(told.len());
    assert_eq!(later, ["announced", "reminder", "soon"]);
    let posts = w.store.posts("v2").await.unwrap();
    let old = posts
        .iter()
        .filter(|p| p.revision == 1 && p.operation == Operation::Post);
    assert!(
        old.filter(|p| p.state == PostState::Superseded).count() == 4,
        "reminder and soon, in two channels"
    );
    assert_eq!(
        w.told("v2", CHANNEL).await,
        w.told("v2", "matrix-upgrades").await
    );
}

#[tokio::test]
async fn a_command_holds_through_an_unrelated_edit_and_a_contradiction_is_refused() {
    let w = Pipeline::new(&["relay"], small).await;
    let file = upgrade_in(&w, 8);
    follow(&w, &file).await;
    command(&w, &file, reschedule(moved(&file, 1))).await;
    let now = async || w.core.campaign("v2").await.unwrap().unwrap();
    // An edit of something else.
    let summary = Upgrade {
        summary: "Other words".into(),
        ..file.clone()
    };
    assert!(follow(&w, &summary).await.contradicted.is_empty());
    assert_eq!(
        (
            now().await.upgrade.summary.as_str(),
            now().await.upgrade.window.clone()
        ),
        ("Other words", moved(&file, 1))
    );
    // An edit of what the command changed.
    let contrary = Upgrade {
        window: moved(&file, 5),
        summary: "Third words".into(),
        ..file.clone()
    };
    for _ in 0..3 {
        let planned = follow(&w, &contrary).await;
        assert!(
            planned.contradicted[0]
                .to_string()
                .contains("config/upgrades/v2.yaml:2:1: warning: window was changed by a command")
        );
    }
    assert_eq!(
        (
            now().await.upgrade.summary.as_str(),
            now().await.upgrade.window.clone()
        ),
        ("Other words", moved(&file, 1))
    );
    assert_eq!(
        w.told("v2", OPERATORS).await,
        ["refused"],
        "operators are told once"
    );
    // An edit that agrees; from then on the file counts again.
    let agrees = Upgrade {
        window: moved(&file, 1),
        ..contrary
    };
    assert!(follow(&w, &agrees).await.contradicted.is_empty());
    let again = Upgrade {
        window: moved(&file, 7),
        ..agrees
    };
    assert!(follow(&w, &again).await.contradicted.is_empty());
    assert_eq!(now().await.upgrade.window, moved(&file, 7));
    let told = w
        .told("v2", CHANNEL)
        .await
        .into_iter()
        .filter(|t| t == "rescheduled")
        .count();
    assert_eq!(told, 2, "once for the command, once for the last edit");
}

#[tokio::test]
async fn a_cancelled_upgrade_is_said_to_be_and_no_more_unless_it_is_taken_back() {
    let w = Pipeline::new(&["relay"], small).await;
    let file = upgrade_in(&w, 8);
    follow(&w, &file).await;
    days_pass(&w, 2).await;
    command(
        &w,
        &file,
        Change::Cancel {
            reason: "a fault".into(),
        },
    )
    .await;
    days_pass(&w, 8).await;
    let told = w.told("v2", CHANNEL).await;
    assert_eq!(
        told,
        [
            "window_set",
            "announced",
            "announced mark",
            "window_set mark",
            "cancelled"
        ]
    );
    assert!(
        w.text("v2", "announced", CHANNEL)
            .await
            .starts_with("> **Cancelled:**")
    );
    let again = command(
        &w,
        &file,
        Change::Cancel {
            reason: "another".into(),
        },
    )
    .await;
    assert!(
        again.starts_with("refused") && again.contains("given up already"),
        "{again}"
    );
    // What comes after all is an upgrade that nobody has announced.
    w.block("relay", 1, &[authorized("0xaa")]).await;
    assert_eq!(w.told("unplanned-relay-101", CHANNEL).await, ["unplanned"]);
    // A new time is a new try.
    command(&w, &file, reschedule(moved(&file, 20))).await;
    days_pass(&w, 20).await;
    let later = w.told("v2", CHANNEL).await.split_off(told.len());
    assert!(
        later.ends_with(&["announced".into(), "reminder".into(), "soon".into()])
            && later.contains(&"rescheduled".into()),
        "{later:?}"
    );
}

/// As [`small`], with an announcement that catches up.
fn catching_up(plan: &mut Plan) {
    small(plan);
    for urgency in Urgency::iter() {
        let notices = &mut plan.plans.get_mut(&urgency).unwrap().notices;
        notices[0].if_missed = MissedPolicy::Now;
    }
}

#[tokio::test]
async fn an_announcement_that_was_missed_is_posted_at_once_and_a_reminder_is_not() {
    let w = Pipeline::new(&["relay"], catching_up).await;
    let file = Upgrade {
        window: Window {
            opens: w.clock.now().checked_add(days(1)).unwrap(),
            ..upgrade_in(&w, 2).window
        },
        ..upgrade_in(&w, 2)
    };
    let planned = follow(&w, &file).await;
    let skipped: Vec<&str> = planned.skipped.iter().map(|p| p.notice.as_str()).collect();
    assert_eq!(skipped, ["reminder", "reminder"], "in both channels");
    follow(&w, &file).await;
    assert_eq!(w.told("v2", CHANNEL).await, ["announced", "window_set"]);
    days_pass(&w, 1).await;
    assert_eq!(
        w.told("v2", CHANNEL).await,
        ["announced", "window_set", "soon"]
    );
    // A move says the new time, and what is known already is not announced again.
    let late = Upgrade {
        window: moved(&file, 9),
        ..file.clone()
    };
    let told = w.told("v2", CHANNEL).await;
    follow(&w, &late).await;
    days_pass(&w, 9).await;
    let later = w.told("v2", CHANNEL).await.split_off(told.len());
    let posts: Vec<&String> = later.iter().filter(|t| !t.ends_with(" mark")).collect();
    assert_eq!(posts, ["rescheduled", "reminder", "soon"]);
}

#[tokio::test]
async fn a_move_before_the_announcement_brings_it_once() {
    for moved_by in [-6, 3] {
        let w = Pipeline::new(&["relay"], catching_up).await;
        let file = upgrade_in(&w, 10);
        follow(&w, &file).await;
        let other = Upgrade {
            window: moved(&file, moved_by),
            ..file
        };
        follow(&w, &other).await;
        days_pass(&w, 10 + moved_by).await;
        let told = w.told("v2", CHANNEL).await;
        let announced = told.iter().filter(|t| *t == "announced").count();
        assert_eq!(announced, 1, "moved by {moved_by} days: {told:?}");
    }
}

#[tokio::test]
async fn a_notice_that_comes_into_the_plan_late_was_missed_by_nobody() {
    let w = Pipeline::new(&["relay"], |plan| {
        small(plan);
        for urgency in Urgency::iter() {
            plan.plans.get_mut(&urgency).unwrap().notices.remove(0);
        }
    })
    .await;
    let file = upgrade_in(&w, 8);
    follow(&w, &file).await;
    days_pass(&w, 4).await;
    let files = w.core.snapshot();
    let mut config = files.config.clone();
    catching_up(&mut config.plan);
    let renderer = files.renderer.clone();
    w.core.files.replace(ConfigSnapshot { config, renderer });
    follow(&w, &file).await;
    assert_eq!(w.told("v2", CHANNEL).await, ["window_set"]);
}

#[tokio::test]
async fn another_duty_is_told_and_marked_and_an_edit_of_words_alone_is_not() {
    let w = Pipeline::new(&["relay"], small).await;
    let file = upgrade_in(&w, 8);
    follow(&w, &file).await;
    days_pass(&w, 2).await;
    let told = w.told("v2", CHANNEL).await;
    let mut edited = Upgrade {
        summary: "Other words".into(),
        ..file.clone()
    };
    follow(&w, &edited).await;
    assert_eq!(w.told("v2", CHANNEL).await, told);
    edited
        .duties
        .get_mut(&Audience::Validators)
        .unwrap()
        .node_version = Some("v9.9.9".into());
    follow(&w, &edited).await;
    follow(&w, &edited).await;
    assert_eq!(
        w.told("v2", CHANNEL).await.split_off(told.len()),
        ["announced mark", "window_set mark", "changed"]
    );
    let text = w.text("v2", "announced", CHANNEL).await;
    assert!(text.contains("what you must do has changed"), "{text}");
    assert!(w.text("v2", "changed", CHANNEL).await.contains("v9.9.9"));
    // And a window that moves after that marks them again, beside what still holds.
    let late = Upgrade {
        window: moved(&edited, 3),
        ..edited
    };
    follow(&w, &late).await;
    let text = w.text("v2", "announced", CHANNEL).await;
    assert!(
        text.contains("the window now opens") && text.contains("what you must do has changed"),
        "{text}"
    );
}

#[tokio::test]
async fn while_people_choose_a_window_nothing_counts_from_it() {
    let w = Pipeline::new(&["relay"], small).await;
    let set = upgrade_in(&w, 30);
    let poll = Poll {
        windows: vec![moved(&set, -20), set.window.clone()],
        decide_by: w.clock.now().checked_add(days(2)).unwrap(),
    };
    let asked = Upgrade {
        window: poll.windows[0].clone(),
        poll: Some(poll),
        ..set.clone()
    };
    follow(&w, &asked).await;
    days_pass(&w, 4).await;
    assert!(w.told("v2", CHANNEL).await.is_empty());
    assert_eq!(
        w.core.campaign("v2").await.unwrap().unwrap().standing(),
        "planned"
    );
    follow(&w, &set).await;
    days_pass(&w, 26).await;
    assert_eq!(
        w.told("v2", CHANNEL).await,
        ["window_set", "announced", "reminder", "soon"]
    );
}

#[tokio::test]
async fn what_people_have_done_is_told_when_a_file_or_a_command_says_so() {
    let w = Pipeline::new(&["relay"], small).await;
    let file = upgrade_in(&w, 8);
    follow(&w, &file).await;
    let no_go = Change::NoGo {
        reason: "a node is not ready".into(),
    };
    assert!(command(&w, &file, no_go.clone()).await.starts_with("done"));
    assert!(
        command(&w, &file, no_go)
            .await
            .contains("that is so already")
    );
    command(&w, &file, Change::Go).await;
    let mut documented = file.clone();
    documented
        .steps
        .insert(Step::Documented, "https://docs.example.org/v2".into());
    follow(&w, &documented).await;
    assert_eq!(
        w.told("v2", CHANNEL).await,
        ["window_set", "no_go", "go", "documented"]
    );
    let unknown = w
        .store
        .request("v3", &Change::Go, "Tessa Test", w.clock.now())
        .await
        .unwrap();
    follow(&w, &documented).await;
    assert!(
        outcome(&w, unknown)
            .await
            .contains("no upgrade `v3` is known")
    );
}

#[tokio::test]
async fn who_changes_their_mind_is_heard_each_time() {
    let w = Pipeline::new(&["relay"], small).await;
    let file = upgrade_in(&w, 8);
    follow(&w, &file).await;
    let no_go = || Change::NoGo {
        reason: "a fault".into(),
    };
    for change in [Change::Go, no_go(), Change::Go, no_go()] {
        let done = command(&w, &file, change).await;
        assert!(done.starts_with("done"), "{done}");
    }
    assert_eq!(
        w.told("v2", CHANNEL).await,
        ["window_set", "go", "no_go", "go", "no_go"]
    );
    // The same duty, taken out and put in again: each is news.
    let mut other = file.clone();
    other.duties.get_mut(&Audience::Validators).unwrap().what = "Update now".into();
    for file in [&other, &file, &other] {
        follow(&w, file).await;
    }
    let told = w.told("v2", CHANNEL).await;
    assert_eq!(
        told.iter().filter(|t| *t == "changed").count(),
        3,
        "{told:?}"
    );
}

/// A notice some time after a happening, when the upgrade is called off in between.
#[tokio::test]
async fn what_was_to_follow_a_happening_is_withdrawn_with_its_upgrade() {
    let w = Pipeline::new(&["relay"], |plan| {
        small(plan);
        for urgency in Urgency::iter() {
            let notices = &mut plan.plans.get_mut(&urgency).unwrap().notices;
            let later = Notice::new(
                "later",
                Phase::Scheduling,
                "scheduling/reminder",
                Trigger::On(Happening::WindowSet),
            );
            notices.push(Notice {
                channels: vec![CHANNEL.into()],
                delay: SignedDuration::from_mins(10),
                ..later
            });
        }
    })
    .await;
    let file = upgrade_in(&w, 8);
    follow(&w, &file).await;
    w.step(300);
    command(
        &w,
        &file,
        Change::Cancel {
            reason: "a fault".into(),
        },
    )
    .await;
    w.step(600);
    w.settle().await;
    assert_eq!(
        w.told("v2", CHANNEL).await,
        ["window_set", "window_set mark", "cancelled"]
    );
}

/// Two moves while a chat is away: what it says in the end is what holds, once.
#[tokio::test]
async fn two_moves_while_a_chat_is_away_end_in_what_holds() {
    let w = Pipeline::new(&["relay"], small).await;
    let file = upgrade_in(&w, 8);
    follow(&w, &file).await;
    days_pass(&w, 2).await;
    for n in [3, 5] {
        w.store
            .request(
                "v2",
                &reschedule(moved(&file, n)),
                "Tessa Test",
                w.clock.now(),
            )
            .await
            .unwrap();
        plan_alone(&w, &file).await;
    }
    for _ in 0..10 {
        w.step(600);
        w.settle().await;
    }
    let text = w.text("v2", "announced", CHANNEL).await;
    let opens = w
        .core
        .snapshot()
        .renderer
        .zone()
        .written(moved(&file, 5).opens);
    assert!(
        text.contains(&opens) && text.matches("New time").count() == 1,
        "{text}"
    );
    let told = w.told("v2", CHANNEL).await;
    assert!(
        told.iter().filter(|t| *t == "rescheduled").count() <= 2,
        "{told:?}"
    );
    let posts = w.store.posts("v2").await.unwrap();
    let parked: Vec<_> = posts
        .iter()
        .filter(|p| p.state == PostState::Parked)
        .collect();
    assert!(parked.is_empty(), "{parked:?}");
}

/// An upgrade that turns out to be broken when it runs.
#[tokio::test]
async fn what_was_given_up_is_not_called_verified() {
    let w = Pipeline::new(&["relay"], |plan| {
        small(plan);
        for urgency in Urgency::iter() {
            let notices = &mut plan.plans.get_mut(&urgency).unwrap().notices;
            for happening in [Happening::Applied, Happening::Verified] {
                let notice = Notice::new(
                    happening.name(),
                    Phase::Validation,
                    "scheduling/reminder",
                    Trigger::On(happening),
                );
                notices.push(Notice {
                    channels: vec![CHANNEL.into()],
                    ..notice
                });
            }
        }
    })
    .await;
    let file = upgrade_in(&w, 8);
    follow(&w, &file).await;
    w.block("relay", 1, &[]).await;
    w.block("relay", 2, &[]).await;
    let told = w.told("v2", CHANNEL).await;
    assert!(told.contains(&"applied".to_owned()), "{told:?}");
    let done = command(
        &w,
        &file,
        Change::Fail {
            reason: "transfers between chains fail".into(),
        },
    )
    .await;
    assert!(done.starts_with("done"), "{done}");
    for _ in 0..200 {
        w.block("relay", 2, &[]).await;
    }
    assert_eq!(
        w.told("v2", CHANNEL).await.split_off(told.len()),
        ["failed"]
    );
    // The file takes it back: it goes on.
    let (mut failed, failed_file) = (file.clone(), file.clone());
    failed.failed = Some("transfers between chains fail".into());
    follow(&w, &failed).await;
    follow(&w, &failed_file).await;
    for _ in 0..200 {
        w.block("relay", 2, &[]).await;
    }
    let told = w.told("v2", CHANNEL).await;
    assert_eq!(
        told.last().map(String::as_str),
        Some("verified"),
        "{told:?}"
    );
}

/// Lists what stands on top of a post: each line's name, a correction with its words, a new time with its second.
fn tops(text: &str) -> Vec<String> {
    let (top, _) = text.split_once("## ").unwrap_or((text, ""));
    let lines = top.lines().filter_map(|line| line.strip_prefix("> "));
    let line = |line: &str| {
        let (name, rest) = line.trim_start_matches("**").split_once(":**").unwrap();
        let second = rest.split_once("<t:").and_then(|(_, t)| t.split_once(':'));
        match (name, second) {
            ("Correction", _) => format!("{name}:{rest}"),
            ("New time", Some((second, _))) => format!("{name}: {second}"),
            _ => name.to_owned(),
        }
    };
    lines.map(line).collect()
}

#[tokio::test]
async fn each_mark_stays_until_another_makes_it_untrue() {
    // `+` is given in the same moment as what stands before it; `move 10` is by so many days.
    let orders: [(&[&str], &[&str]); 14] = [
        (&["correct One"], &["Correction: One"]),
        (&["move 10"], &["New time: 10"]),
        (
            &["correct One", "move 10"],
            &["New time: 10", "Correction: One"],
        ),
        (
            &["move 10", "correct One"],
            &["New time: 10", "Correction: One"],
        ),
        (
            &["correct One", "+move 10"],
            &["New time: 10", "Correction: One"],
        ),
        (
            &["move 10", "+correct One"],
            &["New time: 10", "Correction: One"],
        ),
        (
            &["move 10", "correct One", "move 20"],
            &["New time: 20", "Correction: One"],
        ),
        (
            &["correct One", "move 10", "correct Two"],
            &["New time: 10", "Correction: One", "Correction: Two"],
        ),
        (
            &["correct One", "+correct Two"],
            &["Correction: One", "Correction: Two"],
        ),
        (
            &["cancel", "correct One"],
            &["Cancelled", "Correction: One"],
        ),
        (
            &["correct One", "cancel"],
            &["Cancelled", "Correction: One"],
        ),
        (
            &["duties", "move 10", "correct One", "cancel"],
            &["Cancelled", "Correction: One"],
        ),
        (
            &["correct One", "duties", "move 10"],
            &["No longer so", "New time: 10", "Correction: One"],
        ),
        (
            &["cancel", "correct One", "move 10"],
            &["New time: 10", "Correction: One"],
        ),
    ];
    for (order, wanted) in orders {
        let w = Pipeline::new(&["relay"], small).await;
        let mut file = upgrade_in(&w, 8);
        follow(&w, &file).await;
        days_pass(&w, 2).await;
        for (i, step) in order.iter().enumerate() {
            let (name, rest) = step.split_once(' ').unwrap_or((step, ""));
            let change = match name.trim_start_matches('+') {
                "correct" => Change::Correct {
                    notice: "announced".into(),
                    text: rest.into(),
                },
                "move" => reschedule(moved(&file, rest.parse().unwrap())),
                "cancel" => Change::Cancel {
                    reason: "A fault.".into(),
                },
                _ => {
                    let duty = file.duties.get_mut(&Audience::Users).unwrap();
                    duty.what = "Look at your wallet.".into();
                    follow(&w, &file).await;
                    continue;
                }
            };
            let now = w.clock.now();
            w.store
                .request("v2", &change, "Tessa Test", now)
                .await
                .unwrap();
            if !order.get(i + 1).is_some_and(|next| next.starts_with('+')) {
                follow(&w, &file).await;
            }
        }
        let at = |line: &str| match line.strip_prefix("New time: ") {
            Some(days) => {
                let opens = moved(&file, days.parse().unwrap()).opens;
                format!("New time: {}", opens.as_second())
            }
            None => line.to_owned(),
        };
        let wanted: Vec<String> = wanted.iter().map(|line| at(line)).collect();
        let text = w.text("v2", "announced", CHANNEL).await;
        assert_eq!(tops(&text), wanted, "{order:?}: {text}");
        assert_eq!(
            text.matches("## ").count(),
            1,
            "the post itself stays: {text}"
        );
        let on_matrix = w.text("v2", "announced", "matrix-upgrades").await;
        let marks = on_matrix.lines().filter(|line| line.starts_with("> "));
        assert_eq!(marks.count(), wanted.len(), "{order:?}: {on_matrix}");
    }
}

#[tokio::test]
async fn another_end_of_the_window_is_shown_and_told_to_nobody() {
    let board = |plan: &mut Plan| {
        small(plan);
        for urgency in Urgency::iter() {
            let board = Notice::new(
                "board",
                Phase::Scheduling,
                "preparation/board",
                Trigger::On(Happening::Planned),
            );
            plan.plans.get_mut(&urgency).unwrap().notices.push(Notice {
                channels: vec![CHANNEL.into()],
                live: true,
                board: true,
                ..board
            });
        }
    };
    let w = Pipeline::new(&["relay"], board).await;
    let mut file = upgrade_in(&w, 8);
    follow(&w, &file).await;
    let told = w.told("v2", CHANNEL).await;
    let campaign = async || w.core.campaign("v2").await.unwrap().unwrap();
    assert_eq!(campaign().await.sequence(), 0);
    file.window.closes = file.window.closes.checked_add(days(1)).unwrap();
    w.step(60);
    follow(&w, &file).await;
    w.step(60);
    w.settle().await;
    let said = w.told("v2", CHANNEL).await.split_off(told.len());
    assert_eq!(said, ["board edit"], "nobody is called");
    let text = w.text("v2", "board", CHANNEL).await;
    let closes = format!("until <t:{}:F>", file.window.closes.as_second());
    assert!(text.contains(&closes), "{text}");
    let (sequence, moves) = (campaign().await.sequence(), campaign().await.moved());
    assert_eq!((sequence, moves), (1, 0), "calendars take the newer one");
    // By command it is the same.
    let mut window = file.window.clone();
    window.closes = window.closes.checked_add(days(1)).unwrap();
    let done = command(&w, &file, reschedule(window.clone())).await;
    assert!(
        done.starts_with("done: ") && done.contains(" now opens "),
        "{done}"
    );
    assert_eq!(campaign().await.upgrade.window, window);
    assert_eq!(campaign().await.sequence(), 2);
    let told = w.told("v2", CHANNEL).await;
    assert!(!told.contains(&"rescheduled".to_owned()), "{told:?}");
    // Calendars know each change that follows as newer, whichever way it goes.
    let mut last = campaign().await.sequence();
    for change in [
        reschedule(moved(&file, 10)),
        Change::Cancel {
            reason: "A fault.".into(),
        },
        reschedule(moved(&file, 20)),
    ] {
        command(&w, &file, change.clone()).await;
        let now = campaign().await.sequence();
        assert!(now > last, "{change:?}: {now} after {last}");
        last = now;
    }
    assert_eq!(campaign().await.moved(), 2);
}
