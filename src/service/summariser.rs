//! Counts feedback when its window closes, from the platforms themselves, and has the summary posted.

use std::{collections::BTreeMap, sync::Arc};

use jiff::SignedDuration;

use super::{Core, context};
use crate::{
    domain::{
        feedback::{Summary, Tally},
        notice::Happening,
        post::{Operation, Post, PostKey, PostState},
    },
    ports::{Batch, ChatError, StoreError},
};

/// What a tick came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Summarised {
    pub upgrades: usize,
    /// Something is due but can't be counted yet.
    pub waits: bool,
}

/// A channel that can't be read for so long after the window closed is left out of the summary.
const PATIENCE: SignedDuration = SignedDuration::from_hours(24);

pub struct Summariser {
    core: Arc<Core>,
}

impl Summariser {
    pub fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    /// Summarises each upgrade whose window has closed. What can't be counted yet is tried again at the
    /// next tick.
    pub async fn tick(&self) -> Result<Summarised, StoreError> {
        let mut summarised = Summarised::default();
        for accepted in self.core.store.upgrades().await? {
            let closes = context::closes(&accepted.progress, self.core.book().plan());
            let due = closes.is_some_and(|at| at <= self.core.clock.now()) & accepted.progress.feedback.is_none();
            if !due {
                continue;
            }
            let patient = closes.and_then(|at| at.checked_add(PATIENCE).ok()).is_some_and(|until| self.core.clock.now() < until);
            let Some(tallies) = self.tallies(&accepted.upgrade.id, patient).await? else {
                summarised.waits = true;
                continue;
            };
            let _guard = self.core.ledger.lock().await;
            let Some(mut accepted) = self.core.accepted(&accepted.upgrade.id).await? else { continue };
            accepted.progress.feedback = Some(Summary::of(tallies, &self.core.book().plan().feedback.meanings));
            let posts = self.core.posts_on(&accepted, Happening::FeedbackClosed, "1", None);
            self.core.store.commit(Batch { upgrades: vec![accepted], posts, ..Batch::default() }).await?;
            self.core.posts.notify_waiters();
            summarised.upgrades += 1;
        }
        Ok(summarised)
    }

    /// What each thread holds now; `None` while a thread is still to be opened or can't be read, as long
    /// as that is waited for.
    async fn tallies(&self, upgrade: &str, patient: bool) -> Result<Option<BTreeMap<String, Tally>>, StoreError> {
        let posts = self.core.store.posts(upgrade).await?;
        let mut tallies = BTreeMap::new();
        for thread in posts.iter().filter(|p| p.operation == Operation::Thread) {
            let Some(outlet) = self.core.outlets.get(&thread.channel) else { continue };
            if patient & matches!(thread.state, PostState::Planned | PostState::Sending) {
                return Ok(None);
            }
            let (Some(root), Some(thread_id)) = (root_of(thread, &posts), &thread.remote) else { continue };
            let part = format!("feedback in {}", thread.channel);
            match outlet.chat.tally(&outlet.place, root, thread_id).await {
                Ok(tally) => {
                    self.core.note_trouble(&part, None).await;
                    let sum: &mut Tally = tallies.entry(thread.channel.clone()).or_default();
                    tally.reactions.into_iter().for_each(|(emoji, n)| *sum.reactions.entry(emoji).or_default() += n);
                    sum.replies += tally.replies;
                }
                // The post or the room is gone: what was there can't be counted any more.
                Err(error) if !patient || matches!(error, ChatError::Refused { .. }) => {
                    tracing::warn!(channel = thread.channel, "feedback is not counted here: {error}");
                    self.core.note_trouble(&part, None).await;
                }
                Err(error) => {
                    self.core.note_trouble(&part, Some(&format!("can't be counted yet: {error}"))).await;
                    return Ok(None);
                }
            }
        }
        Ok(Some(tallies))
    }
}

fn root_of<'a>(thread: &Post, posts: &'a [Post]) -> Option<&'a str> {
    let key = PostKey::of(&thread.upgrade, thread.revision, &thread.notice, &thread.occurrence, &thread.channel, Operation::Post);
    posts.iter().find(|p| p.key == key)?.remote.as_deref()
}
