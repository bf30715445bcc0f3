//! A chat in memory that imitates a platform, for rehearsals and for `herald run --dry`.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use async_trait::async_trait;
use jiff::Timestamp;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

use crate::{
    domain::{
        outbox::{Body, CalendarEvent, Picture, PostKey},
        people::feedback::{Heard, Reaction, ThreadReply},
    },
    ports::{Accepted, Chat, ChatError, Handling, Markup, Outgoing, Platform},
};

#[derive(Clone, Debug)]
struct RoomMessage {
    id: String,
    place: String,
    /// The message it hangs below, in a thread.
    root: Option<String>,
    key: Option<PostKey>,
    /// The text as it is now.
    text: String,
    picture: Option<Picture>,
    /// The message it answers.
    answers: Option<String>,
    /// The people it notified.
    mentions: Vec<String>,
    /// The keys of its edits, as far as the platform knows them again.
    edits: Vec<PostKey>,
    /// The author, where it was not herald.
    by: Option<String>,
    at: Timestamp,
    /// The people who reacted, and how.
    reactions: BTreeSet<(String, String)>,
    published: bool,
    pinned: bool,
    /// A vote that takes no more answers.
    closed: bool,
    /// As it was posted or edited last.
    body: Body,
}

pub struct Room {
    platform: Platform,
    messages: Mutex<Vec<RoomMessage>>,
    /// The events in the calendar.
    events: Mutex<BTreeMap<PostKey, CalendarEvent>>,
    /// With the next post that is taken, who posts it is killed: they never hear that it was.
    killing: Mutex<Option<Arc<Notify>>>,
}

/// A message as somebody in the room sees it.
#[derive(Clone, Debug)]
pub struct SeenPost {
    pub id: String,
    pub root: Option<String>,
    /// Nobody where it is herald's.
    pub by: Option<String>,
    pub body: Body,
    pub edited: bool,
    pub pinned: bool,
    pub closed: bool,
    /// The people who reacted, and how.
    pub reactions: Vec<(String, String)>,
}

impl Room {
    pub fn new(platform: Platform) -> Self {
        Self {
            platform,
            messages: Mutex::default(),
            events: Mutex::default(),
            killing: Mutex::default(),
        }
    }

