//! `herald recovery`: keeps the Matrix account's keys on the homeserver, for a device that takes the place of a lost one.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, Result, bail};
use clap::Args;
use secrecy::ExposeSecret;

use super::{open::load, run::replica};
use crate::{
    adapters::{matrix::Matrix, store::Lock},
    run::{logging, matrix_settings},
};

/// Set up recovery of the Matrix account's keys, and print its key once
#[derive(Debug, Args)]
pub struct RecoveryArgs {
    /// The one of `herald run`, where several share a store
    #[arg(long, value_name = "NAME", env = "HERALD_REPLICA", default_value = "herald", value_parser = replica)]
    replica: String,
    /// Make a new key; the one before opens nothing any more
    #[arg(long)]
    new: bool,
}

pub async fn run(folder: Option<PathBuf>, args: RecoveryArgs) -> Result<ExitCode> {
    logging::log("error,upgrade_herald=warn");
    let deployment = load(folder)?.config.deployment;
    let Some(settings) = matrix_settings(&deployment, &args.replica)? else {
        bail!("there is no `matrix:` section in herald.yaml")
    };
    // A device has one process.
    let _alone = if deployment.store.shared() {
        None
    } else {
        Some(Lock::take(&deployment.store.url)?)
    };
    let matrix = Matrix::connect(settings).await.context("Matrix")?;
    let key = matrix.set_up_recovery(args.new).await?;
    out!("{}", key.expose_secret());
    eprintln!(
        "This is the recovery key of {}: herald keeps it nowhere. Put it where you keep secrets, and say where in herald.yaml, matrix.recovery: a herald whose store was lost is then known again.",
        matrix.user()
    );
    Ok(ExitCode::SUCCESS)
}
