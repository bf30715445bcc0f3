//! `herald status`

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::Args;
use jiff::Timestamp;
use serde_json::json;

use super::{
    open::{Opened, open},
    standing,
};
use crate::{
    adapters::clock::SystemClock,
    answer::next_notice,
    domain::{
        campaign::{
            Campaign,
            progress::{Awaited, ChainProgress},
        },
        chain::{fact::Fact, fact_kind::FactKind, observation::Matter},
        outbox::{Post, PostState},
    },
    plan::requests,
    ports::{
        CampaignStore, Clock, LeadershipStore, OutboxStore, RecordStore, ReplicaInfo, Request,
        RequestStore,
    },
    words::Zone,
};

/// Show where each upgrade stands, from the store
#[derive(Debug, Args)]
pub struct StatusArgs {
    #[arg(long)]
    json: bool,
}

pub async fn run(folder: Option<PathBuf>, args: StatusArgs) -> Result<ExitCode> {
    let opened = open(folder).await?;
    let view = StatusView::read(&opened).await?;
    if args.json {
        view.print_json();
    } else {
        view.print(opened.renderer.zone());
    }
    Ok(ExitCode::SUCCESS)
}

/// The state of everything, as the store has it.
struct StatusView {
    campaigns: Vec<(Campaign, Vec<Post>)>,
    /// Commands that wait for a herald that runs.
    waiting: Vec<Request>,
    /// The chains with which something is the matter, and the last block known of each.
    matters: Vec<(String, Matter, u64)>,
    /// Blocks whose events nobody has read.
    unexamined: Vec<Fact>,
    /// Each replica with what it does.
    replicas: Vec<(ReplicaInfo, &'static str)>,
    /// The parts of herald that can't do their work: part, trouble, since when.
    troubles: Vec<(String, String, Timestamp)>,
}

impl StatusView {
    async fn read(opened: &Opened) -> Result<Self> {
        let store = &opened.store;
        let mut campaigns = Vec::new();
        for campaign in store.upgrades().await? {
            let posts = store.posts(&campaign.upgrade.id).await?;
            campaigns.push((campaign, posts));
        }
        let memories = store.memories().await?.into_iter();
        let matters = memories.filter_map(|(name, m)| Some((name, m.matter?, m.number)));
        let now = SystemClock.now();
        let with_state = |replica: ReplicaInfo| {
            let silent = now.duration_since(replica.seen);
            let state = match replica.active {
                true => "active",
                false if silent > opened.config.deployment.delivery.lease => "not heard of",
                false => "standing by",
            };
            (replica, state)
        };
        let replicas = store.replicas().await?.into_iter();
        Ok(Self {
            campaigns,
            waiting: store.requests().await?,
            matters: matters.collect(),
            unexamined: store.facts_of(FactKind::Unexamined).await?,
            replicas: replicas.map(with_state).collect(),
            troubles: store.troubles().await?,
        })
    }

    fn print_json(&self) {
        for (campaign, posts) in &self.campaigns {
            out!("{}", campaign_json(campaign, posts));
        }
        for request in &self.waiting {
            out!(
                "{}",
                json!({ "change": request.number, "upgrade": request.upgrade, "what": request.change.to_string(), "by": request.author, "since": request.at })
            );
        }
        for (name, matter, block) in &self.matters {
            out!(
                "{}",
                json!({ "chain": name, "matter": matter.kind, "since": matter.since, "block": block })
            );
        }
        for fact in &self.unexamined {
            out!("{}", json!(fact));
        }
        for (replica, state) in &self.replicas {
            out!(
                "{}",
                json!({ "replica": replica.name, "is": state, "since": replica.since, "seen": replica.seen })
            );
        }
        for (part, trouble, since) in &self.troubles {
            out!(
                "{}",
                json!({ "part": part, "trouble": trouble, "since": since })
            );
        }
    }

