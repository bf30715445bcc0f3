//! `herald status`

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use serde_json::json;

use crate::{
    app,
    config::Origin,
    domain::post::{Post, PostState},
    ports::Store,
    service::desk::next_notice,
    store::SqlStore,
};

pub async fn run(folder: Option<PathBuf>, json: bool) -> Result<ExitCode> {
    let loaded = match app::load(&Origin::choose(folder, false)) {
        Ok(loaded) => loaded,
        Err(findings) => return Ok(app::refuse(&findings)),
    };
    let url = &loaded.config.deployment.store;
    let store = match SqlStore::open_existing(url).await {
        Ok(store) => store,
        Err(error) => anyhow::bail!("{error}; `herald run` makes it at its first start"),
    };
    let (upgrades, troubles) = (store.upgrades().await?, store.troubles().await?);
    let zone = loaded.renderer.zone();
    for accepted in &upgrades {
        let posts = store.posts(&accepted.upgrade.id).await?;
        let count = |state: PostState| posts.iter().filter(|p| p.state == state).count();
        let next = next_notice(&posts);
        if json {
            let counts: serde_json::Map<String, serde_json::Value> =
                PostState::ALL.iter().map(|s| (s.name().to_owned(), json!(count(*s)))).collect();
            out!(
                "{}",
                json!({ "upgrade": accepted.upgrade.id, "state": accepted.progress.state, "revision": accepted.revision, "chains": accepted.progress.chains,
                        "feedback": accepted.progress.feedback, "posts": counts, "next": next.map(|p| json!({ "notice": p.notice, "due": p.due })) })
            );
            continue;
        }
        out!("{} ({}): {}", accepted.upgrade.title, accepted.upgrade.id, accepted.progress.state.name());
        out!("  window {} to {}", zone.written(accepted.upgrade.window.opens), zone.written(accepted.upgrade.window.closes));
        for (name, chain) in &accepted.progress.chains {
            let target = accepted.upgrade.chains.get(name).map_or(0, |t| t.spec_version);
            let version = chain.spec_version.map_or("not seen yet".to_owned(), |v| v.to_string());
            out!("  {name}: {}, spec_version {version}, target {target}", chain.stage.name());
        }
        match next {
            Some(post) => out!("  next: {} at {}", post.notice, zone.written(post.due)),
            None => out!("  next: nothing by the clock"),
        }
        let states: Vec<String> = PostState::ALL.iter().filter(|s| count(**s) > 0).map(|s| format!("{} {}", count(*s), s.name())).collect();
        out!("  posts: {}", states.join(", "));
        for post in posts.iter().filter(|p| worth_telling(p)) {
            out!("    {} {} in {}: {}", post.state.name(), post.notice, post.channel, why(post));
        }
    }
    for (part, trouble, since) in &troubles {
        if json {
            out!("{}", json!({ "part": part, "trouble": trouble, "since": since }));
        } else {
            out!("{part}: {trouble} (since {})", zone.written(*since));
        }
    }
    if upgrades.is_empty() && !json {
        out!("No upgrade is known yet: start `herald run`.");
    }
    Ok(ExitCode::SUCCESS)
}

fn worth_telling(post: &Post) -> bool {
    matches!(post.state, PostState::Parked | PostState::Skipped) || (post.state == PostState::Sending && post.error.is_some())
}

fn why(post: &Post) -> String {
    match (&post.error, post.state) {
        (Some(error), _) => error.clone(),
        (None, PostState::Skipped) => "it was due before the upgrade was accepted".to_owned(),
        (None, _) => "no reason kept".to_owned(),
    }
}
