//! The first contact: is the token good, is the bot in the guild?

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use secrecy::ExposeSecret;
use serenity::{
    all::{ApplicationFlags, ApplicationId, ChannelType, GuildId, Permissions},
    http::{Http, HttpBuilder, Ratelimiter},
};
use thiserror::Error;
use tokio::time::Instant;

use super::{
    Discord, DiscordSettings,
    error::{DiscordFault, code},
    health::{ConnectionHealth, NEW_TOKEN, TOKEN_REVOKED},
    id, place,
    request::{Budget, held_back},
};
use crate::ports::NamedPlace;

const ACCOUNT: &str = "asking for the bot's account";
const APPLICATION: &str = "asking for the application";

/// Why there is no connection to Discord.
#[derive(Debug, Error)]
pub enum DiscordConnectError {
    /// The settings can't be right.
    #[error("Discord: {0}")]
    Settings(String),
    #[error("Discord: {TOKEN_REVOKED}; {NEW_TOKEN}")]
    Token,
    #[error(
        "Discord: the bot is not in the server {guild}; somebody who may manage that server invites it at {invite}"
    )]
    NotInGuild { guild: u64, invite: String },
    #[error(
        "Discord: {reason}; check the network and https://discordstatus.com, then start herald again"
    )]
    Unreachable { reason: String },
    /// Discord answers, and the network is well.
    #[error("{0}; start herald again, and if it stays so, look for a newer herald")]
    Unreadable(String),
    /// Discord said no for another reason.
    #[error("Discord: {0}")]
    Refused(String),
}

impl DiscordConnectError {
    /// True if trying again can help; otherwise somebody has to mend something first.
    pub fn retryable(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Unreadable(_))
    }
}

impl From<DiscordFault> for DiscordConnectError {
    fn from(fault: DiscordFault) -> Self {
        match fault {
            DiscordFault::Token => Self::Token,
            DiscordFault::Unsure { reason, .. } => Self::Unreachable { reason },
            fault @ DiscordFault::Unreadable { .. } => Self::Unreadable(fault.words()),
            DiscordFault::Code { words, .. } => Self::Refused(words),
        }
    }
}

impl Discord {
    /// Asks Discord whether the token is good, whose it is, and whether the bot is in the guild. Nothing is changed there.
    ///
    /// # Errors
    /// [`DiscordConnectError`], of which [`DiscordConnectError::retryable`] ones may go away by themselves.
    pub async fn connect(settings: DiscordSettings) -> Result<Arc<Self>, DiscordConnectError> {
        let zero = || {
            DiscordConnectError::Settings("the server's id must be a number other than 0".into())
        };
        let guild = id(&settings.guild.to_string())
            .map(GuildId::from)
            .ok_or_else(zero)?;
        let http = http(&settings)?;
        let budget = Budget::new();
        let deadline = Instant::now() + settings.timeout * 4;
        let me = budget.ask(deadline, || http.get_current_user()).await;
        let me = me.map_err(|fault| fault.of(ACCOUNT))?.id;
        let application = budget
            .ask(deadline, || http.get_current_application_info())
            .await
            .map_err(|fault| fault.of(APPLICATION))?
            .id;
        http.set_application_id(application);
        budget
            .ask(deadline, || http.get_guild(guild))
            .await
            .map_err(|fault| match fault {
                DiscordFault::Code {
                    code: code::UNKNOWN_GUILD | code::MISSING_ACCESS,
                    ..
                } => DiscordConnectError::NotInGuild {
                    guild: guild.get(),
                    invite: invite(application),
                },
                other => other.of("asking for the server").into(),
            })?;
        Ok(Arc::new(Self {
            http,
            budget,
            guild,
            application,
            me,
            health: ConnectionHealth::default(),
            registering: tokio::sync::Mutex::default(),
            forums: Mutex::default(),
            passed_over: Mutex::default(),
            settings,
        }))
    }
}

impl Discord {
    /// Lists the servers that the token's bot is in, whatever server the settings name.
    ///
    /// # Errors
    /// Discord can't be asked or refuses the token, or the bot is in no server.
    pub async fn servers(
        settings: &DiscordSettings,
    ) -> Result<Vec<NamedPlace>, DiscordConnectError> {
        let http = http(settings)?;
        let (budget, deadline) = (Budget::new(), Instant::now() + settings.timeout * 4);
        let guilds = budget.ask(deadline, || http.get_guilds(None, None)).await;
        let guilds = guilds.map_err(|fault| fault.of("asking for the bot's servers"))?;
        if guilds.is_empty() {
            let application = budget.ask(deadline, || http.get_current_application_info());
            let application = application.await.map_err(|fault| fault.of(APPLICATION))?;
            return Err(DiscordConnectError::Refused(format!(
                "the bot is in no server; somebody who may manage yours invites it at {}",
                invite(application.id)
            )));
        }
        let named = guilds
            .into_iter()
            .map(|guild| NamedPlace::new(guild.id.to_string(), &guild.name));
        Ok(named.collect())
    }

