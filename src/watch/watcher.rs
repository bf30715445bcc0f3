//! Follows the chains over finalized blocks and moves upgrades on.
//!
//! One block is one transaction: what it showed, how far each upgrade has come and the posts that
//! follow from it are written together, so a stop at any point loses none of them and repeats none.

use std::{collections::BTreeMap, ops::RangeInclusive, sync::Arc};

use jiff::SignedDuration;

use super::{catchup, unplanned};
use crate::{
    domain::{
        campaign::{
            Campaign,
            progress::{CampaignEvent, ChainProgress, Observed, Progress, Stage},
        },
        chain::{
            block::{Block, Memory},
            fact::{Expected, Fact, FactKind},
        },
        plan::notice::Happening,
    },
    outbox::Core,
    ports::{Batch, Chain, ChainError, Head, StoreError, Supersede},
};

/// A fact found so long after its block, by the chain's own pace, is told as late.
const LATE: SignedDuration = SignedDuration::from_secs(120);
/// A block so near to the head that is not there is not there yet.
const NEWEST: u64 = 16;
/// The pace of a chain that is seen for the first time, in seconds a block.
const USUAL_PACE: f64 = 6.0;

pub struct Watcher {
    pub(crate) core: Arc<Core>,
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

    pub(crate) fn chain(&self, name: &str) -> Option<&Arc<dyn Chain>> {
        self.chains.get(name)
    }

