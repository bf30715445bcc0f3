//! Forums: what is said of an upgrade stands in one topic there, a thread whose first message bears a mark.

use std::collections::{BTreeMap, BTreeSet};

use serenity::all::{
    AutoArchiveDuration, Channel, ChannelId, ChannelType, CreateAllowedMentions, CreateForumPost,
    CreateMessage, EditThread, GuildChannel, MessageId,
};
use tokio::time::Instant;

use super::{
    Discord,
    error::{Fault, code},
    send::{TITLE_MAX, embed},
};
use crate::{
    domain::outbox::post::{PostKey, cut},
    ports::ChatError,
};

/// Archived topics that are looked through, the newest first.
const ARCHIVED: u64 = 100;
const FINDING: &str = "looking for the upgrade's topic";

/// What is known of forums, so that it isn't asked for with each post.
#[derive(Debug, Default)]
pub(super) struct Forums {
    is_forum: BTreeMap<ChannelId, bool>,
    topics: BTreeMap<(ChannelId, PostKey), ChannelId>,
    threads: BTreeSet<ChannelId>,
}

impl Discord {
    /// The topic with this key in a forum, or the channel itself where it is none.
    pub(super) async fn topic_in(
        &self,
        place: ChannelId,
        key: &PostKey,
        words: Option<(&str, &str)>,
    ) -> Result<Option<ChannelId>, ChatError> {
        let deadline = self.deadline();
        if !self.is_forum(deadline, place).await? {
            return Ok(Some(place));
        }
        let known = self.forums().topics.get(&(place, key.clone())).copied();
        if known.is_some() {
            return Ok(known);
        }
        let topic = match (
            self.find_topic(deadline, place, key)
                .await
                .map_err(|fault| fault.during(FINDING, place))?,
            words,
        ) {
            (Some(found), _) => found,
            (None, None) => return Ok(None),
            (None, Some((title, text))) => {
                self.make_topic(deadline, place, key, title, text).await?
            }
        };
        let mut forums = self.forums();
        forums.topics.insert((place, key.clone()), topic);
        forums.threads.insert(topic);
        Ok(Some(topic))
    }

    async fn make_topic(
        &self,
        deadline: Instant,
        place: ChannelId,
        key: &PostKey,
        title: &str,
        text: &str,
    ) -> Result<ChannelId, ChatError> {
        let first = CreateMessage::new()
            .content(text)
            .embed(embed(None, key))
            .allowed_mentions(CreateAllowedMentions::new());
        let topic = CreateForumPost::new(cut(title, TITLE_MAX), first)
            .auto_archive_duration(AutoArchiveDuration::OneWeek);
        let made = self
            .ask(deadline, || {
                self.http.create_forum_post(place, &topic, None)
            })
            .await;
        made.map(|made| made.id)
            .map_err(|fault| fault.during("opening a topic", place))
    }

    async fn is_forum(&self, deadline: Instant, place: ChannelId) -> Result<bool, ChatError> {
        if let Some(known) = self.forums().is_forum.get(&place) {
            return Ok(*known);
        }
        let found = self.ask(deadline, || self.http.get_channel(place)).await;
        let found = found.map_err(|fault| fault.during(FINDING, place))?;
        let is_forum = matches!(&found, Channel::Guild(found) if found.kind == ChannelType::Forum);
        self.forums().is_forum.insert(place, is_forum);
        Ok(is_forum)
    }

    /// Among the topics that we have opened, the open ones first.
    async fn find_topic(
        &self,
        deadline: Instant,
        place: ChannelId,
        key: &PostKey,
    ) -> Result<Option<ChannelId>, Fault> {
        let ours = |thread: &GuildChannel| {
            thread.parent_id == Some(place) && thread.owner_id == Some(self.me)
        };
        let open = self
            .ask(deadline, || self.http.get_guild_active_threads(self.guild))
            .await?;
        if let Some(found) = self
            .marked_topic(deadline, open.threads.iter().filter(|t| ours(t)), key)
            .await?
        {
            return Ok(Some(found));
        }
        let archived = self
            .ask(deadline, || {
                self.http
                    .get_channel_archived_public_threads(place, None, Some(ARCHIVED))
            })
            .await?;
        self.marked_topic(deadline, archived.threads.iter().filter(|t| ours(t)), key)
            .await
    }

    async fn marked_topic<'a>(
        &self,
        deadline: Instant,
        topics: impl Iterator<Item = &'a GuildChannel>,
        key: &PostKey,
    ) -> Result<Option<ChannelId>, Fault> {
        for topic in topics {
            // A topic's first message has its id.
            let first = self
                .ask(deadline, || {
                    self.http
                        .get_message(topic.id, MessageId::new(topic.id.get()))
                })
                .await;
            match first {
                Ok(first) if self.is_marked(&first, key) => return Ok(Some(topic.id)),
                Ok(_) => {}
                Err(fault)
                    if fault.is(code::UNKNOWN_MESSAGE) || fault.is(code::UNKNOWN_CHANNEL) => {}
                Err(fault) => return Err(fault),
            }
        }
        Ok(None)
    }

    /// A thread that has gone to sleep takes edits and pins only when it is awake: whether it was, and is so now. Who locked
    /// it wants it so.
    pub(super) async fn woke<T>(
        &self,
        deadline: Instant,
        channel: ChannelId,
        done: &Result<T, Fault>,
    ) -> bool {
        let asleep = done
            .as_ref()
            .is_err_and(|fault| fault.is(code::THREAD_ARCHIVED));
        let wake = EditThread::new().archived(false);
        asleep
            && self
                .ask(deadline, || self.http.edit_thread(channel, &wake, None))
                .await
                .is_ok()
    }

    /// Whether this is a topic in a forum, in which no further thread can be opened.
    pub(super) fn is_topic(&self, channel: ChannelId) -> bool {
        self.forums().threads.contains(&channel)
    }

    /// How doing something with a message of a channel failed. With a topic that somebody deletes its messages are gone; what
    /// is still to be said is said in another.
    pub(super) fn failed(&self, fault: Fault, what: &str, channel: ChannelId) -> ChatError {
        if fault.is(code::UNKNOWN_CHANNEL) && self.forget_topic(channel) {
            return ChatError::Refused {
                reason: format!("{what}: the upgrade's topic {channel} was deleted"),
                remedy: "nothing is left there".into(),
            };
        }
        fault.during(what, channel)
    }

    /// `false` if it was none.
    pub(super) fn forget_topic(&self, channel: ChannelId) -> bool {
        let mut forums = self.forums();
        forums.topics.retain(|_, topic| *topic != channel);
        forums.threads.remove(&channel)
    }

    fn forums(&self) -> std::sync::MutexGuard<'_, Forums> {
        self.forums
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
