//! `herald check`

use std::{collections::BTreeSet, path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::Args;
use jiff::Timestamp;

use crate::{
    adapters::clock::SystemClock,
    config::{Config, Finding, Origin, Severity, UpgradeFile, in_order},
    lint::{self, Loaded},
    ports::Clock,
};

/// Review config, plan, templates and upgrade files
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Findings as lines of JSON
    #[arg(long)]
    json: bool,
    /// Warnings count as errors
    #[arg(long)]
    strict: bool,
}

pub fn run(folder: Option<PathBuf>, args: CheckArgs) -> Result<ExitCode> {
    let origin = Origin::choose(folder, false);
    let (findings, summary) = match lint::load_own(&origin) {
        Ok(Loaded {
            config, warnings, ..
        }) => {
            let mut findings = warnings;
            findings.extend(lint::rules(&config));
            let now = SystemClock.now();
            findings.extend(lint::near(&config, now));
            findings.extend(opened_already(&config, now));
            (findings, Some(format!("{} in {origin}", summary(&config))))
        }
        Err(findings) => (findings, None),
    };
    let findings = in_order(findings);
    print(&findings, args.json)?;
    let count = |severity| findings.iter().filter(|f| f.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let good = summary.filter(|_| errors == 0 && !(args.strict && warnings > 0));
    if !args.json {
        match &good {
            Some(summary) => out!("Good: {summary}, {}.", counted(warnings, "warning")),
            None => out!(
                "{}, {}.",
                counted(errors, "error"),
                counted(warnings, "warning")
            ),
        }
    }
    Ok(ExitCode::from(u8::from(good.is_none())))
}

/// Warns of windows that opened already.
fn opened_already(config: &Config, now: Timestamp) -> impl Iterator<Item = Finding> {
    let opened = move |u: &&UpgradeFile| u.upgrade.window.opens <= now;
    config.upgrades.iter().filter(opened).map(|u| {
        let mut finding = u.file.wrong(
            &["window", "opens"],
            "this window opened already: `herald run` goes on with it if it knows it, and refuses it if it is new",
            "set a window that is still to come, or remove the file",
        );
        finding.severity = Severity::Warning;
        finding
    })
}

/// Counts what there is: `12 notices, 1 upgrade, …`.
fn summary(config: &Config) -> String {
    let notices: BTreeSet<_> = config.plan.all_notices().map(|(_, n)| &n.id).collect();
    [
        (notices.len(), "notice"),
        (config.upgrades.len(), "upgrade"),
        (config.templates.len(), "template"),
        (config.deployment.channels.len(), "channel"),
    ]
    .map(|(number, what)| counted(number, what))
    .join(", ")
}

fn print(findings: &[Finding], json: bool) -> Result<()> {
    for finding in findings {
        if json {
            out!("{}", serde_json::to_string(finding)?)
        } else {
            out!("{finding}")
        }
    }
    Ok(())
}

/// `1 error`, `2 errors`
fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
