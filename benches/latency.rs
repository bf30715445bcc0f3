//! `benches/run latency`: from a node's finalized-head message to the post seen on both chats.
//!
//! The floor is a bare program in the same run that makes the same calls: it follows the same node,
//! reads the same values of the block and posts one message to each chat, with nothing in between.
//! On Matrix a post counts when another person's sync shows it, on Discord when the double took it.
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
#[path = "latency/floor.rs"]
mod floor;
#[path = "../tests/it/support/mod.rs"]
mod support;

use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow};
use doubles::discord::{ChannelKind, Double, Limits, Options};
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use support::{Devnet, DevnetOptions, Herald, Person, Synapse, devnet::blob, repo, wait};
use tokio_tungstenite::tungstenite::Message;

const WARM_UP: usize = 4;
const SAMPLES: usize = 25;
const PATIENCE: Duration = Duration::from_secs(60);
const PASSWORD: &str = "an invented password";

const PLAN: &str = "
zone: UTC
feedback: { open_for: 1h, reactions: [] }
notices:
  - { id: trouble, phase: execution, template: execution/trouble, on: sudo_failed }
";

/// Milliseconds from the head message to the post, by platform.
#[derive(Default)]
struct Figures {
    discord: Vec<f64>,
    matrix: Vec<f64>,
}

struct Stage {
    chain: Devnet,
    synapse: Synapse,
    discord: Double,
    alice: Person,
    /// When the head of each block was announced.
    heads: Arc<Mutex<HashMap<u64, Instant>>>,
    /// When each event was shown to alice.
    shown: Arc<Mutex<HashMap<String, Instant>>>,
    dir: tempfile::TempDir,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<()> {
    let stage = Stage::set().await?;
    let bare = stage.floor().await?;
    let (herald, memory) = stage.herald().await?;
    // Once more behind it, so that a machine that grew slower or faster is seen on both sides.
    let again = stage.floor().await?;
    report(&bare, &again, &herald, memory);
    Ok(())
}

fn report(bare: &Figures, again: &Figures, herald: &Figures, memory: f64) {
    let platforms = [
        ("discord", &herald.discord, [&bare.discord, &again.discord]),
        ("matrix", &herald.matrix, [&bare.matrix, &again.matrix]),
    ];
    for (platform, announced, floors) in platforms {
        let floor: Vec<f64> = floors.into_iter().flatten().copied().collect();
        for (name, share) in [("p50", 0.5), ("p99", 0.99)] {
            let (ours, least) = (quantile(announced, share), quantile(&floor, share));
            line(
                &format!("latency.{platform}.{name}"),
                ours,
                "ms",
                None,
                true,
            );
            line(
                &format!("latency.{platform}.{name}.floor"),
                least,
                "ms",
                None,
                true,
            );
            let ratio = ours / least;
            let target = (name == "p50").then_some(1.5);
            line(
                &format!("latency.{platform}.{name}.ratio"),
                ratio,
                "x",
                target,
                target.is_none_or(|t| ratio <= t),
            );
        }
    }
    line("memory.run.rest", memory, "MB", Some(80.0), memory <= 80.0);
}

fn line(name: &str, value: f64, unit: &str, target: Option<f64>, ok: bool) {
    let value = (value * 100.0).round() / 100.0;
    println!(
        "{}",
        json!({ "name": name, "value": value, "unit": unit, "target": target, "ok": ok })
    );
}

fn quantile(samples: &[f64], share: f64) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let index = ((sorted.len() as f64 - 1.0) * share).round() as usize;
    sorted.get(index).copied().unwrap_or(f64::NAN)
}

impl Stage {
    async fn set() -> Result<Self> {
        eprintln!("starting a homeserver, a chain and a double of Discord");
        let synapse = Synapse::start().await?;
        let discord = Double::start(Options {
            limits: Limits::none(),
            ..Options::default()
        })
        .await;
        let chain = Devnet::start(DevnetOptions::default()).await?;
        let alice = synapse.person("alice").await?;
        let (heads, shown) = (Arc::default(), Arc::default());
        tokio::spawn(note_heads(chain.url().to_owned(), Arc::clone(&heads)));
        tokio::spawn(note_events(
            synapse.url().to_owned(),
            alice.token().to_owned(),
            Arc::clone(&shown),
        ));
        Ok(Self {
            chain,
            synapse,
            discord,
            alice,
            heads,
            shown,
            dir: tempfile::tempdir()?,
        })
    }

