//! Stopped and killed in the middle: nothing lost, nothing twice, the order kept.

use std::{fmt::Write as _, time::Duration};

use anyhow::Result;

use crate::{
    doubles::discord::{Faults, Options},
    harness::world::{PATIENCE, World},
    support::{DevnetOptions, wait},
};

/// A notice every second on both chats.
const NOTICES: i64 = 40;

/// So many notices, one each second; the first is due 999 s before the window.
pub fn plan(notices: i64) -> String {
    let mut plan = String::from("zone: UTC\nfeedback: { open_for: 1h, reactions: [] }\nnotices:\n");
    for n in 1..=notices {
        writeln!(
            plan,
            "  - {{ id: n{n:02}, phase: scheduling, template: scheduling/countdown, at: -{}s }}",
            1000 - n
        )
        .unwrap();
    }
    plan
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_and_stopped_it_posts_each_once_and_in_order() -> Result<()> {
    let mut w = World::new(Options::default(), DevnetOptions::default()).await?;
    w.write("plan.yaml", &plan(NOTICES))?;
    // One request in ten is dropped, half of them after Discord took it.
    w.discord.set_faults(Faults {
        drop_before: 0.05,
        drop_after: 0.05,
        seed: 7,
        ..Default::default()
    });
    w.start().await?;
    w.plan_v2(1030).await?;
    w.on_discord("Countdown").await?;
    // Moments that fall before, in and after requests; some stops are polite.
    let mut ended = 0;
    for (turn, moment) in [900, 2350, 1480, 700, 2810, 1130, 1990, 610]
        .into_iter()
        .enumerate()
    {
        tokio::time::sleep(Duration::from_millis(moment)).await;
        if turn % 3 == 2 {
            w.herald.sigterm();
            assert_eq!(w.herald.wait(PATIENCE).await?, 0, "a polite stop");
        } else {
            w.herald.sigkill();
            w.herald.wait(PATIENCE).await?;
        }
        ended += 1;
        w.start().await?;
    }
    let all = usize::try_from(NOTICES)?;
    let arrived = wait::until(
        "every notice on both chats",
        Duration::from_secs(120),
        async || {
            let matrix = w.keys_on_matrix().await.ok()?.len();
            (w.keys_on_discord().len() >= all && matrix >= all).then_some(())
        },
    )
    .await;
    if arrived.is_err() {
        eprintln!("{}", unsent(&w).await?);
    }
    arrived?;
    w.herald.sigterm();
    w.herald.wait(PATIENCE).await?;

    let (mut on_discord, mut on_matrix) = (w.keys_on_discord(), w.keys_on_matrix().await?);
    let counts = (on_discord.len(), on_matrix.len());
    let texts: Vec<String> = order(&w).await?;
    assert_eq!(texts.len(), all);
    on_discord.sort();
    on_discord.dedup();
    on_matrix.sort();
    on_matrix.dedup();
    assert_eq!((on_discord.len(), on_matrix.len()), (all, all), "0 lost");
    assert_eq!(counts, (all, all), "0 twice after {ended} ends");
    assert_eq!(w.discord.violations(), Vec::<String>::new());
    Ok(())
}

/// The notices by what the store knows of their messages, in the order in which the chats have them;
/// both chats must agree with the plan.
async fn order(w: &World) -> Result<Vec<String>> {
    use upgrade_herald::ports::OutboxStore;
    let url = format!("sqlite://{}", w.dir.path().join("herald.db").display());
    let store = upgrade_herald::adapters::store::SqlStore::open(&url).await?;
    let posts = store.posts("v2").await?;
    let name = |key: &String| {
        posts
            .iter()
            .find(|p| p.key.0 == *key)
            .map(|p| p.notice.clone())
            .unwrap_or_default()
    };
    let expected: Vec<String> = (1..=NOTICES).map(|n| format!("n{n:02}")).collect();
    assert_eq!(
        w.keys_on_discord().iter().map(name).collect::<Vec<_>>(),
        expected,
        "the order on Discord"
    );
    assert_eq!(
        w.keys_on_matrix()
            .await?
            .iter()
            .map(name)
            .collect::<Vec<_>>(),
        expected,
        "the order on Matrix"
    );
    Ok(expected)
}

/// What the store says of posts that did not go out.
async fn unsent(w: &World) -> Result<String> {
    use upgrade_herald::{domain::outbox::PostState, ports::OutboxStore};
    let url = format!("sqlite://{}", w.dir.path().join("herald.db").display());
    let posts = upgrade_herald::adapters::store::SqlStore::open(&url)
        .await?
        .posts("v2")
        .await?;
    let open = posts.iter().filter(|p| p.state != PostState::Sent);
    Ok(open
        .map(|p| {
            format!(
                "{} {} {:?} attempts {} next {:?} {:?}\n",
                p.notice, p.channel, p.state, p.attempts, p.next_attempt, p.error
            )
        })
        .collect())
}
