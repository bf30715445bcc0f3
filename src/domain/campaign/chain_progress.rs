//! One chain of an upgrade: its stage, its migrations, and how it fares once it runs the target.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    follow_up::{Awaited, FollowUp},
    health::{Health, Measurements, Migration, Observed},
    parachains::ParachainWatch,
    upgrade::Target,
};
use crate::domain::chain::{
    block::Block,
    block_times::Estimate,
    fact::Fact,
    fact_kind::FactKind,
    memory::Memory,
    payload::{Payload, UnexpectedVersion},
    pending::PendingChanges,
    stage::Stage,
};

/// How many times as long as it takes a chain may run the target before it is told that it is not verified.
const UNVERIFIED_AFTER: i32 = 3;

/// One finalized block of a chain, with the memory after it.
#[derive(Clone, Copy)]
pub struct BlockSeen<'a> {
    pub chain: &'a str,
    pub block: &'a Block,
    pub memory: &'a Memory,
    pub seen: Observed<'a>,
}

impl BlockSeen<'_> {
    pub(super) fn fact(&self, payload: Payload) -> Fact {
        Fact::of(self.block, payload, self.chain, self.memory.running)
    }
}

/// How far one chain of an upgrade has come.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ChainProgress {
    pub stage: Stage,
    /// The version proven to run, once a block was seen.
    pub spec_version: Option<u32>,
    pub authorized: Option<Fact>,
    /// Another code than the planned one, which was authorized last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unplanned_code: Option<String>,
    /// The block in which code was authorized, stored or set last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code_at: Option<u64>,
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
    /// People were told that it was not applied for long.
    #[serde(default)]
    pub unapplied: bool,
    /// Operators were told that it is not verified for long.
    #[serde(default)]
    pub unverified: bool,
    /// People were told that it stalled or hung behind, which is to be taken back.
    #[serde(default)]
    pub ailing: bool,
    /// It stalled or hung behind after the upgrade was called verified, which no longer holds.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub withdrawn: bool,
    /// What has to be over before it may be verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub awaited: Option<Awaited>,
    /// The parachains of a relay since it was upgraded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parachains: Option<ParachainWatch>,
    /// The session of the block that was read last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<u32>,
}

impl ChainProgress {
    /// Takes a fact of this chain, and says whether it is news, as far as the chain alone can tell.
    pub(super) fn learn(&mut self, fact: &Fact) -> bool {
        match &fact.payload {
            Payload::Authorized { .. } => return self.authorize(fact),
            Payload::CodeUpdated { .. } | Payload::CodeStored => {
                self.reach(Stage::Applying);
                (self.code_at, self.unapplied) = (Some(fact.block), false);
            }
            Payload::GoAhead => {
                self.reach(Stage::Applying);
                return self.ahead.replace(fact.clone()).is_some();
            }
            Payload::TransactionVersion { .. } => self.transaction_version = Some(fact.detail()),
            Payload::MigrationStarted { migrations } => {
                self.migration = Some(Migration::begun(*migrations, fact.block));
            }
            Payload::MigrationStep { index } => {
                let migration = self.migration.get_or_insert_default();
                migration.step(*index, fact.block);
            }
            Payload::MigrationCompleted => {
                if let Some(migration) = self.migration.as_mut() {
                    migration.complete();
                }
            }
            Payload::Discarded => self.ahead = None,
            Payload::VersionUnexpected(UnexpectedVersion::Authorized { code, .. }) => {
                // A chain holds one authorization: what was authorized before is not any more.
                self.authorized = None;
                self.unplanned_code = Some(code.clone());
                if self.stage == Stage::Authorized {
                    self.stage = Stage::Waiting;
                }
            }
            // Nothing that was known of the chain before is so any more.
            Payload::Reset(_) => *self = Self::default(),
            Payload::Stalled { .. } | Payload::Lagging { .. } => {
                self.ailing = true;
                self.withdraw(fact);
            }
            Payload::Recovered => {
                self.unverified &= !self.withdrawn;
                return std::mem::take(&mut self.ailing);
            }
            Payload::PvfCheck(_)
            | Payload::AuthorizationRejected { .. }
            | Payload::SudoFailed { .. }
            | Payload::CodeRefused { .. }
            | Payload::MigrationFailed { .. }
            | Payload::VersionUnexpected(_)
            | Payload::Unexamined { .. }
            | Payload::Blind
            | Payload::Sighted => {}
            // The state that follows from it tells that the target runs, and the campaign itself is the source of what
            // waits for too long. The others are of no chain.
            Payload::Applied { .. }
            | Payload::Unapplied { .. }
            | Payload::Overdue
            | Payload::MigrationStuck { .. }
            | Payload::Unverified { .. }
            | Payload::ChangesPending { .. }
            | Payload::ParachainsStopped { .. }
            | Payload::ParachainsRecovered { .. }
            | Payload::Referendum(_)
            | Payload::Scheduled { .. }
            | Payload::Dispatched { .. }
            | Payload::Text { .. } => return false,
        }
        true
    }

