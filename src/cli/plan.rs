//! `herald plan`

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::{open::load_or_embedded, plan_window};
use crate::{
    adapters::clock::SystemClock,
    domain::{campaign::upgrade::Upgrade, outbox::Post, plan::notice::Trigger},
    lint::Loaded,
    plan::planner::timed,
    ports::Clock,
    words::icalendar::{self, IcalEvent},
};

/// How long a notice takes in a calendar: some programs hide what takes no time.
const NOTICE_LENGTH: SignedDuration = SignedDuration::from_mins(15);

/// Show the timeline of each upgrade, or propose a window
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// Results as lines of JSON
    #[arg(long, global = true)]
    json: bool,
    /// The timeline as an iCalendar file: the window, and each notice by the clock
    #[arg(long, conflicts_with = "json")]
    ics: bool,
    #[command(subcommand)]
    command: Option<PlanCommand>,
}

#[derive(Debug, Subcommand)]
enum PlanCommand {
    Window(plan_window::WindowArgs),
}

pub async fn run(folder: Option<PathBuf>, args: PlanArgs) -> Result<ExitCode> {
    match args.command {
        Some(_) if args.ics => {
            bail!(
                "proposals are no calendar: `herald plan --ics` writes the timeline of the upgrades that have a window"
            )
        }
        Some(PlanCommand::Window(window)) => plan_window::run(folder, window, args.json).await,
        None => {
            print(&load_or_embedded(folder)?, args.json, args.ics);
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Prints the timelines of all upgrades.
fn print(loaded: &Loaded, json: bool, ics: bool) {
    let upgrades = loaded.config.upgrades.iter().map(|file| &file.upgrade);
    if ics {
        use std::io::Write as _;
        let events: Vec<IcalEvent> = upgrades.flat_map(|u| events(loaded, u)).collect();
        let calendar = icalendar::write("Runtime upgrades", &events, SystemClock.now());
        let _ = write!(std::io::stdout(), "{calendar}");
    } else if json {
        upgrades.for_each(|upgrade| print_json(loaded, upgrade));
    } else if loaded.config.upgrades.is_empty() {
        out!("No upgrade is planned: add a file to config/upgrades.");
    } else {
        upgrades.for_each(|upgrade| print_timeline(loaded, upgrade));
    }
}

fn print_json(loaded: &Loaded, upgrade: &Upgrade) {
    for post in timeline(loaded, upgrade) {
        out!(
            "{}",
            json!({ "upgrade": upgrade.id, "notice": post.notice, "channel": post.channel, "due": post.due, "key": post.key })
        );
    }
}

/// Prints what is posted by the clock, notice by notice, and what waits for something to happen.
fn print_timeline(loaded: &Loaded, upgrade: &Upgrade) {
    let (zone, now) = (loaded.renderer.zone(), SystemClock.now());
    out!(
        "{} ({}): window {} to {}",
        upgrade.title,
        upgrade.id,
        zone.written(upgrade.window.opens),
        zone.written(upgrade.window.closes)
    );
    let posts = timeline(loaded, upgrade);
    let mut last = None;
    for post in &posts {
        let notice = (post.due, &post.notice);
        if last.replace(notice) == Some(notice) {
            continue;
        }
        let channels: Vec<&str> = posts
            .iter()
            .filter(|p| (p.due, &p.notice) == notice)
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
    for notice in loaded.config.plan.notices(upgrade.urgency) {
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

/// Describes what the window brings, who must do what, and where to read more.
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
