//! The place in a channel where an upgrade's posts stand together: the channel itself, or its topic in a forum.

use super::Core;
use crate::{
    domain::{
        campaign::Campaign,
        outbox::{PostKey, digest},
    },
    ports::{ChatError, Outlet},
    words::{context, templates},
};

/// The key of an upgrade's topic, whatever its title.
fn topic_key(upgrade: &str, channel: &str) -> PostKey {
    PostKey(digest(&["topic", upgrade, channel]))
}

/// The place of an upgrade's posts, in a channel that has some.
pub(crate) async fn find(
    outlet: &Outlet,
    channel: &str,
    upgrade: &str,
) -> Result<String, ChatError> {
    let key = topic_key(upgrade, channel);
    let topic = outlet.chat.topic(&outlet.place, &key, None).await?;
    topic.ok_or_else(|| ChatError::Refused {
        reason: format!("the topic of {upgrade} in {channel} is gone"),
        remedy: "what was said there can't be read any more".into(),
    })
}

/// The place of an upgrade's posts, made if need be.
pub(crate) async fn find_or_make(
    core: &Core,
    outlet: &Outlet,
    channel: &str,
    campaign: &Campaign,
) -> Result<String, ChatError> {
    let upgrade = &campaign.upgrade;
    let key = topic_key(&upgrade.id, channel);
    if let Some(place) = outlet.chat.topic(&outlet.place, &key, None).await? {
        return Ok(place);
    }
    let text = opening(core, outlet, campaign).map_err(|reason| ChatError::Refused {
        reason,
        remedy: format!("mend the template `{}`", templates::TOPIC),
    })?;
    let made = outlet
        .chat
        .topic(&outlet.place, &key, Some((&upgrade.title, &text)))
        .await?;
    Ok(made.unwrap_or_else(|| outlet.place.clone()))
}

/// The first message of a topic.
fn opening(core: &Core, outlet: &Outlet, campaign: &Campaign) -> Result<String, String> {
    let snapshot = core.snapshot();
    let (renderer, now) = (&snapshot.renderer, core.clock.now());
    if !snapshot.config.templates.contains_key(templates::TOPIC) {
        let summary = renderer.value(&campaign.upgrade.summary);
        return Ok(renderer.body(&summary, outlet.platform, now).text);
    }
    let input = context::RenderInput::default();
    let context = context::of(campaign, None, &snapshot.config, &input);
    let text = renderer.markdown(templates::TOPIC, &outlet.locale, &context.into())?;
    Ok(renderer.body(&text, outlet.platform, now).text)
}
