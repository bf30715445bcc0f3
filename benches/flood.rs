//! `benches/run flood`: one person gives a thousand commands in a second, and others want to know where the upgrade stands.
//!
//! Counted is how long others wait for their answer. On Discord the double gives the commands within a second; the floor
//! is the same people with nobody beside them. On Matrix a server takes no thousand messages in a second, so one
//! person writes as fast as it takes them, and the times are the server's own: from a question's event to its answer's.
//! herald's memory is that of its process, before and after.
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

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use doubles::discord::{ChannelKind, Double, Options};
use futures::StreamExt;
use serde_json::{Value, json};
use support::{Devnet, DevnetOptions, Herald, Person, Synapse, repo, wait};

const FLOOD: usize = 1_000;
const OTHERS: usize = 100;
const PATIENCE: Duration = Duration::from_secs(300);
const PASSWORD: &str = "an invented password";
/// Seconds.
const TARGET: f64 = 1.0;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<()> {
    let discord = Double::start(Options::default()).await;
    let channel = discord.add_channel("upgrades", ChannelKind::Text);
    let synapse = Synapse::start().await?;
    let chain = Devnet::start(DevnetOptions {
        block_ms: 6_000,
        ..DevnetOptions::default()
    })
    .await?;
    let (alice, mallory) = (
        synapse.person("alice").await?,
        synapse.person("mallory").await?,
    );
    synapse.register("herald", PASSWORD).await?;
    let room = alice.create_room("Upgrades").await?;
    for who in [&mallory.user_id, "@herald:localhost"] {
        alice.invite(&room, who).await?;
    }
    mallory.join(&room).await?;

    let dir = tempfile::tempdir()?;
    std::fs::create_dir_all(dir.path().join("config/upgrades"))?;
    std::os::unix::fs::symlink(repo().join("templates"), dir.path().join("templates"))?;
    std::fs::write(dir.path().join("ca.pem"), discord.ca_pem())?;
    let deployment = format!(
        "store: {{ url: 'sqlite://herald.db' }}\n\
         discord: {{ token: {{ env: BENCH_TOKEN }}, guild: '{}', route: {{ address: '{}', ca: ca.pem }} }}\n\
         matrix: {{ homeserver: '{}', user: '@herald:localhost', password: {{ env: BENCH_PASSWORD }} }}\n\
         chains: {{ devnet: {{ endpoints: ['{}'] }} }}\n\
         channels:\n  discord: {{ platform: discord, place: '{channel}' }}\n  matrix: {{ platform: matrix, place: '{room}' }}\n",
        discord.guild_id(),
        discord.https_addr(),
        synapse.url(),
        chain.url()
    );
    std::fs::write(dir.path().join("config/herald.yaml"), deployment)?;
    let plan = "zone: UTC\nfeedback: { open_for: 1h, reactions: [] }\nnotices:\n  - { id: one, phase: preparation, template: preparation/announced, on: planned }\n";
    std::fs::write(dir.path().join("config/plan.yaml"), plan)?;
    let upgrade = "id: v2\ntitle: Devnet runtime 2\nurgency: routine\nmethod: sudo\n\
                   window: { opens: 2099-01-01T00:00:00Z, closes: 2099-01-02T00:00:00Z }\n\
                   chains: { devnet: { spec_version: 1000002 } }\naudiences:\n  validators: { action: none, what: a }\n\
                   \x20 developers: { action: none, what: b }\n  users: { action: none, what: c }\n";
    std::fs::write(dir.path().join("config/upgrades/v2.yaml"), upgrade)?;
    let mut herald = Herald::new(env!("CARGO_BIN_EXE_herald").into(), dir.path())
        .args(["run"])
        .env("BENCH_TOKEN", discord.token())
        .env("BENCH_PASSWORD", PASSWORD);
    herald.start()?;
    herald
        .wait_for_output("herald is running", PATIENCE)
        .await?;
    discord.wait_connected().await;
    wait::until("the command is registered", PATIENCE, async || {
        (!discord.commands().is_empty()).then_some(())
    })
    .await?;
    let pid = herald.pid().context("a process")?;

    eprintln!("Discord: {OTHERS} people with nobody beside them");
    let quiet = on_discord(&discord, channel, 0).await?;
    let before = memory(pid)?;
    eprintln!("Discord: the same beside {FLOOD} commands of one person");
    let beside = on_discord(&discord, channel, FLOOD).await?;
    line("flood.discord.floor.p99", p99(quiet), "s", None, true);
    let value = p99(beside);
    line(
        "flood.discord.others.p99",
        value,
        "s",
        Some(TARGET),
        value < TARGET,
    );

    eprintln!("Matrix: questions with nobody beside them");
    let quiet = on_matrix(&alice, &mallory, &room, false).await?;
    eprintln!("Matrix: the same beside one who writes as fast as the server takes it");
    let beside = on_matrix(&alice, &mallory, &room, true).await?;
    line("flood.matrix.floor.p99", p99(quiet), "s", None, true);
    let value = p99(beside);
    line(
        "flood.matrix.others.p99",
        value,
        "s",
        Some(TARGET),
        value < TARGET,
    );
    let grown = memory(pid)? / before;
    line("flood.memory", grown, "x before", Some(1.5), grown <= 1.5);
    herald.sigterm();
    herald.wait(PATIENCE).await?;
    Ok(())
}