    fn messages(&self) -> MutexGuard<'_, Vec<RoomMessage>> {
        self.messages.lock()
    }

    /// Returns whether an edit is found by its key again; Discord keeps no key of one.
    fn knows_edits(&self) -> bool {
        self.platform.capabilities().markup == Markup::Matrix
    }

    fn link(&self, place: &str, id: &str) -> Option<String> {
        Some(match self.platform.capabilities().markup {
            Markup::Discord => format!("https://discord.com/channels/1/{place}/{id}"),
            Markup::Matrix => format!("https://matrix.to/#/{place}/{id}"),
            Markup::Plain => return None,
        })
    }

    fn add(&self, place: &str, root: Option<&str>, out: Option<Outgoing<'_>>) -> Accepted {
        let mut messages = self.messages();
        if let Some(old) =
            out.and_then(|out| messages.iter().find(|m| m.key.as_ref() == Some(out.key)))
        {
            return Accepted {
                id: old.id.clone(),
                link: self.link(place, &old.id),
            };
        }
        let id = match self.platform.capabilities().markup {
            Markup::Discord => (1_300_000_000_000_000_000_u64 + messages.len() as u64).to_string(),
            Markup::Matrix => format!("$room-{}", messages.len()),
            Markup::Plain => messages.len().to_string(),
        };
        let message = RoomMessage {
            id: id.clone(),
            place: place.to_owned(),
            root: root.map(str::to_owned),
            key: out.map(|out| out.key.clone()),
            text: out.map(|out| said(out.body)).unwrap_or_default(),
            picture: out.and_then(|out| out.body.picture.clone()),
            answers: out.and_then(|out| out.answers.map(str::to_owned)),
            mentions: out.map(|out| out.body.mentions.clone()).unwrap_or_default(),
            edits: Vec::new(),
            by: None,
            at: Timestamp::UNIX_EPOCH,
            reactions: BTreeSet::new(),
            published: false,
            pinned: false,
            closed: false,
            body: out.map(|out| out.body.clone()).unwrap_or_default(),
        };
        messages.push(message);
        Accepted {
            link: self.link(place, &id),
            id,
        }
    }

    /// Kills who posts next, when the post is taken and before they hear of it; rings then.
    pub fn kill_next(&self, rung: Arc<Notify>) {
        *self.killing.lock() = Some(rung);
    }

    /// Nobody is killed any more.
    pub fn spare(&self) {
        *self.killing.lock() = None;
    }

    /// Never returns where somebody is to be killed.
    async fn survive(&self) {
        let rung = self.killing.lock().take();
        if let Some(rung) = rung {
            rung.notify_one();
            std::future::pending::<()>().await;
        }
    }

    /// All that is in a place, oldest first.
    pub fn all(&self, place: &str) -> Vec<SeenPost> {
        let seen = |m: &RoomMessage| SeenPost {
            id: m.id.clone(),
            root: m.root.clone(),
            by: m.by.clone(),
            body: if m.by.is_some() {
                Body {
                    text: m.text.clone(),
                    ..Body::default()
                }
            } else {
                m.body.clone()
            },
            edited: !m.edits.is_empty(),
            pinned: m.pinned,
            closed: m.closed,
            reactions: m.reactions.iter().cloned().collect(),
        };
        self.messages()
            .iter()
            .filter(|m| m.place == place)
            .map(seen)
            .collect()
    }

    /// Returns what a message says now, its last edit counted in.
    pub fn text(&self, message: &str) -> Option<String> {
        self.messages()
            .iter()
            .find(|m| m.id == message)
            .map(|m| m.text.clone())
    }

    pub fn picture(&self, message: &str) -> Option<Picture> {
        self.messages()
            .iter()
            .find(|m| m.id == message)
            .and_then(|m| m.picture.clone())
    }

    /// Returns whether a message is pinned, and whether it was handed on.
    pub fn handled(&self, message: &str) -> (bool, bool) {
        self.messages()
            .iter()
            .find(|m| m.id == message)
            .map_or((false, false), |m| (m.pinned, m.published))
    }

    /// Lists what stands in the calendar.
    pub fn events(&self) -> Vec<CalendarEvent> {
        self.events.lock().values().cloned().collect()
    }

    /// The message that a message answers.
    pub fn answered(&self, message: &str) -> Option<String> {
        self.messages()
            .iter()
            .find(|m| m.id == message)
            .and_then(|m| m.answers.clone())
    }

    /// Lists whom a message notified when it was posted.
    pub fn mentioned(&self, message: &str) -> Vec<String> {
        self.messages()
            .iter()
            .find(|m| m.id == message)
            .map(|m| m.mentions.clone())
            .unwrap_or_default()
    }

    /// An invented person reacts.
    pub fn react(&self, message: &str, who: &str, emoji: &str) {
        if let Some(message) = self.messages().iter_mut().find(|m| m.id == message) {
            message.reactions.insert((who.to_owned(), emoji.to_owned()));
        }
    }

    /// Returns whether a vote is closed.
    pub fn is_closed(&self, message: &str) -> bool {
        self.messages().iter().any(|m| m.id == message && m.closed)
    }

    /// An invented person takes a reaction back.
    pub fn unreact(&self, message: &str, who: &str, emoji: &str) {
        if let Some(message) = self.messages().iter_mut().find(|m| m.id == message) {
            message
                .reactions
                .remove(&(who.to_owned(), emoji.to_owned()));
        }
    }

    /// An invented person replies in the thread below `root`; the message's id.
    pub fn reply(&self, place: &str, root: &str, who: &str, text: &str, at: Timestamp) -> String {
        let id = self.add(place, Some(root), None).id;
        if let Some(message) = self.messages().iter_mut().find(|m| m.id == id) {
            (message.by, message.text, message.at) = (Some(who.to_owned()), text.to_owned(), at);
        }
        id
    }

    /// An invented person words a reply anew.
    pub fn reword(&self, reply: &str, text: &str) {
        if let Some(message) = self
            .messages()
            .iter_mut()
            .find(|m| m.id == reply && m.by.is_some())
        {
            text.clone_into(&mut message.text);
        }
    }

    /// An invented person takes a reply back.
    pub fn withdraw(&self, reply: &str) {
        if let Some(message) = self.messages().iter_mut().find(|m| m.id == reply) {
            message.by = None;
        }
    }
}

#[async_trait]
impl Chat for Room {
    async fn send(&self, place: &str, out: Outgoing<'_>) -> Result<Accepted, ChatError> {
        let accepted = self.add(place, None, Some(out));
        self.survive().await;
        Ok(accepted)
    }

    async fn find(
        &self,
        place: &str,
        key: &PostKey,
        _since: Timestamp,
    ) -> Result<Option<Accepted>, ChatError> {
        let messages = self.messages();
        let found = messages
            .iter()
            .find(|m| m.place == place && (m.key.as_ref() == Some(key) || m.edits.contains(key)));
        Ok(found.map(|m| Accepted {
            id: m.id.clone(),
            link: self.link(place, &m.id),
        }))
    }

    async fn open_thread(
        &self,
        place: &str,
        root: &str,
        _title: &str,
        out: Outgoing<'_>,
    ) -> Result<Accepted, ChatError> {
        let opener = self.add(place, Some(root), Some(out));
        Ok(Accepted {
            id: root.to_owned(),
            link: opener.link,
        })
    }

