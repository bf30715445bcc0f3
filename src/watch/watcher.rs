//! Follows the chains over finalized blocks and moves upgrades on.
//!
//! One block is one transaction: what it showed, how far each upgrade has come and the posts that
//! follow from it are written together, so a stop at any point loses none of them and repeats none.

use std::{
    collections::BTreeMap,
    ops::RangeInclusive,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{StreamExt, stream};
use jiff::SignedDuration;

use super::{
    catchup,
    relevance::{concerns, occurrence},
    unplanned::{self, Opening},
    unreadable::{UnreadableBlocks, gives_up},
};
use crate::{
    domain::{
        campaign::{
            Campaign,
            progress::{BlockSeen, CampaignEvent, Observed, Progress, Stage},
        },
        chain::{
            block::Block,
            fact::{Expected, Fact},
            memory::Memory,
            payload::{Payload, ResetCause},
            reading,
        },
        plan::notice::Happening,
    },
    outbox::Core,
    ports::{Batch, Chain, ChainError, Head, StoreError, Supersede},
};

/// A fact found so long after its block, by the chain's own pace, is told as late.
const LATE_AFTER: SignedDuration = SignedDuration::from_secs(120);
/// Blocks that are read side by side, so that a long way to the node does not make herald slower than a fast chain.
const READ_AHEAD_BLOCKS: usize = 4;
/// The longest that blocks are read at one look.
const MAX_READING: Duration = Duration::from_mins(5);
/// The pace of a chain that is seen for the first time, in seconds a block.
const USUAL_BLOCK_SECONDS: f64 = 6.0;

pub struct Watcher {
    pub(crate) core: Arc<Core>,
    chains: BTreeMap<String, Arc<dyn Chain>>,
    unreadable: UnreadableBlocks,
}

/// A block as it was read.
struct ReadBlock<'a> {
    chain: &'a str,
    block: &'a Block,
    /// The chain as it is known after the block.
    memory: Memory,
    facts: Vec<Fact>,
    finality_lag: u64,
    contiguous: bool,
    late: bool,
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
        Self {
            core,
            chains,
            unreadable: UnreadableBlocks::default(),
        }
    }

    pub fn chains(&self) -> impl Iterator<Item = (&String, &Arc<dyn Chain>)> {
        self.chains.iter()
    }

    pub(crate) fn chain(&self, name: &str) -> Option<&Arc<dyn Chain>> {
        self.chains.get(name)
    }

    /// Reads the finalized blocks of one chain that were not read yet; says how many.
    pub async fn tick(&self, name: &str) -> Result<u64, WatchError> {
        let Some(chain) = self.chains.get(name).map(Arc::as_ref) else {
            return Ok(0);
        };
        let memory = self.core.store.memories().await?.remove(name);
        let head = chain.head(memory.as_ref()).await?;
        let mut blocks = 0;
        let memory = match memory {
            Some(memory) if memory.genesis == head.genesis && !head.rewritten => memory,
            before => {
                blocks += 1;
                self.begin(name, chain, &head, before).await?
            }
        };
        let ranges = match catchup::route(chain, &memory, head.number).await {
            // What can't be looked at beforehand is left out: the state at the head tells what came of it.
            Err(error)
                if self
                    .unreadable
                    .tries_left(name, &error)
                    .is_some_and(|left| gives_up(&error, left)) =>
            {
                vec![head.number..=head.number]
            }
            ranges => ranges?,
        };
        match self.read(name, chain, &head, &memory, ranges).await {
            // The node no longer has a block that it seemed to have: ask it what it has.
            Err(WatchError::Chain(ChainError::Gone(_))) => {
                let read_last = self.core.store.memories().await?.remove(name);
                let memory = read_last.unwrap_or(memory);
                let ranges = catchup::checked_route(chain, &memory, head.number).await?;
                blocks += self.read(name, chain, &head, &memory, ranges).await?;
            }
            read => blocks += read?,
        }
        Ok(blocks)
    }

    /// Begins with a chain at its head: it is seen for the first time, or is not the chain it was.
    async fn begin(
        &self,
        name: &str,
        chain: &dyn Chain,
        head: &Head,
        before: Option<Memory>,
    ) -> Result<Memory, WatchError> {
        let read = (head.number, chain.block(head.number).await);
        let (mut block, _) = self.unreadable.pass(name, chain, head, read).await?;
        self.add_scheduled(name, chain, &mut block).await?;
        let memory = Memory::first(head.genesis.clone(), &block);
        let reset = before.map(|before| {
            let cause = Payload::Reset(reset_cause(before, head));
            Fact::of(&block, cause, name, block.spec_version)
        });
        let known = reset.into_iter().collect();
        let memory = self.block(name, head, &memory, &block, known).await?;
        self.read_pending(name, chain, false).await?;
        Ok(memory)
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
        let numbers: Vec<u64> = ranges.into_iter().flatten().collect();
        let (begun, mut next) = (Instant::now(), 0);
        while next < numbers.len() && begun.elapsed() < MAX_READING {
            let rest = numbers.get(next..).unwrap_or_default();
            let mut ahead = stream::iter(rest.iter().copied())
                .map(async |number| (number, chain.block(number).await))
                .buffered(READ_AHEAD_BLOCKS);
            let (mut left, mut asks) = (None, false);
            while let Some((number, read)) = ahead.next().await {
                next += 1;
                match read {
                    Ok(block) if number == memory.number + 1 && follows(&block, &memory) => {
                        self.unreadable.end(name);
                        let (whole, before) = ((block, true), memory);
                        memory = self.take_block(name, chain, head, &before, whole).await?;
                        blocks += 1;
                        asks = self.raises_questions(name, head, &before, &memory).await?;
                        if asks {
                            break;
                        }
                    }
                    read if number > memory.number => {
                        left = Some((number, read));
                        break;
                    }
                    _ => {}
                }
                // The rest is read at the next look, so that a slow node does not look like a herald that hangs.
                if begun.elapsed() > MAX_READING {
                    break;
                }
            }
            // What was read ahead may hold what the next question waits for.
            drop(ahead);
            if let Some(read) = left {
                let read = self.unreadable.pass(name, chain, head, read).await?;
                let before = memory;
                memory = self.take_block(name, chain, head, &before, read).await?;
                blocks += 1;
                asks = self.raises_questions(name, head, &before, &memory).await?;
            }
            if asks {
                self.ask_more(name, chain, head, &memory).await?;
            }
        }
        Ok(blocks)
    }

    /// Takes in a block that was read, whole or without its events, and what is not examined before it.
    async fn take_block(
        &self,
        name: &str,
        chain: &dyn Chain,
        head: &Head,
        memory: &Memory,
        (mut block, is_whole): (Block, bool),
    ) -> Result<Memory, WatchError> {
        let number = block.number;
        let (next, mut known) = (memory.number + 1, Vec::new());
        let unexamined = next..=if is_whole { number - 1 } else { number };
        if number == next && !follows(&block, memory) {
            // The node that is read has changed its mind, or another one answers now.
            chain.doubt().await;
            let words = format!(
                "block {number} does not follow block {} as it was read; another node is asked",
                memory.number
            );
            return Err(ChainError::Disagree(words).into());
        }
        if !unexamined.is_empty() {
            let (from, to) = unexamined.into_inner();
            tracing::warn!(
                chain = name,
                from,
                to,
                "events in these blocks are not examined: too many were missed, the node has pruned them, or they can't be read"
            );
            self.add_scheduled(name, chain, &mut block).await?;
            known.push(Fact::of(
                &block,
                Payload::Unexamined { from, to },
                name,
                memory.running,
            ));
        }
        self.block(name, head, memory, &block, known).await
    }

    /// A block shows something of which the node is to be asked more, before the next one is taken.
    async fn raises_questions(
        &self,
        name: &str,
        head: &Head,
        before: &Memory,
        after: &Memory,
    ) -> Result<bool, WatchError> {
        if before.running != after.running {
            return Ok(true);
        }
        // A parachain that was silent while herald was away may be back by now: it is looked for at the head.
        let late = is_behind(after, head, after.number);
        Ok(!late && self.suspects_parachains(name, after).await?)
    }

    /// Asks the node more of what the last block has shown.
    async fn ask_more(
        &self,
        name: &str,
        chain: &dyn Chain,
        head: &Head,
        memory: &Memory,
    ) -> Result<(), WatchError> {
        let late = is_behind(memory, head, memory.number);
        self.read_pending(name, chain, late).await?;
        if late {
            return Ok(());
        }
        self.look_for_stopped_parachains(name, chain, memory).await
    }

    /// Adds from the state what the events of blocks that were not read may have scheduled.
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
            match chain.enactment(block.number, referendum.index).await {
                Ok(Some(when)) => block.enactments.push((referendum.index, when)),
                Ok(None) => {}
                // The estimate is not worth the block.
                Err(error) => {
                    tracing::warn!(chain = name, "the scheduler can't be read: {error}");
                }
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
        let kin = self.core.kin.get(chain).cloned().unwrap_or_default();
        let (shown, memory) = reading::read(block, chain, before, &kin);
        let mut facts: Vec<Fact> = known.into_iter().chain(shown).collect();
        let late = is_late(before, head, block);
        facts.iter_mut().for_each(|fact| fact.late |= late);
        let reading = ReadBlock {
            chain,
            block,
            memory,
            facts,
            finality_lag: head.lag,
            contiguous: block.number <= before.number + 1,
            late,
        };
        let take_in = async |batch: &mut Batch| self.take_in(reading, batch).await;
        self.core.outbox.transaction(take_in).await
    }

    /// Takes in what a block shows: facts, the progress of upgrades, and the posts that follow.
    async fn take_in(
        &self,
        reading: ReadBlock<'_>,
        batch: &mut Batch,
    ) -> Result<Memory, WatchError> {
        let ReadBlock {
            chain,
            block,
            mut memory,
            facts,
            finality_lag,
            contiguous,
            late,
        } = reading;
        let mut elsewhere = self.core.store.memories().await?;
        // The trouble with the chain is observed beside the reading, and may be known by now.
        memory.matter = elsewhere
            .remove(chain)
            .filter(|m| m.genesis == memory.genesis)
            .and_then(|m| m.matter);
        let mut campaigns = self.core.store.upgrades().await?;
        let opening = unplanned::open(&self.core, &mut campaigns, chain, &memory, &facts);
        let estimate = |expected: &Expected| {
            let pace = if expected.chain == chain {
                &memory.pace
            } else {
                &elsewhere.get(&expected.chain)?.pace
            };
            pace.estimate(expected.block)
        };
        let snapshot = self.core.snapshot();
        let at = BlockSeen {
            chain,
            block,
            memory: &memory,
            seen: Observed {
                now: self.core.clock.now(),
                finality_lag,
                contiguous,
                late,
                rules: &snapshot.plan().rules,
                limits: &snapshot.plan().limits,
                estimate: &estimate,
            },
        };
        let known = campaigns.clone();
        let mut told = vec![false; facts.len()];
        self.change_each(campaigns, batch, |campaign| {
            let own = concerning(campaign, &known, &at, &facts, &mut told);
            advance(campaign, &at, &own, opening.as_ref())
        })
        .await?;
        for (fact, told) in facts.into_iter().zip(told) {
            // Facts of referenda are kept only where an upgrade's file names them.
            if told || !fact.kind().is_of_governance() {
                tracing::info!(chain = fact.chain, block = fact.block, hash = %fact.hash, spec_version = fact.spec_version, "{}", fact.kind().name());
                batch.facts.push(fact);
            }
        }
        // An upgrade is measured by the blocks before it. How far finality is behind is known of the head alone.
        // Those of an upgrade that is not verified may be what the next one mends.
        let is_unproven = |campaign: &Campaign| {
            let progress = campaign.progress.chains.get(chain);
            progress.is_some_and(|own| {
                own.stage == Stage::Applied && own.spec_version == Some(memory.running)
            })
        };
        if !known.iter().any(is_unproven) {
            let lag_then = Some(finality_lag).filter(|_| !late);
            memory.hours.note(block, &memory.pace, lag_then);
        }
        batch.memories.push((chain.to_owned(), memory.clone()));
        Ok(memory)
    }

    /// Changes each of these campaigns. Those that are others now go into `batch`, with the facts that only they can
    /// tell and with all that follows from their events.
    pub(super) async fn change_each(
        &self,
        campaigns: Vec<Campaign>,
        batch: &mut Batch,
        mut change: impl FnMut(&mut Campaign) -> Vec<CampaignEvent> + Send,
    ) -> Result<(), StoreError> {
        for mut campaign in campaigns {
            let before = campaign.clone();
            let events = change(&mut campaign);
            let own = events.iter().filter(|event| {
                let fact = &event.fact;
                fact.kind().takes_campaign() && fact.payload.happening() == Some(event.happening)
            });
            batch.facts.extend(own.map(|event| event.fact.clone()));
            self.follow_up(batch, &campaign, &before.progress, &events)
                .await?;
            if campaign != before {
                batch.upgrades.push(campaign);
            }
        }
        Ok(())
    }

    /// Adds what follows from an upgrade's events: posts, posts that no longer hold, and new words for those kept up to date.
    async fn follow_up(
        &self,
        batch: &mut Batch,
        campaign: &Campaign,
        before: &Progress,
        events: &[CampaignEvent],
    ) -> Result<(), StoreError> {
        let upgrade = &campaign.upgrade;
        if events.iter().any(|e| e.happening == Happening::Applied) {
            // Applied before its time: no reminder is to call it still to come.
            batch.supersede.push(Supersede {
                upgrade: upgrade.id.clone(),
                below: campaign.revision + 1,
                due_by: upgrade.window.opens,
            });
        }
        self.mark_all_clear(batch, campaign, before).await?;
        for event in events {
            let occurrence = occurrence(event, campaign);
            batch.posts.extend(self.core.outbox.posts_on(
                campaign,
                event.happening,
                &occurrence,
                Some(&event.fact),
            ));
        }
        let snapshot = self.core.snapshot();
        let mut notices = snapshot.plan().notices(upgrade.urgency).iter();
        if campaign.progress.moved_since(before) && notices.any(|notice| notice.live) {
            let posts = self.core.store.posts(&upgrade.id).await?;
            self.core.outbox.edits(batch, campaign, &posts);
        }
        Ok(())
    }
}

