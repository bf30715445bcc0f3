//! The leader election: one of the replicas that share a store is active, for as long as its lease runs.

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

use super::error::StoreError;

/// One process among those that share a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replica {
    /// The replica's name, given by the operator.
    pub name: String,
    /// An id of this process alone: another process under the same name is another instance.
    pub instance: String,
}

/// The answer to a replica that asks for the lead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leadership {
    /// This process has it. The term is the fencing token: it is raised with each takeover.
    Mine {
        term: i64,
    },
    Theirs {
        replica: String,
    },
    /// Another process under the same name was heard of lately.
    Doubled,
}

/// A replica as the store knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaInfo {
    pub name: String,
    pub active: bool,
    pub since: Timestamp,
    /// The time at which it was last heard of.
    pub seen: Timestamp,
}

/// The lead is a lease by the store's own clock, which all replicas have in common. Once another replica has taken
/// over, every write of the one before is refused with [`StoreError::Fenced`].
#[async_trait]
pub trait LeadershipStore: Send + Sync {
    /// Tells the store that this replica is there; `false` if another process under its name was heard of within `ttl`.
    async fn present(&self, me: &Replica, ttl: SignedDuration) -> Result<bool, StoreError>;
    /// Takes the lead if it is free, or renews it, for `ttl` from now.
    async fn lead(&self, me: &Replica, ttl: SignedDuration) -> Result<Leadership, StoreError>;
    /// Leaves the lead to others at once.
    async fn resign(&self, me: &Replica) -> Result<(), StoreError>;
    /// Writes without a change, so that a store that only reads is found before something is to be kept in it.
    async fn check_writable(&self) -> Result<(), StoreError>;
    /// The replicas that share this store.
    async fn replicas(&self) -> Result<Vec<ReplicaInfo>, StoreError>;
}