    /// Takes back that the chain is verified: it has to run well for as long as before.
    fn withdraw(&mut self, fact: &Fact) {
        let since = fact.time.or(self.health.as_ref().map(|health| health.last));
        if self.stage < Stage::Verified {
            return;
        }
        self.stage = Stage::Applied;
        self.health = since.map(Health::new);
        // Operators know as long as it lasts.
        self.unverified = true;
    }

    fn reach(&mut self, stage: Stage) {
        self.stage = self.stage.max(stage);
    }

    /// Takes an authorization; says whether it replaces that of another code.
    fn authorize(&mut self, fact: &Fact) -> bool {
        let replaces = self
            .authorized
            .as_ref()
            .is_some_and(|old| old.payload != fact.payload);
        self.reach(Stage::Authorized);
        self.authorized = Some(fact.clone());
        self.unplanned_code = None;
        (self.code_at, self.unapplied) = (Some(fact.block), false);
        replaces
    }

    /// The code was authorized, stored or set many blocks ago, and the chain does not run it: told once.
    pub(super) fn waits(&mut self, at: &BlockSeen<'_>) -> Option<Payload> {
        // Stores of earlier versions know the authorization alone.
        let authorized = self
            .authorized
            .as_ref()
            .filter(|_| self.stage == Stage::Authorized);
        let since = self.code_at.or(authorized.map(|fact| fact.block))?;
        let blocks = at.block.number.saturating_sub(since);
        // Stored code waits for the relay, which may take as long again.
        let times = if at.memory.pending_code { 2 } else { 1 };
        let time = at.memory.pace.stretch().in_six_seconds(blocks);
        let long = time > at.seen.limits.unapplied_after * times;
        let waits = matches!(self.stage, Stage::Authorized | Stage::Applying);
        // Code that goes ahead at a known block is not late before that.
        let ahead = self
            .ahead
            .as_ref()
            .and_then(|f| f.expected.as_ref()?.estimate);
        let now = at.block.time.unwrap_or(at.seen.now);
        let is_early = |estimate: Estimate| {
            let slack = estimate.band + at.seen.limits.drift;
            now.duration_since(estimate.at) <= slack
        };
        if !waits || self.unapplied || !long || ahead.is_some_and(is_early) {
            return None;
        }
        self.unapplied = true;
        Some(Payload::Unapplied { blocks })
    }

    /// A migration runs and has made no step for many blocks: told once.
    pub(super) fn is_stuck(&mut self, at: &BlockSeen<'_>) -> Option<Payload> {
        let Some(migration) = self.migration.as_mut() else {
            // Its beginning was missed.
            self.migration = at
                .block
                .migrating
                .then(|| Migration::begun(None, at.block.number));
            return None;
        };
        migration.running = at.block.migrating;
        let blocks = at.block.number.saturating_sub(migration.moved);
        let time = at.memory.pace.stretch().in_six_seconds(blocks);
        if !migration.running || migration.stuck || time <= at.seen.limits.stuck_after {
            return None;
        }
        migration.stuck = true;
        Some(Payload::MigrationStuck { blocks })
    }

    /// The chain has run the target for far longer than it takes to verify it, and something keeps it: told once.
    pub(super) fn lingers(&mut self, at: &BlockSeen<'_>) -> Option<Payload> {
        match self.stage {
            _ if self.unverified => return None,
            Stage::Applied => {}
            Stage::Verified => return self.falters(at),
            _ => return None,
        }
        let time = |time: Option<Timestamp>| time.unwrap_or(at.seen.now);
        let since = match &self.health {
            Some(health) if self.withdrawn => health.since,
            _ => time(self.applied.as_ref()?.time),
        };
        let is_long = |since: Timestamp| {
            let runs = time(at.block.time).duration_since(since);
            runs > at.seen.rules.healthy_for * UNVERIFIED_AFTER
        };
        let awaited = self.first_awaited(at);
        let late = awaited
            .zip(self.follow_up())
            .filter(|(awaited, follow_up)| is_long(follow_up.due(*awaited, since)));
        let begun = self.health.as_ref().and_then(|h| h.awaited_until);
        let may_be_verified = awaited.is_none() && is_long(begun.unwrap_or(since).max(since));
        let trouble = || self.health.as_ref()?.trouble.clone();
        let reason = late
            .map(|(awaited, follow_up)| follow_up.reason(awaited))
            .or_else(|| is_long(since).then(|| self.obstacle(at))?)
            .or_else(|| may_be_verified.then(trouble)?)?;
        self.unverified = true;
        Some(Payload::Unverified { reason })
    }

