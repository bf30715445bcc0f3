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
            progress::{CampaignEvent, Measurements, Observed, Stage, State},
        },
        chain::{
            block_times::TIMES_USUAL_GAP,
            fact::{Expected, Fact},
            memory::Memory,
            observation::{Matter, MatterKind, Sight, matter},
            payload::{Payload, UnexpectedVersion},
        },
        plan::notice::Happening,
    },
    ports::{Batch, Chain},
};

/// A chain is read up if no more blocks of six seconds than these are still to be read.
const READ_UP_WITHIN_BLOCKS: u64 = 5;
/// However seldom a chain makes blocks, it is still after so long.
const MAX_USUAL_PAUSE: SignedDuration = SignedDuration::from_hours(1);
/// A stall is the upgrade's matter from so long before its window on.
const NEAR_WINDOW_BEFORE: SignedDuration = SignedDuration::from_hours(1);

impl Watcher {
    /// Looks at one chain's endpoints and at the clock.
    pub async fn observe(&self, name: &str) -> Result<(), WatchError> {
        let Some(chain) = self.chain(name) else {
            return Ok(());
        };
        let sight = chain.sight();
        self.note_endpoints(name, &sight).await?;
        let take_in = async |batch: &mut Batch| self.take_in_sight(name, &sight, batch).await;
        self.core.outbox.transaction(take_in).await?;
        // Last, since these may wait for a node.
        self.measure(name, chain.as_ref(), &sight).await?;
        self.read_pending(name, chain.as_ref(), false).await
    }

    /// Takes in what the endpoints and the clock show.
    async fn take_in_sight(
        &self,
        name: &str,
        sight: &Sight,
        batch: &mut Batch,
    ) -> Result<(), WatchError> {
        let memories = self.core.store.memories().await?;
        let Some(mut memory) = memories.get(name).cloned() else {
            return Ok(());
        };
        // While blocks are still to be read, nobody knows what is in them.
        let caught_up = read_up(sight, &memory);
        let turn = self.turn(name, sight, caught_up, &mut memory);
        if turn.is_some() {
            batch.memories.push((name.to_owned(), memory.clone()));
        }
        batch.facts.extend(turn.clone());
        let idle = stands_on(&memory, name, Payload::Overdue);
        let mut campaigns = self.core.store.upgrades().await?;
        campaigns.retain(|campaign| {
            campaign.upgrade.chains.contains_key(name) && campaign.progress.is_followed()
        });
        let now = self.core.clock.now();
        let mut is_told = turn
            .as_ref()
            .is_some_and(|fact| campaigns.iter().any(|c| tells(fact, c, now)));
        self.change_each(campaigns, batch, |campaign| {
            let mut events = self.learn(campaign, turn.as_ref(), &mut is_told);
            events.extend(self.wait(campaign, &idle, caught_up, &memories));
            events
        })
        .await?;
        Ok(())
    }

