//! Reads the files again: on SIGHUP, and when they have changed. What is wrong is refused and told to
//! operators, and everything stays as it was.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::applied::already_applied;
use crate::{
    answer,
    config::{ConfigFiles, Finding, Origin},
    domain::{outbox::digest, plan::notice::Happening},
    lint::Loaded,
    outbox::Core,
    plan::planner::Planner,
    ports::{Batch, Chain, StoreError},
    words::snapshot::ConfigSnapshot,
};

/// How often the files are looked at. They are followed once two looks show the same, so that nobody's
/// half-written file is.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// The name of the files in `herald status`.
const FILES_PART: &str = "files";

/// How the files are loaded: as they are, or for a dry run.
pub(super) type LoadFiles = fn(&Origin) -> Result<Loaded, Vec<Finding>>;

/// Keeps the files in force.
pub(super) struct Reloader {
    pub origin: Origin,
    pub load: LoadFiles,
    pub core: Arc<Core>,
    pub planner: Arc<Planner>,
    pub chains: BTreeMap<String, Arc<dyn Chain>>,
}

impl Reloader {
    /// Until told to stop. `followed` are the files as they were read at the start.
    pub async fn run(
        self,
        followed: Option<ConfigFiles>,
        stop: CancellationToken,
    ) -> std::io::Result<()> {
        let mut hangup = signal(SignalKind::hangup())?;
        let (mut followed, mut before) = (followed, None);
        loop {
            let asked = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                _ = hangup.recv() => true,
                () = tokio::time::sleep(LOOK_EVERY) => false,
            };
            let seen = ConfigFiles::read(&self.origin).ok();
            let settled = seen == before && seen != followed;
            before = seen;
            if asked || settled {
                // What was refused is not tried again before it changes.
                followed = before.clone();
                if let Err(error) = self.reload().await {
                    tracing::error!("the files can't be followed: {error}");
                }
            }
        }
    }

    /// Puts the files in force as they are now, all or nothing.
    pub async fn reload(&self) -> Result<(), StoreError> {
        let snapshot = match (self.load)(&self.origin) {
            Ok(loaded) => ConfigSnapshot {
                config: loaded.config,
                renderer: loaded.renderer,
            },
            Err(findings) => return self.refuse(&findings).await,
        };
        if snapshot.config.deployment != self.core.snapshot().config.deployment {
            let finding = snapshot.config.deployment_changed();
            return self.refuse(&[finding]).await;
        }
        let mut findings = self.planner.refusals(&snapshot.config.upgrades).await?;
        match already_applied(&self.core, &self.chains, &snapshot.config.upgrades).await {
            Ok(reached) => findings.extend(reached),
            Err(error) => {
                // A chain that can't be asked now is no reason to refuse a file; it is asked when it is back.
                tracing::warn!("whether a new upgrade is applied already is not known: {error}");
            }
        }
        if !findings.is_empty() {
            return self.refuse(&findings).await;
        }
        self.core.files.replace(snapshot);
        let planned = self.planner.tick().await?;
        for id in &planned.accepted {
            tracing::info!(upgrade = id, "accepted");
        }
        match planned.contradicted.first() {
            Some(finding) => {
                self.core
                    .troubles
                    .note_change(FILES_PART, Some(finding.to_string()))
                    .await
            }
            None => self.core.troubles.note_change(FILES_PART, None).await,
        }
        tracing::info!("the files were read again and are followed");
        Ok(())
    }

    async fn refuse(&self, findings: &[Finding]) -> Result<(), StoreError> {
        let errors: Vec<&Finding> = findings
            .iter()
            .filter(|f| f.severity == crate::config::Severity::Error)
            .collect();
        let Some(first) = errors.first() else {
            return Ok(());
        };
        let more = if errors.len() > 1 {
            format!(
                " (and {} more: `herald check` lists them)",
                errors.len() - 1
            )
        } else {
            String::new()
        };
        let said = format!("{first}{more}");
        self.core
            .troubles
            .note_change(FILES_PART, Some(format!("a change of the files was refused, and the files before it stay in force: {said}")))
            .await;
        let tell = async |batch: &mut Batch| self.tell_of(&errors, &more, batch).await;
        self.core.outbox.transaction(tell).await
    }

    /// Tells operators of a change of the files that was refused.
    async fn tell_of(
        &self,
        errors: &[&Finding],
        more: &str,
        batch: &mut Batch,
    ) -> Result<(), StoreError> {
        let Some(first) = errors.first() else {
            return Ok(());
        };
        let upgrades = self.core.store.upgrades().await?;
        let Some(current) = answer::current(&upgrades, self.core.clock.now()) else {
            return Ok(());
        };
        let occurrence = digest(
            &errors
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .iter()
                .map(String::as_str)
                .collect::<Vec<_>>(),
        );
        let detail = format!(
            "{}:{}:{}: {}; {}{more}",
            first.file, first.line, first.column, first.message, first.hint
        );
        let outbox = &self.core.outbox;
        batch.posts = outbox.posts_about(current, Happening::Refused, &occurrence, Some(&detail));
        Ok(())
    }
}
