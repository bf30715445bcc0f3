//! Marks the all-clear that was given once it no longer holds.

use super::watcher::Watcher;
use crate::{
    domain::{
        campaign::{
            Campaign,
            progress::{Progress, State},
        },
        outbox::{Post, PostState},
    },
    ports::{Batch, StoreError},
};

/// What no longer holds, as a mark has it.
const ALL_CLEAR: &str = "all-clear";

impl Watcher {
    /// Adds a line on top of the all-clear that is out, when it no longer holds; the next one says that it holds again.
    pub(super) async fn mark_all_clear(
        &self,
        batch: &mut Batch,
        campaign: &Campaign,
        before: &Progress,
    ) -> Result<(), StoreError> {
        let is_clear = |progress: &Progress| progress.state >= State::Verified;
        if is_clear(&campaign.progress) == is_clear(before) {
            return Ok(());
        }
        let (snapshot, upgrade) = (self.core.snapshot(), &campaign.upgrade);
        let says_all_clear = |post: &&Post| {
            let notice = snapshot.plan().notice(upgrade.urgency, &post.notice);
            post.is_message()
                && matches!(post.state, PostState::Sent | PostState::Sending)
                && notice.is_some_and(|notice| notice.gives_all_clear() && !notice.live)
        };
        let posts = self.core.store.posts(&upgrade.id).await?;
        for root in posts.iter().filter(says_all_clear) {
            self.core.outbox.mark(batch, root, &posts, ALL_CLEAR);
        }
        Ok(())
    }
}
