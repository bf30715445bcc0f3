//! The phase machine: facts and healthy blocks move an upgrade on.
//!
//! A chain's stage goes waiting → authorized → applying → applied → verified → completed. The
//! upgrade's state is that of its slowest chain, but `authorized` is said with the first one and
//! `applying` while some have applied and some have not.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::upgrade::Upgrade;
use crate::domain::{
    chain::{
        block::{Block, Memory},
        block_times::Estimate,
        fact::{Expected, Fact, FactKind},
        observation::Limits,
    },
    plan::notice::Happening,
};

pub use super::{
    health::{Health, Measurements, Migration, Rules},
    notes::{Note, Tick},
};
pub use crate::domain::chain::stage::{Stage, State};

/// Where one chain of an upgrade stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ChainProgress {
    pub stage: Stage,
    /// The version proven to run, once a block was seen.
    pub spec_version: Option<u32>,
    pub authorized: Option<Fact>,
    pub applied: Option<Fact>,
    pub health: Option<Health>,
    /// The fact that named the block at which the new code goes ahead, with the estimate as it was told last.
    #[serde(default)]
    pub ahead: Option<Fact>,
    #[serde(default)]
    pub migration: Option<Migration>,
    #[serde(default)]
    pub record: Option<Measurements>,
    /// `25 to 26`, where the upgrade changes it.
    #[serde(default)]
    pub transaction_version: Option<String>,
    /// That it was not applied for long was told.
    #[serde(default)]
    pub unapplied: bool,
    /// That it stalled or hung behind was told, and is to be taken back.
    #[serde(default)]
    pub ailing: bool,
}

/// Where the upgrade stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    pub state: State,
    pub chains: BTreeMap<String, ChainProgress>,
    /// When all chains were seen to have applied, by our own clock: feedback opens here.
    pub applied_at: Option<Timestamp>,
    /// Counted when the feedback window closed.
    pub feedback: Option<crate::domain::people::feedback::Summary>,
    /// The fact that named the block at which an approved referendum's call is dispatched.
    #[serde(default)]
    pub scheduled: Option<Fact>,
    /// The newest word on the referendum.
    #[serde(default)]
    pub referendum: Option<String>,
    /// Ranges of blocks whose events could not be read, the newest last: `paseo: 100 to 2000`.
    #[serde(default)]
    pub unexamined: Vec<String>,
    /// Nothing came of it, and nobody waits any more.
    #[serde(default)]
    pub closed: bool,
    /// Its window is open for long and nothing has begun: notices by the clock are held.
    #[serde(default)]
    pub delayed: bool,
    /// The votes on the window, by the number of the window, once they were counted.
    #[serde(default)]
    pub votes: Option<Vec<u32>>,
    /// How many of the roster have answered, and are ready, once they were asked.
    #[serde(default)]
    pub roll: Option<crate::domain::people::roster::ReadinessCount>,
    /// Items of the checklist that are done, by number.
    #[serde(default)]
    pub ticks: BTreeMap<String, Tick>,
    /// Lines that people have added to the status, the newest last.
    #[serde(default)]
    pub notes: Vec<Note>,
    /// What was announced before its time.
    #[serde(default)]
    pub announced: BTreeSet<String>,
    /// Feedback is closed by a command, then.
    #[serde(default)]
    pub feedback_closes: Option<Timestamp>,
    /// What is told once of an upgrade, and was.
    #[serde(default)]
    pub told: BTreeSet<Happening>,
}

/// How a block was seen: what is not in the block itself.
#[derive(Clone, Copy)]
pub struct Observed<'a> {
    /// Our own clock, for what people wait for.
    pub now: Timestamp,
    /// Best minus finalized, in blocks.
    pub finality_lag: u64,
    /// The block before it was read as well: if not, what lies between is not known to be a gap.
    pub contiguous: bool,
    /// It is long over: read while catching up.
    pub late: bool,
    pub rules: &'a Rules,
    pub limits: &'a Limits,
    /// When a block of a chain is expected.
    pub estimate: &'a (dyn Fn(&Expected) -> Option<Estimate> + Sync),
}

/// Something to announce, and the fact it stands on.
#[derive(Clone, Debug, PartialEq)]
pub struct CampaignEvent {
    pub happening: Happening,
    pub fact: Fact,
}

