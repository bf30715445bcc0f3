//! `herald approve CODE --as NAME`

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use anyhow::Result;
use clap::Args;

use super::open::open;
use crate::deliver::approval::gate::{Approver, Gate};

/// Approve a text by the code that stands above its preview
#[derive(Debug, Args)]
pub struct ApproveArgs {
    /// The text's code: another text has another one
    code: String,
    /// Who approves, as people.yaml calls them
    #[arg(long = "as", value_name = "NAME")]
    name: String,
}

/// Writes into the store; the herald that runs sees it within seconds.
pub async fn run(folder: Option<PathBuf>, args: ApproveArgs) -> Result<ExitCode> {
    let core = Arc::new(open(folder).await?.core());
    let renderer = core.snapshot().renderer.clone();
    let gate = Gate::new(core);
    let approver = Approver::Named(&args.name);
    Ok(match gate.approve(&args.code, approver).await {
        Ok(answer) => {
            out!("{}", renderer.english_words(&answer));
            ExitCode::SUCCESS
        }
        Err(answer) => {
            eprintln!("{}", renderer.english_words(&answer));
            ExitCode::FAILURE
        }
    })
}
