//! `herald rehearse`

use std::{
    collections::BTreeMap, io::IsTerminal, net::SocketAddr, path::PathBuf, process::ExitCode,
    sync::Arc, time::Duration,
};

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use jiff::{SignedDuration, Timestamp, ToSpan};
use strum::IntoEnumIterator;
use tokio::{net::TcpListener, task::JoinSet};

use super::{drill, open::Refused, urgency};
use crate::{
    adapters::clock::SystemClock,
    config::{Config, Origin, load_upgrade, suggest},
    domain::{
        campaign::upgrade::{Duty, Target, Upgrade, Urgency, Window},
        plan::{
            notice::Audience,
            schedule::{Offset, civil_instant},
            window::longest_lead,
        },
    },
    lint::{self, Loaded},
    ports::Clock,
    rehearsal::{
        Controls, Output, PlannedChange, Recording, Rehearsal, RehearsalOptions, Scenario,
        browser::BrowserRehearsal, recordings_for,
    },
    run::logging,
    words::Zone,
};

/// A pause before each post, so that a reader can follow.
const READING_PAUSE: Duration = Duration::from_millis(400);

/// Play a whole upgrade with embedded chain and rooms: no account, no network, no server
#[derive(Debug, Args)]
pub struct RehearseArgs {
    /// Without pauses for a reader
    #[arg(long)]
    once: bool,
    /// Facts and posts as lines of JSON
    #[arg(long)]
    json: bool,
    /// Served to a browser on this machine, where you can take part; on a free port, or on this IP:port
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, default_missing_value = "127.0.0.1:0", conflicts_with_all = ["once", "json"])]
    browser: Option<SocketAddr>,
    /// The plan to play: routine, expedited, emergency; or all of them, with an upgrade that is cancelled
    #[arg(long, value_name = "PLAN", default_value = "routine", value_parser = played_plan, conflicts_with = "upgrade")]
    plan: PlayedPlan,
    /// A recording to play instead of the embedded one
    #[arg(long, value_name = "FILE")]
    recording: Option<PathBuf>,
    /// The upgrade to announce instead of one made from the recording, as if herald were started now
    #[arg(long, value_name = "FILE")]
    upgrade: Option<PathBuf>,
    /// Play an upgrade that went wrong, and compare what people knew with what herald says: kusama-2025-05-09, laos-2026-03,
    /// wrong-code, short-notice, call-fails, half-way
    #[arg(long, value_name = "NAME", value_parser = drill::drill_name, conflicts_with_all = ["json", "browser", "plan", "recording", "upgrade"])]
    drill: Option<String>,
    /// With --upgrade: begin before its first notice, whatever day it is
    #[arg(long, requires = "upgrade")]
    from_start: bool,
}

/// The plan of one urgency, or all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PlayedPlan {
    One(Urgency),
    All,
}

fn played_plan(name: &str) -> Result<PlayedPlan, String> {
    const ALL: &str = "all";
    if name == ALL {
        return Ok(PlayedPlan::All);
    }
    let names = || Urgency::iter().map(Urgency::name).chain([ALL]);
    urgency(name)
        .map(PlayedPlan::One)
        .map_err(|_| suggest(name, names()))
}

pub async fn run(folder: Option<PathBuf>, args: RehearseArgs) -> Result<ExitCode> {
    logging::log("error");
    if args.plan == PlayedPlan::All && args.browser.is_some() {
        bail!("`--plan all` plays one upgrade after the other; in the browser, name one plan");
    }
    let origin = Origin::choose(folder, true);
    if origin == Origin::Embedded {
        eprintln!("There is no folder `config` here, so the built-in example is played.");
    }
    let loaded = lint::load(&origin).map_err(Refused)?;
    if let Some(name) = &args.drill {
        return drill::play(loaded, name).await;
    }
    let recording = match &args.recording {
        None => None,
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("{} can't be read; check the path", path.display()))?;
            Some(Recording::parse(&text).map_err(|e| anyhow!("{}: {e}", path.display()))?)
        }
    };
    let scenarios = match &args.upgrade {
        Some(path) => {
            let Config {
                deployment, plan, ..
            } = &loaded.config;
            vec![Scenario {
                upgrade: load_upgrade(path, deployment, plan).map_err(Refused)?,
                change: None,
            }]
        }
        None => scenarios(args.plan, recording.as_ref(), &loaded.config)?,
    };
    if let Some(scenario) = scenarios
        .iter()
        .find(|scenario| scenario.upgrade.given_up())
    {
        let Upgrade { title, .. } = &scenario.upgrade;
        bail!(
            "the file says that {title} was given up; take `cancelled` or `failed` out of it to rehearse it"
        );
    }
    // A window that has opened can't be played from now on: nothing would be left to say before it.
    let now = SystemClock.now();
    let is_ahead = |scenario: &Scenario| now < scenario.upgrade.window.opens;
    let from_now = args.upgrade.is_some() && !args.from_start && scenarios.iter().all(is_ahead);
    let begins = from_now.then_some(now);
    match args.browser {
        None => play(&loaded, scenarios, recording, begins, &args).await,
        Some(address) => {
            let Some(scenario) = scenarios.into_iter().next() else {
                bail!("there is nothing to rehearse")
            };
            play_in_browser(address, &loaded, &scenario, recording, begins).await
        }
    }
}

