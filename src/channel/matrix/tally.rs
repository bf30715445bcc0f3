//! Counting feedback on the server: every page, each person once for each emoji.

use std::collections::HashSet;

use matrix_sdk::{
    Room,
    room::{IncludeRelations, RelationsOptions},
    ruma::{
        UInt,
        events::{TimelineEventType, relation::RelationType},
    },
};

use super::{Matrix, event::Event, send::event_id};
use crate::{domain::feedback::Tally, ports::ChatError};

/// Events a page; servers may give fewer.
const PAGE: u32 = 100;
/// A server that never ends its pages is left after so many.
const PAGES: usize = 200;

impl Matrix {
    /// Reactions to `root` and messages in `thread`, if there is one; our own and redacted ones left out, and so are
    /// replies that can't be decrypted.
    pub(super) async fn count(&self, place: &str, root: &str, thread: Option<&str>) -> Result<Tally, ChatError> {
        let room = self.joined(place).await?;
        let reactions = IncludeRelations::RelationsOfTypeAndEventType(RelationType::Annotation, TimelineEventType::Reaction);
        let reactions = self.relations(&room, root, reactions).await?;
        let replies = match thread {
            Some(thread) => self.relations(&room, thread, IncludeRelations::RelationsOfType(RelationType::Thread)).await?,
            None => Vec::new(),
        };
        Ok(tally(&reactions, &replies, self.me.as_str()))
    }

    async fn relations(&self, room: &Room, to: &str, which: IncludeRelations) -> Result<Vec<Event>, ChatError> {
        let id = event_id(to)?;
        let (mut events, mut from) = (Vec::new(), None);
        for _ in 0..PAGES {
            let options =
                RelationsOptions { from, limit: Some(UInt::from(PAGE)), include_relations: which.clone(), ..RelationsOptions::default() };
            let page = room.relations(id.clone(), options).await;
            let page = page.map_err(|error| self.failed(&format!("counting what relates to {to}"), &error))?;
            events.extend(page.chunk.iter().filter_map(Event::read));
            from = page.next_batch_token;
            if from.is_none() {
                return Ok(events);
            }
        }
        tracing::warn!(%to, pages = PAGES, "more relations than are counted");
        Ok(events)
    }
}

/// Pages may overlap when something comes in between, so nothing is counted twice.
fn tally(reactions: &[Event], replies: &[Event], me: &str) -> Tally {
    let mut tally = Tally::default();
    let mut seen = HashSet::new();
    for event in reactions.iter().filter(|event| event.sender != me && !event.is_redacted()) {
        if let Some(emoji) = &event.content.relates_to.key
            && seen.insert((&event.sender, emoji))
        {
            *tally.reactions.entry(emoji.clone()).or_default() += 1;
        }
    }
    let mut seen = HashSet::new();
    for event in replies.iter().filter(|event| event.sender != me && event.is_message()) {
        tally.replies += u32::from(seen.insert(&event.event_id));
    }
    tally
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(id: &str, sender: &str, kind: &str, content: serde_json::Value) -> Event {
        serde_json::from_value(json!({ "type": kind, "event_id": id, "sender": sender, "origin_server_ts": 1, "content": content }))
            .unwrap()
    }

    #[test]
    fn each_person_counts_once_an_emoji_and_we_not_at_all() {
        let reaction =
            |id, sender, key| event(id, sender, "m.reaction", json!({ "m.relates_to": { "rel_type": "m.annotation", "key": key } }));
        let reactions = [
            reaction("1", "@a", "👍"),
            reaction("2", "@a", "👍"),
            reaction("3", "@b", "👍"),
            reaction("4", "@a", "🎉"),
            reaction("5", "@me", "👍"),
        ];
        let text = || json!({ "msgtype": "m.text", "body": "b" });
        let replies = [
            event("1", "@a", "m.room.message", text()),
            event("1", "@a", "m.room.message", text()),
            event("2", "@me", "m.room.message", text()),
            event("3", "@b", "m.room.message", json!({})),
            event("4", "@b", "m.room.encrypted", json!({ "algorithm": "m.megolm.v1.aes-sha2" })),
        ];
        let tally = tally(&reactions, &replies, "@me");
        assert_eq!(tally, Tally { reactions: [("👍".into(), 2), ("🎉".into(), 1)].into(), replies: 1 });
    }
}
