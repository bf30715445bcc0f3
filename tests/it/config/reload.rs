//! A running herald whose files and upgrades are changed: by edits, by SIGHUP, by commands.

use std::time::Duration;

use anyhow::Result;

use crate::{
    doubles::discord::Options,
    harness::world::{PASSWORD, World, later, now},
    support::{DevnetOptions, Herald, wait},
};

const SOON: Duration = Duration::from_secs(60);

const PLAN: &str = "zone: UTC
feedback: { open_for: 1h, reactions: [] }
notices:
  - { id: one, phase: scheduling, template: scheduling/countdown, at: -10d }
  - { id: set, phase: scheduling, template: scheduling/reminder, on: window_set }
  - { id: rescheduled, phase: scheduling, template: scheduling/rescheduled, on: rescheduled }
  - { id: cancelled, phase: scheduling, template: scheduling/cancelled, on: cancelled }
  - { id: refused, phase: scheduling, template: operations/refused, to: operators, on: refused }
";

async fn world() -> Result<World> {
    let w = World::new(
        Options::default(),
        DevnetOptions {
            block_ms: 500,
            ..Default::default()
        },
    )
    .await?;
    let deployment = std::fs::read_to_string(w.dir.path().join("config/herald.yaml"))?;
    // The room is the operators'.
    w.write(
        "herald.yaml",
        &deployment.replace(
            &format!("place: \"{}\"", w.room),
            &format!("place: \"{}\", for: operators", w.room),
        ),
    )?;
    w.write("plan.yaml", PLAN)?;
    Ok(w)
}

fn command(w: &World, args: &[&str]) -> Herald {
    Herald::new(env!("CARGO_BIN_EXE_herald").into(), w.dir.path()).args(args)
}

/// Waits until herald has said this so often.
async fn said(w: &World, words: &str, times: usize) -> Result<()> {
    wait::until(
        &format!("{times} × “{words}” in the log"),
        SOON,
        async || (w.herald.stderr().matches(words).count() >= times).then_some(()),
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn edits_are_followed_bad_ones_refused_and_commands_done() -> Result<()> {
    let mut w = world().await?;
    let opens = later(now(), 20 * 86_400);
    w.start().await?;
    // A new file is campaign while herald runs.
    w.write("upgrades/v2.yaml", &crate::stories::story::upgrade(opens))?;
    w.on_discord("Reminder").await?;
    // A bad edit is refused and told to operators; what was in force stays.
    w.write(
        "plan.yaml",
        &PLAN.replace("scheduling/countdown", "scheduling/count"),
    )?;
    let told = w.on_matrix("there is no template").await?;
    assert!(
        told["content"]["body"]
            .as_str()
            .unwrap()
            .contains("config/plan.yaml:4:"),
        "{told}"
    );
    assert!(
        !w.discord
            .messages(w.channel)
            .iter()
            .any(|m| m.content.contains("no template")),
        "operators alone"
    );
    w.write("plan.yaml", PLAN)?;
    said(&w, "files were read again", 2).await?;
    // What needs a start says so.
    let deployment = std::fs::read_to_string(w.dir.path().join("config/herald.yaml"))?;
    w.write("herald.yaml", &deployment.replace("lease: 5s", "lease: 6s"))?;
    w.on_matrix("start herald again").await?;
    w.write("herald.yaml", &deployment)?;
    said(&w, "files were read again", 3).await?;
    // SIGHUP reads them at once, changed or not.
    w.herald.signal("HUP");
    said(&w, "files were read again", 4).await?;
    // A command moves the window.
    let moved = later(opens, 86_400);
    let mut reschedule = command(
        &w,
        &[
            "reschedule",
            "v2",
            "--opens",
            &moved.to_string(),
            "--reason",
            "more time",
            "--confirm",
            "--as",
            "Tessa Test",
        ],
    );
    assert_eq!(reschedule.run(SOON).await?, 0, "{}", reschedule.stderr());
    assert!(
        reschedule
            .stdout()
            .contains("done: Devnet runtime 2 now opens"),
        "{}",
        reschedule.stdout()
    );
    w.on_discord("has a new time").await?;
    let marked = w.on_discord("New time").await?;
    assert!(
        marked.content.contains("Reminder"),
        "the post that is out is marked: {}",
        marked.content
    );
    // The file still has the old window, and an unrelated edit leaves the command's.
    let words = crate::stories::story::upgrade(opens).replace("title: ", "title: New ");
    w.write("upgrades/v2.yaml", &words)?;
    said(&w, "files were read again", 5).await?;
    // An edit of the window contradicts the command.
    w.write(
        "upgrades/v2.yaml",
        &words.replace(&opens.to_string(), &later(opens, 300).to_string()),
    )?;
    w.on_matrix("was changed by a command").await?;
    let mut status = command(&w, &["status", "--json"]);
    assert_eq!(status.run(SOON).await?, 0);
    assert!(
        status.stdout().contains("\"revision\":2"),
        "{}",
        status.stdout()
    );
    // And it is taken off, once.
    let mut cancel = command(
        &w,
        &["cancel", "v2", "--confirm", "--reason", "a fault was found"],
    );
    assert_eq!(cancel.run(SOON).await?, 0, "{}", cancel.stderr());
    w.on_discord("a fault was found").await?;
    let mut again = command(
        &w,
        &["cancel", "v2", "--confirm", "--reason", "a fault was found"],
    );
    assert_eq!(again.run(SOON).await?, 1);
    assert!(
        again.stderr().contains("given up already"),
        "{}",
        again.stderr()
    );
    let all = w.discord.messages(w.channel);
    for words in ["has a new time", "a fault was found"] {
        assert_eq!(
            all.iter().filter(|m| m.content.contains(words)).count(),
            1,
            "“{words}” once"
        );
    }
    for output in [w.herald.stderr(), reschedule.stderr(), status.stdout()] {
        assert!(
            !output.contains(PASSWORD) && !output.contains(&w.discord.token()),
            "a secret in {output}"
        );
    }
    Ok(())
}
