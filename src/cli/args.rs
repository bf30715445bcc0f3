//! The commands, and what they share.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use strum::IntoEnumIterator;

use crate::{
    cli,
    config::{self},
    domain::{campaign::upgrade::Urgency, plan::schedule::parse_length},
};

/// Tells everybody what a runtime upgrade brings, when it happens, and when it is proven done.
#[derive(Debug, Parser)]
#[command(name = "herald", version, propagate_version = true)]
pub struct Cli {
    /// The folder with herald.yaml, plan.yaml and upgrades/; templates/ stands beside it [default: config]
    #[arg(long, global = true, value_name = "DIR", env = "HERALD_CONFIG")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the service: follow the chains, post what is due, answer and listen
    Run {
        /// What this one is called among those that share a store: a letter or a name, other than theirs
        #[arg(long, value_name = "NAME", env = "HERALD_REPLICA", default_value = "herald", value_parser = replica)]
        replica: String,
        /// Signs of life go here every few seconds, for `herald health`: a container has no other way to ask
        #[arg(long, value_name = "FILE", env = "HERALD_HEALTH_FILE")]
        health_file: Option<PathBuf>,
    },
    /// Say whether the herald that writes this file is alive and well: for a container's health check
    Health {
        /// The one of `herald run`
        #[arg(long, value_name = "FILE", env = "HERALD_HEALTH_FILE")]
        health_file: Option<PathBuf>,
        /// And has started: it is active, or stands by
        #[arg(long)]
        ready: bool,
    },
    /// Play a whole upgrade with embedded chain and rooms: no account, no network, no server
    Rehearse(RehearseArgs),
    /// Review config, plan, templates and upgrade files
    Check {
        /// Findings as lines of JSON
        #[arg(long)]
        json: bool,
        /// Warnings count as errors
        #[arg(long)]
        strict: bool,
    },
    /// Ask Discord, Matrix, the nodes and the store whether all that herald needs is there and allowed
    Doctor {
        /// The one of `herald run`, where several share a store
        #[arg(long, value_name = "NAME", env = "HERALD_REPLICA", default_value = "herald", value_parser = replica)]
        replica: String,
        /// A line of JSON for each need
        #[arg(long)]
        json: bool,
    },
    /// Set up recovery of the Matrix account's keys, and print its key once
    Recovery {
        /// The one of `herald run`, where several share a store
        #[arg(long, value_name = "NAME", env = "HERALD_REPLICA", default_value = "herald", value_parser = replica)]
        replica: String,
        /// Make a new key; the one before opens nothing any more
        #[arg(long)]
        new: bool,
    },
    /// Write the JSON Schema of every file, for editors
    Schema {
        /// One file each in this folder, instead of all to stdout
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
    /// Write the beginnings of an upgrade file, or print a proposal to people
    #[command(subcommand)]
    New(NewCommand),
    /// Show each post as each channel would get it
    Preview {
        /// Only this notice
        notice: Option<String>,
        /// Only this upgrade [default: the first]
        #[arg(long)]
        upgrade: Option<String>,
        /// As one page of HTML with the channels beside each other, on stdout or in FILE
        #[arg(long, value_name = "FILE", num_args = 0..=1)]
        html: Option<Option<PathBuf>>,
    },
    /// Show the timeline of each upgrade, or propose a window
    Plan(PlanArgs),
    /// Show what herald makes of a live node, a fact a line, until interrupted
    Facts(FactsArgs),
    #[command(flatten)]
    Change(cli::change::Changing),
    /// Approve a text by the code that stands above its preview
    Approve(ApproveArgs),
    /// Show where each upgrade stands, from the store
    Status {
        #[arg(long)]
        json: bool,
    },
    /// Write the review after an upgrade: plan against what happened, as Markdown for an issue
    Report {
        /// The upgrade's id [default: the one that is under way, or the last]
        upgrade: Option<String>,
        /// As one page of HTML with charts, on stdout or in FILE
        #[arg(long, value_name = "FILE", num_args = 0..=1, conflicts_with = "json")]
        html: Option<Option<PathBuf>>,
        #[arg(long)]
        json: bool,
    },
    /// Show which providers have answered and which are ready; as CSV or JSON, each answer with its time, for the record
    Roster {
        /// The upgrade's id [default: the one that is under way, or the last]
        upgrade: Option<String>,
        #[arg(long, conflicts_with = "json")]
        csv: bool,
        /// A line of JSON for each answer
        #[arg(long)]
        json: bool,
    },
    /// Move a store to another database: export it, name the other in store.url, import it
    #[command(subcommand)]
    Store(StoreCommand),
}

#[derive(Debug, Subcommand)]
pub enum StoreCommand {
    /// Write everything that is remembered into a file, or to stdout as -, while no herald runs on it
    Export { file: PathBuf },
    /// Take over what was exported into an empty store, whole or not at all; - reads stdin
    Import { file: PathBuf },
}

#[derive(Debug, Subcommand)]
pub enum NewCommand {
    /// Write a commented upgrade file to fill in
    Upgrade(NewUpgradeArgs),
    /// Print the proposal of an upgrade, in Markdown
    Proposal {
        /// The upgrade's id
        id: String,
    },
}

#[derive(Debug, Args)]
pub struct NewUpgradeArgs {
    /// Letters, digits, dots and dashes, such as v2.3.1
    pub id: String,
    /// Which plan it follows: routine, expedited or emergency
    #[arg(long, default_value = "routine", value_parser = cli::new::urgency)]
    pub urgency: Urgency,
    /// Where to write it [default: upgrades/ in the config folder]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct RehearseArgs {
    /// Without pauses for a reader
    #[arg(long)]
    pub once: bool,
    /// Facts and posts as lines of JSON
    #[arg(long)]
    pub json: bool,
    /// Served to a browser on this machine, where you can take part; on a free port, or on this IP:port
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, default_missing_value = "127.0.0.1:0", conflicts_with_all = ["once", "json"])]
    pub browser: Option<std::net::SocketAddr>,
    /// Only the plan of this urgency: routine, expedited or emergency [default: all three]
    #[arg(long, value_name = "URGENCY", value_parser = parse_urgency)]
    pub plan: Option<Urgency>,
    /// A recording to play instead of the embedded one
    #[arg(long, value_name = "FILE")]
    pub recording: Option<PathBuf>,
    /// The upgrade to announce instead of one made from the recording
    #[arg(long, value_name = "FILE")]
    pub upgrade: Option<PathBuf>,
}

