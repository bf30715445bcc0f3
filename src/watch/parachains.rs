//! Looks, after a relay's upgrade, for parachains that have stopped.

use super::{
    observer::stands_on,
    relevance::current,
    watcher::{WatchError, Watcher},
};
use crate::{
    domain::{
        campaign::{
            Campaign,
            progress::{CampaignEvent, Stage},
        },
        chain::{memory::Memory, payload::Payload},
    },
    ports::{Batch, Chain},
};

impl Watcher {
    /// It is time to ask whether parachains that are silent have a core.
    pub(super) async fn suspects_parachains(
        &self,
        name: &str,
        memory: &Memory,
    ) -> Result<bool, WatchError> {
        if memory.parachains.is_empty() {
            return Ok(false);
        }
        let campaigns = self.core.store.upgrades().await?;
        Ok(watched(&campaigns, name, memory).is_some())
    }

    /// Names the parachains that went on as usual before the relay's upgrade, have a core, and make no block since.
    pub(super) async fn look_for_stopped_parachains(
        &self,
        name: &str,
        chain: &dyn Chain,
        memory: &Memory,
    ) -> Result<(), WatchError> {
        if !self.suspects_parachains(name, memory).await? {
            return Ok(());
        }
        let with_core = chain.parachains_with_core(memory.number).await;
        if let Err(error) = &with_core {
            tracing::warn!(chain = name, "the cores can't be read: {error}");
        }
        let write = async |batch: &mut Batch| -> Result<(), WatchError> {
            let mut campaigns = self.core.store.upgrades().await?;
            let Some(id) = watched(&campaigns, name, memory).map(str::to_owned) else {
                return Ok(());
            };
            campaigns.retain(|campaign| campaign.upgrade.id == id);
            self.change_each(campaigns, batch, |campaign| {
                let chain = campaign.progress.chains.get_mut(name);
                let Some(watch) = chain.and_then(|chain| chain.parachains.as_mut()) else {
                    return Vec::new();
                };
                let suspects = watch.suspects(memory);
                let has_stopped = match &with_core {
                    Ok(with_core) => watch.judge(memory.number, &suspects, with_core.as_ref()),
                    // It is asked again in a minute.
                    Err(_) if !watch.unanswered(memory.number) => false,
                    Err(_) => watch.judge(memory.number, &suspects, None),
                };
                let stopped = has_stopped.then(|| {
                    let parachains = watch.missing_in_words();
                    stands_on(memory, name, Payload::ParachainsStopped { parachains })
                });
                stopped.and_then(CampaignEvent::of).into_iter().collect()
            })
            .await?;
            Ok(())
        };
        self.core.outbox.transaction(write).await
    }
}

/// The id of the upgrade whose runtime the relay runs, if some of its parachains are suspected to have stopped.
fn watched<'a>(campaigns: &'a [Campaign], name: &str, memory: &Memory) -> Option<&'a str> {
    let id = current(campaigns, name, memory.running)?;
    let campaign = campaigns.iter().find(|c| c.upgrade.id == id)?;
    let chain = campaign.progress.chains.get(name)?;
    let is_applied = chain.stage >= Stage::Applied;
    let watch = chain.parachains.as_ref().filter(|_| is_applied)?;
    (!watch.suspects(memory).is_empty()).then_some(id)
}
