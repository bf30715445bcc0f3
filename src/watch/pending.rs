//! Reads, once an upgrade is applied, what is still to come.

use super::{
    observer::{record, stands_on},
    relevance::current,
    watcher::{WatchError, Watcher},
};
use crate::{
    domain::{
        campaign::{Campaign, progress::CampaignEvent},
        chain::{fact::Fact, memory::Memory, payload::Payload, pending::PendingChanges},
    },
    ports::{Batch, Chain, ChainError},
};

/// The changes that follow an upgrade are told as its own if they are read no more than so many blocks later.
const MAX_BLOCKS_LATER: u64 = 600;

/// What was to come at a block.
struct ReadChanges {
    pending: PendingChanges,
    /// It was read at the block of the upgrade or soon after it.
    in_time: bool,
    late: bool,
}

impl Watcher {
    /// Reads what follows the upgrades of a chain that were applied, and of which that is not known yet. A node that can't
    /// tell is asked again at the next look. `late` says that the block is long over.
    pub(super) async fn read_pending(
        &self,
        name: &str,
        chain: &dyn Chain,
        late: bool,
    ) -> Result<(), WatchError> {
        let upgrades = self.core.store.upgrades().await?;
        let unread = upgrades.iter().filter(|campaign| is_unread(campaign, name));
        let applied = unread.filter_map(|c| c.progress.chains.get(name)?.applied.as_ref());
        let Some(block) = applied.map(|fact| fact.block).max() else {
            return Ok(());
        };
        let Some(memory) = self.core.store.memories().await?.remove(name) else {
            return Ok(());
        };
        let read = match chain.pending_changes(block).await {
            // The node no longer has that block, but what is still to come is in the newest one too; calls that are new
            // there are not the upgrade's.
            Err(ChainError::Gone(_) | ChainError::Absent(_)) => {
                let newest = chain.pending_changes(memory.number).await;
                newest.map(|pending| PendingChanges {
                    calls: Vec::new(),
                    ..pending
                })
            }
            read => read,
        };
        match read {
            Ok(pending) => {
                let read = ReadChanges {
                    pending,
                    in_time: memory.number.saturating_sub(block) <= MAX_BLOCKS_LATER,
                    late,
                };
                let write =
                    async |batch: &mut Batch| self.write_pending(name, &memory, &read, batch).await;
                self.core.outbox.transaction(write).await
            }
            Err(error) => {
                tracing::warn!(
                    chain = name,
                    "what follows the upgrade can't be read: {error}"
                );
                Ok(())
            }
        }
    }

    async fn write_pending(
        &self,
        name: &str,
        memory: &Memory,
        read: &ReadChanges,
        batch: &mut Batch,
    ) -> Result<(), WatchError> {
        let mut campaigns = self.core.store.upgrades().await?;
        // Of several upgrades that a chain has jumped over, the one whose runtime runs tells it.
        let teller = current(&campaigns, name, memory.running).map(str::to_owned);
        campaigns.retain(|campaign| is_unread(campaign, name));
        self.change_each(campaigns, batch, |campaign| {
            let tells = read.in_time && teller.as_ref() == Some(&campaign.upgrade.id);
            let chain = campaign.progress.chains.get_mut(name);
            let changes = chain.and_then(|chain| chain.learn_pending(memory.number, &read.pending));
            let payload = changes.map(|changes| Payload::ChangesPending { changes });
            let fact = payload.filter(|_| tells).map(|payload| Fact {
                late: read.late,
                ..stands_on(memory, name, payload)
            });
            fact.and_then(CampaignEvent::of).into_iter().collect()
        })
        .await?;
        Ok(())
    }
}

/// The upgrade was applied, and what follows it is not known.
fn is_unread(campaign: &Campaign, chain: &str) -> bool {
    let unread = record(campaign, chain).is_some_and(|record| record.follow_up.pending.is_none());
    unread && campaign.progress.is_followed()
}