    fn print(&self, zone: &Zone) {
        for (campaign, posts) in &self.campaigns {
            print_campaign(campaign, zone);
            print_posts(posts, zone);
        }
        for request in &self.waiting {
            out!(
                "waits for a herald that runs: {}; `herald discard {}` takes it back",
                requests::in_words(request),
                request.number
            );
        }
        for (name, matter, block) in &self.matters {
            out!(
                "chain {name}: {} (since {}; the last block known is {block})",
                matter.kind.name(),
                zone.written(matter.since),
            );
        }
        for fact in &self.unexamined {
            out!(
                "chain {}: events in blocks {} were not examined",
                fact.chain,
                fact.detail()
            );
        }
        for (replica, state) in &self.replicas {
            out!(
                "replica {}: {state} (runs since {}, last seen {})",
                replica.name,
                zone.written(replica.since),
                zone.written(replica.seen)
            );
        }
        for (part, trouble, since) in &self.troubles {
            out!("{part}: {trouble} (since {})", zone.written(*since));
        }
        if self.campaigns.is_empty() {
            out!("No upgrade is known yet: start `herald run`.");
        }
    }
}

fn count(posts: &[Post], state: PostState) -> usize {
    posts.iter().filter(|p| p.state == state).count()
}

pub(super) fn campaign_json(campaign: &Campaign, posts: &[Post]) -> serde_json::Value {
    let counts: serde_json::Map<String, serde_json::Value> = PostState::ALL
        .iter()
        .map(|s| (s.name().to_owned(), json!(count(posts, *s))))
        .collect();
    let next = next_notice(posts).map(|p| json!({ "notice": p.notice, "due": p.due }));
    json!({ "upgrade": campaign.upgrade.id, "state": campaign.standing(), "reason": campaign.upgrade.reason(), "no_go": campaign.on_hold(), "revision": campaign.revision, "chains": campaign.progress.chains,
            "feedback": campaign.progress.feedback, "posts": counts, "kept_back": kept_back(posts), "next": next })
}

fn print_campaign(campaign: &Campaign, zone: &Zone) {
    let Campaign {
        upgrade, progress, ..
    } = campaign;
    for line in standing::lines(campaign, zone) {
        out!("{line}");
    }
    for (name, chain) in &progress.chains {
        let known = !upgrade.unplanned || chain.applied.is_some();
        let target = upgrade.chains.get(name).filter(|_| known);
        let target = target.map_or("not known".to_owned(), |t| t.spec_version.to_string());
        let version = chain.spec_version;
        let version = version.map_or("not seen yet".to_owned(), |v| v.to_string());
        out!(
            "  {name}: {}, spec_version {version}, target {target}{}",
            chain.stage.name(),
            under_way(chain, zone)
        );
    }
    if let Some(news) = &progress.referendum {
        let scheduled = progress.scheduled.as_ref();
        let expected = scheduled.map(|f| expected(f, zone)).unwrap_or_default();
        out!("  referendum {news}{expected}");
    }
}

fn print_posts(posts: &[Post], zone: &Zone) {
    match next_notice(posts) {
        Some(post) => out!("  next: {} at {}", post.notice, zone.written(post.due)),
        None => out!("  next: nothing by the clock"),
    }
    let states: Vec<String> = PostState::ALL
        .iter()
        .map(|state| (count(posts, *state), state.name()))
        .filter(|(count, _)| *count > 0)
        .map(|(count, name)| format!("{count} {name}"))
        .collect();
    out!("  posts: {}", states.join(", "));
    for post in posts.iter().filter(|p| worth_telling(p)) {
        out!(
            "    {} {} in {}: {}",
            post.state.name(),
            post.notice,
            post.channel,
            why(post)
        );
    }
}

/// Posts that wait for people, or did so for too long.
fn kept_back(posts: &[Post]) -> Vec<serde_json::Value> {
    let kept = posts
        .iter()
        .filter(|p| matches!(p.state, PostState::Held | PostState::Expired));
    kept.map(|p| json!({ "notice": p.notice, "channel": p.channel, "operation": p.operation, "state": p.state, "reason": p.error }))
        .collect()
}

/// Says what is still to come on a chain.
fn under_way(chain: &ChainProgress, zone: &Zone) -> String {
    let mut words = chain
        .ahead
        .as_ref()
        .map(|f| expected(f, zone))
        .unwrap_or_default();
    if let Some(migration) = chain.migration.as_ref().filter(|m| m.running) {
        let total = migration
            .total
            .map(|n| format!(" of {n}"))
            .unwrap_or_default();
        words.push_str(&format!(
            ", migrating {}{total}{}",
            migration.done,
            if migration.stuck { ", stuck" } else { "" }
        ));
    }
    let awaited = match chain.awaited() {
        Some((Awaited::Session | Awaited::PendingConfig, Some(session))) => {
            format!(", waits for session {session}")
        }
        Some((Awaited::Era, Some(era))) => format!(", waits for era {era}"),
        Some((Awaited::PendingConfig, None)) => ", waits for what follows the upgrade".to_owned(),
        _ => String::new(),
    };
    words.push_str(&awaited);
    let watch = chain.parachains.as_ref();
    if let Some(watch) = watch.filter(|watch| watch.missing().next().is_some()) {
        words.push_str(&format!(
            ", parachains stopped: {}",
            watch.missing_in_words()
        ));
    }
    words
}

fn expected(fact: &Fact, zone: &Zone) -> String {
    let Some(expected) = &fact.expected else {
        return String::new();
    };
    let time = expected.estimate.map(|e| {
        format!(
            ", about {} ± {} min",
            zone.written(e.at),
            e.band.as_secs() / 60 + 1
        )
    });
    format!(
        ", with block {} of {}{}",
        expected.block,
        expected.chain,
        time.unwrap_or_default()
    )
}

fn worth_telling(post: &Post) -> bool {
    matches!(
        post.state,
        PostState::Parked | PostState::Skipped | PostState::Held | PostState::Expired
    ) || (post.state == PostState::Sending && post.error.is_some())
}

fn why(post: &Post) -> String {
    match (&post.error, post.state) {
        (Some(error), _) => error.clone(),
        (None, PostState::Skipped) => "it was due before the upgrade was accepted".to_owned(),
        (None, _) => "no reason kept".to_owned(),
    }
}
