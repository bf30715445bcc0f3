//! Discord: posts and reads answers over REST, slash commands over the gateway.
//!
//! The two are kept apart. Posting, reading back and reading answers are plain requests and need no gateway;
//! the gateway serves `/upgrade` alone, so its outages delay no notice and lose no feedback.
//!
//! - `connect` proves token and guild before anything else is tried.
//! - `send` posts under two protections: the nonce for the minutes in flight, and for later a mark in
//!   the embed's footer by which a message is found in the history.
//! - `forum` finds or opens the topic of an upgrade.
//! - `around` hands posts on, pins them, and keeps the server's calendar.
//! - `read` takes of Discord's answers what is needed, and passes over what can't be read.
//! - `request` bounds every request in time and keeps to fifty of them a second.
//! - `error` turns answers into "try again" or "mend this first".
//! - `gateway` decides when a connection is up, stuck or hopeless; `link` holds one connection.
//! - `command` registers `/upgrade` and answers it.

mod command;
mod connect;
mod error;
mod feedback;
mod forum;
mod gateway;
mod health;
mod link;
mod place;
mod read;
mod request;
mod send;
mod side_effects;

use std::{collections::BTreeSet, fmt, net::SocketAddr, num::NonZeroU64, time::Duration};

use parking_lot::Mutex;

use async_trait::async_trait;
use jiff::Timestamp;
use secrecy::SecretString;
use serenity::{
    all::{ApplicationId, ChannelId, GuildId, MessageId, UserId},
    http::Http,
};
use tokio::time::Instant;

use self::{error::DiscordFault, health::ConnectionHealth, request::Budget};

use crate::{
    domain::{
        outbox::{CalendarEvent, PostKey},
        people::feedback::Heard,
    },
    ports::{Accepted, Chat, ChatError, Handling, Outgoing},
};

pub use self::{
    connect::{BotIdentity, DiscordConnectError},
    place::{RequiredPermissions, ServerInfo},
};

/// Another way to Discord's HTTP API, for tests and for networks whose proxy opens TLS: requests to
/// `discord.com` go to `address`, whose certificate may come from one of the roots in `ca_pem`
/// (one or more PEM certificates). The system's proxy settings are passed over.
///
/// The gateway's address is whatever that API names; its certificate is checked against the system's roots only.
#[derive(Clone)]
pub struct Route {
    pub address: SocketAddr,
    pub ca_pem: Vec<u8>,
}

/// The settings that `Discord::connect` needs.
#[derive(Clone)]
pub struct DiscordSettings {
    /// The bot's token, with or without `Bot ` before it.
    pub token: SecretString,
    /// The guild's (server's) id.
    pub guild: u64,
    pub route: Option<Route>,
    /// The longest time of one HTTP request. A whole `send`, `find`, `edit` or `open_thread`, waits for rate limits included,
    /// ends within four times this; `heard` may take that long for each 100 replies or reactions.
    pub timeout: Duration,
}

/// Discord as herald's bot sees it: one bot, one guild.
pub struct Discord {
    http: Http,
    budget: Budget,
    guild: GuildId,
    application: ApplicationId,

    /// The bot's own account.
    me: UserId,
    health: ConnectionHealth,
    /// Held by whoever registers the command.
    registering: tokio::sync::Mutex<()>,
    forums: Mutex<forum::Forums>,
    /// Entries of Discord's lists that can't be read, and were named in the log.
    passed_over: Mutex<BTreeSet<String>>,
    settings: DiscordSettings,
}

impl Discord {
    /// The time by which an operation that begins now must have ended.
    fn deadline(&self) -> Instant {
        Instant::now() + self.settings.timeout * 4
    }

    /// Makes a request, which ends by the deadline, and notes whether the token is still good.
    /// It may be made twice, if a limit keeps the first from going out.
    async fn ask<T, F: Future<Output = serenity::Result<T>>>(
        &self,
        deadline: Instant,
        call: impl FnMut() -> F,
    ) -> Result<T, DiscordFault> {
        self.noted(self.budget.ask(deadline, call).await)
    }

