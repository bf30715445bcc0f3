//! `herald approve CODE --as NAME`

use std::{collections::BTreeMap, path::PathBuf, process::ExitCode, sync::Arc};

use anyhow::Result;

use super::{args::ApproveArgs, existing_store};
use crate::{
    adapters::clock::SystemClock,
    config::Origin,
    deliver::approval::gate::{Approver, Gate},
    lint,
    outbox::Core,
    run::logging,
    words::snapshot::ConfigSnapshot,
};

/// Writes into the store; the herald that runs sees it within seconds.
pub async fn run(folder: Option<PathBuf>, args: ApproveArgs) -> Result<ExitCode> {
    let loaded = match lint::load(&Origin::choose(folder, false)) {
        Ok(loaded) => loaded,
        Err(findings) => return Ok(logging::refuse(&findings)),
    };
    let store = Arc::new(existing_store(&loaded.config.deployment).await?);
    let snapshot = ConfigSnapshot {
        config: loaded.config,
        renderer: loaded.renderer,
    };
    let renderer = snapshot.renderer.clone();
    let core = Arc::new(Core::new(
        snapshot,
        BTreeMap::new(),
        Arc::new(SystemClock),
        store,
    ));
    match Gate::new(core)
        .approve(&args.code, Approver::Named(&args.name))
        .await
    {
        Ok(answer) => {
            out!("{}", renderer.english_words(&answer));
            Ok(ExitCode::SUCCESS)
        }
        Err(answer) => {
            eprintln!("{}", renderer.english_words(&answer));
            Ok(ExitCode::from(1))
        }
    }
}
