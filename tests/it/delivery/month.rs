//! Thirty days on the model's stepped clock: an upgrade is announced, applied and counted, while chats, node, database,
//! machine, clock and files fail time and again, drawn by a seed. Readers get what they get when nothing fails, once.
//!
//! `HERALD_TEST_MONTHS=500` plays so many seeds in place of [`SEEDS`], and `HERALD_TEST_SEED=17` that one alone.

use std::{collections::BTreeSet, sync::Arc};

use anyhow::{Context, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use upgrade_herald::{
    domain::{campaign::upgrade::Upgrade, outbox::PostState},
    lint::Loaded,
    ports::Platform,
};

use crate::harness::{
    dice::Dice,
    model::{self, Model, Outage, Part, Script},
};

const SEEDS: u64 = 8;
const DAYS: i64 = 30;
/// The window opens on this day.
const OPENS: i64 = 20;
const SPACING: u32 = 120;
/// How many seconds something is away; the seed draws one of these.
const LENGTHS: [u64; 6] = [60, 60, 600, 600, 3_600, 6 * 3_600];
/// The least and the most hours from one outage of a part to the next.
const PAUSE: (u64, u64) = (12, 96);

/// What fails in this month.
fn outages(seed: u64) -> Vec<Outage> {
    let mut dice = Dice::new(seed);
    let ends = model::begins() + SignedDuration::from_hours(DAYS * 24);
    let mut outages = Vec::new();
    for kind in 0..6 {
        let mut at = model::begins();
        loop {
            let pause = dice.between(PAUSE.0 * 3_600, PAUSE.1 * 3_600);
            let length = LENGTHS[usize::try_from(dice.roll(6)).unwrap()];
            let off_by = dice.between_signed(-90, 90);
            let part = match kind {
                0 => Part::Chat(Platform::Discord),
                1 => Part::Chat(Platform::Matrix),
                2 => Part::Node,
                3 => Part::Database,
                4 => Part::Machine,
                _ if dice.one_in(2) => Part::Clock(off_by),
                _ => Part::Files,
            };
            at += SignedDuration::from_secs(i64::try_from(pause).unwrap());
            let until = at + SignedDuration::from_secs(i64::try_from(length).unwrap());
            if until >= ends {
                break;
            }
            outages.push((part, at, until));
            at = until;
        }
    }
    outages
}

/// What was posted for everybody: notice, occurrence, channel, operation; what became of it.
type Told = BTreeSet<(String, String, String, &'static str, &'static str)>;

struct Month {
    told: Told,
    ended: Timestamp,
    outages: usize,
    misled: Vec<String>,
}

fn play(loaded: &Arc<Loaded>, upgrade: &Upgrade, seed: Option<u64>) -> Result<Month> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    let outages = seed.map(outages).unwrap_or_default();
    let drawn = outages.len();
    runtime.block_on(async {
        let script = Script {
            seed,
            dies_one_in: 400,
            outages,
            spacing: SPACING,
            ..Script::default()
        };
        let mut model = Model::new(loaded, upgrade, script);
        model.play().await?;
        let posts = model.look().await?.into_values();
        let told =
            posts.filter(|p| p.state != PostState::Superseded && !p.notice.starts_with("op-"));
        let told = told.map(|p| {
            let (operation, state) = (p.operation.name(), p.state.name());
            (p.notice, p.occurrence, p.channel, operation, state)
        });
        Ok(Month {
            told: told.collect(),
            ended: model.now(),
            outages: drawn,
            misled: std::mem::take(&mut model.misled),
        })
    })
}

/// The difference from an undisturbed month; nothing, if there is none.
fn difference(seed: u64, usual: &Month, month: &Month) -> Option<String> {
    let missing: Vec<_> = usual.told.difference(&month.told).collect();
    let more: Vec<_> = month.told.difference(&usual.told).collect();
    let misled = &month.misled;
    let differs = !missing.is_empty() || !more.is_empty() || !misled.is_empty();
    differs
        .then(|| format!("seed {seed}: missing {missing:#?}, more {more:#?}, misled {misled:#?}"))
}

#[allow(clippy::disallowed_methods)]
fn number(variable: &str) -> Result<Option<u64>> {
    let read = std::env::var(variable).ok().map(|text| text.parse());
    read.transpose()
        .with_context(|| format!("{variable} is to be a number"))
}

#[test]
fn a_month_of_faults_loses_nothing_repeats_nothing_and_health_says_so() -> Result<()> {
    let seeds = match number("HERALD_TEST_SEED")? {
        Some(one) => one..one + 1,
        None => 0..number("HERALD_TEST_MONTHS")?.unwrap_or(SEEDS),
    };
    let (loaded, upgrade) = model::sample(SignedDuration::from_hours(OPENS * 24), SPACING, false);
    let usual = play(&loaded, &upgrade, None)?;
    ensure!(usual.misled.is_empty(), "{:#?}", usual.misled);
    let (mut posts, mut drawn, mut days, mut failed) = (0, 0, 0, Vec::new());
    for seed in seeds.clone() {
        match play(&loaded, &upgrade, Some(seed)) {
            Ok(month) => {
                (posts, drawn) = (posts + month.told.len(), drawn + month.outages);
                days += month.ended.duration_since(model::begins()).as_hours() / 24;
                failed.extend(difference(seed, &usual, &month));
            }
            Err(error) => failed.push(format!("seed {seed}: {error:#}")),
        }
    }
    println!(
        "{}",
        json!({
            "months": seeds.end - seeds.start,
            "days": days,
            "outages": drawn,
            "posts": posts,
            "failed": failed.len(),
        })
    );
    ensure!(
        failed.is_empty(),
        "{}",
        failed[..failed.len().min(3)].join("\n")
    );
    Ok(())
}
