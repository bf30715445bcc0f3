//! `herald reschedule`, `cancel`, `fail`, `go`, `no-go`, `step`, `order` and `discard`: written down for the herald that runs.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Result, anyhow, bail};
use clap::{Args, Subcommand};
use jiff::Timestamp;
use strum::IntoEnumIterator;

use super::open::{Opened, open};
use crate::{
    adapters::clock::SystemClock,
    config::suggest,
    domain::{
        campaign::{
            change::Change,
            upgrade::{Step, Upgrade},
        },
        people::{
            command::{Command, MAX_REASON_CHARS, Misread, Verb},
            reply::{Outcome, Reply},
            value::Confirmed,
        },
        text,
    },
    plan::requests::{self, NewRequest, RequestStatus},
    ports::{AuditEntry, Clock, RequestStore},
};

/// The person who asks for a change, for the record.
#[derive(Debug, Args)]
pub struct Author {
    /// Who asks for it; kept with the change
    #[arg(long = "as", value_name = "NAME", default_value = "an operator", value_parser = parse_name)]
    pub name: String,
}

fn parse_name(name: &str) -> Result<String, String> {
    match name.trim() {
        "" => Err("a name has at least one letter".to_owned()),
        name => Ok(name.to_owned()),
    }
}

/// Take back a change that no herald has followed yet; `herald status` shows its number
#[derive(Debug, Args)]
pub struct DiscardArgs {
    /// The change's number
    change: i64,
    #[command(flatten)]
    author: Author,
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
        /// Do it; without this flag, the command says what would be posted
        #[arg(long)]
        confirm: bool,
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
        /// Do it; without this flag, the command says what would be posted
        #[arg(long)]
        confirm: bool,
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
        /// Do it; without this flag, the command says what would be posted
        #[arg(long)]
        confirm: bool,
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

impl Changing {
    /// The upgrade that is meant, by its id, and who asks.
    fn upgrade_and_author(&self) -> (&str, &Author) {
        match self {
            Self::Reschedule {
                upgrade, author, ..
            }
            | Self::Cancel {
                upgrade, author, ..
            }
            | Self::Fail {
                upgrade, author, ..
            }
            | Self::Go { upgrade, author }
            | Self::Order {
                upgrade, author, ..
            }
            | Self::NoGo {
                upgrade, author, ..
            }
            | Self::Step {
                upgrade, author, ..
            } => (upgrade, author),
        }
    }
}

pub async fn run(folder: Option<PathBuf>, changing: Changing) -> Result<ExitCode> {
    let opened = open(folder).await?;
    let (id, author) = changing.upgrade_and_author();
    let (id, author) = (id.to_owned(), author.name.clone());
    let campaign = &opened.campaign(Some(&id)).await?;
    let store = &*opened.store;
    let now = SystemClock.now();
    let waiting = requests::waiting(store, &campaign.upgrade.id).await?;
    let upgrade = requests::once_followed(campaign, &waiting);
    let change = change(changing, &upgrade, &opened, now)?;
    let request = NewRequest {
        config: &opened.config,
        campaign,
        change: &change,
        author: &author,
    };
    let given = requests::give_elsewhere(store, &request, now).await?;
    let words = match &given {
        RequestStatus::Answered(outcome) => opened.renderer.english_words(outcome.reply()),
        RequestStatus::Waits(number) => format!("written down as change {number}"),
    };
    let act = AuditEntry {
        who: author,
        account: String::new(),
        place: "the command line".to_owned(),
        what: change.to_string(),
        outcome: words.clone(),
    };
    requests::record(store, &campaign.upgrade.id, &act, now).await;
    match given {
        RequestStatus::Answered(Outcome::Done(_)) => out!("{words}"),
        RequestStatus::Answered(Outcome::Refused(_)) => bail!("refused: {words}"),
        RequestStatus::Waits(number) => {
            out!(
                "Written down as change {number}. No herald answers now: it is followed as soon as one runs."
            );
            for before in &waiting {
                out!("Followed before it: {}", requests::in_words(before));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Takes back a change that waits.
pub async fn discard(folder: Option<PathBuf>, args: DiscardArgs) -> Result<ExitCode> {
    let DiscardArgs {
        change: number,
        author,
    } = args;
    let opened = open(folder).await?;
    let store = &*opened.store;
    let waiting = store.requests().await?;
    let outcome = Outcome::Refused(Reply::Discarded {
        person: author.name.clone(),
    });
    let Some(request) = waiting.iter().find(|request| request.number == number) else {
        bail!("no change {number} waits; `herald status` lists those that do")
    };
    if !store.discard(number, &outcome).await? {
        bail!("change {number} has just been followed; `herald status` says what it made")
    }
    let act = AuditEntry {
        who: author.name,
        account: String::new(),
        place: "the command line".to_owned(),
        what: format!("discard {}", request.change),
        outcome: format!("change {number} is taken back"),
    };
    requests::record(store, &request.upgrade, &act, SystemClock.now()).await;
    out!("Change {number} is taken back: {}.", request.change);
    Ok(ExitCode::SUCCESS)
}

fn change(
    changing: Changing,
    upgrade: &Upgrade,
    opened: &Opened,
    now: Timestamp,
) -> Result<Change> {
    // Parts are read as those of a chat are, so the two can't differ.
    let read = |verb: Verb, parts: &[(&str, Option<&str>)]| {
        let given = |(name, value): &(_, Option<_>)| Some((*name, (*value)?));
        let command = Command::from_options(verb.name(), parts.iter().filter_map(given));
        asked(command, upgrade, opened, now)
    };
    match changing {
        Changing::Reschedule {
            opens,
            closes,
            reason,
            confirm,
            ..
        } => read(
            Verb::Reschedule,
            &[
                ("opens", Some(&opens)),
                ("closes", closes.as_deref()),
                ("reason", reason.as_deref()),
                ("confirm", confirm.then_some("yes")),
            ],
        ),
        Changing::Order { line, .. } => {
            asked(Command::from_line(&line.join(" ")), upgrade, opened, now)
        }
        Changing::Cancel {
            reason, confirm, ..
        } => read(
            Verb::Cancel,
            &[
                ("reason", Some(&reason)),
                ("confirm", confirm.then_some("yes")),
            ],
        ),
        Changing::Go { .. } => read(Verb::Go, &[]),
        Changing::NoGo { reason, .. } => read(Verb::NoGo, &[("reason", Some(&reason))]),
        Changing::Fail {
            reason, confirm, ..
        } => match text::plain(&reason).as_str() {
            text if !text::says_something(text) => {
                bail!("reason says nothing; say what happened, for people, in a few words")
            }
            text if text.chars().count() > MAX_REASON_CHARS => {
                bail!(
                    "reason has {} characters; {MAX_REASON_CHARS} fit",
                    text.chars().count()
                )
            }
            text => {
                let fail = Change::Fail {
                    reason: text.to_owned(),
                };
                let confirm = confirm.then_some(Confirmed);
                requests::confirmed(fail, confirm, upgrade, &opened.config)
                    .map_err(|why| anyhow!("{}", opened.renderer.english_words(&why)))
            }
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

/// The change that a command asks for, as a chat would understand it.
fn asked(
    command: Result<Command, Misread>,
    upgrade: &Upgrade,
    opened: &Opened,
    now: Timestamp,
) -> Result<Change> {
    let command = match command {
        Err(misread @ Misread::Unreadable { .. }) => {
            let reply = requests::misread(&misread, &opened.config);
            bail!("{}", opened.renderer.english_words(&reply));
        }
        command => command?,
    };
    match requests::change(&command, upgrade, &opened.config, now) {
        Some(Ok(change)) => Ok(change),
        Some(Err(why)) => bail!("{}", opened.renderer.english_words(&why)),
        None => bail!(
            "{} is answered in chats alone; here are status, plan, roster, report, approve and preview",
            command.verb().name()
        ),
    }
}
