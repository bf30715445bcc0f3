//! Reads the figures for Prometheus from the store, so that a restart forgets none.

use std::{collections::BTreeMap, sync::atomic::AtomicU64};

use jiff::Timestamp;
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

use super::Site;
use crate::{
    domain::{
        campaign::{Campaign, progress::Stage},
        outbox::{Post, PostState},
    },
    outbox::Core,
    ports::StoreError,
    words::context,
};

pub(super) const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The steps in which the lateness of posts is counted, in seconds.
const LATENESS_BUCKETS_S: [f64; 9] = [1.0, 2.0, 5.0, 15.0, 60.0, 300.0, 1_800.0, 7_200.0, 86_400.0];

type Level = Gauge<f64, AtomicU64>;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfPosts {
    channel: String,
    operation: String,
    state: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfChannel {
    channel: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfChain {
    chain: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfEndpoint {
    chain: String,
    endpoint: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfClock {
    upgrade: String,
    clock: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfUpgrade {
    upgrade: String,
    state: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfPart {
    part: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfVersion {
    version: String,
}

pub(super) async fn read(site: &Site) -> Result<String, StoreError> {
    let core = site.core();
    let now = core.clock.now();
    let mut registry = Registry::with_prefix("herald");
    process(site, &mut registry);
    let upgrades = core.store.upgrades().await?;
    let mut posts = Vec::new();
    for campaign in &upgrades {
        posts.extend(core.store.posts(&campaign.upgrade.id).await?);
    }
    of_posts(&core, &posts, now, &mut registry);
    of_upgrades(&core, &upgrades, now, &mut registry);
    of_chains(site, &core, now, &mut registry).await?;
    let troubles = core.store.troubles().await?;
    let part = Family::<OfPart, Gauge>::default();
    registry.register(
        "trouble",
        "1 for each part of which something is wrong; /readyz says what",
        part.clone(),
    );
    let store = (site.vitals)().store.map(|_| "store".to_owned());
    for name in troubles.into_iter().map(|(part, ..)| part).chain(store) {
        part.get_or_create(&OfPart { part: name }).set(1);
    }
    let mut text = String::new();
    encode(&mut text, &registry).map_err(|error| StoreError::invalid("the figures", error))?;
    Ok(text)
}

fn process(site: &Site, registry: &mut Registry) {
    let vitals = (site.vitals)();
    let version = Family::<OfVersion, Gauge>::default();
    registry.register("build", "herald's version", version.clone());
    version
        .get_or_create(&OfVersion {
            version: env!("CARGO_PKG_VERSION").into(),
        })
        .set(1);
    let figure = |registry: &mut Registry, name: &str, help: &str, value: i64| {
        let gauge = Gauge::<i64>::default();
        gauge.set(value);
        registry.register(name, help, gauge);
    };
    figure(
        registry,
        "active",
        "1 if this process posts, 0 if it stands by",
        i64::from(vitals.active),
    );
    figure(
        registry,
        "hanging",
        "Parts of this process that hang",
        i64::try_from(vitals.hangs.len()).unwrap_or(i64::MAX),
    );
    figure(
        registry,
        "page_followers",
        "Readers who follow the page now",
        i64::try_from(site.readers.count()).unwrap_or(i64::MAX),
    );
}

fn of_posts(core: &Core, posts: &[Post], now: Timestamp, registry: &mut Registry) {
    let (count, attempts) = (Family::<OfPosts, Gauge>::default(), Gauge::<i64>::default());
    let late = Histogram::new(LATENESS_BUCKETS_S);
    let waiting = Family::<OfChannel, Level>::default();
    let mut oldest: BTreeMap<&str, Timestamp> = BTreeMap::new();
    for post in posts {
        let labels = OfPosts {
            channel: post.channel.clone(),
            operation: post.operation.name().into(),
            state: post.state.name().into(),
        };
        count.get_or_create(&labels).inc();
        attempts.inc_by(post.attempts.into());
        match (post.state, post.sent) {
            (PostState::Sent, Some(sent)) if post.is_message() => {
                late.observe(sent.duration_since(post.due).as_secs_f64().max(0.0));
            }
            (PostState::Planned | PostState::Sending, _)
                if post.operation.rules().blocks_channel =>
            {
                let due = oldest.entry(&post.channel).or_insert(post.due);
                *due = (*due).min(post.due);
            }
            _ => {}
        }
    }
    for channel in core.outlets.keys().map(String::as_str) {
        let seconds = oldest
            .get(channel)
            .map_or(0.0, |due| now.duration_since(*due).as_secs_f64().max(0.0));
        waiting
            .get_or_create(&OfChannel {
                channel: channel.to_owned(),
            })
            .set(seconds);
    }
    registry.register(
        "posts",
        "Rows of the outbox, by what is done and how far it has come",
        count,
    );
    registry.register("post_attempts", "Attempts at all of them", attempts);
    registry.register(
        "post_lateness_seconds",
        "From when a post was due to when it was out",
        late,
    );
    registry.register(
        "channel_waiting_seconds",
        "For how long the first post that is due waits in a channel",
        waiting,
    );
}

fn of_upgrades(core: &Core, upgrades: &[Campaign], now: Timestamp, registry: &mut Registry) {
    let (state, clock, opens) = (
        Family::<OfUpgrade, Gauge>::default(),
        Family::<OfClock, Level>::default(),
        Family::<OfClock, Level>::default(),
    );
    let snapshot = core.snapshot();
    for campaign in upgrades
        .iter()
        .filter(|campaign| !campaign.progress.finished())
    {
        let upgrade = campaign.upgrade.id.clone();
        state
            .get_or_create(&OfUpgrade {
                upgrade: upgrade.clone(),
                state: campaign.standing().into(),
            })
            .set(1);
        let window = &campaign.upgrade.window;
        let set = campaign.upgrade.poll.is_none() && !campaign.upgrade.given_up();
        let clocks = [
            ("window_opens", Some(window.opens).filter(|_| set)),
            ("window_closes", Some(window.closes).filter(|_| set)),
            ("poll", campaign.votes_due()),
            (
                "feedback",
                context::closes(&campaign.progress, snapshot.plan())
                    .filter(|_| campaign.progress.feedback.is_none()),
            ),
        ];
        for (name, at) in clocks
            .into_iter()
            .filter_map(|(name, at)| Some((name, at?)))
        {
            let left = at.duration_since(now).as_secs_f64();
            clock
                .get_or_create(&OfClock {
                    upgrade: upgrade.clone(),
                    clock: name.into(),
                })
                .set(left);
        }
        for (name, chain) in &campaign.progress.chains {
            let health = chain
                .health
                .as_ref()
                .filter(|_| chain.stage == Stage::Applied);
            let since = health.map_or(0.0, |health| {
                health.last.duration_since(health.since).as_secs_f64()
            });
            opens
                .get_or_create(&OfClock {
                    upgrade: upgrade.clone(),
                    clock: name.clone(),
                })
                .set(since);
        }
    }
    registry.register("upgrade_state", "1 for the state an upgrade is in", state);
    registry.register(
        "clock_seconds",
        "Until a time that an upgrade waits for; below zero, since",
        clock,
    );
    registry.register(
        "verifying_seconds",
        "For how long a chain has been healthy while it is verified; 0 while it is not",
        opens,
    );
}

async fn of_chains(
    site: &Site,
    core: &Core,
    now: Timestamp,
    registry: &mut Registry,
) -> Result<(), StoreError> {
    let (block, age) = (
        Family::<OfChain, Gauge>::default(),
        Family::<OfChain, Level>::default(),
    );
    for (name, memory) in core.store.memories().await? {
        let chain = OfChain { chain: name };
        block
            .get_or_create(&chain)
            .set(i64::try_from(memory.number).unwrap_or(i64::MAX));
        if let Some(at) = memory.time {
            age.get_or_create(&chain)
                .set(now.duration_since(at).as_secs_f64());
        }
    }
    let (answers, lag) = (
        Family::<OfEndpoint, Gauge>::default(),
        Family::<OfChain, Gauge>::default(),
    );
    for (name, chain) in &site.chains {
        let sight = chain.sight();
        for endpoint in &sight.endpoints {
            let of = OfEndpoint {
                chain: name.clone(),
                endpoint: endpoint.name.clone(),
            };
            answers.get_or_create(&of).set(i64::from(endpoint.answers));
        }
        if let Some(blocks) = sight.lag {
            lag.get_or_create(&OfChain {
                chain: name.clone(),
            })
            .set(i64::try_from(blocks).unwrap_or(i64::MAX));
        }
    }
    registry.register(
        "chain_block",
        "The last finalized block that was read",
        block,
    );
    registry.register(
        "chain_block_age_seconds",
        "From that block's own time until now",
        age,
    );
    registry.register("chain_finality_lag_blocks", "Best minus finalized", lag);
    registry.register("endpoint_answers", "1 if an endpoint answers", answers);
    Ok(())
}
