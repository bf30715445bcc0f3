//! `herald health`

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::Args;

use crate::run::health_file;

/// Say whether the herald that writes this file is alive and well: for a container's health check
#[derive(Debug, Args)]
pub struct HealthArgs {
    /// The one of `herald run`
    #[arg(long, value_name = "FILE", env = "HERALD_HEALTH_FILE")]
    health_file: Option<PathBuf>,
    /// And has started: it is active, or stands by
    #[arg(long)]
    ready: bool,
}

pub fn run(args: HealthArgs) -> Result<ExitCode> {
    let (words, well) = health_file::read(args.health_file.as_deref(), args.ready)?;
    out!("{words}");
    Ok(ExitCode::from(u8::from(!well)))
}
