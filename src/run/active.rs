//! Being active: the services run, from the store as it is, until told to stop or to leave it to another replica.

use std::{process::ExitCode, sync::Arc, time::Duration};

use anyhow::{Result, bail};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{
    ProcessContext, applied::already_applied, health_file::ProcessState, mentions,
    reload::Reloader, supervisor,
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
pub(super) struct Active {
    pub core: Arc<Core>,
    planner: Arc<Planner>,
}

/// The only herald there is.
pub(super) async fn alone(process: &ProcessContext, stop: CancellationToken) -> Result<ExitCode> {
    let active = Active::new(process, process.snapshot(), Arc::default());
    let refused = active.refusals(process).await?;
    if !refused.is_empty() {
        return Ok(logging::refuse(&refused));
    }
    active.take_up(process).await?;
    let told = async {
        stop.cancelled().await;
        process.drain()
    };
    active.serve(process, true, told).await?;
    Ok(ExitCode::SUCCESS)
}

impl Active {
    /// Makes services that may act for as long as `lease` says.
    pub fn new(process: &ProcessContext, snapshot: ConfigSnapshot, lease: Arc<Lease>) -> Self {
        let mut core = Core::new(
            snapshot,
            process.outlets.clone(),
            Arc::new(SystemClock),
            process.store.clone(),
        );
        core.lease = lease;
        let core = Arc::new(core);
        if let Some(web) = &process.web {
            web.site.follow(core.clone());
        }
        Self {
            planner: Arc::new(Planner::new(core.clone())),
            core,
        }
    }

    /// Finds what of the upgrade files can't be followed.
    pub async fn refusals(&self, process: &ProcessContext) -> Result<Vec<Finding>> {
        let files = &self.core.snapshot().config.upgrades;
        let mut refused = already_applied(&self.core, &process.chains, files).await?;
        refused.extend(self.planner.refusals(files).await?);
        Ok(refused)
    }

    /// Follows the files, and takes up what was left.
    pub async fn take_up(&self, process: &ProcessContext) -> Result<()> {
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
        if let Some(matrix) = &process.chats.matrix {
            let trouble = matrix.session_trouble();
            self.core
                .troubles
                .note("session on matrix", trouble.as_deref())
                .await;
        }
        mentions::review(
            &self.core,
            process.chats.discord.as_deref(),
            process.chats.matrix.as_deref(),
        )
        .await;
        Ok(())
    }

    /// Runs the services until `over`, then lets what is in flight end within the time that it returns. `fresh`: the files in
    /// force are those that were read at the start.
    pub async fn serve(
        self,
        process: &ProcessContext,
        fresh: bool,
        over: impl Future<Output = Duration>,
    ) -> Result<()> {
        let Self { core, planner } = self;
        let stop = CancellationToken::new();
        let handler: Arc<dyn CommandHandler> = Arc::new(AnswerService::new(core.clone()));
        let mut connections = JoinSet::new();
        if let Some(discord) = process.chats.discord.clone() {
            let running = discord.run(handler.clone(), stop.clone());
            connections.spawn(async move {
                running.await;
                Ok(())
            });
        }
        if let Some(matrix) = process.chats.matrix.clone() {
            connections.spawn(matrix.run(handler.clone(), stop.clone()));
        }
        let reloader = Reloader {
            origin: process.origin.clone(),
            load: process.load,
            core: core.clone(),
            planner: planner.clone(),
            chains: process.chains.clone(),
        };
        let mut reloading = JoinSet::new();
        reloading.spawn(reloader.run(process.files.clone().filter(|_| fresh), stop.clone()));
        let services = supervisor::Services {
            core: core.clone(),
            watcher: Arc::new(Watcher::new(core.clone(), process.chains.clone())),
            dispatcher: Arc::new(Dispatcher::new(core.clone())),
            summariser: Arc::new(Summariser::new(core.clone())),
            rollcall: Arc::new(Rollcall::new(core.clone())),
            gate: Arc::new(Gate::new(core)),
            planner,
            heartbeats: process.health_file.heartbeats.clone(),
        };
        let mut services = JoinSet::from_iter([supervisor::run(services, stop.clone())]);
        tracing::info!("herald is running");
        process.health_file.say(ProcessState::Active);
        let drain = tokio::select! {
            drain = over => drain,
            Some(ended) = connections.join_next() => match ended {
                Ok(Err(ended)) => bail!("{ended}"),
                ended => bail!("the connection to a chat ended by itself: {ended:?}"),
            },
            Some(ended) = reloading.join_next() => bail!("the files are not looked at any more: {ended:?}"),
            Some(ended) = services.join_next() => bail!("{}", ended.map_err(|e| e.to_string()).and_then(|r| r).err().unwrap_or_default()),
        };
        stop.cancel();
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
