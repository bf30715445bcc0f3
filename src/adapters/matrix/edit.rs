//! New words for a post that is out.

use matrix_sdk::{Room, ruma::EventId};
use serde_json::{Value, json};

use super::{
    Matrix, error,
    event::{ENCRYPTED_TYPE, KEY_FIELD, MESSAGE_TYPE, SyncEvent},
    send::{self, content, event_id, mentions, set},
};
use crate::{
    domain::outbox::{Body, PostKey},
    ports::{Accepted, ChatError, Outgoing},
};

/// Sends an event that replaces what the message `id` says.
pub(super) async fn edit(
    matrix: &Matrix,
    place: &str,
    id: &str,
    out: Outgoing<'_>,
) -> Result<Accepted, ChatError> {
    let original = event_id(id)?;
    send::within(matrix.settings.timeout, async {
        let room = matrix.joined(place).await?;
        let of = key_of(matrix, &room, &original).await?;
        send::put(
            matrix,
            place,
            MESSAGE_TYPE,
            replacement(out.body, out.key, id, of.as_deref()),
            &out.key.0,
        )
        .await?;
        Ok(Accepted {
            id: id.to_owned(),
            link: matrix.link(&room, id),
        })
    })
    .await
}

/// The key of a message that is to be edited, where it can be read. Of one that is gone, or that isn't ours, the server
/// would take an edit all the same, and people would see it as a message out of nowhere.
async fn key_of(matrix: &Matrix, room: &Room, id: &EventId) -> Result<Option<String>, ChatError> {
    let gone = |reason: &str, remedy: &str| {
        Err(ChatError::Gone {
            reason: format!("editing {id} in {}: {reason}", room.room_id()),
            remedy: remedy.into(),
        })
    };
    let event = room.event(id, None).await;
    let event = match event {
        Ok(event) => event,
        // Purged from the server, or from before we came.
        Err(error) if error::is_unknown(&error) => {
            return gone(
                "there is no such message",
                "post the notice anew if it is still wanted",
            );
        }
        Err(error) => {
            let action = format!("looking for {id}, to edit it");
            return Err(error::failed(matrix, &action, &error));
        }
    };
    match SyncEvent::read(&event) {
        Some(event) if event.sender != matrix.me.as_str() => gone(
            "the message is another account's",
            "it was posted by the account that was in use then",
        ),
        // Nothing is left of a deleted message but that it was there.
        Some(event)
            if event.is_redacted()
                || event.kind != ENCRYPTED_TYPE && event.content.msgtype.is_none() =>
        {
            gone(
                "the message was deleted",
                "post the notice anew if it is still wanted",
            )
        }
        Some(event) => Ok(event.content.key),
        None => gone("it is no message", "look at its row in the outbox"),
    }
}

/// The new words for clients that know edits; with a `*` before them for those that don't. `of` is the original's key,
/// which stays with what the original says from now on, and so does whom that calls: the edit itself calls nobody.
fn replacement(body: &Body, key: &PostKey, original: &str, of: Option<&str>) -> Value {
    let mut new = content(body, "m.text");
    set(&mut new, "m.mentions", mentions(body));
    if let Some(of) = of {
        set(&mut new, KEY_FIELD, json!(of));
    }
    let html = body.html.as_ref().map(|html| format!("* {html}"));
    let mut edit = content(
        &Body {
            text: format!("* {}", body.text),
            html,
            ..Body::default()
        },
        "m.text",
    );
    set(&mut edit, "m.mentions", json!({}));
    set(&mut edit, KEY_FIELD, json!(key.0));
    set(&mut edit, "m.new_content", new);
    set(
        &mut edit,
        "m.relates_to",
        json!({ "rel_type": "m.replace", "event_id": original }),
    );
    edit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edit_says_it_twice_and_calls_nobody() {
        let called = vec!["@room".to_owned()];
        let body = Body {
            text: "new".into(),
            html: Some("<b>new</b>".into()),
            mentions: called,
            ..Body::default()
        };
        let html = "org.matrix.custom.html";
        assert_eq!(
            replacement(&body, &PostKey("k2".into()), "$o", Some("k1")),
            json!({
                "msgtype": "m.text", "body": "* new", "format": html, "formatted_body": "* <b>new</b>", "m.mentions": {}, KEY_FIELD: "k2",
                "m.new_content": {
                    "msgtype": "m.text", "body": "new", "format": html, "formatted_body": "<b>new</b>",
                    "m.mentions": { "room": true }, KEY_FIELD: "k1",
                },
                "m.relates_to": { "rel_type": "m.replace", "event_id": "$o" },
            })
        );
    }
}
