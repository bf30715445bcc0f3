//! Whether a post is still worth saying when its turn comes: it may be late, or what it says may have become untrue
//! while a chat, the database or herald itself was away.

use jiff::{SignedDuration, Timestamp};

use super::{
    approval::gate::Passage,
    dispatcher::{Did, Dispatcher},
};
use crate::{
    domain::{
        campaign::{Campaign, progress::State},
        outbox::post::{Operation, Post, PostState},
        plan::notice::LatePolicy,
    },
    ports::{AttemptOutcome, StoreError},
    words::snapshot::ConfigSnapshot,
};

/// A post that begins this long after it was due says so.
const LATE_AFTER: SignedDuration = SignedDuration::from_secs(120);

pub(crate) fn is_late(post: &Post, now: Timestamp) -> bool {
    now.duration_since(post.due) > LATE_AFTER
}

/// Whether the words with which a post was begun may not go out any more, should it turn out that they are not out.
pub(crate) fn outlived(post: &Post, campaign: &Campaign, now: Timestamp) -> bool {
    post.operation == Operation::Post
        && post.body.is_some()
        && ((is_late(post, now) && !post.late) || outdated(campaign, post).is_some())
}

/// Why a post that was begun once would be untrue by now: what waits is withdrawn with the change itself, but this
/// seemed to be out already.
fn outdated(campaign: &Campaign, post: &Post) -> Option<&'static str> {
    if post.attempts == 0 || post.revision == 0 {
        None
    } else if post.revision < campaign.revision {
        Some("its window is another by now")
    } else if campaign.progress.state >= State::Applied && post.due <= campaign.upgrade.window.opens
    {
        Some("the upgrade is applied already")
    } else {
        None
    }
}

impl Dispatcher {
    /// Whether a post may not go out: people don't agree, the upgrade doesn't go on, or it comes too late.
    pub(crate) async fn kept_back(
        &self,
        snapshot: &ConfigSnapshot,
        campaign: &Campaign,
        post: &Post,
        now: Timestamp,
    ) -> Result<Option<Did>, StoreError> {
        if let Some(reason) = outdated(campaign, post) {
            return self
                .give_up(post, &format!("not posted in time: {reason}"))
                .await
                .map(Some);
        }
        let Some(notice) = snapshot
            .plan()
            .notice(campaign.upgrade.urgency, &post.notice)
        else {
            return Ok(None);
        };
        match self.gate.pass(snapshot, campaign, notice, post).await? {
            Passage::Barred => return Ok(Some(Did::Held)),
            // Who agreed knew how late it was.
            Passage::AgreedLate => return Ok(None),
            Passage::Free => {}
        }
        if notice.late == LatePolicy::Post || !is_late(post, now) {
            return Ok(None);
        }
        if notice.late == LatePolicy::Newest
            && !newer(
                snapshot,
                campaign,
                post,
                &self.core.store.posts(&post.upgrade).await?,
                now,
            )
        {
            return Ok(None);
        }
        let why = if notice.late == LatePolicy::Newest {
            "a later one takes its place"
        } else {
            "it would be of no use any more"
        };
        let reason = format!(
            "missed at {}: {why}",
            snapshot.renderer.zone().written(post.due)
        );
        self.give_up(post, &reason).await.map(Some)
    }

    /// A post that is of no use any more, and what hangs on it.
    async fn give_up(&self, post: &Post, reason: &str) -> Result<Did, StoreError> {
        tracing::warn!(post = %post.key, notice = post.notice, channel = post.channel, "skipped: {reason}");
        let posts = self.core.store.posts(&post.upgrade).await?;
        // What hangs on it first: without its post it has no sense.
        let same = |p: &&Post| {
            p.notice == post.notice
                && p.occurrence == post.occurrence
                && p.revision == post.revision
        };
        let hangs = posts.iter().filter(same).filter(|p| {
            p.channel == post.channel && p.state == PostState::Planned && p.key != post.key
        });
        for key in hangs.map(|p| &p.key).chain([&post.key]) {
            self.core
                .store
                .finish(
                    key,
                    &AttemptOutcome::Skipped {
                        reason: reason.to_owned(),
                    },
                )
                .await?;
        }
        Ok(Did::Skipped)
    }
}

/// Whether a later post by the clock is out in the same channel, or due by now as well.
fn newer(
    snapshot: &ConfigSnapshot,
    campaign: &Campaign,
    post: &Post,
    posts: &[Post],
    now: Timestamp,
) -> bool {
    let timed = |p: &Post| {
        let notice = snapshot.plan().notice(campaign.upgrade.urgency, &p.notice);
        notice.is_some_and(|n| n.trigger.is_by_clock())
    };
    let speaks = |p: &Post| {
        matches!(
            p.state,
            PostState::Planned | PostState::Sending | PostState::Sent
        )
    };
    posts.iter().any(|p| {
        let later = (p.due, p.rank) > (post.due, post.rank) && p.due <= now;
        let of_this_window = post.revision == 0 || p.revision == post.revision;
        p.channel == post.channel
            && p.operation == Operation::Post
            && of_this_window
            && later
            && speaks(p)
            && timed(p)
    })
}