/// The block's parent is the one that was read last, as far as the block says.
fn follows(block: &Block, memory: &Memory) -> bool {
    block.parent.is_empty() || block.parent == memory.hash
}

/// The block is long over, as the blocks still to come and the chain's own pace tell.
fn is_late(before: &Memory, head: &Head, block: &Block) -> bool {
    is_behind(before, head, block.number)
}

/// So many blocks are still to come behind a block that it is long over.
fn is_behind(known: &Memory, head: &Head, number: u64) -> bool {
    let pace = known.pace.stretch().mean().unwrap_or(USUAL_BLOCK_SECONDS);
    let behind = pace * head.number.saturating_sub(number) as f64;
    behind > LATE_AFTER.as_secs_f64()
}

/// The facts that concern a campaign; each is marked in `told`.
fn concerning(
    campaign: &Campaign,
    campaigns: &[Campaign],
    at: &BlockSeen<'_>,
    facts: &[Fact],
    told: &mut [bool],
) -> Vec<Fact> {
    if !campaign.progress.is_followed() {
        return Vec::new();
    }
    let running = at.memory.running;
    let own = facts
        .iter()
        .zip(told)
        .filter(|(fact, _)| concerns(fact, campaign, campaigns, running));
    own.map(|(fact, told)| {
        *told = true;
        fact.clone()
    })
    .collect()
}

/// Moves a campaign on by one block, if it follows the block's chain or one of its facts.
fn advance(
    campaign: &mut Campaign,
    at: &BlockSeen<'_>,
    own: &[Fact],
    opening: Option<&Opening>,
) -> Vec<CampaignEvent> {
    let follows = campaign.upgrade.chains.contains_key(at.chain)
        || campaign.progress.counts_on(at.chain)
        || !own.is_empty();
    if !campaign.progress.is_followed() || !follows {
        return Vec::new();
    }
    let mut events = campaign.progress.advance(&campaign.upgrade, at, own);
    if let Some(opening) = opening.filter(|opening| opening.upgrade == campaign.upgrade.id) {
        unplanned::introduce(&mut events, opening);
    }
    unplanned::learn_target(campaign, at.chain, at.memory.running);
    events
}

fn reset_cause(before: Memory, head: &Head) -> ResetCause {
    if head.rewritten {
        ResetCause::RolledBack {
            block: before.number,
            hash: before.hash,
        }
    } else {
        ResetCause::OtherGenesis(before.genesis)
    }
}