    /// The chain is verified, and has not run well for as long since: told once.
    fn falters(&mut self, at: &BlockSeen<'_>) -> Option<Payload> {
        let health = self.health.as_ref()?;
        if health.length() >= at.seen.rules.healthy_for {
            return None;
        }
        let reason = self.obstacle(at).or_else(|| health.trouble.clone())?;
        self.unverified = true;
        Some(Payload::Unverified { reason })
    }

    /// Takes the changes that were to come when the upgrade was applied, by what has passed since. Returns them in words if
    /// people are told of them: a call of the scheduler alone may be anybody's.
    pub fn learn_pending(&mut self, block: u64, pending: &PendingChanges) -> Option<String> {
        let follow_up = &mut self.record.as_mut()?.follow_up;
        let told = follow_up.learn(block, self.session, pending);
        if told.is_none() {
            let awaited = &mut self.awaited;
            if awaited.take_if(|a| *a == Awaited::PendingConfig).is_some() {
                self.health
                    .as_mut()
                    .into_iter()
                    .for_each(Health::begin_anew);
            }
        }
        told
    }

    /// What follows the upgrade, once it is applied.
    fn follow_up(&self) -> Option<&FollowUp> {
        Some(&self.record.as_ref()?.follow_up)
    }

    /// The changes that are still to come.
    pub fn pending(&self) -> Option<&PendingChanges> {
        self.follow_up()?.pending.as_ref()
    }

    /// The time at which what is awaited is to be over, where the chain's clock tells.
    pub fn expected(&self, awaited: Awaited) -> Option<Timestamp> {
        self.follow_up()?.expected(awaited)
    }

    /// The first thing that is awaited before the chain may be verified.
    fn first_awaited(&self, at: &BlockSeen<'_>) -> Option<Awaited> {
        let is_verified = self.stage > Stage::Applied;
        let after = &at.seen.rules.after;
        self.follow_up()?
            .first_awaited(after, at.block, is_verified)
    }

    /// What has to be over before the chain may be verified, with the number of the session or the era where it is known.
    pub fn awaited(&self) -> Option<(Awaited, Option<u32>)> {
        let awaited = self.awaited.filter(|_| self.stage == Stage::Applied)?;
        Some((awaited, self.follow_up()?.number_of(awaited)))
    }

    /// Takes the parachains of which a block includes one. Tells when the last of those that had stopped is back.
    pub(super) fn include(&mut self, at: &BlockSeen<'_>) -> Option<Payload> {
        let watch = self.parachains.as_mut()?;
        let all_are_back = watch.note(at.block.number, &at.block.included());
        all_are_back.then(|| Payload::ParachainsRecovered {
            parachains: watch.stopped_in_words(),
        })
    }

    /// What keeps a chain from being verified, however long it runs.
    fn obstacle(&self, at: &BlockSeen<'_>) -> Option<String> {
        let health = self.health.as_ref()?;
        let (succeeded, least) = (
            health.transactions - health.failed,
            at.seen.rules.min_transactions,
        );
        if self.ailing {
            Some("it stalled, or its finality hung behind, and that is not over".to_owned())
        } else if self.record.as_ref().and_then(Measurements::code_fits) == Some(false) {
            Some("other code runs than was planned".to_owned())
        } else if self.unplanned_code.is_some()
            && self
                .record
                .as_ref()
                .is_none_or(|record| record.code.is_none())
        {
            Some("other code was authorized than was planned".to_owned())
        } else if succeeded < least {
            Some(format!(
                "{succeeded} of {least} transactions have succeeded"
            ))
        } else {
            let rules = at.seen.rules;
            self.doubt(at).or_else(|| health.unmet_sli(rules))
        }
    }

    /// Says that it is doubtful whether transactions come as they did before the upgrade.
    fn doubt(&self, at: &BlockSeen<'_>) -> Option<String> {
        let before = self.record.as_ref()?.baseline.as_ref()?;
        self.health.as_ref()?.doubt(at.seen.rules, before)
    }

