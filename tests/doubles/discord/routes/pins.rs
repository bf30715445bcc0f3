//! Pins, by the old routes and the new ones. A new pin leaves a notice in the channel.

use serde_json::json;

use super::{
    super::{
        api::{Call, Reply},
        clock::{iso, now_ms},
        error::{ApiError, system_message, thread_archived, too_many_pins},
        gateway::intent,
        options::permission,
        state::{Message, ORDINARY, State},
    },
    Outcome,
};

const MOST: usize = 250;

/// The pinned messages, latest pin first.
fn pinned(state: &State, channel: u64) -> Vec<&Message> {
    let mut pinned: Vec<_> = state.visible(channel).filter(|m| m.pinned).collect();
    pinned.sort_by_key(|message| std::cmp::Reverse(message.pinned_ms));
    pinned
}

pub(super) fn list_old(state: &State, call: &Call) -> Outcome {
    let channel = state.channel(call.id("channel_id"), 0)?;
    let full = state.options.message_content;
    let messages = pinned(state, channel.id).into_iter();
    let json = messages.map(|message| state.message_json(message, full));
    Ok(Reply::Json(json.collect()))
}

pub(super) fn list(state: &State, call: &Call) -> Outcome {
    let channel = state.channel(call.id("channel_id"), 0)?;
    let full = state.options.message_content;
    let limit = call.query_id("limit").unwrap_or(50) as usize;
    let all = pinned(state, channel.id);
    let items = all.iter().take(limit).map(|message| {
        json!({
            "pinned_at": iso(message.pinned_ms),
            "message": state.message_json(message, full),
        })
    });
    let items: Vec<_> = items.collect();
    Ok(Reply::Json(
        json!({"items": items, "has_more": all.len() > limit}),
    ))
}

pub(super) fn pin(state: &mut State, call: &Call) -> Outcome {
    let message = pinnable(state, call)?;
    if message.pinned {
        return Ok(Reply::Nothing);
    }
    if pinned(state, message.channel_id).len() >= MOST {
        return Err(too_many_pins());
    }
    set(state, &message, true);
    let mut notice = state.draft(message.channel_id, state.bot, 6);
    notice.reply_to = Some(message.id);
    state.publish(notice);
    Ok(Reply::Nothing)
}

pub(super) fn unpin(state: &mut State, call: &Call) -> Outcome {
    let message = pinnable(state, call)?;
    if message.pinned {
        set(state, &message, false);
    }
    Ok(Reply::Nothing)
}

fn pinnable(state: &State, call: &Call) -> Result<Message, ApiError> {
    let channel = state.channel(call.id("channel_id"), permission::PIN_MESSAGES)?;
    let message = state.message(channel.id, call.id("message_id"))?;
    if !ORDINARY.contains(&message.kind) {
        return Err(system_message());
    }
    if channel.archived {
        return Err(thread_archived());
    }
    Ok(message.clone())
}

fn set(state: &mut State, message: &Message, pinned: bool) {
    let now = now_ms();
    if let Some(message) = state.messages.get_mut(&message.id) {
        (message.pinned, message.pinned_ms) = (pinned, now);
    }
    if let Some(channel) = state.channels.get_mut(&message.channel_id) {
        channel.last_pin_ms = Some(now);
    }
    state.message_event("MESSAGE_UPDATE", message.id);
    let data = json!({
        "guild_id": state.guild.to_string(),
        "channel_id": message.channel_id.to_string(),
        "last_pin_timestamp": iso(now),
    });
    state.dispatch("CHANNEL_PINS_UPDATE", intent::GUILDS, &data);
}
