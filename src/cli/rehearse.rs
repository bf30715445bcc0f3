//! `herald rehearse`

use std::{
    collections::BTreeMap, io::IsTerminal, net::SocketAddr, path::PathBuf, process::ExitCode,
    sync::Arc, time::Duration,
};

use anyhow::{Context, Result, bail};
use jiff::{SignedDuration, Timestamp, ToSpan};
use strum::IntoEnumIterator;
use tokio::{net::TcpListener, task::JoinSet};

use super::args::RehearseArgs;
use crate::{
    adapters::clock::SystemClock,
    config::{Config, Origin, load_upgrade},
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
        Controls, Output, Recording, Rehearsal, Scenario, Twist, browser::BrowserRehearsal, cast,
    },
    run::logging,
    words::Zone,
};

pub async fn run(folder: Option<PathBuf>, args: RehearseArgs) -> Result<ExitCode> {
    logging::log("error");
    let loaded = match lint::load(&Origin::choose(folder, true)) {
        Ok(loaded) => loaded,
        Err(findings) => return Ok(logging::refuse(&findings)),
    };
    let asked = match &args.recording {
        None => None,
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("{} can't be read; check the path", path.display()))?;
            Some(Recording::parse(&text).map_err(|e| anyhow::anyhow!("{}: {e}", path.display()))?)
        }
    };
    let acts = match &args.upgrade {
        Some(path) => match load_upgrade(path, &loaded.config.deployment, &loaded.config.plan) {
            Ok(upgrade) => vec![Scenario {
                upgrade,
                twist: None,
            }],
            Err(findings) => return Ok(logging::refuse(&findings)),
        },
        None => acts(args.plan, asked.as_ref(), &loaded.config)?,
    };
    if let Some(address) = args.browser {
        let Some(act) = acts.into_iter().next() else {
            bail!("there is nothing to rehearse")
        };
        return staged(address, &loaded, act, asked.as_ref()).await;
    }
    let zone = loaded.renderer.zone().clone();
    let pace = if args.once || args.json {
        Duration::ZERO
    } else {
        Duration::from_millis(400)
    };
    let (mut fine, mut lines) = (true, Vec::new());
    for act in acts {
        let output = Output::new(
            args.json,
            args.json || !std::io::stderr().is_terminal(),
            zone.clone(),
        );
        output.say(&opening(&act, &zone));
        let recordings = cast(&act.upgrade, asked.clone()).map_err(anyhow::Error::msg)?;
        let rehearsal = Rehearsal::prepare(
            loaded.config.clone(),
            loaded.renderer.clone(),
            recordings,
            act,
            output,
            pace,
            None,
        )
        .await?;
        let verdict = rehearsal.run().await?;
        fine &= verdict.fine;
        lines.extend(verdict.lines);
    }
    let summary = lines.join("\n");
    if args.json {
        eprintln!("{summary}")
    } else {
        out!("\n{summary}")
    }
    Ok(if fine {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    })
}

fn opening(act: &Scenario, zone: &Zone) -> String {
    format!(
        "\n━━ Rehearsing {} ({}): window {} to {}.\nThe chains are recordings, the rooms are in memory, the people are invented.",
        act.upgrade.title,
        act.upgrade.urgency.name(),
        zone.written(act.upgrade.window.opens),
        zone.written(act.upgrade.window.closes)
    )
}

/// Plays one upgrade for a browser, as often as its viewer likes, until interrupted.
async fn staged(
    address: SocketAddr,
    loaded: &Loaded,
    act: Scenario,
    asked: Option<&Recording>,
) -> Result<ExitCode> {
    if !address.ip().is_loopback() {
        bail!(
            "{address} can be reached from elsewhere, and whoever looks at a rehearsal may order it about; take 127.0.0.1:PORT"
        );
    }
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("{address} can't be listened on; take another port"))?;
    let stage = Arc::new(Controls::default());
    let theatre = BrowserRehearsal::new(stage.clone());
    out!(
        "The rehearsal is at http://{}/ (end it with Ctrl-C)",
        listener.local_addr()?
    );
    let mut tasks = JoinSet::new();
    tasks.spawn(theatre.clone().keep());
    let router = theatre.router();
    tasks.spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            eprintln!("nothing is served any more: {error}");
        }
    });
    let play = async {
        loop {
            let zone = loaded.renderer.zone().clone();
            let output = Output::new(false, true, zone.clone()).on(stage.clone());
            let recordings = cast(&act.upgrade, asked.cloned()).map_err(anyhow::Error::msg)?;
            let opening = opening(&act, &zone);
            let (config, renderer) = (loaded.config.clone(), loaded.renderer.clone());
            let rehearsal = Rehearsal::prepare(
                config,
                renderer,
                recordings,
                act.clone(),
                output,
                Duration::ZERO,
                Some(stage.clone()),
            )
            .await?;
            theatre.show(&rehearsal);
            opening.lines().for_each(|line| stage.tell(line));
            let verdict = rehearsal.run().await?;
            if !stage.begins_again() {
                stage.ends(&verdict.lines);
                stage.wait_for_another().await;
            }
        }
    };
    let played: Result<()> = tokio::select! {
        ended = play => ended,
        _ = tokio::signal::ctrl_c() => Ok(()),
    };
    played.map(|()| ExitCode::SUCCESS)
}

/// One upgrade of each urgency that was asked for: a routine one whose window moves, and one more that is cancelled.
/// A recording that was asked for is played once, as it is.
fn acts(
    urgency: Option<Urgency>,
    recording: Option<&Recording>,
    config: &Config,
) -> Result<Vec<Scenario>> {
    let upgrade = |urgency| match recording {
        Some(recording) => anyhow::Ok(made_from(recording, urgency, config)),
        None => anyhow::Ok(made_from(
            &Recording::embedded().map_err(anyhow::Error::msg)?,
            urgency,
            config,
        )),
    };
    if recording.is_some() {
        return Ok(vec![Scenario {
            upgrade: upgrade(urgency.unwrap_or(Urgency::Routine))?,
            twist: None,
        }]);
    }
    let mut acts = Vec::new();
    for one in Urgency::iter().filter(|u| urgency.is_none_or(|asked| asked == *u)) {
        let routine = one == Urgency::Routine;
        let named = |name: &str| {
            let upgrade = upgrade(one)?;
            anyhow::Ok(Upgrade {
                id: format!("{}-{name}", upgrade.id),
                ..upgrade
            })
        };
        acts.push(Scenario {
            upgrade: named(one.name())?,
            twist: routine.then_some(Twist::Reschedule),
        });
        if routine {
            acts.push(Scenario {
                upgrade: named("cancelled")?,
                twist: Some(Twist::Cancel),
            });
        }
    }
    Ok(acts)
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
