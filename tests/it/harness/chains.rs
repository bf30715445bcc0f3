//! Chains for tests: one whose blocks are laid down by hand, and one that counts its blocks from a clock and forgets old ones.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{
    Mutex,
    atomic::{AtomicI64, AtomicU64, Ordering},
};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use upgrade_herald::{
    domain::chain::{
        block::{Block, ChainEvent},
        memory::Memory,
        observation::{EndpointSight, Sight},
        pending::PendingChanges,
    },
    ports::{Chain, ChainError, Head},
};

/// An error of a chain, by its reason.
pub type Failure = fn(String) -> ChainError;

/// A chain as its script has it.
pub struct ScriptedChain {
    pub blocks: Mutex<Vec<Block>>,
    pub sight: Mutex<Sight>,
    pub code: Mutex<Option<String>>,
    /// What upgrades of it set in motion; `None`: it can't be read.
    pub pending: Mutex<Option<PendingChanges>>,
    /// The parachains that have a core; `None`: its runtime does not tell.
    pub with_core: Mutex<Option<BTreeSet<u32>>>,
    pub slow: Mutex<bool>,
    /// Held by each question to the node until it is answered, as a connection holds what it reads with.
    asking: tokio::sync::Mutex<()>,
    pub lost: Mutex<Vec<u64>>,
    /// Blocks whose events can't be read, and by which error.
    pub unreadable: Mutex<BTreeMap<u64, Failure>>,
}

impl Default for ScriptedChain {
    /// No block yet, and nothing to hide.
    fn default() -> Self {
        Self {
            blocks: Mutex::default(),
            sight: Mutex::default(),
            code: Mutex::default(),
            pending: Mutex::new(Some(PendingChanges::default())),
            with_core: Mutex::default(),
            slow: Mutex::default(),
            asking: tokio::sync::Mutex::default(),
            lost: Mutex::default(),
            unreadable: Mutex::default(),
        }
    }
}

#[async_trait]
impl Chain for ScriptedChain {
    async fn head(&self, _known: Option<&Memory>) -> Result<Head, ChainError> {
        let blocks = self.blocks.lock().unwrap();
        let last = blocks
            .last()
            .ok_or_else(|| ChainError::Unreachable("no block yet".into()))?;
        Ok(Head {
            genesis: "0x00".into(),
            number: last.number,
            hash: last.hash.clone(),
            rewritten: false,
            lag: 0,
        })
    }

    async fn block(&self, number: u64) -> Result<Block, ChainError> {
        let _asking = self.asking.lock().await;
        let slow = *self.slow.lock().unwrap();
        if slow {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        {
            // Each entry is one answer "not found".
            let mut lost = self.lost.lock().unwrap();
            if let Some(i) = lost.iter().position(|n| *n == number) {
                lost.remove(i);
                return Err(ChainError::Absent(
                    "UnknownBlock: Header was not found in the database".into(),
                ));
            }
        }
        if let Some(error) = self.unreadable.lock().unwrap().get(&number) {
            return Err(error("an event can't be read".into()));
        }
        let blocks = self.blocks.lock().unwrap();
        blocks
            .iter()
            .find(|b| b.number == number)
            .cloned()
            .ok_or_else(|| ChainError::Absent(format!("no block {number}")))
    }

    async fn state(&self, number: u64) -> Result<Block, ChainError> {
        let blocks = self.blocks.lock().unwrap();
        let found = blocks.iter().find(|b| b.number == number).cloned();
        let without_events = |block| Block {
            events: Vec::new(),
            ..block
        };
        found
            .map(without_events)
            .ok_or_else(|| ChainError::Absent(format!("no block {number}")))
    }

    async fn version(&self, number: u64) -> Result<u32, ChainError> {
        self.block(number)
            .await
            .map(|b| b.proven_version.unwrap_or(b.spec_version))
    }

    async fn code_hash(&self, _number: u64) -> Result<Option<String>, ChainError> {
        Ok(self.code.lock().unwrap().clone())
    }

    async fn enactment(&self, _number: u64, _referendum: u32) -> Result<Option<u64>, ChainError> {
        Ok(None)
    }

    async fn pending_changes(&self, _number: u64) -> Result<PendingChanges, ChainError> {
        let _asking = self.asking.lock().await;
        let pending = self.pending.lock().unwrap().clone();
        pending.ok_or_else(|| ChainError::Answer("the node says nothing of it".into()))
    }

    async fn parachains_with_core(
        &self,
        _number: u64,
    ) -> Result<Option<BTreeSet<u32>>, ChainError> {
        let _asking = self.asking.lock().await;
        Ok(self.with_core.lock().unwrap().clone())
    }

    fn sight(&self) -> Sight {
        self.sight.lock().unwrap().clone()
    }

    async fn doubt(&self) {}

    async fn changed(&self) {}
}

/// When block 0 was, in seconds.
pub const GENESIS: i64 = 1_800_000_000;

/// Authorized in block 20, new code in block 50 (or where they are set): version 1 up to there, 2 behind it.
pub struct PrunedChain {
    pub head: AtomicU64,
    /// Seconds between blocks.
    spacing: u32,
    authorized: u64,
    pub upgraded: AtomicU64,
    /// For how many seconds nobody has reached it; negative where it answers.
    away: AtomicI64,
    /// Older blocks' state is gone.
    pub oldest: AtomicU64,
    pub calls: AtomicU64,
}

impl PrunedChain {
    /// At its first block.
    pub fn fresh() -> Self {
        Self::with_blocks(6, 20, 50)
    }

