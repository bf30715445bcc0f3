//! A soak: `herald run` goes on for long while one thing after the other that it needs fails, drawn by a seed. In each round
//! health names what is dead, everything is posted once on each platform, health is well again, and memory stays as it was.
//!
//! `HERALD_TEST_SOAK=7200` plays for so many seconds in place of [`SECONDS`], and `HERALD_TEST_SEED=17` plays another order.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::{
    doubles::discord::{Faults, Options},
    harness::{
        dice::Dice,
        world::{PASSWORD, PATIENCE, World, later, now},
    },
    support::{DevnetOptions, Forwarder, Herald, Postgres, wait},
};

const SECONDS: u64 = 60;
/// Health names a dead part, and knows that it is well again, within this time.
const TOLD_WITHIN: Duration = Duration::from_secs(60);
/// Memory is compared once there are so many rounds: the first ones fill what is kept.
const ROUNDS_TO_COMPARE: usize = 24;
const PLAN: &str = "zone: UTC\nfeedback: { open_for: 1h, reactions: [] }\nnotices:\n\
    \x20 - { id: one, phase: preparation, template: preparation/announced, on: planned }\n";
/// No file of the process may be longer: a database grows beyond it, a health file does not.
const FULL: &str = "--fsize=4096:unlimited";

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Disk,
    DatabaseHangs,
    DatabaseEnds,
    Discord,
    Matrix,
    Node,
    Files,
}

impl Part {
    const WITH_SQLITE: [Self; 5] = [
        Self::Disk,
        Self::Discord,
        Self::Matrix,
        Self::Node,
        Self::Files,
    ];
    const WITH_POSTGRES: [Self; 6] = [
        Self::DatabaseHangs,
        Self::DatabaseEnds,
        Self::Discord,
        Self::Matrix,
        Self::Node,
        Self::Files,
    ];

    /// How a line of `/readyz` begins while the part is dead.
    fn named(self) -> &'static str {
        match self {
            Self::Disk | Self::DatabaseHangs | Self::DatabaseEnds => "the store takes no writes",
            Self::Discord => "channel discord",
            Self::Matrix => "matrix",
            Self::Node => "chain devnet",
            Self::Files => "files",
        }
    }

    /// Tells whether a post can be ordered while the part is dead: that takes the store and the files.
    fn takes_orders(self) -> bool {
        matches!(self, Self::Discord | Self::Matrix | Self::Node)
    }
}

struct Soak {
    w: World,
    matrix: Forwarder,
    synapse: u16,
    postgres: Option<Postgres>,
    monitors: String,
}

impl Soak {
    async fn start(with_postgres: bool) -> Result<Self> {
        let mut w = World::new(
            Options::default(),
            DevnetOptions {
                block_ms: 500,
                ..DevnetOptions::default()
            },
        )
        .await?;
        let synapse = w.homeserver.rsplit(':').next().context("a port")?.parse()?;
        let matrix = Forwarder::start(synapse).await?;
        let deployment = std::fs::read_to_string(w.dir.path().join("config/herald.yaml"))?;
        let door = format!("http://127.0.0.1:{}", matrix.port());
        let mut deployment = format!(
            "{}web: {{ operations: \"127.0.0.1:0\" }}\n",
            deployment.replace(&w.homeserver, &door)
        );
        let postgres = if with_postgres {
            let postgres = Postgres::start().await?;
            let url = postgres.database().await?;
            deployment = deployment.replace("sqlite://herald.db", &url);
            Some(postgres)
        } else {
            None
        };
        w.write("herald.yaml", &deployment)?;
        w.write("plan.yaml", PLAN)?;
        let opens = later(now(), 9 * 3_600);
        w.write("upgrades/v2.yaml", &crate::stories::story::upgrade(opens))?;
        // A file that may not grow is an error to whoever writes, once the signal is ignored.
        w.herald = Herald::new("sh".into(), w.dir.path())
            .args([
                "-c",
                "trap '' XFSZ; exec \"$0\" run",
                env!("CARGO_BIN_EXE_herald"),
            ])
            .env("TEST_DISCORD_TOKEN", w.discord.token())
            .env("TEST_MATRIX_PASSWORD", PASSWORD);
        Ok(Self {
            w,
            matrix,
            synapse,
            postgres,
            monitors: String::new(),
        })
    }

