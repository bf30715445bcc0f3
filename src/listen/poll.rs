//! Counts the votes on an upgrade's window when they are due, and tells operators, who decide.

use super::{
    feedback::{Counted, READ_TIMEOUT},
    reader::{Read, ReadPurpose, Reader},
};
use crate::{
    domain::{
        campaign::Campaign,
        outbox::{Operation, Post, PostState, digest, occurrence_of},
        people::feedback::{Heard, Reaction, same, votes},
        plan::notice::{Happening, Trigger},
    },
    outbox::Core,
    ports::{Batch, StoreError},
    words::context,
};

/// Counts the votes if they are due. Somebody who votes in two channels is counted in both: herald
/// doesn't know that they are one, and people decide in the end.
pub(crate) async fn count(
    core: &Core,
    reader: &Reader,
    campaign: &Campaign,
) -> Result<Counted, StoreError> {
    let now = core.clock.now();
    let (Some(at), Some(poll)) = (
        campaign.votes_due().filter(|at| *at <= now),
        &campaign.upgrade.poll,
    ) else {
        return Ok(Counted::Nothing);
    };
    // Once the first window opens, a count is of no use any more.
    let first = poll.windows.iter().map(|w| w.opens).min();
    let patient = at
        .checked_add(READ_TIMEOUT)
        .ok()
        .into_iter()
        .chain(first)
        .min()
        .is_some_and(|until| now < until);
    let purpose = if patient {
        ReadPurpose::Count
    } else {
        ReadPurpose::LastCount
    };
    let Some(heard) = read_reactions(core, reader, campaign, purpose).await? else {
        return Ok(Counted::NotYet);
    };
    let numbers: Vec<&str> = context::NUMBER_EMOJI
        .into_iter()
        .take(poll.windows.len())
        .collect();
    let counted = votes(&heard, &numbers);

    let outbox = &core.outbox;
    let write = async |batch: &mut Batch| {
        // Meanwhile it may have been decided, or people may be asked something else.
        let Some(mut campaign) = core
            .campaign(&campaign.upgrade.id)
            .await?
            .filter(|a| a.upgrade.poll.as_ref() == Some(poll) && a.votes_due().is_some())
        else {
            return Ok(Counted::Nothing);
        };
        campaign.progress.votes = Some(counted);
        let occurrence = digest(&[&campaign.revision.to_string(), &at.to_string()]);
        batch.posts = outbox.posts_about(&campaign, Happening::PollClosed, &occurrence, None);
        let posts = core.store.posts(&campaign.upgrade.id).await?;
        outbox.edits(batch, &campaign, &posts);
        batch.upgrades.push(campaign);
        Ok(Counted::Now)
    };
    outbox.transaction(write).await
}

/// Reads the reactions to the poll's posts; `None` if one can't be read yet and a count waits for it.
async fn read_reactions(
    core: &Core,
    reader: &Reader,
    campaign: &Campaign,
    purpose: ReadPurpose,
) -> Result<Option<Vec<Heard>>, StoreError> {
    let mut all = Vec::new();
    let posts = core.store.posts(&campaign.upgrade.id).await?;
    let waits = |p: &Post| {
        purpose == ReadPurpose::Count && matches!(p.state, PostState::Planned | PostState::Sending)
    };
    for post in posts.iter().filter(|p| asks(core, campaign, p)) {
        let vote = post.key_beside(Operation::Poll, 0);
        let vote = posts.iter().find(|p| p.key == vote);
        if waits(post) || vote.is_some_and(waits) {
            return Ok(None);
        }
        let message = post.standing(&posts).remote.as_deref();
        let Some(root) = message.filter(|_| post.state == PostState::Sent) else {
            continue;
        };
        match reader.read("votes", post, (root, None), purpose).await {
            Read::Heard(mut heard) => {
                match voted(core, reader, vote, purpose).await {
                    Read::Heard(votes) => heard.reactions.extend(votes),
                    Read::Never => {}
                    Read::NotYet => return Ok(None),
                }
                once(&mut heard);
                all.push(heard);
            }
            Read::Never => {}
            Read::NotYet => return Ok(None),
        }
    }
    Ok(Some(all))
}

/// Reads the votes where the platform has votes of its own.
async fn voted(
    core: &Core,
    reader: &Reader,
    vote: Option<&Post>,
    purpose: ReadPurpose,
) -> Read<Vec<Reaction>> {
    let place = vote
        .filter(|p| p.state == PostState::Sent)
        .and_then(|p| Some((p, p.remote.as_deref()?, core.outlets.get(&p.channel)?)));
    let Some((post, id, outlet)) = place else {
        return Read::Never;
    };
    reader.votes(post, id, outlet, purpose).await
}

/// Counts a person who has reacted and voted alike once.
fn once(heard: &mut Heard) {
    let mut kept: Vec<Reaction> = Vec::new();
    for reaction in heard.reactions.drain(..) {
        if !kept
            .iter()
            .any(|k| k.by == reaction.by && same(&k.emoji, &reaction.emoji))
        {
            kept.push(reaction);
        }
    }
    heard.reactions = kept;
}

/// True if people answer this post with their votes, since it proposes the windows as they are now.
fn asks(core: &Core, campaign: &Campaign, post: &Post) -> bool {
    let snapshot = core.snapshot();
    let notice = snapshot
        .plan()
        .notice(campaign.upgrade.urgency, &post.notice);
    post.is_message()
        && post.occurrence == occurrence_of(campaign.revision, None)
        && notice.is_some_and(|n| n.trigger == Trigger::On(Happening::WindowProposed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_reacts_and_votes_alike_counts_once() {
        let reaction = |by: &str, emoji: &str| Reaction {
            by: by.into(),
            emoji: emoji.into(),
            at: None,
        };
        let given = [
            reaction("a", "1️⃣"),
            reaction("a", "1\u{20e3}"),
            reaction("a", "2️⃣"),
            reaction("b", "1️⃣"),
        ];
        let mut heard = Heard {
            reactions: given.into(),
            ..Heard::default()
        };
        once(&mut heard);
        assert_eq!(votes(&[heard], &["1️⃣", "2️⃣"]), [2, 1]);
    }
}
