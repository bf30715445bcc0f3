//! `herald.yaml`: where herald runs and speaks.

mod accounts;
mod shape;
mod web;

use std::{collections::BTreeMap, sync::Arc};

use jiff::SignedDuration;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};

use self::{
    accounts::{discord, irc, matrix, secret},
    shape::{RawChannel, RawDelivery, RawStore},
};
use super::yaml::{
    address::Address,
    finding::{Finding, suggest},
    source::SourceFile,
    values::comparable_name,
};
use crate::{
    domain::{chain::block::Kin, plan::schedule::parse_length},
    ports::{Chat, IdFormat, Outlet, Platform, Readers},
};

pub(super) use self::shape::RawDeployment;

pub use self::{
    accounts::{DiscordConfig, IrcConfig, MatrixConfig, Secret},
    shape::OnDoubt,
    web::Web,
};

/// The place of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreAt {
    /// Without a password.
    pub url: String,
    pub password: Option<Secret>,
}

impl StoreAt {
    /// Returns the whole address, as a driver takes it.
    pub fn address(&self) -> Result<SecretString, String> {
        let Some(password) = &self.password else {
            return Ok(self.url.clone().into());
        };
        let password = password.read()?;
        let encoded = utf8_percent_encode(password.expose_secret(), NON_ALPHANUMERIC);
        let (scheme, rest) = self
            .url
            .split_once("://")
            .unwrap_or(("postgres", &self.url));
        let (user, place) = rest.split_once('@').unwrap_or(("postgres", rest));
        Ok(format!("{scheme}://{user}:{encoded}@{place}").into())
    }

    /// Tells whether several herald may share it.
    pub fn shared(&self) -> bool {
        !self.url.starts_with("sqlite:")
    }
}

/// A named destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelConfig {
    pub platform: Platform,
    /// A Discord channel's id, a Matrix room's id or alias, or an IRC channel's name.
    pub place: String,
    pub readers: Readers,
    /// Groups of people that notices may mention, and who they are here: a role's id on Discord; `@room` or users' ids
    /// on Matrix.
    pub mentions: BTreeMap<String, Vec<String>>,
    /// The language of its posts: `de`, `pt-BR`.
    pub locale: String,
    /// Posts in the channel are handed on to the servers that follow it.
    pub publish: bool,
}

impl ChannelConfig {
    /// The channel as a connection reaches it, at the place's id on the platform.
    pub fn outlet(&self, chat: Arc<dyn Chat>, place: String) -> Outlet {
        Outlet {
            platform: self.platform,
            chat,
            place,
            readers: self.readers,
            locale: self.locale.clone(),
            mentions: self.mentions.clone(),
        }
    }
}

/// A followed chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainConfig {
    /// The preferred one first.
    pub endpoints: Vec<String>,
    /// A parachain's relay among the chains, and its id there.
    pub para: Option<(String, u32)>,
}

/// Times that keep a post from being made twice: `timeout < lease < key_window`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    pub timeout: SignedDuration,
    pub lease: SignedDuration,
    pub key_window: SignedDuration,
    pub on_doubt: OnDoubt,
    /// How long what is in flight may take to end after a stop.
    pub drain: SignedDuration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployment {
    pub store: StoreAt,
    pub discord: Option<DiscordConfig>,
    pub matrix: Option<MatrixConfig>,
    pub irc: Option<IrcConfig>,
    pub chains: BTreeMap<String, ChainConfig>,
    pub channels: BTreeMap<String, ChannelConfig>,
    pub delivery: Delivery,
    pub web: Option<Web>,
}

