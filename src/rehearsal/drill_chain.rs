//! The chain of a drill: its blocks are made from the times at which things are known to have happened.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::json;

use super::{
    controls::invented_nodes,
    drill::{Drill, DrillStep},
};
use crate::{
    domain::chain::{
        block::{Block, ChainEvent},
        memory::Memory,
        observation::Sight,
        pending::PendingChanges,
    },
    ports::{Chain, ChainError, Head},
};

/// A chain that does what a drill says.
pub(super) struct DrillChain(Mutex<ChainState>);

struct ChainState {
    /// Produced blocks by number; those up to `finalized` are final.
    blocks: BTreeMap<u64, Block>,
    best: u64,
    /// In parts of a block, as finality may be slower than the blocks.
    finalized: f64,
    /// The blocks that become final with each that is made.
    finality: f64,
    /// No block is made.
    stands: bool,
    next: Block,
    code: Option<String>,
    pending: PendingChanges,
    parachains: BTreeSet<u32>,
    with_core: BTreeSet<u32>,
    /// The transactions of a block.
    transactions: u32,
    /// The moment, and that at which a block became final last.
    now: Timestamp,
    moved: Timestamp,
}

impl DrillChain {
    pub fn new(drill: &Drill) -> Self {
        let parachains: BTreeSet<u32> = drill.parachains.iter().copied().collect();
        Self(Mutex::new(ChainState {
            blocks: BTreeMap::new(),
            best: drill.first_block.saturating_sub(1),
            finalized: drill.first_block.saturating_sub(1) as f64,
            finality: 1.0,
            stands: false,
            next: Block {
                spec_version: drill.upgrade.from,
                proven_version: Some(drill.upgrade.from),
                transaction_version: 1,
                session: drill.session,
                ..Block::default()
            },
            code: None,
            pending: PendingChanges::default(),
            with_core: parachains.clone(),
            parachains,
            transactions: 2,
            now: drill.begins,
            moved: drill.begins,
        }))
    }

    /// Does what the drill says of this moment.
    pub fn take(&self, step: &DrillStep) {
        let mut state = self.0.lock();
        let state = &mut *state;
        if let Some(event) = &step.event {
            state.next.events.push(ChainEvent {
                pallet: event.pallet.clone(),
                name: event.name.clone(),
                fields: event.fields.clone(),
            });
        }
        if let Some(version) = step.version {
            (state.next.spec_version, state.next.proven_version) = (version, Some(version));
        }
        state.next.session = step.session.or(state.next.session);
        state.code = step.code.clone().or(state.code.take());
        state.finality = step.finality.unwrap_or(state.finality);
        state.stands = step.stands.unwrap_or(state.stands);
        state.transactions = step.transactions.unwrap_or(state.transactions);
        if let Some(pending) = &step.pending {
            state.pending = pending.clone();
        }
        for id in &step.stop {
            state.parachains.remove(id);
        }
        state.parachains.extend(&step.back);
    }

    /// Makes the block of this moment, if the chain goes on. True if one more is final.
    pub fn make_block(&self, now: Timestamp) -> bool {
        let mut state = self.0.lock();
        state.now = now;
        if state.stands {
            return false;
        }
        state.best += 1;
        let mut block = state.next.clone();
        state.next.events.clear();
        block.number = state.best;
        block.hash = hash(block.number);
        block.parent = hash(block.number - 1);
        block.time = Some(now);
        let event = |pallet: &str, name: &str, fields| ChainEvent {
            pallet: pallet.to_owned(),
            name: name.to_owned(),
            fields,
        };
        block.events.extend(state.parachains.iter().map(|id| {
            event(
                "ParaInclusion",
                "CandidateIncluded",
                json!({ "para_id": id }),
            )
        }));
        block.events.extend(
            (0..state.transactions).map(|_| event("System", "ExtrinsicSuccess", json!(null))),
        );
        state.blocks.insert(block.number, block);
        let before = state.finalized as u64;
        state.finalized = (state.finalized + state.finality).min(state.best as f64);
        let is_final = state.finalized as u64 > before;
        if is_final {
            state.moved = now;
        }
        is_final
    }
}

/// An invented hash.
fn hash(number: u64) -> String {
    format!("0x{number:064x}")
}

#[async_trait]
impl Chain for DrillChain {
    async fn head(&self, _known: Option<&Memory>) -> Result<Head, ChainError> {
        let state = self.0.lock();
        let number = state.finalized as u64;
        if !state.blocks.contains_key(&number) {
            return Err(ChainError::Unreachable("no block was made yet".to_owned()));
        }
        Ok(Head {
            genesis: hash(0),
            number,
            hash: hash(number),
            rewritten: false,
            lag: state.best - number,
        })
    }

    async fn block(&self, number: u64) -> Result<Block, ChainError> {
        let state = self.0.lock();
        let absent = || ChainError::Absent(format!("block {number} is not there"));
        state.blocks.get(&number).cloned().ok_or_else(absent)
    }

    async fn version(&self, number: u64) -> Result<u32, ChainError> {
        self.block(number).await.map(|block| block.spec_version)
    }

    async fn code_hash(&self, _number: u64) -> Result<Option<String>, ChainError> {
        Ok(self.0.lock().code.clone())
    }

    async fn enactment(&self, _number: u64, _referendum: u32) -> Result<Option<u64>, ChainError> {
        Ok(None)
    }

    async fn pending_changes(&self, _number: u64) -> Result<PendingChanges, ChainError> {
        Ok(self.0.lock().pending.clone())
    }

    async fn parachains_with_core(
        &self,
        _number: u64,
    ) -> Result<Option<BTreeSet<u32>>, ChainError> {
        Ok(Some(self.0.lock().with_core.clone()))
    }

    fn sight(&self) -> Sight {
        let state = self.0.lock();
        let head = state.finalized as u64;
        let unmoved = state.now.duration_since(state.moved);
        invented_nodes(head, unmoved, state.best - head)
    }

    async fn doubt(&self) {}

    async fn changed(&self) {}
}