    async fn floor(&self) -> Result<Figures> {
        eprintln!("the floor: {SAMPLES} posts");
        let bob = self.synapse.person("bob").await?;
        let room = bob.create_room("Floor").await?;
        bob.invite(&room, &self.alice.user_id).await?;
        self.alice.join(&room).await?;
        let channel = self.discord.add_channel("floor", ChannelKind::Text);
        let target = floor::Target {
            node: self.chain.url().to_owned(),
            homeserver: self.synapse.url().to_owned(),
            matrix_token: bob.token().to_owned(),
            room: room.clone(),
            discord: self.discord.https_addr(),
            ca: self.discord.ca_pem().as_bytes().to_vec(),
            discord_token: self.discord.token(),
            channel,
        };
        let program = tokio::spawn(floor::run(target));
        tokio::time::sleep(Duration::from_secs(1)).await;
        let figures = self.measure(channel, &room, &bob.user_id).await;
        program.abort();
        figures
    }

    async fn herald(&self) -> Result<(Figures, f64)> {
        eprintln!("herald: {SAMPLES} posts");
        let user = "herald";
        self.synapse.register(user, PASSWORD).await?;
        let user_id = format!("@{user}:localhost");
        let room = self.alice.create_room("Upgrades").await?;
        self.alice.invite(&room, &user_id).await?;
        let channel = self.discord.add_channel("upgrades", ChannelKind::Text);
        self.configure(channel, &room, &user_id)?;
        let mut herald = Herald::new(env!("CARGO_BIN_EXE_herald").into(), self.dir.path())
            .args(["run"])
            .env("BENCH_TOKEN", self.discord.token())
            .env("BENCH_PASSWORD", PASSWORD);
        herald.start()?;
        wait::until("herald runs", PATIENCE, async || {
            herald.stderr().contains("herald is running").then_some(())
        })
        .await?;
        self.discord.wait_connected().await;
        let figures = self.measure(channel, &room, &user_id).await?;
        // At rest: connected, with nothing to do.
        tokio::time::sleep(Duration::from_secs(10)).await;
        let memory = resident_mb(herald.pid().context("herald's process id")?)?;
        herald.sigterm();
        herald.wait(PATIENCE).await?;
        Ok((figures, memory))
    }

    fn configure(&self, channel: u64, room: &str, user_id: &str) -> Result<()> {
        let dir = self.dir.path();
        std::fs::create_dir_all(dir.join("config/upgrades"))?;
        std::os::unix::fs::symlink(repo().join("templates"), dir.join("templates"))?;
        std::fs::write(dir.join("ca.pem"), self.discord.ca_pem())?;
        let write =
            |name: &str, text: &str| std::fs::write(Path::new(dir).join("config").join(name), text);
        write(
            "herald.yaml",
            &format!(
                "store: {{ url: 'sqlite://herald.db' }}\n\
                 discord: {{ token: {{ env: BENCH_TOKEN }}, guild: '{}', route: {{ address: '{}', ca: ca.pem }} }}\n\
                 matrix: {{ homeserver: '{}', user: '{user_id}', password: {{ env: BENCH_PASSWORD }} }}\n\
                 chains: {{ devnet: {{ endpoints: ['{}'] }} }}\n\
                 channels:\n  discord: {{ platform: discord, place: '{channel}' }}\n  matrix: {{ platform: matrix, place: '{room}' }}\n",
                self.discord.guild_id(),
                self.discord.https_addr(),
                self.synapse.url(),
                self.chain.url()
            ),
        )?;
        write("plan.yaml", PLAN)?;
        write(
            "upgrades/v2.yaml",
            "id: v2\ntitle: Devnet runtime 2\nurgency: routine\nmethod: sudo\nwindow: { opens: 2099-01-01T00:00:00Z, closes: 2099-01-02T00:00:00Z }\n\
             chains: { devnet: { spec_version: 1000002 } }\naudiences:\n  validators: { action: none, what: a }\n\
             \x20 developers: { action: none, what: b }\n  users: { action: none, what: c }\n",
        )?;
        Ok(())
    }