pub fn read(file: &SourceFile, findings: &mut Vec<Finding>) -> Option<Deployment> {
    let raw: RawDeployment = file.parse(findings)?;
    let before = findings.len();
    check_names(&["chains"], raw.chains.keys(), file, findings);
    check_names(&["channels"], raw.channels.keys(), file, findings);
    check_chains(&raw, file, findings);
    check_channels(&raw, file, findings);
    let store = store(raw.store, file, findings);
    let delivery = delivery(&raw.delivery, file, findings);
    let discord = raw.discord.and_then(|d| discord(d, file, findings));
    let matrix = raw.matrix.and_then(|m| matrix(m, file, findings));
    let irc = raw.irc.and_then(|i| irc(i, file, findings));
    let channel = |c: RawChannel| {
        let RawChannel {
            platform,
            place,
            readers,
            mentions,
            locale,
            publish,
        } = c;
        ChannelConfig {
            platform,
            place,
            readers,
            mentions,
            locale,
            publish,
        }
    };
    let web = raw.web.and_then(|w| web::web(w, file, findings));
    let channels = raw
        .channels
        .into_iter()
        .map(|(n, c)| (n, channel(c)))
        .collect();
    if findings.len() > before {
        return None;
    }
    Some(Deployment {
        store: store?,
        discord,
        matrix,
        irc,
        chains: raw
            .chains
            .into_iter()
            .map(|(n, c)| {
                (
                    n,
                    ChainConfig {
                        endpoints: c.endpoints,
                        para: c.relay.zip(c.para),
                    },
                )
            })
            .collect(),
        channels,
        delivery: delivery?,
        web,
    })
}

fn store(raw: RawStore, file: &SourceFile, findings: &mut Vec<Finding>) -> Option<StoreAt> {
    let known = "write sqlite:// and a file's path, such as sqlite://herald.db; or postgres://user@host/database";
    let wrong = match raw.url.split_once("://") {
        Some(("sqlite" | "postgres" | "postgresql", "")) | None => {
            Some(("this is not a store herald knows".to_owned(), known))
        }
        Some(("sqlite", rest)) if rest.contains(":memory:") || rest.contains("mode=memory") => {
            Some((
                "this store keeps nothing: after a restart everything would be posted anew"
                    .to_owned(),
                "name a file, such as sqlite://herald.db",
            ))
        }
        Some(("sqlite", _)) if raw.password.is_some() => Some((
            "a file has no password".to_owned(),
            "take `password` out, or name a PostgreSQL server",
        )),
        Some(("postgres" | "postgresql", rest))
            if rest
                .split_once('@')
                .is_some_and(|(user, _)| user.contains(':'))
                || rest.to_ascii_lowercase().contains("password=") =>
        {
            Some((
                "a password does not belong into this file".to_owned(),
                "write postgres://user@host/database, and `password: { env: NAME }`",
            ))
        }
        Some(("postgres" | "postgresql", rest))
            if raw.password.is_some() && !rest.contains('@') =>
        {
            Some((
                "there is a password, and no user it belongs to".to_owned(),
                "write postgres://user@host/database",
            ))
        }
        Some(("sqlite" | "postgres" | "postgresql", _)) => None,
        // What isn't known is not shown: it may hold a password.
        Some((scheme, _)) => Some((format!("`{scheme}://…` is not a store herald knows"), known)),
    };
    if let Some((message, hint)) = wrong {
        findings.push(file.wrong(&["store", "url"], message, hint));
        return None;
    }
    let password = match raw.password {
        Some(password) => Some(secret(password, file, &["store", "password"], findings)?),
        None => None,
    };
    Some(StoreAt {
        url: raw.url,
        password,
    })
}

/// The word by which a command means every channel.
const ALL: &str = "all";

/// Checks that people and the command line can tell the names below a key apart.
fn check_names<'a>(
    path: &[&str],
    names: impl Iterator<Item = &'a String>,
    file: &SourceFile,
    findings: &mut Vec<Finding>,
) {
    let mut known: BTreeMap<String, &String> = BTreeMap::new();
    for name in names {
        let at = [path, &[name.as_str()]].concat();
        let first = *known.entry(comparable_name(name)).or_insert(name);
        if first != name {
            findings.push(file.wrong(
                &at,
                format!("`{first}` and `{name}` are one name to people"),
                "give one of them another name",
            ));
        }
        if name.trim().is_empty() || (path == ["channels"] && comparable_name(name) == ALL) {
            findings.push(file.wrong(
                &at,
                format!("`{name}` can't be a name: commands take it for all, or for none"),
                "give it another name",
            ));
        }
        if name.starts_with('-') {
            findings.push(file.wrong(
                &at,
                format!("`{name}` looks like an option on the command line"),
                "begin the name with a letter or a digit",
            ));
        }
    }
}