impl Progress {
    pub fn new(upgrade: &Upgrade) -> Self {
        let chains = upgrade
            .chains
            .keys()
            .map(|name| (name.clone(), ChainProgress::default()))
            .collect();
        Self {
            state: State::Scheduled,
            chains,
            applied_at: None,
            feedback: None,
            scheduled: None,
            referendum: None,
            unexamined: Vec::new(),
            closed: false,
            delayed: false,
            votes: None,
            roll: None,
            ticks: BTreeMap::new(),
            notes: Vec::new(),
            announced: BTreeSet::new(),
            feedback_closes: None,
            told: BTreeSet::new(),
        }
    }

    /// Nothing more is to come of this upgrade.
    pub fn finished(&self) -> bool {
        self.closed || (self.state == State::Completed && self.feedback.is_some())
    }

    /// Blocks of this chain are counted for something that is to come.
    pub fn counts_on(&self, chain: &str) -> bool {
        self.ahead()
            .any(|fact| fact.expected.as_ref().is_some_and(|e| e.chain == chain))
    }

    fn ahead(&self) -> impl Iterator<Item = &Fact> {
        self.scheduled
            .iter()
            .chain(self.chains.values().filter_map(|c| c.ahead.as_ref()))
    }

    /// What one fact means for the upgrade. The fact may be of a chain whose blocks are read elsewhere.
    pub fn learn(
        &mut self,
        upgrade: &Upgrade,
        fact: &Fact,
        seen: Observed<'_>,
    ) -> Option<CampaignEvent> {
        let mut fact = fact.clone();
        if let Some(expected) = fact.expected.as_mut() {
            expected.estimate = (seen.estimate)(expected);
        }
        let happening = match fact.kind {
            FactKind::Referendum => {
                let news = self.referendum.as_ref() != Some(&fact.detail);
                self.referendum = Some(fact.detail.clone());
                news.then_some(Happening::Referendum)
            }
            FactKind::Scheduled => {
                self.scheduled = Some(fact.clone());
                Some(Happening::Scheduled)
            }
            FactKind::Dispatched => {
                self.scheduled = None;
                Some(if fact.detail.ends_with(" ok") {
                    Happening::Dispatched
                } else {
                    Happening::DispatchFailed
                })
            }
            _ => self.learn_of_chain(upgrade, &fact),
        };
        happening.map(|happening| CampaignEvent { happening, fact })
    }