    /// Takes note of the version that a block proves, and of how well the chain runs it.
    pub(super) fn run(&mut self, target: &Target, at: &BlockSeen<'_>, facts: &[Fact]) {
        let running = at.memory.running;
        self.session = at.block.session.or(self.session);
        let before = self.spec_version.replace(running).unwrap_or(running);
        if before != running {
            // The code that was set runs, whatever its version.
            self.code_at = None;
        }
        let reached = running >= target.spec_version;
        if reached && self.stage < Stage::Applied {
            self.apply(target, before, at, facts);
        } else if !reached && self.stage >= Stage::Applied {
            // Taken back, or another chain under the name: nothing is proven any more.
            (self.stage, self.applied, self.health, self.record) =
                (Stage::Waiting, None, None, None);
            (self.parachains, self.awaited) = (None, None);
        } else {
            self.verify(at);
        }
    }

    /// The chain runs the target, where it ran the version `before`.
    fn apply(&mut self, target: &Target, before: u32, at: &BlockSeen<'_>, facts: &[Fact]) {
        let proof = facts
            .iter()
            .find(|f| f.kind() == FactKind::Applied && f.chain == at.chain)
            .cloned();
        let authorized = match self.authorized.as_ref().map(|fact| &fact.payload) {
            Some(Payload::Authorized { code_hash }) => code_hash.clone(),
            _ => None,
        };
        (self.stage, self.unverified) = (Stage::Applied, false);
        self.ahead = None;
        self.applied = Some(proof.unwrap_or_else(|| at.fact(Payload::Applied { from: None })));
        self.health = Some(Health::new(at.block.time.unwrap_or(at.seen.now)));
        self.parachains = Some(ParachainWatch::begin(at.memory));
        self.record = Some(Measurements {
            version_before: before,
            before: at.memory.stretch(),
            baseline: at.memory.hours.baseline(),
            gaps_before: at.memory.pace.gaps(),
            code_planned: target.code_hash.clone().or(authorized),
            follow_up: FollowUp::begin(at.block),
            ..Measurements::default()
        });
        self.awaited = self.first_awaited(at);
    }

