//! The store: everything that is remembered, and the outbox.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use thiserror::Error;

use super::{Accepted, Leadership, Record, RecordKind, Replica, ReplicaInfo};
use crate::domain::{
    campaign::{Campaign, change::Change},
    chain::{
        block::Memory,
        fact::{Fact, FactKind},
    },
    outbox::post::{Body, Operation, Post, PostKey},
};

#[derive(Debug, Error)]
#[error("the store: {0}")]
pub struct StoreError(pub String);

/// A command that was given and is to be followed.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    pub number: i64,
    pub upgrade: String,
    pub change: Change,
    /// Who gave it, in words.
    pub author: String,
    pub at: Timestamp,
}

/// That somebody approves a notice's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approved {
    pub upgrade: String,
    /// The text's hash, which is also what people type: another text is another approval.
    pub code: String,
    pub person: String,
    pub at: Timestamp,
}

/// What becomes of a post that waits.
#[derive(Clone, Debug, PartialEq)]
pub enum Move {
    /// It has another time.
    Due(Timestamp),
    /// The plan has it no more.
    Supersede,
    /// It waits for people, and for what.
    Hold(String),
    /// It waits no more.
    Release,
    /// It is of no use any more, and why.
    Expire(String),
}

/// Everything one step changes, written in one transaction.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    pub upgrades: Vec<Campaign>,
    pub memories: Vec<(String, Memory)>,
    pub facts: Vec<Fact>,
    /// Inserted if their key is new.
    pub posts: Vec<Post>,
    /// Posts that wait, planned or held, and what becomes of them.
    pub moves: Vec<(PostKey, Move)>,
    /// Commands that were followed or refused, and what came of them.
    pub answered: Vec<(i64, String)>,
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

/// Posts by the clock that have not begun and are no longer true: those of an upgrade's revisions
/// below `below`, due by `due_by`.
#[derive(Clone, Debug)]
pub struct Supersede {
    pub upgrade: String,
    pub below: u32,
    pub due_by: Timestamp,
}

/// How an attempt ended.
#[derive(Clone, Debug)]
pub enum AttemptOutcome {
    Sent {
        accepted: Accepted,
        at: Timestamp,
    },
    Retry {
        error: String,
        not_before: Timestamp,
    },
    Parked {
        error: String,
    },
    /// Read back, it is not there, and its words don't hold any more: it waits as if it was never begun.
    Unsaid {
        reason: String,
    },
    /// There is nothing left to do it to.
    Dropped {
        reason: String,
    },
    /// It comes too late to be of use.
    Skipped {
        reason: String,
    },
}

#[async_trait]
pub trait Store: Send + Sync {
    /// Says that this replica is there; `false` if another process under its name was heard of within `ttl`.
    async fn present(&self, me: &Replica, ttl: SignedDuration) -> Result<bool, StoreError>;
    /// Takes or keeps the lead for `ttl` from now, by the store's own clock. Whoever has it writes; once another has taken
    /// over, nothing that this process writes as the active one counts any more.
    async fn lead(&self, me: &Replica, ttl: SignedDuration) -> Result<Leadership, StoreError>;
    /// Leaves the lead to others at once.
    async fn resign(&self, me: &Replica) -> Result<(), StoreError>;
    /// Who shares this store.
    async fn replicas(&self) -> Result<Vec<ReplicaInfo>, StoreError>;
    async fn commit(&self, batch: Batch) -> Result<(), StoreError>;
    async fn upgrades(&self) -> Result<Vec<Campaign>, StoreError>;
    async fn memories(&self) -> Result<BTreeMap<String, Memory>, StoreError>;
    async fn facts(&self) -> Result<Vec<Fact>, StoreError>;
    /// The facts of one kind, oldest first.
    async fn facts_of(&self, kind: FactKind) -> Result<Vec<Fact>, StoreError>;
    /// Posts that wait, planned or held: of every upgrade, by due time.
    async fn waiting(&self) -> Result<Vec<Post>, StoreError>;
    /// Every post of an upgrade, by due time.
    async fn posts(&self, upgrade: &str) -> Result<Vec<Post>, StoreError>;
    /// The first post of a channel that is neither done nor given up, if it is due and its lease and backoff allow.
    /// Neither holds it when its last attempt began more than a minute after `now`: the clock was set back.
    async fn next_due(&self, channel: &str, now: Timestamp) -> Result<Option<Post>, StoreError>;
    /// Freezes the body and records an attempt; `false` when another worker was first.
    async fn begin(
        &self,
        post: &Post,
        body: &Body,
        late: bool,
        now: Timestamp,
        lease_until: Timestamp,
    ) -> Result<bool, StoreError>;
    async fn finish(&self, key: &PostKey, outcome: &AttemptOutcome) -> Result<(), StoreError>;
    /// When the first attempt at a post began: nothing of it can be older than that.
    async fn first_attempt(&self, key: &PostKey) -> Result<Option<Timestamp>, StoreError>;
    async fn post(&self, key: &PostKey) -> Result<Option<Post>, StoreError>;
    /// The newest sent post of an upgrade in a channel, by operation.
    async fn sent(
        &self,
        upgrade: &str,
        channel: &str,
        operation: Operation,
    ) -> Result<Option<Post>, StoreError>;
    /// When the first post of a channel that is neither done nor given up may be begun.
    async fn next_time(&self, channel: &str) -> Result<Option<Timestamp>, StoreError>;
    /// At a start: what was wrong is to be seen anew, and what was given up is tried again.
    async fn begin_anew(&self) -> Result<(), StoreError>;
    /// What is wrong with a part (a chain, a channel) now, or that it is well again.
    async fn set_trouble(
        &self,
        part: &str,
        trouble: Option<&str>,
        at: Timestamp,
    ) -> Result<(), StoreError>;
    /// Part, what is wrong with it and since when.
    async fn troubles(&self) -> Result<Vec<(String, String, Timestamp)>, StoreError>;
    /// Writes down a command for whoever runs; returns its number.
    async fn request(
        &self,
        upgrade: &str,
        change: &Change,
        author: &str,
        at: Timestamp,
    ) -> Result<i64, StoreError>;
    /// Commands that nobody has followed yet, oldest first.
    async fn requests(&self) -> Result<Vec<Request>, StoreError>;
    /// What came of a command, once something did.
    async fn outcome(&self, request: i64) -> Result<Option<String>, StoreError>;
    /// Every approval given for an upgrade.
    async fn approvals(&self, upgrade: &str) -> Result<Vec<Approved>, StoreError>;
    /// Writes an entry down. One with its id that is there already stays (`false`), unless this one is to take its place.
    async fn write(&self, entry: &Record, replace: bool) -> Result<bool, StoreError>;
    /// Takes an entry back; `false` if there was none.
    async fn erase(&self, kind: RecordKind, upgrade: &str, id: &str) -> Result<bool, StoreError>;
    /// The entries of a kind, oldest first.
    async fn entries(&self, kind: RecordKind, upgrade: &str) -> Result<Vec<Record>, StoreError>;
    /// True when this id was not remembered before.
    async fn remember(&self, id: &str, at: Timestamp) -> Result<bool, StoreError>;
}
