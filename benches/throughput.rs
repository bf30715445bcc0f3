//! `benches/run throughput`: a thousand posts due at once, ten in each of a hundred places.
//!
//! On Matrix the floor is a bare client in the same run: it sends as many messages of the same size to as many
//! rooms of the same Synapse, one after another in each room, all rooms at once. Counted is what the server
//! says: from the time of its first event to that of its last.
//! On Discord the measure is the documented fifty requests a second; the double refuses what goes beyond, and
//! beyond a channel's five in five seconds, and counts its refusals.
//! Prints a line of JSON a figure, and says on stderr what it is doing.
#![recursion_limit = "256"]
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing
)]

#[path = "../tests/doubles/mod.rs"]
mod doubles;
#[path = "../tests/it/support/mod.rs"]
mod support;

use std::{fmt::Write as _, path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use doubles::discord::{ChannelKind, Double, Options};
use futures::future::try_join_all;
use serde_json::{Value, json};
use support::{Herald, Person, Synapse, repo, wait};

const PLACES: usize = 100;
const EACH: usize = 10;
const POSTS: usize = PLACES * EACH;
/// Requests in a second that Discord documents for a bot.
const DISCORD_RATE: f64 = 50.0;
const PATIENCE: Duration = Duration::from_secs(600);
const PASSWORD: &str = "an invented password";

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<()> {
    on_matrix().await?;
    on_discord().await
}

fn line(name: &str, value: f64, unit: &str, target: Option<f64>, ok: bool) {
    let value = (value * 100.0).round() / 100.0;
    println!(
        "{}",
        json!({ "name": name, "value": value, "unit": unit, "target": target, "ok": ok })
    );
}

// --- Matrix --------------------------------------------------------------------------------------

async fn on_matrix() -> Result<()> {
    eprintln!("starting a homeserver with {} rooms", 4 * PLACES);
    let synapse = Synapse::start().await?;
    let (alice, bob) = (synapse.person("alice").await?, synapse.person("bob").await?);
    // Nobody has written in a room before it is measured: the server is slower with the first words than with others.
    let (first, before, behind) = (
        rooms(&alice, &bob.user_id).await?,
        rooms(&alice, &bob.user_id).await?,
        rooms(&alice, &bob.user_id).await?,
    );
    let bare = [before, behind];
    for room in bare.iter().flatten().chain(&first) {
        bob.join(room).await?;
    }
    let ours = rooms(&alice, "@herald:localhost").await?;
    synapse.register("herald", PASSWORD).await?;

    let dir = tempfile::tempdir()?;
    let account = format!(
        "matrix: {{ homeserver: '{}', user: '@herald:localhost', password: {{ env: BENCH_PASSWORD }} }}\n",
        synapse.url()
    );
    configure(dir.path(), &account, "matrix", &ours)?;
    let mut herald = start(dir.path(), &[("BENCH_PASSWORD", PASSWORD.to_owned())])?;
    running(&herald).await?;
    // A server that has just started is slower than one that has run for a while.
    floor(&bob, &alice, &first, "warming up").await?;
    // Before and behind it, so that a machine that grows slower or faster is seen on both sides.
    let before = floor(&bob, &alice, &bare[0], "before").await?;
    eprintln!("herald: {POSTS} posts on Matrix");
    announce(dir.path())?;
    // By its own word, so that nobody else asks the server anything meanwhile.
    let said = || herald.stderr().matches("INFO posted post=").count();
    wait::until("all posts on Matrix", PATIENCE, async || {
        (said() >= POSTS).then_some(())
    })
    .await?;
    let rate = rate(&events(&alice, &ours, "@herald:localhost", "").await?)?;
    herald.sigterm();
    herald.wait(PATIENCE).await?;
    let behind = floor(&bob, &alice, &bare[1], "behind").await?;
    let least = 2.0 / (1.0 / before + 1.0 / behind);
    line("throughput.matrix", rate, "posts/s", None, true);
    line(
        "throughput.matrix.floor.before",
        before,
        "posts/s",
        None,
        true,
    );
    line(
        "throughput.matrix.floor.behind",
        behind,
        "posts/s",
        None,
        true,
    );
    let ratio = rate / least;
    line(
        "throughput.matrix.ratio",
        ratio,
        "x",
        Some(0.9),
        ratio >= 0.9,
    );
    Ok(())
}

async fn rooms(alice: &Person, other: &str) -> Result<Vec<String>> {
    let mut rooms = Vec::new();
    for i in 0..PLACES {
        let room = alice.create_room(&format!("Room {i}")).await?;
        alice.invite(&room, other).await?;
        rooms.push(room);
    }
    Ok(rooms)
}

/// A bare client's messages, as long as herald's and of the same kind: a server does more for a text than for a notice.
async fn floor(bob: &Person, alice: &Person, rooms: &[String], when: &str) -> Result<f64> {
    eprintln!("the floor {when} it: {POSTS} messages");
    let text = "A sentence of a notice that says what is to be done, and when. ".repeat(10);
    let send = async |room: &String| -> Result<()> {
        for _ in 0..EACH {
            let content = json!({
                "msgtype": "m.text",
                "body": format!("{when}: {text}"),
                "format": "org.matrix.custom.html",
                "formatted_body": format!("<p>{text}</p>"),
                "m.mentions": {},
            });
            bob.send(room, "m.room.message", content).await?;
        }
        Ok(())
    };
    try_join_all(rooms.iter().map(send)).await?;
    rate(&events(alice, rooms, &bob.user_id, when).await?)
}

/// When each message of a sender that begins with these words came in, by the server's clock in milliseconds.
async fn events(alice: &Person, rooms: &[String], sender: &str, words: &str) -> Result<Vec<u64>> {
    let mut times = Vec::new();
    for room in rooms {
        let messages = alice.messages(room).await?;
        let own = messages
            .iter()
            .filter(|m| m["sender"] == sender && m["type"] == "m.room.message");
        let own = own.filter(|m| {
            m["content"]["body"]
                .as_str()
                .is_some_and(|b| b.starts_with(words))
        });
        times.extend(own.filter_map(|m: &Value| m["origin_server_ts"].as_u64()));
    }
    Ok(times)
}

fn rate(times: &[u64]) -> Result<f64> {
    ensure!(times.len() == POSTS, "{} messages for {POSTS}", times.len());
    let (first, last) = (
        times.iter().min().context("a first")?,
        times.iter().max().context("a last")?,
    );
    Ok((POSTS - 1) as f64 / ((last - first).max(1) as f64 / 1e3))
}

// --- Discord -------------------------------------------------------------------------------------

async fn on_discord() -> Result<()> {
    eprintln!("starting a double of Discord with {PLACES} channels");
    let discord = Double::start(Options::default()).await;
    let channels: Vec<u64> = (0..PLACES)
        .map(|i| discord.add_channel(&format!("channel-{i}"), ChannelKind::Text))
        .collect();
    let dir = tempfile::tempdir()?;
    std::fs::write(dir.path().join("ca.pem"), discord.ca_pem())?;
    let account = format!(
        "discord: {{ token: {{ env: BENCH_TOKEN }}, guild: '{}', route: {{ address: '{}', ca: ca.pem }} }}\n",
        discord.guild_id(),
        discord.https_addr()
    );
    let places: Vec<String> = channels.iter().map(u64::to_string).collect();
    configure(dir.path(), &account, "discord", &places)?;
    let mut herald = start(dir.path(), &[("BENCH_TOKEN", discord.token())])?;
    running(&herald).await?;
    discord.wait_connected().await;
    eprintln!("herald: {POSTS} posts on Discord");
    announce(dir.path())?;
    let count = || {
        channels
            .iter()
            .map(|c| discord.messages(*c).len())
            .sum::<usize>()
    };
    wait::until("all posts on Discord", PATIENCE, async || {
        (count() >= POSTS).then_some(())
    })
    .await?;
    herald.sigterm();
    herald.wait(PATIENCE).await?;
    let taken: Vec<_> = channels
        .iter()
        .flat_map(|c| discord.messages(*c))
        .map(|m| discord.accepted_at(m.id))
        .collect();
    ensure!(taken.len() == POSTS, "{} messages for {POSTS}", taken.len());
    let (first, last) = (
        taken.iter().min().context("a first")?,
        taken.iter().max().context("a last")?,
    );
    let rate = (POSTS - 1) as f64 / last.duration_since(*first).as_secs_f64();
    line("throughput.discord", rate, "posts/s", None, true);
    let share = rate / DISCORD_RATE;
    line(
        "throughput.discord.share",
        share,
        "of 50/s",
        Some(0.95),
        share >= 0.95,
    );
    let refused = discord.limited();
    line(
        "throughput.discord.refused",
        refused as f64,
        "429s",
        Some(0.0),
        refused == 0,
    );
    Ok(())
}

// --- both ----------------------------------------------------------------------------------------

/// A hundred channels and ten notices of a planned upgrade, which is still to come.
fn configure(dir: &Path, account: &str, platform: &str, places: &[String]) -> Result<()> {
    std::fs::create_dir_all(dir.join("config/upgrades"))?;
    std::os::unix::fs::symlink(repo().join("templates"), dir.join("templates"))?;
    let mut herald = format!("store: {{ url: 'sqlite://herald.db' }}\n{account}");
    herald.push_str("chains: { devnet: { endpoints: ['ws://127.0.0.1:9'] } }\nchannels:\n");
    for (i, place) in places.iter().enumerate() {
        writeln!(
            herald,
            "  channel-{i}: {{ platform: {platform}, place: '{place}' }}"
        )?;
    }
    let mut plan = "zone: UTC\nfeedback: { open_for: 1h, reactions: [] }\nnotices:\n".to_owned();
    for i in 0..EACH {
        writeln!(
            plan,
            "  - {{ id: notice-{i}, phase: preparation, template: preparation/announced, on: planned }}"
        )?;
    }
    std::fs::write(dir.join("config/herald.yaml"), herald)?;
    std::fs::write(dir.join("config/plan.yaml"), plan)?;
    Ok(())
}

/// The upgrade becomes known, and with it all is due.
fn announce(dir: &Path) -> Result<()> {
    let text = "id: v2\ntitle: Devnet runtime 2\nurgency: routine\nmethod: sudo\n\
                window: { opens: 2099-01-01T00:00:00Z, closes: 2099-01-02T00:00:00Z }\n\
                chains: { devnet: { spec_version: 1000002 } }\naudiences:\n  validators: { action: none, what: a }\n\
                \x20 developers: { action: none, what: b }\n  users: { action: none, what: c }\n";
    // Whole at once: a watcher never reads half a file.
    std::fs::write(dir.join("config/v2.new"), text)?;
    Ok(std::fs::rename(
        dir.join("config/v2.new"),
        dir.join("config/upgrades/v2.yaml"),
    )?)
}

fn start(dir: &Path, secrets: &[(&str, String)]) -> Result<Herald> {
    let mut herald = Herald::new(env!("CARGO_BIN_EXE_herald").into(), dir).args(["run"]);
    for (name, secret) in secrets {
        herald = herald.env(name, secret.as_str());
    }
    herald.start()?;
    Ok(herald)
}

async fn running(herald: &Herald) -> Result<()> {
    wait::until("herald runs", PATIENCE, async || {
        herald.stderr().contains("herald is running").then_some(())
    })
    .await
}
