//! Runs the services of `herald run`: each in a loop of its own, woken by a signal or by the time.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::{sync::watch, task::JoinSet};

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
const PERIOD: Duration = Duration::from_secs(30);
const SHORTEST: Duration = Duration::from_millis(50);

pub struct Services {
    pub core: Arc<Core>,
    pub watcher: Arc<Watcher>,
    pub dispatcher: Arc<Dispatcher>,
    pub summariser: Arc<Summariser>,
    pub rollcall: Arc<Rollcall>,
    pub planner: Arc<Planner>,
    pub gate: Arc<Gate>,
    /// Where each is heard of.
    pub pulse: Arc<Heartbeats>,
}

/// Until `stop` says true and every service has come to rest; an error if one ended by itself.
pub async fn run(services: Services, stop: watch::Receiver<bool>) -> Result<(), String> {
    let mut tasks = JoinSet::new();
    let part = |name: String| services.pulse.part(name);
    let names: Vec<String> = services
        .watcher
        .chains()
        .map(|(name, _)| name.clone())
        .collect();
    for name in names {
        let watched = part(format!("the watch over chain {name}"));
        tasks.spawn(observe(
            services.core.clone(),
            services.watcher.clone(),
            name.clone(),
            watched,
            stop.clone(),
        ));
        let followed = part(format!("chain {name}"));
        tasks.spawn(follow(
            services.core.clone(),
            services.watcher.clone(),
            name,
            followed,
            stop.clone(),
        ));
    }
    for channel in services.dispatcher.channels() {
        let beat = part(format!("channel {channel}"));
        tasks.spawn(post(
            services.core.clone(),
            services.dispatcher.clone(),
            channel,
            beat,
            stop.clone(),
        ));
    }
    tasks.spawn(summarise(
        services.summariser.clone(),
        part("the summaries".to_owned()),
        stop.clone(),
    ));
    tasks.spawn(call(
        services.rollcall.clone(),
        part("the roll".to_owned()),
        stop.clone(),
    ));
    tasks.spawn(plan(
        services.core.clone(),
        services.planner.clone(),
        part("the plan".to_owned()),
        stop.clone(),
    ));
    tasks.spawn(guard(
        services.core.clone(),
        services.gate.clone(),
        part("the approvals".to_owned()),
        stop.clone(),
    ));
    tasks.spawn(listen(
        services.core.clone(),
        part("the chats".to_owned()),
        stop.clone(),
    ));
    while let Some(ended) = tasks.join_next().await {
        // A service that broke leaves the rest blind or mute: better to stop whole and be started again.
        ended.map_err(|error| format!("a service broke: {error}"))?;
    }
    Ok(())
}

fn stopping(stop: &watch::Receiver<bool>) -> bool {
    *stop.borrow()
}

/// Waits for `wake`, for `longest`, or for the stop.
async fn rest(
    stop: &mut watch::Receiver<bool>,
    beat: &Heartbeat,
    longest: Duration,
    wake: impl Future<Output = ()>,
) {
    beat.again(longest);
    tokio::select! {
        _ = stop.wait_for(|s| *s) => {}
        () = wake => {}
        () = tokio::time::sleep(longest.max(SHORTEST)) => {}
    }
    beat.again(Duration::ZERO);
}

/// Often enough to notice a stall soon after it is one.
fn often(core: &Core) -> Duration {
    Duration::try_from(core.snapshot().plan().limits.stalled_after / 3)
        .unwrap_or(PERIOD)
        .min(PERIOD)
}

/// Apart from the reading, since a node that hangs holds that up.
async fn observe(
    core: Arc<Core>,
    watcher: Arc<Watcher>,
    name: String,
    beat: Heartbeat,
    mut stop: watch::Receiver<bool>,
) {
    while !stopping(&stop) {
        rest(&mut stop, &beat, often(&core), std::future::pending()).await;
        if let Err(error) = watcher.observe(&name).await {
            tracing::error!(chain = name, "{error}");
        }
    }
}

async fn follow(
    core: Arc<Core>,
    watcher: Arc<Watcher>,
    name: String,
    beat: Heartbeat,
    mut stop: watch::Receiver<bool>,
) {
    let Some(chain) = watcher
        .chains()
        .find(|(n, _)| **n == name)
        .map(|(_, c)| c.clone())
    else {
        return;
    };
    let part = format!("chain {name}");
    let mut failures = 0_u32;
    while !stopping(&stop) {
        let ticked = watcher.tick(&name).await;
        match ticked {
            Ok(_) => {
                if failures > 0 {
                    core.troubles.note(&part, None).await;
                }
                failures = 0;
                rest(&mut stop, &beat, often(&core), chain.changed()).await;
            }
            Err(error) => {
                core.troubles.note(&part, Some(&error.to_string())).await;
                let wait = Duration::from_secs(1 << failures.min(5));
                failures += 1;
                rest(&mut stop, &beat, wait, std::future::pending()).await;
            }
        }
    }
}

