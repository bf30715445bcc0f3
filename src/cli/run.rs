//! `herald run`

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::Args;

use crate::run::RunOptions;

/// Run the service: follow the chains, post what is due, answer and listen
#[derive(Debug, Args)]
pub struct RunArgs {
    /// What this one is called among those that share a store: a letter or a name, other than theirs
    #[arg(long, value_name = "NAME", env = "HERALD_REPLICA", default_value = "herald", value_parser = replica)]
    replica: String,
    /// Signs of life go here every few seconds, for `herald health`: a container has no other way to ask
    #[arg(long, value_name = "FILE", env = "HERALD_HEALTH_FILE")]
    health_file: Option<PathBuf>,
    /// Post nothing: print each post, and show it on a page of this machine. It needs no account, waits for no approval, and
    /// keeps nothing
    #[arg(long)]
    dry: bool,
}

pub async fn run(folder: Option<PathBuf>, args: RunArgs) -> Result<ExitCode> {
    let RunArgs {
        replica,
        health_file,
        dry,
    } = args;
    let options = RunOptions {
        replica,
        health_file,
        dry,
    };
    crate::run::run(folder, options).await
}

/// Reads a replica's name, which becomes a part of the Matrix device's name and of a folder's.
pub fn replica(name: &str) -> Result<String, String> {
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
