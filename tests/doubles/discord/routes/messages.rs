//! Messages: write, read, edit, delete, publish.

use serde_json::{Value, json};

use super::{
    super::{
        api::{Call, Reply, Upload},
        clock::{self, now_ms},
        error::{
            ApiError, already_crossposted, cannot_send_here, empty_message, invalid,
            missing_permissions, no_history_to_reply, not_the_author, system_message,
            thread_archived, unknown_message, wrong_channel_type, wrong_message_type,
        },
        options::permission,
        rules,
        state::{Attachment, CROSSPOSTED, Channel, EPHEMERAL, Message, ORDINARY, State},
        wire,
    },
    Outcome,
};

/// The flags that an author can set: no embeds, no notification, voice, components V2.
const SETTABLE: u64 = 1 << 2 | 1 << 12 | 1 << 13 | 1 << 15;

pub(super) fn create(state: &mut State, call: &Call) -> Outcome {
    let channel = state.channel(call.id("channel_id"), 0)?;
    if channel.kind == 15 {
        return Err(cannot_send_here());
    }
    may_send(state, &channel, &call.body, call)?;
    rules::message(&call.body)?;
    if call.files.is_empty() {
        rules::not_empty(&call.body)?;
    }
    let nonce = nonce_of(&call.body);
    if let Some(nonce) = &nonce
        && call.body["enforce_nonce"] == true
        && let Some(first) = first_with(state, channel.id, nonce)
    {
        return Ok(Reply::Json(created(state, &first, &call.body["nonce"])));
    }
    let mut message = write(state, channel.id, &call.body, &call.files)?;
    message.nonce.clone_from(&nonce);
    if let Some(nonce) = nonce {
        let first = (message.accepted, message.id);
        state.nonces.insert((channel.id, nonce), first);
    }
    let answer = created(state, &message, &call.body["nonce"]);
    state.publish(message);
    Ok(Reply::Json(answer))
}

fn may_send(state: &State, channel: &Channel, body: &Value, call: &Call) -> Result<(), ApiError> {
    let mut needed = if channel.is_thread() {
        permission::SEND_MESSAGES_IN_THREADS
    } else {
        permission::SEND_MESSAGES
    };
    if body["embeds"]
        .as_array()
        .is_some_and(|list| !list.is_empty())
    {
        needed |= permission::EMBED_LINKS;
    }
    if !call.files.is_empty() {
        needed |= permission::ATTACH_FILES;
    }
    state.channel(channel.id, needed)?;
    if body["message_reference"].is_object()
        && state.permissions(channel) & permission::READ_MESSAGE_HISTORY == 0
    {
        return Err(no_history_to_reply());
    }
    let moderator = state.permissions(channel) & permission::MANAGE_THREADS != 0;
    if channel.locked && !moderator {
        return Err(thread_archived());
    }
    Ok(())
}