    /// Starts herald, and waits until the upgrade is announced.
    async fn begin(&mut self) -> Result<()> {
        self.w.start().await?;
        let before = "/metrics at ";
        self.w.herald.wait_for_output(before, PATIENCE).await?;
        let said = self.w.herald.stderr();
        let (_, address) = said.rsplit_once(before).context("it is said")?;
        let address = address.split_whitespace().next().context("an address")?;
        self.monitors = address.trim_end_matches('/').to_owned();
        self.w.on_discord("Devnet").await?;
        self.w.on_matrix("Devnet").await?;
        Ok(())
    }

    fn limit(&self, size: &str) -> Result<()> {
        let pid = self.w.herald.pid().context("a process")?.to_string();
        let limited = std::process::Command::new("prlimit")
            .args(["--pid", &pid, size])
            .status()?;
        ensure!(limited.success(), "prlimit {size}");
        Ok(())
    }

    async fn kill(&mut self, part: Part) -> Result<()> {
        match part {
            Part::Disk => self.limit(FULL)?,
            Part::DatabaseHangs => self.postgres.as_mut().context("a server")?.freeze(),
            Part::DatabaseEnds => self.postgres.as_mut().context("a server")?.stop(),
            Part::Discord => self.w.discord.set_faults(Faults {
                refuse: Some(503),
                ..Faults::default()
            }),
            Part::Matrix => self.matrix.shut(),
            Part::Node => self.w.chain.freeze(),
            Part::Files => self.w.write("upgrades/broken.yaml", "id: [")?,
        }
        Ok(())
    }

    async fn mend(&mut self, part: Part) -> Result<()> {
        match part {
            Part::Disk => self.limit("--fsize=unlimited:unlimited")?,
            Part::DatabaseHangs => self.postgres.as_mut().context("a server")?.thaw(),
            Part::DatabaseEnds => {
                let postgres = self.postgres.as_mut().context("a server")?;
                postgres.start_again().await?;
            }
            Part::Discord => self.w.discord.set_faults(Faults::default()),
            Part::Matrix => self.matrix.lead_to(self.synapse),
            Part::Node => self.w.chain.thaw(),
            Part::Files => {
                std::fs::remove_file(self.w.dir.path().join("config/upgrades/broken.yaml"))?;
            }
        }
        Ok(())
    }

    /// Waits until `/readyz` has what is wanted of it.
    async fn ready(&self, what: &str, wanted: impl Fn(u16, &str) -> bool) -> Result<()> {
        let address = format!("{}/readyz", self.monitors);
        let mut last = String::new();
        wait::within(what, TOLD_WITHIN, async || {
            let answer = reqwest::get(&address).await.ok()?;
            let (status, text) = (answer.status().as_u16(), answer.text().await.ok()?);
            let found = wanted(status, &text).then_some(());
            last = text;
            found
        })
        .await
        .with_context(|| format!("/readyz says: {last}\n{}", self.w.herald.stderr()))
    }

    /// Orders a post in every channel for everybody, as somebody at the machine does.
    async fn order(&self, words: &str) -> Result<()> {
        let mut order = Herald::new(env!("CARGO_BIN_EXE_herald").into(), self.w.dir.path())
            .args(["order", "--as", "Ada", "v2", "say", "all", words]);
        let code = order.run(PATIENCE).await?;
        ensure!(code == 0, "{}{}", order.stdout(), order.stderr());
        Ok(())
    }

