//! Forums: what is said of an upgrade stands in one topic there, a thread whose first message bears a mark.

use std::collections::{BTreeMap, BTreeSet};

use serenity::all::{
    AutoArchiveDuration, Channel, ChannelId, ChannelType, CreateAllowedMentions, CreateForumPost,
    CreateMessage, EditThread, GuildChannel, MessageId,
};
use tokio::time::Instant;

use super::{
    Discord,
    error::{DiscordFault, code},
    read,
    send::{self, MAX_TITLE_CHARS, embed},
};
use crate::{
    domain::outbox::{PostKey, cut},
    ports::ChatError,
};

/// Archived topics that are looked through, the newest first.
const MAX_ARCHIVED_TOPICS: u64 = 100;
const FINDING_TOPIC: &str = "looking for the upgrade's topic";

/// A cache of forums and topics, so that they aren't asked for with each post.
#[derive(Debug, Default)]
pub(super) struct Forums {
    is_forum: BTreeMap<ChannelId, bool>,
    topics: BTreeMap<(ChannelId, PostKey), ChannelId>,
    threads: BTreeSet<ChannelId>,
}

/// The topic with this key in a forum, or the channel itself where it is none.
pub(super) async fn topic(
    discord: &Discord,
    place: ChannelId,
    key: &PostKey,
    words: Option<(&str, &str)>,
) -> Result<Option<ChannelId>, ChatError> {
    let deadline = discord.deadline();
    if !is_forum(discord, deadline, place).await? {
        return Ok(Some(place));
    }
    let known = known_forums(discord)
        .topics
        .get(&(place, key.clone()))
        .copied();
    if known.is_some() {
        return Ok(known);
    }
    let topic = match (
        find_topic(discord, deadline, place, key)
            .await
            .map_err(|fault| fault.during(FINDING_TOPIC, place))?,
        words,
    ) {
        (Some(found), _) => found,
        (None, None) => return Ok(None),
        (None, Some((title, text))) => {
            make_topic(discord, deadline, place, key, title, text).await?
        }
    };
    let mut forums = known_forums(discord);
    forums.topics.insert((place, key.clone()), topic);
    forums.threads.insert(topic);
    Ok(Some(topic))
}

async fn make_topic(
    discord: &Discord,
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
    let topic = CreateForumPost::new(cut(title, MAX_TITLE_CHARS), first)
        .auto_archive_duration(AutoArchiveDuration::OneWeek);
    let made = discord
        .ask(deadline, || {
            discord.http.create_forum_post(place, &topic, None)
        })
        .await;
    made.map(|made| made.id)
        .map_err(|fault| fault.during("opening a topic", place))
}

async fn is_forum(
    discord: &Discord,
    deadline: Instant,
    place: ChannelId,
) -> Result<bool, ChatError> {
    if let Some(known) = known_forums(discord).is_forum.get(&place) {
        return Ok(*known);
    }
    let found = discord
        .ask(deadline, || discord.http.get_channel(place))
        .await;
    let found = found.map_err(|fault| fault.during(FINDING_TOPIC, place))?;
    let is_forum = matches!(&found, Channel::Guild(found) if found.kind == ChannelType::Forum);
    known_forums(discord).is_forum.insert(place, is_forum);
    Ok(is_forum)
}

/// Among the topics that we have opened, the open ones first.
async fn find_topic(
    discord: &Discord,
    deadline: Instant,
    place: ChannelId,
    key: &PostKey,
) -> Result<Option<ChannelId>, DiscordFault> {
    let ours = |thread: &GuildChannel| {
        thread.parent_id == Some(place) && thread.owner_id == Some(discord.me)
    };
    let open = discord
        .ask(deadline, || {
            discord.http.get_guild_active_threads(discord.guild)
        })
        .await?;
    if let Some(found) = marked_topic(
        discord,
        deadline,
        open.threads.iter().filter(|t| ours(t)),
        key,
    )
    .await?
    {
        return Ok(Some(found));
    }
    let archived = discord
        .ask(deadline, || {
            discord
                .http
                .get_channel_archived_public_threads(place, None, Some(MAX_ARCHIVED_TOPICS))
        })
        .await?;
    marked_topic(
        discord,
        deadline,
        archived.threads.iter().filter(|t| ours(t)),
        key,
    )
    .await
}

async fn marked_topic<'a>(
    discord: &Discord,
    deadline: Instant,
    topics: impl Iterator<Item = &'a GuildChannel>,
    key: &PostKey,
) -> Result<Option<ChannelId>, DiscordFault> {
    for topic in topics {
        // A topic's first message has its id.
        let first = MessageId::new(topic.id.get());
        let first = read::message(discord, deadline, topic.id, first).await;
        match first {
            Ok(first) if send::is_marked(discord, &first, key) => return Ok(Some(topic.id)),
            Ok(_) => {}
            Err(fault) if fault.is(code::UNKNOWN_MESSAGE) || fault.is(code::UNKNOWN_CHANNEL) => {}
            Err(fault) => return Err(fault),
        }
    }
    Ok(None)
}

/// A thread that has gone to sleep takes edits and pins only when it is awake: whether it was, and is so now. Who locked
/// it wants it so.
pub(super) async fn is_woken<T>(
    discord: &Discord,
    deadline: Instant,
    channel: ChannelId,
    done: &Result<T, DiscordFault>,
) -> bool {
    let asleep = done
        .as_ref()
        .is_err_and(|fault| fault.is(code::THREAD_ARCHIVED));
    let wake = EditThread::new().archived(false);
    asleep
        && discord
            .ask(deadline, || discord.http.edit_thread(channel, &wake, None))
            .await
            .is_ok()
}

/// True if this is a topic in a forum, in which no further thread can be opened.
pub(super) fn is_topic(discord: &Discord, channel: ChannelId) -> bool {
    known_forums(discord).threads.contains(&channel)
}

/// How doing something with a message of a channel failed. With a topic that somebody deletes its messages are gone; what
/// is still to be said is said in another.
pub(super) fn failed(
    discord: &Discord,
    fault: DiscordFault,
    what: &str,
    channel: ChannelId,
) -> ChatError {
    if fault.is(code::UNKNOWN_CHANNEL) && forget_topic(discord, channel) {
        return ChatError::Gone {
            reason: format!("{what}: the upgrade's topic {channel} was deleted"),
            remedy: "nothing is left there".into(),
        };
    }
    fault.during(what, channel)
}

/// `false` if it was none.
pub(super) fn forget_topic(discord: &Discord, channel: ChannelId) -> bool {
    let mut forums = known_forums(discord);
    forums.topics.retain(|_, topic| *topic != channel);
    forums.threads.remove(&channel)
}

fn known_forums(discord: &Discord) -> parking_lot::MutexGuard<'_, Forums> {
    discord.forums.lock()
}