fn nonce_of(body: &Value) -> Option<String> {
    match &body["nonce"] {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The message that the bot wrote with this nonce within the window.
fn first_with(state: &State, channel: u64, nonce: &str) -> Option<Message> {
    let (at, id) = state.nonces.get(&(channel, nonce.to_owned()))?;
    if at.elapsed() > state.options.nonce_window {
        return None;
    }
    state.messages.get(id).cloned()
}

/// The message as its author gets it back: the nonce is told here and in the event, never again.
fn created(state: &State, message: &Message, nonce: &Value) -> Value {
    let mut json = state.message_json(message, true);
    if !nonce.is_null() {
        json["nonce"] = nonce.clone();
    }
    json
}

/// Makes the bot's message out of a body that keeps the rules.
pub(super) fn write(
    state: &mut State,
    channel: u64,
    body: &Value,
    files: &[Upload],
) -> Result<Message, ApiError> {
    let mut message = state.draft(channel, state.bot, 0);
    let reference = &body["message_reference"];
    if let Some(original) = reference["message_id"].as_str() {
        let original = original.parse().unwrap_or(0);
        match state.message(channel, original) {
            Ok(_) => (message.kind, message.reply_to) = (19, Some(original)),
            Err(_) if reference["fail_if_not_exists"] == false => {}
            Err(_) => {
                let code = "REPLIES_UNKNOWN_MESSAGE";
                let mut error = invalid("message_reference", code, "Unknown message");
                error.fault_of_bot = false;
                return Err(error);
            }
        }
    }
    message.attachments = attachments(state, &[], body, files)?;
    apply(&mut message, body);
    message.flags &= SETTABLE;
    state.notify(&mut message);
    Ok(message)
}

/// The files that a message has after a request: of those it had the ones that the body lists (all, if it has no list), and
/// the new ones, each described by the entry with its number.
fn attachments(
    state: &mut State,
    there: &[Attachment],
    body: &Value,
    files: &[Upload],
) -> Result<Vec<Attachment>, ApiError> {
    let empty = Vec::new();
    let entries = body["attachments"].as_array();
    let id = |entry: &Value| {
        entry["id"]
            .as_u64()
            .or_else(|| entry["id"].as_str()?.parse().ok())
            .unwrap_or(u64::MAX)
    };
    let mut list = if entries.is_some() {
        Vec::new()
    } else {
        there.to_vec()
    };
    for (index, entry) in entries.unwrap_or(&empty).iter().enumerate() {
        let id = id(entry);
        match there.iter().find(|file| file.id == id) {
            Some(kept) => list.push(kept.clone()),
            None if files.iter().any(|file| file.number == id) => {}
            None => {
                let message = format!("Attachment with ID {id} was not found.");
                return Err(invalid(
                    &format!("attachments.{index}.id"),
                    "MESSAGE_ATTACHMENT_NOT_FOUND",
                    &message,
                ));
            }
        }
    }
    for file in files {
        let entry = entries
            .unwrap_or(&empty)
            .iter()
            .find(|entry| id(entry) == file.number)
            .unwrap_or(&Value::Null);
        if entry.is_null() {
            state.blame(format!(
                "files[{}] has no entry in `attachments`, so nothing describes it",
                file.number
            ));
        }
        if entry["filename"]
            .as_str()
            .is_some_and(|name| name != file.name)
        {
            state.blame(format!(
                "files[{}] is `{}` in the form and {} in its entry",
                file.number, file.name, entry["filename"]
            ));
        }
        list.push(Attachment {
            id: state.next_id(),
            name: file.name.clone(),
            description: entry["description"].as_str().map(str::to_owned),
            content_type: file.content_type.clone(),
            bytes: file.bytes.clone(),
        });
    }
    Ok(list)
}

/// Sets the fields that a body has; those that it leaves out stay.
pub(super) fn apply(message: &mut Message, body: &Value) {
    if let Some(content) = body.get("content") {
        message.content = content.as_str().unwrap_or_default().trim().to_owned();
    }
    if let Some(embeds) = body.get("embeds") {
        let list = embeds.as_array().cloned().unwrap_or_default();
        message.embeds = list.into_iter().map(finished_embed).collect();
    }
    if let Some(components) = body.get("components") {
        message.components = json!(components.as_array().cloned().unwrap_or_default());
    }
    if let Some(allowed) = body.get("allowed_mentions") {
        message.allowed_mentions = allowed.clone();
    }
    if let Some(flags) = body["flags"].as_u64() {
        message.flags = flags & (SETTABLE | EPHEMERAL);
    }
}

/// An embed as Discord gives it back: with its type, without empty parts.
fn finished_embed(mut embed: Value) -> Value {
    if let Some(time) = embed["timestamp"].as_str().and_then(clock::parse_iso) {
        embed["timestamp"] = json!(clock::iso(time.max(0) as u64));
    }
    wire::merge(&mut embed, json!({"type": "rich"}));
    if let Some(fields) = embed.as_object_mut() {
        fields.retain(|_, value| !value.is_null() && *value != json!([]) && *value != "");
    }
    embed
}

pub(super) fn list(state: &State, call: &Call) -> Outcome {
    let channel = state.channel(call.id("channel_id"), 0)?;
    if state.permissions(&channel) & permission::READ_MESSAGE_HISTORY == 0 {
        return Ok(Reply::Json(json!([])));
    }
    let limit = call.query_id("limit").unwrap_or(50) as usize;
    let (before, after, around) = (
        call.query_id("before"),
        call.query_id("after"),
        call.query_id("around"),
    );
    if [before, after, around].iter().flatten().count() > 1 {
        let message = "Only one of before, after and around may be given";
        return Err(invalid("before", "BASE_TYPE_CHOICES", message));
    }
    let newest_first = || state.visible(channel.id).rev();
    let mut chosen: Vec<&Message> = match (before, after, around) {
        (Some(before), ..) => newest_first()
            .filter(|message| message.id < before)
            .take(limit)
            .collect(),
        (_, Some(after), _) => state
            .visible(channel.id)
            .filter(|message| message.id > after)
            .take(limit)
            .collect(),
        (.., Some(around)) => {
            let half = limit / 2;
            let older = newest_first().filter(|m| m.id < around).take(half);
            let rest = state.visible(channel.id).filter(|m| m.id >= around);
            older.chain(rest.take(limit - half)).collect()
        }
        _ => newest_first().take(limit).collect(),
    };
    chosen.sort_by_key(|message| std::cmp::Reverse(message.id));
    let full = state.options.message_content;
    let json = chosen
        .into_iter()
        .map(|message| state.message_json(message, full));
    Ok(Reply::Json(json.collect()))
}

pub(super) fn get(state: &State, call: &Call) -> Outcome {
    state.channel(call.id("channel_id"), permission::READ_MESSAGE_HISTORY)?;
    let message = state.message(call.id("channel_id"), call.id("message_id"))?;
    let full = state.options.message_content;
    Ok(Reply::Json(state.message_json(message, full)))
}

pub(super) fn edit(state: &mut State, call: &Call) -> Outcome {
    let channel = state.channel(call.id("channel_id"), 0)?;
    let mut message = state.message(channel.id, call.id("message_id"))?.clone();
    if message.author_id != state.bot {
        return Err(not_the_author());
    }
    if channel.archived {
        return Err(thread_archived());
    }
    if !call.files.is_empty() {
        state.channel(channel.id, permission::ATTACH_FILES)?;
    }
    rules::message(&call.body)?;
    change(state, &mut message, &call.body, &call.files)?;
    let id = message.id;
    let json = state.message_json(&message, true);
    state.messages.insert(id, message);
    state.message_event("MESSAGE_UPDATE", id);
    Ok(Reply::Json(json))
}

/// Edits one of the bot's messages, which mustn't become empty. New text that comes without `allowed_mentions` may mention
/// everybody it names, whatever the message was sent with.
pub(super) fn change(
    state: &mut State,
    message: &mut Message,
    body: &Value,
    files: &[Upload],
) -> Result<(), ApiError> {
    let (kept_flags, said) = (message.flags, message.content.clone());
    if body.get("content").is_some() {
        message.allowed_mentions = Value::Null;
    }
    message.attachments = attachments(state, &message.attachments, body, files)?;
    apply(message, body);
    let has_more = [&message.embeds, &message.components]
        .iter()
        .any(|list| **list != json!([]))
        || !message.attachments.is_empty();
    if message.content.is_empty() && !has_more {
        return Err(empty_message().blame());
    }
    if !said.is_empty() {
        message.history.push(said);
    }
    // SUPPRESS_EMBEDS is the one flag that an edit can set.
    let suppress = 1 << 2;
    message.flags = kept_flags & !suppress | message.flags & suppress;
    state.notify(message);
    message.edited = true;
    message.edited_ms = Some(now_ms());
    Ok(())
}

pub(super) fn delete(state: &mut State, call: &Call) -> Outcome {
    let channel = state.channel(call.id("channel_id"), 0)?;
    let message = state.message(channel.id, call.id("message_id"))?.clone();
    let moderator = state.permissions(&channel) & permission::MANAGE_MESSAGES != 0;
    if message.author_id != state.bot && !moderator {
        return Err(missing_permissions());
    }
    if !ORDINARY.contains(&message.kind) && !matches!(message.kind, 6 | 18) {
        return Err(system_message());
    }
    state.messages.remove(&message.id);
    state.message_deleted(&message);
    Ok(Reply::Nothing)
}

pub(super) fn crosspost(state: &mut State, call: &Call) -> Outcome {
    let channel = state.channel(call.id("channel_id"), permission::SEND_MESSAGES)?;
    if channel.kind != 5 {
        return Err(wrong_channel_type());
    }
    let id = call.id("message_id");
    let bot = state.bot;
    let moderator = state.permissions(&channel) & permission::MANAGE_MESSAGES != 0;
    let message = state
        .messages
        .get_mut(&id)
        .filter(|message| message.channel_id == channel.id)
        .ok_or_else(unknown_message)?;
    if message.author_id != bot && !moderator {
        return Err(missing_permissions());
    }
    if !ORDINARY.contains(&message.kind) {
        return Err(wrong_message_type());
    }
    if message.crossposted {
        return Err(already_crossposted());
    }
    message.crossposted = true;
    message.flags |= CROSSPOSTED;
    let message = message.clone();
    state.message_event("MESSAGE_UPDATE", id);
    let full = state.options.message_content;
    Ok(Reply::Json(state.message_json(&message, full)))
}
