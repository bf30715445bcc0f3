//! Follows the chains over finalized blocks and moves upgrades on.
//!
//! One block is one transaction: what it showed, how far each upgrade has come and the posts that
//! follow from it are written together, so a stop at any point loses none of them and repeats none.

use std::{collections::BTreeMap, ops::RangeInclusive, sync::Arc};

use super::{Core, catchup};
use crate::{
    domain::{
        block::{Block, Kin, Memory},
        fact::{Fact, FactKind},
        notice::Happening,
        phase::{Seen, Stage},
    },
    ports::{Accepting, Batch, Chain, ChainError, Head, StoreError, Supersede},
};

pub struct Watcher {
    core: Arc<Core>,
    chains: BTreeMap<String, Arc<dyn Chain>>,
}

#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    #[error(transparent)]
    Chain(#[from] ChainError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Watcher {
    pub fn new(core: Arc<Core>, chains: BTreeMap<String, Arc<dyn Chain>>) -> Self {
        Self { core, chains }
    }

    pub fn chains(&self) -> impl Iterator<Item = (&String, &Arc<dyn Chain>)> {
        self.chains.iter()
    }

    /// Reads the finalized blocks of one chain that were not read yet; says how many.
    pub async fn tick(&self, name: &str) -> Result<u64, WatchError> {
        let Some(chain) = self.chains.get(name) else { return Ok(0) };
        let head = chain.head().await?;
        let memory = self.core.store.memories().await?.remove(name);
        let (mut memory, first, reset) = match memory {
            Some(memory) if memory.genesis == head.genesis => (memory, None, None),
            before => {
                let block = chain.block(head.number).await?;
                let memory = Memory::first(head.genesis.clone(), &block);
                let reset = before.map(|b| block.fact(FactKind::Reset, name, block.spec_version, format!("genesis was {}", b.genesis)));
                (memory, Some(block), reset)
            }
        };
        let mut blocks = 0;
        if let Some(block) = first {
            memory = self.block(name, &head, &memory, &block, reset).await?;
            blocks += 1;
        }
        let ranges = catchup::route(chain.as_ref(), &memory, head.number).await?;
        match self.read(name, chain.as_ref(), &head, &memory, ranges).await {
            // The node no longer has a block that it seemed to have: ask it what it has.
            Err(WatchError::Chain(ChainError::Gone(_))) => {
                let memory = self.core.store.memories().await?.remove(name).unwrap_or(memory);
                let ranges = catchup::checked_route(chain.as_ref(), &memory, head.number).await?;
                blocks += self.read(name, chain.as_ref(), &head, &memory, ranges).await?;
            }
            read => blocks += read?,
        }
        Ok(blocks)
    }

    /// Reads these blocks, in order; says which are left out in between.
    async fn read(
        &self,
        name: &str,
        chain: &dyn Chain,
        head: &Head,
        memory: &Memory,
        ranges: Vec<RangeInclusive<u64>>,
    ) -> Result<u64, WatchError> {
        let (mut memory, mut blocks) = (memory.clone(), 0);
        for number in ranges.into_iter().flatten() {
            let block = chain.block(number).await?;
            if number > memory.number + 1 {
                let (from, to) = (memory.number + 1, number - 1);
                tracing::warn!(
                    chain = name,
                    from,
                    to,
                    "events between these blocks are not examined: too many were missed, or the node has pruned them"
                );
            }
            memory = self.block(name, head, &memory, &block, None).await?;
            blocks += 1;
        }
        Ok(blocks)
    }

    /// One block, one transaction.
    async fn block(&self, chain: &str, head: &Head, memory: &Memory, block: &Block, reset: Option<Fact>) -> Result<Memory, WatchError> {
        let contiguous = block.number <= memory.number + 1;
        let (mut facts, memory) = block.read(chain, memory, &Kin::default());
        facts.extend(reset);
        let _guard = self.core.ledger.lock().await;
        let mut batch = Batch::default();
        let upgrades = self.core.store.upgrades().await?;
        let owner = owner(&upgrades, chain);
        for mut accepted in upgrades {
            if !accepted.upgrade.chains.contains_key(chain) || accepted.progress.finished() {
                continue;
            }
            let before = accepted.progress.clone();
            let mut own: Vec<Fact> = facts.iter().filter(|f| concerns(f.kind, &accepted, chain, owner.as_deref())).cloned().collect();
            let seen = Seen { now: self.core.clock.now(), finality_lag: head.lag, contiguous, rules: &self.core.plan.rules };
            let events = accepted.progress.advance(&accepted.upgrade, chain, block, memory.running, &mut own, seen);
            batch.facts.extend(own.into_iter().filter(|f| !facts.contains(f)));
            if events.iter().any(|e| e.happening == Happening::Applied) {
                // Applied before its time: no reminder is to call it still to come.
                batch.supersede.push(Supersede {
                    upgrade: accepted.upgrade.id.clone(),
                    below: accepted.revision + 1,
                    due_by: accepted.upgrade.window.opens,
                });
            }
            for event in events {
                let occurrence = occurrence(event.happening, &event.fact);
                batch.posts.extend(self.core.posts_on(&accepted, event.happening, &occurrence, Some(&event.fact)));
            }
            if accepted.progress != before {
                batch.upgrades.push(accepted);
            }
        }
        for fact in &facts {
            tracing::info!(chain, block = fact.block, hash = %fact.hash, spec_version = fact.spec_version, "{}", fact.kind.name());
        }
        batch.facts.extend(facts);
        batch.memories.push((chain.to_owned(), memory.clone()));
        let posts = !batch.posts.is_empty();
        self.core.store.commit(batch).await?;
        if posts {
            self.core.posts.notify_waiters();
        }
        Ok(memory)
    }
}

/// The upgrade that a chain's authorizations and troubles belong to: of those it is still to apply, the
/// one with the lowest target.
fn owner(upgrades: &[Accepting], chain: &str) -> Option<String> {
    let waiting = upgrades.iter().filter_map(|a| {
        let waits = a.progress.chains.get(chain)?.stage < Stage::Applied;
        waits.then_some((a.upgrade.chains.get(chain)?.spec_version, &a.upgrade.id))
    });
    waiting.min().map(|(_, id)| id.clone())
}

/// Whether a fact of a chain speaks of this upgrade.
fn concerns(kind: FactKind, accepted: &Accepting, chain: &str, owner: Option<&str>) -> bool {
    let applied = accepted.progress.chains.get(chain).is_some_and(|c| c.stage >= Stage::Applied);
    match kind {
        FactKind::Reset => true,
        // Whoever has applied is told when the version is taken back, or a migration goes wrong.
        FactKind::Applied
        | FactKind::MigrationStarted
        | FactKind::MigrationStep
        | FactKind::MigrationCompleted
        | FactKind::MigrationFailed => applied || owner == Some(accepted.upgrade.id.as_str()),
        _ => owner == Some(accepted.upgrade.id.as_str()),
    }
}

/// What can happen once has one occurrence; trouble is told each time it is seen.
fn occurrence(happening: Happening, fact: &Fact) -> String {
    match happening {
        Happening::Authorized if !fact.detail.is_empty() => fact.detail.clone(),
        Happening::Authorized | Happening::Applied | Happening::Verified | Happening::Completed => "1".to_owned(),
        _ => format!("{}:{}:{}", fact.chain, fact.block, fact.hash),
    }
}
