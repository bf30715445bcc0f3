//! `herald run`: everything is connected and reviewed first, then the services go.

mod active;
mod applied;
mod connect;
mod dry;
pub mod health_file;
pub mod heartbeat;
mod http;
pub mod leader;
pub(crate) mod logging;
mod mentions;
mod reload;
mod replicas;
pub mod supervisor;

use std::{collections::BTreeMap, path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use anyhow::Result;
use secrecy::ExposeSecret;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use self::{
    connect::{Chats, connect_chains},
    health_file::{HealthFile, ProcessState},
    reload::LoadFiles,
};
use crate::{
    adapters::store::{Lock, SqlStore},
    config::{Config, ConfigFiles, Origin, StoreAt, in_order},
    lint::{self, Loaded},
    ports::{Chain, Outlet, Store, StoreError},
    words::{Renderer, snapshot::ConfigSnapshot},
};

pub(crate) use self::connect::{
    TakenPlaces, address, connect_chats, discord_settings, is_transient, matrix_place,
    matrix_settings, outlets, retry,
};

/// A process keeps this for as long as it runs, active or standing by.
struct ProcessContext {
    pub origin: Origin,
    pub load: LoadFiles,
    /// The files as they were read at the start.
    pub files: Option<ConfigFiles>,
    pub config: Config,
    pub renderer: Arc<Renderer>,
    pub chats: Chats,
    pub outlets: BTreeMap<String, Outlet>,
    pub chains: BTreeMap<String, Arc<dyn Chain>>,
    pub store: Arc<dyn Store>,
    pub health_file: Arc<HealthFile>,
    /// The pages for readers and monitors.
    pub web: Option<http::Serving>,
}

impl ProcessContext {
    /// Returns the files as they were read at the start.
    fn snapshot(&self) -> ConfigSnapshot {
        ConfigSnapshot {
            config: self.config.clone(),
            renderer: self.renderer.clone(),
        }
    }

    /// Returns how long what is in flight may take to end after a stop.
    fn drain(&self) -> Duration {
        Duration::try_from(self.config.deployment.delivery.drain).unwrap_or_default()
    }
}

/// How the service is run.
pub struct RunOptions {
    /// The name among those that share a store.
    pub replica: String,
    /// The file that says that the process is alive.
    pub health_file: Option<PathBuf>,
    /// Posts are printed instead of sent, and nothing is kept.
    pub dry: bool,
}

pub async fn run(folder: Option<PathBuf>, options: RunOptions) -> Result<ExitCode> {
    logging::log("warn,upgrade_herald=info");
    let health_file = Arc::new(HealthFile::new(
        options.health_file.clone().filter(|_| !options.dry),
    ));
    health_file.say(ProcessState::Starting);
    tokio::select! {
        ended = start(folder, &options, health_file.clone()) => ended,
        never = health_file.keep() => match never {},
    }
}

async fn start(
    folder: Option<PathBuf>,
    options: &RunOptions,
    health_file: Arc<HealthFile>,
) -> Result<ExitCode> {
    let origin = Origin::choose(folder, false);
    let replica = options.replica.as_str();
    let load: LoadFiles = if options.dry {
        dry::load
    } else {
        lint::load_own
    };
    let files = ConfigFiles::read(&origin).ok();
    let loaded = match load(&origin) {
        Ok(loaded) => loaded,
        Err(findings) => return Ok(logging::refuse(&findings)),
    };
    let warnings = in_order(loaded.warnings.clone());
    warnings.iter().for_each(|w| eprintln!("{w}"));
    let Loaded {
        config, renderer, ..
    } = loaded;
    let at = config.deployment.store.clone();
    // Two on one file would post side by side.
    let _alone = if at.shared() || options.dry {
        None
    } else {
        Some(Lock::take(&at.url)?)
    };
    let url = address(&at)?;
    let open = async || SqlStore::open(url.expose_secret()).await;
    let store: Arc<dyn Store> = Arc::new(retry(open, |error| may_pass(&at, error)).await?);
    let me = replicas::this(replica);
    if at.shared() {
        // Before anything else: a device on Matrix is one process's.
        replicas::alone_by_name(&*store, &me, config.deployment.delivery.lease).await?;
    }
    let (chats, outlets) = if options.dry {
        tracing::info!(
            "a dry run: nothing is posted and nothing is kept; posts go to stdout and to the page"
        );
        (Chats::default(), dry::outlets(&config))
    } else {
        let chats = connect_chats(&config.deployment, replica).await?;
        let outlets = outlets(&config.deployment, &chats).await?;
        (chats, outlets)
    };
    let chains = connect_chains(&config, &store.upgrades().await?).await?;
    let stop = stop_on_signals(health_file.clone())?;
    let shown = http::PageSource {
        config: &config,
        renderer: &renderer,
        outlets: &outlets,
        chains: &chains,
        store: &store,
    };
    let web = http::start(shown, &health_file, &stop).await?;
    let process = ProcessContext {
        origin,
        load,
        files,
        config,
        renderer,
        chats,
        outlets,
        chains,
        store,
        health_file,
        web,
    };
    let work = async {
        if at.shared() {
            replicas::run(&process, me, stop).await
        } else {
            active::alone(&process, stop).await
        }
    };
    tokio::select! {
        ended = work => ended,
        never = process.health_file.watch_store(&*process.store) => match never {},
    }
}

/// A server may be away for a moment; a file, or a store of another version, stays as it is.
fn may_pass(at: &StoreAt, error: &StoreError) -> bool {
    at.shared() && matches!(error, StoreError::Unavailable(_))
}

/// Returns a token that is cancelled once the process is told to stop.
fn stop_on_signals(health_file: Arc<HealthFile>) -> Result<CancellationToken> {
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    let stop = CancellationToken::new();
    let told = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => tracing::info!("told to stop: what is in flight is finished first"),
            _ = interrupt.recv() => tracing::info!("interrupted: what is in flight is finished first"),
        }
        health_file.say(ProcessState::Stopping);
        told.cancel();
    });
    Ok(stop)
}