    /// One block at a time with a failed call in it, each answered by one post on each chat.
    async fn measure(&self, channel: u64, room: &str, sender: &str) -> Result<Figures> {
        let same_code = blob("mini-1000001");
        let mut figures = Figures::default();
        for turn in 0..WARM_UP + SAMPLES {
            let before = self.discord.messages(channel).len();
            self.chain.set_code(&same_code).await?;
            let (number, _) = self.chain.finalized().await?;
            let heads = &self.heads;
            let head = wait::until("the head's message", PATIENCE, async || {
                heads.lock().ok()?.get(&number).copied()
            })
            .await?;
            let message = self.discord.next_message(channel, before).await;
            let on_discord = self.discord.accepted_at(message.id);
            let (shown, words) = (&self.shown, format!("block {number}"));
            let key = format!("{room} {sender} {words}");
            let on_matrix = wait::until("the post on Matrix", PATIENCE, async || {
                shown.lock().ok()?.get(&key).copied()
            })
            .await?;
            if turn >= WARM_UP {
                figures
                    .discord
                    .push(on_discord.duration_since(head).as_secs_f64() * 1e3);
                figures
                    .matrix
                    .push(on_matrix.duration_since(head).as_secs_f64() * 1e3);
            }
            tokio::time::sleep(Duration::from_millis(150)).await;
        }
        Ok(figures)
    }
}

/// Notes when the node announces each finalized head.
async fn note_heads(url: String, heads: Arc<Mutex<HashMap<u64, Instant>>>) -> Result<()> {
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await?;
    let ask = json!({ "jsonrpc": "2.0", "id": 1, "method": "chain_subscribeFinalizedHeads", "params": [] });
    socket.send(Message::text(ask.to_string())).await?;
    while let Some(message) = socket.next().await {
        let now = Instant::now();
        let Ok(value) = serde_json::from_str::<Value>(message?.to_text().unwrap_or_default())
        else {
            continue;
        };
        let number = value["params"]["result"]["number"]
            .as_str()
            .and_then(|n| u64::from_str_radix(n.trim_start_matches("0x"), 16).ok());
        if let Some(number) = number {
            heads
                .lock()
                .map_err(|_| anyhow!("a lock"))?
                .entry(number)
                .or_insert(now);
        }
    }
    Ok(())
}

/// Notes when alice's sync shows each message, by room, sender and the block that it names.
async fn note_events(
    homeserver: String,
    token: String,
    shown: Arc<Mutex<HashMap<String, Instant>>>,
) -> Result<()> {
    let http = reqwest::Client::builder().no_proxy().build()?;
    let mut since = String::new();
    loop {
        let url = format!(
            "{homeserver}/_matrix/client/v3/sync?timeout=30000{}",
            if since.is_empty() {
                String::new()
            } else {
                format!("&since={since}")
            }
        );
        let text = http
            .get(url)
            .bearer_auth(&token)
            .send()
            .await?
            .text()
            .await?;
        let now = Instant::now();
        let sync: Value = serde_json::from_str(&text)?;
        since = sync["next_batch"].as_str().unwrap_or_default().to_owned();
        for (room, joined) in sync["rooms"]["join"].as_object().into_iter().flatten() {
            for event in joined["timeline"]["events"]
                .as_array()
                .into_iter()
                .flatten()
            {
                let (sender, body) = (
                    event["sender"].as_str().unwrap_or_default(),
                    event["content"]["body"].as_str().unwrap_or_default(),
                );
                if let Some(block) = body
                    .split("finalized block ")
                    .nth(1)
                    .and_then(|rest| rest.split_whitespace().next())
                {
                    shown
                        .lock()
                        .map_err(|_| anyhow!("a lock"))?
                        .entry(format!("{room} {sender} block {block}"))
                        .or_insert(now);
                }
            }
        }
    }
}

fn resident_mb(pid: u32) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status
        .lines()
        .find(|l| l.starts_with("VmRSS:"))
        .context("VmRSS")?;
    let kb: f64 = line
        .split_whitespace()
        .nth(1)
        .context("a number")?
        .parse()?;
    Ok(kb / 1024.0)
}