    async fn round(&mut self, number: usize, part: Part) -> Result<()> {
        let words = format!("Round {number} of the soak.");
        self.kill(part).await?;
        if part.takes_orders() {
            self.order(&words).await?;
        }
        let named = |_: u16, text: &str| text.lines().any(|line| line.starts_with(part.named()));
        self.ready(&format!("{part:?} to be named"), named).await?;
        self.mend(part).await?;
        self.ready(&format!("{part:?} to be well"), |status, _| status == 200)
            .await?;
        if !part.takes_orders() {
            self.order(&words).await?;
        }
        self.w.on_discord(&words).await?;
        self.w.on_matrix(&words).await?;
        Ok(())
    }

    /// Each round is on each platform once.
    async fn count(&self, rounds: usize) -> Result<()> {
        let discord = self.w.discord.messages(self.w.channel);
        let matrix = self.w.said_on_matrix().await?;
        for number in 0..rounds {
            let words = format!("Round {number} of the soak.");
            let on_discord = discord.iter().filter(|m| m.content.contains(&words));
            let on_matrix = matrix.iter().filter(|e| {
                let body = e["content"]["body"].as_str();
                body.is_some_and(|body| body.contains(&words))
            });
            let counts = (on_discord.count(), on_matrix.count());
            ensure!(counts == (1, 1), "{words} {counts:?}");
        }
        Ok(())
    }

    /// What the process has in memory, in kB.
    fn memory(&self) -> Result<u64> {
        let pid = self.w.herald.pid().context("a process")?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let resident = status.lines().find_map(|l| l.strip_prefix("VmRSS:"));
        let resident = resident.context("its memory")?.trim();
        Ok(resident.trim_end_matches(" kB").parse()?)
    }
}

fn median(of: &[u64]) -> u64 {
    let mut sorted = of.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

#[allow(clippy::disallowed_methods)]
fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

async fn soak(parts: &[Part], with_postgres: bool) -> Result<()> {
    let seconds = number("HERALD_TEST_SOAK").unwrap_or(SECONDS);
    let seed = number("HERALD_TEST_SEED").unwrap_or(0);
    let mut soak = Soak::start(with_postgres).await?;
    soak.begin().await?;
    let (start, mut dice) = (Instant::now(), Dice::new(seed));
    let (mut memory, mut rounds) = (Vec::new(), BTreeMap::<Part, usize>::new());
    // Each part once, and then as the seed draws them.
    while memory.len() < parts.len() || start.elapsed() < Duration::from_secs(seconds) {
        let number = memory.len();
        let drawn = usize::try_from(dice.roll(parts.len() as u64))?;
        let part = parts.get(number).unwrap_or(&parts[drawn]);
        let played = soak.round(number, *part).await;
        played.with_context(|| format!("round {number} of seed {seed}: {part:?}"))?;
        memory.push(soak.memory()?);
        *rounds.entry(*part).or_default() += 1;
    }
    soak.count(memory.len()).await?;
    let quarter = memory.len() / 4;
    let (early, late) = (
        median(&memory[quarter..quarter * 2]),
        median(&memory[quarter * 3..]),
    );
    println!(
        "{}",
        json!({
            "seconds": start.elapsed().as_secs(),
            "rounds": format!("{rounds:?}"),
            "memory_early_kb": early,
            "memory_late_kb": late,
        })
    );
    if memory.len() >= ROUNDS_TO_COMPARE {
        ensure!(late * 100 <= early * 105, "memory grew: {memory:?} kB");
    }
    soak.w.herald.sigterm();
    ensure!(soak.w.herald.wait(PATIENCE).await? == 0, "it stops");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_is_named_and_what_was_due_comes_once_on_sqlite() -> Result<()> {
    soak(&Part::WITH_SQLITE, false).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_is_named_and_what_was_due_comes_once_on_postgres() -> Result<()> {
    soak(&Part::WITH_POSTGRES, true).await
}
