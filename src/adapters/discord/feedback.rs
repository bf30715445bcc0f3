//! Reading answers from the platform itself, so that nothing that happened while herald was down is missed.

use jiff::Timestamp;
use serenity::{
    all::{ChannelId, MessageId, MessageReaction, MessageType, UserId},
    http::Route,
};

use super::{
    Discord,
    error::{DiscordFault, code},
    forum,
    read::{self, HistoryPart, MessageAuthor, PAGE_MESSAGES, PastMessage},
};
use crate::{
    domain::people::feedback::{Heard, Reaction, ThreadReply},
    ports::ChatError,
};

/// Pages of a thread that are read at most: 20,000 messages.
const PAGES_MAX: u32 = 200;

/// Reactions to a message and replies in its thread, if it has one; our own left out.
pub(super) async fn heard(
    discord: &Discord,
    channel: ChannelId,
    root: MessageId,
    thread: Option<ChannelId>,
) -> Result<Heard, ChatError> {
    let message = read::message(discord, discord.deadline(), channel, root).await;
    let message =
        message.map_err(|fault| forum::failed(discord, fault, "reading reactions", channel))?;
    let mut reactions = Vec::new();
    let given = message.reactions(discord);
    for given in given.iter().filter(|given| others(given) > 0) {
        let read = reactions_of(discord, channel, root, given).await;
        reactions.extend(read.map_err(|fault| fault.during("reading reactions", channel))?);
    }
    let Some(thread) = thread else {
        return Ok(Heard {
            reactions,
            ..Heard::default()
        });
    };
    // In a topic, the id of the message that asks.
    let (thread, after) = if forum::is_topic(discord, channel) {
        (channel, thread.get())
    } else {
        (thread, 0)
    };
    let (replies, unread) = match replies_in(discord, thread, after).await {
        Ok(replies) => (replies, None),
        Err(fault) if fault.is(code::UNKNOWN_CHANNEL) => {
            let why = format!("the feedback thread {thread} was deleted: no replies are counted");
            (Vec::new(), Some(why))
        }
        Err(fault) => return Err(fault.during("reading replies", thread)),
    };
    Ok(Heard {
        reactions,
        replies,
        unread,
    })
}

/// Reads who gave one emoji (a server's own as `<:name:id>`). Discord says who, and not when.
async fn reactions_of(
    discord: &Discord,
    channel: ChannelId,
    root: MessageId,
    given: &MessageReaction,
) -> Result<Vec<Reaction>, DiscordFault> {
    let (mut found, mut after) = (Vec::new(), None);
    for _ in 0..PAGES_MAX {
        let emoji = given.reaction_type.as_data();
        let route = Route::ChannelMessageReactionEmoji {
            channel_id: channel,
            message_id: root,
            reaction: &emoji,
        };
        let limit = [("limit", PAGE_MESSAGES.to_string())].into_iter();
        let after_last = after.map(|id: UserId| ("after", id.to_string()));
        let params = limit.chain(after_last).collect();
        let page = read::entries(discord, discord.deadline(), route, params).await?;
        let count = page.len();
        let users: Vec<MessageAuthor> = read::readable(discord, "reading who reacted", page);
        after = users.last().map(|user| user.id);
        let others = users.iter().filter(|user| user.id != discord.me);
        found.extend(others.map(|user| Reaction {
            emoji: given.reaction_type.to_string(),
            by: user.id.to_string(),
            at: None,
        }));
        if count < PAGE_MESSAGES {
            break;
        }
    }
    Ok(found)
}

/// Reads what others have said in a thread after a message, or after 0.
async fn replies_in(
    discord: &Discord,
    thread: ChannelId,
    after: u64,
) -> Result<Vec<ThreadReply>, DiscordFault> {
    let mut replies = Vec::new();
    let mut part = HistoryPart::Newest;
    for _ in 0..PAGES_MAX {
        let page = read::page(discord, discord.deadline(), thread, part).await?;
        replies.extend(
            page.messages
                .iter()
                .filter(|message| message.id.get() > after && is_reply(discord, message))
                .map(reply),
        );
        let Some(oldest) = page
            .oldest
            .filter(|oldest| !page.is_last && oldest.get() > after)
        else {
            return Ok(replies);
        };
        part = HistoryPart::Before(oldest);
    }
    tracing::warn!(%thread, replies = replies.len(), "the feedback thread is longer than what is read");
    Ok(replies)
}

/// Somebody's words, not Discord's note that a thread began or a message was pinned.
fn is_reply(discord: &Discord, message: &PastMessage) -> bool {
    message.author.id != discord.me
        && matches!(
            message.kind,
            MessageType::Regular | MessageType::InlineReply
        )
}

/// A bot without the intent for message content is shown nothing of others' words.
fn reply(message: &PastMessage) -> ThreadReply {
    let at =
        Timestamp::from_second(message.timestamp.unix_timestamp()).unwrap_or(Timestamp::UNIX_EPOCH);
    ThreadReply {
        by: message.author.id.to_string(),
        at,
        text: Some(message.content.clone()).filter(|text| !text.is_empty()),
    }
}

fn others(reaction: &MessageReaction) -> u64 {
    reaction
        .count
        .saturating_sub(u64::from(reaction.me) + u64::from(reaction.me_burst))
}