fn line(name: &str, value: f64, unit: &str, target: Option<f64>, ok: bool) {
    let value = (value * 1_000.0).round() / 1_000.0;
    println!(
        "{}",
        json!({ "name": name, "value": value, "unit": unit, "target": target, "ok": ok })
    );
}

fn p99(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds[(seconds.len() * 99).div_ceil(100) - 1]
}

/// What the process has in memory, in KiB.
fn memory(pid: u32) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status
        .lines()
        .find_map(|l| l.strip_prefix("VmRSS:"))
        .context("a size")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// Seconds that each of the others waits, who ask one after another within the second of the flood. The double takes a
/// command without anybody waiting for it, and notes when it was answered.
async fn on_discord(discord: &Double, channel: u64, flood: usize) -> Result<Vec<f64>> {
    let mallory = discord.add_person(&format!("mallory {flood}"));
    let people: Vec<u64> = (0..OTHERS)
        .map(|i| discord.add_person(&format!("person {i} beside {flood}")))
        .collect();
    let give = |who: u64| {
        discord
            .slash_away(who, channel, "upgrade", "status")
            .map_err(|e| anyhow::anyhow!("{e:?}"))
    };
    let began = Instant::now();
    let mut asked = Vec::new();
    let pause = Duration::from_secs(1) / u32::try_from(OTHERS)?;
    for (i, who) in people.iter().enumerate() {
        for _ in 0..flood / OTHERS {
            give(mallory)?;
        }
        asked.push(give(*who)?);
        tokio::time::sleep(
            pause * u32::try_from(i + 1)? - began.elapsed().min(pause * u32::try_from(i + 1)?),
        )
        .await;
    }
    eprintln!("given within {:.2} s", began.elapsed().as_secs_f64());
    let all = async || {
        asked
            .iter()
            .map(|id| discord.answered_after(*id).map(|time| time.as_secs_f64()))
            .collect()
    };
    wait::until("an answer for each of the others", PATIENCE, all).await
}

/// The same for questions of one person with a pause between them, who is not in a hurry.
async fn on_matrix(alice: &Person, mallory: &Person, room: &str, flood: bool) -> Result<Vec<f64>> {
    const QUESTIONS: usize = 5;
    let done = tokio::sync::watch::Sender::new(false);
    let flooding = async {
        let stop = done.subscribe();
        let give = async |_| {
            if flood && !*stop.borrow() {
                mallory.say(room, "!upgrade status").await.is_ok()
            } else {
                false
            }
        };
        futures::stream::iter(0..FLOOD)
            .map(give)
            .buffer_unordered(8)
            .collect::<Vec<_>>()
            .await
    };
    let asking = async {
        let mut times = Vec::new();
        for _ in 0..QUESTIONS {
            tokio::time::sleep(Duration::from_secs(2)).await;
            let asked = alice.say(room, "!upgrade status").await?;
            let answer = wait::until("an answer", PATIENCE, async || {
                let all = alice.messages(room).await.ok()?;
                let to_it = |e: &&Value| {
                    e["content"]["m.relates_to"]["m.in_reply_to"]["event_id"] == asked.as_str()
                };
                let at = |e: Option<&Value>| e.and_then(|e| e["origin_server_ts"].as_f64());
                Some(
                    at(all.iter().find(to_it))?
                        - at(all.iter().find(|e| e["event_id"] == asked.as_str()))?,
                )
            });
            times.push(answer.await? / 1e3);
        }
        done.send_replace(true);
        Ok(times)
    };
    let (_, times) = tokio::join!(flooding, asking);
    times
}
