//! Posting once: the nonce while an attempt is in flight, the footer's mark after that.

use jiff::{SignedDuration, Timestamp};
use serenity::all::{
    AutoArchiveDuration, ChannelId, CreateAllowedMentions, CreateAttachment, CreateEmbed,
    CreateEmbedFooter, CreateMessage, CreateThread, EditMessage, MessageId, MessageReference,
    MessageReferenceKind, Nonce, RoleId, UserId,
};
use tokio::time::Instant;

use super::{
    Discord,
    command::rows,
    error::{DiscordFault, code},
    forum, id,
    read::{self, HistoryPart, PAGE_MESSAGES, Page, PastMessage},
};
use crate::{
    domain::outbox::{Body, Card, Picture, PostKey, cut},
    ports::{Accepted, ChatError, Outgoing},
};

/// Characters of a message's content.
const MAX_CONTENT_CHARS: usize = 2_000;
/// Characters of a picture's description.
const MAX_ALT_CHARS: usize = 1_024;
/// Characters of a thread's name.
pub(super) const MAX_TITLE_CHARS: usize = 100;
/// Roles, and users, that one message may call.
const MAX_MENTIONS: usize = 100;
/// Messages read back at most.
const MAX_HISTORY_MESSAGES: usize = 2_000;
/// How much older than asked the history is read: clocks differ.
const CLOCK_SLACK: SignedDuration = SignedDuration::from_mins(10);
/// Milliseconds between 1970 and Discord's year 2015, where ids begin to count.
const EPOCH_MS: i64 = 1_420_070_400_000;

pub(super) fn mark(key: &PostKey) -> String {
    format!("upgrade-herald · {key}")
}

/// Posts a message that mentions the roles of its body and nobody else, marked with its key.
pub(super) async fn send(
    discord: &Discord,
    channel: ChannelId,
    out: Outgoing<'_>,
) -> Result<Accepted, ChatError> {
    send_by(discord, discord.deadline(), channel, out).await
}

async fn send_by(
    discord: &Discord,
    deadline: Instant,
    channel: ChannelId,
    out: Outgoing<'_>,
) -> Result<Accepted, ChatError> {
    check_length(&out.body.text)?;
    let picture = out.body.picture.as_ref().map(attachment);
    let mut message = CreateMessage::new()
        .content(&out.body.text)
        .embed(embed(out.body.card.as_ref(), out.key))
        .add_files(picture.clone())
        .components(rows(out.body))
        .allowed_mentions(called(out.body))
        .nonce(Nonce::String(out.key.0.clone()))
        .enforce_nonce(true);
    if let Some(answered) = out.answers.and_then(id) {
        let answered = MessageReference::new(MessageReferenceKind::Default, channel)
            .message_id(answered.into());
        message =
            message.reference_message(answered.guild_id(discord.guild).fail_if_not_exists(false));
    }
    // the message describes the file, the form holds it; the one file is number 0 in both
    let sent = discord
        .ask(deadline, || {
            discord
                .http
                .send_message(channel, picture.iter().cloned().collect(), &message)
        })
        .await;
    sent.map(|sent| accepted(discord, channel, sent.id))
        .map_err(|fault| {
            if fault.is(code::UNKNOWN_CHANNEL) && forum::forget_topic(discord, channel) {
                return ChatError::Retry {
                    reason: "the upgrade's topic was deleted, and is opened anew".into(),
                    after_ms: None,
                };
            }
            // The rest of the post may do without the picture, which takes a permission of its own.
            if fault.is(code::MISSING_PERMISSIONS) && out.body.picture.is_some() {
                return ChatError::Refused {
                    reason: format!("posting a picture in channel {channel}: {}", fault.words()),
                    remedy: "allow the bot's role there: Attach Files".into(),
                };
            }
            fault.during("posting", channel)
        })
}

/// Gives a message other words. What isn't named stays: the embed with the mark, a picture, reactions, the thread.
pub(super) async fn edit(
    discord: &Discord,
    channel: ChannelId,
    message: MessageId,
    out: Outgoing<'_>,
) -> Result<Accepted, ChatError> {
    check_length(&out.body.text)?;
    // without a word on mentions Discord would read the new text as free to call everybody it names
    let edit = EditMessage::new()
        .content(&out.body.text)
        .allowed_mentions(CreateAllowedMentions::new());
    let edit = match (&out.body.card, out.of) {
        (Some(card), Some(of)) => edit.embed(embed(Some(card), of)),
        _ => edit,
    };
    let deadline = discord.deadline();
    let edit = || {
        discord.ask(deadline, || {
            discord.http.edit_message(channel, message, &edit, vec![])
        })
    };
    let mut edited = edit().await;
    if forum::is_woken(discord, deadline, channel, &edited).await {
        edited = edit().await;
    }
    match edited {
        Ok(_) | Err(DiscordFault::Unreadable { .. }) => Ok(accepted(discord, channel, message)),
        Err(fault) => Err(forum::failed(discord, fault, "editing a post", channel)),
    }
}

fn accepted(discord: &Discord, channel: ChannelId, message: MessageId) -> Accepted {
    Accepted {
        id: message.to_string(),
        link: Some(format!(
            "https://discord.com/channels/{}/{channel}/{message}",
            discord.guild
        )),
    }
}

/// Reads the history backwards for our message with this key, down to ten minutes before `since` or 2,000 messages deep.
pub(super) async fn find(
    discord: &Discord,
    channel: ChannelId,
    key: &PostKey,
    since: Timestamp,
) -> Result<Option<Accepted>, ChatError> {
    find_by(discord, discord.deadline(), channel, key, since).await
}

