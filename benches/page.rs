//! `benches/run page`: how fast page and API answer, and what that does to posting.
//!
//! - The floor of the requests is a bare axum server in this process that answers with as many bytes.
//! - A notice is due each second. Around every second one of them, readers ask for page and API as fast as they get answers,
//!   four at once, with a pause of a few milliseconds as people's browsers have; from when it was due to when it was
//!   campaign is compared between the two halves, so that what the machine does meanwhile strikes both.
//! - A thousand readers follow, and each must be told of every change; herald's memory is that of its process.
//!
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

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use doubles::discord::{ChannelKind, Double, Options};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use support::{Devnet, DevnetOptions, Herald, repo, wait};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

const PATIENCE: Duration = Duration::from_secs(120);
const FOLLOWERS: usize = 1_000;
/// Notices, half of them beside readers.
const NOTICES: i64 = 60;
/// Until the first, so that everything stands.
const LEAD: i64 = 25;
const AT_ONCE: usize = 4;
const PACE: Duration = Duration::from_millis(4);

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<()> {
    let discord = Double::start(Options::default()).await;
    let channel = discord.add_channel("upgrades", ChannelKind::Text);
    let chain = Devnet::start(DevnetOptions {
        block_ms: 6_000,
        ..DevnetOptions::default()
    })
    .await?;
    let dir = tempfile::tempdir()?;
    std::fs::create_dir_all(dir.path().join("config/upgrades"))?;
    std::os::unix::fs::symlink(repo().join("templates"), dir.path().join("templates"))?;
    std::fs::write(dir.path().join("ca.pem"), discord.ca_pem())?;
    let deployment = format!(
        "store: {{ url: 'sqlite://herald.db' }}\n\
         discord: {{ token: {{ env: BENCH_TOKEN }}, guild: '{}', route: {{ address: '{}', ca: ca.pem }} }}\n\
         chains: {{ devnet: {{ endpoints: ['{}'] }} }}\n\
         channels: {{ discord: {{ platform: discord, place: '{channel}' }} }}\n\
         web: {{ listen: '127.0.0.1:0' }}\n",
        discord.guild_id(),
        discord.https_addr(),
        chain.url()
    );
    std::fs::write(dir.path().join("config/herald.yaml"), deployment)?;
    let mut plan = String::from(
        "zone: UTC\nfeedback: { open_for: 1h, reactions: [] }\nnotices:\n  - { id: one, phase: preparation, template: preparation/announced, on: planned }\n",
    );
    for i in 0..NOTICES {
        plan.push_str(&format!(
            "  - {{ id: n{i}, phase: scheduling, template: scheduling/countdown, at: -{}s }}\n",
            NOTICES + 5 - i
        ));
    }
    std::fs::write(dir.path().join("config/plan.yaml"), plan)?;
    let first = Timestamp::from_second(Timestamp::now().as_second() + LEAD)?;
    let opens = first.checked_add(SignedDuration::from_secs(NOTICES + 5))?;
    let upgrade = format!(
        "id: v2\ntitle: Devnet runtime 2\nsummary: A release.\nurgency: routine\nmethod: sudo\n\
         window: {{ opens: {opens}, closes: 2099-01-02T00:00:00Z }}\n\
         chains: {{ devnet: {{ spec_version: 1000002 }} }}\naudiences:\n  validators: {{ action: none, what: a }}\n\
         \x20 developers: {{ action: none, what: b }}\n  users: {{ action: none, what: c }}\n"
    );
    std::fs::write(dir.path().join("config/upgrades/v2.yaml"), upgrade)?;
    let mut herald = Herald::new(env!("CARGO_BIN_EXE_herald").into(), dir.path())
        .args(["run"])
        .env("BENCH_TOKEN", discord.token());
    herald.start()?;
    herald
        .wait_for_output("herald is running", PATIENCE)
        .await?;
    let said = herald.stderr();
    let page = said
        .split("the page is at http://")
        .nth(1)
        .and_then(|rest| rest.split('/').next())
        .context("an address")?
        .to_owned();
    let pid = herald.pid().context("a process")?;
    wait::until("the announcement", PATIENCE, async || {
        (!discord.messages(channel).is_empty()).then_some(())
    })
    .await?;
    tokio::time::sleep(Duration::from_secs(2)).await;

    eprintln!("{FOLLOWERS} follow");
    let before = memory(pid)?;
    let told: Arc<Vec<AtomicUsize>> =
        Arc::new((0..FOLLOWERS).map(|_| AtomicUsize::new(0)).collect());
    let mut following = JoinSet::new();
    for i in 0..FOLLOWERS {
        following.spawn(follow(page.clone(), told.clone(), i));
    }
    let open = || {
        told.iter()
            .filter(|n| n.load(Ordering::Relaxed) > 0)
            .count()
    };
    wait::until("all follow", PATIENCE, async || {
        (open() == FOLLOWERS).then_some(())
    })
    .await?;
    let after = memory(pid)?;
    line(
        "page.followers",
        open() as f64,
        "streams",
        Some(FOLLOWERS as f64),
        open() == FOLLOWERS,
    );
    line(
        "page.followers.memory",
        (after - before) / FOLLOWERS as f64,
        "KiB each",
        Some(64.0),
        after - before <= 64.0 * FOLLOWERS as f64,
    );

    eprintln!("a notice each second, every second one beside readers");
    let (clock, at) = (Instant::now(), Timestamp::now());
    let instant = |due: Timestamp| {
        clock + Duration::from_secs_f64(due.duration_since(at).as_secs_f64().max(0.0))
    };
    let (mut asked, mut slowest) = (0, Vec::new());
    for i in (1..NOTICES).step_by(2) {
        let due = instant(first.checked_add(SignedDuration::from_secs(i))?);
        tokio::time::sleep_until((due - Duration::from_millis(400)).into()).await;
        let until = due + Duration::from_millis(400);
        let (count, times) = ask(&page, until, PACE).await?;
        asked += count;
        slowest.extend(times);
    }
    let all = async || Some(discord.messages(channel)).filter(|m| m.len() as i64 > NOTICES);
    let messages = wait::until("all notices", PATIENCE, all).await?;
    let late: Vec<f64> = messages
        .iter()
        .skip(1)
        .enumerate()
        .map(|(i, m)| {
            let due = instant(
                first
                    .checked_add(SignedDuration::from_secs(i as i64))
                    .expect("a time"),
            );
            discord
                .accepted_at(m.id)
                .saturating_duration_since(due)
                .as_secs_f64()
        })
        .collect();
    let half = |odd: usize| {
        middle(
            late.iter()
                .enumerate()
                .filter(|(i, _)| i % 2 == odd)
                .map(|(_, s)| *s)
                .collect(),
        )
    };
    let (alone, beside) = (half(0), half(1));
    line("page.beside.requests", asked as f64, "requests", None, true);
    line("page.beside.p99", p99(slowest), "s", Some(0.1), true);
    line("page.posting.alone", alone, "s", None, true);
    line("page.posting.beside", beside, "s", None, true);
    line(
        "page.posting",
        beside / alone,
        "x alone",
        Some(1.1),
        beside <= alone * 1.1,
    );
    let behind = told
        .iter()
        .map(|n| n.load(Ordering::Relaxed))
        .min()
        .unwrap_or(0);
    line(
        "page.followers.told",
        behind as f64,
        "changes each, at least",
        Some(NOTICES as f64 / 2.0),
        behind as i64 >= NOTICES / 2,
    );

    eprintln!("as fast as it goes, beside a bare server");
    let bytes = fetch(&mut TcpStream::connect(&page).await?, "/").await?;
    let floor = bare(bytes).await?;
    let (mut own, mut bare_one, mut times) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..4 {
        let until = Instant::now() + Duration::from_millis(1_500);
        let (count, _) = ask(&floor, until, Duration::ZERO).await?;
        bare_one.push(count as f64 / 1.5);
        let until = Instant::now() + Duration::from_millis(1_500);
        let (count, seconds) = ask(&page, until, Duration::ZERO).await?;
        own.push(count as f64 / 1.5);
        times.extend(seconds);
    }
    let (own, bare_one) = (middle(own), middle(bare_one));
    line("page.floor.requests", bare_one, "/s", None, true);
    line("page.requests", own, "/s", None, true);
    line(
        "page.requests.ratio",
        own / bare_one,
        "x bare",
        Some(0.7),
        own >= bare_one * 0.7,
    );
    line("page.p99", p99(times), "s", Some(0.1), true);
    line(
        "page.memory",
        memory(pid)? / before,
        "x before",
        Some(2.0),
        memory(pid)? <= before * 2.0,
    );
    following.shutdown().await;
    herald.sigterm();
    herald.wait(PATIENCE).await?;
    Ok(())
}

