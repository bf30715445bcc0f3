//! Herald's services over a model of their world, on a stepped clock: chats that fail, a database that fails, a process that
//! dies at any step, an upgrade that is moved or called off. Any seed that fails can be played again, alone:
//! `HERALD_TEST_SEED=17 tests/run simulation`.

use std::{collections::BTreeSet, sync::Arc};

use anyhow::{Context, Result, ensure};
use jiff::SignedDuration;
use serde_json::json;
use upgrade_herald::{
    domain::{
        campaign::{change::Change, upgrade::Upgrade},
        outbox::{CalendarEvent, PostState},
    },
    lint::Loaded,
};

use crate::harness::model::{self, Model, Script};

const SEEDS: u64 = 2_000;
/// Few blocks: what they cost is the same each time.
const SPACING: u32 = 600;
const ONE: &str = "HERALD_TEST_SEED";

/// What people do in the meantime: nothing, they move the window, they call it off.
fn commands(upgrade: &Upgrade) -> [Option<(SignedDuration, Change)>; 3] {
    let window = &upgrade.window;
    let later = SignedDuration::from_hours(30);
    let (opens, closes) = (window.opens + later, window.closes + later);
    [
        None,
        Some((
            SignedDuration::from_mins(30),
            Change::Reschedule {
                opens,
                closes,
                reason: Some("a fault was found".into()),
            },
        )),
        Some((
            SignedDuration::from_mins(50),
            Change::Cancel {
                reason: "a fault was found".into(),
            },
        )),
    ]
}

/// What was posted: notice, occurrence, channel, operation; what became of it.
type Told = BTreeSet<(String, String, String, &'static str, &'static str)>;

/// What is pinned in the end, and what stands in the calendar.
type Around = Vec<(BTreeSet<String>, Vec<CalendarEvent>)>;

pub fn run(
    loaded: &Arc<Loaded>,
    upgrade: &Upgrade,
    script: Script,
) -> Result<((Told, Around), u32)> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    runtime.block_on(async {
        let mut model = Model::new(loaded, upgrade, script);
        model.play().await?;
        let posts = model.look().await?;
        let told = posts
            .into_values()
            .filter(|p| p.state != PostState::Superseded);
        let told = told
            .map(|p| {
                (
                    p.notice,
                    p.occurrence,
                    p.channel,
                    p.operation.name(),
                    p.state.name(),
                )
            })
            .collect();
        let around = model.chats.values().map(|chat| chat.around());
        let around = around
            .map(|(pinned, events)| (pinned, events.into_values().collect()))
            .collect();
        Ok(((told, around), model.crashes))
    })
}

#[derive(Default)]
struct Played {
    seeds: u64,
    crashes: u64,
    posts: usize,
    failed: Vec<String>,
}

/// Of each seed, the same is posted as if nothing had failed.
fn play(seeds: impl Iterator<Item = u64>) -> Result<Played> {
    let (loaded, upgrade) = model::sample(SignedDuration::from_hours(26), SPACING, false);
    let commands = commands(&upgrade);
    let script = |command: usize, seed| Script {
        seed,
        dies_one_in: 8,
        command: commands[command].clone(),
        outages: Vec::new(),
        spacing: SPACING,
    };
    let mut undisturbed = Vec::new();
    for command in 0..commands.len() {
        undisturbed.push(run(&loaded, &upgrade, script(command, None))?.0);
    }
    let mut played = Played::default();
    for seed in seeds {
        let command = usize::try_from(seed)? % commands.len();
        played.seeds += 1;
        match run(&loaded, &upgrade, script(command, Some(seed))) {
            Ok(((told, around), crashes)) => {
                (played.crashes, played.posts) = (
                    played.crashes + u64::from(crashes),
                    played.posts + told.len(),
                );
                let (expected, expected_around) = &undisturbed[command];
                let (missing, more): (Vec<_>, Vec<_>) = (
                    expected.difference(&told).collect(),
                    told.difference(expected).collect(),
                );
                if !missing.is_empty() || !more.is_empty() {
                    played
                        .failed
                        .push(format!("seed {seed}: missing {missing:#?}, more {more:#?}"));
                } else if around != *expected_around {
                    played.failed.push(format!("seed {seed}: pinned and in the calendar {around:#?}, not {expected_around:#?}"));
                }
            }
            Err(error) => played.failed.push(format!("seed {seed}: {error:#}")),
        }
    }
    Ok(played)
}

#[test]
#[allow(clippy::disallowed_methods)]
fn crashes_and_faults_lose_nothing_and_repeat_nothing() -> Result<()> {
    let one = std::env::var(ONE)
        .ok()
        .map(|seed| seed.parse::<u64>())
        .transpose()
        .with_context(|| format!("{ONE} is to be a number"))?;
    let seeds = one.map_or(0..SEEDS, |one| one..one + 1);
    // Two at once, each a world of its own.
    let halves = [0, 1].map(|half| {
        let seeds = seeds.clone().filter(move |seed| seed % 2 == half);
        std::thread::spawn(move || play(seeds))
    });
    let mut all = Played::default();
    for half in halves {
        let played = half.join().expect("it does not panic")?;
        (all.seeds, all.crashes, all.posts) = (
            all.seeds + played.seeds,
            all.crashes + played.crashes,
            all.posts + played.posts,
        );
        all.failed.extend(played.failed);
    }
    println!(
        "{}",
        json!({ "seeds": all.seeds, "crashes": all.crashes, "posts": all.posts, "failed": all.failed.len() })
    );
    ensure!(
        all.failed.is_empty(),
        "{}",
        all.failed[..all.failed.len().min(3)].join("\n")
    );
    ensure!(
        one.is_some() || all.crashes > all.seeds,
        "it did crash: {} times",
        all.crashes
    );
    Ok(())
}
