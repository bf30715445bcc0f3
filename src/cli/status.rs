//! `herald status`

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use serde_json::json;

use super::existing_store;
use crate::{
    adapters::clock::SystemClock,
    answer::next_notice,
    config::Origin,
    domain::{
        campaign::progress::ChainProgress,
        chain::fact::{Fact, FactKind},
        outbox::{Post, PostState},
    },
    lint,
    ports::{CampaignStore, Clock, LeadershipStore, OutboxStore, RecordStore, ReplicaInfo},
    run::logging,
    words::Zone,
};

pub async fn run(folder: Option<PathBuf>, json: bool) -> Result<ExitCode> {
    let loaded = match lint::load(&Origin::choose(folder, false)) {
        Ok(loaded) => loaded,
        Err(findings) => return Ok(logging::refuse(&findings)),
    };
    let store = existing_store(&loaded.config.deployment).await?;
    let (upgrades, troubles) = (store.upgrades().await?, store.troubles().await?);
    let zone = loaded.renderer.zone();
    for campaign in &upgrades {
        let posts = store.posts(&campaign.upgrade.id).await?;
        let count = |state: PostState| posts.iter().filter(|p| p.state == state).count();
        let next = next_notice(&posts);
        if json {
            let counts: serde_json::Map<String, serde_json::Value> = PostState::ALL
                .iter()
                .map(|s| (s.name().to_owned(), json!(count(*s))))
                .collect();
            out!(
                "{}",
                json!({ "upgrade": campaign.upgrade.id, "state": campaign.progress.state, "revision": campaign.revision, "chains": campaign.progress.chains,
                        "feedback": campaign.progress.feedback, "posts": counts, "kept_back": kept_back(&posts), "next": next.map(|p| json!({ "notice": p.notice, "due": p.due })) })
            );
            continue;
        }
        out!(
            "{} ({}): {}",
            campaign.upgrade.title,
            campaign.upgrade.id,
            campaign.progress.state.name()
        );
        out!(
            "  window {} to {}",
            zone.written(campaign.upgrade.window.opens),
            zone.written(campaign.upgrade.window.closes)
        );
        for (name, chain) in &campaign.progress.chains {
            let known = !campaign.upgrade.unplanned || chain.applied.is_some();
            let target = campaign
                .upgrade
                .chains
                .get(name)
                .filter(|_| known)
                .map_or("not known".to_owned(), |t| t.spec_version.to_string());
            let version = chain
                .spec_version
                .map_or("not seen yet".to_owned(), |v| v.to_string());
            out!(
                "  {name}: {}, spec_version {version}, target {target}{}",
                chain.stage.name(),
                under_way(chain, zone)
            );
        }
        if let Some(news) = &campaign.progress.referendum {
            out!(
                "  referendum {news}{}",
                campaign
                    .progress
                    .scheduled
                    .as_ref()
                    .map(|f| expected(f, zone))
                    .unwrap_or_default()
            );
        }
        match next {
            Some(post) => out!("  next: {} at {}", post.notice, zone.written(post.due)),
            None => out!("  next: nothing by the clock"),
        }
        let states: Vec<String> = PostState::ALL
            .iter()
            .filter(|s| count(**s) > 0)
            .map(|s| format!("{} {}", count(*s), s.name()))
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
    for (name, memory) in store.memories().await? {
        let Some(matter) = memory.matter else {
            continue;
        };
        if json {
            out!(
                "{}",
                json!({ "chain": name, "matter": matter.kind, "since": matter.since, "block": memory.number })
            );
        } else {
            out!(
                "chain {name}: {} (since {}; the last block known is {})",
                matter.kind.name(),
                zone.written(matter.since),
                memory.number
            );
        }
    }
    for fact in store.facts_of(FactKind::Unexamined).await? {
        if json {
            out!("{}", json!(fact));
        } else {
            out!(
                "chain {}: events in blocks {} were not examined",
                fact.chain,
                fact.detail()
            );
        }
    }
    let now = SystemClock.now();
    for ReplicaInfo {
        name,
        active,
        since,
        seen,
    } in store.replicas().await?
    {
        let silent = now.duration_since(seen) > loaded.config.deployment.delivery.lease;
        let word = if active {
            "active"
        } else if silent {
            "not heard of"
        } else {
            "standing by"
        };
        if json {
            out!(
                "{}",
                json!({ "replica": name, "is": word, "since": since, "seen": seen })
            );
        } else {
            out!(
                "replica {name}: {word} (runs since {}, last seen {})",
                zone.written(since),
                zone.written(seen)
            );
        }
    }
    for (part, trouble, since) in &troubles {
        if json {
            out!(
                "{}",
                json!({ "part": part, "trouble": trouble, "since": since })
            );
        } else {
            out!("{part}: {trouble} (since {})", zone.written(*since));
        }
    }
    if upgrades.is_empty() && !json {
        out!("No upgrade is known yet: start `herald run`.");
    }
    Ok(ExitCode::SUCCESS)
}

/// Posts that wait for people, or did so for too long.
fn kept_back(posts: &[Post]) -> Vec<serde_json::Value> {
    let kept = posts
        .iter()
        .filter(|p| matches!(p.state, PostState::Held | PostState::Expired));
    kept.map(|p| json!({ "notice": p.notice, "channel": p.channel, "operation": p.operation, "state": p.state, "reason": p.error }))
        .collect()
}

/// What is still to come on a chain.
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