fn check_chains(raw: &RawDeployment, file: &SourceFile, findings: &mut Vec<Finding>) {
    if raw.chains.is_empty() {
        findings.push(file.wrong(
            &["chains"],
            "no chain is named",
            "add one: a name with `endpoints: [wss://…]`",
        ));
    }
    for (name, chain) in &raw.chains {
        if chain.endpoints.is_empty() {
            findings.push(file.wrong(
                &["chains", name, "endpoints"],
                format!("`{name}` has no endpoint"),
                "add the address of a node, such as wss://rpc.example.org",
            ));
        }
        match (&chain.relay, chain.para) {
            (Some(relay), Some(_)) if relay == name || !raw.chains.contains_key(relay) => findings
                .push(file.wrong(
                    &["chains", name, "relay"],
                    format!("`{relay}` is not another chain of this file"),
                    "name the relay as it is named here, or leave `relay` and `para` out",
                )),
            (Some(_), None) => findings.push(file.wrong(
                &["chains", name, "relay"],
                format!("`{name}` has a relay and no `para`"),
                "add the id it has there, such as `para: 1004`",
            )),
            (None, Some(_)) => findings.push(file.wrong(
                &["chains", name, "para"],
                format!("`{name}` has a parachain's id and no `relay`"),
                "name its relay, which stands among the chains",
            )),
            _ => {}
        }
        check_endpoints(raw, name, file, findings);
    }
}

/// Checks that each endpoint of a chain is the address of a node of its own.
fn check_endpoints(
    raw: &RawDeployment,
    chain: &str,
    file: &SourceFile,
    findings: &mut Vec<Finding>,
) {
    let of_chain = |name: &str| {
        raw.chains
            .get(name)
            .map_or(&[][..], |c| c.endpoints.as_slice())
    };
    for (i, url) in of_chain(chain).iter().enumerate() {
        let index = i.to_string();
        let mut wrong = |message: String, hint: &str| {
            findings.push(file.wrong(&["chains", chain, "endpoints", &index], message, hint));
        };
        let is_socket = url.starts_with("ws://") || url.starts_with("wss://");
        if !is_socket || Address::read(url).is_none() || url.contains(char::is_whitespace) {
            wrong(
                "this is not a WebSocket address".to_owned(),
                "write ws:// or wss://, the node's host and, if need be, its port: wss://rpc.example.org:443",
            );
        }
        // One node that counts as two would be believed against the others.
        let same = |other: &String| same_endpoint(other, url);
        if let Some(first) = of_chain(chain).iter().take(i).position(same) {
            wrong(
                format!(
                    "this is the node of endpoint {}, and one node counts once",
                    first + 1
                ),
                "name another node, or remove this one",
            );
        }
        let is_theirs =
            |other: &&String| other.as_str() < chain && of_chain(other).iter().any(same);
        if let Some(other) = raw.chains.keys().find(is_theirs) {
            wrong(
                format!("this is a node of `{other}` as well, and a node serves one chain"),
                "name a node of the chain itself",
            );
        }
    }
}

/// Tells whether two addresses lead to one node, however they are written.
fn same_endpoint(one: &str, other: &str) -> bool {
    let place = |url: &str| {
        let Address {
            scheme,
            host,
            port,
            path,
            ..
        } = Address::read(url)?;
        Some((scheme, host, port, path))
    };
    place(one).is_some_and(|one| Some(one) == place(other))
}

