//! `herald run`

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Result, bail};

pub async fn run(_folder: Option<PathBuf>) -> Result<ExitCode> {
    bail!("not connected yet")
}
