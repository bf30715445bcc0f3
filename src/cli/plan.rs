//! `herald plan`

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::{
    open::{existing_store, load},
    plan_window, standing,
};
use crate::{
    adapters::clock::SystemClock,
    config::Deployment,
    domain::{
        campaign::{Campaign, upgrade::Upgrade},
        outbox::Post,
        plan::notice::{MissedPolicy, Trigger},
    },
    lint::{ExpectedPosts, Loaded, expected_posts},
    plan::planner::{as_filed, timed},
    ports::{CampaignStore, Clock},
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
            let loaded = load(folder)?;
            let known = known(&loaded.config.deployment).await;
            let (now, files) = (SystemClock.now(), loaded.config.upgrades.iter());
            let campaigns: Vec<Campaign> = files
                .map(|file| as_filed(&known, &file.upgrade, now))
                .collect();
            print(&loaded, &campaigns, args.json, args.ics);
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// The campaigns of a herald that runs, since commands have changed them. Before its first start there are none.
async fn known(deployment: &Deployment) -> Vec<Campaign> {
    let at = &deployment.store;
    if !at.shared() && !is_there(&at.url) {
        return Vec::new();
    }
    let read = async || Ok::<_, anyhow::Error>(existing_store(deployment).await?.upgrades().await?);
    read().await.unwrap_or_else(|error| {
        eprintln!(
            "{error}; this is the timeline of the files alone, without what commands changed"
        );
        Vec::new()
    })
}

/// Tells whether the file of a store is there.
fn is_there(url: &str) -> bool {
    let path = url.strip_prefix("sqlite://").unwrap_or(url);
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    Path::new(path).exists()
}

/// Prints the timelines of all upgrades.
fn print(loaded: &Loaded, campaigns: &[Campaign], json: bool, ics: bool) {
    if ics {
        use std::io::Write as _;
        let events: Vec<IcalEvent> = campaigns.iter().flat_map(|c| events(loaded, c)).collect();
        let calendar = icalendar::write("Runtime upgrades", &events, SystemClock.now());
        super::note_unwritten(write!(std::io::stdout(), "{calendar}"));
    } else if json {
        campaigns.iter().for_each(|c| print_json(loaded, c));
    } else if campaigns.is_empty() {
        out!("No upgrade is planned: add a file to config/upgrades.");
    } else {
        let now = SystemClock.now();
        for line in campaigns.iter().flat_map(|c| lines(loaded, c, now)) {
            out!("{line}");
        }
    }
}

fn print_json(loaded: &Loaded, campaign: &Campaign) {
    let upgrade = &campaign.upgrade;
    if upgrade.given_up() || upgrade.poll.is_some() {
        out!(
            "{}",
            json!({ "upgrade": upgrade.id, "state": campaign.standing(), "reason": upgrade.reason() })
        );
    }
    for post in timeline(loaded, campaign) {
        out!(
            "{}",
            json!({ "upgrade": upgrade.id, "notice": post.notice, "channel": post.channel, "due": post.due, "key": post.key })
        );
    }
}

/// Lists where an upgrade stands, what is posted by the clock, notice by notice, and what waits for something to happen.
pub(super) fn lines(loaded: &Loaded, campaign: &Campaign, now: Timestamp) -> Vec<String> {
    let (zone, upgrade) = (loaded.renderer.zone(), &campaign.upgrade);
    let mut lines = standing::lines(campaign, zone);
    if upgrade.given_up() {
        lines.push("  nothing more is posted by the clock".to_owned());
        return lines;
    }
    let posts = timeline(loaded, campaign);
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
        let past = past(loaded, campaign, post, now);
        lines.push(format!(
            "  {:<46} {:<16} {}{past}",
            zone.written(post.due),
            post.notice,
            channels.join(", ")
        ));
    }
    if upgrade.poll.is_none() {
        lines.extend(expected(loaded, upgrade));
    }
    for notice in loaded.config.plan.notices(upgrade.urgency) {
        if let Trigger::On(happening) = &notice.trigger {
            lines.push(format!(
                "  {:<46} {:<16} {}",
                format!("when {}", happening.name().replace('_', " ")),
                notice.id,
                notice.channels.join(", ")
            ));
        }
    }
    lines
}

