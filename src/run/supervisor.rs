//! Runs the services of `herald run`: each in a loop of its own, woken by a signal or by the time.

use std::{collections::BTreeMap, future::pending, sync::Arc, time::Duration};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::heartbeat::{Heartbeat, Heartbeats};
use crate::{
    deliver::{approval::gate::Gate, dispatcher::Dispatcher},
    listen::{
        feedback::{Summarised, Summariser},
        rollcall::Rollcall,
    },
    outbox::Core,
    plan::planner::Planner,
    ports::{Chat, Platform},
    watch::watcher::Watcher,
};

/// Nothing waits longer than this for a look, signal or not.
const MAX_PAUSE: Duration = Duration::from_secs(30);
const MIN_PAUSE: Duration = Duration::from_millis(50);
/// A chain that can't be read is asked again after 1, 2, 4 … seconds, up to 2 to the power of this.
const MAX_BACKOFF_EXPONENT: u32 = 5;
/// The pause after the store could not be asked what is due.
const STORE_RETRY_AFTER: Duration = Duration::from_secs(1);
/// Feedback is looked at this often, and more seldom while a chat is waited for.
const SUMMARISE_EVERY: Duration = Duration::from_secs(1);
const SUMMARISE_WAITING_EVERY: Duration = Duration::from_secs(10);
/// Soon after an answer, so that the count that people see is the one they have just changed.
const CALL_ROLL_EVERY: Duration = Duration::from_secs(5);
/// Commands are followed soon after they are given.
const PLAN_EVERY: Duration = Duration::from_secs(1);
/// Soon enough for whoever has just approved: another process may have written it down.
const CHECK_APPROVALS_EVERY: Duration = Duration::from_secs(2);
/// How often the chats are asked about their connections.
const CHECK_CHATS_EVERY: Duration = Duration::from_secs(2);

pub struct Services {
    pub core: Arc<Core>,
    pub watcher: Arc<Watcher>,
    pub dispatcher: Arc<Dispatcher>,
    pub summariser: Arc<Summariser>,
    pub rollcall: Arc<Rollcall>,
    pub planner: Arc<Planner>,
    pub gate: Arc<Gate>,
    /// Each service is heard of here.
    pub heartbeats: Arc<Heartbeats>,
}

/// Runs until `stop` is cancelled and every service has come to rest; an error if one ended by itself.
pub async fn run(services: Services, stop: CancellationToken) -> Result<(), String> {
    let Services {
        core,
        watcher,
        dispatcher,
        summariser,
        rollcall,
        planner,
        gate,
        heartbeats,
    } = services;
    let service_loop = |name: &str| ServiceLoop {
        heartbeat: heartbeats.part(name),
        stop: stop.clone(),
    };
    let mut tasks = JoinSet::new();
    let chains: Vec<String> = watcher.chains().map(|(name, _)| name.clone()).collect();
    for name in chains {
        let (own, of_watch) = (
            service_loop(&format!("chain {name}")),
            service_loop(&format!("the watch over chain {name}")),
        );
        tasks.spawn(observe(
            core.clone(),
            watcher.clone(),
            name.clone(),
            of_watch,
        ));
        tasks.spawn(follow(core.clone(), watcher.clone(), name, own));
    }
    for channel in dispatcher.channels() {
        let own = service_loop(&format!("channel {channel}"));
        tasks.spawn(post(core.clone(), dispatcher.clone(), channel, own));
    }
    tasks.spawn(summarise(summariser, service_loop("the summaries")));
    tasks.spawn(call_roll(rollcall, service_loop("the roll")));
    tasks.spawn(plan(core.clone(), planner, service_loop("the plan")));
    tasks.spawn(check_approvals(
        core.clone(),
        gate,
        service_loop("the approvals"),
    ));
    tasks.spawn(check_chats(core, service_loop("the chats")));
    while let Some(ended) = tasks.join_next().await {
        // A service that broke leaves the rest blind or mute: better to stop whole and be started again.
        ended.map_err(|error| format!("a service broke: {error}"))?;
    }
    Ok(())
}

/// The loop of one service: it rests between two looks, says when it will be heard of again, and ends at the stop.
struct ServiceLoop {
    heartbeat: Heartbeat,
    stop: CancellationToken,
}

impl ServiceLoop {
    fn goes_on(&self) -> bool {
        !self.stop.is_cancelled()
    }

    /// Says that the service is alive, in the middle of its work.
    fn beat(&self) {
        self.heartbeat.again(Duration::ZERO);
    }

    /// Waits for `wake`, for `longest`, or for the stop.
    async fn rest_until(&self, longest: Duration, wake: impl Future<Output = ()>) {
        self.heartbeat.again(longest);
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = wake => {}
            () = tokio::time::sleep(longest.max(MIN_PAUSE)) => {}
        }
        self.beat();
    }

    async fn rest(&self, length: Duration) {
        self.rest_until(length, pending()).await;
    }
}

/// Returns a pause that is short enough to notice a stall soon after it is one.
fn watch_pause(core: &Core) -> Duration {
    Duration::try_from(core.snapshot().plan().limits.stalled_after / 3)
        .unwrap_or(MAX_PAUSE)
        .min(MAX_PAUSE)
}