    fn learn_of_chain(&mut self, upgrade: &Upgrade, fact: &Fact) -> Option<Happening> {
        let target = upgrade.chains.get(&fact.chain)?;
        let at = self.chains.get_mut(&fact.chain)?;
        match fact.kind {
            FactKind::Authorized => {
                // Told with the first chain, and again where another code takes its place.
                let replaces = at
                    .authorized
                    .as_ref()
                    .is_some_and(|old| old.detail != fact.detail);
                let first = self.state < State::Authorized;
                at.stage = at.stage.max(Stage::Authorized);
                at.authorized = Some(fact.clone());
                at.unapplied = false;
                (first || replaces).then_some(Happening::Authorized)
            }
            FactKind::CodeUpdated | FactKind::CodeStored => {
                at.stage = at.stage.max(Stage::Applying);
                None
            }
            FactKind::GoAhead => {
                // Told with the first chain; the others follow by edits, but for a block that moves.
                let moves = at.ahead.is_some();
                at.stage = at.stage.max(Stage::Applying);
                at.ahead = Some(fact.clone());
                (self.told.insert(Happening::GoAhead) || moves).then_some(Happening::GoAhead)
            }
            FactKind::Applied if fact.spec_version < target.spec_version => {
                Some(Happening::VersionUnexpected)
            }
            FactKind::TransactionVersion => {
                at.transaction_version = Some(fact.detail.clone());
                self.told
                    .insert(Happening::TransactionVersion)
                    .then_some(Happening::TransactionVersion)
            }
            FactKind::MigrationStarted => {
                at.migration = Some(Migration {
                    total: fact.detail.parse().ok(),
                    moved: fact.block,
                    running: true,
                    ..Migration::default()
                });
                self.told
                    .insert(Happening::MigrationStarted)
                    .then_some(Happening::MigrationStarted)
            }
            FactKind::MigrationStep => {
                let migration = at.migration.get_or_insert_default();
                // The one that moved, counted from 1.
                migration.done = fact
                    .detail
                    .parse()
                    .map_or(migration.done, |index: u32| index.saturating_add(1));
                (migration.moved, migration.running, migration.stuck) = (fact.block, true, false);
                None
            }
            FactKind::MigrationCompleted => {
                if let Some(migration) = at.migration.as_mut() {
                    (migration.running, migration.stuck) = (false, false);
                    migration.done = migration.total.unwrap_or(migration.done);
                }
                None
            }
            FactKind::PvfCheck if fact.detail == "rejected" => Some(Happening::PvfRejected),
            FactKind::AuthorizationRejected => Some(Happening::AuthorizationRejected),
            FactKind::SudoFailed => Some(Happening::SudoFailed),
            FactKind::Discarded => {
                at.ahead = None;
                Some(Happening::Discarded)
            }
            FactKind::MigrationFailed => Some(Happening::MigrationFailed),
            FactKind::Reset => {
                // Nothing that was known of the chain before is so any more.
                *at = ChainProgress::default();
                let counted = |f: &Fact| f.expected.as_ref().is_some_and(|e| e.chain == fact.chain);
                self.chains
                    .values_mut()
                    .filter(|c| c.ahead.as_ref().is_some_and(counted))
                    .for_each(|c| c.ahead = None);
                self.scheduled.take_if(|f| counted(f));
                Some(Happening::Reset)
            }
            FactKind::Unexamined => {
                self.unexamined
                    .push(format!("{}: {}", fact.chain, fact.detail));
                let older = self.unexamined.len().saturating_sub(3);
                self.unexamined.drain(..older);
                Some(Happening::Unexamined)
            }
            FactKind::Stalled | FactKind::Lagging => {
                at.ailing = true;
                Some(if fact.kind == FactKind::Stalled {
                    Happening::Stalled
                } else {
                    Happening::Lagging
                })
            }
            FactKind::Recovered => std::mem::take(&mut at.ailing).then_some(Happening::Recovered),
            FactKind::Blind => Some(Happening::Blind),
            FactKind::Sighted => Some(Happening::Sighted),
            _ => None,
        }
    }

    /// Moves on by one finalized block of one chain; what it announces while catching up is marked late.
    pub fn advance(
        &mut self,
        upgrade: &Upgrade,
        chain: &str,
        block: &Block,
        memory: &Memory,
        facts: &mut Vec<Fact>,
        seen: Observed<'_>,
    ) -> Vec<CampaignEvent> {
        let known = facts.len();
        let mut events = self.step(upgrade, chain, block, memory, facts, seen);
        if seen.late {
            events.iter_mut().for_each(|e| e.fact.late = true);
            facts.iter_mut().skip(known).for_each(|f| f.late = true);
        }
        events
    }

