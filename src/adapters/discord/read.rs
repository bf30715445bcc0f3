//! Reading what Discord has, in the few fields that are needed of it: an entry that can't be read is passed over, and
//! the rest of its list is taken.

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use serenity::{
    all::{ChannelId, MessageId, MessageReaction, MessageType, Timestamp, UserId},
    http::{LightMethod, Request, Route},
};
use tokio::time::Instant;

use super::{
    Discord,
    error::{DiscordFault, without_values},
};

/// Messages of one answer.
pub(super) const PAGE_MESSAGES: usize = 100;
/// Entries that are remembered as passed over, so that each is named once in the log.
const MAX_REMEMBERED_ENTRIES: usize = 1_000;

/// A message, as far as it is read.
#[derive(Debug, Deserialize)]
pub(super) struct PastMessage {
    pub id: MessageId,
    pub author: MessageAuthor,
    #[serde(rename = "type")]
    pub kind: MessageType,
    pub timestamp: Timestamp,
    #[serde(default)]
    pub content: String,
    #[serde(default)]
    embeds: Vec<PastEmbed>,
    #[serde(default)]
    reactions: Vec<Value>,
}

#[derive(Debug, Deserialize)]
pub(super) struct MessageAuthor {
    pub id: UserId,
}

#[derive(Debug, Deserialize)]
struct PastEmbed {
    footer: Option<PastFooter>,
}

#[derive(Debug, Deserialize)]
struct PastFooter {
    text: String,
}

impl PastMessage {
    /// The last lines of its embeds, one of which bears the mark of a post of ours.
    pub fn footers(&self) -> impl Iterator<Item = &str> {
        let footers = self.embeds.iter().filter_map(|e| e.footer.as_ref());
        footers.map(|footer| footer.text.as_str())
    }

    pub fn reactions(&self, discord: &Discord) -> Vec<MessageReaction> {
        readable(discord, "reading reactions", self.reactions.clone())
    }
}

/// Up to 100 messages of a channel, newest first, and where the page ends.
pub(super) struct Page {
    pub messages: Vec<PastMessage>,
    /// The last message of the page, whether it could be read or not.
    pub oldest: Option<MessageId>,
    /// Nothing older follows.
    pub is_last: bool,
}

/// The part of a channel's history that a page is of.
#[derive(Clone, Copy)]
pub(super) enum HistoryPart {
    Newest,
    Before(MessageId),
    After(MessageId),
}

/// Reads a page of a channel's history.
pub(super) async fn page(
    discord: &Discord,
    deadline: Instant,
    channel: ChannelId,
    part: HistoryPart,
) -> Result<Page, DiscordFault> {
    let mut params = vec![("limit", PAGE_MESSAGES.to_string())];
    params.extend(match part {
        HistoryPart::Newest => None,
        HistoryPart::Before(id) => Some(("before", id.to_string())),
        HistoryPart::After(id) => Some(("after", id.to_string())),
    });
    let route = Route::ChannelMessages {
        channel_id: channel,
    };
    let entries = entries(discord, deadline, route, params).await?;
    let id = |entry: &Value| entry["id"].as_str()?.parse().ok();
    Ok(Page {
        oldest: entries.iter().rev().find_map(id),
        is_last: entries.len() < PAGE_MESSAGES,
        messages: readable(
            discord,
            &format!("reading the history of channel {channel}"),
            entries,
        ),
    })
}

/// Reads one message.
pub(super) async fn message(
    discord: &Discord,
    deadline: Instant,
    channel: ChannelId,
    message: MessageId,
) -> Result<PastMessage, DiscordFault> {
    let route = Route::ChannelMessage {
        channel_id: channel,
        message_id: message,
    };
    let request = Request::new(route, LightMethod::Get);
    let read: Value = discord
        .ask(deadline, || discord.http.fire(request.clone()))
        .await?;
    serde_path_to_error::deserialize(read).map_err(|error| DiscordFault::Unreadable {
        reason: unreadable(&error),
    })
}

/// Reads a list whole, each entry as it came.
pub(super) async fn entries(
    discord: &Discord,
    deadline: Instant,
    route: Route<'_>,
    params: Vec<(&'static str, String)>,
) -> Result<Vec<Value>, DiscordFault> {
    let request = Request::new(route, LightMethod::Get).params(Some(params));
    discord
        .ask(deadline, || discord.http.fire(request.clone()))
        .await
}

/// The entries of a list that can be read. Each of the others is named in the log, once.
pub(super) fn readable<T: DeserializeOwned>(
    discord: &Discord,
    what: &str,
    entries: Vec<Value>,
) -> Vec<T> {
    let read = |entry: Value| {
        let id = entry.get("id").and_then(Value::as_str);
        let id = id.unwrap_or("without an id").to_owned();
        let error = match serde_path_to_error::deserialize(entry) {
            Ok(read) => return Some(read),
            Err(error) => unreadable(&error),
        };
        let mut named = discord.passed_over.lock();
        if named.len() < MAX_REMEMBERED_ENTRIES && named.insert(format!("{what} {id}")) {
            tracing::warn!(
                request = what,
                entry = id,
                "passed over on Discord: {error}"
            );
        }
        None
    };
    entries.into_iter().filter_map(read).collect()
}

/// The field that can't be read, and why; what stands in it may be anybody's words.
fn unreadable(error: &serde_path_to_error::Error<serde_json::Error>) -> String {
    format!(
        "field `{}`: {}",
        error.path(),
        without_values(&error.inner().to_string())
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_field_is_named_and_nobodys_words_are_repeated() {
        let entry = json!({ "id": "7", "author": { "id": "secret" }, "type": 0, "timestamp": "2026-01-01T00:00:00Z" });
        let error = serde_path_to_error::deserialize::<_, PastMessage>(entry).unwrap_err();
        let words = unreadable(&error);
        assert!(words.starts_with("field `author.id`: "), "{words}");
        assert!(!words.contains("secret"), "{words}");
    }
}
