//! The check whether a post is still worth saying when its turn comes: it may be late, or what it says may have become
//! untrue while a chat, the database or herald itself was away.

use jiff::{SignedDuration, Timestamp};

use super::{
    approval::gate::{Gate, GateDecision},
    due::DuePost,
};
use crate::{
    domain::{
        campaign::{Campaign, progress::State},
        outbox::{Post, PostState},
        plan::notice::LatePolicy,
    },
    ports::StoreError,
};

/// The answer to whether a due post may go out.
pub(crate) enum Eligibility {
    Eligible,
    /// People don't agree, or the upgrade doesn't go on.
    Held,
    /// The post is of no use any more, for this reason.
    Useless(String),
}

/// A post that begins this long after it was due says so.
const LATE_AFTER: SignedDuration = SignedDuration::from_secs(120);

pub(crate) fn is_late(post: &Post, now: Timestamp) -> bool {
    now.duration_since(post.due) > LATE_AFTER
}

/// Returns whether the words with which a post was begun may not go out any more, should it turn out that they are not
/// out.
pub(crate) fn is_outlived(post: &Post, campaign: &Campaign, now: Timestamp) -> bool {
    post.is_message()
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

/// Decides whether a due post may go out. Only a message that was never begun is held back: what is done to one goes
/// with it.
pub(crate) async fn eligibility(due: &DuePost<'_>, gate: &Gate) -> Result<Eligibility, StoreError> {
    let post = &due.post;
    let Some(campaign) = &due.campaign else {
        return Ok(Eligibility::Eligible);
    };
    if !post.is_message() || post.body.is_some() {
        return Ok(Eligibility::Eligible);
    }
    if let Some(reason) = outdated(campaign, post) {
        let reason = format!("not posted in time: {reason}");
        return Ok(Eligibility::Useless(reason));
    }
    let Some(notice) = due.notice() else {
        return Ok(Eligibility::Eligible);
    };
    match gate.decide(&due.snapshot, campaign, notice, post).await? {
        GateDecision::Closed => return Ok(Eligibility::Held),
        // Whoever agreed knew how late it was.
        GateDecision::ApprovedLate => return Ok(Eligibility::Eligible),
        GateDecision::Open => {}
    }
    if !is_late(post, due.now) {
        return Ok(Eligibility::Eligible);
    }
    let why = match notice.late {
        LatePolicy::Post => return Ok(Eligibility::Eligible),
        LatePolicy::Newest => {
            let posts = due.core.store.posts(&post.upgrade).await?;
            let is_by_clock = |post: &Post| {
                let notice = (due.snapshot.plan()).notice(campaign.upgrade.urgency, &post.notice);
                notice.is_some_and(|n| n.trigger.is_by_clock())
            };
            let mut by_clock = posts.iter().filter(|p| is_by_clock(p));
            if !by_clock.any(|p| is_newer(p, post, due.now)) {
                return Ok(Eligibility::Eligible);
            }
            "a later one takes its place"
        }
        LatePolicy::Skip => "it would be of no use any more",
    };
    let missed = due.snapshot.renderer.zone().written(post.due);
    Ok(Eligibility::Useless(format!("missed at {missed}: {why}")))
}

/// Returns whether a post is later than another of its channel, and is out or due by now as well.
fn is_newer(later: &Post, post: &Post, now: Timestamp) -> bool {
    let speaks = matches!(
        later.state,
        PostState::Planned | PostState::Sending | PostState::Sent
    );
    later.channel == post.channel
        && later.is_message()
        && (post.revision == 0 || later.revision == post.revision)
        && (later.due, later.rank) > (post.due, post.rank)
        && later.due <= now
        && speaks
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::domain::{
        campaign::upgrade::{Upgrade, Window},
        outbox::{Body, KeyParts, Operation},
    };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    /// Of revision 2, begun once, and due when the window opens.
    fn begun() -> Post {
        let parts = KeyParts {
            upgrade: "v2",
            revision: 2,
            notice: "reminder",
            occurrence: "1",
            channel: "news",
            operation: Operation::Post,
            edition: 0,
        };
        Post {
            attempts: 1,
            ..Post::planned(parts, 0, at(0))
        }
    }

    /// Of revision 2, with a window that opens at 0.
    fn campaign() -> Campaign {
        let window = Window {
            opens: at(0),
            closes: at(3600),
        };
        let upgrade = Upgrade::new("v2", "Two", window, BTreeMap::new());
        let mut campaign = Campaign::new(upgrade, at(-3600));
        campaign.revision = 2;
        campaign
    }

    #[test]
    fn a_post_is_late_two_minutes_after_it_was_due() {
        let late = [0, 120, 121].map(|second| is_late(&begun(), at(second)));
        assert_eq!(late, [false, false, true]);
    }

    #[test]
    fn a_post_that_was_begun_is_outdated_by_another_window_and_by_what_has_happened() {
        let window = "its window is another by now";
        let applied = "the upgrade is applied already";
        type Change = fn(&mut Campaign, &mut Post);
        let cases: [(Option<&str>, Change); 9] = [
            (None, |_, _| {}),
            (Some(window), |campaign, _| campaign.revision = 3),
            (None, |campaign, _| campaign.revision = 1),
            (None, |campaign, post| {
                (campaign.revision, post.attempts) = (3, 0);
            }),
            (None, |campaign, post| {
                (campaign.revision, post.revision) = (3, 0);
            }),
            (Some(applied), |campaign, _| {
                campaign.progress.state = State::Applied;
            }),
            (Some(applied), |campaign, post| {
                (campaign.progress.state, post.due) = (State::Verified, at(-60));
            }),
            (None, |campaign, post| {
                (campaign.progress.state, post.due) = (State::Applied, at(1));
            }),
            (None, |campaign, _| {
                campaign.progress.state = State::Applying;
            }),
        ];
        for (n, (reason, change)) in cases.into_iter().enumerate() {
            let (mut campaign, mut post) = (campaign(), begun());
            change(&mut campaign, &mut post);
            assert_eq!(outdated(&campaign, &post), reason, "case {n}");
        }
    }

    #[test]
    fn frozen_words_are_outlived_when_they_are_late_and_do_not_say_so_or_are_outdated() {
        type Change = fn(&mut Campaign, &mut Post);
        let cases: [(bool, i64, Change); 8] = [
            (false, 0, |_, _| {}),
            (true, 121, |_, _| {}),
            (false, 121, |_, post| post.late = true),
            (true, 0, |campaign, _| campaign.revision = 3),
            (true, 121, |campaign, post| {
                (campaign.revision, post.late) = (3, true);
            }),
            (false, 121, |_, post| post.body = None),
            (false, 121, |_, post| post.operation = Operation::Mark),
            (false, 0, |campaign, post| {
                (campaign.revision, post.body) = (3, None);
            }),
        ];
        for (n, (outlived, now, change)) in cases.into_iter().enumerate() {
            let (mut campaign, mut post) = (campaign(), begun());
            post.body = Some(Body::default());
            change(&mut campaign, &mut post);
            assert_eq!(is_outlived(&post, &campaign, at(now)), outlived, "case {n}");
        }
    }

    #[test]
    fn a_newer_post_is_a_later_one_of_the_channel_and_the_window_that_is_out_or_due() {
        type Change = fn(&mut Post, &mut Post);
        let cases: [(bool, Change); 14] = [
            (true, |_, _| {}),
            (false, |later, _| later.channel = "elsewhere".into()),
            (false, |later, _| later.operation = Operation::Mark),
            (false, |later, _| later.revision = 1),
            (true, |later, post| (later.revision, post.revision) = (1, 0)),
            (false, |later, _| later.due = at(0)),
            (true, |later, _| (later.due, later.rank) = (at(0), 1)),
            (false, |later, _| later.due = at(-1)),
            (true, |later, _| later.due = at(120)),
            (false, |later, _| later.due = at(121)),
            (true, |later, _| later.state = PostState::Sending),
            (true, |later, _| later.state = PostState::Sent),
            (false, |later, _| later.state = PostState::Skipped),
            (false, |later, _| later.state = PostState::Parked),
        ];
        for (n, (newer, change)) in cases.into_iter().enumerate() {
            let (mut later, mut post) = (begun(), begun());
            later.due = at(60);
            change(&mut later, &mut post);
            assert_eq!(is_newer(&later, &post, at(120)), newer, "case {n}");
        }
    }
}
