//! `herald reschedule`, `cancel`, `fail`, `go`, `no-go` and `step`: written down for the herald that runs.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use jiff::Timestamp;
use strum::IntoEnumIterator;

use super::open::open;
use crate::{
    adapters::clock::SystemClock,
    config::{Config, suggest},
    domain::{
        campaign::{
            change::Change,
            upgrade::{Step, Upgrade},
        },
        people::command::{LONGEST_REASON, Order, Verb},
    },
    plan::requests::{self, RequestOutcome},
    ports::{AuditEntry, Clock},
};

/// The person who asks for a change, for the record.
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
    /// Give a command as in a chat: note, say, correct, announce, tick, untick or close
    Order {
        /// The upgrade's id
        upgrade: String,
        /// As in a chat: say all We are back.
        #[arg(required = true, value_name = "COMMAND")]
        line: Vec<String>,
        #[command(flatten)]
        author: Author,
    },
}

fn parse_step(name: &str) -> Result<Step, String> {
    let names = Step::iter().map(Step::name);
    Step::iter()
        .find(|s| s.name() == name)
        .ok_or_else(|| suggest(name, names))
}

pub async fn run(folder: Option<PathBuf>, changing: Changing) -> Result<ExitCode> {
    let opened = open(folder).await?;
    let (id, author) = match &changing {
        Changing::Reschedule {
            upgrade, author, ..
        }
        | Changing::Cancel {
            upgrade, author, ..
        }
        | Changing::Fail {
            upgrade, author, ..
        }
        | Changing::Go { upgrade, author }
        | Changing::Order {
            upgrade, author, ..
        }
        | Changing::NoGo {
            upgrade, author, ..
        }
        | Changing::Step {
            upgrade, author, ..
        } => (upgrade.clone(), author.name.clone()),
    };
    let campaign = &opened.campaign(Some(&id)).await?;
    let store = &*opened.store;
    let now = SystemClock.now();
    let change = change(changing, &campaign.upgrade, &opened.config, now)?;
    let outcome = requests::give(store, campaign, &change, &author, now).await?;
    let words = match &outcome {
        RequestOutcome::Done(words) | RequestOutcome::Refused(words) => words.clone(),
        RequestOutcome::Waits(number) => format!("written down as change {number}"),
    };
    let place = "the command line".to_owned();
    let act = AuditEntry {
        who: author.clone(),
        account: String::new(),
        place,
        what: change.to_string(),
        outcome: words,
    };
    requests::record(store, &campaign.upgrade.id, &act, now).await;
    match outcome {
        RequestOutcome::Done(outcome) => out!("{outcome}"),
        RequestOutcome::Refused(why) => bail!("refused: {why}"),
        RequestOutcome::Waits(number) => {
            out!(
                "Written down as change {number}. No herald answers now: it is followed as soon as one runs."
            );
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn change(
    changing: Changing,
    upgrade: &Upgrade,
    config: &Config,
    now: Timestamp,
) -> Result<Change> {
    let ordered = |verb: Verb, parts: &[(&str, Option<&str>)]| -> Result<Change> {
        let parts = parts
            .iter()
            .filter_map(|(name, value)| Some((*name, (*value)?)));
        let order = Order::from_options(verb.name(), parts)?;
        match requests::change(&order, upgrade, config, now) {
            Some(change) => change.map_err(anyhow::Error::msg),
            None => bail!("{} changes nothing", verb.name()),
        }
    };
    match changing {
        Changing::Reschedule {
            opens,
            closes,
            reason,
            ..
        } => ordered(
            Verb::Reschedule,
            &[
                ("opens", Some(&opens)),
                ("closes", closes.as_deref()),
                ("reason", reason.as_deref()),
            ],
        ),
        Changing::Order { line, .. } => {
            let order = Order::from_line(&line.join(" "))?;
            match requests::change(&order, upgrade, config, now) {
                Some(change) => change.map_err(anyhow::Error::msg),
                None => {
                    bail!(
                        "{} is answered in chats alone; here are status, plan, roster, report, approve and preview",
                        order.verb.name()
                    )
                }
            }
        }
        Changing::Cancel { reason, .. } => ordered(Verb::Cancel, &[("reason", Some(&reason))]),
        Changing::Go { .. } => ordered(Verb::Go, &[]),
        Changing::NoGo { reason, .. } => ordered(Verb::NoGo, &[("reason", Some(&reason))]),
        Changing::Fail { reason, .. } => match reason.trim() {
            "" => bail!("reason is empty; say what happened, for people, in a few words"),
            text if text.chars().count() > LONGEST_REASON => {
                bail!(
                    "reason has {} characters; {LONGEST_REASON} fit",
                    text.chars().count()
                )
            }
            text => Ok(Change::Fail {
                reason: text.to_owned(),
            }),
        },
        Changing::Step { step, link, .. } => {
            if !crate::config::linkable(&link) {
                bail!(
                    "--link `{link}` can't be linked; write an https:// address without spaces or brackets"
                );
            }
            Ok(Change::Step { step, link })
        }
    }
}