    async fn edit(&self, place: &str, id: &str, out: Outgoing<'_>) -> Result<Accepted, ChatError> {
        let mut messages = self.messages();
        let Some(message) = messages.iter_mut().find(|m| m.place == place && m.id == id) else {
            return Err(ChatError::Gone {
                reason: format!("there is no message {id} in {place}"),
                remedy: "post the notice anew if it is still wanted".into(),
            });
        };
        message.text = said(out.body);
        message.body = Body {
            picture: message.body.picture.take(),
            buttons: std::mem::take(&mut message.body.buttons),
            ..out.body.clone()
        };
        if self.knows_edits() && !message.edits.contains(out.key) {
            message.edits.push(out.key.clone());
        }
        Ok(Accepted {
            id: id.to_owned(),
            link: self.link(place, id),
        })
    }

    async fn handle(&self, place: &str, id: &str, how: Handling) -> Result<(), ChatError> {
        let mut messages = self.messages();
        let Some(message) = messages.iter_mut().find(|m| m.place == place && m.id == id) else {
            return Err(ChatError::Gone {
                reason: format!("there is no message {id} in {place}"),
                remedy: "nothing is lost".into(),
            });
        };
        match how {
            Handling::Publish => message.published = true,
            Handling::Pin => message.pinned = true,
            Handling::Unpin => message.pinned = false,
            Handling::Close => message.closed = true,
        }
        Ok(())
    }

    async fn calendar(&self, key: &PostKey, event: &CalendarEvent) -> Result<Accepted, ChatError> {
        self.events.lock().insert(key.clone(), event.clone());
        Ok(Accepted {
            id: key.0.clone(),
            link: Some(format!("https://discord.com/events/1/{key}")),
        })
    }

    async fn heard(
        &self,
        _place: &str,
        root: &str,
        thread: Option<&str>,
    ) -> Result<Heard, ChatError> {
        let messages = self.messages();
        let reacted = messages
            .iter()
            .find(|m| m.id == root)
            .map(|m| m.reactions.clone())
            .unwrap_or_default();
        let reactions = reacted
            .into_iter()
            .map(|(by, emoji)| Reaction {
                emoji,
                by,
                at: None,
            })
            .collect();
        let is_reply = |m: &&RoomMessage| thread.is_some() && m.root.as_deref() == Some(root);
        let reply = |m: &RoomMessage| {
            Some(ThreadReply {
                by: m.by.clone()?,
                at: m.at,
                text: Some(m.text.clone()),
            })
        };
        let replies = messages.iter().filter(is_reply).filter_map(reply).collect();
        Ok(Heard {
            reactions,
            replies,
            ..Heard::default()
        })
    }

    async fn votes(&self, place: &str, id: &str) -> Result<Vec<Reaction>, ChatError> {
        self.heard(place, id, None)
            .await
            .map(|heard| heard.reactions)
    }

    async fn direct(&self, user: &str) -> Result<String, ChatError> {
        Ok(format!("with {user}"))
    }

    fn trouble(&self) -> Option<String> {
        None
    }
}

/// Returns the text, or the words for the picture where there is a picture and no text.
fn said(body: &Body) -> String {
    match &body.picture {
        Some(picture) if body.text.is_empty() => picture.alt.clone(),
        _ => body.text.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(text: &str) -> Body {
        Body {
            text: text.into(),
            html: None,
            ..Body::default()
        }
    }

    #[tokio::test]
    async fn an_edit_changes_what_a_message_says_and_keeps_its_picture() {
        let (one, two) = (PostKey("1".into()), PostKey("2".into()));
        for platform in Platform::ALL {
            let room = Room::new(platform);
            let picture = Picture {
                name: "p.png".into(),
                alt: "words".into(),
                width: 1,
                height: 1,
                png: vec![1],
            };
            let posted = Body {
                picture: Some(picture.clone()),
                ..body("")
            };
            let sent = room
                .send(
                    "p",
                    Outgoing {
                        key: &one,
                        body: &posted,
                        answers: None,
                        of: None,
                    },
                )
                .await
                .unwrap();
            assert_eq!(room.text(&sent.id).as_deref(), Some("words"));
            let edited = room
                .edit(
                    "p",
                    &sent.id,
                    Outgoing {
                        key: &two,
                        body: &body("new"),
                        answers: None,
                        of: None,
                    },
                )
                .await
                .unwrap();
            assert_eq!(
                (&edited, room.text(&sent.id).as_deref()),
                (&sent, Some("new"))
            );
            assert_eq!(room.picture(&sent.id), Some(picture));
            let found = room.find("p", &two, Timestamp::UNIX_EPOCH).await.unwrap();
            assert_eq!(
                found,
                room.knows_edits().then_some(edited),
                "Discord knows no key of an edit"
            );
            assert!(
                room.edit(
                    "p",
                    "else",
                    Outgoing {
                        key: &two,
                        body: &posted,
                        answers: None,
                        of: None
                    }
                )
                .await
                .is_err()
            );
        }
    }
}
