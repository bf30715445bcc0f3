//! A chain: its finalized blocks, and how its endpoints look.

use std::collections::BTreeSet;

use async_trait::async_trait;
use thiserror::Error;

use crate::domain::chain::{
    block::Block, memory::Memory, observation::Sight, pending::PendingChanges,
};

#[derive(Debug, Error)]
pub enum ChainError {
    /// The node can't be reached or broke off.
    #[error("{0}")]
    Unreachable(String),
    /// The node answered, but not with what was asked for, or with what can't be understood.
    #[error("{0}")]
    Answer(String),
    /// The block holds what can't be decoded: that is the fault of no node, and stays so.
    #[error("{0}")]
    Undecodable(String),
    /// The node that answers has not finalized this block yet.
    #[error("{0}")]
    NotYet(String),
    /// Nodes contradict each other: nothing is believed for now.
    #[error("{0}")]
    Disagree(String),
    /// The node has no such block: no longer, or not yet.
    #[error("{0}")]
    Absent(String),
    /// The node no longer has the state of this block.
    #[error("{0}")]
    Gone(String),
}

/// The newest finalized block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    pub genesis: String,
    pub number: u64,
    pub hash: String,
    /// Every endpoint shows another block than was known: the chain's history was rewritten.
    pub rewritten: bool,
    /// Best minus finalized, in blocks.
    pub lag: u64,
}

#[async_trait]
pub trait Chain: Send + Sync {
    /// The newest finalized block that can be believed, with what is known of the chain already.
    async fn head(&self, known: Option<&Memory>) -> Result<Head, ChainError>;
    async fn block(&self, number: u64) -> Result<Block, ChainError>;
    /// The block without its events, where these can't be read: what its state and its header prove. A chain whose blocks
    /// can always be read needs nothing else than [`Self::block`].
    async fn state(&self, number: u64) -> Result<Block, ChainError> {
        self.block(number).await
    }
    /// The version proven at a block, by as few calls as it takes.
    async fn version(&self, number: u64) -> Result<u32, ChainError>;
    /// The hash of the code at a block, as authorizations name it; nothing where it can't be read.
    async fn code_hash(&self, number: u64) -> Result<Option<String>, ChainError>;
    /// The block for which the call of a referendum that passed is scheduled, as the state at a block has it.
    async fn enactment(&self, number: u64, referendum: u32) -> Result<Option<u64>, ChainError>;
    /// What an upgrade that was applied with this block has set in motion, and what else is to come. A chain that tells
    /// nothing of it has nothing to come.
    async fn pending_changes(&self, _number: u64) -> Result<PendingChanges, ChainError> {
        Ok(PendingChanges::default())
    }
    /// The parachains that have a core of this relay for its next blocks; nothing where its runtime does not tell.
    async fn parachains_with_core(
        &self,
        _number: u64,
    ) -> Result<Option<BTreeSet<u32>>, ChainError> {
        Ok(None)
    }
    /// How the endpoints look now, from what is known already.
    fn sight(&self) -> Sight;
    /// Says that what was just read does not fit: the next call looks for another endpoint.
    async fn doubt(&self);
    /// Returns when there may be a new finalized block.
    async fn changed(&self);
}
