//! Observations: what no block shows. Whether a chain stands still, and whether herald can see at all.
//!
//! Besides, here is asked what a verification wants to know and no block tells: the hash of the code that
//! runs, and how many endpoints answer.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::{
    unplanned,
    watcher::{WatchError, Watcher},
};
use crate::{
    domain::{
        campaign::{
            Campaign,
            progress::{CampaignEvent, Observed, Progress, Stage, State},
        },
        chain::{
            block::Memory,
            fact::{Expected, Fact, FactKind},
            observation::{Matter, Sight, matter},
        },
        plan::notice::Happening,
    },
    ports::{Batch, Chain},
};

/// So near to the head everything is read.
const CLOSE: u64 = 5;
/// A stall is the upgrade's matter from so long before its window on.
const BEFORE: SignedDuration = SignedDuration::from_hours(1);

impl Watcher {
    /// Looks at one chain's endpoints and at the clock.
    pub async fn observe(&self, name: &str) -> Result<(), WatchError> {
        let Some(chain) = self.chain(name) else {
            return Ok(());
        };
        let sight = chain.sight();
        self.note_endpoints(name, &sight).await;
        self.measure(name, chain.as_ref(), &sight).await?;
        let _guard = self.core.ledger.lock().await;
        let memories = self.core.store.memories().await?;
        let Some(mut memory) = memories.get(name).cloned() else {
            return Ok(());
        };
        let mut batch = Batch::default();
        let seen_matter = self.turn(name, &sight, &mut memory);
        if seen_matter.is_some() {
            batch.memories.push((name.to_owned(), memory.clone()));
        }
        batch.facts.extend(seen_matter.clone());
        for mut campaign in self.core.store.upgrades().await? {
            if !campaign.upgrade.chains.contains_key(name) || campaign.progress.finished() {
                continue;
            }
            let before = campaign.progress.clone();
            let mut events = Vec::new();
            if let Some(fact) = seen_matter
                .as_ref()
                .filter(|f| told_now(f, &campaign, self.core.clock.now()))
            {
                events.extend(self.learned(&mut campaign, fact));
            }
            // While blocks are still to be read, nobody knows what is in them.
            let caught_up = read_up(&sight, &memory);
            if unplanned::is_over(&campaign, self.core.clock.now()) {
                campaign.progress.closed = true;
            }
            if caught_up
                && campaign.progress.overdue(
                    &campaign.upgrade,
                    self.core.clock.now(),
                    &self.core.snapshot().plan().limits,
                )
            {
                let fact = stands_on(&memory, name, FactKind::Overdue, String::new());
                batch.facts.push(fact.clone());
                events.push(CampaignEvent {
                    happening: Happening::Overdue,
                    fact,
                });
            }
            if self.sees_all(&campaign, &memories)
                && campaign.progress.delays(
                    &campaign.upgrade,
                    self.core.clock.now(),
                    &self.core.snapshot().plan().limits,
                )
            {
                let fact = stands_on(&memory, name, FactKind::Overdue, String::new());
                events.push(CampaignEvent {
                    happening: Happening::Delayed,
                    fact,
                });
            }
            self.follow_up(&mut batch, &campaign, &before, events)
                .await?;
            if campaign.progress != before {
                batch.upgrades.push(campaign);
            }
        }
        if batch.is_empty() {
            return Ok(());
        }
        self.core.store.commit(batch).await?;
        self.core.posts.notify_waiters();
        Ok(())
    }

    /// Everybody hears of a delay: so herald has to see every chain of the upgrade, up to its head.
    fn sees_all(&self, campaign: &Campaign, memories: &BTreeMap<String, Memory>) -> bool {
        campaign.upgrade.chains.keys().all(|name| {
            let (Some(chain), Some(memory)) = (self.chain(name), memories.get(name)) else {
                return false;
            };
            let sight = chain.sight();
            sight.answering() > 0 && read_up(&sight, memory)
        })
    }

    fn learned(&self, campaign: &mut Campaign, fact: &Fact) -> Option<CampaignEvent> {
        let nothing = |_: &Expected| None;
        let snapshot = self.core.snapshot();
        let seen = Observed {
            now: self.core.clock.now(),
            finality_lag: 0,
            contiguous: true,
            late: false,
            rules: &snapshot.plan().rules,
            limits: &snapshot.plan().limits,
            estimate: &nothing,
        };
        campaign.progress.learn(&campaign.upgrade, fact, seen)
    }