    /// One more block under the target: long enough in good health, the chain is verified, and then completed.
    fn verify(&mut self, at: &BlockSeen<'_>) {
        if self.health.is_none() {
            return;
        }
        if let Some(record) = self.record.as_mut().filter(|_| at.seen.contiguous) {
            record.note(&at.memory.pace, at.seen.finality_lag);
        }
        let pending = self
            .record
            .as_mut()
            .and_then(|record| record.follow_up.pending.as_mut());
        if let Some(pending) = pending {
            pending.pass(at.block.number, at.block.session);
        }
        let has_waited = self.awaited.is_some();
        self.awaited = self.first_awaited(at);
        let is_over = has_waited && self.awaited.is_none();
        let Some(health) = self.health.as_mut() else {
            return;
        };
        if is_over {
            // What was awaited may have changed how the chain runs.
            health.begin_anew();
        }
        health.observe(at.block, at.seen, self.record.as_ref());
        let rules = at.seen.rules;
        let waits = self.awaited.is_some() || self.doubt(at).is_some();
        let Some(health) = self.health.as_mut() else {
            return;
        };
        if waits {
            health.awaited_until = Some(health.last);
        }
        let length = health.length();
        if self.awaited.is_some() || self.obstacle(at).is_some() {
            return;
        }
        if self.stage == Stage::Applied && length >= rules.healthy_for {
            (self.stage, self.withdrawn, self.unverified) = (Stage::Verified, false, false);
        } else if self.stage == Stage::Verified
            && length >= rules.healthy_for + rules.complete_after
        {
            self.stage = Stage::Completed;
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::domain::{
        campaign::health::VerificationRules,
        chain::{
            block::ChainEvent,
            fact::Expected,
            observation::Limits,
            payload::{PvfCheck, ResetCause},
            pending::PendingConfiguration,
        },
    };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn block(number: u64, second: i64) -> Block {
        Block {
            number,
            time: Some(at(second)),
            ..Block::default()
        }
    }

    /// Lets a chain that runs `version` see a block.
    fn with<T>(block: &Block, version: u32, then: impl FnOnce(&BlockSeen<'_>) -> T) -> T {
        let rules = VerificationRules {
            complete_after: SignedDuration::from_secs(30),
            max_finality_lag: 5,
            max_failed_share: 1.0,
            min_transactions: 2,
            after: vec![Awaited::Migrations],
            ..VerificationRules::default()
        };
        let seen = Observed {
            now: at(0),
            finality_lag: 3,
            contiguous: true,
            late: false,
            rules: &rules,
            limits: &Limits::default(),
            estimate: &|_| None,
        };
        let memory = Memory {
            running: version,
            ..Memory::first("0x00".into(), block)
        };
        then(&BlockSeen {
            chain: "relay",
            block,
            memory: &memory,
            seen,
        })
    }

    fn fact(number: u64, payload: Payload) -> Fact {
        Fact::of(&block(number, 0), payload, "relay", 1)
    }

    fn authorized(code: &str) -> Payload {
        Payload::Authorized {
            code_hash: Some(code.to_owned()),
        }
    }

    #[test]
    fn a_chain_learns_from_each_fact_and_knows_what_is_news() {
        let mut chain = ChainProgress::default();
        let started = Payload::MigrationStarted {
            migrations: Some(3),
        };
        let failed = Payload::MigrationFailed { index: None };
        let other = UnexpectedVersion::Authorized {
            code: "0xcd".into(),
            planned: "0xab".into(),
        };
        let other = || Payload::VersionUnexpected(other.clone());
        let version = Payload::TransactionVersion { from: 1, to: 2 };
        let below = Payload::VersionUnexpected(UnexpectedVersion::BelowTarget(3));
        let reset = Payload::Reset(ResetCause::OtherGenesis("0x00".into()));
        // The payload, whether it is news, and the stage after it.
        let steps = [
            (authorized("0xab"), false, Stage::Authorized),
            (authorized("0xab"), false, Stage::Authorized),
            (authorized("0xcd"), true, Stage::Authorized),
            (other(), true, Stage::Waiting),
            (authorized("0xab"), false, Stage::Authorized),
            (Payload::CodeStored, true, Stage::Applying),
            (other(), true, Stage::Applying),
            (authorized("0xab"), false, Stage::Applying),
            (Payload::GoAhead, false, Stage::Applying),
            (Payload::GoAhead, true, Stage::Applying),
            (Payload::Discarded, true, Stage::Applying),
            (Payload::GoAhead, false, Stage::Applying),
            (started.clone(), true, Stage::Applying),
            (failed, true, Stage::Applying),
            (version, true, Stage::Applying),
            (Payload::Recovered, false, Stage::Applying),
            (Payload::Stalled { seconds: 200 }, true, Stage::Applying),
            (Payload::Recovered, true, Stage::Applying),
            (Payload::Lagging { blocks: 40 }, true, Stage::Applying),
            (Payload::Recovered, true, Stage::Applying),
            (Payload::PvfCheck(PvfCheck::Started), true, Stage::Applying),
            (below, true, Stage::Applying),
            (Payload::Applied { from: None }, false, Stage::Applying),
            (Payload::Unapplied { blocks: 601 }, false, Stage::Applying),
            (Payload::Scheduled { referendum: 7 }, false, Stage::Applying),
        ];
        for (n, (payload, is_news, stage)) in steps.into_iter().enumerate() {
            let learned = chain.learn(&fact(9, payload));
            assert_eq!((learned, chain.stage), (is_news, stage), "step {n}");
        }
        assert_eq!(chain.transaction_version.as_deref(), Some("1 to 2"));
        assert!(chain.authorized.is_some() && chain.ahead.is_some());
        assert!(chain.learn(&fact(10, Payload::MigrationStep { index: Some(1) })));
        let done = |chain: &ChainProgress| chain.migration.as_ref().map(|m| (m.done, m.running));
        assert_eq!(done(&chain), Some((2, true)));
        assert!(chain.learn(&fact(11, Payload::MigrationCompleted)));
        assert_eq!(done(&chain), Some((3, false)));
        assert!(chain.learn(&fact(12, reset)));
        assert_eq!(chain, ChainProgress::default());
        let updated = Payload::CodeUpdated { relay_block: None };
        assert!(chain.learn(&fact(13, updated)));
        assert_eq!(chain.stage, Stage::Applying);
    }

    #[test]
    fn code_that_waits_too_long_is_told_once_for_each_authorization() {
        let mut chain = ChainProgress::default();
        let waits = |chain: &mut ChainProgress, number| {
            with(&block(number, 0), 1, |seen| chain.waits(seen))
        };
        assert_eq!(waits(&mut chain, 9999), None, "nothing is authorized");
        chain.learn(&fact(100, authorized("0xab")));
        assert_eq!(waits(&mut chain, 700), None);
        let long = Some(Payload::Unapplied { blocks: 601 });
        assert_eq!(waits(&mut chain, 701), long);
        assert_eq!(waits(&mut chain, 702), None, "said once");
        chain.learn(&fact(200, authorized("0xab")));
        assert_eq!(waits(&mut chain, 801), long);
        // So is code that was stored or set and that the chain does not run.
        chain.learn(&fact(900, Payload::CodeStored));
        assert_eq!(waits(&mut chain, 1501), long);
        chain.learn(&fact(2000, Payload::CodeUpdated { relay_block: None }));
        let estimate = Estimate {
            at: at(0),
            band: SignedDuration::ZERO,
        };
        let expected = Expected {
            chain: "relay".to_owned(),
            block: 77,
            estimate: Some(estimate),
        };
        chain.ahead = Some(Fact {
            expected: Some(expected),
            ..fact(2000, Payload::GoAhead)
        });
        let mut waits_at = |second| with(&block(2601, second), 1, |seen| chain.waits(seen));
        assert_eq!(
            waits_at(600),
            None,
            "it goes ahead at a known block, or a little later"
        );
        assert_eq!(waits_at(601), long);
        // Code below the target that runs waits for nothing.
        chain.learn(&fact(3000, Payload::CodeUpdated { relay_block: None }));
        (chain.ahead, chain.spec_version) = (None, Some(0));
        with(&block(3001, 0), 1, |seen| chain.run(&target(), seen, &[]));
        assert_eq!(waits(&mut chain, 9999), None);
        chain.learn(&fact(9000, authorized("0xab")));
        assert_eq!(waits(&mut chain, 9601), long);
        chain.stage = Stage::Applied;
        chain.learn(&fact(9700, authorized("0xab")));
        assert_eq!(waits(&mut chain, 19_999), None);
    }

    #[test]
    fn a_migration_without_steps_is_told_once_until_it_moves() {
        let mut chain = ChainProgress::default();
        let stuck = |chain: &mut ChainProgress, number, migrating| {
            let block = Block {
                migrating,
                ..block(number, 0)
            };
            with(&block, 1, |seen| chain.is_stuck(seen))
        };
        assert_eq!(stuck(&mut chain, 1, false), None);
        assert_eq!(chain.migration, None);
        assert_eq!(
            stuck(&mut chain, 100, true),
            None,
            "its beginning was missed"
        );
        assert_eq!(chain.migration, Some(Migration::begun(None, 100)));
        let long = Some(Payload::MigrationStuck { blocks: 101 });
        assert_eq!(stuck(&mut chain, 200, true), None);
        assert_eq!(stuck(&mut chain, 201, true), long);
        assert_eq!(stuck(&mut chain, 202, true), None, "said once");
        chain.learn(&fact(300, Payload::MigrationStep { index: None }));
        assert_eq!(stuck(&mut chain, 401, true), long);
        chain.learn(&fact(500, Payload::MigrationStep { index: None }));
        assert_eq!(stuck(&mut chain, 9999, false), None, "it is over");
    }

    fn transactions(block: Block, succeeded: usize, failed: usize) -> Block {
        let event = |name: &str| ChainEvent {
            pallet: "System".into(),
            name: name.into(),
            fields: serde_json::Value::Null,
        };
        let mut events = vec![event("ExtrinsicSuccess"); succeeded];
        events.extend(vec![event("ExtrinsicFailed"); failed]);
        Block { events, ..block }
    }

    fn target() -> Target {
        Target {
            spec_version: 2,
            code_hash: None,
        }
    }

    /// Runs the target from second 0 on.
    fn applied() -> ChainProgress {
        let mut chain = ChainProgress::default();
        let run = |chain: &mut ChainProgress, second, version| {
            let block = block(1, second);
            with(&block, version, |seen| chain.run(&target(), seen, &[]));
        };
        run(&mut chain, -6, 1);
        run(&mut chain, 0, 2);
        chain
    }

    #[test]
    fn a_chain_is_verified_and_completed_after_the_time_for_each() {
        let mut chain = applied();
        let mut stages = Vec::new();
        for second in (6..=96).step_by(6) {
            let block = transactions(block(1, second), 1, 0);
            with(&block, 2, |seen| chain.run(&target(), seen, &[]));
            stages.push((second, chain.stage));
        }
        let since = |stage| stages.iter().find(|(_, s)| *s == stage).map(|(at, _)| *at);
        assert_eq!(since(Stage::Verified), Some(60));
        assert_eq!(since(Stage::Completed), Some(90));
        let record = chain.record.unwrap();
        assert_eq!((record.version_before, record.worst_lag), (1, 3));
    }

    #[test]
    fn a_target_that_runs_is_known_by_its_proof_and_by_what_was_planned() {
        let proof = fact(1, Payload::Applied { from: Some(1) });
        let elsewhere = Fact {
            chain: "people".into(),
            ..proof.clone()
        };
        let codes = [
            (None, None, None),
            (None, Some("0xab"), Some("0xab")),
            (Some("0xcd"), Some("0xab"), Some("0xcd")),
        ];
        for (named, seen_authorized, planned) in codes {
            let mut chain = ChainProgress::default();
            if let Some(code) = seen_authorized {
                chain.learn(&fact(1, authorized(code)));
            }
            chain.learn(&fact(1, Payload::GoAhead));
            chain.unverified = true;
            let target = Target {
                code_hash: named.map(str::to_owned),
                ..target()
            };
            let facts = [elsewhere.clone(), fact(1, Payload::GoAhead), proof.clone()];
            with(&block(1, 0), 2, |seen| chain.run(&target, seen, &facts));
            assert_eq!(chain.applied, Some(proof.clone()));
            assert_eq!((&chain.ahead, chain.unverified), (&None, false));
            let record = chain.record.unwrap();
            assert_eq!(record.code_planned.as_deref(), planned);
        }
        let unproven = applied().applied.unwrap();
        assert_eq!(unproven.payload, Payload::Applied { from: None });
    }

    #[test]
    fn a_chain_that_is_long_not_verified_says_what_keeps_it() {
        type Case = (Option<&'static str>, fn(&mut ChainProgress, &mut Block));
        let cases: [Case; 8] = [
            (Some("a migration is under way"), |_, block| {
                block.migrating = true;
            }),
            (Some("other code runs than was planned"), |chain, _| {
                let record = chain.record.as_mut().unwrap();
                (record.code, record.code_planned) = (Some("0xab".into()), Some("0xcd".into()));
            }),
            (
                Some("other code was authorized than was planned"),
                |chain, _| {
                    let (code, planned) = ("0xab".into(), "0xcd".into());
                    let version = UnexpectedVersion::Authorized { code, planned };
                    chain.learn(&fact(1, Payload::VersionUnexpected(version)));
                },
            ),
            (Some("1 of 2 transactions have succeeded"), |chain, _| {
                let health = chain.health.as_mut().unwrap();
                (health.transactions, health.failed) = (4, 3);
            }),
            (Some("no block for 60 s"), |chain, _| {
                let health = chain.health.as_mut().unwrap();
                health.trouble = Some("no block for 60 s".into());
            }),
            (None, |_, _| {}),
            (None, |chain, block| {
                block.migrating = true;
                chain.unverified = true;
            }),
            (None, |chain, block| {
                block.migrating = true;
                chain.stage = Stage::Verified;
            }),
        ];
        for (n, (reason, change)) in cases.into_iter().enumerate() {
            let mut chain = applied();
            let health = chain.health.as_mut().unwrap();
            health.transactions = 2;
            let mut at_limit = block(1, 180);
            change(&mut chain, &mut at_limit);
            let mut later = at_limit.clone();
            later.time = Some(at(181));
            let mut lingers = |block: &Block| with(block, 2, |seen| chain.lingers(seen));
            let told = reason.map(|reason| Payload::Unverified {
                reason: reason.into(),
            });
            assert_eq!(lingers(&at_limit), None, "case {n}");
            assert_eq!(lingers(&later), told, "case {n}");
            assert_eq!(lingers(&later), None, "case {n}: said once");
        }
    }
    #[test]
    fn an_all_clear_is_taken_back_by_a_stall_and_has_to_be_earned_anew() {
        let stalled = || fact(9, Payload::Stalled { seconds: 200 });
        for stage in [Stage::Applied, Stage::Verified, Stage::Completed] {
            let mut chain = applied();
            chain.stage = stage;
            chain.learn(&stalled());
            // It is timed from the stall, operators know of it, and the end of the stall is not yet the all-clear.
            let is_withdrawn = stage > Stage::Applied;
            assert_eq!(
                (chain.stage, chain.unverified),
                (Stage::Applied, is_withdrawn)
            );
            let since = chain.health.as_ref().map(|health| health.since);
            assert_eq!(since, Some(at(0)));
            chain.withdrawn = is_withdrawn;
            chain.learn(&fact(10, Payload::Recovered));
            assert!(!chain.unverified, "{stage:?}");
        }
        let mut chain = applied();
        chain.unverified = true;
        chain.learn(&stalled());
        chain.learn(&fact(10, Payload::Recovered));
        assert!(
            chain.unverified,
            "it was never verified: operators know why"
        );
    }

    #[test]
    fn a_withdrawn_all_clear_lingers_from_the_withdrawal_on() {
        let mut chain = applied();
        (chain.ailing, chain.withdrawn) = (true, true);
        chain.health = Some(Health::new(at(600)));
        let mut lingers = |second| with(&block(1, second), 2, |seen| chain.lingers(seen));
        assert_eq!(lingers(780), None);
        let reason = "it stalled, or its finality hung behind, and that is not over".to_owned();
        assert_eq!(lingers(781), Some(Payload::Unverified { reason }));
    }

    #[test]
    fn stored_code_may_wait_twice_as_long() {
        let mut chain = ChainProgress::default();
        chain.learn(&fact(0, Payload::CodeStored));
        let waits = |chain: &mut ChainProgress, number| {
            with(&block(number, 0), 1, |seen| {
                let memory = Memory {
                    pending_code: true,
                    ..seen.memory.clone()
                };
                chain.waits(&BlockSeen {
                    memory: &memory,
                    ..*seen
                })
            })
        };
        assert_eq!(waits(&mut chain, 1200), None);
        let long = Some(Payload::Unapplied { blocks: 1201 });
        assert_eq!(waits(&mut chain, 1201), long);
    }

    #[test]
    fn what_follows_is_kept_from_the_block_of_the_upgrade_on() {
        let mut chain = ChainProgress::default();
        let applied = Block {
            session: Some(7),
            era: Some(3),
            migrating: true,
            ..block(1, 0)
        };
        with(&applied, 2, |seen| chain.run(&target(), seen, &[]));
        assert_eq!(chain.awaited(), Some((Awaited::Migrations, None)));
        let configuration = PendingConfiguration {
            session: 9,
            changes: Vec::new(),
        };
        let pending = PendingChanges {
            configurations: vec![configuration],
            next_era: Some(at(60)),
            ..PendingChanges::default()
        };
        assert_eq!(
            chain.learn_pending(1, &pending).as_deref(),
            Some("session 9: ")
        );
        assert_eq!(chain.pending(), Some(&pending));
        assert_eq!(chain.expected(Awaited::Era), Some(at(60)));
        chain.awaited = Some(Awaited::PendingConfig);
        assert_eq!(chain.awaited(), Some((Awaited::PendingConfig, Some(9))));
        chain.learn_pending(1, &pending);
        assert_eq!(chain.awaited, Some(Awaited::PendingConfig));
        // The session begins: nothing of it is told, and it is awaited no more.
        chain.session = Some(9);
        assert_eq!(chain.learn_pending(2, &pending), None);
        assert_eq!(chain.awaited, None);
        chain.awaited = Some(Awaited::Session);
        chain.learn_pending(2, &pending);
        assert_eq!(chain.awaited(), Some((Awaited::Session, Some(8))));
        // A session is awaited until the chain is verified, and not anew.
        let same_session = Block {
            session: Some(7),
            ..block(2, 6)
        };
        let mut first = |stage| {
            chain.stage = stage;
            with(&same_session, 2, |seen| {
                let rules = VerificationRules {
                    after: vec![Awaited::Session],
                    ..seen.seen.rules.clone()
                };
                let seen = BlockSeen {
                    seen: Observed {
                        rules: &rules,
                        ..seen.seen
                    },
                    ..*seen
                };
                chain.first_awaited(&seen)
            })
        };
        let stages = [Stage::Applied, Stage::Verified, Stage::Completed];
        let awaited = stages.map(&mut first);
        assert_eq!(awaited, [Some(Awaited::Session), None, None]);
        assert_eq!(chain.awaited(), None);
    }

    #[test]
    fn the_last_parachain_that_is_back_is_told() {
        let mut chain = applied();
        let included = |chain: &mut ChainProgress, number, id: u32| {
            let mut block = block(number, 0);
            block.events = vec![ChainEvent {
                pallet: "ParaInclusion".into(),
                name: "CandidateIncluded".into(),
                fields: serde_json::json!({ "para_id": id }),
            }];
            with(&block, 2, |seen| chain.include(seen))
        };
        assert_eq!(included(&mut chain, 2, 2004), None);
        let watch = chain.parachains.as_mut().unwrap();
        assert!(watch.judge(50, &[(2004, 2)], None));
        assert_eq!(included(&mut chain, 51, 2092), None);
        let parachains = "1 of 0: 2004".to_owned();
        let back = Some(Payload::ParachainsRecovered { parachains });
        assert_eq!(included(&mut chain, 52, 2004), back);
    }
}