    /// One block, with the memory after it; returns what is to be announced, in
    /// order, and adds the facts that only the target can tell (an unexpected version, a migration that is stuck).
    fn step(
        &mut self,
        upgrade: &Upgrade,
        chain: &str,
        block: &Block,
        memory: &Memory,
        facts: &mut Vec<Fact>,
        seen: Observed<'_>,
    ) -> Vec<CampaignEvent> {
        let mut events = Vec::new();
        for fact in facts.clone() {
            let Some(mut event) = self.learn(upgrade, &fact, seen) else {
                continue;
            };
            if event.happening == Happening::VersionUnexpected {
                let target = upgrade.chains.get(chain).map_or(0, |t| t.spec_version);
                let down = fact
                    .detail
                    .strip_prefix("from ")
                    .and_then(|v| v.parse().ok())
                    .is_some_and(|v: u32| v > fact.spec_version);
                let detail = if down {
                    format!("a downgrade {}", fact.detail)
                } else {
                    format!("the target is {target}")
                };
                event.fact = Fact {
                    kind: FactKind::VersionUnexpected,
                    detail,
                    ..fact
                };
                facts.push(event.fact.clone());
            }
            events.push(event);
        }
        events.extend(self.drifted(chain, seen));
        let (Some(target), Some(at)) = (upgrade.chains.get(chain), self.chains.get_mut(chain))
        else {
            return events;
        };
        let running = memory.running;
        let spoken = |kind, detail| block.fact(kind, chain, running, detail);
        if at.stage == Stage::Authorized
            && !at.unapplied
            && let Some(since) = at.authorized.as_ref().map(|f| f.block)
            && block.number.saturating_sub(since) > seen.limits.unapplied_after
        {
            at.unapplied = true;
            let fact = spoken(FactKind::Unapplied, (block.number - since).to_string());
            facts.push(fact.clone());
            events.push(CampaignEvent {
                happening: Happening::Unapplied,
                fact,
            });
        }
        if let Some(migration) = at.migration.as_mut() {
            migration.running = block.migrating;
            let still = block.number.saturating_sub(migration.moved);
            if migration.running && !migration.stuck && still > seen.limits.stuck_after {
                migration.stuck = true;
                let fact = spoken(FactKind::MigrationStuck, still.to_string());
                facts.push(fact.clone());
                events.push(CampaignEvent {
                    happening: Happening::MigrationStuck,
                    fact,
                });
            }
        } else if block.migrating {
            // Its beginning was missed.
            at.migration = Some(Migration {
                moved: block.number,
                running: true,
                ..Migration::default()
            });
        }
        let before = at.spec_version.unwrap_or(running);
        at.spec_version = Some(running);
        if running >= target.spec_version && at.stage < Stage::Applied {
            at.stage = Stage::Applied;
            at.ahead = None;
            let proof = facts
                .iter()
                .find(|f| f.kind == FactKind::Applied && f.chain == chain)
                .cloned();
            at.applied = Some(proof.unwrap_or_else(|| spoken(FactKind::Applied, String::new())));
            at.health = Some(Health::new(block.time.unwrap_or(seen.now)));
            let planned = target.code_hash.clone().or_else(|| {
                at.authorized
                    .as_ref()
                    .map(|f| f.detail.clone())
                    .filter(|d| !d.is_empty())
            });
            at.record = Some(Measurements {
                version_before: before,
                before: memory.pace.stretch(),
                gaps_before: memory.pace.gaps(),
                code_planned: planned,
                ..Measurements::default()
            });
        } else if running < target.spec_version && at.stage >= Stage::Applied {
            // Taken back, or another chain under the name: nothing is proven any more.
            (at.stage, at.applied, at.health, at.record) = (Stage::Waiting, None, None, None);
        } else if let Some(health) = at.health.as_mut() {
            health.observe(block, seen);
            if let Some(record) = at.record.as_mut().filter(|_| seen.contiguous) {
                record.note(&memory.pace, seen.finality_lag);
            }
            if !block.migrating
                && health.transactions - health.failed >= seen.rules.min_transactions
            {
                if at.stage == Stage::Applied && health.length() >= seen.rules.healthy_for {
                    at.stage = Stage::Verified;
                } else if at.stage == Stage::Verified
                    && health.length() >= seen.rules.healthy_for + seen.rules.complete_after
                {
                    at.stage = Stage::Completed;
                }
            }
        }
        let fact = facts
            .iter()
            .rev()
            .find(|f| f.kind == FactKind::Applied)
            .cloned();
        let fact =
            fact.unwrap_or_else(|| block.fact(FactKind::Applied, chain, running, String::new()));
        events.extend(self.settle(fact, seen.now));
        events
    }

    /// Known blocks of this chain whose expected time is another by now than was told.
    /// They are all counted on the same blocks, so one word is enough.
    fn drifted(&mut self, chain: &str, seen: Observed<'_>) -> Option<CampaignEvent> {
        let mut moved_first = None;
        for fact in self
            .scheduled
            .iter_mut()
            .chain(self.chains.values_mut().filter_map(|c| c.ahead.as_mut()))
        {
            let Some(expected) = fact.expected.as_mut().filter(|e| e.chain == chain) else {
                continue;
            };
            // When it is there, nothing is estimated any more.
            let Some(now) = (seen.estimate)(expected) else {
                continue;
            };
            let moved = expected
                .estimate
                .is_none_or(|told| now.at.duration_since(told.at).abs() > seen.limits.drift);
            if moved {
                expected.estimate = Some(now);
                moved_first.get_or_insert_with(|| CampaignEvent {
                    happening: Happening::EstimateMoved,
                    fact: fact.clone(),
                });
            }
        }
        moved_first
    }