    /// Does this for an answer to a command.
    async fn reply_by<T>(
        &self,
        deadline: Instant,
        call: impl Future<Output = serenity::Result<T>>,
    ) -> Result<T, DiscordFault> {
        self.noted(request::answer(deadline, call).await)
    }

    fn noted<T>(&self, result: Result<T, DiscordFault>) -> Result<T, DiscordFault> {
        match &result {
            Err(DiscordFault::Token) => self.health.token(true),
            Ok(_) | Err(DiscordFault::Code { .. } | DiscordFault::Unreadable { .. }) => {
                self.health.token(false);
            }
            Err(DiscordFault::Unsure { .. }) => {}
        }
        result
    }
}

/// The token is in here, so this shows names only.
impl fmt::Debug for Discord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Discord")
            .field("guild", &self.guild.get())
            .field("me", &self.me.get())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Chat for Discord {
    async fn send(&self, place: &str, out: Outgoing<'_>) -> Result<Accepted, ChatError> {
        send::send(self, channel_id(place)?, out).await
    }

    async fn find(
        &self,
        place: &str,
        key: &PostKey,
        since: Timestamp,
    ) -> Result<Option<Accepted>, ChatError> {
        send::find(self, channel_id(place)?, key, since).await
    }

    async fn open_thread(
        &self,
        place: &str,
        root: &str,
        title: &str,
        out: Outgoing<'_>,
    ) -> Result<Accepted, ChatError> {
        send::open_thread(self, channel_id(place)?, message_id(root)?, title, out).await
    }

    /// Says the same when it is said twice, so an edit leaves no mark of its own and `find` knows none.
    async fn edit(&self, place: &str, id: &str, out: Outgoing<'_>) -> Result<Accepted, ChatError> {
        send::edit(self, channel_id(place)?, message_id(id)?, out).await
    }

    async fn handle(&self, place: &str, id: &str, how: Handling) -> Result<(), ChatError> {
        side_effects::handle(self, channel_id(place)?, message_id(id)?, how).await
    }

    async fn calendar(&self, key: &PostKey, event: &CalendarEvent) -> Result<Accepted, ChatError> {
        side_effects::calendar(self, key, event).await
    }

    async fn heard(
        &self,
        place: &str,
        root: &str,
        thread: Option<&str>,
    ) -> Result<Heard, ChatError> {
        feedback::heard(
            self,
            channel_id(place)?,
            message_id(root)?,
            thread.map(channel_id).transpose()?,
        )
        .await
    }

    async fn topic(
        &self,
        place: &str,
        key: &PostKey,
        words: Option<(&str, &str)>,
    ) -> Result<Option<String>, ChatError> {
        Ok(forum::topic(self, channel_id(place)?, key, words)
            .await?
            .map(|topic| topic.to_string()))
    }

    async fn direct(&self, user: &str) -> Result<String, ChatError> {
        let who = id(user).ok_or_else(|| ChatError::Refused {
            reason: format!("“{user}” is no Discord user id"),
            remedy: "an id is a number".into(),
        })?;
        let asked = serde_json::json!({ "recipient_id": who.to_string() });
        let made = self
            .ask(self.deadline(), || self.http.create_private_channel(&asked))
            .await;
        made.map(|channel| channel.id.to_string())
            .map_err(|fault| fault.during("opening a private channel", ChannelId::from(who)))
    }

    fn trouble(&self) -> Option<String> {
        self.health.words()
    }
}

/// Ids are decimal numbers, never zero.
fn id(text: &str) -> Option<NonZeroU64> {
    text.parse().ok()
}

fn channel_id(place: &str) -> Result<ChannelId, ChatError> {
    id(place).map(ChannelId::from).ok_or_else(|| ChatError::Refused {
        reason: format!("“{place}” is no Discord channel id"),
        remedy: "a channel id is a number: turn on Developer Mode in Discord, then “Copy Channel ID”".into(),
    })
}

fn message_id(text: &str) -> Result<MessageId, ChatError> {
    id(text)
        .map(MessageId::from)
        .ok_or_else(|| ChatError::Refused {
            reason: format!("“{text}” is no Discord message id"),
            remedy: "the post it belongs to was not made on Discord: look at its row in the outbox"
                .into(),
        })
}
