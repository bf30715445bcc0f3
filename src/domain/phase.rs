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

    fn observe(&mut self, block: &Block, seen: Seen<'_>) {
        let rules = seen.rules;
        // A chain without a clock of its own is timed by ours.
        let time = block.time.unwrap_or(seen.now);
        let gap = if seen.contiguous { time.duration_since(self.last) } else { SignedDuration::ZERO };
        let (succeeded, failed) = block.transactions();
        self.last = time;
        self.blocks += 1;
        self.transactions += succeeded + failed;
        self.failed += failed;
        self.longest_gap = self.longest_gap.max(gap.as_secs());
        let share = f64::from(self.failed) / f64::from(self.transactions.max(1));
        let trouble = if gap > rules.max_block_gap {
            Some(format!("no block for {} s", gap.as_secs()))
        } else if seen.finality_lag > rules.max_finality_lag {
            Some(format!("finality is {} blocks behind", seen.finality_lag))
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
    /// The block before it was read as well: if not, what lies between is not known to be a gap.
    pub contiguous: bool,
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
                    // Told with the first chain, and again where another code takes its place.
                    let replaces = at.authorized.as_ref().is_some_and(|old| old.detail != fact.detail);
                    let first = self.state < State::Authorized;
                    at.stage = at.stage.max(Stage::Authorized);
                    at.authorized = Some(fact.clone());
                    (first || replaces).then_some(Happening::Authorized)
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
            at.applied = Some(proof.unwrap_or_else(|| block.fact(FactKind::Applied, chain, running, String::new())));
            at.health = Some(Health::new(block.time.unwrap_or(seen.now)));
        } else if running < target.spec_version && at.stage >= Stage::Applied {
            // Taken back, or another chain under the name: nothing is proven any more.
            (at.stage, at.applied, at.health) = (Stage::Waiting, None, None);
        } else if let Some(health) = at.health.as_mut() {
            health.observe(block, seen);
            if !block.migrating && health.transactions - health.failed >= seen.rules.min_transactions {
                if at.stage == Stage::Applied && health.length() >= seen.rules.healthy_for {
                    at.stage = Stage::Verified;
                } else if at.stage == Stage::Verified && health.length() >= seen.rules.healthy_for + seen.rules.complete_after {
                    at.stage = Stage::Completed;
                }
            }
        }
        let fact = facts.iter().rev().find(|f| f.kind == FactKind::Applied).cloned();
        let fact = fact.unwrap_or_else(|| block.fact(FactKind::Applied, chain, running, String::new()));
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
        self.state = state;
        if self.state >= State::Applied && self.applied_at.is_none() {
            self.applied_at = Some(now);
        }
        let said = [(State::Applied, Happening::Applied), (State::Verified, Happening::Verified), (State::Completed, Happening::Completed)];
        said.into_iter()
            .filter(|(step, _)| *step > before && *step <= self.state)
            .map(|(_, happening)| Event { happening, fact: fact.clone() })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::domain::{
        block::{ChainEvent, Kin, Memory},
        upgrade::{Method, Target, Urgency, Window},
    };

    fn upgrade(chains: &[&str]) -> Upgrade {
        Upgrade {
            id: "v2".into(),
            title: "Two".into(),
            summary: String::new(),
            urgency: Urgency::Routine,
            method: Method::Sudo,
            window: Window { opens: at(0), closes: at(3600) },
            chains: chains.iter().map(|c| (c.to_string(), Target { spec_version: 2 })).collect(),
            changes: vec![],
            links: vec![],
            duties: BTreeMap::new(),
        }
    }
    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }
    fn rules() -> Rules {
        Rules {
            healthy_for: SignedDuration::from_secs(60),
            complete_after: SignedDuration::from_secs(60),
            max_block_gap: SignedDuration::from_secs(20),
            max_finality_lag: 5,
            max_failed_share: 0.5,
            min_transactions: 0,
        }
    }

    /// A chain under the machine: blocks six seconds apart, each read as the watcher would.
    struct Play {
        upgrade: Upgrade,
        progress: Progress,
        memories: BTreeMap<String, Memory>,
        second: i64,
        rules: Rules,
    }

    impl Play {
        fn new(chains: &[&str]) -> Self {
            let upgrade = upgrade(chains);
            Self { progress: Progress::new(&upgrade), upgrade, memories: BTreeMap::new(), second: 0, rules: rules() }
        }

        fn block(&mut self, chain: &str, version: u32, events: &[(&str, &str)], lag: u64) -> Vec<&'static str> {
            self.second += 6;
            let block = Block {
                number: u64::try_from(self.second).unwrap(),
                hash: format!("0x{}", self.second),
                time: Some(at(self.second)),
                spec_version: version,
                transaction_version: 1,
                proven_version: Some(version),
                events: events
                    .iter()
                    .map(|(pallet, name)| ChainEvent { pallet: pallet.to_string(), name: name.to_string(), fields: serde_json::json!({}) })
                    .collect(),
                ..Block::default()
            };
            let memory = self.memories.entry(chain.into()).or_insert_with(|| Memory::first("0x".into(), &block));
            let (mut facts, after) = block.read(chain, memory, &Kin::default());
            *memory = after;
            let seen = Seen { now: at(self.second), finality_lag: lag, contiguous: true, rules: &self.rules };
            let running = memory.running;
            let events = self.progress.advance(&self.upgrade, chain, &block, running, &mut facts, seen);
            events.into_iter().map(|e| e.happening.name()).collect()
        }

        fn blocks(&mut self, chain: &str, version: u32, number: usize) -> Vec<&'static str> {
            (0..number).flat_map(|_| self.block(chain, version, &[], 0)).collect()
        }
    }

    #[test]
    fn one_chain_goes_through_every_step_and_each_is_said_once() {
        let mut play = Play::new(&["relay"]);
        assert!(play.blocks("relay", 1, 2).is_empty());
        assert_eq!(play.block("relay", 1, &[("System", "UpgradeAuthorized")], 0), ["authorized"]);
        assert!(play.block("relay", 1, &[("System", "CodeUpdated")], 0).is_empty(), "the event alone proves nothing");
        assert_eq!(play.progress.state, State::Applying);
        assert_eq!(play.block("relay", 2, &[], 0), ["applied"]);
        assert_eq!(play.blocks("relay", 2, 30), ["verified", "completed"]);
        assert_eq!(play.progress.state, State::Completed);
    }

    #[test]
    fn without_authorization_none_is_claimed() {
        let mut play = Play::new(&["relay"]);
        play.blocks("relay", 1, 2);
        play.block("relay", 1, &[("System", "CodeUpdated")], 0);
        assert_eq!(play.block("relay", 2, &[], 0), ["applied"]);
    }

    #[test]
    fn several_chains_are_done_when_the_last_one_is() {
        let mut play = Play::new(&["people", "relay"]);
        play.blocks("relay", 1, 1);
        play.blocks("people", 1, 1);
        assert!(play.block("relay", 2, &[], 0).is_empty());
        assert_eq!(play.progress.state, State::Applying);
        assert!(play.blocks("relay", 2, 30).is_empty(), "the other chain is still to come");
        assert_eq!(play.block("people", 2, &[], 0), ["applied"]);
        assert_eq!(play.blocks("people", 2, 30), ["verified", "completed"]);
    }

    #[test]
    fn a_gap_a_lag_or_failures_start_the_watch_anew() {
        let mut play = Play::new(&["relay"]);
        play.blocks("relay", 1, 1);
        play.block("relay", 2, &[], 0);
        play.blocks("relay", 2, 9);
        play.second += 60; // no block for a minute
        assert!(play.blocks("relay", 2, 9).is_empty());
        play.block("relay", 2, &[], 99); // finality is behind
        assert!(play.blocks("relay", 2, 9).is_empty());
        let failing = [("System", "ExtrinsicFailed"); 10];
        play.block("relay", 2, &failing, 0);
        let health = play.progress.chains["relay"].health.clone().unwrap();
        assert_eq!((health.restarts, health.trouble.as_deref()), (3, Some("10 of 10 transactions failed")));
        assert_eq!(play.blocks("relay", 2, 10), ["verified"]);
    }

    #[test]
    fn a_version_taken_back_is_not_called_verified() {
        let mut play = Play::new(&["relay"]);
        play.blocks("relay", 1, 1);
        assert_eq!(play.block("relay", 2, &[], 0), ["applied"]);
        play.blocks("relay", 2, 3);
        assert_eq!(play.block("relay", 1, &[], 0), ["version_unexpected"]);
        assert!(play.blocks("relay", 1, 40).is_empty());
        assert_eq!(play.progress.state, State::Scheduled);
    }

    #[test]
    fn another_version_is_named_and_completes_nothing() {
        let mut play = Play::new(&["relay"]);
        play.upgrade.chains.insert("relay".into(), Target { spec_version: 3 });
        play.blocks("relay", 1, 1);
        assert_eq!(play.block("relay", 2, &[], 0), ["version_unexpected"]);
        assert!(play.blocks("relay", 2, 40).is_empty());
        assert_eq!(play.block("relay", 3, &[], 0), ["applied"]);
    }
}
