//! Counts the votes on an upgrade's window when they are due, and tells operators, who decide.

use jiff::Timestamp;

use super::{
    Core, context,
    planner::occurrence_of,
    summariser::{Counted, PATIENCE, Read, read},
};
use crate::{
    domain::{
        feedback::{Heard, votes},
        notice::{Happening, Trigger},
        phase::State,
        post::{Operation, Post, PostState, digest},
    },
    ports::{Accepting, Batch, StoreError},
};

/// When the votes on an upgrade's window are to be counted, as long as they are not.
pub fn due(accepted: &Accepting) -> Option<Timestamp> {
    let progress = &accepted.progress;
    let open = progress.state == State::Scheduled && progress.votes.is_none() && !accepted.upgrade.given_up();
    accepted.upgrade.poll.as_ref().filter(|_| open).map(|poll| poll.decide_by)
}

/// Counts the votes if they are due. Somebody who votes in two channels is counted in both: herald doesn't know that they
/// are one, and it is people who decide.
pub(super) async fn count(core: &Core, accepted: &Accepting) -> Result<Counted, StoreError> {
    let now = core.clock.now();
    let (Some(at), Some(poll)) = (due(accepted).filter(|at| *at <= now), &accepted.upgrade.poll) else { return Ok(Counted::Nothing) };
    // Once the first window opens, a count is of no use any more.
    let first = poll.windows.iter().map(|w| w.opens).min();
    let patient = at.checked_add(PATIENCE).ok().into_iter().chain(first).min().is_some_and(|until| now < until);
    let Some(heard) = heard(core, accepted, patient).await? else { return Ok(Counted::NotYet) };
    let numbers: Vec<&str> = context::NUMBERS.into_iter().take(poll.windows.len()).collect();
    let counted = votes(&heard, &numbers);

    let _guard = core.ledger.lock().await;
    // Meanwhile it may have been decided, or people may be asked something else.
    let Some(mut accepted) =
        core.accepted(&accepted.upgrade.id).await?.filter(|a| a.upgrade.poll.as_ref() == Some(poll) && due(a).is_some())
    else {
        return Ok(Counted::Nothing);
    };
    accepted.progress.votes = Some(counted);
    let occurrence = digest(&[&accepted.revision.to_string(), &at.to_string()]);
    let posts = core.posts_about(&accepted, Happening::PollClosed, &occurrence, None);
    let mut batch = Batch { posts, ..Batch::default() };
    core.edits(&mut batch, &accepted, &core.store.posts(&accepted.upgrade.id).await?);
    batch.upgrades.push(accepted);
    core.store.commit(batch).await?;
    core.posts.notify_waiters();
    Ok(Counted::Now)
}

/// The reactions to each post of the poll; `None` while one is still to be made or can't be read, as long as that is waited for.
async fn heard(core: &Core, accepted: &Accepting, patient: bool) -> Result<Option<Vec<Heard>>, StoreError> {
    let mut all = Vec::new();
    for post in core.store.posts(&accepted.upgrade.id).await?.iter().filter(|p| asks(core, accepted, p)) {
        if patient && matches!(post.state, PostState::Planned | PostState::Sending) {
            return Ok(None);
        }
        let Some(root) = post.remote.as_deref().filter(|_| post.state == PostState::Sent) else { continue };
        match read(core, "votes", &post.channel, (root, None), patient).await {
            Read::Heard(heard) => all.push(heard),
            Read::Never => {}
            Read::NotYet => return Ok(None),
        }
    }
    Ok(Some(all))
}

/// Whether people answer this post with their votes: it proposes the windows as they are now.
fn asks(core: &Core, accepted: &Accepting, post: &Post) -> bool {
    let book = core.book();
    let notice = book.plan().notice(accepted.upgrade.urgency, &post.notice);
    post.operation == Operation::Post
        && post.occurrence == occurrence_of(accepted.revision, None)
        && notice.is_some_and(|n| n.trigger == Trigger::On(Happening::WindowProposed))
}