    /// Lists the channels of the server in which one can write.
    ///
    /// # Errors
    /// Discord couldn't be asked.
    pub async fn text_channels(&self) -> Result<Vec<NamedPlace>, DiscordConnectError> {
        let channels = self.ask(self.deadline(), || self.http.get_channels(self.guild));
        let mut channels = channels
            .await
            .map_err(|fault| fault.of("asking for the channels"))?;
        channels.retain(|channel| matches!(channel.kind, ChannelType::Text | ChannelType::News));
        channels.sort_by_key(|channel| channel.position);
        let named = channels
            .into_iter()
            .map(|channel| NamedPlace::new(channel.id.to_string(), &channel.name));
        Ok(named.collect())
    }

    /// Lists the roles of the server, but for everybody's and the bots' own.
    ///
    /// # Errors
    /// Discord couldn't be asked.
    pub async fn roles(&self) -> Result<Vec<NamedPlace>, DiscordConnectError> {
        let roles = self.ask(self.deadline(), || self.http.get_guild_roles(self.guild));
        let mut roles = roles
            .await
            .map_err(|fault| fault.of("asking for the roles"))?;
        roles.retain(|role| role.id.get() != self.guild.get() && !role.managed);
        let named = roles
            .into_iter()
            .map(|role| NamedPlace::new(role.id.to_string(), &role.name));
        Ok(named.collect())
    }
}

/// The bot as its owner sees it.
#[derive(Clone, Debug)]
pub struct BotIdentity {
    pub name: String,
    /// The address at which a server's manager lets it in.
    pub invite: String,
    /// True if Discord gives it the words of people's messages.
    pub reads_replies: bool,
}

impl Discord {
    /// # Errors
    /// Discord couldn't be asked.
    pub async fn portrait(&self) -> Result<BotIdentity, DiscordConnectError> {
        let deadline = self.deadline();
        let me = self.ask(deadline, || self.http.get_current_user()).await;
        let me = me.map_err(|fault| fault.of(ACCOUNT))?;
        let application = self
            .ask(deadline, || self.http.get_current_application_info())
            .await
            .map_err(|fault| fault.of(APPLICATION))?;
        let content = ApplicationFlags::GATEWAY_MESSAGE_CONTENT
            | ApplicationFlags::GATEWAY_MESSAGE_CONTENT_LIMITED;
        Ok(BotIdentity {
            name: me.name.clone(),
            invite: invite(application.id),
            reads_replies: application
                .flags
                .is_some_and(|flags| flags.intersects(content)),
        })
    }
}

/// The address at which a server's manager lets the bot in, with the permissions it needs and no others.
fn invite(application: ApplicationId) -> String {
    let permissions =
        (place::NEEDED_PERMISSIONS | place::PIN_MESSAGES | Permissions::CREATE_EVENTS).bits();
    format!(
        "https://discord.com/oauth2/authorize?client_id={application}&scope=bot%20applications.commands&permissions={permissions}"
    )
}

/// A client for Discord's HTTP API, serenity's rate limiter on. Its connections live in the runtime that first uses it.
pub(super) fn http(settings: &DiscordSettings) -> Result<Http, DiscordConnectError> {
    let wrong =
        |what: &str, e: reqwest::Error| DiscordConnectError::Settings(format!("{what}: {e}"));
    let mut client = reqwest::Client::builder()
        .tls_backend_native()
        .timeout(settings.timeout)
        .connect_timeout(settings.timeout);
    // a connection dropped by a firewall without a word must not swallow the next post
    client = client.pool_idle_timeout(Duration::from_secs(60));
    if let Some(route) = &settings.route {
        client = client.no_proxy().resolve("discord.com", route.address);
        let roots = reqwest::Certificate::from_pem_bundle(&route.ca_pem)
            .map_err(|e| wrong("the route's root certificate", e))?;
        if roots.is_empty() {
            return Err(DiscordConnectError::Settings(
                "the route's root certificate is no PEM".into(),
            ));
        }
        client = client.tls_certs_merge(roots);
    }
    let client = client.build().map_err(|e| wrong("the HTTP client", e))?;
    let builder = HttpBuilder::new(settings.token.expose_secret()).client(client.clone());
    // the limiter wants the token as the header has it, and only the built client knows that
    let mut http = builder.build();
    let mut limiter = Ratelimiter::new(client, http.token());
    limiter.set_ratelimit_callback(Box::new(held_back));
    http.ratelimiter = Some(limiter);
    Ok(http)
}
