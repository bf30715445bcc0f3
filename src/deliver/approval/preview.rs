//! The preview of a notice, for those who may approve it.

use crate::{
    deliver::due::{DuePost, Unsayable},
    domain::{
        campaign::Campaign,
        outbox::{Body, Post},
        people::approval::useful_until,
        plan::notice::Notice,
    },
    words::{
        Text,
        context::{self, ApprovalRequest, RenderInput},
        templates,
    },
};

use super::input::GateInput;

/// A notice as it will read, below what is asked of people.
pub(crate) async fn preview(due: &DuePost<'_>, campaign: &Campaign) -> Result<Body, Unsayable> {
    let (core, post) = (due.core, &due.post);
    let approvals = core.store.approvals(&campaign.upgrade.id).await?;
    let input = GateInput {
        snapshot: &due.snapshot,
        campaign,
        approvals: &approvals,
        posts: &[],
    };
    let notice = input
        .notice(post)
        .ok_or("the plan no longer has its notice")?;
    let consent = input.consent(notice, post);
    if consent.code != post.occurrence {
        return Err("the text has changed since".into());
    }
    let is_previewed = |p: &&Post| {
        p.upgrade == post.upgrade
            && p.notice == post.notice
            && p.revision == post.revision
            && p.is_message()
            && p.detail == post.detail
    };
    let waiting = core.store.waiting().await?;
    let first = waiting
        .iter()
        .find(is_previewed)
        .ok_or("nothing waits for it any more")?;
    let given = consent.given.into_iter();
    let request = ApprovalRequest {
        code: consent.code,
        persons: consent.persons,
        given: given.map(|(person, _)| person).collect(),
        until: useful_until(notice, &campaign.upgrade, first.due, true),
    };
    Ok(body(due, campaign, notice, first, &request)?)
}

fn body(
    due: &DuePost<'_>,
    campaign: &Campaign,
    notice: &Notice,
    first: &Post,
    request: &ApprovalRequest,
) -> Result<Body, String> {
    let (snapshot, outlet, post) = (&due.snapshot, due.outlet, &due.post);
    let input = RenderInput {
        fact: post.fact.as_ref(),
        due: Some(first.due),
        detail: post.detail.as_deref(),
        approval: Some(request),
        ..RenderInput::default()
    };
    let context = context::of(campaign, Some(notice), &snapshot.config, &input).into();
    let channels = &snapshot.config.deployment.channels;
    let locale = notice
        .channels
        .iter()
        .find_map(|name| channels.get(name))
        .map_or(&*outlet.locale, |c| &c.locale);
    let renderer = &snapshot.renderer;
    let asking = renderer.markdown(templates::APPROVAL_PREVIEW, &outlet.locale, &context)?;
    let said = renderer.markdown(&notice.template, locale, &context)?;
    let write = |text: &Text, at| renderer.body(text, outlet.platform, at);
    let (asking, said) = (
        write(&asking, due.now),
        write(&said, first.due.max(due.now)),
    );
    let between = outlet.platform.capabilities().markup.paragraph_break();
    // Nobody is called by a preview, whoever the notice calls.
    Ok(Body {
        text: format!("{}{between}{}", asking.text, said.text),
        html: asking
            .html
            .zip(said.html)
            .map(|(asking, said)| format!("{asking}<hr>{said}")),
        ..Body::default()
    })
}
