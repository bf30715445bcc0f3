//! One connection to Discord's gateway, in a runtime of its own.
//!
//! serenity starts tasks that nothing ends: when its shard can't connect, its queue tries again for ever,
//! even after "shut down". A runtime can be thrown away with all that runs in it, so no forgotten
//! connection comes back later and answers commands a second time.

use std::{
    io,
    sync::{Arc, OnceLock},
    time::Duration,
};

use serenity::{
    all::{
        ClientBuilder, CommandInteraction, ComponentInteraction, ConnectionStage, Context,
        EventHandler, GatewayIntents, Interaction, ModalInteraction, Ready, ResumedEvent, ShardId,
        ShardManager,
    },
    async_trait,
    gateway::GatewayError,
    http::Http,
};
use tokio::{
    runtime::{Builder, Runtime},
    sync::mpsc,
};

/// Commands that may wait to be begun with: one person's thousand must not push out the next one's. Beyond that they are
/// dropped, and Discord tells the asker.
const MAX_WAITING_COMMANDS: usize = 4_096;
/// For how long a friendly goodbye is waited for.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(2);

/// An event from the gateway.
pub(super) enum Signal {
    /// A new session: may come again, at any time.
    Ready,
    Resumed,
    Command(Box<CommandInteraction>),
    /// Somebody pressed a button.
    Pressed(Box<ComponentInteraction>),
    /// Somebody has written what a press asked for.
    Written(Box<ModalInteraction>),
    /// Somebody is typing a command.
    Typed(Box<CommandInteraction>),
    /// serenity gave up.
    Ended(Option<serenity::Error>),
}

/// The connection as serenity knows it: its stage, and the latency that changes with every heartbeat.
pub(super) type GatewayState = (ConnectionStage, Option<Duration>);

pub(super) struct GatewayLink {
    /// Taken when dropped.
    runtime: Option<Runtime>,
    signals: mpsc::Receiver<Signal>,
    manager: Arc<OnceLock<Arc<ShardManager>>>,
}

impl GatewayLink {
    /// Begins to connect to the gateway at `url`. `http` must be for this link alone: its connections end with it.
    pub fn open(http: Http, url: String) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("discord-gateway")
            .enable_all()
            .build()?;
        let (sender, signals) = mpsc::channel(MAX_WAITING_COMMANDS);
        let manager = Arc::new(OnceLock::new());
        let known = manager.clone();
        runtime.spawn(async move {
            let handler = Handler {
                signals: sender.clone(),
            };
            // guild commands need no more; reactions and replies are read when counted
            let result = match ClientBuilder::new_with_http(http, GatewayIntents::GUILDS)
                .event_handler(handler)
                .await
            {
                Ok(mut client) => {
                    // the builder takes a built-in address when asking for it fails, and keeps to it
                    *client.ws_url.lock().await = url;
                    let _first = known.set(client.shard_manager.clone());
                    client.start().await
                }
                Err(e) => Err(e),
            };
            let _nobody_listens = sender.send(Signal::Ended(result.err())).await;
        });
        Ok(Self {
            runtime: Some(runtime),
            signals,
            manager,
        })
    }

    /// The next signal; after the last there is none.
    pub async fn next(&mut self) -> Option<Signal> {
        self.signals.recv().await
    }

    /// `None` while there is no connection at all.
    pub async fn pulse(&self) -> Option<GatewayState> {
        let runners = self.manager.get()?.runners.lock().await;
        runners
            .get(&ShardId(0))
            .map(|runner| (runner.stage, runner.latency))
    }

    /// Says goodbye, so that Discord shows the bot as gone at once.
    pub async fn close(self) {
        if let Some(manager) = self.manager.get() {
            let _silent = tokio::time::timeout(GOODBYE_TIMEOUT, manager.shutdown_all()).await;
        }
    }
}

impl Drop for GatewayLink {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// The gateway errors that the same settings bring again and again, with what to do.
pub(super) fn hopeless(error: &serenity::Error) -> Option<&'static str> {
    let serenity::Error::Gateway(error) = error else {
        return None;
    };
    match error {
        GatewayError::InvalidAuthentication => Some(
            "the gateway refuses the bot's token (4004): make a new one in Discord's Developer Portal under Bot, put it in place of the old one and restart herald",
        ),
        GatewayError::InvalidGatewayIntents => Some(
            "the gateway does not know the intents asked for (4013): this herald is too old for Discord's gateway, so update it",
        ),
        GatewayError::DisallowedGatewayIntents => Some(
            "the gateway does not allow the bot the intents asked for (4014): herald asks for GUILDS alone, so look in Discord's Developer Portal whether the application is restricted",
        ),
        _ => None,
    }
}

/// Passes on what herald listens to.
struct Handler {
    signals: mpsc::Sender<Signal>,
}

impl Handler {
    fn pass(&self, signal: Signal) {
        if self.signals.try_send(signal).is_err() {
            tracing::warn!("too much comes from Discord's gateway at once: something was dropped");
        }
    }
}

#[async_trait]
impl EventHandler for Handler {
    async fn ready(&self, _: Context, _: Ready) {
        self.pass(Signal::Ready);
    }

    async fn resume(&self, _: Context, _: ResumedEvent) {
        self.pass(Signal::Resumed);
    }

    async fn interaction_create(&self, _: Context, interaction: Interaction) {
        match interaction {
            Interaction::Modal(written) => self.pass(Signal::Written(Box::new(written))),
            Interaction::Command(command) => self.pass(Signal::Command(Box::new(command))),
            Interaction::Autocomplete(command) => self.pass(Signal::Typed(Box::new(command))),
            Interaction::Component(pressed) => self.pass(Signal::Pressed(Box::new(pressed))),
            _ => {}
        }
    }
}
