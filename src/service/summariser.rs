//! Counts feedback when its window closes, and votes when they are due, from the platforms themselves, and has that posted.

use std::{collections::BTreeMap, sync::Arc};

use jiff::SignedDuration;

use super::{Core, context, poll};
use crate::{
    domain::{
        feedback::{Summary, Tally},
        notice::Happening,
        post::{Operation, Post, PostKey, PostState},
    },
    ports::{Accepting, Batch, ChatError, StoreError},
};

/// What a tick came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Summarised {
    /// Of which something was counted.
    pub upgrades: usize,
    /// Something is due but can't be counted yet.
    pub waits: bool,
}

/// A channel that can't be read for so long after it was to be counted is left out.
pub(super) const PATIENCE: SignedDuration = SignedDuration::from_hours(24);

pub struct Summariser {
    core: Arc<Core>,
}

impl Summariser {
    pub fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    /// Summarises each upgrade whose feedback window has closed, and counts the votes on windows that are due. What can't
    /// be counted yet is tried again at the next tick.
    pub async fn tick(&self) -> Result<Summarised, StoreError> {
        let mut summarised = Summarised::default();
        for accepted in self.core.store.upgrades().await? {
            for counted in [self.feedback(&accepted).await?, poll::count(&self.core, &accepted).await?] {
                summarised.upgrades += usize::from(counted == Counted::Now);
                summarised.waits |= counted == Counted::NotYet;
            }
        }
        Ok(summarised)
    }

    async fn feedback(&self, accepted: &Accepting) -> Result<Counted, StoreError> {
        let closes = context::closes(&accepted.progress, self.core.book().plan());
        let due = closes.is_some_and(|at| at <= self.core.clock.now()) & accepted.progress.feedback.is_none();
        if !due {
            return Ok(Counted::Nothing);
        }
        let patient = closes.and_then(|at| at.checked_add(PATIENCE).ok()).is_some_and(|until| self.core.clock.now() < until);
        let Some(tallies) = self.tallies(&accepted.upgrade.id, patient).await? else { return Ok(Counted::NotYet) };
        let _guard = self.core.ledger.lock().await;
        let Some(mut accepted) = self.core.accepted(&accepted.upgrade.id).await? else { return Ok(Counted::Nothing) };
        accepted.progress.feedback = Some(Summary::of(tallies, &self.core.book().plan().feedback.meanings));
        let posts = self.core.posts_on(&accepted, Happening::FeedbackClosed, "1", None);
        self.core.store.commit(Batch { upgrades: vec![accepted], posts, ..Batch::default() }).await?;
        self.core.posts.notify_waiters();
        Ok(Counted::Now)
    }

    /// What each thread holds now; `None` while a thread is still to be opened or can't be read, as long
    /// as that is waited for.
    async fn tallies(&self, upgrade: &str, patient: bool) -> Result<Option<BTreeMap<String, Tally>>, StoreError> {
        let posts = self.core.store.posts(upgrade).await?;
        let mut tallies = BTreeMap::new();
        for thread in posts.iter().filter(|p| p.operation == Operation::Thread) {
            if patient & matches!(thread.state, PostState::Planned | PostState::Sending) {
                return Ok(None);
            }
            let (Some(root), Some(thread_id)) = (root_of(thread, &posts), &thread.remote) else { continue };
            match tally(&self.core, "feedback", &thread.channel, (root, Some(thread_id)), patient).await {
                Read::Tally(tally) => {
                    let sum: &mut Tally = tallies.entry(thread.channel.clone()).or_default();
                    tally.reactions.into_iter().for_each(|(emoji, n)| *sum.reactions.entry(emoji).or_default() += n);
                    sum.replies += tally.replies;
                }
                Read::Never => {}
                Read::NotYet => return Ok(None),
            }
        }
        Ok(Some(tallies))
    }
}

/// What came of counting something of an upgrade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counted {
    /// There is nothing to count.
    Nothing,
    Now,
    /// It is due, but a channel can't be read now.
    NotYet,
}

/// What reading a message's reactions and replies came to.
pub(super) enum Read {
    Tally(Tally),
    /// The post or the room is gone, or it was waited for long enough: what was there can't be counted any more.
    Never,
    NotYet,
}

/// Reads the reactions to a message and the replies in its thread, and notes for operators when that has to wait. `what`
/// is counted, in their words.
pub(super) async fn tally(core: &Core, what: &str, channel: &str, (root, thread): (&str, Option<&str>), patient: bool) -> Read {
    let Some(outlet) = core.outlets.get(channel) else { return Read::Never };
    let part = format!("{what} in {channel}");
    match outlet.chat.tally(&outlet.place, root, thread).await {
        Ok(tally) => {
            core.note_trouble(&part, None).await;
            Read::Tally(tally)
        }
        Err(error) if !patient || matches!(error, ChatError::Refused { .. }) => {
            tracing::warn!(channel, "{what} is not counted here: {error}");
            core.note_trouble(&part, None).await;
            Read::Never
        }
        Err(error) => {
            core.note_trouble(&part, Some(&format!("can't be counted yet: {error}"))).await;
            Read::NotYet
        }
    }
}

fn root_of<'a>(thread: &Post, posts: &'a [Post]) -> Option<&'a str> {
    let key = PostKey::of(&thread.upgrade, thread.revision, &thread.notice, &thread.occurrence, &thread.channel, Operation::Post);
    posts.iter().find(|p| p.key == key)?.remote.as_deref()
}