    /// Reads the finalized blocks of one chain that were not read yet; says how many.
    pub async fn tick(&self, name: &str) -> Result<u64, WatchError> {
        let Some(chain) = self.chains.get(name) else {
            return Ok(0);
        };
        let memory = self.core.store.memories().await?.remove(name);
        let head = chain.head(memory.as_ref()).await?;
        let mut blocks = 0;
        let memory = match memory {
            Some(memory) if memory.genesis == head.genesis && !head.rewritten => memory,
            before => {
                let mut block = chain.block(head.number).await?;
                self.add_scheduled(name, chain.as_ref(), &mut block).await?;
                let memory = Memory::first(head.genesis.clone(), &block);
                let reset = before.map(|b| {
                    block.fact(
                        FactKind::Reset,
                        name,
                        block.spec_version,
                        how_reset(&b, &head),
                    )
                });
                blocks += 1;
                self.block(name, &head, &memory, &block, reset.into_iter().collect())
                    .await?
            }
        };
        let ranges = catchup::route(chain.as_ref(), &memory, head.number).await?;
        match self
            .read(name, chain.as_ref(), &head, &memory, ranges)
            .await
        {
            // The node no longer has a block that it seemed to have: ask it what it has.
            Err(WatchError::Chain(ChainError::Gone(_))) => {
                let memory = self
                    .core
                    .store
                    .memories()
                    .await?
                    .remove(name)
                    .unwrap_or(memory);
                let ranges = catchup::checked_route(chain.as_ref(), &memory, head.number).await?;
                blocks += self
                    .read(name, chain.as_ref(), &head, &memory, ranges)
                    .await?;
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
            let mut block = chain.block(number).await.map_err(|error| match error {
                // So near to the head, a block that is not there is not there yet: a node behind the address is behind.
                ChainError::Absent(reason) if head.number.saturating_sub(number) < NEWEST => {
                    ChainError::Answer(reason)
                }
                ChainError::Absent(reason) => ChainError::Gone(reason),
                error => error,
            })?;
            let mut known = Vec::new();
            if number > memory.number + 1 {
                let (from, to) = (memory.number + 1, number - 1);
                tracing::warn!(
                    chain = name,
                    from,
                    to,
                    "events in these blocks are not examined: too many were missed, or the node has pruned them"
                );
                self.add_scheduled(name, chain, &mut block).await?;
                known.push(block.fact(
                    FactKind::Unexamined,
                    name,
                    memory.running,
                    format!("{from} to {to}"),
                ));
            } else if !block.parent.is_empty()
                && number == memory.number + 1
                && block.parent != memory.hash
            {
                // The node that is read has changed its mind, or another one answers now.
                chain.doubt().await;
                let words = format!(
                    "block {number} does not follow block {} as it was read; another node is asked",
                    memory.number
                );
                return Err(ChainError::Disagree(words).into());
            }
            memory = self.block(name, head, &memory, &block, known).await?;
            blocks += 1;
        }
        Ok(blocks)
    }

    /// What the events of blocks that were not read may have scheduled, from the state.
    async fn add_scheduled(
        &self,
        name: &str,
        chain: &dyn Chain,
        block: &mut Block,
    ) -> Result<(), WatchError> {
        for campaign in self.core.store.upgrades().await? {
            let Some(referendum) = campaign.upgrade.referendum.filter(|r| r.chain == name) else {
                continue;
            };
            if let Some(when) = chain.enactment(block.number, referendum.index).await? {
                block.enactments.push((referendum.index, when));
            }
        }
        Ok(())
    }

    /// One block, one transaction. `known` are facts that do not stand in the block itself.
    async fn block(
        &self,
        chain: &str,
        head: &Head,
        before: &Memory,
        block: &Block,
        known: Vec<Fact>,
    ) -> Result<Memory, WatchError> {
        let contiguous = block.number <= before.number + 1;
        let kin = self.core.kin.get(chain).cloned().unwrap_or_default();
        let (shown, mut memory) = block.read(chain, before, &kin);
        let mut facts: Vec<Fact> = known.into_iter().chain(shown).collect();
        let pace = before.pace.stretch().mean().unwrap_or(USUAL_PACE);
        let behind = pace * head.number.saturating_sub(block.number) as f64;
        let late = behind > LATE.as_secs_f64();
        if late {
            facts.iter_mut().for_each(|f| f.late = true);
        }
        let _guard = self.core.ledger.lock().await;
        let mut batch = Batch::default();
        let mut elsewhere = self.core.store.memories().await?;
        // What is the matter with the chain is observed beside the reading, and may be known by now.
        memory.matter = elsewhere
            .remove(chain)
            .filter(|m| m.genesis == memory.genesis)
            .and_then(|m| m.matter);
        let mut upgrades = self.core.store.upgrades().await?;
        let opening = unplanned::open(&self.core, &mut upgrades, chain, &memory, &facts);
        let estimate = |e: &Expected| {
            let pace = if e.chain == chain {
                &memory.pace
            } else {
                &elsewhere.get(&e.chain)?.pace
            };
            pace.estimate(e.block)
        };
        let snapshot = self.core.snapshot();
        let seen = Observed {
            now: self.core.clock.now(),
            finality_lag: head.lag,
            contiguous,
            late,
            rules: &snapshot.plan().rules,
            limits: &snapshot.plan().limits,
            estimate: &estimate,
        };
        let mut told = vec![false; facts.len()];
        let known = upgrades.clone();
        for mut campaign in upgrades {
            if campaign.progress.finished() {
                continue;
            }
            let mut own = Vec::new();
            for (fact, told) in facts.iter().zip(&mut told) {
                if concerns(
                    fact,
                    &campaign,
                    owner(&known, &fact.chain).as_deref(),
                    current(&known, &fact.chain, memory.running).as_deref(),
                ) {
                    *told = true;
                    own.push(fact.clone());
                }
            }
            let follows = campaign.upgrade.chains.contains_key(chain)
                || campaign.progress.counts_on(chain)
                || !own.is_empty();
            if !follows {
                continue;
            }
            let before = (campaign.upgrade.clone(), campaign.progress.clone());
            let opened = opening
                .as_ref()
                .filter(|o| o.upgrade == campaign.upgrade.id);
            let mut events =
                campaign
                    .progress
                    .advance(&campaign.upgrade, chain, block, &memory, &mut own, seen);
            if let Some(opened) = opened {
                unplanned::introduce(&mut events, opened);
            }
            unplanned::learn_target(&mut campaign, chain, memory.running);
            batch
                .facts
                .extend(own.into_iter().filter(|f| !facts.contains(f)));
            self.follow_up(&mut batch, &campaign, &before.1, events)
                .await?;
            if opened.is_some() || before != (campaign.upgrade.clone(), campaign.progress.clone()) {
                batch.upgrades.push(campaign);
            }
        }
        for (fact, told) in facts.into_iter().zip(told) {
            // Of referenda, only those on an upgrade are kept.
            let governance = matches!(
                fact.kind,
                FactKind::Referendum | FactKind::Scheduled | FactKind::Dispatched
            );
            if told || !governance {
                tracing::info!(chain = fact.chain, block = fact.block, hash = %fact.hash, spec_version = fact.spec_version, "{}", fact.kind.name());
                batch.facts.push(fact);
            }
        }
        batch.memories.push((chain.to_owned(), memory.clone()));
        let posts = !batch.posts.is_empty();
        self.core.store.commit(batch).await?;
        if posts {
            self.core.posts.notify_waiters();
        }
        Ok(memory)
    }

    /// What follows from an upgrade's events: posts, posts that no longer hold, and new words for those kept up to date.
    pub(crate) async fn follow_up(
        &self,
        batch: &mut Batch,
        campaign: &Campaign,
        before: &Progress,
        events: Vec<CampaignEvent>,
    ) -> Result<(), StoreError> {
        if events.iter().any(|e| e.happening == Happening::Applied) {
            // Applied before its time: no reminder is to call it still to come.
            batch.supersede.push(Supersede {
                upgrade: campaign.upgrade.id.clone(),
                below: campaign.revision + 1,
                due_by: campaign.upgrade.window.opens,
            });
        }
        for event in &events {
            let occurrence = occurrence(event.happening, &event.fact, campaign);
            batch.posts.extend(self.core.posts_on(
                campaign,
                event.happening,
                &occurrence,
                Some(&event.fact),
            ));
        }
        let block = |p: &ChainProgress| {
            p.ahead
                .as_ref()
                .and_then(|f| f.expected.as_ref())
                .map(|e| e.block)
        };
        let step = |p: &ChainProgress| {
            (
                p.stage,
                p.migration.clone().map(|m| (m.done, m.total, m.running)),
                block(p),
            )
        };
        let moved = before.chains.len() != campaign.progress.chains.len()
            || before.delayed != campaign.progress.delayed
            || campaign.progress.chains.iter().any(|(name, now)| {
                before
                    .chains
                    .get(name)
                    .is_some_and(|b| step(b) != step(now))
            });
        if moved
            && self
                .core
                .snapshot()
                .plan()
                .notices(campaign.upgrade.urgency)
                .iter()
                .any(|n| n.live)
        {
            let posts = self.core.store.posts(&campaign.upgrade.id).await?;
            self.core.edits(batch, campaign, &posts);
        }
        Ok(())
    }
}

fn how_reset(before: &Memory, head: &Head) -> String {
    if head.rewritten {
        format!(
            "it was rolled back: block {} was {}",
            before.number, before.hash
        )
    } else {
        format!("it began again: the genesis was {}", before.genesis)
    }
}

/// The upgrade that a chain's authorizations and troubles belong to: of those it is still to apply, the
/// one with the lowest target.
pub(crate) fn owner(upgrades: &[Campaign], chain: &str) -> Option<String> {
    let waiting = upgrades.iter().filter_map(|a| {
        let waits = !a.progress.finished() && a.progress.chains.get(chain)?.stage < Stage::Applied;
        waits.then_some((a.upgrade.chains.get(chain)?.spec_version, &a.upgrade.id))
    });
    waiting.min().map(|(_, id)| id.clone())
}

/// The upgrade whose runtime a chain runs, or begins to run with this block: the highest target that is reached.
fn current(upgrades: &[Campaign], chain: &str, running: u32) -> Option<String> {
    let reached = upgrades
        .iter()
        .filter(|a| !a.progress.finished())
        .filter_map(|a| {
            let target = a.upgrade.chains.get(chain)?.spec_version;
            (target <= running).then_some((target, &a.upgrade.id))
        });
    reached.max().map(|(_, id)| id.clone())
}

/// Whether a fact speaks of this upgrade.
fn concerns(fact: &Fact, campaign: &Campaign, owner: Option<&str>, current: Option<&str>) -> bool {
    let own = owner == Some(campaign.upgrade.id.as_str());
    let has_applied = || {
        campaign
            .progress
            .chains
            .get(&fact.chain)
            .is_some_and(|c| c.stage >= Stage::Applied)
    };
    match fact.kind {
        FactKind::Reset | FactKind::Unexamined => campaign.upgrade.chains.contains_key(&fact.chain),
        FactKind::Referendum | FactKind::Scheduled | FactKind::Dispatched => {
            campaign.upgrade.referendum.as_ref().is_some_and(|r| {
                let index = fact.detail.split(' ').next().and_then(|n| n.parse().ok());
                r.chain == fact.chain && index == Some(r.index)
            })
        }
        // Whoever has applied is told when the version is taken back.
        FactKind::Applied => own || has_applied(),
        // What the new runtime does is the upgrade's that brought it.
        FactKind::TransactionVersion
        | FactKind::MigrationStarted
        | FactKind::MigrationStep
        | FactKind::MigrationCompleted
        | FactKind::MigrationFailed => current.or(owner) == Some(campaign.upgrade.id.as_str()),
        _ => own,
    }
}

/// What can happen once has one occurrence; trouble is told each time it is seen.
fn occurrence(happening: Happening, fact: &Fact, campaign: &Campaign) -> String {
    let there = format!("{}:{}:{}", fact.chain, fact.block, fact.hash);
    match happening {
        Happening::Authorized if !fact.detail.is_empty() => fact.detail.clone(),
        // A chain that joined later is not in what was said of those before it.
        Happening::Verified | Happening::Completed if campaign.upgrade.unplanned => {
            campaign.upgrade.chains.len().to_string()
        }
        Happening::Authorized
        | Happening::Unplanned
        | Happening::FirstApplied
        | Happening::Applied
        | Happening::TransactionVersion
        | Happening::MigrationStarted
        | Happening::Verified
        | Happening::Completed => "1".to_owned(),
        // Once for each window.
        Happening::Overdue | Happening::Delayed => campaign.revision.to_string(),
        Happening::Referendum | Happening::Unexamined => format!("{there}:{}", fact.detail),
        Happening::EstimateMoved => {
            let at = fact
                .expected
                .as_ref()
                .and_then(|e| e.estimate)
                .map(|e| e.at.as_second())
                .unwrap_or_default();
            format!("{there}:{at}")
        }
        _ => there,
    }
}
