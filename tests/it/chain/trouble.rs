//! Wrong settings and servers that are away: one clear error at the start, patience later.

use std::time::Duration;

use anyhow::Result;

use crate::{
    doubles::discord::{ChannelKind, Faults, Options},
    harness::world::{PASSWORD, World, later, now},
    support::{DevnetOptions, Herald, wait},
};

const SOON: Duration = Duration::from_secs(60);

/// A world whose plan has one notice, `seconds` before its window, which opens in 120 seconds: a start takes less than the rest.
async fn world(seconds: i64) -> Result<World> {
    let w = World::new(
        Options::default(),
        DevnetOptions {
            block_ms: 500,
            ..Default::default()
        },
    )
    .await?;
    let plan = format!(
        "zone: UTC\nfeedback: {{ open_for: 1h, reactions: [] }}\nnotices:\n  - {{ id: one, phase: scheduling, template: scheduling/reminder, at: -{seconds}s }}\n\
         \x20 - {{ id: authorized, phase: execution, template: execution/authorized, on: authorized }}\n"
    );
    w.write("plan.yaml", &plan)?;
    w.write(
        "upgrades/v2.yaml",
        &crate::stories::story::upgrade(later(now(), 120)),
    )?;
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
    let text =
        |name: &str| std::fs::read_to_string(w.dir.path().join("config").join(name)).unwrap();
    let (deployment, token) = (text("herald.yaml"), w.discord.token());
    let nobody = format!("127.0.0.1:{}", crate::support::ports::free()?);
    let cases: [(&str, String, &str, &str, &[&str]); 7] = [
        (
            "a wrong Discord token",
            deployment.clone(),
            "wrong-token",
            PASSWORD,
            &["Discord", "token"],
        ),
        (
            "a wrong Matrix password",
            deployment.clone(),
            &token,
            "wrong password",
            &["Matrix", "password"],
        ),
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
        (
            "a channel that isn't there",
            deployment.replace(&w.channel.to_string(), "1234567890"),
            &token,
            PASSWORD,
            &["channel discord"],
        ),
        (
            "a room that isn't there",
            deployment.replace(&w.room, "!nowhere:localhost"),
            &token,
            PASSWORD,
            &["channel matrix", "invite"],
        ),
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
        assert!(
            !said.contains(PASSWORD) && !said.contains(&w.discord.token()),
            "{what}: a secret in: {said}"
        );
        assert!(!said.contains("panicked"), "{what}: {said}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_upgrade_whose_window_is_past_is_refused_but_a_known_one_goes_on() -> Result<()> {
    let mut w = world(30).await?;
    w.write(
        "upgrades/v2.yaml",
        &crate::stories::story::upgrade(later(now(), -60)),
    )?;
    let token = w.discord.token();
    let mut herald = another(&w, &token, PASSWORD);
    assert_eq!(herald.run(SOON).await?, 1);
    assert!(
        herald.stderr().contains("window opened already"),
        "{}",
        herald.stderr()
    );
    // Known before its window opened, it goes on after it.
    let opens = later(now(), 60);
    w.write("upgrades/v2.yaml", &crate::stories::story::upgrade(opens))?;
    w.start().await?;
    w.herald.sigterm();
    w.herald.wait(SOON).await?;
    let left = opens.duration_since(now()).as_secs() + 1;
    tokio::time::sleep(Duration::from_secs(u64::try_from(left.max(0))?)).await;
    w.start().await?;
    w.chain
        .authorize(&crate::support::devnet::blob("mini-1000002"))
        .await?;
    w.on_matrix("authorized new code").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_that_fails_later_is_retried_and_shown_in_the_status() -> Result<()> {
    let mut w = world(80).await?;
    std::fs::remove_file(w.dir.path().join("config/upgrades/v2.yaml"))?;
    w.start().await?;
    w.discord.set_faults(Faults {
        refuse: Some(503),
        ..Default::default()
    });
    w.plan_v2(100).await?;
    w.on_matrix("Reminder").await?;
    let mut status =
        Herald::new(env!("CARGO_BIN_EXE_herald").into(), w.dir.path()).args(["status"]);
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
    wait::until("the node is back", SOON, async || {
        chain.authorize(&blob).await.ok()
    })
    .await?;
    w.on_matrix("authorized new code").await?;
    w.on_discord("authorized new code").await?;
    Ok(())
}

const OBSERVED: &str = "
zone: UTC
observation: { stalled_after: 12s }
feedback: { open_for: 40s, reactions: [] }
notices:
  - { id: stalled, phase: validation, template: execution/observed, on: stalled }
  - { id: recovered, phase: validation, template: execution/observed, on: recovered }
  - { id: op-blind, phase: execution, template: operations/notice, on: blind, to: operators }
  - { id: op-sighted, phase: execution, template: operations/notice, on: sighted, to: operators }
";

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_that_stands_still_is_told_from_a_herald_that_cannot_see() -> Result<()> {
    let mut w = World::new(
        Options::default(),
        DevnetOptions {
            block_ms: 500,
            endpoints: 2,
            ..Default::default()
        },
    )
    .await?;
    let operations = w.discord.add_channel("operations", ChannelKind::Text);
    let deployment = std::fs::read_to_string(w.dir.path().join("config/herald.yaml"))?;
    let both = format!(
        "endpoints: [\"{}\", \"{}\"]",
        w.chain.url(),
        w.chain.urls()[1]
    );
    let deployment = deployment.replace(&format!("endpoints: [\"{}\"]", w.chain.url()), &both);
    let channel = format!(
        "channels:\n  operations: {{ platform: discord, place: \"{operations}\", for: operators }}\n"
    );
    w.write("herald.yaml", &deployment.replace("channels:\n", &channel))?;
    w.write("plan.yaml", OBSERVED)?;
    w.write(
        "upgrades/v2.yaml",
        &crate::stories::story::upgrade(later(now(), 3_000)),
    )?;
    w.start().await?;

    // The chain stands still, and both nodes say so.
    tokio::time::sleep(Duration::from_secs(3)).await;
    w.chain.block_every(0).await?;
    w.on_discord("has finalized no block").await?;
    w.on_matrix("has finalized no block").await?;
    w.chain.block_every(500).await?;
    w.on_discord("finalizes blocks again").await?;
    w.on_matrix("finalizes blocks again").await?;

    // One node away: the other one is enough. Neither answers: operators hear of it, and nobody of a stall.
    w.chain.outage(0, Duration::from_secs(20)).await?;
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert!(
        w.discord.messages(operations).is_empty(),
        "one node away is no blindness"
    );
    w.chain.freeze();
    let told = async |words: &str| {
        wait::until(words, crate::harness::world::PATIENCE, async || {
            w.discord
                .messages(operations)
                .into_iter()
                .find(|m| m.content.contains(words))
        })
        .await
    };
    told("can't see devnet any more").await?;
    w.chain.thaw();
    wait::until(
        "it sees again",
        crate::harness::world::PATIENCE,
        async || {
            w.discord
                .messages(operations)
                .into_iter()
                .find(|m| m.content.contains("sees devnet again"))
        },
    )
    .await?;
    assert_eq!(w.keys_on_discord().len(), 2, "nobody else was told");
    assert_eq!(w.keys_on_matrix().await?.len(), 2, "nobody else was told");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_would_not_hear_a_mention_is_told_at_the_start_and_the_others_are_called() -> Result<()>
{
    let mut w = world(80).await?;
    std::fs::remove_file(w.dir.path().join("config/upgrades/v2.yaml"))?;
    let role = w.discord.add_role("validators", true);
    let text = |name: &str| std::fs::read_to_string(w.dir.path().join("config").join(name));
    let (channel, room) = (
        format!("place: \"{}\"", w.channel),
        format!("place: \"{}\"", w.room),
    );
    let deployment = text("herald.yaml")?
        .replace(
            &channel,
            &format!("{channel}, mentions: {{ validators: [\"{role}\"], developers: [\"7\"] }}"),
        )
        .replace(
            &room,
            &format!("{room}, mentions: {{ validators: [\"@room\"] }}"),
        );
    let plan =
        text("plan.yaml")?.replacen("id: one,", "id: one, mention: [validators, developers],", 1);
    w.write("herald.yaml", &deployment)?;
    w.write("plan.yaml", &plan)?;
    w.start().await?;

    let mut status =
        Herald::new(env!("CARGO_BIN_EXE_herald").into(), w.dir.path()).args(["status"]);
    status.run(SOON).await?;
    let lines = status.stdout();
    let line = |part: &str| {
        lines
            .lines()
            .find(|l| l.starts_with(part))
            .unwrap_or_else(|| panic!("no {part} in {lines}"))
            .to_owned()
    };
    assert!(
        line("mentions in discord:").contains("no role 7"),
        "{lines}"
    );
    assert!(
        line("mentions in matrix:").contains("may not notify @room")
            && lines.contains("raise its power level to 50"),
        "{lines}"
    );
    assert!(
        w.herald.stderr().contains("no role 7"),
        "{}",
        w.herald.stderr()
    );

    w.plan_v2(100).await?;
    let on_discord = w.on_discord("Reminder").await?;
    assert!(
        on_discord
            .content
            .ends_with(&format!("\n\n<@&{role}> <@&7>")),
        "{}",
        on_discord.content
    );
    assert_eq!(
        (on_discord.mention_roles, on_discord.mention_everyone),
        (vec![role], false)
    );
    let on_matrix = w.on_matrix("Reminder").await?;
    assert_eq!(
        on_matrix["content"]["m.mentions"],
        serde_json::json!({ "room": true })
    );
    assert!(
        on_matrix["content"]["body"]
            .as_str()
            .is_some_and(|body| body.ends_with("\n\n@room"))
    );
    Ok(())
}
