//! Marks the all-clear that was given once it no longer holds.

use super::watcher::Watcher;
use crate::{
    domain::{
        campaign::{
            Campaign,
            progress::{ChainProgress, Progress, Stage, State},
        },
        outbox::{Operation, Post, PostState},
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
        let now = &campaign.progress;
        let is_clear = |progress: &Progress| progress.state >= State::Verified;
        // A chain that joins the upgrade takes nothing back of the others.
        let has_fallen = before.chains.iter().any(|(name, chain)| {
            let fell = |now: &ChainProgress| now.stage < Stage::Verified;
            chain.stage >= Stage::Verified && now.chains.get(name).is_some_and(fell)
        });
        let holds_again = match (is_clear(before), is_clear(now)) {
            (true, false) if has_fallen => false,
            (false, true) => true,
            _ => return Ok(()),
        };
        let (snapshot, upgrade) = (self.core.snapshot(), &campaign.upgrade);
        let posts = self.core.store.posts(&upgrade.id).await?;
        let is_marked = |root: &Post| {
            posts.iter().any(|post| {
                post.operation == Operation::Mark
                    && post.detail.as_deref() == Some(ALL_CLEAR)
                    && (&post.channel, &post.notice, &post.occurrence)
                        == (&root.channel, &root.notice, &root.occurrence)
            })
        };
        // Where nothing can be edited, the posts of the trouble and of its end say it alone.
        let is_edited = |post: &Post| {
            let outlet = self.core.outlets.get(&post.channel);
            outlet.is_some_and(|outlet| outlet.platform.capabilities().edits)
        };
        let says_all_clear = |post: &&Post| {
            let notice = snapshot.plan().notice(upgrade.urgency, &post.notice);
            post.is_message()
                && is_edited(post)
                && (!holds_again || is_marked(post))
                && matches!(post.state, PostState::Sent | PostState::Sending)
                && notice.is_some_and(|notice| notice.gives_all_clear() && !notice.live)
        };
        for root in posts.iter().filter(says_all_clear) {
            self.core.outbox.mark(batch, root, &posts, ALL_CLEAR);
        }
        Ok(())
    }
}
