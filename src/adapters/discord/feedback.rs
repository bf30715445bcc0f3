//! Reading answers from the platform itself, so that nothing that happened while herald was down is missed.

use jiff::Timestamp;
use serenity::{
    all::{ChannelId, Message, MessageId, MessageReaction, MessageType},
    http::MessagePagination,
};

use super::{
    Discord,
    error::{DiscordFault, code},
    forum,
    send::PAGE_MESSAGES,
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
    let message = discord
        .ask(discord.deadline(), || {
            discord.http.get_message(channel, root)
        })
        .await;
    let message =
        message.map_err(|fault| forum::failed(discord, fault, "reading reactions", channel))?;
    let mut reactions = Vec::new();
    for given in message.reactions.iter().filter(|given| others(given) > 0) {
        let read = reactions_of(discord, channel, root, given).await;
        reactions.extend(read.map_err(|fault| fault.during("reading reactions", channel))?);
    }
    let Some(thread) = thread else {
        return Ok(Heard {
            reactions,
            replies: Vec::new(),
        });
    };
    // In a topic, the id of the message that asks.
    let (thread, after) = if forum::is_topic(discord, channel) {
        (channel, thread.get())
    } else {
        (thread, 0)
    };
    let replies = match replies_in(discord, thread, after).await {
        Ok(replies) => replies,
        Err(fault) if fault.is(code::UNKNOWN_CHANNEL) => {
            tracing::warn!(%thread, "the feedback thread was deleted: no replies are counted");
            Vec::new()
        }
        Err(fault) => return Err(fault.during("reading replies", thread)),
    };
    Ok(Heard { reactions, replies })
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
        let page = discord
            .ask(discord.deadline(), || {
                discord.http.get_reaction_users(
                    channel,
                    root,
                    &given.reaction_type,
                    PAGE_MESSAGES,
                    after,
                )
            })
            .await?;
        after = page.last().map(|user| user.id.get());
        let others = page.iter().filter(|user| user.id != discord.me);
        found.extend(others.map(|user| Reaction {
            emoji: given.reaction_type.to_string(),
            by: user.id.to_string(),
            at: None,
        }));
        if page.len() < usize::from(PAGE_MESSAGES) {
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
    let mut before = None;
    for _ in 0..PAGES_MAX {
        let target = before.map(MessagePagination::Before);
        let page = discord
            .ask(discord.deadline(), || {
                discord
                    .http
                    .get_messages(thread, target, Some(PAGE_MESSAGES))
            })
            .await?;
        replies.extend(
            page.iter()
                .filter(|message| message.id.get() > after && is_reply(discord, message))
                .map(reply),
        );
        before = page.last().map(|oldest| oldest.id);
        if page.len() < usize::from(PAGE_MESSAGES)
            || before.is_some_and(|oldest| oldest.get() <= after)
        {
            return Ok(replies);
        }
    }
    tracing::warn!(%thread, replies = replies.len(), "the feedback thread is longer than what is read");
    Ok(replies)
}

/// Somebody's words, not Discord's note that a thread began or a message was pinned.
fn is_reply(discord: &Discord, message: &Message) -> bool {
    message.author.id != discord.me
        && matches!(
            message.kind,
            MessageType::Regular | MessageType::InlineReply
        )
}

/// A bot without the intent for message content is shown nothing of others' words.
fn reply(message: &Message) -> ThreadReply {
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
