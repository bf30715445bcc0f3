//! Reading answers on the server: every page, each person once for each emoji.

use std::collections::HashSet;

use jiff::Timestamp;
use matrix_sdk::{
    Room,
    room::{IncludeRelations, RelationsOptions},
    ruma::{
        UInt,
        events::{TimelineEventType, relation::RelationType},
    },
};

use super::{Matrix, error, event::SyncEvent, send::event_id};
use crate::{
    domain::people::feedback::{Heard, Reaction, ThreadReply},
    ports::ChatError,
};

/// Events a page; servers may give fewer.
const PAGE_EVENTS: u32 = 100;
/// Characters of a reaction, which may be a word; more, or none, is no reaction.
const MAX_EMOJI_CHARS: usize = 64;
/// A server that never ends its pages is left after so many.
const MAX_PAGES: usize = 200;

/// Reactions to `root` and messages in `thread`, if there is one; our own and redacted ones left out, and so are
/// replies that can't be decrypted.
pub(super) async fn heard(
    matrix: &Matrix,
    place: &str,
    root: &str,
    thread: Option<&str>,
) -> Result<Heard, ChatError> {
    let room = matrix.joined(place).await?;
    let reactions = IncludeRelations::RelationsOfTypeAndEventType(
        RelationType::Annotation,
        TimelineEventType::Reaction,
    );
    let reactions = relations(matrix, &room, root, reactions).await?;
    let replies = match thread {
        Some(thread) => {
            relations(
                matrix,
                &room,
                thread,
                IncludeRelations::RelationsOfType(RelationType::Thread),
            )
            .await?
        }
        None => Vec::new(),
    };
    Ok(compiled(&reactions, &replies, matrix.me.as_str()))
}

pub(super) async fn relations(
    matrix: &Matrix,
    room: &Room,
    to: &str,
    which: IncludeRelations,
) -> Result<Vec<SyncEvent>, ChatError> {
    let id = event_id(to)?;
    let (mut events, mut from) = (Vec::new(), None);
    for _ in 0..MAX_PAGES {
        let options = RelationsOptions {
            from,
            limit: Some(UInt::from(PAGE_EVENTS)),
            include_relations: which.clone(),
            ..RelationsOptions::default()
        };
        let page = room.relations(id.clone(), options).await;
        let page = page.map_err(|error| {
            error::failed(matrix, &format!("counting what relates to {to}"), &error)
        })?;
        events.extend(page.chunk.iter().filter_map(SyncEvent::read));
        from = page.next_batch_token;
        if from.is_none() {
            return Ok(events);
        }
    }
    tracing::warn!(%to, pages = MAX_PAGES, "more relations than are counted");
    Ok(events)
}

/// Pages may overlap when something comes in between, so nothing is taken twice.
fn compiled(reactions: &[SyncEvent], replies: &[SyncEvent], me: &str) -> Heard {
    let at = |event: &SyncEvent| Timestamp::from_millisecond(event.at_ms()).ok();
    let mut seen = HashSet::new();
    let given =
        reactions
            .iter()
            .filter(|event| event.sender != me && !event.is_redacted())
            .filter_map(|event| {
                let emoji =
                    event.content.relates_to.key.as_ref().filter(|key| {
                        (1..=MAX_EMOJI_CHARS).contains(&key.trim().chars().count())
                    })?;
                seen.insert((&event.sender, emoji)).then(|| Reaction {
                    emoji: emoji.clone(),
                    by: event.sender.clone(),
                    at: at(event),
                })
            });
    let reactions = given.collect();
    let mut seen = HashSet::new();
    let said = replies
        .iter()
        .filter(|event| event.sender != me && event.is_message() && seen.insert(&event.event_id));
    let replies = said.map(|event| ThreadReply {
        by: event.sender.clone(),
        at: at(event).unwrap_or(Timestamp::UNIX_EPOCH),
        text: event.words().map(str::to_owned),
    });
    Heard {
        reactions,
        replies: replies.collect(),
        ..Heard::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(id: &str, sender: &str, kind: &str, content: serde_json::Value) -> SyncEvent {
        serde_json::from_value(json!({ "type": kind, "event_id": id, "sender": sender, "origin_server_ts": 1, "content": content }))
            .unwrap()
    }

    #[test]
    fn each_person_is_heard_once_an_emoji_and_we_not_at_all() {
        let reaction = |id, sender, key| {
            event(
                id,
                sender,
                "m.reaction",
                json!({ "m.relates_to": { "rel_type": "m.annotation", "key": key } }),
            )
        };
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
            event(
                "4",
                "@b",
                "m.room.encrypted",
                json!({ "algorithm": "m.megolm.v1.aes-sha2" }),
            ),
        ];
        let heard = compiled(&reactions, &replies, "@me");
        let reaction = |emoji: &str, by: &str| Reaction {
            emoji: emoji.into(),
            by: by.into(),
            at: Timestamp::from_millisecond(1).ok(),
        };
        assert_eq!(
            heard.reactions,
            [
                reaction("👍", "@a"),
                reaction("👍", "@b"),
                reaction("🎉", "@a")
            ]
        );
        let words: Vec<_> = heard
            .replies
            .iter()
            .map(|r| (r.by.as_str(), r.text.as_deref()))
            .collect();
        assert_eq!(words, [("@a", Some("b"))]);
    }

    #[test]
    fn a_reply_says_what_its_last_edit_says() {
        let relations = json!({ "m.relations": { "m.replace": { "content": { "m.new_content": { "body": "mended" } } } } });
        let edited = json!({ "type": "m.room.message", "event_id": "1", "sender": "@a", "origin_server_ts": 1,
            "content": { "msgtype": "m.text", "body": "at first" }, "unsigned": relations });
        let heard = compiled(&[], &[serde_json::from_value(edited).unwrap()], "@me");
        assert_eq!(heard.replies[0].text.as_deref(), Some("mended"));
    }
}
