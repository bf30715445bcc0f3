//! The input of the gate's decisions.

use super::code;
use crate::{
    domain::{
        campaign::Campaign,
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
        }
    }
}
