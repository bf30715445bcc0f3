//! Brings due posts to their channels: in order, one at a time a channel, each once.
//!
//! A post is rendered and frozen together with the record that an attempt begins. If that attempt's
//! end is not known (a crash, a time-out), the channel is read back for the post's key before it is
//! sent again, and it is sent with the same key.

use std::sync::Arc;

use jiff::Timestamp;

use super::{
    approval::gate::Gate,
    backoff::Failures,
    compose::{Composed, Message, compose},
    due::DuePost,
    lateness::{Eligibility, eligibility},
    record::{PostOutcome, drop_post, park, record, skip},
    send::deliver,
};
use crate::{
    outbox::{Core, outlets},
    ports::StoreError,
};

pub struct Dispatcher {
    core: Arc<Core>,
    gate: Gate,
    failures: Failures,
}

/// A worker's right to a post.
enum ClaimOutcome {
    /// The words are frozen, and the attempt is recorded as ours.
    Ours,
    /// Another worker was first.
    Taken,
}

impl Dispatcher {
    pub fn new(core: Arc<Core>) -> Self {
        Self {
            gate: Gate::new(core.clone()),
            core,
            failures: Failures::default(),
        }
    }

    pub fn channels(&self) -> Vec<String> {
        outlets::names(&self.core.outlets)
    }

    /// Posts everything that is due in one channel; stops at the first that has to wait.
    pub async fn tick(&self, channel: &str) -> Result<Vec<PostOutcome>, StoreError> {
        let mut outcomes = Vec::new();
        while let Some(outcome) = self.step(channel).await? {
            outcomes.push(outcome);
            if outcome.waits() {
                break;
            }
        }
        Ok(outcomes)
    }

    /// Brings the first due post of a channel on its way; `None` if there is none.
    pub async fn step(&self, channel: &str) -> Result<Option<PostOutcome>, StoreError> {
        let Some(outlet) = outlets::find(&self.core.outlets, channel) else {
            return Ok(None);
        };
        let now = self.core.clock.now();
        let Some(post) = self.core.store.next_due(channel, now).await? else {
            return Ok(None);
        };
        let due = DuePost::read(&self.core, &outlet, post).await?;
        self.process(&due).await.map(Some)
    }

    /// Goes through the steps of one post.
    async fn process(&self, due: &DuePost<'_>) -> Result<PostOutcome, StoreError> {
        match eligibility(due, &self.gate).await? {
            Eligibility::Eligible => {}
            Eligibility::Held => return Ok(PostOutcome::Held),
            Eligibility::Useless(reason) => return skip(due, &reason).await,
        }
        let message = match compose(due).await? {
            Composed::Message(message) => message,
            Composed::Nothing(reason) => return drop_post(due, reason).await,
            Composed::Broken(reason) => return park(due, reason).await,
        };
        match claim(due, &message).await? {
            ClaimOutcome::Ours => {}
            ClaimOutcome::Taken => return Ok(PostOutcome::Taken),
        }
        let delivered = deliver(due, &message).await?;
        record(due, delivered, &self.failures).await
    }
}

/// Freezes the words and records that an attempt begins, before anything is sent.
async fn claim(due: &DuePost<'_>, message: &Message) -> Result<ClaimOutcome, StoreError> {
    let Message { body, late, .. } = message;
    let lease_until = due
        .now
        .checked_add(due.core.delivery.lease)
        .unwrap_or(Timestamp::MAX);
    let store = &due.core.store;
    let is_ours = store
        .begin(&due.post, body, *late, due.now, lease_until)
        .await?;
    Ok(if is_ours {
        ClaimOutcome::Ours
    } else {
        ClaimOutcome::Taken
    })
}
