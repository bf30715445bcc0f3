//! Wrong settings and servers that are away: one clear error at the start, patience later.

use std::time::Duration;

use anyhow::Result;

use crate::{
    doubles::discord::{Faults, Options},
    support::{DevnetOptions, Herald, wait},
    world::{PASSWORD, World, later, now},
};

const SOON: Duration = Duration::from_secs(60);

/// A world whose plan has one notice, `seconds` before its window opens in 100 seconds.
async fn world(seconds: i64) -> Result<World> {
    let w = World::new(Options::default(), DevnetOptions { block_ms: 500, ..Default::default() }).await?;
    let plan = format!(
        "zone: UTC\nfeedback: {{ open_for: 1h, reactions: [] }}\nnotices:\n  - {{ id: one, phase: scheduling, template: scheduling/reminder, at: -{seconds}s }}\n\
         \x20 - {{ id: authorized, phase: execution, template: execution/authorized, on: authorized }}\n"
    );
    w.write("plan.yaml", &plan)?;
    w.write("upgrades/v2.yaml", &crate::story::upgrade(later(now(), 100)))?;
    Ok(w)
}

fn another(w: &World, token: &str, password: &str) -> Herald {
    Herald::new(env!("CARGO_BIN_EXE_herald").into(), w.dir.path())
        .args(["run"])
        .env("TEST_DISCORD_TOKEN", token)
        .env("TEST_MATRIX_PASSWORD", password)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_be_known_at_the_start_is_told_at_the_start() -> Result<()> {
    let w = world(30).await?;
    let text = |name: &str| std::fs::read_to_string(w.dir.path().join("config").join(name)).unwrap();
    let (deployment, token) = (text("herald.yaml"), w.discord.token());
    let nobody = format!("127.0.0.1:{}", crate::support::ports::free()?);
    let cases: [(&str, String, &str, &str, &[&str]); 7] = [
        ("a wrong Discord token", deployment.clone(), "wrong-token", PASSWORD, &["Discord", "token"]),
        ("a wrong Matrix password", deployment.clone(), &token, "wrong password", &["Matrix", "password"]),
        (
            "an unreachable homeserver",
            deployment.replace(&w.homeserver, &format!("http://{nobody}")),
            &token,
            PASSWORD,
            &["Matrix", &nobody],
        ),
        (
            "an unreachable node",
            deployment.replace(w.chain.url(), &format!("ws://{nobody}")),
            &token,
            PASSWORD,
            &["chain devnet", &nobody, "endpoints"],
        ),
        ("a channel that isn't there", deployment.replace(&w.channel.to_string(), "1234567890"), &token, PASSWORD, &["channel discord"]),
        ("a room that isn't there", deployment.replace(&w.room, "!nowhere:localhost"), &token, PASSWORD, &["channel matrix", "invite"]),
        (
            "a secret that isn't set",
            deployment.replace("TEST_MATRIX_PASSWORD", "NOT_SET_ANYWHERE"),
            &token,
            PASSWORD,
            &["NOT_SET_ANYWHERE", "not set"],
        ),
    ];
    for (what, deployment, token, password, words) in cases {
        w.write("herald.yaml", &deployment)?;
        let mut herald = another(&w, token, password);
        let before = herald.stderr().len();
        let code = herald.run(SOON).await?;
        let said = herald.stderr().get(before..).unwrap_or_default().to_owned();
        assert_eq!(code, 1, "{what}: {said}");
        for word in words {
            assert!(said.contains(word), "{what}: `{word}` is not in: {said}");
        }
        assert!(!said.contains(PASSWORD) && !said.contains(&w.discord.token()), "{what}: a secret in: {said}");
        assert!(!said.contains("panicked"), "{what}: {said}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_upgrade_whose_window_is_past_is_refused_but_a_known_one_goes_on() -> Result<()> {
    let mut w = world(30).await?;
    w.write("upgrades/v2.yaml", &crate::story::upgrade(later(now(), -60)))?;
    let token = w.discord.token();
    let mut herald = another(&w, &token, PASSWORD);
    assert_eq!(herald.run(SOON).await?, 1);
    assert!(herald.stderr().contains("window opened already"), "{}", herald.stderr());
    // Known before its window opened, it goes on after it.
    let opens = later(now(), 25);
    w.write("upgrades/v2.yaml", &crate::story::upgrade(opens))?;
    w.start().await?;
    w.herald.sigterm();
    w.herald.wait(SOON).await?;
    let left = opens.duration_since(now()).as_secs() + 1;
    tokio::time::sleep(Duration::from_secs(u64::try_from(left.max(0))?)).await;
    w.start().await?;
    w.chain.authorize(&crate::support::devnet::blob("mini-1000002")).await?;
    w.on_matrix("authorized new code").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_that_fails_later_is_retried_and_shown_in_the_status() -> Result<()> {
    let mut w = world(80).await?;
    w.start().await?;
    w.discord.set_faults(Faults { refuse: Some(503), ..Default::default() });
    w.on_matrix("Reminder").await?;
    let mut status = Herald::new(env!("CARGO_BIN_EXE_herald").into(), w.dir.path()).args(["status"]);
    wait::until("the trouble in the status", SOON, async || {
        let _ = status.run(SOON).await;
        status.stdout().contains("channel discord:").then_some(())
    })
    .await?;
    w.discord.set_faults(Faults::default());
    w.on_discord("Reminder").await?;
    assert_eq!(w.keys_on_discord().len(), 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_goes_away_loses_nothing() -> Result<()> {
    let mut w = world(80).await?;
    w.start().await?;
    w.chain.outage(0, Duration::from_secs(6)).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    // The chain went on meanwhile: this happens where herald can't see it.
    let chain = &w.chain;
    let blob = crate::support::devnet::blob("mini-1000002");
    wait::until("the node is back", SOON, async || chain.authorize(&blob).await.ok()).await?;
    w.on_matrix("authorized new code").await?;
    w.on_discord("authorized new code").await?;
    Ok(())
}