async fn post(
    core: Arc<Core>,
    dispatcher: Arc<Dispatcher>,
    channel: String,
    beat: Heartbeat,
    mut stop: watch::Receiver<bool>,
) {
    while !stopping(&stop) {
        // Listen before looking, so that a post made in between is not missed.
        let rung = core.outbox.rung();
        tokio::pin!(rung);
        rung.as_mut().enable();
        // Post by post, so that a stop need not wait for a long queue.
        while !stopping(&stop) {
            beat.again(Duration::ZERO);
            match dispatcher.step(&channel).await {
                Ok(Some(outcome)) if !outcome.waits() => {}
                Ok(_) => break,
                Err(error) => {
                    tracing::error!(channel, "{error}");
                    rest(
                        &mut stop,
                        &beat,
                        Duration::from_secs(1),
                        std::future::pending(),
                    )
                    .await;
                    break;
                }
            }
        }
        let now = core.clock.now();
        let next = core.store.next_time(&channel).await.ok().flatten();
        let until = next.map_or(PERIOD, |at| {
            Duration::try_from(at.duration_since(now)).unwrap_or(SHORTEST)
        });
        rest(&mut stop, &beat, until.min(PERIOD), rung).await;
    }
}

async fn summarise(summariser: Arc<Summariser>, beat: Heartbeat, mut stop: watch::Receiver<bool>) {
    while !stopping(&stop) {
        let mut pause = Duration::from_secs(1);
        match summariser.tick().await {
            Ok(Summarised { waits: true, .. }) => pause = Duration::from_secs(10),
            Ok(_) => {}
            Err(error) => tracing::error!("{error}"),
        }
        rest(&mut stop, &beat, pause, std::future::pending()).await;
    }
}

/// Soon after an answer, so that the count that people see is the one they have just changed.
async fn call(rollcall: Arc<Rollcall>, beat: Heartbeat, mut stop: watch::Receiver<bool>) {
    while !stopping(&stop) {
        if let Err(error) = rollcall.tick().await {
            tracing::error!("{error}");
        }
        rest(
            &mut stop,
            &beat,
            Duration::from_secs(5),
            std::future::pending(),
        )
        .await;
    }
}

/// Follows requests: those of this process at once, and soon those that another has written down.
async fn plan(
    core: Arc<Core>,
    planner: Arc<Planner>,
    beat: Heartbeat,
    mut stop: watch::Receiver<bool>,
) {
    while !stopping(&stop) {
        rest(
            &mut stop,
            &beat,
            Duration::from_secs(1),
            core.requests.notified(),
        )
        .await;
        if let Err(error) = planner.tick().await {
            tracing::error!("{error}");
        }
    }
}

/// Soon enough for who has just approved: another process may have written it down.
async fn guard(core: Arc<Core>, gate: Arc<Gate>, beat: Heartbeat, mut stop: watch::Receiver<bool>) {
    while !stopping(&stop) {
        let rung = core.outbox.rung();
        tokio::pin!(rung);
        rung.as_mut().enable();
        if let Err(error) = gate.tick().await {
            tracing::error!("{error}");
        }
        rest(&mut stop, &beat, Duration::from_secs(2), rung).await;
    }
}

/// Keeps what the chats say of their own connections where `herald status` can see it.
async fn listen(core: Arc<Core>, beat: Heartbeat, mut stop: watch::Receiver<bool>) {
    let mut chats: BTreeMap<Platform, (Arc<dyn Chat>, Option<String>)> = BTreeMap::new();
    for outlet in core.outlets.values() {
        chats.insert(outlet.platform, (outlet.chat.clone(), None));
    }
    while !stopping(&stop) {
        for (platform, (chat, before)) in &mut chats {
            let now = chat.trouble();
            if now != *before {
                core.troubles.note(platform.name(), now.as_deref()).await;
                *before = now;
            }
        }
        rest(
            &mut stop,
            &beat,
            Duration::from_secs(2),
            std::future::pending(),
        )
        .await;
    }
}
