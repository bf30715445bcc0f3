//! Sending a post once, and finding it again.

use std::time::Duration;

use jiff::Timestamp;
use matrix_sdk::{
    Room,
    room::MessagesOptions,
    ruma::{EventId, OwnedEventId, TransactionId, UInt, api::client::filter::RoomEventFilter},
};
use serde_json::{Value, json};

use super::{
    Matrix, error,
    event::{ENCRYPTED_TYPE, KEY_FIELD, MESSAGE_TYPE, SyncEvent},
    picture, poll,
};
use crate::{
    domain::outbox::{Body, PostKey},
    ports::{Accepted, ChatError, Outgoing},
};

/// Events a page of history.
const PAGE_EVENTS: u32 = 100;
/// How far back a read-back looks at most, in events of our own.
const MAX_READ_BACK_EVENTS: usize = 2_000;
/// Clocks differ, and a post may have been begun a little before it was written down.
const CLOCK_SLACK_MS: i64 = 3_600_000;

/// Sends a post; in a thread below `root`, if there is one, and then the returned id is the root's.
pub(super) async fn send(
    matrix: &Matrix,
    place: &str,
    out: Outgoing<'_>,
    root: Option<&str>,
) -> Result<Accepted, ChatError> {
    let sent = within(matrix.settings.timeout, async {
        let mut content = match &out.body.picture {
            Some(picture) => picture::upload_picture(matrix, place, picture).await?,
            None => content(out.body, "m.text"),
        };
        set(&mut content, "m.mentions", mentions(out.body));
        let mut kind = MESSAGE_TYPE;
        if let Some(ballot) = &out.body.ballot {
            (kind, content) = (poll::START_TYPE, poll::content(ballot, &out.body.text)?);
        }
        set(&mut content, KEY_FIELD, json!(out.key.0));
        if let Some(root) = root {
            set(
                &mut content,
                "m.relates_to",
                in_thread(event_id(root)?.as_str(), root, true),
            );
        } else if let Some(answered) = out.answers.and_then(|id| EventId::parse(id).ok()) {
            set(&mut content, "m.relates_to", in_reply(answered.as_str()));
        }
        put(matrix, place, kind, content, &out.key.0).await
    });
    let sent = sent.await?;
    let id = root.map_or_else(|| sent.id.clone(), str::to_owned);
    Ok(Accepted {
        id,
        link: sent.link,
    })
}

/// Sends a message's content under a transaction id, encrypted where the room is.
pub(super) async fn put(
    matrix: &Matrix,
    place: &str,
    kind: &str,
    content: Value,
    transaction: &str,
) -> Result<Accepted, ChatError> {
    let room = matrix.joined(place).await?;
    let transaction = <&TransactionId>::from(transaction);
    match room
        .send_raw(kind, content)
        .with_transaction_id(transaction)
        .await
    {
        Ok(sent) => {
            let id = sent.response.event_id.to_string();
            Ok(Accepted {
                link: matrix.link(&room, &id),
                id,
            })
        }
        Err(error) => Err(error::failed(
            matrix,
            &format!("posting to {place}"),
            &error,
        )),
    }
}

/// An encrypted post takes several requests; what holds the outbox's row must know when it ends.
pub(super) async fn within<T>(
    time: Duration,
    work: impl Future<Output = Result<T, ChatError>>,
) -> Result<T, ChatError> {
    tokio::time::timeout(time, work).await.unwrap_or_else(|_| {
        Err(ChatError::Retry {
            reason: format!("the homeserver took longer than {} s", time.as_secs()),
            after_ms: None,
        })
    })
}

/// Asks the server for our own events, newest first, until the one with the key or ones too old.
///
/// An event of ours that can't be decrypted might be the one: then nobody may say it is missing, and
/// the answer is `Doubt`, for a person to look.
pub(super) async fn find(
    matrix: &Matrix,
    place: &str,
    key: &PostKey,
    since: Timestamp,
) -> Result<Option<Accepted>, ChatError> {
    let room = matrix.joined(place).await?;
    let oldest = since.as_millisecond().saturating_sub(CLOCK_SLACK_MS);
    let (mut from, mut seen, mut unread) = (None, 0, 0);
    for _ in 0..MAX_READ_BACK_EVENTS / PAGE_EVENTS as usize {
        let page = room.messages(own_events(matrix, from)).await;
        let page =
            page.map_err(|error| error::failed(matrix, &format!("reading back {place}"), &error))?;
        for event in page
            .chunk
            .iter()
            .filter_map(SyncEvent::read)
            .filter(|event| event.sender == matrix.me.as_str())
        {
            if event.is_post(&key.0) {
                return Ok(Some(accepted(matrix, &room, &event)));
            }
            if event.at_ms() < oldest {
                return nothing(place, unread);
            }
            seen += 1;
            unread += usize::from(event.kind == ENCRYPTED_TYPE && !event.is_redacted());
        }
        from = page.end;
        if from.is_none() || seen >= MAX_READ_BACK_EVENTS {
            break;
        }
    }
    nothing(place, unread)
}