    /// Tells that nothing of a campaign has begun, to operators and then to everybody; `idle` is the fact of that.
    fn wait(
        &self,
        campaign: &mut Campaign,
        idle: &Fact,
        caught_up: bool,
        memories: &BTreeMap<String, Memory>,
    ) -> Vec<CampaignEvent> {
        let (now, snapshot) = (self.core.clock.now(), self.core.snapshot());
        let limits = &snapshot.plan().limits;
        let mut events = Vec::new();
        if unplanned::is_over(campaign, now) {
            campaign.progress.closed = true;
        }
        campaign.progress.end_watch(now);
        let sees_all = self.sees_all(campaign, memories);
        let Campaign {
            upgrade, progress, ..
        } = campaign;
        if caught_up && progress.overdue(upgrade, now, limits) {
            events.extend(CampaignEvent::of(idle.clone()));
        }
        if sees_all && progress.delays(upgrade, now, limits) {
            events.push(CampaignEvent {
                happening: Happening::Delayed,
                fact: idle.clone(),
            });
        }
        events
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

    /// Takes into a campaign that the trouble with one of its chains has changed. A campaign that is completed and still
    /// watched takes its all-clear back, and tells it unless another campaign does.
    fn learn(
        &self,
        campaign: &mut Campaign,
        turn: Option<&Fact>,
        is_told: &mut bool,
    ) -> Vec<CampaignEvent> {
        let (now, snapshot) = (self.core.clock.now(), self.core.snapshot());
        let seen = Observed {
            now,
            finality_lag: 0,
            contiguous: true,
            late: false,
            rules: &snapshot.plan().rules,
            limits: &snapshot.plan().limits,
            estimate: &|_: &Expected| None,
        };
        let Some(fact) = turn else {
            return Vec::new();
        };
        let is_over = campaign.progress.watched_until.is_some() || is_quiet(fact, campaign);
        let own = tells(fact, campaign, now);
        if !own && !is_over {
            return Vec::new();
        }
        let event = campaign.progress.learn(&campaign.upgrade, fact, seen);
        if !own && std::mem::replace(is_told, true) {
            // Another campaign tells it, and will tell that it is over.
            let chain = campaign.progress.chains.get_mut(&fact.chain);
            chain.into_iter().for_each(|chain| chain.ailing = false);
            return Vec::new();
        }
        event.into_iter().collect()
    }

    /// The fact, if the trouble with the chain has changed.
    fn turn(
        &self,
        name: &str,
        sight: &Sight,
        caught_up: bool,
        memory: &mut Memory,
    ) -> Option<Fact> {
        let before = memory.matter.as_ref().map(|m| m.kind);
        let lag = sight
            .lag
            .map(|lag| memory.pace.stretch().in_six_seconds(lag));
        let limits = self.core.snapshot().plan().limits.clone();
        // A chain that makes a block when it has something to say is as quiet as it usually is.
        let usual = (memory.pace.usual_gap() * TIMES_USUAL_GAP).min(MAX_USUAL_PAUSE);
        let still_after = limits.stalled_after.max(usual);
        let now = matter(sight, lag, still_after, &limits, before);
        // herald sees again once it has read what it did not see.
        let sees_again = before == Some(MatterKind::Blind) && now.is_none();
        if now == before || (sees_again && !caught_up) {
            return None;
        }
        let public = memory.matter.as_ref().is_some_and(|m| m.public);
        let payload = match now {
            Some(MatterKind::Lagging) => Payload::Lagging {
                blocks: sight.lag.unwrap_or_default(),
            },
            Some(MatterKind::Stalled) => Payload::Stalled {
                seconds: unmoved(sight).as_secs(),
            },
            Some(MatterKind::Blind) => Payload::Blind,
            // What was told to everybody is taken back before everybody.
            None if public => Payload::Recovered,
            None => Payload::Sighted,
        };
        memory.matter = now.map(|kind| Matter {
            kind,
            since: self.core.clock.now(),
            public: public || kind != MatterKind::Blind,
        });
        Some(stands_on(memory, name, payload))
    }

    /// Notes for operators the trouble of each endpoint. That it limits requests is one while herald is behind.
    async fn note_endpoints(&self, name: &str, sight: &Sight) -> Result<(), WatchError> {
        let memory = self.core.store.memories().await?.remove(name);
        let behind = memory.is_some_and(|memory| !read_up(sight, &memory));
        let mut wrong = BTreeMap::new();
        let alone = sight.endpoints.len() < 2;
        for (index, endpoint) in sight.endpoints.iter().enumerate() {
            let silent = (!endpoint.answers).then(|| "does not answer".to_owned());
            // The trouble of the only endpoint is the chain's own.
            let own = endpoint.trouble.clone().or(silent).filter(|_| !alone);
            wrong.insert(
                format!("node {} of {name}, {}", index + 1, endpoint.name),
                own.or_else(|| endpoint.interval.filter(|_| behind).map(limit)),
            );
        }
        for (part, trouble) in wrong {
            self.core.troubles.note_change(&part, trouble).await;
        }
        Ok(())
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
        let mut records = upgrades.iter().filter_map(|c| record(c, name));
        if records.all(|r| r.code.is_some() && r.answering == Some(answering)) {
            return Ok(());
        }
        let Some(memory) = self.core.store.memories().await?.remove(name) else {
            return Ok(());
        };
        // A node that can't tell is asked again at the next look.
        let code = chain.code_hash(memory.number).await.ok().flatten();
        let write = async |batch: &mut Batch| {
            self.write_measured(&memory, name, (code.as_ref(), answering), batch)
                .await
        };
        self.core.outbox.transaction(write).await
    }

    async fn write_measured(
        &self,
        memory: &Memory,
        name: &str,
        (code, answering): (Option<&String>, (usize, usize)),
        batch: &mut Batch,
    ) -> Result<(), WatchError> {
        let mut campaigns = self.core.store.upgrades().await?;
        campaigns.retain(|campaign| record(campaign, name).is_some());
        self.change_each(campaigns, batch, |campaign| {
            let chain = campaign.progress.chains.get_mut(name);
            let Some(record) = chain.and_then(|c| c.record.as_mut()) else {
                return Vec::new();
            };
            record.answering = Some(answering);
            let event = learn_code(record, code).and_then(|version| {
                let payload = Payload::VersionUnexpected(version);
                CampaignEvent::of(stands_on(memory, name, payload))
            });
            event.into_iter().collect()
        })
        .await?;
        Ok(())
    }
}

/// The figures of a chain that has applied an upgrade which is still under way.
pub(super) fn record<'a>(campaign: &'a Campaign, chain: &str) -> Option<&'a Measurements> {
    let watched = (State::Applying..=State::Verified).contains(&campaign.progress.state);
    let chain = campaign.progress.chains.get(chain)?;
    let chain = Some(chain).filter(|c| watched && c.stage >= Stage::Applied)?;
    chain.record.as_ref()
}

