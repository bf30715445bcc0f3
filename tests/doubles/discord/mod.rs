//! A Discord that fits into a test: HTTPS REST for `discord.com` and a gateway, both on loopback.
//!
//! It is *stateful*, so that a story of several requests comes out as it would on Discord;
//! *strict*, so that a request that Discord would refuse (or silently misread) fails the test; and
//! *breakable*, so that the test decides when the network or the server goes wrong.
//!
//! ```ignore
//! let discord = Double::start(Options::default()).await;
//! let channel = discord.add_channel("upgrades", ChannelKind::Text);
//! // … start the bot with discord.token(), and a client that resolves discord.com to
//! // discord.https_addr() and trusts discord.ca_pem() …
//! let notice = discord.next_message(channel, 0).await;
//! discord.react(channel, notice.id, alice, "✅").await;
//! assert_eq!(discord.violations(), Vec::<String>::new());
//! ```

mod api;
mod clock;
mod error;
mod faults;
mod gateway;
mod limits;
mod multipart;
mod options;
mod people;
mod routes;
mod rules;
mod state;
#[cfg(test)]
mod tests;
mod tls;
mod validate;
mod wire;

pub use faults::{Fault, Faults, OneShot};
pub use gateway::intent;
pub use limits::{Limits, Rate};
pub use options::{ChannelKind, Options, permission};
pub use people::{Answer, SlashError};
pub use state::{Attachment, Message, Reaction};

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::{Router, body::Body, extract::ConnectInfo, http::Request};
use faults::Fate;
use serde_json::{Value, json};
use state::{ORDINARY, State};
use tls::{Cutter, TlsListener};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

/// How long a test waits for the bot before it gives up.
const TEST_PATIENCE: Duration = Duration::from_secs(60);

/// The pretended Discord. Clones share it; with the last one it stops.
#[derive(Clone)]
pub struct Double {
    inner: Arc<Inner>,
    servers: Arc<Servers>,
}

/// The state, and a bell that rings whenever it may have changed.
struct Inner {
    state: Mutex<State>,
    changed: watch::Sender<()>,
}

impl Inner {
    fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn update<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let done = change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.send_replace(());
        done
    }
}

