//! One upgrade from its announcement to the feedback summary, on real parts.

use anyhow::Result;
use upgrade_herald::{
    adapters::store::SqlStore,
    domain::outbox::{Operation, Post, PostState},
    ports::{CampaignStore, OutboxStore},
};

use crate::{
    doubles::discord::Options,
    harness::world::{PATIENCE, World, later, now},
    support::{DevnetOptions, devnet::blob},
};

/// Minutes instead of weeks; the chain's clock goes on by 6 s a block.
pub const PLAN: &str = "
zone: Europe/Berlin
verification: { healthy_for: 60s, complete_after: 60s, max_block_gap: 60s }
feedback:
  open_for: 55s
  reactions:
    - { emoji: 👍, means: all fine }
    - { emoji: ⚠️, means: a problem }
notices:
  - { id: announced, phase: preparation, template: preparation/announced, at: -2h, if_missed: skip }
  - { id: reminder-1, phase: scheduling, template: scheduling/reminder, at: -20s }
  - { id: reminder-2, phase: scheduling, template: scheduling/countdown, at: -14s }
  - { id: authorized, phase: execution, template: execution/authorized, on: authorized }
  - { id: applied, phase: validation, template: validation/applied, on: applied, feedback: true }
  - { id: verified, phase: validation, template: validation/verified, on: verified }
  - { id: completed, phase: post-deployment, template: post-deployment/completed, on: completed }
  - { id: feedback, phase: post-deployment, template: post-deployment/feedback-summary, on: feedback_closed }
";

