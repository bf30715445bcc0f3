//! Threads: under a message (with the message's id), in a forum, or on their own.

use serde_json::{Value, json};

use super::{
    super::{
        api::{Call, Reply},
        clock::{iso, now_ms, parse_iso},
        error::{
            invalid, missing_permissions, thread_archived, thread_exists, unknown_guild,
            wrong_channel_type,
        },
        gateway::intent,
        options::permission,
        rules,
        state::{Channel, HAS_THREAD, State},
    },
    Outcome, messages,
};

pub(super) fn from_message(state: &mut State, call: &Call) -> Outcome {
    let channel = state.channel(call.id("channel_id"), permission::CREATE_PUBLIC_THREADS)?;
    let message = state.message(channel.id, call.id("message_id"))?.clone();
    let kind = match channel.kind {
        0 => 11,
        5 => 10,
        _ => return Err(wrong_channel_type()),
    };
    // The thread outlives its message, and so does its id.
    if state.channels.contains_key(&message.id) {
        return Err(thread_exists());
    }
    let answer = open(state, message.id, kind, channel.id, &call.body);
    if let Some(message) = state.messages.get_mut(&message.id) {
        message.thread_id = Some(message.id);
        message.flags |= HAS_THREAD;
    }
    state.message_event("MESSAGE_UPDATE", message.id);
    let mut head = state.draft(message.id, state.bot, 21);
    head.reply_to = Some(message.id);
    state.publish(head);
    Ok(Reply::Created(answer))
}

/// Makes the thread and tells about it.
fn open(state: &mut State, id: u64, kind: u8, parent: u64, body: &Value) -> Value {
    let (name, bot) = (body["name"].as_str().unwrap_or_default(), state.bot);
    let thread = state.new_channel(id, kind, name, bot);
    thread.parent = Some(parent);
    if let Some(minutes) = body["auto_archive_duration"].as_u64() {
        thread.archive_minutes = minutes;
    }
    if let Some(tags) = body.get("applied_tags") {
        thread.applied_tags = tags.clone();
    }
    let thread = thread.clone();
    state.thread_event("THREAD_CREATE", id);
    state.channel_json(&thread)
}

pub(super) fn create(state: &mut State, call: &Call) -> Outcome {
    let channel = state.channel(call.id("channel_id"), 0)?;
    if channel.kind == 15 {
        return in_forum(state, call, &channel);
    }
    if !matches!(channel.kind, 0 | 5) {
        return Err(wrong_channel_type());
    }
    state.channel(channel.id, permission::CREATE_PUBLIC_THREADS)?;
    let kind = call.body["type"].as_u64().unwrap_or(12);
    if kind == 12 {
        // Private threads need a permission of their own, and nobody here has it.
        return Err(missing_permissions());
    }
    let id = state.next_id();
    let answer = open(state, id, kind as u8, channel.id, &call.body);
    let mut notice = state.draft(channel.id, state.bot, 18);
    notice.content = call.body["name"].as_str().unwrap_or_default().to_owned();
    notice.thread_id = Some(id);
    state.publish(notice);
    Ok(Reply::Created(answer))
}

/// A forum post is a thread with its first message, which has the thread's id.
fn in_forum(state: &mut State, call: &Call, forum: &Channel) -> Outcome {
    state.channel(forum.id, permission::SEND_MESSAGES)?;
    let body = &call.body["message"];
    if !body.is_object() {
        let message = "This field is required";
        return Err(invalid("message", "BASE_TYPE_REQUIRED", message));
    }
    rules::message(body)?;
    if call.files.is_empty() {
        rules::not_empty(body)?;
    }
    let mut message = messages::write(state, 0, body, &call.files)?;
    message.channel_id = message.id;
    let mut answer = open(state, message.id, 11, forum.id, &call.body);
    answer["message"] = state.message_json(&message, true);
    state.publish(message);
    Ok(Reply::Created(answer))
}

