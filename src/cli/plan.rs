//! `herald plan`

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::{
    adapters::clock::SystemClock,
    config::Origin,
    domain::{campaign::upgrade::Upgrade, outbox::Post, plan::notice::Trigger},
    lint::{self, Loaded},
    plan::planner::timed,
    ports::Clock,
    run::logging,
    words::icalendar::{self, IcalEvent},
};

/// How long a notice takes in a calendar: some programs hide what takes no time.
const NOTICE_LENGTH: SignedDuration = SignedDuration::from_mins(15);

pub fn run(folder: Option<PathBuf>, json: bool, ics: bool) -> Result<ExitCode> {
    let loaded = match lint::load(&Origin::choose(folder, true)) {
        Ok(loaded) => loaded,
        Err(findings) => return Ok(logging::refuse(&findings)),
    };
    let (plan, zone) = (&loaded.config.plan, loaded.renderer.zone());
    let now = SystemClock.now();
    if ics {
        use std::io::Write as _;
        let events: Vec<IcalEvent> = loaded
            .config
            .upgrades
            .iter()
            .flat_map(|file| events(&loaded, &file.upgrade))
            .collect();
        let _ = write!(
            std::io::stdout(),
            "{}",
            icalendar::write("Runtime upgrades", &events, now)
        );
        return Ok(ExitCode::SUCCESS);
    }
    for file in &loaded.config.upgrades {
        let upgrade = &file.upgrade;
        let posts = timeline(&loaded, upgrade);
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
                let channels: Vec<&str> = posts
                    .iter()
                    .filter(|p| p.due == post.due && p.notice == post.notice)
                    .map(|p| p.channel.as_str())
                    .collect();
                let past = if post.due < now { "  (past)" } else { "" };
                out!(
                    "  {:<46} {:<16} {}{past}",
                    zone.written(post.due),
                    post.notice,
                    channels.join(", ")
                );
            }
        }
        for notice in plan.notices(upgrade.urgency) {
            if let Trigger::On(happening) = &notice.trigger {
                out!(
                    "  {:<46} {:<16} {}",
                    format!("when {}", happening.name().replace('_', " ")),
                    notice.id,
                    notice.channels.join(", ")
                );
            }
        }
    }
    if loaded.config.upgrades.is_empty() && !json {
        out!("No upgrade is planned: add a file to config/upgrades.");
    }
    Ok(ExitCode::SUCCESS)
}

/// The posts by the clock, in order.
fn timeline(loaded: &Loaded, upgrade: &Upgrade) -> Vec<Post> {
    let mut posts = timed(upgrade, 1, &loaded.config.plan, Timestamp::UNIX_EPOCH);
    posts.retain(|p| p.is_message());
    posts.sort_by_key(|p| (p.due, p.rank));
    posts
}

/// The window, and each notice by the clock with where it goes.
fn events(loaded: &Loaded, upgrade: &Upgrade) -> Vec<IcalEvent> {
    let url = upgrade.links.first().map(|link| link.url.clone());
    let mut events = vec![IcalEvent {
        uid: format!("{}@upgrade-herald", upgrade.id),
        starts: upgrade.window.opens,
        ends: upgrade.window.closes,
        title: upgrade.title.clone(),
        description: described(loaded, upgrade),
        url: url.clone(),
        busy: true,
        sequence: 0,
        cancelled: false,
    }];
    for post in timeline(loaded, upgrade) {
        let uid = format!(
            "{}/{}/{}@upgrade-herald",
            upgrade.id, post.notice, post.occurrence
        );
        match events.iter_mut().find(|event| event.uid == uid) {
            Some(event) => event.description.push_str(&format!(", {}", post.channel)),
            None => events.push(IcalEvent {
                uid,
                starts: post.due,
                ends: post.due.checked_add(NOTICE_LENGTH).unwrap_or(post.due),
                title: format!("{}: notice {}", upgrade.title, post.notice),
                description: format!("herald posts it in {}", post.channel),
                url: url.clone(),
                busy: false,
                sequence: 0,
                cancelled: false,
            }),
        }
    }
    events
}

/// What the window brings, who must do what, and where to read more.
fn described(loaded: &Loaded, upgrade: &Upgrade) -> String {
    let zone = loaded.renderer.zone();
    let mut lines = vec![upgrade.summary.clone(), String::new()];
    for (audience, duty) in &upgrade.duties {
        let action = if duty.required {
            "action needed"
        } else {
            "no action"
        };
        let node = duty
            .node_version
            .as_ref()
            .map(|v| format!(" Node {v} or newer."))
            .unwrap_or_default();
        let by = duty
            .by
            .map(|by| format!(" By {}.", zone.written(by)))
            .unwrap_or_default();
        lines.push(format!(
            "For {}, {action}: {}{node}{by}",
            audience.name(),
            duty.what
        ));
    }
    let chains = upgrade
        .chains
        .iter()
        .map(|(name, target)| format!("{name} to {}", target.spec_version));
    lines.push(format!("Chains: {}", chains.collect::<Vec<_>>().join(", ")));
    lines.extend(
        upgrade
            .links
            .iter()
            .map(|link| format!("{}: {}", link.name, link.url)),
    );
    lines.join("\n").trim().to_owned()
}