fn check_channels(raw: &RawDeployment, file: &SourceFile, findings: &mut Vec<Finding>) {
    if raw.channels.is_empty() {
        findings.push(file.wrong(
            &["channels"],
            "no channel is named",
            "add one: a name with `platform` and `place`",
        ));
    }
    for (name, channel) in &raw.channels {
        let platform = channel.platform.name();
        if !raw.has_section_of(channel.platform) {
            findings.push(file.wrong(
                &["channels", name, "platform"],
                format!("channel `{name}` is on {platform}, which is not set up"),
                format!("add a `{platform}:` section"),
            ));
        }
        let capabilities = channel.platform.capabilities();
        if channel.publish && !capabilities.publishing {
            findings.push(file.wrong(
                &["channels", name, "publish"],
                format!("nobody follows channel `{name}`: that is a thing of Discord's"),
                "remove `publish`",
            ));
        }
        let is_same = |(other, earlier): &(&String, &RawChannel)| {
            *other < name
                && earlier.platform == channel.platform
                && earlier.place.eq_ignore_ascii_case(&channel.place)
        };
        if let Some((other, _)) = raw.channels.iter().find(is_same) {
            findings.push(file.wrong(
                &["channels", name, "place"],
                format!("channels `{other}` and `{name}` are one place, which would get every post twice"),
                "keep one of them, or name another place",
            ));
        }
        for (group, whom) in &channel.mentions {
            let at = ["channels", name, "mentions", group];
            check_mentions(&at, channel.platform, whom, file, findings);
            let server = raw.discord.as_ref().map(|discord| &discord.guild);
            if whom.iter().any(|id| Some(id) == server) {
                findings.push(file.wrong(
                    &at,
                    "this is the id of the server, which would call everybody in it",
                    "write a role's id",
                ));
            }
        }
        let groups = channel.mentions.keys();
        check_names(&["channels", name, "mentions"], groups, file, findings);
        if !(capabilities.places.fits)(&channel.place) {
            findings.push(file.wrong(
                &["channels", name, "place"],
                format!("this is not a place on {platform}"),
                capabilities.places.hint,
            ));
        }
    }
}

fn check_mentions(
    at: &[&str],
    platform: Platform,
    whom: &[String],
    file: &SourceFile,
    findings: &mut Vec<Finding>,
) {
    let IdFormat { fits, hint } = platform.capabilities().mentions;
    if whom.is_empty() {
        let group = at.last().copied().unwrap_or_default();
        findings.push(file.wrong(at, format!("nobody belongs to `{group}`"), hint));
    }
    for (i, _) in whom.iter().enumerate().filter(|(_, id)| !fits(id)) {
        let index = i.to_string();
        findings.push(file.wrong(
            &[at, &[index.as_str()]].concat(),
            format!("this can't be mentioned on {}", platform.name()),
            hint,
        ));
    }
}

fn delivery(raw: &RawDelivery, file: &SourceFile, findings: &mut Vec<Finding>) -> Option<Delivery> {
    let mut length = |key: &str, text: &str| match parse_length(text) {
        Ok(length) => Some(length),
        Err(error) => {
            findings.push(file.wrong(&["delivery", key], error.to_string(), "for example 30s"));
            None
        }
    };
    let (timeout, lease, key_window, drain) = (
        length("timeout", &raw.timeout),
        length("lease", &raw.lease),
        length("key_window", &raw.key_window),
        length("drain", &raw.drain),
    );
    let delivery = Delivery {
        timeout: timeout?,
        lease: lease?,
        key_window: key_window?,
        on_doubt: raw.on_doubt,
        drain: drain?,
    };
    if !(delivery.timeout.as_secs() > 0
        && delivery.timeout < delivery.lease
        && delivery.lease < delivery.key_window)
    {
        findings.push(file.wrong(
            &["delivery"],
            format!(
                "timeout {} < lease {} < key_window {} does not hold, so a post could be made twice",
                raw.timeout, raw.lease, raw.key_window
            ),
            if delivery.timeout.is_zero() {
                "write a timeout such as 10s: without one nothing can be posted"
            } else {
                "raise the later one; the defaults are 10s, 30s and 2m"
            },
        ));
    }
    if !delivery.drain.is_positive() {
        findings.push(file.wrong(
            &["delivery", "drain"],
            "with no time at all, each stop breaks something off",
            "for example 10s",
        ));
    }
    Some(delivery)
}