/// Observes a chain's nodes, apart from the reading, since a node that hangs holds that up.
async fn observe(core: Arc<Core>, watcher: Arc<Watcher>, name: String, service_loop: ServiceLoop) {
    while service_loop.goes_on() {
        service_loop.rest(watch_pause(&core)).await;
        if let Err(error) = watcher.observe(&name).await {
            tracing::error!(chain = name, "{error}");
        }
    }
}

/// Reads a chain's blocks.
async fn follow(core: Arc<Core>, watcher: Arc<Watcher>, name: String, service_loop: ServiceLoop) {
    let found = watcher.chains().find(|(n, _)| **n == name);
    let Some(chain) = found.map(|(_, chain)| chain.clone()) else {
        return;
    };
    let part = format!("chain {name}");
    let mut failures = 0_u32;
    while service_loop.goes_on() {
        let ticked = watcher.tick(&name).await;
        match ticked {
            Ok(_) => {
                if failures > 0 {
                    core.troubles.note(&part, None).await;
                }
                failures = 0;
                service_loop
                    .rest_until(watch_pause(&core), chain.changed())
                    .await;
            }
            Err(error) => {
                core.troubles.note(&part, Some(&error.to_string())).await;
                let wait = Duration::from_secs(1 << failures.min(MAX_BACKOFF_EXPONENT));
                failures += 1;
                service_loop.rest(wait).await;
            }
        }
    }
}

/// Delivers what is due in a channel.
async fn post(
    core: Arc<Core>,
    dispatcher: Arc<Dispatcher>,
    channel: String,
    service_loop: ServiceLoop,
) {
    while service_loop.goes_on() {
        // Listen before looking, so that a post made in between is not missed.
        let rung = core.outbox.rung();
        tokio::pin!(rung);
        rung.as_mut().enable();
        // Post by post, so that a stop need not wait for a long queue.
        while service_loop.goes_on() {
            service_loop.beat();
            match dispatcher.step(&channel).await {
                Ok(Some(outcome)) if !outcome.waits() => {}
                Ok(_) => break,
                Err(error) => {
                    tracing::error!(channel, "{error}");
                    service_loop.rest(STORE_RETRY_AFTER).await;
                    break;
                }
            }
        }
        let now = core.clock.now();
        let next = core.store.next_time(&channel).await.ok().flatten();
        let until = next.map_or(MAX_PAUSE, |at| {
            Duration::try_from(at.duration_since(now)).unwrap_or(MIN_PAUSE)
        });
        service_loop.rest_until(until.min(MAX_PAUSE), rung).await;
    }
}

async fn summarise(summariser: Arc<Summariser>, service_loop: ServiceLoop) {
    while service_loop.goes_on() {
        let mut pause = SUMMARISE_EVERY;
        match summariser.tick().await {
            Ok(Summarised { waits: true, .. }) => pause = SUMMARISE_WAITING_EVERY,
            Ok(_) => {}
            Err(error) => tracing::error!("{error}"),
        }
        service_loop.rest(pause).await;
    }
}

async fn call_roll(rollcall: Arc<Rollcall>, service_loop: ServiceLoop) {
    while service_loop.goes_on() {
        if let Err(error) = rollcall.tick().await {
            tracing::error!("{error}");
        }
        service_loop.rest(CALL_ROLL_EVERY).await;
    }
}

/// Follows requests: those of this process at once, and soon those that another has written down.
async fn plan(core: Arc<Core>, planner: Arc<Planner>, service_loop: ServiceLoop) {
    while service_loop.goes_on() {
        service_loop
            .rest_until(PLAN_EVERY, core.requests.notified())
            .await;
        if let Err(error) = planner.tick().await {
            tracing::error!("{error}");
        }
    }
}

async fn check_approvals(core: Arc<Core>, gate: Arc<Gate>, service_loop: ServiceLoop) {
    while service_loop.goes_on() {
        let rung = core.outbox.rung();
        tokio::pin!(rung);
        rung.as_mut().enable();
        if let Err(error) = gate.tick().await {
            tracing::error!("{error}");
        }
        service_loop.rest_until(CHECK_APPROVALS_EVERY, rung).await;
    }
}

/// Keeps what the chats say of their own connections where `herald status` can see it, and any trouble that the store did not
/// take at first.
async fn check_chats(core: Arc<Core>, service_loop: ServiceLoop) {
    let mut chats: BTreeMap<Platform, (Arc<dyn Chat>, Option<String>)> = BTreeMap::new();
    for outlet in core.outlets.values() {
        chats.insert(outlet.platform, (outlet.chat.clone(), None));
    }
    while service_loop.goes_on() {
        for (platform, (chat, before)) in &mut chats {
            let now = chat.trouble();
            if now != *before {
                core.troubles.note(platform.name(), now.as_deref()).await;
                *before = now;
            }
        }
        core.troubles.save().await;
        service_loop.rest(CHECK_CHATS_EVERY).await;
    }
}