/// Plays the upgrades one after the other, and says how they ended.
async fn play(
    loaded: &Loaded,
    scenarios: Vec<Scenario>,
    recording: Option<Recording>,
    begins: Option<Timestamp>,
    args: &RehearseArgs,
) -> Result<ExitCode> {
    let zone = loaded.renderer.zone();
    let pace = if args.once || args.json {
        Duration::ZERO
    } else {
        READING_PAUSE
    };
    let (mut fine, mut lines) = (true, Vec::new());
    for scenario in scenarios {
        let quiet = args.json || !std::io::stderr().is_terminal();
        let output = Output::new(args.json, quiet, zone.clone());
        output.say(&opening(&scenario, zone));
        let options = RehearsalOptions {
            recordings: recordings_for(&scenario.upgrade, recording.clone())
                .map_err(anyhow::Error::msg)?,
            scenario,
            output,
            begins,
            pace,
            controls: None,
        };
        let (config, renderer) = (loaded.config.clone(), loaded.renderer.clone());
        let result = Rehearsal::prepare(config, renderer, options)
            .await?
            .run()
            .await?;
        fine &= result.fine;
        lines.extend(result.lines);
    }
    let summary = lines.join("\n");
    if args.json {
        eprintln!("{summary}")
    } else {
        out!("\n{summary}")
    }
    Ok(ExitCode::from(u8::from(!fine)))
}

fn opening(scenario: &Scenario, zone: &Zone) -> String {
    let upgrade = &scenario.upgrade;
    format!(
        "\n━━ Rehearsing {} ({}): window {} to {}.\nThe chains are recordings, the rooms are in memory, the people are invented.",
        upgrade.title,
        upgrade.urgency.name(),
        zone.written(upgrade.window.opens),
        zone.written(upgrade.window.closes)
    )
}

/// Plays one upgrade for a browser, as often as its viewer likes, until interrupted.
async fn play_in_browser(
    address: SocketAddr,
    loaded: &Loaded,
    scenario: &Scenario,
    recording: Option<Recording>,
    begins: Option<Timestamp>,
) -> Result<ExitCode> {
    if !address.ip().is_loopback() {
        bail!(
            "{address} can be reached from elsewhere, and whoever looks at a rehearsal may order it about; take 127.0.0.1:PORT"
        );
    }
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("{address} can't be listened on; take another port"))?;
    let controls = Arc::new(Controls::default());
    let browser = BrowserRehearsal::new(controls.clone());
    out!(
        "The rehearsal is at http://{}/ (end it with Ctrl-C)",
        listener.local_addr()?
    );
    let mut tasks = JoinSet::new();
    tasks.spawn(browser.clone().keep());
    let router = browser.router();
    tasks.spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            eprintln!("nothing is served any more: {error}");
        }
    });
    let played: Result<()> = tokio::select! {
        ended = play_again_and_again(loaded, scenario, recording, begins, &controls, &browser) => ended,
        _ = tokio::signal::ctrl_c() => Ok(()),
    };
    played.map(|()| ExitCode::SUCCESS)
}

async fn play_again_and_again(
    loaded: &Loaded,
    scenario: &Scenario,
    recording: Option<Recording>,
    begins: Option<Timestamp>,
    controls: &Arc<Controls>,
    browser: &BrowserRehearsal,
) -> Result<()> {
    let zone = loaded.renderer.zone();
    loop {
        let options = RehearsalOptions {
            recordings: recordings_for(&scenario.upgrade, recording.clone())
                .map_err(anyhow::Error::msg)?,
            scenario: scenario.clone(),
            output: Output::new(false, true, zone.clone()).shown_by(controls.clone()),
            begins,
            pace: Duration::ZERO,
            controls: Some(controls.clone()),
        };
        let (config, renderer) = (loaded.config.clone(), loaded.renderer.clone());
        let rehearsal = Rehearsal::prepare(config, renderer, options).await?;
        browser.show(&rehearsal);
        opening(scenario, zone)
            .lines()
            .for_each(|line| controls.tell(line));
        let result = rehearsal.run().await?;
        if !controls.begins_again() {
            controls.ends(&result.lines);
            controls.wait_for_another().await;
        }
    }
}

