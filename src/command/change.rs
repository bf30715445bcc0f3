//! `herald reschedule`, `cancel`, `fail`, `go`, `no-go` and `step`: written down for the herald that runs.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use jiff::Timestamp;

use super::existing_store;
use crate::{
    app,
    clock::SystemClock,
    config::{Config, Origin, instant, suggest},
    domain::{
        change::Change,
        upgrade::{Step, Upgrade},
    },
    ports::{Clock, Store},
    store::SqlStore,
};

/// A running herald answers well within this.
const PATIENCE: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(200);

/// Who asks for it, for the record.
#[derive(Debug, Args)]
pub struct Author {
    /// Who asks for it; kept with the change
    #[arg(long = "as", value_name = "NAME", default_value = "an operator")]
    pub name: String,
}

#[derive(Debug, Subcommand)]
pub enum Changing {
    /// Move the window of an upgrade: what is planned moves, what was posted is marked, everybody is told once
    Reschedule {
        /// The upgrade's id
        upgrade: String,
        /// When the new window opens: 2026-12-01 14:00 in the plan's zone, or 2026-12-01T13:00:00Z
        #[arg(long, value_name = "TIME")]
        opens: String,
        /// When it closes [default: as long after as before]
        #[arg(long, value_name = "TIME")]
        closes: Option<String>,
        /// Why, for people, in a few words
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        #[command(flatten)]
        author: Author,
    },
    /// Take an upgrade off: nothing more is posted of it but that
    Cancel {
        /// The upgrade's id
        upgrade: String,
        /// Why, for people, in a few words
        #[arg(long, value_name = "TEXT")]
        reason: String,
        #[command(flatten)]
        author: Author,
    },
    /// Say that an upgrade was tried and did not work
    Fail {
        /// The upgrade's id
        upgrade: String,
        /// What happened, for people, in a few words
        #[arg(long, value_name = "TEXT")]
        reason: String,
        #[command(flatten)]
        author: Author,
    },
    /// Say that the final checks are passed
    Go {
        /// The upgrade's id
        upgrade: String,
        #[command(flatten)]
        author: Author,
    },
    /// Say that the final checks are not passed: notices by the clock are held until `go` or a new window
    NoGo {
        /// The upgrade's id
        upgrade: String,
        /// Why, for people, in a few words
        #[arg(long, value_name = "TEXT")]
        reason: String,
        #[command(flatten)]
        author: Author,
    },
    /// Say that people have done something no chain shows
    Step {
        /// The upgrade's id
        upgrade: String,
        /// under_review, rolled_back, documented or reviewed
        #[arg(value_parser = parse_step)]
        step: Step,
        /// Where it can be read: an https:// address
        #[arg(long, value_name = "URL")]
        link: String,
        #[command(flatten)]
        author: Author,
    },
}

fn parse_step(name: &str) -> Result<Step, String> {
    let names = Step::ALL.map(Step::name);
    Step::ALL.into_iter().find(|s| s.name() == name).ok_or_else(|| suggest(name, names))
}

/// The longest a reason may be, so that its notice fits a post.
const LONGEST_REASON: usize = 160;

pub async fn run(folder: Option<PathBuf>, changing: Changing) -> Result<ExitCode> {
    let loaded = match app::load(&Origin::choose(folder, false)) {
        Ok(loaded) => loaded,
        Err(findings) => return Ok(app::refuse(&findings)),
    };
    let store = existing_store(&loaded.config.deployment).await?;
    let (id, author) = match &changing {
        Changing::Reschedule { upgrade, author, .. }
        | Changing::Cancel { upgrade, author, .. }
        | Changing::Fail { upgrade, author, .. }
        | Changing::Go { upgrade, author }
        | Changing::NoGo { upgrade, author, .. }
        | Changing::Step { upgrade, author, .. } => (upgrade.clone(), author.name.clone()),
    };
    let known = store.upgrades().await?;
    let Some(accepted) = known.iter().find(|a| a.upgrade.id == id || a.upgrade.joined.as_ref() == Some(&id)) else {
        let ids: Vec<&str> = known.iter().map(|a| a.upgrade.id.as_str()).collect();
        bail!("no upgrade `{id}` is known; {}", suggest(&id, ids));
    };
    let change = change(changing, &accepted.upgrade, &loaded.config)?;
    let applied = accepted.progress.state >= crate::domain::phase::State::Applied;
    // Refused here already, where a person looks; whoever runs looks again.
    change.to(&accepted.upgrade, applied)?;
    let number = store.request(&accepted.upgrade.id, &change, &author, SystemClock.now()).await?;
    match wait(&store, number).await? {
        Some(outcome) if outcome.starts_with("refused") => bail!("{outcome}"),
        Some(outcome) => out!("{outcome}"),
        None => out!("Written down as change {number}. No herald answers now: it is followed as soon as one runs."),
    }
    Ok(ExitCode::SUCCESS)
}

async fn wait(store: &SqlStore, number: i64) -> Result<Option<String>> {
    let mut waited = Duration::ZERO;
    while waited < PATIENCE {
        if let Some(outcome) = store.outcome(number).await? {
            return Ok(Some(outcome));
        }
        tokio::time::sleep(LOOK).await;
        waited += LOOK;
    }
    Ok(None)
}

fn change(changing: Changing, upgrade: &Upgrade, config: &Config) -> Result<Change> {
    let time = |key: &str, text: &str| match instant(text, &config.plan.zone) {
        Some(at) => Ok(at),
        None => bail!("--{key} `{text}` is not a time; write 2026-12-01 14:00 (in {}) or 2026-12-01T13:00:00Z", config.plan.zone_name),
    };
    let said = |text: String| {
        let count = text.trim().chars().count();
        if count == 0 || count > LONGEST_REASON {
            bail!("--reason has {count} characters; 1 to {LONGEST_REASON} fit");
        }
        Ok(text.trim().to_owned())
    };
    Ok(match changing {
        Changing::Reschedule { opens, closes, reason, .. } => {
            let opens: Timestamp = time("opens", &opens)?;
            let length = upgrade.window.closes.duration_since(upgrade.window.opens);
            let closes = match closes {
                Some(closes) => time("closes", &closes)?,
                None => opens.checked_add(length)?,
            };
            if opens <= SystemClock.now() {
                bail!("--opens is over already; name a time that is still to come");
            }
            Change::Reschedule { opens, closes, reason: reason.map(said).transpose()? }
        }
        Changing::Cancel { reason, .. } => Change::Cancel { reason: said(reason)? },
        Changing::Fail { reason, .. } => Change::Fail { reason: said(reason)? },
        Changing::Go { .. } => Change::Go,
        Changing::NoGo { reason, .. } => Change::NoGo { reason: said(reason)? },
        Changing::Step { step, link, .. } => {
            if !crate::config::linkable(&link) {
                bail!("--link `{link}` can't be linked; write an https:// address without spaces or brackets");
            }
            Change::Step { step, link }
        }
    })
}
