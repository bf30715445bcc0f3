//! `herald recovery`: keeps the Matrix account's keys on the homeserver, for a device that takes the place of a lost one.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, Result, bail};
use secrecy::ExposeSecret;

use crate::{
    adapters::{matrix::Matrix, store::Lock},
    config::Origin,
    lint,
    run::{logging, matrix_settings},
};

pub async fn run(folder: Option<PathBuf>, replica: &str, anew: bool) -> Result<ExitCode> {
    logging::log("error,upgrade_herald=warn");
    let loaded = match lint::load(&Origin::choose(folder, false)) {
        Ok(loaded) => loaded,
        Err(findings) => return Ok(logging::refuse(&findings)),
    };
    let deployment = &loaded.config.deployment;
    let Some(settings) = matrix_settings(deployment, replica)? else {
        bail!("there is no `matrix:` section in herald.yaml")
    };
    // A device has one process.
    let _alone = if deployment.store.shared() {
        None
    } else {
        Some(Lock::take(&deployment.store.url)?)
    };
    let matrix = Matrix::connect(settings).await.context("Matrix")?;
    let key = matrix.set_up_recovery(anew).await?;
    out!("{}", key.expose_secret());
    eprintln!(
        "This is the recovery key of {}: herald keeps it nowhere. Put it where you keep secrets, and say where in herald.yaml, matrix.recovery: a herald whose store was lost is then known again.",
        matrix.user()
    );
    Ok(ExitCode::SUCCESS)
}