    pub fn with_blocks(spacing: u32, authorized: u64, upgraded: u64) -> Self {
        let (head, oldest, calls) = (AtomicU64::new(1), AtomicU64::new(0), AtomicU64::new(0));
        Self {
            head,
            spacing,
            authorized,
            upgraded: AtomicU64::new(upgraded),
            away: AtomicI64::new(-1),
            oldest,
            calls,
        }
    }

    pub fn set_away(&self, for_seconds: Option<i64>) {
        self.away
            .store(for_seconds.unwrap_or(-1), Ordering::Relaxed);
    }

    pub fn time(&self, number: u64) -> Timestamp {
        Timestamp::from_second(
            GENESIS + i64::try_from(number).unwrap_or(0) * i64::from(self.spacing),
        )
        .expect("a time near now")
    }

    /// Finalized up to this block by now.
    pub fn grow(&self, head: u64) {
        self.head.store(head, Ordering::Relaxed);
    }
}

#[async_trait]
impl Chain for PrunedChain {
    async fn head(&self, _known: Option<&Memory>) -> Result<Head, ChainError> {
        if self.away.load(Ordering::Relaxed) >= 0 {
            return Err(ChainError::Unreachable("the node can't be reached".into()));
        }
        Ok(Head {
            genesis: "0x00".into(),
            number: self.head.load(Ordering::Relaxed),
            hash: String::new(),
            rewritten: false,
            lag: 0,
        })
    }

    async fn block(&self, number: u64) -> Result<Block, ChainError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        if number < self.oldest.load(Ordering::Relaxed) {
            return Err(ChainError::Gone("State already discarded".into()));
        }
        let upgraded = self.upgraded.load(Ordering::Relaxed);
        let name = match number {
            n if n == self.authorized => "UpgradeAuthorized",
            n if n == upgraded => "CodeUpdated",
            _ => "Other",
        };
        Ok(Block {
            number,
            hash: format!("0x{number:02x}"),
            time: Some(self.time(number)),
            spec_version: if number >= upgraded { 2 } else { 1 },
            transaction_version: 1,
            proven_version: Some(if number > upgraded { 2 } else { 1 }),
            authorized: (self.authorized..upgraded)
                .contains(&number)
                .then(|| "0xaa".to_owned()),
            events: vec![ChainEvent {
                pallet: "System".into(),
                name: name.into(),
                fields: serde_json::json!({ "code_hash": "0xaa" }),
            }],
            ..Block::default()
        })
    }

    async fn version(&self, number: u64) -> Result<u32, ChainError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        if number < self.oldest.load(Ordering::Relaxed) {
            return Err(ChainError::Gone("State already discarded".into()));
        }
        Ok(if number > self.upgraded.load(Ordering::Relaxed) {
            2
        } else {
            1
        })
    }

    async fn code_hash(&self, _number: u64) -> Result<Option<String>, ChainError> {
        Ok(None)
    }

    async fn enactment(&self, _number: u64, _referendum: u32) -> Result<Option<u64>, ChainError> {
        Ok(None)
    }

    fn sight(&self) -> Sight {
        let (head, away) = (
            self.head.load(Ordering::Relaxed),
            self.away.load(Ordering::Relaxed),
        );
        let trouble = (away >= 0).then(|| "the node can't be reached".to_owned());
        let unseen = SignedDuration::from_secs(away.max(0));
        Sight {
            endpoints: vec![EndpointSight {
                head,
                answers: away < 0,
                trouble,
                ..EndpointSight::default()
            }],
            unseen,
            lag: None,
        }
    }

    async fn doubt(&self) {}

    async fn changed(&self) {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}
