//! Where an upgrade's posts stand together in a channel: the channel itself, or its topic in a forum.

use jiff::Timestamp;

use crate::{
    domain::{
        campaign::Campaign,
        outbox::post::{PostKey, digest},
    },
    outbox::Core,
    ports::{ChatError, Outlet},
    words::{context, templates},
};

/// Which topic it is, whatever its title.
fn key(upgrade: &str, channel: &str) -> PostKey {
    PostKey(digest(&["topic", upgrade, channel]))
}

impl Core {
    /// Where an upgrade's posts are, in a channel that has some.
    pub(crate) async fn place(
        &self,
        outlet: &Outlet,
        channel: &str,
        upgrade: &str,
    ) -> Result<String, ChatError> {
        let topic = outlet
            .chat
            .topic(&outlet.place, &key(upgrade, channel), None)
            .await?;
        topic.ok_or_else(|| ChatError::Refused {
            reason: format!("the topic of {upgrade} in {channel} is gone"),
            remedy: "what was said there can't be read any more".into(),
        })
    }

    /// Where an upgrade's posts go, made if need be.
    pub(crate) async fn place_for(
        &self,
        outlet: &Outlet,
        channel: &str,
        campaign: &Campaign,
        now: Timestamp,
    ) -> Result<String, ChatError> {
        let upgrade = &campaign.upgrade;
        let key = key(&upgrade.id, channel);
        if let Some(place) = outlet.chat.topic(&outlet.place, &key, None).await? {
            return Ok(place);
        }
        let snapshot = self.snapshot();
        let text = if snapshot.config.templates.contains_key(templates::TOPIC) {
            let context = context::of(
                campaign,
                None,
                &snapshot.config,
                &context::RenderInput::default(),
            );
            let text =
                snapshot
                    .renderer
                    .markdown(templates::TOPIC, &outlet.locale, &context.into());
            text.map(|text| snapshot.renderer.body(&text, outlet.platform, now).text)
        } else {
            Ok(upgrade.summary.clone())
        };
        let refused = |reason: String| ChatError::Refused {
            reason,
            remedy: format!("mend the template `{}`", templates::TOPIC),
        };
        let made = outlet
            .chat
            .topic(
                &outlet.place,
                &key,
                Some((&upgrade.title, &text.map_err(refused)?)),
            )
            .await?;
        Ok(made.unwrap_or_else(|| outlet.place.clone()))
    }
}
