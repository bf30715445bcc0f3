//! Connects a process with the outside: settings with their secrets, chats, channels and chains.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail};
use secrecy::SecretString;

use crate::{
    adapters::{
        discord::{self, Discord},
        irc::{Irc, IrcSettings},
        matrix::{self, Matrix},
        node::Node,
    },
    config::{ChannelConfig, Config, Deployment, Secret, StoreAt},
    domain::campaign::Campaign,
    ports::{Chain, ChainError, Chat, ChatError, Outlet, Platform},
};

/// Tries of something that may be away for a moment: a restart in a bad minute is not a wrong setting.
const MAX_TRIES: u32 = 3;
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Tries again what has failed in a way that may pass.
pub(crate) async fn retry<T, E>(
    mut attempt: impl AsyncFnMut() -> Result<T, E>,
    may_pass: impl Fn(&E) -> bool,
) -> Result<T, E> {
    let mut tries = 1;
    loop {
        match attempt().await {
            Err(error) if may_pass(&error) && tries < MAX_TRIES => tries += 1,
            result => return result,
        }
        tokio::time::sleep(RETRY_AFTER).await;
    }
}

/// Tells whether a chat may answer if it is asked again.
pub(crate) fn is_transient(error: &ChatError) -> bool {
    matches!(error, ChatError::Retry { .. })
}

/// The chats that channels are on.
#[derive(Default)]
pub(crate) struct Chats {
    pub discord: Option<Arc<Discord>>,
    pub matrix: Option<Arc<Matrix>>,
    pub irc: Option<Arc<Irc>>,
}

/// Returns a store's address with its password.
pub(crate) fn address(at: &StoreAt) -> Result<SecretString> {
    at.address()
        .map_err(|e| anyhow!("store.password in herald.yaml: {e}"))
}

fn secret(secret: &Secret, key: &str) -> Result<SecretString> {
    secret
        .read()
        .map_err(|e| anyhow!("{key} in herald.yaml: {e}"))
}

/// Reads what a connection to Discord takes, if there is one to be.
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

/// Reads what a connection to Matrix takes, if there is one to be.
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

pub(crate) async fn connect_chats(deployment: &Deployment, replica: &str) -> Result<Chats> {
    let used = |platform| deployment.channels.values().any(|c| c.platform == platform);
    let mut chats = Chats::default();
    if used(Platform::Discord)
        && let Some(settings) = discord_settings(deployment)?
    {
        let connect = async || Discord::connect(settings.clone()).await;
        chats.discord = Some(retry(connect, discord::DiscordConnectError::retryable).await?);
    }
    if used(Platform::Matrix)
        && let Some(settings) = matrix_settings(deployment, replica)?
    {
        let connect = async || Matrix::connect(settings.clone()).await;
        chats.matrix = Some(
            retry(connect, matrix::MatrixConnectError::is_retryable)
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

/// The channels that have places, by what the platforms call them once names are resolved.
#[derive(Default)]
pub(crate) struct TakenPlaces(BTreeMap<(Platform, String), String>);

impl TakenPlaces {
    /// Takes a place for a channel.
    ///
    /// # Errors
    /// Another channel has it, by another name: it would get every post twice, and perhaps what is for operators alone.
    pub fn take(&mut self, platform: Platform, place: String, channel: &str) -> Result<()> {
        let title = platform.capabilities().title;
        match self.0.entry((platform, place)) {
            Entry::Vacant(free) => {
                free.insert(channel.to_owned());
                Ok(())
            }
            Entry::Occupied(taken) => bail!(
                "channels {} and {channel} in herald.yaml are one place on {title} ({}), which would get every post twice; keep one of them, or name another place",
                taken.get(),
                taken.key().1
            ),
        }
    }
}

/// Finds a channel's room on Matrix by whichever of its names the channel has, and takes it for the channel.
///
/// # Errors
/// The room isn't there or may not be joined, or another channel has it.
pub(crate) async fn matrix_place(
    matrix: &Matrix,
    name: &str,
    channel: &ChannelConfig,
    taken: &mut TakenPlaces,
) -> Result<String> {
    let room = retry(async || matrix.room(&channel.place).await, is_transient).await?;
    let arrival = retry(async || matrix.arrival(&room).await, is_transient).await?;
    taken.take(channel.platform, arrival, name)?;
    Ok(room)
}

/// Connects each channel; a place that isn't there or may not be written to is told now.
pub(crate) async fn outlets(
    deployment: &Deployment,
    chats: &Chats,
) -> Result<BTreeMap<String, Outlet>> {
    if let Some(matrix) = &chats.matrix {
        let rooms = deployment
            .channels
            .values()
            .filter(|c| c.platform == Platform::Matrix);
        matrix.allow(rooms.map(|c| c.place.clone()).collect());
    }
    let around = match &chats.discord {
        Some(discord) => Some(
            retry(async || discord.surroundings().await, is_transient)
                .await
                .context("Discord")?,
        ),
        None => None,
    };
    let mut outlets = BTreeMap::new();
    let mut taken = TakenPlaces::default();
    for (name, channel) in &deployment.channels {
        let at = || format!("channel {name} in herald.yaml");
        let (chat, place): (Arc<dyn Chat>, String) = match (
            channel.platform,
            chats.discord.as_ref().zip(around.as_ref()),
            &chats.matrix,
            &chats.irc,
        ) {
            (Platform::Discord, Some((discord, around)), ..) => {
                retry(
                    async || discord.check_place(&channel.place, around).await,
                    is_transient,
                )
                .await
                .with_context(at)?;
                let id = channel.place.trim_start_matches('0').to_owned();
                taken.take(channel.platform, id, name)?;
                (discord.clone(), channel.place.clone())
            }
            (Platform::Matrix, _, Some(matrix), _) => {
                let room = matrix_place(matrix, name, channel, &mut taken)
                    .await
                    .with_context(at)?;
                (matrix.clone(), room)
            }
            (Platform::Irc, .., Some(irc)) => {
                retry(async || irc.join(&channel.place).await, is_transient)
                    .await
                    .with_context(at)?;
                (irc.clone(), channel.place.clone())
            }
            _ => bail!("{}: {} is not set up", at(), channel.platform.name()),
        };
        outlets.insert(name.clone(), channel.outlet(chat, place));
    }
    Ok(outlets)
}

/// Connects every chain, since what nobody announced may come on any. Those that an upgrade touches, in a file or
/// still open in the store, have to answer now.
pub(super) async fn connect_chains(
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
            retry(
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_has_one_channel() {
        let mut taken = TakenPlaces::default();
        let mut take = |platform, place: &str, channel| taken.take(platform, place.into(), channel);
        take(Platform::Matrix, "!one", "upgrades").unwrap();
        take(Platform::Matrix, "!two", "operations").unwrap();
        take(Platform::Discord, "!one", "elsewhere").unwrap();
        let error = take(Platform::Matrix, "!one", "by-alias").unwrap_err();
        assert!(
            error.to_string().starts_with(
                "channels upgrades and by-alias in herald.yaml are one place on Matrix (!one)"
            ),
            "{error}"
        );
    }
}