fn line(name: &str, value: f64, unit: &str, target: Option<f64>, ok: bool) {
    let value = (value * 10_000.0).round() / 10_000.0;
    println!(
        "{}",
        json!({ "name": name, "value": value, "unit": unit, "target": target, "ok": ok })
    );
}

fn middle(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or(f64::NAN)
}

fn p99(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all.get((all.len() * 99).div_ceil(100).saturating_sub(1))
        .copied()
        .unwrap_or(f64::NAN)
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

/// Page and API in turn, by some readers at once, each with a pause between: how many answers, and how long each took.
async fn ask(address: &str, until: Instant, pause: Duration) -> Result<(usize, Vec<f64>)> {
    let mut readers = JoinSet::new();
    for _ in 0..AT_ONCE {
        let address = address.to_owned();
        readers.spawn(async move {
            let mut stream = TcpStream::connect(&address).await?;
            let mut times = Vec::new();
            while Instant::now() < until {
                let path = if times.len() % 2 == 0 {
                    "/"
                } else {
                    "/api/v1/upgrades"
                };
                let began = Instant::now();
                fetch(&mut stream, path).await?;
                times.push(began.elapsed().as_secs_f64());
                if !pause.is_zero() {
                    tokio::time::sleep(pause).await;
                }
            }
            anyhow::Ok(times)
        });
    }
    let mut all = Vec::new();
    while let Some(times) = readers.join_next().await {
        all.extend(times??);
    }
    Ok((all.len(), all))
}

/// One answer over a connection that stays; the bytes of its body.
async fn fetch(stream: &mut TcpStream, path: &str) -> Result<usize> {
    stream
        .write_all(format!("GET {path} HTTP/1.1\r\nHost: page\r\n\r\n").as_bytes())
        .await?;
    let mut got = Vec::with_capacity(65_536);
    loop {
        anyhow::ensure!(stream.read_buf(&mut got).await? > 0, "it hung up");
        let Some(end) = got.windows(4).position(|four| four == b"\r\n\r\n") else {
            continue;
        };
        let head = String::from_utf8_lossy(&got[..end]).to_lowercase();
        anyhow::ensure!(head.starts_with("http/1.1 200"), "{head}");
        let length = head
            .lines()
            .find_map(|l| l.strip_prefix("content-length: "))
            .context("a length")?
            .parse::<usize>()?;
        if got.len() >= end + 4 + length {
            return Ok(length);
        }
    }
}

/// Counts what one who follows is told.
async fn follow(address: String, told: Arc<Vec<AtomicUsize>>, number: usize) -> Result<()> {
    let mut stream = TcpStream::connect(&address).await?;
    stream
        .write_all(b"GET /events HTTP/1.1\r\nHost: page\r\nAccept: text/event-stream\r\n\r\n")
        .await?;
    let mut got = vec![0; 4_096];
    loop {
        let length = stream.read(&mut got).await?;
        anyhow::ensure!(length > 0, "it hung up");
        let times = String::from_utf8_lossy(&got[..length])
            .matches("event: edition")
            .count();
        told[number].fetch_add(times, Ordering::Relaxed);
    }
}

/// A server that does nothing but answer with so many bytes, on threads of its own.
async fn bare(bytes: usize) -> Result<String> {
    let (ready, address) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
                .await
                .expect("a port");
            ready
                .send(listener.local_addr().expect("an address").to_string())
                .expect("somebody listens");
            let body = axum::body::Bytes::from(vec![b'x'; bytes]);
            let router = axum::Router::new().fallback(move || std::future::ready(body.clone()));
            axum::serve(listener, router).await.expect("it serves");
        });
    });
    Ok(address.await?)
}
