//! The phase machine: facts and healthy blocks move an upgrade on.
//!
//! A chain's stage goes waiting → authorized → applying → applied → verified → completed. The
//! upgrade's state is that of its slowest chain, but `authorized` is said with the first one and
//! `applying` while some have applied and some have not.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{
    block::Block,
    fact::{Fact, FactKind},
    notice::Happening,
    upgrade::Upgrade,
};

/// How long and how well a chain must run before an upgrade is called verified, and then completed.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    pub healthy_for: SignedDuration,
    pub complete_after: SignedDuration,
    pub max_block_gap: SignedDuration,
    pub max_finality_lag: u64,
    /// Of all transactions since, 0 to 1.
    pub max_failed_share: f64,
    pub min_transactions: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    Waiting,
    Authorized,
    Applying,
    Applied,
    Verified,
    Completed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Scheduled,
    Authorized,
    Applying,
    Applied,
    Verified,
    Completed,
}

impl Stage {
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Authorized => "authorized",
            Self::Applying => "applying",
            Self::Applied => "applied",
            Self::Verified => "verified",
            Self::Completed => "completed",
        }
    }
}

impl State {
    pub fn name(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Authorized => "authorized",
            Self::Applying => "applying",
            Self::Applied => "applied",
            Self::Verified => "verified",
            Self::Completed => "completed",
        }
    }
}

/// Health since the upgrade was applied, or since the last trouble.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Health {
    /// The block's clock at which this stretch began.
    pub since: Timestamp,
    pub last: Timestamp,
    pub blocks: u32,
    pub transactions: u32,
    pub failed: u32,
    /// Seconds.
    pub longest_gap: i64,
    /// How often the stretch began again, and why last.
    pub restarts: u32,
    pub trouble: Option<String>,
}

impl Health {
    fn new(at: Timestamp) -> Self {
        Self { since: at, last: at, blocks: 0, transactions: 0, failed: 0, longest_gap: 0, restarts: 0, trouble: None }
    }

    /// Length of the healthy stretch, by the chain's clock.
    pub fn length(&self) -> SignedDuration {
        self.last.duration_since(self.since)
    }

    fn observe(&mut self, block: &Block, finality_lag: u64, rules: &Rules) {
        let Some(time) = block.time else { return };
        let gap = time.duration_since(self.last);
        let (succeeded, failed) = block.transactions();
        self.last = time;
        self.blocks += 1;
        self.transactions += succeeded + failed;
        self.failed += failed;
        self.longest_gap = self.longest_gap.max(gap.as_secs());
        let share = f64::from(self.failed) / f64::from(self.transactions.max(1));
        let trouble = if gap > rules.max_block_gap {
            Some(format!("no block for {} s", gap.as_secs()))
        } else if finality_lag > rules.max_finality_lag {
            Some(format!("finality is {finality_lag} blocks behind"))
        } else if self.transactions >= 10 && share > rules.max_failed_share {
            Some(format!("{} of {} transactions failed", self.failed, self.transactions))
        } else {
            None
        };
        if trouble.is_some() {
            *self = Self { restarts: self.restarts + 1, trouble, ..Self::new(time) };
        }
    }
}

/// Where one chain of an upgrade stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChainProgress {
    pub stage: Stage,
    /// The version proven to run, once a block was seen.
    pub spec_version: Option<u32>,
    pub authorized: Option<Fact>,
    pub applied: Option<Fact>,
    pub health: Option<Health>,
}

/// Where the upgrade stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    pub state: State,
    pub chains: BTreeMap<String, ChainProgress>,
    /// When all chains were seen to have applied, by our own clock: feedback opens here.
    pub applied_at: Option<Timestamp>,
    /// Counted when the feedback window closed.
    pub feedback: Option<super::feedback::Summary>,
}

/// How a block was seen: what is not in the block itself.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// Our own clock, for what people wait for.
    pub now: Timestamp,
    /// Best minus finalized, in blocks.
    pub finality_lag: u64,
    pub rules: &'a Rules,
}

/// Something to announce, and the fact it stands on.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub happening: Happening,
    pub fact: Fact,
}

impl Progress {
    pub fn new(upgrade: &Upgrade) -> Self {
        let waiting = ChainProgress { stage: Stage::Waiting, spec_version: None, authorized: None, applied: None, health: None };
        let chains = upgrade.chains.keys().map(|name| (name.clone(), waiting.clone())).collect();
        Self { state: State::Scheduled, chains, applied_at: None, feedback: None }
    }

    /// Nothing more is to come of this upgrade.
    pub fn finished(&self) -> bool {
        self.state == State::Completed && self.feedback.is_some()
    }

