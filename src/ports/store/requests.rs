//! Commands that wait to be followed, and which ones were heard already.

use async_trait::async_trait;
use jiff::Timestamp;

use super::error::StoreError;
use crate::domain::{campaign::change::Change, people::reply::Outcome};

/// A command that was given and is to be followed.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    pub number: i64,
    pub upgrade: String,
    pub change: Change,
    /// The name of the person who gave it, in words.
    pub author: String,
    pub at: Timestamp,
}

/// Requests are numbered in the order in which they were given, and each gets one outcome, by a batch's `answered`.
#[async_trait]
pub trait RequestStore: Send + Sync {
    /// Writes down a command for the active process; returns its number.
    async fn request(
        &self,
        upgrade: &str,
        change: &Change,
        author: &str,
        at: Timestamp,
    ) -> Result<i64, StoreError>;
    /// Commands that nobody has followed yet, oldest first.
    async fn requests(&self) -> Result<Vec<Request>, StoreError>;
    /// The outcome of a command, once there is one.
    async fn outcome(&self, request: i64) -> Result<Option<Outcome>, StoreError>;
    /// Gives a command that waits this outcome, so that nobody follows it; `false` when it waits no more.
    async fn discard(&self, request: i64, outcome: &Outcome) -> Result<bool, StoreError>;
    /// Remembers the id of a command that came in by a chat; `false` when it was remembered before, so that a command
    /// that is delivered twice is answered once.
    async fn remember(&self, id: &str, at: Timestamp) -> Result<bool, StoreError>;
}
