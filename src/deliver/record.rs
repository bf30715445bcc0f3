//! Writes down how a post's turn ended.

use jiff::Timestamp;

use super::{
    backoff::{Failures, backoff},
    due::DuePost,
    send::Delivered,
};
use crate::{
    domain::outbox::{Post, PostState, Refusal},
    ports::{AttemptOutcome, ChatError, StoreError},
};

/// The result of one post's turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PostOutcome {
    Sent,
    /// The attempt failed, and another follows later.
    Failed,
    /// The post is given up, or there was nothing to do.
    Parked,
    /// People or the upgrade keep it back, now or for ever.
    Held,
    /// The post came too late to be of use.
    Skipped,
    /// The post is not out, and its frozen words no longer hold: its turn begins anew.
    Reopened,
    /// Another worker has it.
    Taken,
}

impl PostOutcome {
    /// Returns whether nothing more is to be tried in this channel for now.
    pub fn waits(self) -> bool {
        match self {
            Self::Failed | Self::Taken => true,
            Self::Sent | Self::Parked | Self::Held | Self::Skipped | Self::Reopened => false,
        }
    }
}

/// Writes down the result of an attempt, and what it says of the channel.
pub(crate) async fn record(
    due: &DuePost<'_>,
    delivered: Delivered,
    failures: &Failures,
) -> Result<PostOutcome, StoreError> {
    let (core, post) = (due.core, &due.post);
    let has_failed = matches!(delivered, Delivered::Failed(ChatError::Retry { .. }));
    let failed_before = failures.count(&post.key, has_failed);
    let attempt = attempt_outcome(due, delivered, failed_before);
    core.store.finish(&post.key, &attempt).await?;
    let (outcome, trouble) = match &attempt {
        AttemptOutcome::Sent { .. } => {
            tracing::info!(post = %post.key, notice = post.notice, channel = post.channel, "posted");
            (PostOutcome::Sent, None)
        }
        // That says nothing of the channel.
        AttemptOutcome::Unsaid { .. } => {
            tracing::info!(post = %post.key, notice = post.notice, channel = post.channel, "its words are made anew");
            return Ok(PostOutcome::Reopened);
        }
        AttemptOutcome::Retry { error, .. } => (PostOutcome::Failed, Some(error.as_str())),
        AttemptOutcome::Parked { error } => (PostOutcome::Parked, Some(error.as_str())),
        AttemptOutcome::Dropped { reason } | AttemptOutcome::Skipped { reason } => {
            tracing::warn!(post = %post.key, notice = post.notice, channel = post.channel, "dropped: {reason}");
            (PostOutcome::Parked, None)
        }
    };
    let part = format!("channel {}", post.channel);
    core.troubles.note(&part, trouble).await;
    Ok(outcome)
}

fn attempt_outcome(due: &DuePost<'_>, delivered: Delivered, failed_before: u32) -> AttemptOutcome {
    let post = &due.post;
    let now = due.core.clock.now();
    match delivered {
        Delivered::Accepted(accepted) => AttemptOutcome::Sent { accepted, at: now },
        Delivered::Outlived => AttemptOutcome::Unsaid {
            reason: "it was not posted in time: its words are made anew".into(),
        },
        Delivered::Failed(ChatError::Retry { reason, after_ms }) => {
            let wait = backoff(&post.key, failed_before, after_ms);
            AttemptOutcome::Retry {
                error: reason,
                not_before: now.checked_add(wait).unwrap_or(Timestamp::MAX),
            }
        }
        // The post was deleted, or may not be edited any more; or somebody doesn't want to be written to after all.
        Delivered::Failed(error @ ChatError::Refused { .. })
            if post.operation.rules().when_refused == Refusal::Drop || post.reader().is_some() =>
        {
            AttemptOutcome::Dropped {
                reason: error.to_string(),
            }
        }
        Delivered::Failed(error @ (ChatError::Refused { .. } | ChatError::Doubt { .. })) => {
            AttemptOutcome::Parked {
                error: error.to_string(),
            }
        }
    }
}

/// Gives up a post that can't be said, until somebody looks.
pub(crate) async fn park(due: &DuePost<'_>, error: String) -> Result<PostOutcome, StoreError> {
    let post = &due.post;
    tracing::error!(post = %post.key, notice = post.notice, channel = post.channel, "parked: {error}");
    let outcome = AttemptOutcome::Parked { error };
    due.core.store.finish(&post.key, &outcome).await?;
    Ok(PostOutcome::Parked)
}

/// Gives up a post where there is nothing to do.
pub(crate) async fn drop_post(
    due: &DuePost<'_>,
    reason: String,
) -> Result<PostOutcome, StoreError> {
    let post = &due.post;
    tracing::warn!(post = %post.key, notice = post.notice, channel = post.channel, "dropped: {reason}");
    let outcome = AttemptOutcome::Dropped { reason };
    due.core.store.finish(&post.key, &outcome).await?;
    Ok(PostOutcome::Parked)
}

/// Gives up a post that is of no use any more, and what hangs on it.
pub(crate) async fn skip(due: &DuePost<'_>, reason: &str) -> Result<PostOutcome, StoreError> {
    let (store, post) = (&due.core.store, &due.post);
    tracing::warn!(post = %post.key, notice = post.notice, channel = post.channel, "skipped: {reason}");
    let posts = store.posts(&post.upgrade).await?;
    let hangs = |p: &&Post| p.is_beside(post) && p.state == PostState::Planned && p.key != post.key;
    let outcome = AttemptOutcome::Skipped {
        reason: reason.to_owned(),
    };
    // Companions go first: without their post they have no sense.
    let keys = posts.iter().filter(hangs).map(|p| &p.key);
    for key in keys.chain([&post.key]) {
        store.finish(key, &outcome).await?;
    }
    Ok(PostOutcome::Skipped)
}
