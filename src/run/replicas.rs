//! Several herald on one store: one is active, the others stand by and take over by themselves.
//!
//! A replica that stands by is connected to everything already, and follows the Matrix rooms, so that it has the keys to
//! what the active one writes there. It answers nobody and posts nothing.

use std::{
    cell::Cell,
    hash::{BuildHasher, Hasher},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::{Result, bail};
use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use tokio::{task::JoinSet, time::sleep};
use tokio_util::sync::CancellationToken;

use super::{
    ProcessContext,
    active::Active,
    health_file::ProcessState,
    leader::{LeaderCheck, LeaderElection},
};
use crate::{
    adapters::clock::SystemClock,
    config::Finding,
    domain::{
        outbox::Body,
        people::command::{Command, Misread, Verb},
    },
    lint,
    ports::{
        Admission, Asker, Clock, CommandHandler, LeadershipStore, Replica, StoreError, lease::Lease,
    },
    run::logging,
    words::snapshot::ConfigSnapshot,
};

/// How long what is in flight may take to end after the lead was lost: it ends by itself, since it asks before each step whether
/// it may go on.
const DRAIN_AFTER_LOSS: Duration = Duration::from_secs(1);
/// How often the store is asked for another process of the same name.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Names this process.
pub(super) fn this(name: &str) -> Replica {
    let random = std::collections::hash_map::RandomState::new()
        .build_hasher()
        .finish();
    Replica {
        name: name.to_owned(),
        instance: format!("{}-{random:016x}", std::process::id()),
    }
}

/// Waits until nothing is heard any more of a process before this one under the same name; an error if it goes on.
pub(super) async fn alone_by_name(
    store: &dyn LeadershipStore,
    me: &Replica,
    ttl: SignedDuration,
) -> Result<()> {
    let mut waited = SignedDuration::ZERO;
    while !store.present(me, ttl).await? {
        if waited.is_zero() {
            tracing::info!(
                replica = me.name,
                "another process of this name was heard of lately: waiting until that is over"
            );
        }
        if waited > ttl.saturating_mul(2) {
            bail!(
                "another process runs as replica `{0}`; give each a name of its own: herald run --replica NAME",
                me.name
            );
        }
        sleep(LOOK_EVERY).await;
        waited = waited.saturating_add(SignedDuration::from_secs(1));
    }
    Ok(())
}

pub(super) async fn run(
    process: &ProcessContext,
    me: Replica,
    stop: CancellationToken,
) -> Result<ExitCode> {
    let ttl = process.config.deployment.delivery.lease;
    let lead = LeaderElection {
        store: process.store.clone(),
        clock: Arc::new(SystemClock),
        me,
        ttl,
    };
    let mut first = true;
    let code = loop {
        let lease = Arc::new(Lease::default());
        let Some(waited) = stand_by(process, &lead, &lease, stop.clone()).await? else {
            break ExitCode::SUCCESS;
        };
        first &= !waited;
        match act(process, &lead, lease, first, stop.clone()).await? {
            Ended::Stopped => break ExitCode::SUCCESS,
            Ended::Refused(code) => break code,
            Ended::Lost => {
                first = false;
                resign(&lead).await;
                sleep(lead.pause()).await;
            }
        }
    };
    resign(&lead).await;
    Ok(code)
}

/// Others need not wait until the time is over.
async fn resign(lead: &LeaderElection) {
    let gone = tokio::time::timeout(lead.pause(), lead.store.resign(&lead.me)).await;
    if !matches!(gone, Ok(Ok(()))) {
        tracing::warn!(
            replica = lead.me.name,
            "the store could not be told that this replica leaves"
        );
    }
}

enum Ended {
    Stopped,
    Refused(ExitCode),
    Lost,
}

/// Until this one has the lead: whether it had to wait for it. Nothing if told to stop before.
async fn stand_by(
    process: &ProcessContext,
    lead: &LeaderElection,
    lease: &Lease,
    stop: CancellationToken,
) -> Result<Option<bool>> {
    let mut aside = JoinSet::new();
    let done = CancellationToken::new();
    let (mut waited, mut said) = (false, String::new());
    let heartbeat = process.health_file.heartbeats.part("standing by");
    let gained = loop {
        let why = match lead.try_lead(lease).await {
            LeaderCheck::Mine { term } => {
                tracing::info!(replica = lead.me.name, term, "this replica is active");
                break Some(waited);
            }
            LeaderCheck::Doubled => bail!(
                "another process runs as replica `{}` by now; this one ends",
                lead.me.name
            ),
            LeaderCheck::Waits(why) => why,
        };
        if said != why {
            tracing::info!(replica = lead.me.name, "standing by: {why}");
            said = why;
        }
        if let Some(matrix) = process.chats.matrix.clone().filter(|_| !waited) {
            aside.spawn(matrix.run(Arc::new(StandbyHandler), done.clone()));
        }
        if !waited {
            process.health_file.say(ProcessState::StandingBy);
        }
        waited = true;
        heartbeat.again(lead.pause());
        tokio::select! {
            () = stop.cancelled() => break None,
            () = sleep(lead.pause()) => {}
            Some(Ok(Err(ended))) = aside.join_next() => bail!("{ended}"),
        }
    };
    done.cancel();
    aside.shutdown().await;
    Ok(gained)
}

/// Is active, until told to stop or until the lead is lost. `first`: nobody was active before; then files are refused as at
/// any start. Who takes over goes on with what the store has, whatever its files say.
async fn act(
    process: &ProcessContext,
    lead: &LeaderElection,
    lease: Arc<Lease>,
    first: bool,
    stop: CancellationToken,
) -> Result<Ended> {
    let mut active = Active::new(
        process,
        if first {
            process.snapshot()
        } else {
            newest(process)
        },
        lease.clone(),
    );
    let refused = match active.refusals(process).await {
        Err(error) if !first => return Ok(not_now(&error)),
        refused => refused?,
    };
    if let Some(finding) = refused.first() {
        if first {
            return Ok(Ended::Refused(logging::refuse(&refused)));
        }
        active = Active::new(
            process,
            without(&refused, &active.core.snapshot()),
            lease.clone(),
        );
        active
            .core
            .troubles
            .note(
                "files",
                Some(&format!("not followed by this replica: {finding}")),
            )
            .await;
    }
    let lost = Cell::new(false);
    let over = async {
        tokio::select! {
            () = stop.cancelled() => process.drain(),
            why = lead.keep_lead(&lease) => {
                tracing::warn!(replica = lead.me.name, "not active any more: {why}");
                lost.set(true);
                DRAIN_AFTER_LOSS
            }
        }
    };
    tokio::pin!(over);
    // What was left may take its time to be taken up; the lead is kept meanwhile.
    tokio::select! {
        taken = active.take_up(process) => match taken {
            Err(error) if !first => return Ok(not_now(&error)),
            taken => taken?,
        },
        _ = &mut over => return Ok(if lost.get() { Ended::Lost } else { Ended::Stopped }),
    }
    active.serve(process, first, over).await?;
    Ok(if lost.get() {
        Ended::Lost
    } else {
        Ended::Stopped
    })
}

/// The store or a node went away in the very moment of the takeover: whoever is next tries again.
fn not_now(error: &anyhow::Error) -> Ended {
    tracing::warn!("the takeover did not come about: {error:#}");
    Ended::Lost
}

/// Returns the files as they are now, if they are good and speak of the same places; else as they were read at the start.
fn newest(process: &ProcessContext) -> ConfigSnapshot {
    match lint::load_own(&process.origin) {
        Ok(loaded) if loaded.config.deployment == process.config.deployment => ConfigSnapshot {
            config: loaded.config,
            renderer: loaded.renderer,
        },
        _ => process.snapshot(),
    }
}

/// Returns the snapshot without the upgrade files that are refused.
fn without(refused: &[Finding], snapshot: &ConfigSnapshot) -> ConfigSnapshot {
    let mut config = snapshot.config.clone();
    config
        .upgrades
        .retain(|u| !refused.iter().any(|f| u.file.name == f.file));
    ConfigSnapshot {
        config,
        renderer: snapshot.renderer.clone(),
    }
}

/// Answers nobody.
struct StandbyHandler;

#[async_trait]
impl CommandHandler for StandbyHandler {
    fn admit(&self, _: &Asker<'_>) -> Admission {
        Admission::Closed
    }

    async fn answer(&self, _: &Asker<'_>, _: &Result<Command, Misread>) -> Body {
        Body::default()
    }

    async fn choices(&self, _: &Asker<'_>, _: Verb, _: &str, _: &str) -> Vec<String> {
        Vec::new()
    }

    async fn first_time(&self, _: &str) -> Result<bool, StoreError> {
        Ok(false)
    }

    fn now(&self) -> Timestamp {
        SystemClock.now()
    }
}
