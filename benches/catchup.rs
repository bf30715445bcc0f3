//! `benches/run catchup`: what it costs to catch up after an absence, and to follow a chain on which nothing happens.
//!
//! The real watcher, chain client and store (in memory) read a synthetic node, which is a process of its
//! own: this program, started again. Calls and bytes are what the node counted. The floor is a bare
//! client in the same run that makes as many calls, one after the other. What a connection needs (the
//! methods, the genesis, metadata of each version) is counted apart, though the time holds the new version's metadata.
//! Prints a line of JSON a figure, and says on stderr what it is doing.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing
)]

#[path = "../tests/doubles/node/mod.rs"]
mod node;

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use futures::{SinkExt, StreamExt};
use node::{Counts, Endpoint, Script, Step, SyntheticChain, code_hash, key, version};
use serde_json::{Value, json};
use tokio::io::AsyncBufReadExt;
use tokio_tungstenite::tungstenite::Message;
use upgrade_herald::{
    adapters::{node::Node, store::SqlStore},
    config::Origin,
    domain::campaign::{
        Campaign,
        upgrade::{Target, Upgrade},
    },
    lint,
    outbox::Core,
    ports::{Batch, Chain, Store},
    rehearsal::SteppedClock,
    watch::{catchup::MAX_GAP_READ_WHOLE_BLOCKS, watcher::Watcher},
    words::snapshot::ConfigSnapshot,
};

/// Blocks missed, and at which shares of them (in percent) an upgrade was applied.
const GAPS: [(u64, &[u64]); 6] = [
    (100, &[67]),
    (1_000, &[67]),
    (10_000, &[67]),
    (100_000, &[67]),
    (1_000_000, &[67]),
    (1_000_000, &[20, 50, 67]),
];
const IDLE: u64 = 600;
const WARM_UP: u64 = 20;
/// What a block may cost on which nothing happens: calls, bytes both ways, milliseconds of processor time.
const IDLE_CALLS: f64 = 4.0;
const IDLE_BYTES: f64 = 3_000.0;
const IDLE_CPU: f64 = 5.0;
/// What an upgrade may cost that is followed block by block, beyond its blocks and the new metadata: calls.
const UPGRADE_CALLS: f64 = 10.0;
/// What a gap may take: one that is halved, and a block of one that is read whole, in milliseconds.
const HALVED_TIME: f64 = 1_000.0;
const BLOCK_TIME: f64 = 10.0;
const PATIENCE: Duration = Duration::from_secs(10);

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.get(1).is_some_and(|a| a == "serve") {
        return tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?
            .block_on(serve(&arguments[2..]));
    }
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?
        .block_on(async {
            for (missed, shares) in GAPS {
                gap(missed, shares).await?;
            }
            let calls = idle().await?;
            upgrade(calls).await
        })
}

fn line(name: &str, value: f64, unit: &str, target: Option<f64>) {
    let value = (value * 100.0).round() / 100.0;
    let ok = target.is_none_or(|t| value <= t);
    println!(
        "{}",
        json!({ "name": name, "value": value, "unit": unit, "target": target, "ok": ok })
    );
}

/// `missed` blocks behind the one that is remembered.
async fn gap(missed: u64, shares: &[u64]) -> Result<()> {
    let upgrades: Vec<(u64, u32)> = (1..)
        .zip(shares)
        .map(|(n, share)| (missed * share / 100, version(n)))
        .collect();
    eprintln!("{missed} blocks missed, upgrades: {}", upgrades.len());
    let mut server = Server::start(missed + 1, &upgrades)?;
    let scene = Scene::new(
        &upgrades
            .iter()
            .map(|(_, version)| *version)
            .collect::<Vec<_>>(),
    )
    .await?;
    scene.connect(&server.url).tick("relay").await?;
    server.say(&format!("advance {}", missed + 1))?;

    let before = server.counts()?;
    let node = Arc::new(Node::new(vec![server.url.clone()]));
    ensure!(node.head(None).await?.number == missed + 1, "the head");
    let connected = server.settled().await?;
    let watcher = scene.watcher(node);
    let begun = Instant::now();
    watcher.tick("relay").await?;
    let took = begun.elapsed();
    let after = server.counts()?;

    for (at, version) in &upgrades {
        let facts = scene.store.facts().await?;
        let shown = |kind: &str, block: u64| {
            facts
                .iter()
                .any(|f| f.kind().name() == kind && f.block == block)
        };
        ensure!(
            shown("code_updated", *at) && shown("applied", at + 1),
            "the upgrade to {version} at {at}: {facts:?}"
        );
    }
    let metadata = |c: &Counts| {
        c.of("state_call Metadata_metadata_versions")
            + c.of("state_call Metadata_metadata_at_version")
    };
    let calls = after.total() - connected.total() - (metadata(&after) - metadata(&connected));
    let setup = connected.total() - before.total() + metadata(&after) - metadata(&connected);
    eprintln!("  {:?}", difference(&connected, &after));
    let floor = floor(&server.url, calls, missed).await?;

    let halved = missed > MAX_GAP_READ_WHOLE_BLOCKS;
    let name = if shares.len() == 1 {
        format!("catchup.{missed}")
    } else {
        format!("catchup.{missed}x{}", shares.len())
    };
    if halved {
        let target = (2.0 * (missed as f64).log2() + 20.0) * shares.len() as f64;
        line(
            &format!("{name}.calls"),
            calls as f64,
            "calls",
            Some((target * 100.0).round() / 100.0),
        );
    } else {
        line(&format!("{name}.calls"), calls as f64, "calls", None);
        line(
            &format!("{name}.calls.block"),
            calls as f64 / missed as f64,
            "calls",
            None,
        );
    }
    line(&format!("{name}.connecting"), setup as f64, "calls", None);
    line(
        &format!("{name}.bytes"),
        (after.sent - connected.sent + after.received - connected.received) as f64,
        "bytes",
        None,
    );
    let (ours, least) = (took.as_secs_f64() * 1e3, floor.as_secs_f64() * 1e3);
    line(
        &format!("{name}.time"),
        ours,
        "ms",
        Some(if halved {
            HALVED_TIME
        } else {
            BLOCK_TIME * missed as f64
        }),
    );
    line(&format!("{name}.time.floor"), least, "ms", None);
    line(&format!("{name}.time.ratio"), ours / least, "x", None);
    Ok(())
}

