//! `herald rehearse`

use std::{collections::BTreeMap, io::IsTerminal, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context, Result};
use jiff::{SignedDuration, Timestamp, ToSpan};

use crate::{
    app::{self, RehearseArgs},
    clock::SystemClock,
    config::{Config, Origin, load_upgrade},
    domain::{
        notice::Audience,
        schedule::civil_instant,
        upgrade::{Duty, Target, Upgrade, Window},
    },
    ports::Clock,
    rehearsal::{Output, Recording, Rehearsal, cast},
};

pub async fn run(folder: Option<PathBuf>, args: RehearseArgs) -> Result<ExitCode> {
    app::log("error");
    let loaded = match app::load(&Origin::choose(folder, true)) {
        Ok(loaded) => loaded,
        Err(findings) => return Ok(app::refuse(&findings)),
    };
    let asked = match &args.recording {
        None => None,
        Some(path) => {
            let text = std::fs::read_to_string(path).with_context(|| format!("{} can't be read; check the path", path.display()))?;
            Some(Recording::parse(&text).map_err(|e| anyhow::anyhow!("{}: {e}", path.display()))?)
        }
    };
    let mut config = loaded.config;
    let upgrade = match &args.upgrade {
        Some(path) => match load_upgrade(path, &config.deployment, &config.plan) {
            Ok(upgrade) => upgrade,
            Err(findings) => return Ok(app::refuse(&findings)),
        },
        None => match &asked {
            Some(recording) => made_from(recording, &config),
            None => made_from(&Recording::embedded().map_err(anyhow::Error::msg)?, &config),
        },
    };
    config.upgrades.clear();
    let zone = loaded.renderer.zone().clone();
    let output = Output::new(args.json, args.json || !std::io::stderr().is_terminal(), zone.clone());
    output.say(&format!(
        "Rehearsing {}: window {} to {}.\nThe chains are recordings, the rooms are in memory, the people are invented.",
        upgrade.title,
        zone.written(upgrade.window.opens),
        zone.written(upgrade.window.closes)
    ));
    let recordings = cast(&upgrade, asked).map_err(anyhow::Error::msg)?;
    let pace = if args.once || args.json { Duration::ZERO } else { Duration::from_millis(700) };
    let rehearsal = Rehearsal::prepare(config, loaded.renderer, recordings, upgrade, output, pace).await?;
    let verdict = rehearsal.run().await?;
    let summary = verdict.lines.join("\n");
    if args.json {
        eprintln!("{summary}")
    } else {
        out!("\n{summary}")
    }
    Ok(if verdict.fine { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// An upgrade from the recording's own versions, on the next Tuesday that leaves time for every notice.
fn made_from(recording: &Recording, config: &Config) -> Upgrade {
    let (before, after) = recording.versions();
    let opens = window_opens(SystemClock.now(), config).unwrap_or(Timestamp::UNIX_EPOCH);
    let later = |hours: i64| opens.checked_add(SignedDuration::from_hours(hours)).unwrap_or(opens);
    let duty = |required, what: &str, by| Duty { required, what: what.to_owned(), node_version: None, by };
    let duties = BTreeMap::from([
        (Audience::Validators, duty(true, "Update your node and watch it through the upgrade.", Some(later(-4)))),
        (Audience::Developers, duty(true, "Test your tools against the new metadata.", Some(later(-2)))),
        (Audience::Users, duty(false, "Nothing to do; transactions may take a few seconds longer.", None)),
    ]);
    let chains = [(recording.chain.clone(), Target { spec_version: after, code_hash: None })].into();
    let (id, title) = (format!("{}-{after}", recording.chain), format!("{} runtime {after}", recording.chain));
    Upgrade {
        summary: format!("A rehearsal: {} goes from runtime {before} to {after}.", recording.chain),
        duties,
        ..Upgrade::new(id, title, Window { opens, closes: later(2) }, chains)
    }
}

/// 14:00 in the plan's zone, on a Tuesday at least eight days away.
fn window_opens(now: Timestamp, config: &Config) -> Option<Timestamp> {
    let zone = &config.plan.zone;
    let mut day = zone.to_datetime(now).date().checked_add(8.days()).ok()?;
    while day.weekday() != jiff::civil::Weekday::Tuesday {
        day = day.tomorrow().ok()?;
    }
    civil_instant(day.at(14, 0, 0, 0), zone)
}
