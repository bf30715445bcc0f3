//! One chain of an upgrade: its stage, its migrations, and how it fares once it runs the target.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    health::{Health, Measurements, Migration, Observed},
    upgrade::Target,
};
use crate::domain::chain::{
    block::Block,
    fact::Fact,
    fact_kind::FactKind,
    memory::Memory,
    payload::{Payload, UnexpectedVersion},
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
}

impl ChainProgress {
    /// Takes a fact of this chain, and says whether it is news, as far as the chain alone can tell.
    pub(super) fn learn(&mut self, fact: &Fact) -> bool {
        match &fact.payload {
            Payload::Authorized { .. } => return self.authorize(fact),
            Payload::CodeUpdated { .. } | Payload::CodeStored => self.reach(Stage::Applying),
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
            Payload::VersionUnexpected(UnexpectedVersion::Authorized { .. }) => {
                // A chain holds one authorization: what was authorized before is not any more.
                self.authorized = None;
                if self.stage == Stage::Authorized {
                    self.stage = Stage::Waiting;
                }
            }
            // Nothing that was known of the chain before is so any more.
            Payload::Reset(_) => *self = Self::default(),
            Payload::Stalled { .. } | Payload::Lagging { .. } => self.ailing = true,
            Payload::Recovered => return std::mem::take(&mut self.ailing),
            Payload::PvfCheck(_)
            | Payload::AuthorizationRejected { .. }
            | Payload::SudoFailed { .. }
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
            | Payload::Referendum(_)
            | Payload::Scheduled { .. }
            | Payload::Dispatched { .. }
            | Payload::Text { .. } => return false,
        }
        true
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
        self.unapplied = false;
        replaces
    }

    /// The code was authorized many blocks ago and is not applied: told once.
    pub(super) fn waits(&mut self, at: &BlockSeen<'_>) -> Option<Payload> {
        let since = self.authorized.as_ref()?.block;
        let blocks = at.block.number.saturating_sub(since);
        let long = blocks > at.seen.limits.unapplied_after;
        if self.stage != Stage::Authorized || self.unapplied || !long {
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
        if !migration.running || migration.stuck || blocks <= at.seen.limits.stuck_after {
            return None;
        }
        migration.stuck = true;
        Some(Payload::MigrationStuck { blocks })
    }

    /// The chain has run the target for far longer than it takes to verify it, and something keeps it: told once.
    pub(super) fn lingers(&mut self, at: &BlockSeen<'_>) -> Option<Payload> {
        let time = |time: Option<Timestamp>| time.unwrap_or(at.seen.now);
        let since = time(self.applied.as_ref()?.time);
        let runs = time(at.block.time).duration_since(since);
        if self.stage != Stage::Applied
            || self.unverified
            || runs <= at.seen.rules.healthy_for * UNVERIFIED_AFTER
        {
            return None;
        }
        let trouble = self.health.as_ref().and_then(|h| h.trouble.clone());
        let reason = self.obstacle(at).or(trouble)?;
        self.unverified = true;
        Some(Payload::Unverified { reason })
    }

    /// What keeps a chain from being verified, however long it runs.
    fn obstacle(&self, at: &BlockSeen<'_>) -> Option<String> {
        let health = self.health.as_ref()?;
        let (succeeded, least) = (
            health.transactions - health.failed,
            at.seen.rules.min_transactions,
        );
        if at.block.migrating {
            Some("a migration is under way".to_owned())
        } else if self.record.as_ref().and_then(Measurements::code_fits) == Some(false) {
            Some("other code runs than was planned".to_owned())
        } else if succeeded < least {
            Some(format!(
                "{succeeded} of {least} transactions have succeeded"
            ))
        } else {
            None
        }
    }

    /// Takes note of the version that a block proves, and of how well the chain runs it.
    pub(super) fn run(&mut self, target: &Target, at: &BlockSeen<'_>, facts: &[Fact]) {
        let running = at.memory.running;
        let before = self.spec_version.replace(running).unwrap_or(running);
        let reached = running >= target.spec_version;
        if reached && self.stage < Stage::Applied {
            self.apply(target, before, at, facts);
        } else if !reached && self.stage >= Stage::Applied {
            // Taken back, or another chain under the name: nothing is proven any more.
            (self.stage, self.applied, self.health, self.record) =
                (Stage::Waiting, None, None, None);
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
        self.record = Some(Measurements {
            version_before: before,
            before: at.memory.pace.stretch(),
            gaps_before: at.memory.pace.gaps(),
            code_planned: target.code_hash.clone().or(authorized),
            ..Measurements::default()
        });
    }

    /// One more block under the target: long enough in good health, the chain is verified, and then completed.
    fn verify(&mut self, at: &BlockSeen<'_>) {
        let before = self.record.as_ref().map(|record| &record.before);
        let Some(health) = self.health.as_mut() else {
            return;
        };
        health.observe(at.block, at.seen, before);
        let (length, rules) = (health.length(), at.seen.rules);
        if let Some(record) = self.record.as_mut().filter(|_| at.seen.contiguous) {
            record.note(&at.memory.pace, at.seen.finality_lag);
        }
        if self.obstacle(at).is_some() {
            return;
        }
        if self.stage == Stage::Applied && length >= rules.healthy_for {
            self.stage = Stage::Verified;
        } else if self.stage == Stage::Verified
            && length >= rules.healthy_for + rules.complete_after
        {
            self.stage = Stage::Completed;
        }
    }
}
