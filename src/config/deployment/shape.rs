//! The shapes of herald.yaml, as they are read and as its schema shows them.

use std::{collections::BTreeMap, path::PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    config::yaml::kinds::{self, DiscordId, MatrixId, SomeLength},
    domain::plan::language::DEFAULT_LOCALE,
    ports::{Platform, Readers},
};

/// The places where herald runs and speaks. Secrets are never written here: name where they are.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawDeployment {
    /// The store, in which herald keeps what it has done.
    #[serde(default)]
    pub(super) store: RawStore,
    /// Needed where a channel is on Discord.
    pub(super) discord: Option<RawDiscord>,
    /// Needed where a channel is on Matrix.
    pub(super) matrix: Option<RawMatrix>,
    /// Needed where a channel is on IRC.
    pub(super) irc: Option<RawIrc>,
    /// Every chain to follow, by a name of up to 16 characters.
    #[schemars(extend("minProperties" = 1))]
    pub(super) chains: BTreeMap<String, RawChain>,
    /// The channels in which herald speaks, by names that the plan uses.
    #[schemars(extend("minProperties" = 1))]
    pub(super) channels: BTreeMap<String, RawChannel>,
    /// Times that keep a post from being made twice: timeout < lease < key_window.
    #[serde(default)]
    pub(super) delivery: RawDelivery,
    /// The status page with its feeds, and what a monitor asks for; without it herald serves nothing.
    pub(super) web: Option<RawWeb>,
}