impl Deployment {
    /// Returns the relays and parachains next to a chain.
    pub fn kin(&self, chain: &str) -> Kin {
        let of_relay = |(name, c): (&String, &ChainConfig)| {
            let (relay, id) = c.para.as_ref()?;
            (relay == chain).then(|| (*id, name.clone()))
        };
        let relay = self
            .chains
            .get(chain)
            .and_then(|c| c.para.as_ref())
            .map(|(relay, _)| relay.clone());
        Kin {
            paras: self.chains.iter().filter_map(of_relay).collect(),
            relay,
        }
    }

    /// Lists the secrets that the file names.
    pub fn secrets(&self) -> impl Iterator<Item = &Secret> {
        let discord = self.discord.iter().map(|discord| &discord.token);
        let matrix = self.matrix.iter().flat_map(|matrix| {
            [
                &matrix.password,
                &matrix.token,
                &matrix.passphrase,
                &matrix.recovery,
            ]
        });
        let irc = self.irc.iter().map(|irc| &irc.password);
        let optional = matrix.chain(irc).chain([&self.store.password]);
        discord.chain(optional.flatten())
    }

    /// Returns whether a channel is one that everybody reads.
    pub fn is_public(&self, channel: &str) -> bool {
        let channel = self.channels.get(channel);
        channel.is_some_and(|c| c.readers == Readers::Public)
    }

    /// Returns whether a post that mentions these groups notifies anybody in a channel.
    pub fn notifies(&self, channel: &str, groups: &[String]) -> bool {
        let channel = self.channels.get(channel);
        channel.is_some_and(|c| groups.iter().any(|group| c.mentions.contains_key(group)))
    }

    /// Names the channels of these readers.
    pub fn channels_for(&self, readers: Readers) -> Vec<String> {
        self.channels
            .iter()
            .filter(|(_, c)| c.readers == readers)
            .map(|(name, _)| name.clone())
            .collect()
    }
}

/// Suggests a name for a channel name that isn't there.
pub fn channel_hint(deployment: &Deployment, name: &str) -> String {
    suggest(
        name,
        deployment
            .channels
            .keys()
            .map(String::as_str)
            .collect::<Vec<_>>(),
    )
}

#[cfg(test)]
mod tests {
    use super::same_endpoint;

    #[test]
    fn an_address_may_be_written_in_several_ways() {
        for (one, other, same) in [
            ("ws://a", "ws://a/", true),
            ("wss://a", "WSS://A:443", true),
            ("ws://a:80/", "ws://a", true),
            ("ws://a:443", "ws://a", false),
            ("ws://a", "wss://a", false),
            ("ws://a/one", "ws://a/two", false),
            ("ws://a:9944", "ws://a:9945", false),
            ("ws://[::1]:80", "ws://[::1]", true),
            ("ws://a:9944", "ws://a:9944/?", true),
            ("ws://a:9944", "ws://a.:09944/#x", true),
            ("ws://a:9944", "ws://me@a:9944//", true),
            ("ws://a:9944/x", "ws://a:9944/y/../%78", true),
            ("ws://localhost:9944", "ws://127.0.0.1:9944", true),
            ("ws://localhost:9944", "ws://[::1]:9944", true),
            ("ws://127.1:9944", "ws://2130706433:9944", true),
            ("ws://[::ffff:10.0.0.1]:9944", "ws://10.0.0.1:9944", true),
            ("ws://a/?key=1", "ws://a/?key=2", false),
            ("ws://a/x%2Fy", "ws://a/x/y", false),
            ("ws://a/?k=a%26b=1", "ws://a/?k=a&b=1", false),
            ("ws://a/%zz", "ws://a/%ZZ", true),
            ("ws://BÜCHER.example", "ws://bücher.example", true),
            ("ws://127.0.0.2:9944", "ws://127.0.0.3:9944", false),
            ("ws://0.0.0.0:9944", "ws://127.0.0.1:9944", true),
            ("ws://10.0.0.1", "ws://10.0.0.2", false),
        ] {
            assert_eq!(same_endpoint(one, other), same, "{one} {other}");
        }
    }
}
