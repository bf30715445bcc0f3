//! The beginning of most commands: the files are read and reviewed, the store of the herald that runs is opened, and the
//! upgrade that is meant is found.

use std::{path::PathBuf, sync::Arc};

use anyhow::{Result, anyhow, bail};
use secrecy::ExposeSecret;

use crate::{
    adapters::{clock::SystemClock, store::SqlStore},
    answer::current,
    config::{Config, Deployment, Finding, Origin, suggest},
    domain::campaign::Campaign,
    lint::{self, Loaded},
    outbox::Core,
    ports::{CampaignStore, Clock},
    run::{address, logging},
    words::{Renderer, snapshot::ConfigSnapshot},
};

/// The files can't be used; the findings say why, so that nothing need be added.
#[derive(Debug, thiserror::Error)]
#[error("the configuration is not valid")]
pub struct Refused(pub Vec<Finding>);

/// Loads the files of a folder, which has to be there.
pub fn load(folder: Option<PathBuf>) -> Result<Loaded> {
    Ok(lint::load(&Origin::choose(folder, false)).map_err(Refused)?)
}

/// Loads the files of a folder as `herald run` does, which refuses what is still the example's.
pub fn load_own(folder: Option<PathBuf>) -> Result<Loaded> {
    Ok(lint::load_own(&Origin::choose(folder, false)).map_err(Refused)?)
}

/// Opens the store of a herald that runs, or ran.
pub async fn existing_store(deployment: &Deployment) -> Result<SqlStore> {
    match SqlStore::open_existing(address(&deployment.store)?.expose_secret()).await {
        Ok(store) => Ok(store),
        Err(error) => bail!("{error}"),
    }
}

/// The files in force, and the store that belongs to them.
pub struct Opened {
    pub config: Config,
    pub renderer: Arc<Renderer>,
    pub store: Arc<SqlStore>,
}

/// Loads the files of a folder and opens their store. Files that are broken are named, and are no obstacle: the herald that
/// runs goes on with the files before them, and has to be looked after.
pub async fn open(folder: Option<PathBuf>) -> Result<Opened> {
    let (loaded, findings) = lint::load_usable(&Origin::choose(folder, false)).map_err(Refused)?;
    if !findings.is_empty() {
        logging::refuse(&findings);
        eprintln!(
            "herald: what is broken is passed over here. In place of a plan or of templates that can't be used stand the built-in ones, in place of other files nothing. A herald that runs goes on with the files as they were"
        );
    }
    let Loaded {
        config, renderer, ..
    } = loaded;
    let store = Arc::new(existing_store(&config.deployment).await?);
    Ok(Opened {
        config,
        renderer,
        store,
    })
}

impl Opened {
    /// Finds the upgrade with this id or, without one, the upgrade that is under way, or the last.
    pub async fn campaign(&self, id: Option<&str>) -> Result<Campaign> {
        let known = self.store.upgrades().await?;
        let Some(id) = id else {
            let found = current(&known, SystemClock.now()).cloned();
            return found.ok_or_else(|| anyhow!("no upgrade is known yet: start `herald run`"));
        };
        known
            .iter()
            .find(|c| c.is_called(id))
            .cloned()
            .ok_or_else(|| {
                let ids = known
                    .iter()
                    .map(|c| c.upgrade.id.as_str())
                    .collect::<Vec<_>>();
                anyhow!("no upgrade `{id}` is known; {}", suggest(id, ids))
            })
    }

    /// The core as the service has it, without connections to chats.
    pub fn core(self) -> Core {
        let snapshot = ConfigSnapshot {
            config: self.config,
            renderer: self.renderer,
        };
        Core::new(
            snapshot,
            Default::default(),
            Arc::new(SystemClock),
            self.store,
        )
    }
}
