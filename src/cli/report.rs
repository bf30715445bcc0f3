//! `herald report`: the review after an upgrade, as Markdown for an issue, as a page, or as JSON.

mod page;

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use anyhow::Result;

use super::existing_store;
use crate::{
    adapters::clock::SystemClock,
    answer::current,
    config::{Origin, suggest},
    domain::campaign::Campaign,
    lint,
    outbox::Core,
    ports::{CampaignStore, Clock},
    report::{self, markdown::markdown},
    run::logging,
    words::snapshot::ConfigSnapshot,
};

/// How it is written.
#[derive(Clone, Debug)]
pub enum ReportFormat {
    Markdown,
    /// Into a file, or to stdout.
    Html(Option<PathBuf>),
    Json,
}

pub async fn run(
    folder: Option<PathBuf>,
    id: Option<String>,
    form: ReportFormat,
) -> Result<ExitCode> {
    let (core, campaign) = match opened(folder, id).await? {
        Ok(opened) => opened,
        Err(code) => return Ok(code),
    };
    let snapshot = core.snapshot();
    let report = report::of(&core, &snapshot, &campaign).await?;
    let zone = snapshot.renderer.zone();
    match form {
        ReportFormat::Markdown => out!("{}", markdown(&report, zone)),
        ReportFormat::Json => out!("{}", serde_json::to_string_pretty(&report)?),
        ReportFormat::Html(None) => out!("{}", page::write(&report, &campaign, zone)),
        ReportFormat::Html(Some(path)) => {
            std::fs::write(path, page::write(&report, &campaign, zone))?
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The store as it is remembered, and the upgrade that is meant: the one named, or the one people mean. The exit code where
/// that can't be, which was said.
pub async fn opened(
    folder: Option<PathBuf>,
    id: Option<String>,
) -> Result<Result<(Core, Campaign), ExitCode>> {
    let loaded = match lint::load(&Origin::choose(folder, false)) {
        Ok(loaded) => loaded,
        Err(findings) => return Ok(Err(logging::refuse(&findings))),
    };
    let store = Arc::new(existing_store(&loaded.config.deployment).await?);
    let upgrades = store.upgrades().await?;
    let found = match &id {
        Some(id) => upgrades.iter().find(|campaign| campaign.is_called(id)),
        None => current(&upgrades, SystemClock.now()),
    };
    let Some(campaign) = found.cloned() else {
        match id {
            Some(id) => {
                let known = upgrades
                    .iter()
                    .map(|a| a.upgrade.id.as_str())
                    .collect::<Vec<_>>();
                eprintln!("no upgrade `{id}` is known; {}", suggest(&id, known));
            }
            None => eprintln!("no upgrade is known yet: start `herald run`"),
        }
        return Ok(Err(ExitCode::FAILURE));
    };
    let snapshot = ConfigSnapshot {
        config: loaded.config,
        renderer: loaded.renderer,
    };
    Ok(Ok((
        Core::new(snapshot, Default::default(), Arc::new(SystemClock), store),
        campaign,
    )))
}