/// Says how many posts each channel gets when all goes well, and how many of them notify people.
fn expected(loaded: &Loaded, upgrade: &Upgrade) -> Vec<String> {
    let several = upgrade.chains.len() > 1;
    let all = expected_posts(&loaded.config, upgrade.urgency, &upgrade.window, several);
    let line = |(channel, own): (&str, ExpectedPosts)| {
        let notify = match own.mentions {
            0 => "none notifies anybody".to_owned(),
            1 => "1 notifies people".to_owned(),
            many => format!("{many} notify people"),
        };
        let posts = if own.posts == 1 { "post" } else { "posts" };
        format!(
            "  {channel}: {} {posts} if all goes well, {notify}",
            own.posts
        )
    };
    all.into_iter().map(line).collect()
}

/// Says of a post whose time is over what becomes, or became, of it.
fn past(loaded: &Loaded, campaign: &Campaign, post: &Post, now: Timestamp) -> &'static str {
    let urgency = campaign.upgrade.urgency;
    let notice = loaded.config.plan.notice(urgency, &post.notice);
    match notice.map(|notice| notice.if_missed) {
        _ if post.due >= now => "",
        Some(MissedPolicy::Now) if post.due <= campaign.accepted => "  (missed: posted at once)",
        Some(MissedPolicy::Skip) if post.due <= campaign.accepted => "  (missed: left out)",
        _ => "  (past)",
    }
}

/// The posts by the clock, in order; while no window is set there are none.
fn timeline(loaded: &Loaded, campaign: &Campaign) -> Vec<Post> {
    let upgrade = &campaign.upgrade;
    if upgrade.given_up() || upgrade.poll.is_some() {
        return Vec::new();
    }
    by_clock(loaded, campaign)
}

fn by_clock(loaded: &Loaded, campaign: &Campaign) -> Vec<Post> {
    let (plan, start) = (&loaded.config.plan, Timestamp::UNIX_EPOCH);
    let mut posts = timed(&campaign.upgrade, campaign.revision, plan, start);
    posts.retain(|p| p.is_message());
    posts.sort_by_key(|p| (p.due, p.rank));
    posts
}

/// The window, and each notice by the clock with where it goes. Those of an upgrade that was given up are called off, so
/// that they leave the calendars they are in.
pub(super) fn events(loaded: &Loaded, campaign: &Campaign) -> Vec<IcalEvent> {
    let upgrade = &campaign.upgrade;
    if upgrade.poll.is_some() {
        return Vec::new();
    }
    let url = upgrade.links.first().map(|link| link.url.clone());
    let (sequence, cancelled) = (campaign.sequence(), upgrade.given_up());
    let mut events = vec![IcalEvent {
        uid: format!("{}@upgrade-herald", upgrade.id),
        starts: upgrade.window.opens,
        ends: upgrade.window.closes,
        title: upgrade.title.clone(),
        description: described(loaded, upgrade),
        url: url.clone(),
        busy: !cancelled,
        sequence,
        cancelled,
    }];
    for post in by_clock(loaded, campaign) {
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
                sequence,
                cancelled,
            }),
        }
    }
    events
}

/// Describes what the window brings, who must do what, and where to read more.
fn described(loaded: &Loaded, upgrade: &Upgrade) -> String {
    let zone = loaded.renderer.zone();
    let reason = upgrade
        .reason()
        .map(|reason| format!("Called off: {reason}"));
    let mut lines: Vec<String> = reason.into_iter().collect();
    lines.extend([upgrade.summary.clone(), String::new()]);
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