/// The counts before and after so many blocks that were followed one by one behind a warm-up, and the processor time.
struct Followed {
    before: Counts,
    after: Counts,
    cpu: u64,
}

async fn follow(upgrades: &[(u64, u32)]) -> Result<Followed> {
    let mut server = Server::start(1 + WARM_UP + IDLE, upgrades)?;
    let scene = Scene::new(&[version(1)]).await?;
    let node = Arc::new(Node::new(vec![server.url.clone()]));
    let watcher = scene.watcher(node.clone());
    watcher.tick("relay").await?;
    let (mut before, mut cpu) = (server.settled().await?, 0);
    for number in 2..=1 + WARM_UP + IDLE {
        if number == 2 + WARM_UP {
            (before, cpu) = (server.settled().await?, cpu_ticks()?);
        }
        server.say(&format!("advance {number}"))?;
        while watcher.tick("relay").await? == 0 {
            tokio::time::timeout(PATIENCE, node.changed())
                .await
                .context("no new head")?;
        }
        watcher.observe("relay").await?;
    }
    let cpu = cpu_ticks()? - cpu;
    let after = server.settled().await?;
    eprintln!("  {:?}", difference(&before, &after));
    Ok(Followed { before, after, cpu })
}

/// An upgrade among blocks that cost so many calls otherwise.
async fn upgrade(calls_a_block: f64) -> Result<()> {
    eprintln!("an upgrade among {IDLE} blocks");
    let at = 2 + WARM_UP + IDLE / 2;
    let followed = follow(&[(at, version(1))]).await?;
    let metadata = ["Metadata_metadata_versions", "Metadata_metadata_at_version"]
        .map(|call| format!("state_call {call}"))
        .iter()
        .map(|call| followed.after.of(call) - followed.before.of(call))
        .sum::<u64>();
    let calls = followed.after.total() - followed.before.total() - metadata;
    line(
        "upgrade.calls",
        calls as f64 - calls_a_block * IDLE as f64,
        "calls",
        Some(UPGRADE_CALLS),
    );
    Ok(())
}

/// A chain on which nothing happens, followed block by block; returns the calls of a block.
async fn idle() -> Result<f64> {
    eprintln!("{IDLE} blocks in which nothing happens");
    let Followed { before, after, cpu } = follow(&[]).await?;
    let blocks = IDLE as f64;
    let calls = (after.total() - before.total()) as f64 / blocks;
    line("idle.block.calls", calls, "calls", Some(IDLE_CALLS));
    let (sent, received) = (
        (after.received - before.received) as f64 / blocks,
        (after.sent - before.sent) as f64 / blocks,
    );
    line("idle.block.bytes.out", sent, "bytes", None);
    line("idle.block.bytes.in", received, "bytes", None);
    line(
        "idle.block.bytes",
        sent + received,
        "bytes",
        Some(IDLE_BYTES),
    );
    // The kernel counts in hundredths of a second.
    line(
        "idle.block.cpu",
        cpu as f64 * 10.0 / blocks,
        "ms",
        Some(IDLE_CPU),
    );
    Ok(calls)
}

/// As many calls, one after the other, by a client that does nothing else.
async fn floor(url: &str, calls: u64, blocks: u64) -> Result<Duration> {
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await?;
    let (mut hash, begun) = (json!(null), Instant::now());
    for id in 0..calls {
        let (method, params) = match id % 2 {
            0 => ("chain_getBlockHash", json!([1 + id * 7_919 % blocks])),
            _ => ("state_getStorage", json!([key::LAST_UPGRADE, hash])),
        };
        let ask = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        socket.send(Message::text(ask.to_string())).await?;
        let answer: Value =
            serde_json::from_str(socket.next().await.context("an answer")??.to_text()?)?;
        ensure!(answer["result"].is_string(), "{answer}");
        hash = answer["result"].clone();
    }
    Ok(begun.elapsed())
}

