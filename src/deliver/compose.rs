//! Composes what a post says, at the moment when it goes out.

use std::sync::Arc;

use jiff::Timestamp;

use super::dispatcher::Dispatcher;
use crate::{
    domain::{
        campaign::Campaign,
        outbox::post::{Body, CORRECTION_PREFIX, Operation, Post, PostState},
        plan::notice::{Happening, Notice, Trigger},
    },
    ports::{Outlet, StoreError},
    report::roll,
    words::{
        card, context,
        render::{body, shortened},
        snapshot::ConfigSnapshot,
    },
};

impl Dispatcher {
    pub(crate) async fn render(
        &self,
        snapshot: &Arc<ConfigSnapshot>,
        post: &Post,
        campaign: &Campaign,
        outlet: &Outlet,
        (due, late): (Timestamp, bool),
        now: Timestamp,
    ) -> Result<Result<Body, String>, StoreError> {
        if post.operation == Operation::Preview {
            return self.gate.preview(snapshot, campaign, outlet, post).await;
        }
        if matches!(
            post.operation,
            Operation::Publish | Operation::Pin | Operation::Unpin | Operation::Close
        ) {
            return Ok(Ok(Body::default()));
        }
        let Some(notice) = snapshot
            .plan()
            .notice(campaign.upgrade.urgency, &post.notice)
        else {
            return Ok(Err(format!(
                "the plan no longer has a notice `{}`",
                post.notice
            )));
        };
        if post.operation == Operation::Event {
            let event = card::event(snapshot, campaign, notice, outlet, now);
            return Ok(event.map(|event| Body {
                event: Some(event),
                ..Body::default()
            }));
        }
        let thread = self
            .core
            .store
            .sent(&post.upgrade, &post.channel, Operation::Thread)
            .await?
            .and_then(|p| p.link);
        let reminded = roll::missing(&self.core, snapshot, campaign, outlet, post).await?;
        if reminded.as_ref().is_some_and(Vec::is_empty) {
            return Ok(Err("nobody is missing any more".to_owned()));
        }
        let correction = post
            .detail
            .as_deref()
            .and_then(|d| d.strip_prefix(CORRECTION_PREFIX))
            .filter(|_| post.operation == Operation::Mark);
        let moment = context::RenderInput {
            fact: post.fact.as_ref(),
            due: Some(due),
            late,
            thread: thread.as_deref(),
            detail: post.detail.as_deref(),
            correction,
            missing: reminded.as_deref().unwrap_or_default(),
            ..Default::default()
        };
        if post.operation == Operation::Mark {
            return self
                .marked(post, campaign, notice, outlet, &moment, now)
                .await;
        }
        // A reminder that is on time says "in 1 hour", not "in 59 minutes" for the second it took.
        let seen_at = if late || post.operation == Operation::Edit {
            now
        } else {
            due
        };
        Ok(body(
            snapshot,
            (campaign, notice),
            post.operation,
            outlet,
            &moment,
            seen_at,
        ))
    }

    /// The message that a post answers: what takes something back, the last one in its channel that it is about; a window
    /// that is set, the poll on it. Until the post is out nothing else is posted there, so each try answers the same.
    pub(crate) async fn answers(
        &self,
        post: &Post,
        campaign: &Campaign,
    ) -> Result<Option<String>, StoreError> {
        let snapshot = self.core.snapshot();
        let notice = |post: &Post| {
            snapshot
                .plan()
                .notice(campaign.upgrade.urgency, &post.notice)
        };
        let on = |post: &Post, wanted: &dyn Fn(Happening) -> bool| {
            notice(post)
                .is_some_and(|n| matches!(n.trigger, Trigger::On(happening) if wanted(happening)))
        };
        let (takes_back, sets) = (
            on(post, &Happening::answers),
            on(post, &|happening| happening == Happening::WindowSet),
        );
        if post.operation != Operation::Post || !(takes_back || sets) {
            return Ok(None);
        }
        // The board says at all times what is so: there is nothing in it to take back.
        let said = |p: &&Post| {
            p.channel == post.channel
                && p.operation == Operation::Post
                && p.state == PostState::Sent
                && !notice(p).is_some_and(|n| n.board)
                && (takes_back || on(p, &|happening| happening == Happening::WindowProposed))
        };
        let posts = self.core.store.posts(&post.upgrade).await?;
        Ok(posts
            .iter()
            .filter(said)
            .max_by_key(|p| (p.due, p.rank))
            .and_then(|p| p.remote.clone()))
    }

    /// Whether the post, as edited last, reads like this already; or the calendar.
    pub(crate) async fn says_nothing_new(
        &self,
        edit: &Post,
        body: &Body,
    ) -> Result<bool, StoreError> {
        if !matches!(edit.operation, Operation::Edit | Operation::Event) {
            return Ok(false);
        }
        for edition in (0..edit.edition).rev() {
            let operation = if edition == 0 && edit.operation == Operation::Edit {
                Operation::Post
            } else {
                edit.operation
            };
            let before = self
                .core
                .store
                .post(&edit.beside(operation, edition).key)
                .await?;
            if let Some(before) = before.filter(|p| p.state == PostState::Sent) {
                let same =
                    |b: Body| (b.text == body.text) && b.card == body.card && b.event == body.event;
                return Ok(before.body.is_some_and(same));
            }
        }
        Ok(false)
    }

    /// Whether a later edition went out while this one waited aside.
    pub(crate) async fn is_outdated(&self, post: &Post) -> Result<bool, StoreError> {
        let posts = self.core.store.posts(&post.upgrade).await?;
        let later = |p: &Post| {
            p.edition > post.edition && p.key == post.beside(post.operation, p.edition).key
        };
        Ok(posts
            .iter()
            .any(|p| p.operation == post.operation && p.state == PostState::Sent && later(p)))
    }

    /// What a post says, with a line on top that it no longer holds.
    async fn marked(
        &self,
        post: &Post,
        campaign: &Campaign,
        notice: &Notice,
        outlet: &Outlet,
        moment: &context::RenderInput<'_>,
        now: Timestamp,
    ) -> Result<Result<Body, String>, StoreError> {
        let root = self
            .core
            .store
            .post(&post.beside(Operation::Post, 0).key)
            .await?
            .filter(|p| p.state == PostState::Sent);
        let Some(said) = root.and_then(|p| p.body) else {
            return Ok(Err("its notice was not posted".to_owned()));
        };
        let capabilities = outlet.platform.capabilities();
        let between = capabilities.markup.paragraph_break();
        Ok(body(
            &self.core.snapshot(),
            (campaign, notice),
            Operation::Mark,
            outlet,
            moment,
            now,
        )
        .map(|mark| Body {
            text: shortened(
                format!("{}{between}{}", mark.text, said.text),
                capabilities.max_text,
            ),
            html: mark
                .html
                .zip(said.html)
                .map(|(mark, said)| format!("{mark}\n{said}")),
            picture: None,
            mentions: said.mentions,
            ..Body::default()
        }))
    }
}