async fn find_by(
    discord: &Discord,
    deadline: Instant,
    channel: ChannelId,
    key: &PostKey,
    since: Timestamp,
) -> Result<Option<Accepted>, ChatError> {
    let oldest = since.saturating_sub(CLOCK_SLACK).unwrap_or(Timestamp::MIN);
    let mut part = HistoryPart::Newest;
    let mut seen = 0;
    loop {
        let page = page(discord, deadline, channel, part).await?;
        let found = page.messages.iter().find(|m| is_marked(discord, m, key));
        if let Some(found) = found {
            return Ok(Some(accepted(discord, channel, found.id)));
        }
        seen += PAGE_MESSAGES;
        let Some(last) = page.oldest.filter(|_| !page.is_last) else {
            return Ok(None);
        };
        if made_at(last) < oldest.as_millisecond() {
            return Ok(None);
        }
        if seen >= MAX_HISTORY_MESSAGES {
            return Err(ChatError::Doubt {
                reason: format!(
                    "there are more than {seen} newer messages, so whether this one was posted before them can't be told"
                ),
                remedy: "look in the channel; if it isn't there, post it by hand".into(),
            });
        }
        part = HistoryPart::Before(last);
    }
}

/// Looks for a thread's opening words: they are likely among its first 100 messages, possibly after others' words.
async fn has_opening(
    discord: &Discord,
    deadline: Instant,
    thread: ChannelId,
    key: &PostKey,
) -> Result<bool, ChatError> {
    // everything in a thread is younger than the thread
    let first = page(
        discord,
        deadline,
        thread,
        HistoryPart::After(MessageId::new(thread.get())),
    )
    .await?;
    if first
        .messages
        .iter()
        .any(|message| is_marked(discord, message, key))
    {
        return Ok(true);
    }
    Ok(find_by(discord, deadline, thread, key, Timestamp::MIN)
        .await?
        .is_some())
}

/// A page of the history.
async fn page(
    discord: &Discord,
    deadline: Instant,
    channel: ChannelId,
    part: HistoryPart,
) -> Result<Page, ChatError> {
    let page = read::page(discord, deadline, channel, part).await;
    page.map_err(|fault| fault.during("reading the history", channel))
}

pub(super) fn is_marked(discord: &Discord, message: &PastMessage, key: &PostKey) -> bool {
    message.author.id == discord.me && message.footers().any(|footer| footer.ends_with(&key.0))
}

/// Opens a public thread on a message and says the opening words in it, once each.
pub(super) async fn open_thread(
    discord: &Discord,
    channel: ChannelId,
    root: MessageId,
    title: &str,
    out: Outgoing<'_>,
) -> Result<Accepted, ChatError> {
    let deadline = discord.deadline();
    if forum::is_topic(discord, channel) {
        // A thread already: what is asked is asked in it, and what follows is the answer.
        return send_by(discord, deadline, channel, out).await;
    }
    let wanted = CreateThread::new(cut(title, MAX_TITLE_CHARS))
        .auto_archive_duration(AutoArchiveDuration::OneWeek);
    let opened = discord
        .ask(deadline, || {
            discord
                .http
                .create_thread_from_message(channel, root, &wanted, None)
        })
        .await;
    let (thread, is_new) = match opened {
        Ok(thread) => (thread.id, true),
        // a thread on a message has the message's id
        Err(fault) if fault.is(code::THREAD_EXISTS) => (ChannelId::new(root.get()), false),
        Err(fault) => return Err(fault.during("opening a thread", channel)),
    };
    // an earlier try may have come as far as the opening words
    if is_new || !has_opening(discord, deadline, thread, out.key).await? {
        send_by(discord, deadline, thread, out).await?;
    }
    Ok(Accepted {
        id: thread.to_string(),
        link: Some(format!(
            "https://discord.com/channels/{}/{thread}",
            discord.guild
        )),
    })
}

fn check_length(text: &str) -> Result<(), ChatError> {
    let length = text.chars().count();
    if length <= MAX_CONTENT_CHARS {
        return Ok(());
    }
    Err(ChatError::Refused {
        reason: format!("the notice has {length} characters; Discord takes {MAX_CONTENT_CHARS}"),
        remedy: "shorten its template, or say less on Discord and link to the rest".into(),
    })
}

/// Discord reads roles and users out of the text, and lets these through: 100 of each.
fn called(body: &Body) -> CreateAllowedMentions {
    let users = body
        .mentions
        .iter()
        .filter_map(|called| id(called.strip_prefix('@')?))
        .map(UserId::from);
    let roles = body
        .mentions
        .iter()
        .filter_map(|called| id(called))
        .map(RoleId::from);
    CreateAllowedMentions::new()
        .roles(roles.take(MAX_MENTIONS))
        .users(users.take(MAX_MENTIONS))
        .replied_user(false)
}

/// The card, and below it the mark by which a message is found again.
pub(super) fn embed(card: Option<&Card>, key: &PostKey) -> CreateEmbed {
    let embed = CreateEmbed::new().footer(CreateEmbedFooter::new(mark(key)));
    match card {
        Some(card) => embed.description(&card.text).colour(card.colour),
        None => embed,
    }
}

fn attachment(picture: &Picture) -> CreateAttachment {
    CreateAttachment::bytes(picture.png.as_slice(), &picture.name)
        .description(cut(&picture.alt, MAX_ALT_CHARS))
}

/// The time at which a message was made, in milliseconds since 1970: the upper bits of its id.
fn made_at(id: MessageId) -> i64 {
    i64::try_from(id.get() >> 22)
        .unwrap_or(i64::MAX)
        .saturating_add(EPOCH_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_tells_its_time() {
        // the example in Discord's own reference: 2016-04-30 11:18:25.796 UTC
        assert_eq!(
            made_at(MessageId::new(175_928_847_299_117_063)),
            1_462_015_105_796
        );
    }
}