fn difference(before: &Counts, after: &Counts) -> BTreeMap<String, u64> {
    let calls = after
        .calls
        .iter()
        .map(|(method, n)| (method.clone(), n - before.of(method)));
    calls.filter(|(_, n)| *n > 0).collect()
}

/// Processor time of this process so far, in the kernel's hundredths of a second.
fn cpu_ticks() -> Result<u64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    Ok(fields[11].parse::<u64>()? + fields[12].parse::<u64>()?)
}

struct Scene {
    core: Arc<Core>,
    store: Arc<dyn Store>,
}

impl Scene {
    /// An upgrade for each of these targets.
    async fn new(targets: &[u32]) -> Result<Self> {
        let loaded =
            lint::load(&Origin::Embedded).map_err(|findings| anyhow::anyhow!("{findings:?}"))?;
        let sample: Upgrade = loaded.config.upgrades[0].upgrade.clone();
        let store: Arc<dyn Store> = Arc::new(SqlStore::open("sqlite::memory:").await?);
        let campaign = targets.iter().map(|version| {
            let chains = [(
                "relay".to_owned(),
                Target {
                    spec_version: *version,
                    code_hash: None,
                },
            )]
            .into();
            let upgrade = Upgrade {
                id: format!("v{version}"),
                chains,
                ..sample.clone()
            };
            Campaign::new(upgrade, sample.window.opens)
        });
        store
            .commit(Batch {
                upgrades: campaign.collect(),
                ..Batch::default()
            })
            .await?;
        let core = Arc::new(Core::new(
            ConfigSnapshot {
                config: loaded.config,
                renderer: loaded.renderer,
            },
            BTreeMap::new(),
            Arc::new(SteppedClock::new(sample.window.opens)),
            store.clone(),
        ));
        Ok(Self { core, store })
    }

    fn watcher(&self, node: Arc<Node>) -> Watcher {
        Watcher::new(
            self.core.clone(),
            [("relay".to_owned(), node as Arc<dyn Chain>)].into(),
        )
    }

    fn connect(&self, url: &str) -> Watcher {
        self.watcher(Arc::new(Node::new(vec![url.to_owned()])))
    }
}

/// The synthetic node, a process of its own that is told by lines.
struct Server {
    child: Child,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
    url: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    fn start(blocks: u64, upgrades: &[(u64, u32)]) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["serve", &blocks.to_string()]).args(
            upgrades
                .iter()
                .map(|(at, version)| format!("{at}:{version}")),
        );
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (ask, answers) = (
            child.stdin.take().context("stdin")?,
            child.stdout.take().context("stdout")?,
        );
        let mut server = Self {
            child,
            ask,
            answers: BufReader::new(answers),
            url: String::new(),
        };
        server.url = server.answer()?;
        Ok(server)
    }

    fn answer(&mut self) -> Result<String> {
        let mut text = String::new();
        ensure!(self.answers.read_line(&mut text)? > 0, "the node has ended");
        Ok(text.trim().to_owned())
    }

    fn say(&mut self, words: &str) -> Result<String> {
        writeln!(self.ask, "{words}")?;
        self.answer()
    }

    fn counts(&mut self) -> Result<Counts> {
        Ok(serde_json::from_str(&self.say("counts")?)?)
    }

    /// The counts when nobody asks any more.
    async fn settled(&mut self) -> Result<Counts> {
        let mut before = self.counts()?;
        loop {
            tokio::time::sleep(Duration::from_millis(200)).await;
            let now = self.counts()?;
            if now == before {
                return Ok(now);
            }
            before = now;
        }
    }
}

/// The other process: `BLOCKS AT:VERSION…`, each authorized ten blocks before.
async fn serve(arguments: &[String]) -> Result<()> {
    let mut steps = Vec::new();
    for upgrade in &arguments[1..] {
        let (at, version) = upgrade.split_once(':').context("AT:VERSION")?;
        let (at, version): (u64, u32) = (at.parse()?, version.parse()?);
        steps.extend([
            (at.saturating_sub(10), Step::Authorize(code_hash(version))),
            (at, Step::Upgrade(version)),
        ]);
    }
    let blocks = arguments[0].parse()?;
    let chain = SyntheticChain::new(Script {
        blocks,
        steps,
        ..Script::default()
    });
    chain.prepare(blocks);
    let endpoint = Endpoint::start(chain).await;
    println!("{}", endpoint.url());
    let mut lines = tokio::io::BufReader::new(tokio::io::stdin()).lines();
    while let Some(words) = lines.next_line().await? {
        match words.split_once(' ') {
            Some(("advance", number)) => {
                endpoint.advance_to(number.parse()?);
                println!("advanced");
            }
            _ => println!("{}", serde_json::to_string(&endpoint.counts())?),
        }
    }
    Ok(())
}
