//! `herald run`: everything is connected and reviewed first, then the services go.

pub(crate) mod active;
pub mod health_file;
pub mod heartbeat;
pub(crate) mod http;
pub mod leader;
pub(crate) mod logging;
pub(crate) mod mentions;
pub mod reload;
pub(crate) mod replicas;
pub mod supervisor;
use crate::config::StoreAt;
use anyhow::anyhow;
use secrecy::SecretString;
use std::{collections::BTreeMap, path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use anyhow::{Context, Result, bail};
use secrecy::ExposeSecret;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

use self::health_file::{HealthFile, ProcessState};
use crate::{
    adapters::{
        discord::{self, Discord},
        irc::{Irc, IrcSettings},
        matrix::{self, Matrix},
        node::Node,
        store::{Lock, SqlStore},
    },
    config::{Config, Deployment, Files, Finding, Origin, Secret, UpgradeFile},
    domain::campaign::{self, Campaign},
    lint::{self, Loaded},
    outbox::Core,
    ports::{Chain, ChainError, Chat, ChatError, Outlet, Platform, Store, StoreError},
    words::Renderer,
};

/// Tries of something that may be away for a moment, a second apart: a restart in a bad minute is not a
/// wrong setting.
const TRIES: u32 = 3;

pub(crate) async fn patiently<T, E>(
    mut attempt: impl AsyncFnMut() -> Result<T, E>,
    may_pass: impl Fn(&E) -> bool,
) -> Result<T, E> {
    let mut tries = 1;
    loop {
        match attempt().await {
            Err(error) if may_pass(&error) && tries < TRIES => tries += 1,
            result => return result,
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// A server may be away for a moment; a file, or a store of another version, stays as it is.
fn may_pass(at: &StoreAt, error: &StoreError) -> bool {
    at.shared() && matches!(error, StoreError::Unavailable(_))
}

pub(crate) fn chat_may_pass(error: &ChatError) -> bool {
    matches!(error, ChatError::Retry { .. })
}

/// The chats that channels are on.
#[derive(Default)]
pub(crate) struct Chats {
    pub discord: Option<Arc<Discord>>,
    pub matrix: Option<Arc<Matrix>>,
    pub irc: Option<Arc<Irc>>,
}

/// What a process keeps for as long as it runs, active or standing by.
pub(crate) struct ProcessContext {
    pub origin: Origin,
    /// The files as they were read at the start.
    pub files: Option<Files>,
    pub config: Config,
    pub renderer: Arc<Renderer>,
    pub chats: Chats,
    pub outlets: BTreeMap<String, Outlet>,
    pub chains: BTreeMap<String, Arc<dyn Chain>>,
    pub store: Arc<dyn Store>,
    pub signs: Arc<HealthFile>,
    /// What is served to readers and monitors.
    pub web: Option<http::Serving>,
}

pub async fn run(
    folder: Option<PathBuf>,
    replica: &str,
    health_file: Option<PathBuf>,
) -> Result<ExitCode> {
    logging::log("warn,upgrade_herald=info");
    let signs = Arc::new(HealthFile::new(health_file));
    signs.say(ProcessState::Starting);
    tokio::select! {
        ended = start(folder, replica, signs.clone()) => ended,
        never = signs.keep() => match never {},
    }
}

async fn start(folder: Option<PathBuf>, replica: &str, signs: Arc<HealthFile>) -> Result<ExitCode> {
    let origin = Origin::choose(folder, false);
    let files = Files::read(&origin).ok();
    let loaded = match lint::load(&origin) {
        Ok(loaded) => loaded,
        Err(findings) => return Ok(logging::refuse(&findings)),
    };
    loaded.warnings.iter().for_each(|w| eprintln!("{w}"));
    let Loaded {
        config, renderer, ..
    } = loaded;
    let at = config.deployment.store.clone();
    // Two on one file would post side by side.
    let _alone = if at.shared() {
        None
    } else {
        Some(Lock::take(&at.url)?)
    };
    let url = address(&at)?;
    let open = async || SqlStore::open(url.expose_secret()).await;
    let store: Arc<dyn Store> = Arc::new(patiently(open, |error| may_pass(&at, error)).await?);
    let me = replicas::this(replica);
    if at.shared() {
        // Before anything else: a device on Matrix is one process's.
        replicas::alone_by_name(&*store, &me, config.deployment.delivery.lease).await?;
    }
    let chats = connect_chats(&config.deployment, replica).await?;
    let outlets = outlets(&config.deployment, &chats).await?;
    let chains = connect_chains(&config, &store.upgrades().await?).await?;
    let stop = stop_on_signals(signs.clone())?;
    let shown = http::PageSource {
        config: &config,
        renderer: &renderer,
        outlets: &outlets,
        chains: &chains,
        store: &store,
    };
    let web = http::start(shown, &signs, &stop).await?;
    let station = ProcessContext {
        origin,
        files,
        config,
        renderer,
        chats,
        outlets,
        chains,
        store,
        signs,
        web,
    };
    if at.shared() {
        replicas::run(&station, me, stop).await
    } else {
        active::alone(&station, stop).await
    }
}

/// True once the process was told to stop.
fn stop_on_signals(signs: Arc<HealthFile>) -> Result<watch::Receiver<bool>> {
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    let (told, stop) = watch::channel(false);
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => tracing::info!("told to stop: what is in flight is finished first"),
            _ = interrupt.recv() => tracing::info!("interrupted: what is in flight is finished first"),
        }
        signs.say(ProcessState::Stopping);
        told.send_replace(true);
    });
    Ok(stop)
}

/// A store's address with its password.
pub(crate) fn address(at: &StoreAt) -> Result<SecretString> {
    at.address()
        .map_err(|e| anyhow!("store.password in herald.yaml: {e}"))
}

fn secret(secret: &Secret, key: &str) -> Result<secrecy::SecretString> {
    secret
        .read()
        .map_err(|e| anyhow::anyhow!("{key} in herald.yaml: {e}"))
}

/// What a connection to Discord takes, if there is one to be.
pub(crate) fn discord_settings(
    deployment: &Deployment,
) -> Result<Option<discord::DiscordSettings>> {
    let Some(discord) = &deployment.discord else {
        return Ok(None);
    };
    let route = match &discord.route {
        None => None,
        Some((address, ca)) => {
            let ca_pem = std::fs::read(ca).with_context(|| {
                format!(
                    "discord.route.ca in herald.yaml: {} can't be read",
                    ca.display()
                )
            })?;
            Some(discord::Route {
                address: *address,
                ca_pem,
            })
        }
    };
    let (token, timeout) = (
        secret(&discord.token, "discord.token")?,
        Duration::try_from(deployment.delivery.timeout)?,
    );
    Ok(Some(discord::DiscordSettings {
        token,
        guild: discord.guild,
        route,
        timeout,
    }))
}

/// What a connection to Matrix takes, if there is one to be.
pub(crate) fn matrix_settings(
    deployment: &Deployment,
    replica: &str,
) -> Result<Option<matrix::MatrixSettings>> {
    let Some(matrix) = &deployment.matrix else {
        return Ok(None);
    };
    let optional = |s: &Option<Secret>, key: &str| s.as_ref().map(|s| secret(s, key)).transpose();
    Ok(Some(matrix::MatrixSettings {
        homeserver: matrix.homeserver.clone(),
        user: matrix.user.clone(),
        password: optional(&matrix.password, "matrix.password")?,
        token: optional(&matrix.token, "matrix.token")?,
        // A device has one process: the homeserver tells repeats by it, and its keys are in one folder.
        device: if deployment.store.shared() {
            format!("{}-{replica}", matrix.device)
        } else {
            matrix.device.clone()
        },
        store: if deployment.store.shared() {
            matrix.store.join(replica)
        } else {
            matrix.store.clone()
        },
        passphrase: optional(&matrix.passphrase, "matrix.passphrase")?,
        recovery: optional(&matrix.recovery, "matrix.recovery")?,
        timeout: Duration::try_from(deployment.delivery.timeout)?,
    }))
}

async fn connect_chats(deployment: &Deployment, replica: &str) -> Result<Chats> {
    let used = |platform| deployment.channels.values().any(|c| c.platform == platform);
    let mut chats = Chats::default();
    if used(Platform::Discord)
        && let Some(settings) = discord_settings(deployment)?
    {
        let connect = async || Discord::connect(settings.clone()).await;
        chats.discord = Some(patiently(connect, discord::ConnectError::retryable).await?);
    }
    if used(Platform::Matrix)
        && let Some(settings) = matrix_settings(deployment, replica)?
    {
        let connect = async || Matrix::connect(settings.clone()).await;
        chats.matrix = Some(
            patiently(connect, matrix::ConnectError::is_retryable)
                .await
                .context("Matrix")?,
        );
    }
    if used(Platform::Irc)
        && let Some(irc) = &deployment.irc
    {
        let password = irc.password.as_ref();
        chats.irc = Some(Irc::new(IrcSettings {
            server: irc.server.clone(),
            nick: irc.nick.clone(),
            password: password.map(|p| secret(p, "irc.password")).transpose()?,
            timeout: Duration::try_from(deployment.delivery.timeout)?,
        }));
    }
    Ok(chats)
}

/// Each channel with its connection; a place that isn't there or may not be written to is told now.
async fn outlets(deployment: &Deployment, chats: &Chats) -> Result<BTreeMap<String, Outlet>> {
    if let Some(matrix) = &chats.matrix {
        let rooms = deployment
            .channels
            .values()
            .filter(|c| c.platform == Platform::Matrix);
        matrix.allow(rooms.map(|c| c.place.clone()).collect());
    }
    let around = match &chats.discord {
        Some(discord) => Some(
            patiently(async || discord.surroundings().await, chat_may_pass)
                .await
                .context("Discord")?,
        ),
        None => None,
    };
    let mut outlets = BTreeMap::new();
    for (name, channel) in &deployment.channels {
        let at = || format!("channel {name} in herald.yaml");
        let (chat, place): (Arc<dyn Chat>, String) = match (
            channel.platform,
            chats.discord.as_ref().zip(around.as_ref()),
            &chats.matrix,
            &chats.irc,
        ) {
            (Platform::Discord, Some((discord, around)), ..) => {
                patiently(
                    async || discord.check_place(&channel.place, around).await,
                    chat_may_pass,
                )
                .await
                .with_context(at)?;
                (discord.clone(), channel.place.clone())
            }
            (Platform::Matrix, _, Some(matrix), _) => {
                let room = patiently(async || matrix.room(&channel.place).await, chat_may_pass)
                    .await
                    .with_context(at)?;
                (matrix.clone(), room)
            }
            (Platform::Irc, .., Some(irc)) => {
                patiently(async || irc.join(&channel.place).await, chat_may_pass)
                    .await
                    .with_context(at)?;
                (irc.clone(), channel.place.clone())
            }
            _ => bail!("{}: {} is not set up", at(), channel.platform.name()),
        };
        let (locale, mentions) = (channel.locale.clone(), channel.mentions.clone());
        outlets.insert(
            name.clone(),
            Outlet {
                platform: channel.platform,
                chat,
                place,
                readers: channel.readers,
                locale,
                mentions,
            },
        );
    }
    Ok(outlets)
}

/// Every chain is followed: what nobody announced may come on any. Those that an upgrade touches, in a file or still
/// open in the store, have to answer now.
async fn connect_chains(
    config: &Config,
    known: &[Campaign],
) -> Result<BTreeMap<String, Arc<dyn Chain>>> {
    let mut chains: BTreeMap<String, Arc<dyn Chain>> = BTreeMap::new();
    for (name, chain) in &config.deployment.chains {
        let open = known
            .iter()
            .filter(|k| !k.progress.finished())
            .map(|k| &k.upgrade);
        let mut upgrades = config.upgrades.iter().map(|u| &u.upgrade).chain(open);
        let node = Node::new(chain.endpoints.clone());
        if upgrades.any(|u| u.chains.contains_key(name)) {
            patiently(
                async || node.head(None).await,
                |e| matches!(e, ChainError::Unreachable(_)),
            )
            .await
            .with_context(|| format!("chain {name}"))?;
        }
        chains.insert(name.clone(), Arc::new(node));
    }
    Ok(chains)
}

/// New upgrades whose target a chain runs already: there would be nothing to announce but a mistake.
pub(crate) async fn already_there(
    core: &Core,
    chains: &BTreeMap<String, Arc<dyn Chain>>,
    files: &[UpgradeFile],
) -> Result<Vec<Finding>> {
    let known = core.store.upgrades().await?;
    let mut findings = Vec::new();
    let new = |f: &&UpgradeFile| {
        let own = known.iter().any(|k| k.is_called(&f.upgrade.id));
        !own && campaign::joined_by(&known, &f.upgrade).is_none()
    };
    let new: Vec<&UpgradeFile> = files.iter().filter(new).collect();
    for (name, chain) in chains
        .iter()
        .filter(|(name, _)| new.iter().any(|f| f.upgrade.chains.contains_key(*name)))
    {
        let head = chain
            .head(None)
            .await
            .with_context(|| format!("chain {name}"))?;
        let block = chain
            .block(head.number)
            .await
            .with_context(|| format!("chain {name}"))?;
        let running = block.proven_version.unwrap_or(block.spec_version);
        for UpgradeFile { upgrade, file } in &new {
            if upgrade
                .chains
                .get(name)
                .is_some_and(|target| target.spec_version <= running)
            {
                findings.push(file.wrong(
                    &["chains", name, "spec_version"],
                    format!(
                        "{} is new here, but {name} runs spec_version {running} already",
                        upgrade.id
                    ),
                    "name the version that is to come, or remove the file",
                ));
            }
        }
    }
    Ok(findings)
}