    /// The fact, if what is the matter with the chain has changed.
    fn turn(&self, name: &str, sight: &Sight, memory: &mut Memory) -> Option<Fact> {
        let before = memory.matter.as_ref().map(|m| m.kind);
        let now = matter(sight, &self.core.snapshot().plan().limits, before);
        if now == before {
            return None;
        }
        let public = memory.matter.as_ref().is_some_and(|m| m.public);
        let (kind, detail) = match now {
            Some(kind @ FactKind::Lagging) => (kind, sight.lag.unwrap_or_default().to_string()),
            Some(kind @ FactKind::Stalled) => {
                let still = sight
                    .endpoints
                    .iter()
                    .filter(|e| e.answers && e.trouble.is_none())
                    .map(|e| e.unmoved.as_secs())
                    .min();
                (kind, still.unwrap_or_default().to_string())
            }
            Some(kind) => (kind, String::new()),
            // What was told to everybody is taken back before everybody.
            None if public => (FactKind::Recovered, String::new()),
            None => (FactKind::Sighted, String::new()),
        };
        let told = public || matches!(kind, FactKind::Stalled | FactKind::Lagging);
        memory.matter = now.map(|kind| Matter {
            kind,
            since: self.core.clock.now(),
            public: told,
        });
        Some(stands_on(memory, name, kind, detail))
    }

    /// What operators see of each endpoint.
    async fn note_endpoints(&self, name: &str, sight: &Sight) {
        if sight.endpoints.len() < 2 {
            return;
        }
        let mut wrong = BTreeMap::new();
        for (index, endpoint) in sight.endpoints.iter().enumerate() {
            let silent = (!endpoint.answers).then(|| "does not answer".to_owned());
            wrong.insert(
                format!("node {} of {name}, {}", index + 1, endpoint.name),
                endpoint.trouble.clone().or(silent),
            );
        }
        for (part, trouble) in wrong {
            self.core.note_change(&part, trouble).await;
        }
    }

    /// The code's hash, once, and the endpoints that answer, of chains that have applied an upgrade.
    async fn measure(
        &self,
        name: &str,
        chain: &dyn Chain,
        sight: &Sight,
    ) -> Result<(), WatchError> {
        let answering = (sight.answering(), sight.endpoints.len());
        let upgrades = self.core.store.upgrades().await?;
        let watched = |p: &Progress| (State::Applying..=State::Verified).contains(&p.state);
        let record = |a: &Campaign| {
            let at = a
                .progress
                .chains
                .get(name)
                .filter(|c| watched(&a.progress) && c.stage >= Stage::Applied)?;
            at.record.clone()
        };
        if upgrades
            .iter()
            .filter_map(record)
            .all(|r| r.code.is_some() && r.answering == Some(answering))
        {
            return Ok(());
        }
        let Some(memory) = self.core.store.memories().await?.remove(name) else {
            return Ok(());
        };
        // A node that can't tell is asked again at the next look.
        let code = chain.code_hash(memory.number).await.ok().flatten();
        let _guard = self.core.ledger.lock().await;
        let mut batch = Batch::default();
        for mut campaign in self.core.store.upgrades().await? {
            if record(&campaign).is_none() {
                continue;
            }
            let before = campaign.progress.clone();
            let mut events = Vec::new();
            if let Some(record) = campaign
                .progress
                .chains
                .get_mut(name)
                .and_then(|c| c.record.as_mut())
            {
                record.answering = Some(answering);
                let news = record.code.is_none() && code.is_some();
                record.code = record.code.take().or_else(|| code.clone());
                if let (true, Some(false), Some(runs), Some(planned)) =
                    (news, record.code_fits(), &record.code, &record.code_planned)
                {
                    let fact = stands_on(
                        &memory,
                        name,
                        FactKind::VersionUnexpected,
                        format!("code {runs}, planned {planned}"),
                    );
                    batch.facts.push(fact.clone());
                    events.push(CampaignEvent {
                        happening: Happening::VersionUnexpected,
                        fact,
                    });
                }
            }
            self.follow_up(&mut batch, &campaign, &before, events)
                .await?;
            if campaign.progress != before {
                batch.upgrades.push(campaign);
            }
        }
        if !batch.is_empty() {
            self.core.store.commit(batch).await?;
            self.core.posts.notify_waiters();
        }
        Ok(())
    }
}

/// No endpoint shows blocks that are still to be read.
fn read_up(sight: &Sight, memory: &Memory) -> bool {
    sight
        .endpoints
        .iter()
        .filter(|e| e.trouble.is_none())
        .all(|e| e.head <= memory.number + CLOSE)
}

/// An observation, with the last finalized block it stands on.
fn stands_on(memory: &Memory, chain: &str, kind: FactKind, detail: String) -> Fact {
    Fact {
        kind,
        chain: chain.to_owned(),
        block: memory.number,
        hash: memory.hash.clone(),
        spec_version: memory.running,
        time: memory.time,
        detail,
        on: None,
        expected: None,
        late: false,
    }
}

/// What befalls a chain is the upgrade's matter while it is going on, and around its window; what befalls herald, always.
fn told_now(fact: &Fact, campaign: &Campaign, now: Timestamp) -> bool {
    let window = &campaign.upgrade.window;
    let near = window
        .opens
        .checked_sub(BEFORE)
        .is_ok_and(|from| (from..window.closes).contains(&now));
    let under_way = (State::Authorized..=State::Verified).contains(&campaign.progress.state);
    matches!(
        fact.kind,
        FactKind::Blind | FactKind::Sighted | FactKind::Recovered
    ) || near
        || under_way
}