pub fn upgrade(opens: jiff::Timestamp) -> String {
    format!(
        "
id: v2
title: Devnet runtime 2
summary: A test of everything.
urgency: expedited
method: sudo
window: {{ opens: \"{opens}\", closes: \"{}\" }}
chains: {{ devnet: {{ spec_version: 1000002 }} }}
audiences:
  validators: {{ action: required, what: Update your node., node_version: v2.0.0, by: \"{opens}\" }}
  developers: {{ action: none, what: Nothing changes for you. }}
  users: {{ action: none, what: Nothing to do. }}
",
        later(opens, 600)
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_is_told_from_its_announcement_to_its_feedback() -> Result<()> {
    let mut w = World::new(
        Options::default(),
        DevnetOptions {
            block_ms: 500,
            ..Default::default()
        },
    )
    .await?;
    w.write("plan.yaml", PLAN)?;
    w.start().await?;
    let opens = w.plan_v2(60).await?;
    let carol = w.discord.add_person("carol");

    // Planned: the status says so, and what was due before the upgrade was known is skipped.
    let answer = status_on_discord(&w, carol).await;
    assert!(
        answer.contains("scheduled")
            && answer.contains("reminder")
            && answer.contains(&format!("<t:{}:F>", opens.as_second())),
        "{answer}"
    );
    assert!(
        answer.contains("Validators")
            && answer.contains("Update your node")
            && answer.contains("v2.0.0"),
        "{answer}"
    );
    let answer = status_on_matrix(&w, 1).await?;
    assert!(
        answer.contains("scheduled") && answer.contains("UTC") && answer.contains("CE"),
        "{answer}"
    );

    // Reminders, each at its time: none before, one after the other, and none so late that it says so. A post tells how far away
    // the window is from when it was due, so how long the machine takes is seen nowhere.
    let mut last = (0, 0);
    for (on_matrix, on_discord, before) in [
        ("Reminder", "Reminder", 20),
        (
            "Countdown: Devnet runtime 2, in 14 seconds",
            "Countdown: Devnet runtime 2",
            14,
        ),
    ] {
        let due = later(opens, -before).as_millisecond();
        let (event, message) = (
            w.on_matrix(on_matrix).await?,
            w.on_discord(on_discord).await?,
        );
        let posted = (
            event["origin_server_ts"].as_i64().unwrap(),
            i64::try_from(message.created_ms)?,
        );
        assert!(
            posted.0 >= due && posted.1 >= due,
            "{on_discord}: due at {due}, posted at {posted:?}"
        );
        assert!(
            posted.0 > last.0 && posted.1 > last.1,
            "{on_discord}: {last:?}, then {posted:?}"
        );
        assert!(
            !event.to_string().contains("Posted late") && !message.content.contains("Posted late"),
            "{event} {}",
            message.content
        );
        last = posted;
    }

    // Authorized.
    w.chain.authorize(&blob("mini-1000002")).await?;
    w.on_matrix("authorized new code").await?;
    w.on_discord("authorized new code").await?;
    assert!(status_on_discord(&w, carol).await.contains("authorized"));
    assert!(status_on_matrix(&w, 2).await?.contains("authorized"));

    // Applied: being verified, and a thread on each.
    w.chain.apply(&blob("mini-1000002")).await?;
    let post = w.on_discord("applied, being verified").await?;
    let event = w.on_matrix("applied, being verified").await?["event_id"]
        .as_str()
        .unwrap()
        .to_owned();
    w.on_matrix("tell us here what you see").await?;
    let thread = crate::support::wait::until("a thread on Discord", PATIENCE, async || {
        w.discord.thread_of(post.id)
    })
    .await?;
    crate::support::wait::until("an opening in it", PATIENCE, async || {
        w.discord.messages(thread).pop()
    })
    .await?;
    // The answer links to the thread once the thread's row is written.
    let store = SqlStore::open(&format!(
        "sqlite://{}",
        w.dir.path().join("herald.db").display()
    ))
    .await?;
    crate::support::wait::until("the thread is written down", PATIENCE, async || {
        let posts = store.posts("v2").await.ok()?;
        let is_thread = |p: &Post| p.operation == Operation::Thread && p.channel == "discord";
        let written = posts.iter().any(|p| is_thread(p) && p.link.is_some());
        written.then_some(())
    })
    .await?;
    let answer = status_on_discord(&w, carol).await;
    assert!(
        answer.contains("applied")
            && answer.contains("1000002")
            && answer.contains(&thread.to_string()),
        "{answer}"
    );

    // People answer while it is verified.
    w.discord.react(w.channel, post.id, carol, "👍").await;
    w.discord
        .say(thread, carol, "All of my nodes are fine.")
        .await;
    w.bob.react(&w.room, &event, "👍").await?;
    w.alice.react(&w.room, &event, "⚠️").await?;
    w.bob
        .reply_in_thread(&w.room, &event, "My explorer shows the old version.")
        .await?;
    w.alice
        .reply_in_thread(&w.room, &event, "So does mine.")
        .await?;

    // Verified, completed.
    w.on_discord(": verified").await?;
    w.on_matrix(": verified").await?;
    let completed = w.on_discord(": completed").await?;
    assert!(
        completed.content.contains(&thread.to_string()),
        "{}",
        completed.content
    );
    let completed = w.on_matrix(": completed").await?;
    assert!(
        completed["content"]["formatted_body"]
            .as_str()
            .unwrap()
            .contains("https://matrix.to/#/"),
        "{completed}"
    );
    assert!(status_on_discord(&w, carol).await.contains("completed"));
    assert!(status_on_matrix(&w, 3).await?.contains("completed"));

    // The window of feedback closes; the counts are those of both platforms.
    let summary = w.on_discord("what you told us").await?.content;
    assert!(
        summary.contains("👍 all fine: **2**")
            && summary.contains("a problem: **1**")
            && summary.contains("Replies: **3**"),
        "{summary}"
    );
    let summary = w.on_matrix("what you told us").await?["content"]["body"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        summary.contains("👍 all fine: 2")
            && summary.contains("a problem: 1")
            && summary.contains("Replies: 3"),
        "{summary}"
    );

    // Each once, in the same order, and nothing that Discord would have refused.
    let expected = 7;
    assert_eq!(
        (w.keys_on_discord().len(), w.keys_on_matrix().await?.len()),
        (expected, expected)
    );
    assert_eq!(w.discord.violations(), Vec::<String>::new());

    // It stops when told, with nothing left in flight.
    w.herald.sigterm();
    assert_eq!(w.herald.wait(PATIENCE).await?, 0);
    Ok(())
}

async fn status_on_discord(w: &World, person: u64) -> String {
    let answer = w
        .discord
        .slash(person, w.channel, "upgrade", "status")
        .await
        .expect("an answer within 3 s");
    assert!(answer.ephemeral, "only the asker sees it");
    answer.content
}

async fn status_on_matrix(w: &World, nth: usize) -> Result<String> {
    w.alice.say(&w.room, "!upgrade status").await?;
    crate::support::wait::until("an answer on Matrix", PATIENCE, async || {
        let said = w.said_on_matrix().await.ok()?;
        let notices: Vec<_> = said
            .iter()
            .filter(|e| e["content"]["msgtype"] == "m.notice")
            .collect();
        (notices.len() == nth).then(|| {
            notices[nth - 1]["content"]["body"]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        })
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn by_set_code_nothing_is_called_authorized_and_a_failed_try_is_told() -> Result<()> {
    // A node that knows only the methods of old.
    let devnet = DevnetOptions {
        hide: vec!["chainHead_v1_", "archive_v1_"],
        ..Default::default()
    };
    let mut w = World::new(Options::default(), devnet).await?;
    let failed =
        "  - { id: failed, phase: execution, template: execution/trouble, on: sudo_failed }\n";
    w.write("plan.yaml", &(PLAN.to_owned() + failed))?;
    w.write("upgrades/v2.yaml", &upgrade(later(now(), 3_000)))?;
    w.start().await?;

    // Root tries the code that runs already: the call is included, what it asks for fails.
    w.chain.set_code(&blob("mini-1000001")).await?;
    w.on_discord("the call made as root failed").await?;
    w.on_matrix("the call made as root failed").await?;

    // Then the right one, before the window opens: a reminder of what has happened would be wrong.
    w.chain.set_code(&blob("mini-1000002")).await?;
    w.chain.block_every(300).await?;
    w.on_discord(": completed").await?;
    w.on_matrix(": completed").await?;
    let said: Vec<String> = w
        .discord
        .messages(w.channel)
        .into_iter()
        .map(|m| m.content)
        .collect();
    assert!(
        !said.iter().any(|text| text.contains("authorized new code")),
        "{said:?}"
    );
    assert_eq!(
        said.len(),
        4,
        "failed, applied, verified, completed: {said:?}"
    );

    let store = SqlStore::open(&format!(
        "sqlite://{}",
        w.dir.path().join("herald.db").display()
    ))
    .await?;
    let kinds: Vec<&str> = store
        .facts()
        .await?
        .iter()
        .map(|f| f.kind().name())
        .collect();
    assert_eq!(kinds, ["sudo_failed", "code_updated", "applied"]);
    let waiting = store
        .posts("v2")
        .await?
        .into_iter()
        .filter(|p| p.notice.starts_with("reminder"));
    assert!(
        waiting.map(|p| p.state).all(|s| s == PostState::Superseded),
        "reminders of what has happened are dropped"
    );
    assert_eq!(w.discord.violations(), Vec::<String>::new());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_is_approved_by_two_people_on_two_chats() -> Result<()> {
    let mut w = World::new(
        Options::default(),
        DevnetOptions {
            block_ms: 500,
            ..Default::default()
        },
    )
    .await?;
    let carol = w.discord.add_person("carol");
    let (operators, room) = w.operators().await?;
    let people = format!(
        "people:\n  - {{ name: Carol, discord: \"{carol}\", roles: [operator] }}\n  - {{ name: Alice, matrix: \"{}\", roles: [communication_team] }}\n",
        w.alice.user_id
    );
    w.write("people.yaml", &people)?;
    w.write(
        "plan.yaml",
        &PLAN.replacen("id: reminder-1,", "id: reminder-1, approval: two,", 1),
    )?;
    w.start().await?;
    w.plan_v2(60).await?;

    let preview = crate::support::wait::until("a preview", PATIENCE, async || {
        w.discord
            .messages(operators)
            .into_iter()
            .find(|m| m.content.contains("Please approve"))
    })
    .await?;
    assert!(
        preview.content.contains("Reminder") && preview.content.contains("Devnet runtime 2"),
        "{}",
        preview.content
    );
    let code = preview
        .content
        .split("/upgrade approve ")
        .nth(1)
        .and_then(|t| t.split('`').next())
        .expect("a code")
        .to_owned();
    let in_room = w
        .alice
        .wait_for(
            &room,
            |e| {
                e["content"]["body"]
                    .as_str()
                    .is_some_and(|b| b.contains("Please approve"))
            },
            PATIENCE,
        )
        .await?;
    assert!(
        in_room["content"]["body"].as_str().unwrap().contains(&code),
        "one text, one code: {in_room}"
    );

    // Not before everybody; among operators each account counts for its person.
    let approve = async |w: &World, channel| {
        let answer = w
            .discord
            .slash_with(
                carol,
                channel,
                "upgrade",
                "approve",
                &[("code", code.as_str().into())],
            )
            .await
            .expect("an answer");
        assert!(answer.ephemeral);
        answer.content
    };
    let public = approve(&w, w.channel).await;
    assert!(public.contains("in the operators' channel"), "{public}");
    let first = approve(&w, operators).await;
    assert!(
        first.contains("Thank you, Carol") && first.contains("1 of 2"),
        "{first}"
    );

    // At its hour it is held, over a restart too, and `status` says for what; what comes behind it goes out.
    w.on_discord("Countdown: Devnet runtime 2").await?;
    let version = w.discord.commands()[0]["version"].clone();
    w.herald.sigterm();
    assert_eq!(w.herald.wait(PATIENCE).await?, 0);
    w.start().await?;
    let status = crate::process::cli::herald(w.dir.path(), &["status"]);
    let status = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(
        status.contains(&format!(
            "held reminder-1 in matrix: approved by 1 of 2, code {code}"
        )),
        "{status}"
    );
    let nobody = crate::process::cli::herald(w.dir.path(), &["approve", &code, "--as", "Mallory"]);
    assert_eq!(nobody.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&nobody.stderr).contains("knows nobody called Mallory"),
        "{nobody:?}"
    );

    w.alice
        .say(&room, &format!("!upgrade approve {}", code.to_uppercase()))
        .await?;
    let said = w
        .alice
        .wait_for(
            &room,
            |e| {
                e["content"]["body"]
                    .as_str()
                    .is_some_and(|b| b.contains("2 of 2"))
            },
            PATIENCE,
        )
        .await?;
    assert_eq!(said["content"]["msgtype"], "m.notice");
    w.on_matrix("Reminder").await?;
    w.on_discord("Reminder").await?;
    let done = crate::process::cli::herald(w.dir.path(), &["approve", &code, "--as", "Carol"]);
    assert!(
        String::from_utf8_lossy(&done.stderr).contains("Nothing waits for approval"),
        "{done:?}"
    );
    assert_eq!(
        w.discord.commands()[0]["version"],
        version,
        "the command was there already, as it should be"
    );
    assert_eq!(w.discord.violations(), Vec::<String>::new());
    Ok(())
}
