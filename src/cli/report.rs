//! `herald report`: the review after an upgrade, as Markdown for an issue, as a page, or as JSON.

mod page;

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::Args;

use super::open::open;
use crate::report::{self, markdown::markdown};

/// Write the review after an upgrade: plan against what happened, as Markdown for an issue
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// The upgrade's id [default: the one that is under way, or the last]
    upgrade: Option<String>,
    /// As one page of HTML with charts, on stdout or in FILE
    #[arg(long, value_name = "FILE", num_args = 0..=1, conflicts_with = "json")]
    html: Option<Option<PathBuf>>,
    #[arg(long)]
    json: bool,
}

pub async fn run(folder: Option<PathBuf>, args: ReportArgs) -> Result<ExitCode> {
    let opened = open(folder).await?;
    let campaign = opened.campaign(args.upgrade.as_deref()).await?;
    let core = opened.core();
    let snapshot = core.snapshot();
    let report = report::of(&core, &snapshot, &campaign).await?;
    let zone = snapshot.renderer.zone();
    match args.html {
        Some(Some(path)) => std::fs::write(path, page::write(&report, &campaign, zone))?,
        Some(None) => out!("{}", page::write(&report, &campaign, zone)),
        None if args.json => out!("{}", serde_json::to_string_pretty(&report)?),
        None => out!("{}", markdown(&report, zone)),
    }
    Ok(ExitCode::SUCCESS)
}
