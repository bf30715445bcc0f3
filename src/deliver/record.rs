//! Writes down how a post's turn ended.

use jiff::Timestamp;

use super::{
    backoff::{Failures, backoff},
    due::DuePost,
    send::Delivered,
};
use crate::{
    domain::outbox::{Operation, Post, PostState, Refusal},
    ports::{AttemptOutcome, Batch, ChatError, StoreError},
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

/// A chat that wants to be left alone for so long waits for somebody to mend something.
const MENDED_BY_PEOPLE_MS: u64 = 60_000;

/// Writes down the result of an attempt, and what it says of the channel.
pub(crate) async fn record(
    due: &DuePost<'_>,
    delivered: Delivered,
    failures: &Failures,
) -> Result<PostOutcome, StoreError> {
    let (core, post) = (due.core, &due.post);
    let has_failed = matches!(delivered, Delivered::Failed(ChatError::Retry { .. }));
    let failed_before = failures.count(&post.key, has_failed);
    let is_quiet = is_quiet(post, &delivered);
    let picture = match &delivered {
        Delivered::Accepted {
            without_picture, ..
        } => without_picture.clone(),
        _ => None,
    };
    let attempt = attempt_outcome(post, delivered, failed_before, core.clock.now());
    core.store.finish(&post.key, &attempt).await?;
    let outcome = match &attempt {
        AttemptOutcome::Sent { .. } => {
            tracing::info!(post = %post.key, notice = post.notice, channel = post.channel, "posted");
            pin_anew(due).await?;
            PostOutcome::Sent
        }
        // That says nothing of the channel.
        AttemptOutcome::Unsaid { .. } => {
            tracing::info!(post = %post.key, notice = post.notice, channel = post.channel, "its words are made anew");
            return Ok(PostOutcome::Reopened);
        }
        AttemptOutcome::Retry { .. } => PostOutcome::Failed,
        AttemptOutcome::Parked { .. } => PostOutcome::Parked,
        AttemptOutcome::Dropped { reason } | AttemptOutcome::Skipped { reason } => {
            tracing::warn!(post = %post.key, notice = post.notice, channel = post.channel, "dropped: {reason}");
            PostOutcome::Parked
        }
    };
    if !is_quiet {
        tell(due, &attempt, picture).await;
    }
    Ok(outcome)
}

/// Returns whether a failure is nobody's business: a message that was deleted needs no mark and no end, and somebody may
/// not want to be written to.
fn is_quiet(post: &Post, delivered: &Delivered) -> bool {
    match delivered {
        Delivered::Failed(ChatError::Refused { .. }) => post.reader().is_some(),
        Delivered::Failed(ChatError::Gone { .. }) => {
            post.reader().is_some()
                || matches!(
                    post.operation,
                    Operation::Mark | Operation::Unpin | Operation::Close
                )
        }
        _ => false,
    }
}

/// Notes for operators what is wrong with the channel; and apart from that, what is wrong with a thing that is done to a
/// message there, for the next message that goes well says nothing of it.
async fn tell(due: &DuePost<'_>, attempt: &AttemptOutcome, picture: Option<String>) {
    let (post, troubles) = (&due.post, &due.core.troubles);
    let is_message = post.is_message();
    let channel = format!("channel {}", post.channel);
    let own = format!(
        "{} of {} in {}",
        post.operation.name(),
        post.notice,
        post.channel
    );
    match attempt {
        AttemptOutcome::Sent { .. } => {
            troubles.note(&channel, None).await;
            let lacks = picture.map(|why| format!("posted without its picture: {why}"));
            troubles.note_of(&post.upgrade, &own, lacks).await;
        }
        AttemptOutcome::Retry {
            error,
            aside: false,
            ..
        } => troubles.note(&channel, Some(error)).await,
        AttemptOutcome::Parked { error } if is_message => {
            troubles.note(&channel, Some(error)).await;
        }
        AttemptOutcome::Retry { error, .. }
        | AttemptOutcome::Parked { error }
        | AttemptOutcome::Dropped { reason: error } => {
            let error = Some(error.clone());
            troubles.note_of(&post.upgrade, &own, error).await;
        }
        AttemptOutcome::Skipped { .. } | AttemptOutcome::Unsaid { .. } => {}
    }
}

/// Has the board pinned that this edit has made anew, if it has.
async fn pin_anew(due: &DuePost<'_>) -> Result<(), StoreError> {
    let post = &due.post;
    if post.operation != Operation::Edit || !due.is_on_board() {
        return Ok(());
    }
    let core = due.core;
    let pin = async |batch: &mut Batch| {
        let posts = core.store.posts(&post.upgrade).await?;
        batch.posts = core.outbox.pinned_anew(&posts);
        Ok(())
    };
    core.outbox.transaction(pin).await
}

fn attempt_outcome(
    post: &Post,
    delivered: Delivered,
    failed_before: u32,
    now: Timestamp,
) -> AttemptOutcome {
    let rules = post.operation.rules();
    match delivered {
        Delivered::Accepted { accepted, .. } => AttemptOutcome::Sent { accepted, at: now },
        Delivered::Outlived => AttemptOutcome::Unsaid {
            reason: "it was not posted in time: its words are made anew".into(),
        },
        Delivered::Failed(ChatError::Retry { reason, after_ms }) => {
            let wait = backoff(&post.key, failed_before, after_ms);
            // What only goes with a message must not keep the next one back until somebody mends it.
            let is_refused = after_ms.is_some_and(|ms| ms >= MENDED_BY_PEOPLE_MS);
            AttemptOutcome::Retry {
                error: reason,
                not_before: now.checked_add(wait).unwrap_or(Timestamp::MAX),
                aside: !rules.blocks_channel || rules.is_companion && is_refused,
            }
        }
        // The post was deleted, or may not be edited any more; or somebody doesn't want to be written to after all.
        Delivered::Failed(error @ ChatError::Gone { .. })
            if rules.root.is_some() || post.reader().is_some() =>
        {
            AttemptOutcome::Dropped {
                reason: error.to_string(),
            }
        }
        Delivered::Failed(error @ ChatError::Refused { .. })
            if rules.when_refused == Refusal::Drop || post.reader().is_some() =>
        {
            AttemptOutcome::Dropped {
                reason: error.to_string(),
            }
        }
        Delivered::Failed(error) => AttemptOutcome::Parked {
            error: error.to_string(),
        },
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
    tracing::info!(post = %post.key, notice = post.notice, channel = post.channel, "not needed: {reason}");
    let outcome = AttemptOutcome::Dropped { reason };
    due.core.store.finish(&post.key, &outcome).await?;
    Ok(PostOutcome::Parked)
}

/// Gives up a post that is of no use any more, and what hangs on it.
pub(crate) async fn skip(due: &DuePost<'_>, reason: &str) -> Result<PostOutcome, StoreError> {
    let (store, post) = (&due.core.store, &due.post);
    tracing::warn!(post = %post.key, notice = post.notice, channel = post.channel, "skipped: {reason}");
    let posts = store.posts(&post.upgrade).await?;
    let hangs = |p: &&Post| hangs_on(p, post);
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

/// Returns whether a post that waits is a companion of another.
fn hangs_on(companion: &Post, post: &Post) -> bool {
    companion.is_beside(post) && companion.state == PostState::Planned && companion.key != post.key
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::outbox::KeyParts;

    fn post(operation: Operation, channel: &str, occurrence: &str) -> Post {
        let parts = KeyParts {
            upgrade: "v2",
            revision: 1,
            notice: "reminder",
            occurrence,
            channel,
            operation,
            edition: 0,
        };
        Post::planned(parts, 0, Timestamp::UNIX_EPOCH)
    }

    fn public(operation: Operation) -> Post {
        post(operation, "news", "1")
    }

    /// A reminder that somebody has asked for.
    fn private() -> Post {
        post(Operation::Post, "private matrix", "3600 @eve:example.org")
    }

    fn refused() -> Delivered {
        Delivered::Failed(ChatError::Refused {
            reason: "no".into(),
            remedy: "none".into(),
        })
    }

    fn gone() -> Delivered {
        Delivered::Failed(ChatError::Gone {
            reason: "no".into(),
            remedy: "none".into(),
        })
    }

    fn retry(after_ms: Option<u64>) -> Delivered {
        Delivered::Failed(ChatError::Retry {
            reason: "no".into(),
            after_ms,
        })
    }

    #[test]
    fn what_a_chat_refuses_is_parked_or_dropped_by_what_it_is_and_whom_it_concerns() {
        // What was tried, how it ended, whether it is dropped rather than parked, and whether operators hear of it.
        let cases: [(Post, Delivered, bool, bool); 13] = [
            (public(Operation::Post), refused(), false, true),
            (public(Operation::Post), gone(), false, true),
            (private(), refused(), true, false),
            (private(), gone(), true, false),
            (public(Operation::Edit), refused(), true, true),
            (public(Operation::Edit), gone(), true, true),
            (public(Operation::Mark), gone(), true, false),
            (public(Operation::Unpin), gone(), true, false),
            (public(Operation::Close), gone(), true, false),
            (public(Operation::Pin), refused(), true, true),
            (public(Operation::Pin), gone(), true, true),
            (public(Operation::Thread), gone(), true, true),
            (public(Operation::Picture), refused(), false, true),
        ];
        for (post, delivered, dropped, told) in cases {
            let what = format!("{:?} in {}", post.operation, post.channel);
            assert_eq!(is_quiet(&post, &delivered), !told, "{what}");
            let outcome = attempt_outcome(&post, delivered, 0, Timestamp::UNIX_EPOCH);
            let is_dropped = matches!(outcome, AttemptOutcome::Dropped { .. });
            let is_parked = matches!(outcome, AttemptOutcome::Parked { .. });
            assert_eq!((is_dropped, is_parked), (dropped, !dropped), "{what}");
        }
        assert!(!is_quiet(&private(), &retry(None)), "a chat that is away");
    }

    #[test]
    fn what_is_tried_again_holds_up_its_channel_unless_it_only_goes_with_a_message() {
        // What was tried, how long it was told to wait, and whether others of the channel go on meanwhile.
        let cases = [
            (Operation::Post, None, false),
            (Operation::Post, Some(60_000), false),
            (Operation::Edit, None, false),
            (Operation::Thread, None, false),
            (Operation::Thread, Some(59_999), false),
            (Operation::Thread, Some(60_000), true),
            (Operation::Pin, None, true),
        ];
        for (operation, after_ms, others_go_on) in cases {
            let outcome = attempt_outcome(
                &public(operation),
                retry(after_ms),
                0,
                Timestamp::UNIX_EPOCH,
            );
            let AttemptOutcome::Retry { aside, .. } = outcome else {
                panic!("{operation:?} is not tried again");
            };
            assert_eq!(aside, others_go_on, "{operation:?} {after_ms:?}");
        }
    }

    #[test]
    fn what_hangs_on_a_post_is_what_waits_beside_it() {
        let of = public(Operation::Post);
        let pin = public(Operation::Pin);
        assert!(hangs_on(&pin, &of));
        assert!(!hangs_on(&of, &of), "itself");
        let sent = Post {
            state: PostState::Sent,
            ..pin
        };
        assert!(!hangs_on(&sent, &of), "it is out already");
        let other = post(Operation::Pin, "news", "2");
        assert!(!hangs_on(&other, &of), "of another occurrence");
    }

    #[test]
    fn a_channel_waits_after_a_failure_and_while_another_worker_has_the_post() {
        let outcomes = [
            PostOutcome::Sent,
            PostOutcome::Failed,
            PostOutcome::Parked,
            PostOutcome::Held,
            PostOutcome::Skipped,
            PostOutcome::Reopened,
            PostOutcome::Taken,
        ];
        let waits = outcomes.map(PostOutcome::waits);
        assert_eq!(waits, [false, true, false, false, false, false, true]);
    }
}
