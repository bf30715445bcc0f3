//! The command line: a file for each command, with its arguments beside its `run`, and what commands share.

/// Prints a result, see [`print_line`]. What would control a terminal is shown as a space, since files and chains may hold it.
macro_rules! out {
    () => {
        out!("")
    };
    ($($words:tt)+) => {{
        let words = format!($($words)+);
        let is_control = |c: char| c.is_control() && c != '\n' && c != '\t';
        $crate::cli::print_line(&words.replace(is_control, " "));
    }};
}

mod approve;
mod change;
mod check;
mod doctor;
mod drill;
mod facts;
mod health;
mod init;
mod new;
mod open;
mod page;
mod plan;
mod plan_window;
mod preview;
mod recovery;
mod rehearse;
mod report;
mod roster;
mod run;
mod schema;
mod shell;
mod standing;
mod status;
mod store;
#[cfg(test)]
mod views;

use std::{
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use anyhow::{Result, bail};
use clap::{Parser, Subcommand};
use parking_lot::Mutex;
use strum::IntoEnumIterator;

use self::open::Refused;
use crate::{config::suggest, domain::campaign::upgrade::Urgency, run::logging};

/// Why a result could not be written whole, once that is so.
static UNWRITTEN: Mutex<Option<io::Error>> = Mutex::new(None);

/// Writes a line of a result. A closed pipe (`herald plan | head`) is the reader's choice, not a fault; a full disk makes the
/// command fail in the end.
pub(crate) fn print_line(line: &str) {
    note_unwritten(writeln!(io::stdout(), "{line}"));
}

fn note_unwritten(written: io::Result<()>) {
    let error = written
        .err()
        .filter(|error| error.kind() != io::ErrorKind::BrokenPipe);
    if let Some(error) = error {
        UNWRITTEN.lock().get_or_insert(error);
    }
}

/// How long tasks that still run may take to end with the command.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);

/// Tells everybody what a runtime upgrade brings, when it happens, and when it is proven done.
#[derive(Debug, Parser)]
#[command(name = "herald", version, propagate_version = true)]
pub struct Cli {
    /// The folder with herald.yaml, plan.yaml and upgrades/; templates/ stands beside it [default: config]
    #[arg(long, global = true, value_name = "DIR", env = "HERALD_CONFIG")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: CliCommand,
}

#[derive(Debug, Subcommand)]
enum CliCommand {
    Init(init::InitArgs),
    Run(run::RunArgs),
    Health(health::HealthArgs),
    Rehearse(rehearse::RehearseArgs),
    Check(check::CheckArgs),
    Doctor(doctor::DoctorArgs),
    Recovery(recovery::RecoveryArgs),
    Schema(schema::SchemaArgs),
    Completions(shell::CompletionsArgs),
    Man(shell::ManArgs),
    #[command(subcommand)]
    New(new::NewCommand),
    Preview(preview::PreviewArgs),
    Plan(plan::PlanArgs),
    Facts(facts::FactsArgs),
    #[command(flatten)]
    Change(change::Changing),
    Discard(change::DiscardArgs),
    Approve(approve::ApproveArgs),
    Status(status::StatusArgs),
    Report(report::ReportArgs),
    Roster(roster::RosterArgs),
    #[command(subcommand)]
    Store(store::StoreCommand),
}

impl CliCommand {
    async fn run(self, folder: Option<PathBuf>) -> Result<ExitCode> {
        match self {
            Self::Init(args) => init::run(folder, args).await,
            Self::Run(args) => run::run(folder, args).await,
            Self::Health(args) => health::run(args),
            Self::Rehearse(args) => rehearse::run(folder, args).await,
            Self::Check(args) => check::run(folder, args),
            Self::Doctor(args) => doctor::run(folder, args).await,
            Self::Recovery(args) => recovery::run(folder, args).await,
            Self::Schema(args) => schema::run(args),
            Self::Completions(args) => shell::completions(&args),
            Self::Man(args) => shell::man(args),
            Self::New(command) => new::run(folder, command),
            Self::Preview(args) => preview::run(folder, args),
            Self::Plan(args) => plan::run(folder, args).await,
            Self::Facts(args) => facts::run(args).await,
            Self::Change(changing) => change::run(folder, changing).await,
            Self::Discard(args) => change::discard(folder, args).await,
            Self::Approve(args) => approve::run(folder, args).await,
            Self::Status(args) => status::run(folder, args).await,
            Self::Report(args) => report::run(folder, args).await,
            Self::Roster(args) => roster::run(folder, args).await,
            Self::Store(command) => store::run(folder, command).await,
        }
    }
}

/// Runs the command; what went wrong is an error, what was asked about and is wrong is exit code 1.
pub fn run(cli: Cli) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let ended = runtime.block_on(cli.command.run(cli.config));
    runtime.shutdown_timeout(SHUTDOWN_TIMEOUT);
    note_unwritten(io::stdout().flush());
    let ended = ended.or_else(|error| {
        let Refused(findings) = error.downcast()?;
        Ok::<_, anyhow::Error>(logging::refuse(&findings))
    })?;
    match UNWRITTEN.lock().take() {
        Some(error) => bail!("the result could not be written whole: {error}"),
        None => Ok(ended),
    }
}

/// Reads the name of a plan.
fn urgency(name: &str) -> Result<Urgency, String> {
    let found = Urgency::iter().find(|u| u.name() == name);
    found.ok_or_else(|| suggest(name, Urgency::iter().map(Urgency::name)))
}