    /// Moves on by one finalized block of one chain; returns what is to be announced, in order, and
    /// adds the facts that only the target can tell (an unexpected version).
    pub fn advance(
        &mut self,
        upgrade: &Upgrade,
        chain: &str,
        block: &Block,
        running: u32,
        facts: &mut Vec<Fact>,
        seen: Seen<'_>,
    ) -> Vec<Event> {
        let (Some(target), Some(at)) = (upgrade.chains.get(chain), self.chains.get_mut(chain)) else {
            return Vec::new();
        };
        let mut events = Vec::new();
        let mut unexpected = None;
        for fact in facts.iter() {
            let trouble = match fact.kind {
                FactKind::Authorized => {
                    at.stage = at.stage.max(Stage::Authorized);
                    at.authorized = Some(fact.clone());
                    None
                }
                FactKind::CodeUpdated | FactKind::CodeStored => {
                    at.stage = at.stage.max(Stage::Applying);
                    None
                }
                FactKind::Applied if fact.spec_version < target.spec_version => {
                    unexpected = Some(Fact { kind: FactKind::VersionUnexpected, ..fact.clone() });
                    None
                }
                FactKind::AuthorizationRejected => Some(Happening::AuthorizationRejected),
                FactKind::SudoFailed => Some(Happening::SudoFailed),
                FactKind::Discarded => Some(Happening::Discarded),
                FactKind::MigrationFailed => Some(Happening::MigrationFailed),
                FactKind::Reset => Some(Happening::Reset),
                _ => None,
            };
            events.extend(trouble.map(|happening| Event { happening, fact: fact.clone() }));
        }
        if let Some(fact) = unexpected {
            facts.push(fact.clone());
            events.push(Event { happening: Happening::VersionUnexpected, fact });
        }
        at.spec_version = Some(running);
        if running >= target.spec_version && at.stage < Stage::Applied {
            at.stage = Stage::Applied;
            let proof = facts.iter().find(|f| f.kind == FactKind::Applied).cloned();
            at.applied = Some(proof.unwrap_or_else(|| sight(FactKind::Applied, chain, block, running)));
            at.health = block.time.map(Health::new);
        } else if let Some(health) = at.health.as_mut() {
            health.observe(block, seen.finality_lag, seen.rules);
            if !block.migrating && health.transactions - health.failed >= seen.rules.min_transactions {
                if at.stage == Stage::Applied && health.length() >= seen.rules.healthy_for {
                    at.stage = Stage::Verified;
                } else if at.stage == Stage::Verified && health.length() >= seen.rules.healthy_for + seen.rules.complete_after {
                    at.stage = Stage::Completed;
                }
            }
        }
        let fact = facts.iter().rev().find(|f| f.kind == FactKind::Applied || f.kind == FactKind::Authorized).cloned();
        let fact = fact.unwrap_or_else(|| sight(FactKind::Applied, chain, block, running));
        events.extend(self.settle(fact, seen.now));
        events
    }

    /// The upgrade's state from its chains'; each step passed on the way is announced.
    fn settle(&mut self, fact: Fact, now: Timestamp) -> Vec<Event> {
        let slowest = self.chains.values().map(|c| c.stage).min().unwrap_or(Stage::Waiting);
        let fastest = self.chains.values().map(|c| c.stage).max().unwrap_or(Stage::Waiting);
        let state = match slowest {
            Stage::Completed => State::Completed,
            Stage::Verified => State::Verified,
            Stage::Applied => State::Applied,
            _ if fastest >= Stage::Applying => State::Applying,
            _ if fastest == Stage::Authorized => State::Authorized,
            _ => State::Scheduled,
        };
        let before = self.state;
        self.state = state.max(before);
        if self.state >= State::Applied && self.applied_at.is_none() {
            self.applied_at = Some(now);
        }
        let said = [
            (State::Authorized, Happening::Authorized),
            (State::Applied, Happening::Applied),
            (State::Verified, Happening::Verified),
            (State::Completed, Happening::Completed),
        ];
        said.into_iter()
            .filter(|(step, _)| *step > before && *step <= self.state)
            // Authorization is announced when it was seen, not implied by what came after it.
            .filter(|(step, _)| *step != State::Authorized || self.chains.values().any(|c| c.authorized.is_some()))
            .map(|(_, happening)| Event { happening, fact: fact.clone() })
            .collect()
    }
}

fn sight(kind: FactKind, chain: &str, block: &Block, running: u32) -> Fact {
    Fact {
        kind,
        chain: chain.to_owned(),
        block: block.number,
        hash: block.hash.clone(),
        spec_version: running,
        time: block.time,
        detail: String::new(),
    }
}
