//! What may be away – Discord, Matrix, a node, the database – for a minute, an hour and a day, and what the readers of each
//! platform have of it afterwards. On the model's stepped clock, against the same upgrade undisturbed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use anyhow::{Context, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use upgrade_herald::{
    domain::{
        campaign::upgrade::Upgrade,
        outbox::{Operation, Post, PostState},
        plan::notice::LatePolicy,
    },
    lint::Loaded,
    ports::Platform,
};

use crate::harness::{
    chats::Asked,
    model::{self, Model, Outage, Part, Script},
};

const PARTS: [Part; 4] = [
    Part::Chat(Platform::Discord),
    Part::Chat(Platform::Matrix),
    Part::Node,
    Part::Database,
];
const LENGTHS: [SignedDuration; 3] = [
    SignedDuration::from_mins(1),
    SignedDuration::from_hours(1),
    SignedDuration::from_hours(24),
];
const SPACING: u32 = 120;
/// What came meanwhile is out this long after the end at the latest: the longest backoff, its spread, and a channel's turn.
const CAUGHT_UP: SignedDuration = SignedDuration::from_mins(10);
/// From then on a post says that it is late, and a fact that it was learnt late.
const LATE_AFTER: SignedDuration = SignedDuration::from_mins(2);
const LATE_FACT: SignedDuration = SignedDuration::from_mins(4);

/// Everything one undisturbed or disturbed life of the upgrade left behind.
struct Life {
    loaded: Arc<Loaded>,
    upgrade: Upgrade,
    posts: Vec<Post>,
    asked: BTreeMap<Platform, Vec<Asked>>,
}

fn live(loaded: &Arc<Loaded>, upgrade: &Upgrade, outage: Option<Outage>) -> Result<Life> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    runtime.block_on(async {
        let mut model = Model::new(
            loaded,
            upgrade,
            Script {
                outages: outage.into_iter().collect(),
                spacing: SPACING,
                ..Script::default()
            },
        );
        model.play().await?;
        let posts = model.look().await?.into_values().collect();
        let asked = model
            .chats
            .iter()
            .map(|(platform, chat)| (*platform, chat.asked()))
            .collect();
        Ok(Life {
            loaded: loaded.clone(),
            upgrade: upgrade.clone(),
            posts,
            asked,
        })
    })
}