impl RawDeployment {
    /// Returns whether the file says how a platform is reached.
    pub(super) fn has_section_of(&self, platform: Platform) -> bool {
        match platform {
            Platform::Discord => self.discord.is_some(),
            Platform::Matrix => self.matrix.is_some(),
            Platform::Irc => self.irc.is_some(),
        }
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("anyOf" = [{ "required": ["listen"] }, { "required": ["operations"] }]))]
pub(super) struct RawWeb {
    /// IP:port of the status page, calendar, feed and API, for everybody: 127.0.0.1:8080 behind a server that speaks TLS.
    #[schemars(with = "Option<kinds::Address>")]
    pub(super) listen: Option<String>,
    /// IP:port of /healthz, /readyz and /metrics, for monitors alone.
    #[schemars(with = "Option<kinds::Address>")]
    pub(super) operations: Option<String>,
    /// The address where readers find the page: https:// and so on. Feeds and calendars have it in their links.
    #[schemars(with = "Option<kinds::Homeserver>")]
    pub(super) address: Option<String>,
    /// The title on top of the page.
    #[serde(default = "web_title")]
    #[schemars(length(min = 1, max = 60))]
    pub(super) title: String,
}
pub(super) fn web_title() -> String {
    "Runtime upgrades".into()
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawStore {
    /// sqlite:// and a file's path; or postgres://user@host/database, where several herald share a store.
    #[schemars(with = "kinds::StoreUrl")]
    pub(super) url: String,
    /// PostgreSQL's password: where it is.
    #[schemars(with = "Option<RawSource>")]
    pub(super) password: Option<RawSecret>,
}
impl Default for RawStore {
    fn default() -> Self {
        Self {
            url: "sqlite://herald.db".into(),
            password: None,
        }
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawDiscord {
    /// The bot's token: where it is.
    #[schemars(with = "RawSource")]
    pub(super) token: RawSecret,
    /// The server's id, a number in quotes.
    #[schemars(with = "DiscordId")]
    pub(super) guild: String,
    /// Another way to Discord's API: behind a proxy that opens TLS.
    pub(super) route: Option<RawRoute>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRoute {
    /// IP:port
    #[schemars(with = "kinds::Address")]
    pub(super) address: String,
    /// The file with its root certificate.
    #[schemars(with = "kinds::Path")]
    pub(super) ca: PathBuf,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = [{ "required": ["password"] }, { "required": ["token"] }]))]
pub(super) struct RawMatrix {
    /// https:// and the server's host.
    #[schemars(with = "kinds::Homeserver")]
    pub(super) homeserver: String,
    /// herald's account: "@herald:example.org".
    #[schemars(with = "MatrixId")]
    pub(super) user: String,
    /// The account's password: where it is. Either this or `token`.
    #[schemars(with = "Option<RawSource>")]
    pub(super) password: Option<RawSecret>,
    /// An access token made for herald alone, with a device of its own: where it is.
    #[schemars(with = "Option<RawSource>")]
    pub(super) token: Option<RawSecret>,
    /// Keep it the same over restarts: it keeps posts from being made twice.
    #[serde(default = "device")]
    #[schemars(length(min = 1))]
    pub(super) device: String,
    /// A folder for session and encryption keys.
    #[serde(default = "matrix_store")]
    #[schemars(with = "kinds::Path")]
    pub(super) store: PathBuf,
    /// The place of the passphrase that encrypts the keys.
    #[schemars(with = "Option<RawSource>")]
    pub(super) passphrase: Option<RawSecret>,
    /// The account's recovery key, with which a new device is signed: where it is.
    #[schemars(with = "Option<RawSource>")]
    pub(super) recovery: Option<RawSecret>,
}
fn device() -> String {
    "HERALD".into()
}
fn matrix_store() -> PathBuf {
    "matrix".into()
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawIrc {
    /// Host and port of a server or bouncer with IRCv3 and a chat history, such as localhost:6667; nothing is encrypted.
    #[schemars(length(min = 1))]
    pub(super) server: String,
    /// herald's nick.
    #[schemars(length(min = 1))]
    pub(super) nick: String,
    /// The password that the server or bouncer asks for: where it is.
    #[schemars(with = "Option<RawSource>")]
    pub(super) password: Option<RawSecret>,
}

/// Anything but a source is taken for the secret itself, and never shown.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum RawSecret {
    Source(RawSource),
    Other(serde::de::IgnoredAny),
}

/// The place of a secret: one of the two.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
pub(super) struct RawSource {
    /// The name of an environment variable.
    #[schemars(length(min = 1))]
    pub(super) env: Option<String>,
    /// The path of a file.
    #[schemars(with = "Option<kinds::Path>")]
    pub(super) file: Option<PathBuf>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawChain {
    /// Addresses of its nodes, ws:// or wss://, the preferred one first. Two or more are compared.
    #[schemars(with = "Vec<kinds::Endpoint>", length(min = 1))]
    pub(super) endpoints: Vec<String>,
    /// The relay of a parachain, as it is named here.
    #[schemars(with = "Option<kinds::Chain>")]
    pub(super) relay: Option<String>,
    /// The id of a parachain on its relay.
    pub(super) para: Option<u32>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawChannel {
    /// The platform of the chat.
    pub(super) platform: Platform,
    /// A Discord channel's id, a Matrix room's id or alias, or an IRC channel's name; in quotes.
    #[schemars(with = "kinds::Place")]
    pub(super) place: String,
    /// The readers of the channel.
    #[serde(default, rename = "for")]
    pub(super) readers: Readers,
    /// Groups that notices may mention, and who they are here: roles' ids on Discord; "@room" or users' ids on Matrix.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, kinds::Mentions>")]
    pub(super) mentions: BTreeMap<String, Vec<String>>,
    /// The language of its posts: de, pt-BR.
    #[serde(default = "english")]
    #[schemars(with = "kinds::Locale")]
    pub(super) locale: String,
    /// An announcement channel on Discord: its posts are handed on to the servers that follow it.
    #[serde(default)]
    pub(super) publish: bool,
}
fn english() -> String {
    DEFAULT_LOCALE.into()
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawDelivery {
    /// One request to a chat ends after this.
    #[schemars(with = "SomeLength")]
    pub(super) timeout: String,
    /// For so long an attempt begun before a crash is left alone.
    #[schemars(with = "SomeLength")]
    pub(super) lease: String,
    /// For so long the chats are trusted to know a repeated key.
    #[schemars(with = "SomeLength")]
    pub(super) key_window: String,
    /// The fate of a post of which nobody can tell whether it was made: left for a person, or made again.
    pub(super) on_doubt: OnDoubt,
    /// How long what is in flight may take to end after herald was told to stop.
    #[schemars(with = "SomeLength")]
    pub(super) drain: String,
}
impl Default for RawDelivery {
    fn default() -> Self {
        Self {
            timeout: "10s".into(),
            lease: "30s".into(),
            key_window: "2m".into(),
            on_doubt: OnDoubt::Park,
            drain: "10s".into(),
        }
    }
}

/// The fate of a post of which nobody can tell whether it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnDoubt {
    /// The post is left for a person to look: nobody reads it twice, but perhaps nobody reads it.
    #[default]
    Park,
    /// The post is made again: everybody reads it, but perhaps twice.
    Post,
}