    /// The upgrade's state from its chains'; each step passed on the way is announced.
    fn settle(&mut self, fact: Fact, now: Timestamp) -> Vec<CampaignEvent> {
        let slowest = self
            .chains
            .values()
            .map(|c| c.stage)
            .min()
            .unwrap_or(Stage::Waiting);
        let fastest = self
            .chains
            .values()
            .map(|c| c.stage)
            .max()
            .unwrap_or(Stage::Waiting);
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
        // Whatever begins takes a delay back.
        self.delayed &= self.state == State::Scheduled;
        if self.state >= State::Applied && self.applied_at.is_none() {
            self.applied_at = Some(now);
        }
        let first = fastest >= Stage::Applied
            && slowest < Stage::Applied
            && self.told.insert(Happening::FirstApplied);
        let said = [
            (State::Applied, Happening::Applied),
            (State::Verified, Happening::Verified),
            (State::Completed, Happening::Completed),
        ];
        let passed = said
            .into_iter()
            .filter(|(step, _)| *step > before && *step <= self.state)
            .map(|(_, happening)| happening);
        first
            .then_some(Happening::FirstApplied)
            .into_iter()
            .chain(passed)
            .map(|happening| CampaignEvent {
                happening,
                fact: fact.clone(),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::SignedDuration;

    use super::*;
    use crate::domain::{
        campaign::upgrade::{Target, Window},
        chain::block::{ChainEvent, Kin},
    };

    fn upgrade(chains: &[&str]) -> Upgrade {
        let chains = chains.iter().map(|c| (c.to_string(), target(2))).collect();
        Upgrade::new(
            "v2",
            "Two",
            Window {
                opens: at(0),
                closes: at(3600),
            },
            chains,
        )
    }

    fn target(spec_version: u32) -> Target {
        Target {
            spec_version,
            code_hash: None,
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
            Self {
                progress: Progress::new(&upgrade),
                upgrade,
                memories: BTreeMap::new(),
                second: 0,
                rules: rules(),
            }
        }

        fn block(
            &mut self,
            chain: &str,
            version: u32,
            events: &[(&str, &str)],
            lag: u64,
        ) -> Vec<&'static str> {
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
                    .map(|(pallet, name)| ChainEvent {
                        pallet: pallet.to_string(),
                        name: name.to_string(),
                        fields: serde_json::json!({}),
                    })
                    .collect(),
                ..Block::default()
            };
            let memory = self
                .memories
                .entry(chain.into())
                .or_insert_with(|| Memory::first("0x".into(), &block));
            let (mut facts, after) = block.read(chain, memory, &Kin::default());
            *memory = after;
            let seen = Observed {
                now: at(self.second),
                finality_lag: lag,
                contiguous: true,
                late: false,
                rules: &self.rules,
                limits: &Limits::default(),
                estimate: &|_| None,
            };
            let memory = memory.clone();
            let events =
                self.progress
                    .advance(&self.upgrade, chain, &block, &memory, &mut facts, seen);
            events.into_iter().map(|e| e.happening.name()).collect()
        }

        fn blocks(&mut self, chain: &str, version: u32, number: usize) -> Vec<&'static str> {
            (0..number)
                .flat_map(|_| self.block(chain, version, &[], 0))
                .collect()
        }
    }

    #[test]
    fn one_chain_goes_through_every_step_and_each_is_said_once() {
        let mut play = Play::new(&["relay"]);
        assert!(play.blocks("relay", 1, 2).is_empty());
        assert_eq!(
            play.block("relay", 1, &[("System", "UpgradeAuthorized")], 0),
            ["authorized"]
        );
        assert!(
            play.block("relay", 1, &[("System", "CodeUpdated")], 0)
                .is_empty(),
            "the event alone proves nothing"
        );
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
        assert_eq!(play.block("relay", 2, &[], 0), ["first_applied"]);
        assert_eq!(play.progress.state, State::Applying);
        assert!(
            play.blocks("relay", 2, 30).is_empty(),
            "the other chain is still to come"
        );
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
        assert_eq!(
            (health.restarts, health.trouble.as_deref()),
            (3, Some("10 of 10 transactions failed"))
        );
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
        play.upgrade.chains.insert("relay".into(), target(3));
        play.blocks("relay", 1, 1);
        assert_eq!(play.block("relay", 2, &[], 0), ["version_unexpected"]);
        assert!(play.blocks("relay", 2, 40).is_empty());
        assert_eq!(play.block("relay", 3, &[], 0), ["applied"]);
    }
}
