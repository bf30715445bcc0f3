//! The input of the gate's decisions.

use super::code;
use crate::{
    domain::{
        campaign::{Campaign, progress::State},
        outbox::{Post, PostState},
        people::approval::{Case, Consent},
        plan::notice::Notice,
    },
    ports::Approved,
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

    /// Returns whether a post that people have approved is out in public, or none has to be approved. What a chain shows is
    /// public by itself.
    fn is_announced(self) -> bool {
        let approved = |notice: &&Notice| {
            notice.approval.persons > 0 && notice.channels.iter().any(|c| self.is_public(c))
        };
        let urgency = self.campaign.upgrade.urgency;
        let notices = self.snapshot.plan().notices(urgency).iter();
        let approved: Vec<&Notice> = notices.filter(approved).collect();
        let is_out = |post: &Post| {
            post.is_message()
                && post.state == PostState::Sent
                && self.is_public(&post.channel)
                && approved.iter().any(|notice| notice.id == post.notice)
        };
        self.campaign.progress.state > State::Scheduled
            || approved.is_empty()
            || self.posts.iter().any(is_out)
    }

    fn is_public(self, channel: &str) -> bool {
        self.snapshot.config.deployment.is_public(channel)
    }
}
