//! The input of the gate's decisions.

use super::code;
use crate::{
    domain::{
        campaign::Campaign,
        campaign::progress::State,
        outbox::{Post, PostState},
        people::approval::{Case, Consent},
        plan::notice::Notice,
    },
    ports::{Approved, Readers},
    words::snapshot::ConfigSnapshot,
};

/// Everything that a post is judged by.
#[derive(Clone, Copy)]
pub(super) struct GateInput<'a> {
    pub snapshot: &'a ConfigSnapshot,
    pub campaign: &'a Campaign,
    pub approvals: &'a [Approved],
    /// The upgrade's posts, for who asks whether one of them may go out.
    pub posts: &'a [Post],
}

impl<'a> GateInput<'a> {
    pub fn notice(self, post: &Post) -> Option<&'a Notice> {
        self.snapshot
            .plan()
            .notice(self.campaign.upgrade.urgency, &post.notice)
    }

    pub fn consent(self, notice: &Notice, post: &Post) -> Consent {
        code::of(
            self.snapshot,
            self.campaign,
            notice,
            post.detail.as_deref(),
            self.approvals,
        )
    }

    pub fn case<'b>(self, notice: &'b Notice, consent: &'b Consent, post: &Post) -> Case<'b>
    where
        'a: 'b,
    {
        let (upgrade, progress) = (&self.campaign.upgrade, &self.campaign.progress);
        Case {
            notice,
            upgrade,
            progress,
            consent,
            due: post.due,
            held: post.state == PostState::Held,
            is_first_word: notice.repeats_the_announcement()
                && self.is_public(&post.channel)
                && !self.is_announced(),
        }
    }

    /// Returns whether a post that people have approved is out, or nothing for the public has to be approved. What a chain
    /// shows is public by itself.
    fn is_announced(self) -> bool {
        let upgrade = &self.campaign.upgrade;
        let mut guarded = (self.snapshot.plan().notices(upgrade.urgency).iter())
            .filter(|n| n.approval.persons > 0 && n.channels.iter().any(|c| self.is_public(c)))
            .peekable();
        let is_out = |notice: &Notice| {
            let mut posts = self.posts.iter();
            posts.any(|p| p.notice == notice.id && p.is_message() && p.state == PostState::Sent)
        };
        self.campaign.progress.state > State::Scheduled
            || guarded.peek().is_none()
            || guarded.any(is_out)
    }

    fn is_public(self, channel: &str) -> bool {
        let channels = &self.snapshot.config.deployment.channels;
        channels
            .get(channel)
            .is_some_and(|c| c.readers == Readers::Public)
    }
}
