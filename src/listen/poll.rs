//! Counts the votes on an upgrade's window when they are due, and tells operators, who decide.

use jiff::Timestamp;

use super::feedback::{Counted, PATIENCE, Read, read, settled};
use crate::{
    config::Config,
    domain::{
        campaign::progress::State,
        outbox::post::{Ballot, Operation, Post, PostState, digest},
        people::feedback::{Heard, Reaction, same, votes},
        plan::notice::{Happening, Trigger},
    },
    outbox::Core,
    plan::planner::occurrence_of,
    ports::{Accepting, Batch, StoreError},
    words::context,
};

/// The words of a vote, where a platform has votes of its own: the question, and a line for each window. A folder of
/// templates that lacks it has reactions alone.
pub const TEMPLATE: &str = "scheduling/ballot";

pub fn has_words(config: &Config) -> bool {
    config.templates.contains_key(TEMPLATE)
}

/// The vote with these words.
pub fn ballot(text: &str, windows: usize) -> Result<Ballot, String> {
    let mut lines = text.lines().map(|line| line.trim().trim_start_matches(['-', '•', '*', ' '])).filter(|line| !line.is_empty());
    let question = lines.next().unwrap_or_default().to_owned();
    let lines: Vec<String> = lines.map(str::to_owned).collect();
    if lines.len() != windows || windows == 0 {
        return Err(format!(
            "`{TEMPLATE}` needs a line for the question and one for each of {windows} windows, but has {} below it",
            lines.len()
        ));
    }
    Ok(Ballot { question, choices: context::NUMBERS.into_iter().map(str::to_owned).zip(lines).collect() })
}

/// Whether a vote is still on what is proposed, and not counted.
pub fn is_open(accepted: &Accepting, post: &Post) -> bool {
    due(accepted).is_some() && post.occurrence == occurrence_of(accepted.revision, None)
}

/// When the votes on an upgrade's window are to be counted, as long as they are not.
pub fn due(accepted: &Accepting) -> Option<Timestamp> {
    let progress = &accepted.progress;
    let open = progress.state == State::Scheduled && progress.votes.is_none() && !accepted.upgrade.given_up();
    accepted.upgrade.poll.as_ref().filter(|_| open).map(|poll| poll.decide_by)
}

/// Counts the votes if they are due. Somebody who votes in two channels is counted in both: herald doesn't know that they
/// are one, and it is people who decide.
pub(crate) async fn count(core: &Core, accepted: &Accepting) -> Result<Counted, StoreError> {
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
    let posts = core.store.posts(&accepted.upgrade.id).await?;
    let waits = |p: &Post| patient && matches!(p.state, PostState::Planned | PostState::Sending);
    for post in posts.iter().filter(|p| asks(core, accepted, p)) {
        let vote = post.beside(Operation::Poll, 0).key;
        let vote = posts.iter().find(|p| p.key == vote);
        if waits(post) || vote.is_some_and(waits) {
            return Ok(None);
        }
        let Some(root) = post.remote.as_deref().filter(|_| post.state == PostState::Sent) else { continue };
        match read(core, "votes", post, (root, None), patient).await {
            Read::Heard(mut heard) => {
                match voted(core, vote, patient).await {
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

/// What was chosen where the platform has a vote of its own.
async fn voted(core: &Core, vote: Option<&Post>, patient: bool) -> Read<Vec<Reaction>> {
    let place = vote.filter(|p| p.state == PostState::Sent).and_then(|p| Some((p, p.remote.as_deref()?, core.outlets.get(&p.channel)?)));
    let Some((post, id, outlet)) = place else { return Read::Never };
    settled(core, "votes", &post.channel, outlet.chat.votes(&outlet.place, id).await, patient).await
}

/// Who has reacted and voted alike counts once.
fn once(heard: &mut Heard) {
    let mut kept: Vec<Reaction> = Vec::new();
    for reaction in heard.reactions.drain(..) {
        if !kept.iter().any(|k| k.by == reaction.by && same(&k.emoji, &reaction.emoji)) {
            kept.push(reaction);
        }
    }
    heard.reactions = kept;
}

/// Whether people answer this post with their votes: it proposes the windows as they are now.
fn asks(core: &Core, accepted: &Accepting, post: &Post) -> bool {
    let book = core.book();
    let notice = book.plan().notice(accepted.upgrade.urgency, &post.notice);
    post.operation == Operation::Post
        && post.occurrence == occurrence_of(accepted.revision, None)
        && notice.is_some_and(|n| n.trigger == Trigger::On(Happening::WindowProposed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vote_has_a_question_and_a_line_for_each_window() {
        let text = "When?\n\n- 1️⃣ Monday\n• 2️⃣ Tuesday\n";
        let made = ballot(text, 2).unwrap();
        assert_eq!((made.question.as_str(), made.choices[1].0.as_str(), made.choices[1].1.as_str()), ("When?", "2️⃣", "2️⃣ Tuesday"));
        for (text, windows) in [(text, 3), (text, 1), ("When?", 0), ("", 1)] {
            assert!(ballot(text, windows).unwrap_err().contains("a line for the question"), "{text} {windows}");
        }
    }

    #[test]
    fn who_reacts_and_votes_alike_counts_once() {
        let reaction = |by: &str, emoji: &str| Reaction { by: by.into(), emoji: emoji.into(), at: None };
        let given = [reaction("a", "1️⃣"), reaction("a", "1\u{20e3}"), reaction("a", "2️⃣"), reaction("b", "1️⃣")];
        let mut heard = Heard { reactions: given.into(), replies: Vec::new() };
        once(&mut heard);
        assert_eq!(votes(&[heard], &["1️⃣", "2️⃣"]), [2, 1]);
    }
}