/// It becomes a part of the Matrix device's name and of a folder's.
fn replica(name: &str) -> Result<String, String> {
    let fits = (1..=32).contains(&name.len())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    if fits {
        Ok(name.to_owned())
    } else {
        Err("1 to 32 letters, digits, - and _".to_owned())
    }
}

fn parse_urgency(name: &str) -> Result<Urgency, String> {
    Urgency::iter()
        .find(|u| u.name() == name)
        .ok_or_else(|| config::suggest(name, Urgency::iter().map(Urgency::name)))
}

#[derive(Debug, Args)]
pub struct ApproveArgs {
    /// The text's code: another text has another one
    pub code: String,
    /// Who approves, as people.yaml calls them
    #[arg(long = "as", value_name = "NAME")]
    pub name: String,
}

#[derive(Debug, Args)]
pub struct PlanArgs {
    /// Results as lines of JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// The timeline as an iCalendar file: the window, and each notice by the clock
    #[arg(long, conflicts_with = "json")]
    pub ics: bool,
    #[command(subcommand)]
    pub command: Option<PlanCommand>,
}

#[derive(Debug, Subcommand)]
pub enum PlanCommand {
    /// Propose times for the window, from the chain's own activity and where people live
    Window(WindowArgs),
}

#[derive(Debug, Args)]
pub struct WindowArgs {
    /// A chain of herald.yaml [default: the only one that upgrades touch, or the first by name]
    #[arg(long, value_name = "NAME")]
    pub chain: Option<String>,
    /// A node that is not in herald.yaml: its WebSocket address, ws:// or wss://
    #[arg(long, value_name = "URL", conflicts_with = "chain")]
    pub url: Option<String>,
    /// How many blocks of the last week to read
    #[arg(long, value_name = "N", default_value_t = 1008, value_parser = clap::value_parser!(u32).range(168..=50_000))]
    pub samples: u32,
    /// How long the window is
    #[arg(long, default_value = "2h", value_parser = parse_length)]
    pub length: jiff::SignedDuration,
    /// No window before this, in the plan's zone: 2026-12-01 [default: what the first notice needs]
    #[arg(long, value_name = "DATE")]
    pub after: Option<String>,
}