fn own_events(matrix: &Matrix, from: Option<String>) -> MessagesOptions {
    let mut filter = RoomEventFilter::with_lazy_loading();
    filter.senders = Some(vec![matrix.me.clone()]);
    filter.types = Some(vec![
        MESSAGE_TYPE.into(),
        poll::START_TYPE.into(),
        ENCRYPTED_TYPE.into(),
    ]);
    let mut options = MessagesOptions::backward();
    options.limit = UInt::from(PAGE_EVENTS);
    options.from = from;
    options.filter = filter;
    options
}

/// As it was returned when it was sent: a thread's opening message stands for its root, an edit for what it changed.
fn accepted(matrix: &Matrix, room: &Room, event: &SyncEvent) -> Accepted {
    if let Some(original) = event.edited() {
        return Accepted {
            id: original.to_owned(),
            link: matrix.link(room, original),
        };
    }
    Accepted {
        id: event.thread().unwrap_or(&event.event_id).to_owned(),
        link: matrix.link(room, &event.event_id),
    }
}

fn nothing(place: &str, unread: usize) -> Result<Option<Accepted>, ChatError> {
    if unread == 0 {
        return Ok(None);
    }
    Err(ChatError::Doubt {
        reason: format!(
            "{unread} of herald's own messages in {place} can't be decrypted, so whether this one was posted can't be told"
        ),
        remedy: "look in the room; if it isn't there, post it again".into(),
    })
}

pub(super) fn event_id(id: &str) -> Result<OwnedEventId, ChatError> {
    EventId::parse(id).map_err(|_| ChatError::Refused {
        reason: format!("{id} is not a message's id"),
        remedy: "it must be an id that this platform gave".into(),
    })
}

/// `{msgtype, body}`, and `{format, formatted_body}` where there is HTML.
pub(super) fn content(body: &Body, msgtype: &str) -> Value {
    let mut content = json!({ "msgtype": msgtype, "body": body.text });
    if let Some(html) = &body.html {
        set(&mut content, "format", json!("org.matrix.custom.html"));
        set(&mut content, "formatted_body", json!(html));
    }
    content
}

/// A message notifies these and nobody else, whatever its text says: the whole room, and users.
pub(super) fn mentions(body: &Body) -> Value {
    let (room, users): (Vec<&String>, Vec<&String>) =
        body.mentions.iter().partition(|id| *id == "@room");
    let mut mentions = json!({});
    if !room.is_empty() {
        set(&mut mentions, "room", json!(true));
    }
    if !users.is_empty() {
        set(&mut mentions, "user_ids", json!(users));
    }
    mentions
}

/// The relation of a message to the one it answers.
pub(super) fn in_reply(to: &str) -> Value {
    json!({ "m.in_reply_to": { "event_id": to } })
}

/// The relation that puts a message into a thread. `fallback`: clients without threads may show it as a
/// reply to `to`, which in the thread it is not.
pub(super) fn in_thread(root: &str, to: &str, fallback: bool) -> Value {
    json!({ "rel_type": "m.thread", "event_id": root, "is_falling_back": fallback, "m.in_reply_to": { "event_id": to } })
}

pub(super) fn set(content: &mut Value, field: &str, value: Value) {
    if let Some(fields) = content.as_object_mut() {
        fields.insert(field.to_owned(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_has_html_only_where_there_is_some() {
        let body = |html: Option<&str>| Body {
            text: "a".into(),
            html: html.map(Into::into),
            ..Body::default()
        };
        assert_eq!(
            content(&body(None), "m.text"),
            json!({ "msgtype": "m.text", "body": "a" })
        );
        let html = content(&body(Some("<b>a</b>")), "m.notice");
        assert_eq!(
            html,
            json!({ "msgtype": "m.notice", "body": "a", "format": "org.matrix.custom.html", "formatted_body": "<b>a</b>" })
        );
    }

    #[test]
    fn whom_a_message_notifies_is_said_apart_from_its_text() {
        let of = |ids: &[&str]| {
            mentions(&Body {
                text: "@room @carol:x".into(),
                mentions: ids.iter().map(|id| (*id).into()).collect(),
                ..Body::default()
            })
        };
        assert_eq!(of(&[]), json!({}));
        assert_eq!(of(&["@room"]), json!({ "room": true }));
        assert_eq!(
            of(&["@anna:x", "@room", "@ben:x"]),
            json!({ "room": true, "user_ids": ["@anna:x", "@ben:x"] })
        );
    }

    #[test]
    fn what_cant_be_read_is_not_called_missing() {
        assert_eq!(nothing("!r", 0).unwrap(), None);
        assert!(matches!(nothing("!r", 1), Err(ChatError::Doubt { .. })));
    }
}