struct Servers {
    https: SocketAddr,
    root_pem: String,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Servers {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Double {
    /// Starts both servers on free ports.
    pub async fn start(options: Options) -> Double {
        let bind = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let https = bind().await.expect("a port for HTTPS");
        let gateway = bind().await.expect("a port for the gateway");
        let https_addr = https.local_addr().expect("a bound port");
        let gateway_addr = gateway.local_addr().expect("a bound port");
        let inner = Arc::new(Inner {
            state: Mutex::new(State::new(options, format!("ws://{gateway_addr}"))),
            changed: watch::Sender::new(()),
        });
        let (config, root_pem) = tls::identity();
        let listener = TlsListener::new(https, config);
        let shared = Arc::clone(&inner);
        let handle = move |ConnectInfo(cutter): ConnectInfo<Cutter>, request: Request<Body>| {
            let inner = Arc::clone(&shared);
            async move { api::handle(&inner, cutter, request).await }
        };
        let service = Router::new()
            .fallback(handle)
            .into_make_service_with_connect_info::<Cutter>();
        let rest = tokio::spawn(async move {
            axum::serve(listener, service)
                .await
                .expect("the REST server");
        });
        let gateway = tokio::spawn(gateway::serve(Arc::clone(&inner), gateway));
        let servers = Servers {
            https: https_addr,
            root_pem,
            tasks: vec![rest, gateway],
        };
        Double {
            inner,
            servers: Arc::new(servers),
        }
    }

    /// Where `discord.com` shall resolve to.
    pub fn https_addr(&self) -> SocketAddr {
        self.servers.https
    }

    /// What `GET /gateway` tells.
    pub fn gateway_url(&self) -> String {
        self.inner.read(|state| state.gateway_url.clone())
    }

    /// The root certificate that the client must trust.
    pub fn ca_pem(&self) -> &str {
        &self.servers.root_pem
    }

    /// The bot's token, without `Bot `.
    pub fn token(&self) -> String {
        self.inner.read(|state| state.token.clone())
    }

    pub fn guild_id(&self) -> u64 {
        self.inner.read(|state| state.guild)
    }

    pub fn bot_user_id(&self) -> u64 {
        self.inner.read(|state| state.bot)
    }

    /// The application's id: that of its bot, as with all younger applications.
    pub fn application_id(&self) -> u64 {
        self.bot_user_id()
    }

    /// Adds a channel to the guild.
    pub fn add_channel(&self, name: &str, kind: ChannelKind) -> u64 {
        self.inner.update(|state| {
            let id = state.next_id();
            let channel = state.new_channel(id, kind.number(), name, 0).clone();
            let json = state.channel_json(&channel);
            state.dispatch("CHANNEL_CREATE", intent::GUILDS, &json);
            id
        })
    }

    /// The private channel between the bot and a person, once the bot has asked for it.
    pub fn private_channel(&self, user: u64) -> Option<u64> {
        let name = format!("with {user}");
        self.inner.read(|state| {
            state
                .channels
                .values()
                .find(|c| c.kind == 1 && c.name == name)
                .map(|c| c.id)
        })
    }

    /// What people and bots wrote in a channel or thread, oldest first, without notices and without
    /// answers that only one person sees.
    pub fn messages(&self, channel: u64) -> Vec<Message> {
        self.inner.read(|state| {
            let ordinary = |message: &&Message| ORDINARY.contains(&message.kind);
            state.visible(channel).filter(ordinary).cloned().collect()
        })
    }

    /// A message, wherever it is.
    pub fn message(&self, message: u64) -> Option<Message> {
        self.inner
            .read(|state| state.messages.get(&message).cloned())
    }

    /// The next message in a channel that has `after` of them, when it comes.
    pub async fn next_message(&self, channel: u64, after: usize) -> Message {
        let there = |state: &State| {
            let ordinary = |message: &&Message| ORDINARY.contains(&message.kind);
            state.visible(channel).filter(ordinary).count() > after
        };
        let came = self.until(TEST_PATIENCE, there).await;
        assert!(
            came,
            "no message {after} in channel {channel}: {}",
            self.trace()
        );
        self.messages(channel).swap_remove(after)
    }

    /// Waits until a message is as wanted; what it then is.
    pub async fn message_when(&self, message: u64, wanted: impl Fn(&Message) -> bool) -> Message {
        let met = |state: &State| state.messages.get(&message).is_some_and(&wanted);
        let came = self.until(TEST_PATIENCE, met).await;
        assert!(came, "message {message} never as wanted: {}", self.trace());
        self.message(message).expect("the message just seen")
    }

    /// The last requests, for a test that waits in vain.
    fn trace(&self) -> String {
        let requests = self.requests();
        let last = &requests[requests.len().saturating_sub(10)..];
        format!("last requests {last:?}, violations {:?}", self.violations())
    }

    /// The thread of a message, if it has one; it outlives the message.
    pub fn thread_of(&self, message: u64) -> Option<u64> {
        self.inner.read(|state| match state.messages.get(&message) {
            Some(message) => message.thread_id,
            None => state
                .channels
                .get(&message)
                .filter(|channel| channel.is_thread())
                .map(|thread| thread.id),
        })
    }

    /// The threads in a channel: id and name.
    pub fn threads(&self, channel: u64) -> Vec<(u64, String)> {
        self.inner.read(|state| {
            let within = state
                .channels
                .values()
                .filter(|c| c.parent == Some(channel));
            within.map(|c| (c.id, c.name.clone())).collect()
        })
    }

    /// The guild's commands as registered.
    pub fn commands(&self) -> Vec<Value> {
        self.inner
            .read(|state| state.commands.values().cloned().collect())
    }

    /// From now on a field of a message is not as bots know it.
    pub fn spoil(&self, message: u64) {
        self.inner.update(|state| {
            state.spoiled.insert(message);
        });
    }

    /// The time of every event that is to come has come: Discord begins them by itself.
    pub fn begin_events(&self) {
        self.inner.update(|state| {
            for event in state.events.values_mut().filter(|e| e["status"] == 1) {
                event["status"] = json!(2);
                event["scheduled_start_time"] = json!("2020-01-01T00:00:00Z");
            }
        });
    }

    /// The guild's scheduled events.
    pub fn scheduled_events(&self) -> Vec<Value> {
        self.inner
            .read(|state| state.events.values().cloned().collect())
    }

    /// Everything that broke a rule: method, path and reason. Empty, if the bot is good.
    pub fn violations(&self) -> Vec<String> {
        self.inner.read(|state| state.violations.clone())
    }

    /// Every request so far: method, and path after `/api/v10` without its query.
    pub fn requests(&self) -> Vec<(String, String)> {
        self.inner.read(|state| state.requests.clone())
    }

    /// How many requests were refused because a bucket was empty.
    pub fn limited(&self) -> usize {
        self.inner.read(|state| state.limited)
    }

    /// How many requests count towards the block of the address (401, 403, 429).
    pub fn invalid_requests(&self) -> usize {
        self.inner.read(|state| state.invalid.len())
    }

    /// When a message was accepted.
    pub fn accepted_at(&self, message: u64) -> Instant {
        self.message(message).expect("a message").accepted
    }

    /// Orders faults for the requests to come; `Faults::default()` ends them.
    pub fn set_faults(&self, faults: Faults) {
        self.inner.update(|state| state.fate = Fate::new(faults));
    }

    /// Orders one more fault beside those that there are.
    pub fn add_fault(&self, shot: OneShot) {
        self.inner.update(|state| state.fate.add(shot));
    }

    /// Changes the rate limits.
    pub fn set_limits(&self, limits: Limits) {
        self.inner.update(|state| state.options.limits = limits);
    }

    /// Changes what the bot may do in the guild.
    pub fn set_permissions(&self, permissions: u64) {
        self.inner.update(|state| {
            state.options.permissions = permissions;
            let roles = state.bot_role;
            if let Some(role) = state.roles.get_mut(&roles) {
                role.permissions = permissions;
            }
        });
    }

    /// Waits until the bot is on the gateway with a session.
    pub async fn wait_connected(&self) {
        let connected = |state: &State| state.sessions.iter().any(|s| s.out.is_some());
        let came = self.until(TEST_PATIENCE, connected).await;
        assert!(came, "no gateway session: {}", self.trace());
    }

    /// Whether the bot is on the gateway now.
    pub fn connected(&self) -> bool {
        self.inner
            .read(|state| state.sessions.iter().any(|s| s.out.is_some()))
    }

    /// How often it has identified: resuming doesn't count.
    pub fn identifies(&self) -> usize {
        self.inner.read(|state| state.identifies)
    }
}
