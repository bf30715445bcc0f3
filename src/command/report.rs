//! `herald report`: the review after an upgrade, as Markdown for an issue, as a page, or as JSON.

mod page;

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use anyhow::Result;

use super::existing_store;
use crate::{
    app,
    clock::SystemClock,
    config::{Origin, suggest},
    ports::{Accepting, Clock, Store},
    service::{
        Book, Core,
        desk::current,
        report::{self, markdown::markdown},
    },
};

/// How it is written.
#[derive(Clone, Debug)]
pub enum Form {
    Markdown,
    /// Into a file, or to stdout.
    Html(Option<PathBuf>),
    Json,
}

pub async fn run(folder: Option<PathBuf>, id: Option<String>, form: Form) -> Result<ExitCode> {
    let loaded = match app::load(&Origin::choose(folder, false)) {
        Ok(loaded) => loaded,
        Err(findings) => return Ok(app::refuse(&findings)),
    };
    let store = Arc::new(existing_store(&loaded.config.deployment).await?);
    let upgrades = store.upgrades().await?;
    let Some(accepted) = meant(&upgrades, id.as_deref()) else { return Ok(unknown(&upgrades, id.as_deref())) };
    let core = Core::new(Book { config: loaded.config, renderer: loaded.renderer }, Default::default(), Arc::new(SystemClock), store);
    let book = core.book();
    let report = report::of(&core, &book, accepted).await?;
    let zone = book.renderer.zone();
    match form {
        Form::Markdown => out!("{}", markdown(&report, zone)),
        Form::Json => out!("{}", serde_json::to_string_pretty(&report)?),
        Form::Html(None) => out!("{}", page::write(&report, accepted, zone)),
        Form::Html(Some(path)) => std::fs::write(path, page::write(&report, accepted, zone))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The one named, or the one people mean.
pub fn meant<'a>(upgrades: &'a [Accepting], id: Option<&str>) -> Option<&'a Accepting> {
    match id {
        Some(id) => upgrades.iter().find(|a| a.upgrade.id == id || a.upgrade.joined.as_deref() == Some(id)),
        None => current(upgrades, SystemClock.now()),
    }
}

pub fn unknown(upgrades: &[Accepting], id: Option<&str>) -> ExitCode {
    match id {
        Some(id) => {
            let known = upgrades.iter().map(|a| a.upgrade.id.as_str()).collect::<Vec<_>>();
            eprintln!("no upgrade `{id}` is known; {}", suggest(id, known));
        }
        None => eprintln!("no upgrade is known yet: start `herald run`"),
    }
    ExitCode::FAILURE
}