/// Takes the hash of the code that runs, the first time it is known; returns it if another was planned.
fn learn_code(record: &mut Measurements, code: Option<&String>) -> Option<UnexpectedVersion> {
    if record.code.is_some() {
        return None;
    }
    record.code = code.cloned();
    let (runs, planned) = (record.code.clone()?, record.code_planned.clone()?);
    (runs != planned).then_some(UnexpectedVersion::Code { runs, planned })
}

/// Tells that an endpoint limits requests. The figure is rounded, so that it is not another at each look.
fn limit(interval: SignedDuration) -> String {
    let rate = 1.0 / interval.as_secs_f64().max(0.001);
    let rounded = [50, 20, 10, 5, 2, 1]
        .into_iter()
        .find(|r| f64::from(*r) <= rate);
    let rate = rounded.map_or_else(
        || "less than 1 request".to_owned(),
        |r| format!("about {r} request{}", if r == 1 { "" } else { "s" }),
    );
    format!("refuses requests over its limit, and herald, with {rate} a second, is behind")
}

/// For how long no node that answers has moved.
fn unmoved(sight: &Sight) -> SignedDuration {
    let answering = sight
        .endpoints
        .iter()
        .filter(|e| e.answers && e.trouble.is_none());
    answering.map(|e| e.unmoved).min().unwrap_or_default()
}

/// No endpoint shows blocks that are still to be read.
fn read_up(sight: &Sight, memory: &Memory) -> bool {
    sight
        .endpoints
        .iter()
        .filter(|e| e.trouble.is_none())
        .all(|e| {
            let left = e.head.saturating_sub(memory.number);
            memory.pace.stretch().in_six_seconds(left) <= READ_UP_WITHIN_BLOCKS
        })
}

/// An observation, with the last finalized block it stands on.
pub(super) fn stands_on(memory: &Memory, chain: &str, payload: Payload) -> Fact {
    Fact {
        payload,
        chain: chain.to_owned(),
        block: memory.number,
        hash: memory.hash.clone(),
        spec_version: memory.running,
        time: memory.time,
        on: None,
        expected: None,
        late: false,
    }
}

/// The campaign tells the fact, whether or not another one does.
fn tells(fact: &Fact, campaign: &Campaign, now: Timestamp) -> bool {
    told_now(fact, campaign, now) && !is_quiet(fact, campaign)
}

/// The campaign was completed, and has left it to another one to tell that the chain is in trouble.
fn is_quiet(fact: &Fact, campaign: &Campaign) -> bool {
    let chain = campaign.progress.chains.get(&fact.chain);
    let trouble = matches!(
        fact.payload,
        Payload::Stalled { .. } | Payload::Lagging { .. }
    );
    trouble && chain.is_some_and(|chain| chain.withdrawn && !chain.ailing)
}

/// Trouble of a chain is the upgrade's matter while it is going on, and around its window; that of herald is, always.
fn told_now(fact: &Fact, campaign: &Campaign, now: Timestamp) -> bool {
    let window = &campaign.upgrade.window;
    let near = window
        .opens
        .checked_sub(NEAR_WINDOW_BEFORE)
        .is_ok_and(|from| (from..window.closes).contains(&now));
    let under_way = (State::Authorized..=State::Verified).contains(&campaign.progress.state);
    let always = matches!(
        fact.payload,
        Payload::Blind | Payload::Sighted | Payload::Recovered
    );
    always || near || under_way
}