type Name = (String, String, String, &'static str);

impl Life {
    /// What a platform's channels were to get, by name.
    fn on(&self, platform: Platform) -> BTreeMap<Name, &Post> {
        let here = self
            .posts
            .iter()
            .filter(|p| self.loaded.config.deployment.channels[&p.channel].platform == platform);
        here.map(|p| {
            (
                (
                    p.channel.clone(),
                    p.notice.clone(),
                    p.occurrence.clone(),
                    p.operation.name(),
                ),
                p,
            )
        })
        .collect()
    }

    /// Whether a post that could not go out before then is of no use any more: the plan says so, or it speaks of what is
    /// to come, and it has come.
    fn may_be_dropped(&self, post: &Post, until: Timestamp) -> bool {
        let notice = self
            .loaded
            .config
            .plan
            .notice(self.upgrade.urgency, &post.notice);
        let has_come = until > self.upgrade.window.opens + model::APPLIED
            && post.due <= self.upgrade.window.opens;
        has_come || notice.is_some_and(|n| n.late != LatePolicy::Post)
    }
}

/// Requests in five seconds that a channel can bear: a read-back and a post each second.
const BEARABLE: usize = 10;

#[derive(Default)]
struct Cell {
    posts: usize,
    late: usize,
    skipped: usize,
    /// Of one channel, what it was asked while it was away.
    away: usize,
    /// Of one channel, what it was asked in five seconds.
    storm: usize,
}

/// What the readers of a platform have of an outage.
fn look(
    platform: Platform,
    usual: &Life,
    life: &Life,
    (part, from, until): Outage,
) -> Result<Cell> {
    let (usual_posts, posts) = (usual.on(platform), life.on(platform));
    let mut cell = Cell {
        posts: posts.len(),
        ..Cell::default()
    };
    if matches!(part, Part::Chat(other) if other != platform) {
        let times = |posts: &BTreeMap<Name, &Post>| -> Vec<_> {
            // The review's draft says what became of all channels.
            let text = |p: &Post| {
                p.body
                    .as_ref()
                    .filter(|_| p.notice != "op-review")
                    .map(|b| b.text.clone())
            };
            posts
                .iter()
                .map(|(name, p)| (name.clone(), p.sent, text(p)))
                .collect()
        };
        let (usual, now) = (times(&usual_posts), times(&posts));
        if let Some((usual, now)) = usual.iter().zip(&now).find(|(usual, now)| usual != now) {
            anyhow::bail!("the other platform's outage is felt: {now:?} for {usual:?}");
        }
    }
    // Who can't see the chain says so to operators; that is the one thing more.
    let operators = |name: &Name| part == Part::Node && name.1.starts_with("op-");
    let names = |posts: &BTreeMap<Name, &Post>| {
        posts
            .keys()
            .filter(|n| !operators(n))
            .cloned()
            .collect::<BTreeSet<_>>()
    };
    let (wanted, got) = (names(&usual_posts), names(&posts));
    let (missing, more): (Vec<_>, Vec<_>) = (
        wanted.difference(&got).collect(),
        got.difference(&wanted).collect(),
    );
    ensure!(
        missing.is_empty() && more.is_empty(),
        "missing {missing:?}, more {more:?}"
    );
    for (name, post) in &posts {
        let usually = usual_posts.get(name).copied();
        if usually
            .is_some_and(|usually| usually.state == post.state && post.state != PostState::Sent)
        {
            continue;
        }
        if matches!(post.state, PostState::Skipped | PostState::Superseded) {
            ensure!(
                life.may_be_dropped(post, until),
                "{name:?} is {:?}: {:?}",
                post.state,
                post.error
            );
            cell.skipped += 1;
            continue;
        }
        let sent = post
            .sent
            .with_context(|| format!("{name:?} is {:?}", post.state))?;
        let usually = usually.and_then(|p| p.sent);
        let by = usually.unwrap_or(post.due).max(until).max(post.due) + CAUGHT_UP;
        let untouched = usually.is_some_and(|usually| usually < from);
        ensure!(
            !untouched || usually == Some(sent),
            "{name:?} was sent before the outage, and now at {sent}"
        );
        ensure!(
            sent <= by,
            "{name:?}, due {}, is sent at {sent}; the outage ended at {until}",
            post.due
        );
        let says = post.late || post.fact.as_ref().is_some_and(|f| f.late);
        // A fact learnt late is due when it is learnt: it says so by the block's own time.
        let happened = post
            .fact
            .as_ref()
            .and_then(|f| f.time)
            .filter(|at| part == Part::Node && from <= *at && *at < until);
        let is_late = sent.duration_since(post.due) > LATE_AFTER
            || happened.is_some_and(|at| until.duration_since(at) > LATE_FACT);
        if post.operation == Operation::Post && is_late && !says {
            anyhow::bail!(
                "{name:?}, due {}, is sent at {sent} and doesn't say that it is late",
                post.due
            );
        }
        cell.late += usize::from(says);
    }
    let asked = &life.asked[&platform];
    ensure!(
        !asked.iter().any(|a| a.too_soon),
        "it was asked again before the time it gave"
    );
    let places: BTreeSet<&String> = asked.iter().map(|a| &a.place).collect();
    for place in places {
        let at: Vec<&Asked> = asked.iter().filter(|a| a.place == *place).collect();
        let away = at
            .iter()
            .filter(|a| from <= a.at && a.at < until && !a.taken)
            .count();
        let within = |a: &&Asked| {
            at.iter()
                .filter(|b| {
                    a.at <= b.at && b.at.duration_since(a.at) < SignedDuration::from_secs(5)
                })
                .count()
        };
        let storm = at.iter().map(within).max().unwrap_or(0);
        (cell.away, cell.storm) = (cell.away.max(away), cell.storm.max(storm));
    }
    let length = until.duration_since(from);
    let patient = 12 + usize::try_from(length.as_mins() / 4)?;
    ensure!(
        cell.storm <= BEARABLE,
        "a channel was asked {} times in 5 s, which is a storm",
        cell.storm
    );
    ensure!(
        cell.away <= patient,
        "asked {} times in {length:#}, which is not patient",
        cell.away
    );
    Ok(cell)
}

#[test]
fn whatever_is_away_for_however_long_everything_is_caught_up_in_order() -> Result<()> {
    let (loaded, upgrade) = model::sample(SignedDuration::from_hours(8 * 24), SPACING, true);
    let usual = live(&loaded, &upgrade, None)?;
    // The authorization is in the middle of what is away.
    let middle = upgrade.window.opens + model::AUTHORIZED;
    let runs = PARTS
        .iter()
        .flat_map(|part| LENGTHS.map(|length| (*part, middle - length / 2, middle + length / 2)));
    let (mut cells, mut failed, mut all) = (0, Vec::new(), Cell::default());
    for outage in runs {
        let (part, from, until) = outage;
        let life = live(&loaded, &upgrade, Some(outage));
        for platform in [Platform::Discord, Platform::Matrix] {
            cells += 1;
            let seen = life
                .as_ref()
                .map_err(|e| anyhow::anyhow!("{e:#}"))
                .and_then(|life| look(platform, &usual, life, outage));
            match seen {
                Ok(cell) => {
                    (all.posts, all.late, all.skipped) = (
                        all.posts + cell.posts,
                        all.late + cell.late,
                        all.skipped + cell.skipped,
                    );
                    (all.away, all.storm) = (all.away.max(cell.away), all.storm.max(cell.storm));
                }
                Err(error) => failed.push(format!(
                    "{part:?} away for {:#}, on {}: {error:#}",
                    until.duration_since(from),
                    platform.name()
                )),
            }
        }
    }
    println!(
        "{}",
        json!({
            "cells": cells,
            "failed": failed.len(),
            "posts": all.posts,
            "late": all.late,
            "skipped": all.skipped,
            "asked_while_away": all.away,
            "asked_in_5_s": all.storm,
        })
    );
    ensure!(failed.is_empty(), "{}", failed.join("\n"));
    Ok(())
}