#[derive(Debug, Args)]
pub struct FactsArgs {
    /// The node's WebSocket address, ws:// or wss://
    pub url: String,
    /// Begin with this block [default: the next one]
    #[arg(long, value_name = "BLOCK")]
    pub from: Option<u64>,
    /// End with this block
    #[arg(long, value_name = "BLOCK")]
    pub until: Option<u64>,
    /// Facts as lines of JSON
    #[arg(long)]
    pub json: bool,
}

/// Runs the command; what went wrong is an error, what was asked about and is wrong is exit code 1.
pub fn run(cli: Cli) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let code = runtime.block_on(async {
        match cli.command {
            Command::Run { replica, health_file } => crate::run::run(cli.config, &replica, health_file).await,
            Command::Health { health_file, ready } => cli::health::run(health_file.as_deref(), ready),
            Command::Rehearse(args) => cli::rehearse::run(cli.config, args).await,
            Command::Check { json, strict } => cli::check::run(cli.config, json, strict),
            Command::Doctor { replica, json } => cli::doctor::run(cli.config, &replica, json).await,
            Command::Recovery { replica, new } => cli::recovery::run(cli.config, &replica, new).await,
            Command::Schema { out } => cli::schema::run(out),
            Command::New(NewCommand::Upgrade(args)) => cli::new::upgrade(cli.config, args),
            Command::New(NewCommand::Proposal { id }) => cli::new::proposal(cli.config, &id),
            Command::Preview { notice, upgrade, html } => cli::preview::run(cli.config, notice, upgrade, html),
            Command::Plan(PlanArgs { json, ics, command: None }) => cli::plan::run(cli.config, json, ics),
            Command::Plan(PlanArgs { ics: true, command: Some(_), .. }) => {
                anyhow::bail!("proposals are no calendar: `herald plan --ics` writes the timeline of the upgrades that have a window")
            }
            Command::Plan(PlanArgs { json, command: Some(PlanCommand::Window(args)), .. }) => {
                cli::plan_window::run(cli.config, args, json).await
            }
            Command::Facts(args) => cli::facts::run(args).await,
            Command::Change(changing) => cli::change::run(cli.config, changing).await,
            Command::Approve(args) => cli::approve::run(cli.config, args).await,
            Command::Status { json } => cli::status::run(cli.config, json).await,
            Command::Report { upgrade, html, json } => {
                let form = match (html, json) {
                    (Some(file), _) => cli::report::ReportFormat::Html(file),
                    (None, true) => cli::report::ReportFormat::Json,
                    (None, false) => cli::report::ReportFormat::Markdown,
                };
                cli::report::run(cli.config, upgrade, form).await
            }
            Command::Roster { upgrade, csv, json } => {
                let form = match (csv, json) {
                    (true, _) => cli::roster::RosterFormat::Csv,
                    (false, true) => cli::roster::RosterFormat::Json,
                    (false, false) => cli::roster::RosterFormat::Table,
                };
                cli::roster::run(cli.config, upgrade, form).await
            }
            Command::Store(what) => cli::store::run(cli.config, what).await,
        }
    });
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    code
}