/// One upgrade of the urgency that was asked for, whose window moves if it is a routine one; or one of each, and one more that
/// is cancelled. A recording that was asked for is played once, as it is.
fn scenarios(
    asked: PlayedPlan,
    recording: Option<&Recording>,
    config: &Config,
) -> Result<Vec<Scenario>> {
    if let Some(recording) = recording {
        let urgency = match asked {
            PlayedPlan::One(urgency) => urgency,
            PlayedPlan::All => bail!(
                "`--plan all` plays the embedded recording; with one of your own, name one plan"
            ),
        };
        return Ok(vec![Scenario {
            upgrade: made_from(recording, urgency, config),
            change: None,
        }]);
    }
    let recording = Recording::embedded().map_err(anyhow::Error::msg)?;
    let scenario = |urgency, name: &str, change| {
        let upgrade = made_from(&recording, urgency, config);
        Scenario {
            upgrade: Upgrade {
                id: format!("{}-{name}", upgrade.id),
                ..upgrade
            },
            change,
        }
    };
    let mut scenarios = Vec::new();
    for urgency in Urgency::iter() {
        if asked != PlayedPlan::All && asked != PlayedPlan::One(urgency) {
            continue;
        }
        let routine = urgency == Urgency::Routine;
        let moves = routine.then_some(PlannedChange::Reschedule);
        scenarios.push(scenario(urgency, urgency.name(), moves));
        if routine && asked == PlayedPlan::All {
            scenarios.push(scenario(urgency, "cancelled", Some(PlannedChange::Cancel)));
        }
    }
    Ok(scenarios)
}

/// An upgrade from the recording's own versions, on the next Tuesday that leaves time for every notice.
fn made_from(recording: &Recording, urgency: Urgency, config: &Config) -> Upgrade {
    let (before, after) = recording.versions();
    let opens = window_opens(SystemClock.now(), urgency, config).unwrap_or(Timestamp::UNIX_EPOCH);
    let later = |hours: i64| {
        opens
            .checked_add(SignedDuration::from_hours(hours))
            .unwrap_or(opens)
    };
    let duty = |required, what: &str, by| Duty {
        required,
        what: what.to_owned(),
        node_version: None,
        by,
    };
    let duties = BTreeMap::from([
        (
            Audience::Validators,
            duty(
                true,
                "Update your node and watch it through the upgrade.",
                Some(later(-4)),
            ),
        ),
        (
            Audience::Developers,
            duty(
                true,
                "Test your tools against the new metadata.",
                Some(later(-2)),
            ),
        ),
        (
            Audience::Users,
            duty(
                false,
                "Nothing to do; transactions may take a few seconds longer.",
                None,
            ),
        ),
    ]);
    let chains = [(
        recording.chain.clone(),
        Target {
            spec_version: after,
            code_hash: None,
        },
    )]
    .into();
    let (id, title) = (
        format!("{}-{after}", recording.chain),
        format!("{} runtime {after}", recording.chain),
    );
    Upgrade {
        summary: format!(
            "A rehearsal: {} goes from runtime {before} to {after}.",
            recording.chain
        ),
        urgency,
        duties,
        ..Upgrade::new(
            id,
            title,
            Window {
                opens,
                closes: later(2),
            },
            chains,
        )
    }
}

/// 14:00 in the plan's zone, on the first Tuesday by which every notice can have been posted.
fn window_opens(now: Timestamp, urgency: Urgency, config: &Config) -> Option<Timestamp> {
    let zone = &config.plan.zone;
    let lead = match longest_lead(config.plan.notices(urgency)) {
        Some((_, Offset::Days(days))) => -days,
        Some((_, Offset::Exact(seconds))) => -seconds / 86_400 + 1,
        None => 0,
    };
    let mut day = zone
        .to_datetime(now)
        .date()
        .checked_add((lead + 1).days())
        .ok()?;
    while day.weekday() != jiff::civil::Weekday::Tuesday {
        day = day.tomorrow().ok()?;
    }
    civil_instant(day.at(14, 0, 0, 0), zone)
}
