//! `herald plan`

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use serde_json::json;

use crate::{
    app,
    clock::SystemClock,
    config::Origin,
    domain::{notice::Trigger, post::Operation},
    ports::Clock,
    service::planner::timed,
};

pub fn run(folder: Option<PathBuf>, json: bool) -> Result<ExitCode> {
    let loaded = match app::load(&Origin::choose(folder, true)) {
        Ok(loaded) => loaded,
        Err(findings) => return Ok(app::refuse(&findings)),
    };
    let (plan, zone) = (&loaded.config.plan, loaded.renderer.zone());
    let now = SystemClock.now();
    for file in &loaded.config.upgrades {
        let upgrade = &file.upgrade;
        let mut posts = timed(upgrade, 1, plan, jiff::Timestamp::UNIX_EPOCH);
        posts.retain(|p| p.operation == Operation::Post);
        posts.sort_by_key(|p| (p.due, p.rank));
        if json {
            for post in &posts {
                out!(
                    "{}",
                    json!({ "upgrade": upgrade.id, "notice": post.notice, "channel": post.channel, "due": post.due, "key": post.key })
                );
            }
            continue;
        }
        out!(
            "{} ({}): window {} to {}",
            upgrade.title,
            upgrade.id,
            zone.written(upgrade.window.opens),
            zone.written(upgrade.window.closes)
        );
        let mut last = None;
        for post in &posts {
            if last.replace((post.due, &post.notice)) != Some((post.due, &post.notice)) {
                let channels: Vec<&str> =
                    posts.iter().filter(|p| p.due == post.due && p.notice == post.notice).map(|p| p.channel.as_str()).collect();
                let past = if post.due < now { "  (past)" } else { "" };
                out!("  {:<46} {:<16} {}{past}", zone.written(post.due), post.notice, channels.join(", "));
            }
        }
        for notice in plan.notices(upgrade.urgency) {
            if let Trigger::On(happening) = &notice.trigger {
                out!("  {:<46} {:<16} {}", format!("when {}", happening.name().replace('_', " ")), notice.id, notice.channels.join(", "));
            }
        }
    }
    if loaded.config.upgrades.is_empty() && !json {
        out!("No upgrade is planned: add a file to config/upgrades.");
    }
    Ok(ExitCode::SUCCESS)
}
