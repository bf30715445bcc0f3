//! Counting from the platform itself, so that nothing that happened while herald was down is missed.

use std::collections::BTreeMap;

use serenity::all::{ChannelId, Message, MessageId, MessageReaction, MessageType};
use serenity::http::MessagePagination;

use super::{
    Discord,
    error::{Fault, code},
    send::PAGE,
};
use crate::{domain::feedback::Tally, ports::ChatError};

/// Pages of a thread that are counted at most: 20,000 messages.
const PAGES_MAX: u32 = 200;

impl Discord {
    /// Counts reactions to a message and replies in its thread, if it has one; our own left out.
    pub(super) async fn count(&self, channel: ChannelId, root: MessageId, thread: Option<ChannelId>) -> Result<Tally, ChatError> {
        let message = self.ask(self.deadline(), || self.http.get_message(channel, root)).await;
        let message = message.map_err(|fault| fault.during("counting reactions", channel))?;
        let reactions = reactions(&message.reactions);
        let Some(thread) = thread else { return Ok(Tally { reactions, replies: 0 }) };
        let replies = match self.replies(thread).await {
            Ok(replies) => replies,
            Err(fault) if fault.is(code::UNKNOWN_CHANNEL) => {
                tracing::warn!(%thread, "the feedback thread was deleted: no replies are counted");
                0
            }
            Err(fault) => return Err(fault.during("counting replies", thread)),
        };
        Ok(Tally { reactions, replies })
    }

    async fn replies(&self, thread: ChannelId) -> Result<u32, Fault> {
        let mut replies = 0;
        let mut before = None;
        for _ in 0..PAGES_MAX {
            let target = before.map(MessagePagination::Before);
            let page = self.ask(self.deadline(), || self.http.get_messages(thread, target, Some(PAGE))).await?;
            replies += page.iter().map(|message| u32::from(self.is_reply(message))).sum::<u32>();
            before = page.last().map(|oldest| oldest.id);
            if page.len() < usize::from(PAGE) {
                return Ok(replies);
            }
        }
        tracing::warn!(%thread, replies, "the feedback thread is longer than what is counted");
        Ok(replies)
    }

    /// Somebody's words, not Discord's note that a thread began or a message was pinned.
    fn is_reply(&self, message: &Message) -> bool {
        message.author.id != self.me && matches!(message.kind, MessageType::Regular | MessageType::InlineReply)
    }
}

/// By emoji (a server's own as `<:name:id>`), our own left out.
fn reactions(given: &[MessageReaction]) -> BTreeMap<String, u32> {
    let others = |reaction: &MessageReaction| reaction.count.saturating_sub(u64::from(reaction.me) + u64::from(reaction.me_burst));
    let counted = given.iter().map(|r| (r.reaction_type.to_string(), u32::try_from(others(r)).unwrap_or(u32::MAX)));
    counted.filter(|(_, count)| *count > 0).collect()
}
