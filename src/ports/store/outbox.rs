//! The outbox: posts on their way into channels, and each attempt at them.

use async_trait::async_trait;
use jiff::Timestamp;

use super::error::StoreError;
use crate::{
    domain::outbox::{Body, Operation, Post, PostKey},
    ports::chat::Accepted,
};

/// The end of an attempt.
#[derive(Clone, Debug)]
pub enum AttemptOutcome {
    Sent {
        accepted: Accepted,
        at: Timestamp,
    },
    Retry {
        error: String,
        not_before: Timestamp,
        /// Set where others in its channel pass meanwhile.
        aside: bool,
    },
    Parked {
        error: String,
    },
    /// Read back, it is not there, and its words don't hold any more: it waits as if it had never begun.
    Unsaid {
        reason: String,
    },
    /// There is nothing left to do it to.
    Dropped {
        reason: String,
    },
    /// The post comes too late to be of use.
    Skipped {
        reason: String,
    },
}

/// Posts and the attempts at them. Of several workers that begin the same post one alone gets it, and an attempt is on
/// the disk before its post may be sent, so that a crash leaves a trace of everything that may have gone out.
#[async_trait]
pub trait OutboxStore: Send + Sync {
    /// Posts that wait, planned or held, of every upgrade, by due time.
    async fn waiting(&self) -> Result<Vec<Post>, StoreError>;
    /// Every post of an upgrade, by due time.
    async fn posts(&self, upgrade: &str) -> Result<Vec<Post>, StoreError>;
    async fn post(&self, key: &PostKey) -> Result<Option<Post>, StoreError>;
    /// The newest sent post of an upgrade in a channel, by operation.
    async fn sent(
        &self,
        upgrade: &str,
        channel: &str,
        operation: Operation,
    ) -> Result<Option<Post>, StoreError>;
    /// The first post of a channel that is neither done nor given up, if it is due and its lease and backoff allow.
    /// Neither holds it when its last attempt began more than a minute after `now`: the clock was set back.
    async fn next_due(&self, channel: &str, now: Timestamp) -> Result<Option<Post>, StoreError>;
    /// The time at which the first post of a channel that is neither done nor given up may be begun.
    async fn next_time(&self, channel: &str) -> Result<Option<Timestamp>, StoreError>;
    /// Freezes the body and records an attempt; `false` when another worker was first.
    async fn begin(
        &self,
        post: &Post,
        body: &Body,
        late: bool,
        now: Timestamp,
        lease_until: Timestamp,
    ) -> Result<bool, StoreError>;
    /// Records how an attempt ended, and what becomes of its post.
    async fn finish(&self, key: &PostKey, outcome: &AttemptOutcome) -> Result<(), StoreError>;
    /// The time at which the first attempt at a post began: nothing of it can be older than that.
    async fn first_attempt(&self, key: &PostKey) -> Result<Option<Timestamp>, StoreError>;
    /// Prepares for a new start: troubles are to be seen anew, and posts that were given up are tried again.
    async fn begin_anew(&self) -> Result<(), StoreError>;
}
