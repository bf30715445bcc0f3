//! Being active: the services run, from the store as it is, until told to stop or to leave it to another replica.

use std::{process::ExitCode, sync::Arc, time::Duration};

use anyhow::{Result, bail};
use tokio::{sync::watch, task::JoinSet};

use super::{
    ProcessContext, already_there, health_file::ProcessState, mentions, reload::Reloader,
    supervisor,
};
use crate::{
    adapters::clock::SystemClock,
    answer::AnswerService,
    config::Finding,
    deliver::{approval::gate::Gate, dispatcher::Dispatcher},
    listen::{feedback::Summariser, rollcall::Rollcall},
    outbox::Core,
    plan::planner::Planner,
    ports::{CommandHandler, lease::Lease},
    run::logging,
    watch::watcher::Watcher,
    words::snapshot::ConfigSnapshot,
};

/// Prepares the services over the store as it is.
pub(crate) struct Active {
    pub core: Arc<Core>,
    planner: Arc<Planner>,
}

/// The only herald there is.
pub(crate) async fn alone(
    station: &ProcessContext,
    mut stop: watch::Receiver<bool>,
) -> Result<ExitCode> {
    let active = Active::new(station, station.snapshot(), Arc::default());
    let refused = active.refusals(station).await?;
    if !refused.is_empty() {
        return Ok(logging::refuse(&refused));
    }
    active.take_up(station).await?;
    let told = async {
        let _ = stop.wait_for(|stop| *stop).await;
        station.drain()
    };
    active.serve(station, true, told).await?;
    Ok(ExitCode::SUCCESS)
}

impl ProcessContext {
    /// The files as they were read at the start.
    pub fn snapshot(&self) -> ConfigSnapshot {
        ConfigSnapshot {
            config: self.config.clone(),
            renderer: self.renderer.clone(),
        }
    }

    /// How long what is in flight may take to end after a stop.
    pub fn drain(&self) -> Duration {
        Duration::try_from(self.config.deployment.delivery.drain).unwrap_or_default()
    }
}

impl Active {
    /// It may act for as long as `lease` says.
    pub fn new(station: &ProcessContext, snapshot: ConfigSnapshot, lease: Arc<Lease>) -> Self {
        let mut core = Core::new(
            snapshot,
            station.outlets.clone(),
            Arc::new(SystemClock),
            station.store.clone(),
        );
        core.lease = lease;
        let core = Arc::new(core);
        if let Some(web) = &station.web {
            web.site.follow(core.clone());
        }
        Self {
            planner: Arc::new(Planner::new(core.clone())),
            core,
        }
    }

    /// What of the upgrade files can't be followed.
    pub async fn refusals(&self, station: &ProcessContext) -> Result<Vec<Finding>> {
        let files = &self.core.snapshot().config.upgrades;
        let mut refused = already_there(&self.core, &station.chains, files).await?;
        refused.extend(self.planner.refusals(files).await?);
        Ok(refused)
    }

    /// Follows the files, and takes up what was left.
    pub async fn take_up(&self, station: &ProcessContext) -> Result<()> {
        let planned = self.planner.tick().await?;
        for id in &planned.accepted {
            tracing::info!(upgrade = id, "accepted");
        }
        for post in &planned.skipped {
            tracing::warn!(notice = post.notice, channel = post.channel, due = %post.due, "skipped: it was due before the upgrade was accepted");
        }
        for finding in &planned.contradicted {
            tracing::warn!("{finding}");
        }
        self.core.store.begin_anew().await?;
        mentions::review(
            &self.core,
            station.chats.discord.as_deref(),
            station.chats.matrix.as_deref(),
        )
        .await;
        Ok(())
    }

    /// Runs the services until `over`, then lets what is in flight end within the time that it returns. `fresh`: the files in
    /// force are those that were read at the start.
    pub async fn serve(
        self,
        station: &ProcessContext,
        fresh: bool,
        over: impl Future<Output = Duration>,
    ) -> Result<()> {
        let Self { core, planner } = self;
        let stop = watch::Sender::new(false);
        let handler: Arc<dyn CommandHandler> = Arc::new(AnswerService::new(core.clone()));
        let mut connections = JoinSet::new();
        if let Some(discord) = station.chats.discord.clone() {
            connections.spawn(discord.run(handler.clone(), stop.subscribe()));
        }
        if let Some(matrix) = station.chats.matrix.clone() {
            connections.spawn(matrix.run(handler.clone(), stop.subscribe()));
        }
        let reloader = Reloader {
            origin: station.origin.clone(),
            core: core.clone(),
            planner: planner.clone(),
            chains: station.chains.clone(),
        };
        let mut reloading = JoinSet::new();
        reloading.spawn(reloader.run(station.files.clone().filter(|_| fresh), stop.subscribe()));
        let services = supervisor::Services {
            core: core.clone(),
            watcher: Arc::new(Watcher::new(core.clone(), station.chains.clone())),
            dispatcher: Arc::new(Dispatcher::new(core.clone())),
            summariser: Arc::new(Summariser::new(core.clone())),
            rollcall: Arc::new(Rollcall::new(core.clone())),
            gate: Arc::new(Gate::new(core)),
            planner,
            pulse: station.signs.pulse.clone(),
        };
        let mut services = JoinSet::from_iter([supervisor::run(services, stop.subscribe())]);
        tracing::info!("herald is running");
        station.signs.say(ProcessState::Active);
        let drain = tokio::select! {
            drain = over => drain,
            Some(ended) = connections.join_next() => bail!("the connection to a chat ended by itself: {ended:?}"),
            Some(ended) = reloading.join_next() => bail!("the files are not looked at any more: {ended:?}"),
            Some(ended) = services.join_next() => bail!("{}", ended.map_err(|e| e.to_string()).and_then(|r| r).err().unwrap_or_default()),
        };
        stop.send_replace(true);
        if tokio::time::timeout(drain, services.join_next())
            .await
            .is_err()
        {
            tracing::warn!(
                "something in flight did not end within {} s; it is taken up again later",
                drain.as_secs_f32()
            );
        }
        services.shutdown().await;
        connections.shutdown().await;
        Ok(())
    }
}
