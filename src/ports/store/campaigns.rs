//! The campaigns with their chains and facts, and the transaction that changes them.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;

use super::error::StoreError;
use crate::domain::{
    campaign::Campaign,
    chain::{fact::Fact, fact_kind::FactKind, memory::Memory},
    outbox::{Post, PostKey},
    people::reply::Outcome,
};

/// The approval that a person gave to a notice's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approved {
    pub upgrade: String,
    /// The text's hash, which is also what people type: another text needs another approval.
    pub code: String,
    pub person: String,
    pub at: Timestamp,
}

/// The change of a post that waits.
#[derive(Clone, Debug, PartialEq)]
pub enum Move {
    /// The post has another time.
    Due(Timestamp),
    /// The plan has it no more.
    Supersede,
    /// The post waits for people, for this reason.
    Hold(String),
    /// The post waits no more.
    Release,
    /// The post is of no use any more, for this reason.
    Expire(String),
}

/// Posts by the clock that have not begun and are no longer true: those of an upgrade's revisions
/// below `below`, due by `due_by`.
#[derive(Clone, Debug)]
pub struct Supersede {
    pub upgrade: String,
    pub below: u32,
    pub due_by: Timestamp,
}

/// Everything that one step changes, written in one transaction.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    pub upgrades: Vec<Campaign>,
    pub memories: Vec<(String, Memory)>,
    pub facts: Vec<Fact>,
    /// Posts to insert; one whose key is there already stays as it is.
    pub posts: Vec<Post>,
    /// Posts that wait, planned or held, and what becomes of them.
    pub moves: Vec<(PostKey, Move)>,
    /// Requests that were followed or refused, and what came of them.
    pub answered: Vec<(i64, Outcome)>,
    pub approvals: Vec<Approved>,
    /// Posts by the clock that no longer hold.
    pub supersede: Vec<Supersede>,
}

impl Batch {
    pub fn is_empty(&self) -> bool {
        self.upgrades.is_empty()
            && self.memories.is_empty()
            && self.facts.is_empty()
            && self.posts.is_empty()
            && self.moves.is_empty()
            && self.answered.is_empty()
            && self.approvals.is_empty()
            && self.supersede.is_empty()
    }
}

/// Campaigns, what was learned of the chains, and approvals. A batch is written whole or not at all, is on the disk
/// when `commit` returns, and may be committed again: facts, posts and approvals that are there already stay.
#[async_trait]
pub trait CampaignStore: Send + Sync {
    async fn commit(&self, batch: Batch) -> Result<(), StoreError>;
    /// Every campaign, the one that was accepted first before the others.
    async fn upgrades(&self) -> Result<Vec<Campaign>, StoreError>;
    /// The campaign of the upgrade with this id.
    async fn campaign(&self, id: &str) -> Result<Option<Campaign>, StoreError>;
    /// The memory of each chain, by the chain's name.
    async fn memories(&self) -> Result<BTreeMap<String, Memory>, StoreError>;
    /// Every fact, in the order in which they were written.
    async fn facts(&self) -> Result<Vec<Fact>, StoreError>;
    /// The facts of one kind, oldest first.
    async fn facts_of(&self, kind: FactKind) -> Result<Vec<Fact>, StoreError>;
    /// Every approval given for an upgrade.
    async fn approvals(&self, upgrade: &str) -> Result<Vec<Approved>, StoreError>;
}