pub(super) fn edit_channel(state: &mut State, call: &Call) -> Outcome {
    let channel = state.channel(call.id("channel_id"), 0)?;
    if !channel.is_thread() {
        return edit_place(state, call, &channel);
    }
    let moderator = state.permissions(&channel) & permission::MANAGE_THREADS != 0;
    let body = &call.body;
    let locks = body["locked"].is_boolean() && body["locked"] != channel.locked;
    if !moderator && (channel.owner != state.bot || locks || channel.locked) {
        return Err(missing_permissions());
    }
    if channel.archived && body["archived"] != false {
        return Err(thread_archived());
    }
    let Some(thread) = state.channels.get_mut(&channel.id) else {
        return Err(wrong_channel_type());
    };
    if let Some(name) = body["name"].as_str() {
        name.clone_into(&mut thread.name);
    }
    if let Some(archived) = body["archived"].as_bool() {
        (thread.archived, thread.archived_ms) = (archived, now_ms());
    }
    if let Some(locked) = body["locked"].as_bool() {
        thread.locked = locked;
    }
    if let Some(minutes) = body["auto_archive_duration"].as_u64() {
        thread.archive_minutes = minutes;
    }
    if let Some(tags) = body.get("applied_tags") {
        thread.applied_tags = tags.clone();
    }
    let thread = thread.clone();
    state.thread_event("THREAD_UPDATE", thread.id);
    Ok(Reply::Json(state.channel_json(&thread)))
}

fn edit_place(state: &mut State, call: &Call, channel: &Channel) -> Outcome {
    state.channel(channel.id, permission::MANAGE_CHANNELS)?;
    let mut changed = channel.clone();
    if let Some(name) = call.body["name"].as_str() {
        name.clone_into(&mut changed.name);
    }
    if let Some(topic) = call.body.get("topic") {
        changed.topic = topic.as_str().map(str::to_owned);
    }
    let json = state.channel_json(&changed);
    state.channels.insert(changed.id, changed);
    state.dispatch("CHANNEL_UPDATE", intent::GUILDS, &json);
    Ok(Reply::Json(json))
}

pub(super) fn active(state: &State, call: &Call) -> Outcome {
    if call.id("guild_id") != state.guild {
        return Err(unknown_guild());
    }
    let open: Vec<&Channel> = state
        .channels
        .values()
        .filter(|c| c.is_thread() && !c.archived && state.seen_by_bot(c.id))
        .collect();
    Ok(Reply::Json(listing(state, &open)))
}

pub(super) fn archived(state: &State, call: &Call) -> Outcome {
    let channel = state.channel(call.id("channel_id"), permission::READ_MESSAGE_HISTORY)?;
    let before = call.query("before").and_then(parse_iso).unwrap_or(i64::MAX);
    let limit = call.query_id("limit").unwrap_or(50) as usize;
    let mut threads: Vec<&Channel> = state
        .channels
        .values()
        .filter(|c| c.parent == Some(channel.id) && c.archived && (c.archived_ms as i64) < before)
        .collect();
    threads.sort_by_key(|thread| std::cmp::Reverse(thread.archived_ms));
    let more = threads.len() > limit;
    threads.truncate(limit);
    let mut json = listing(state, &threads);
    json["has_more"] = json!(more);
    Ok(Reply::Json(json))
}

fn listing(state: &State, threads: &[&Channel]) -> Value {
    let members = threads.iter().filter(|thread| thread.owner == state.bot);
    let members = members.map(|thread| {
        json!({
            "id": thread.id.to_string(),
            "user_id": state.bot.to_string(),
            "join_timestamp": iso(thread.created_ms),
            "flags": 0,
        })
    });
    json!({
        "threads": threads.iter().map(|thread| state.channel_json(thread)).collect::<Vec<_>>(),
        "members": members.collect::<Vec<_>>(),
        "has_more": false,
    })
}
