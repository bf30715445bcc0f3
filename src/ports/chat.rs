//! A chat platform: what is sent there, done to messages that are out, and read back.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use jiff::Timestamp;
use thiserror::Error;

use super::platform::{Platform, Readers};
use crate::domain::{
    outbox::{Body, CalendarEvent, Handling, PostKey},
    people::feedback::{Heard, Reaction},
};

/// A message the platform has accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    pub id: String,
    pub link: Option<String>,
}

/// Why a platform did not take something.
#[derive(Debug, Error)]
pub enum ChatError {
    /// Try again, not before the given number of milliseconds if there is one. It may or may not
    /// have been accepted: read back before the next try.
    #[error("{reason}")]
    Retry {
        reason: String,
        after_ms: Option<u64>,
    },
    /// No retry will help: a missing room, a missing permission, a refused content.
    #[error("{reason}; {remedy}")]
    Refused { reason: String, remedy: String },
    /// The message that this is about was deleted, or is another account's: what is to stand there is made anew.
    #[error("{reason}; {remedy}")]
    Gone { reason: String, remedy: String },
    /// A read-back can't tell: what could be read doesn't hold the message, but not all could.
    #[error("{reason}; {remedy}")]
    Doubt { reason: String, remedy: String },
}

/// A channel, room, server or role, by which herald names it to the platform and people name it to each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedPlace {
    pub id: String,
    pub name: String,
}

impl NamedPlace {
    /// Strangers name rooms: what would control a terminal or end a line of a file is a space.
    pub fn new(id: String, name: &str) -> Self {
        let ends_line = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
        Self {
            id,
            name: name.replace(ends_line, " "),
        }
    }
}

/// One message to send, with the key that makes it one message however often it is sent.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    pub key: &'a PostKey,
    pub body: &'a Body,
    /// The message of ours in the same place that it answers. If that is gone, it is said all the same.
    pub answers: Option<&'a str>,
    /// The key of the message that an edit changes.
    pub of: Option<&'a PostKey>,
}

/// A chat platform as herald's own account sees it. `place` is a channel's or room's id there.
#[async_trait]
pub trait Chat: Send + Sync {
    /// Sends a message. The same key sent again within the platform's key window is the same message.
    async fn send(&self, place: &str, out: Outgoing<'_>) -> Result<Accepted, ChatError>;
    /// Looks for a message of ours with this key in the recent history: the read-back before a resend.
    /// `since` bounds how far back it need look.
    async fn find(
        &self,
        place: &str,
        key: &PostKey,
        since: Timestamp,
    ) -> Result<Option<Accepted>, ChatError>;
    /// Opens a thread below the message `root`, with an opening message; done twice it is done once.
    /// The returned id is what `heard` wants as `thread`.
    async fn open_thread(
        &self,
        place: &str,
        root: &str,
        title: &str,
        out: Outgoing<'_>,
    ) -> Result<Accepted, ChatError>;
    /// Gives a message of ours new words and notifies nobody; done twice it is done once. The id it returns is the message's.
    async fn edit(&self, place: &str, id: &str, out: Outgoing<'_>) -> Result<Accepted, ChatError>;
    /// Handles a message of ours; done twice it is done once.
    async fn handle(&self, _place: &str, id: &str, how: Handling) -> Result<(), ChatError> {
        Err(ChatError::Refused {
            reason: format!("{how:?} of {id}: there is no such thing here"),
            remedy: "nothing is lost by that".into(),
        })
    }
    /// Puts an upgrade's window into the calendar there, or changes what stands there under the same key.
    async fn calendar(&self, key: &PostKey, _event: &CalendarEvent) -> Result<Accepted, ChatError> {
        Err(ChatError::Refused {
            reason: format!("there is no calendar for {key}"),
            remedy: "remove `event` from the notice".into(),
        })
    }
    /// Reads the reactions to `root` and, where there is one, the replies in `thread` from the platform itself.
    async fn heard(
        &self,
        place: &str,
        root: &str,
        thread: Option<&str>,
    ) -> Result<Heard, ChatError>;
    /// Reads a vote of ours: who chose what, each choice as the reaction that means the same.
    async fn votes(&self, _place: &str, _id: &str) -> Result<Vec<Reaction>, ChatError> {
        Ok(Vec::new())
    }
    /// The place where an upgrade's posts stand together: the place itself, or a forum's topic with this key. With words (a
    /// title and a text) it is made if it isn't there; without, it is `None` then.
    async fn topic(
        &self,
        place: &str,
        _key: &PostKey,
        _words: Option<(&str, &str)>,
    ) -> Result<Option<String>, ChatError> {
        Ok(Some(place.to_owned()))
    }
    /// The place where one person alone reads herald, made if it isn't there; asked again it is the same.
    async fn direct(&self, user: &str) -> Result<String, ChatError> {
        Err(ChatError::Refused {
            reason: format!("there is no way to write to {user} alone"),
            remedy: "write to them in a room".into(),
        })
    }
    /// Says what is wrong with the connection now, in words for an operator.
    fn trouble(&self) -> Option<String>;
}

/// A channel with the connection that reaches it.
#[derive(Clone)]
pub struct Outlet {
    pub platform: Platform,
    pub chat: Arc<dyn Chat>,
    /// The platform's id of the channel or room.
    pub place: String,
    pub readers: Readers,
    /// The language of what is said here.
    pub locale: String,
    /// Groups of people who can be notified here, each with their ids on this platform.
    pub mentions: BTreeMap<String, Vec<String>>,
}
