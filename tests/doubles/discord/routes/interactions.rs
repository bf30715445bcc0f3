//! Answers to slash commands: at once, deferred, edited, and follow-ups.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    super::{
        api::{Call, Reply},
        error::{
            already_acknowledged, invalid, not_in_double, unknown_interaction, unknown_message,
            unknown_webhook,
        },
        rules,
        state::{EPHEMERAL, Interaction, LOADING, Message, State},
    },
    Outcome, messages,
};

/// For how long an interaction waits for its first answer.
pub(in super::super) const ACKNOWLEDGE: Duration = Duration::from_secs(3);
/// For how long its token can be used after that.
const TOKEN_LIFE: Duration = Duration::from_secs(15 * 60);

pub(super) fn callback(state: &mut State, call: &Call) -> Outcome {
    let id = call.id("interaction_id");
    let token = call.text("interaction_token");
    let found = state
        .interactions
        .get(&id)
        .filter(|found| found.token == token);
    let interaction = found.ok_or_else(unknown_interaction)?.clone();
    if interaction.acknowledged_after.is_some() {
        return Err(already_acknowledged());
    }
    let waited = interaction.created.elapsed();
    if waited > ACKNOWLEDGE {
        return Err(unknown_interaction());
    }
    let data = &call.body["data"];
    if interaction.typing {
        return propose(state, id, &call.body, waited);
    }
    if call.body["type"] == 9 && interaction.pressed {
        return open_window(state, id, data, waited);
    }
    let deferred = match call.body["type"].as_u64() {
        Some(4) => false,
        Some(5) => true,
        _ => {
            let message = "A slash command is answered with type 4 or 5 here";
            return Err(invalid("type", "BASE_TYPE_CHOICES", message));
        }
    };
    if !deferred {
        rules::message(data)?;
        rules::not_empty(data)?;
    }
    let mut answer = draft(state, id, &interaction, 20);
    if deferred {
        answer.flags = data["flags"].as_u64().unwrap_or(0) & EPHEMERAL | LOADING;
    } else {
        messages::apply(&mut answer, data);
        state.notify(&mut answer);
    }
    let answer_id = answer.id;
    if let Some(interaction) = state.interactions.get_mut(&id) {
        interaction.acknowledged_after = Some(waited);
        interaction.deferred = deferred;
        interaction.answered = !deferred;
        interaction.answered_after = (!deferred).then_some(waited);
        interaction.answer = Some(answer_id);
    }
    let json = state.message_json(&answer, true);
    state.publish(answer);
    if call.query("with_response") == Some("true") {
        return Ok(Reply::Json(json!({
            "interaction": {"id": id.to_string(), "type": 2, "response_message_id": answer_id.to_string()},
            "resource": {"type": call.body["type"], "message": json},
        })));
    }
    Ok(Reply::Nothing)
}

/// What is proposed while somebody types: 25 choices at most, each of 100 characters at most.
fn propose(state: &mut State, id: u64, body: &Value, waited: Duration) -> Outcome {
    if body["type"] != 8 {
        return Err(invalid(
            "type",
            "BASE_TYPE_CHOICES",
            "What is typed is answered with type 8",
        ));
    }
    let Some(choices) = body["data"]["choices"].as_array().filter(|c| c.len() <= 25) else {
        return Err(invalid(
            "data.choices",
            "BASE_TYPE_MAX_LENGTH",
            "Must be 25 or fewer in length",
        ));
    };
    let fits = |text: &Value| {
        text.as_str()
            .is_some_and(|t| (1..=100).contains(&t.chars().count()))
    };
    if !choices
        .iter()
        .all(|choice| fits(&choice["name"]) && fits(&choice["value"]))
    {
        return Err(invalid(
            "data.choices",
            "BASE_TYPE_BAD_LENGTH",
            "Must be between 1 and 100 in length",
        ));
    }
    let values = choices
        .iter()
        .filter_map(|choice| choice["value"].as_str().map(str::to_owned))
        .collect();
    if let Some(interaction) = state.interactions.get_mut(&id) {
        interaction.acknowledged_after = Some(waited);
        interaction.proposed = Some(values);
    }
    Ok(Reply::Nothing)
}

/// A window of up to five text fields opens for who has pressed a button.
fn open_window(state: &mut State, id: u64, data: &Value, waited: Duration) -> Outcome {
    let within = |text: &Value, most: usize| {
        text.as_str()
            .is_some_and(|t| (1..=most).contains(&t.chars().count()))
    };
    if !within(&data["title"], 45) || !within(&data["custom_id"], 100) {
        return Err(invalid(
            "data",
            "BASE_TYPE_BAD_LENGTH",
            "Must be between 1 and 45, and 1 and 100 in length",
        ));
    }
    let rows = data["components"].as_array().cloned().unwrap_or_default();
    let is_field = |row: &Value| {
        let field = &row["components"][0];
        row["type"] == 1
            && row["components"]
                .as_array()
                .is_some_and(|all| all.len() == 1)
            && field["type"] == 4
            && within(&field["label"], 45)
            && within(&field["custom_id"], 100)
            && field["max_length"]
                .as_u64()
                .is_none_or(|most| (1..=4_000).contains(&most))
    };
    if !(1..=5).contains(&rows.len()) || !rows.iter().all(is_field) {
        return Err(invalid(
            "data.components",
            "BASE_TYPE_BAD_LENGTH",
            "Must be 1 to 5 rows of one text field each",
        ));
    }
    if let Some(interaction) = state.interactions.get_mut(&id) {
        interaction.acknowledged_after = Some(waited);
        interaction.modal = Some(data.clone());
    }
    Ok(Reply::Nothing)
}

fn draft(state: &mut State, id: u64, interaction: &Interaction, kind: u8) -> Message {
    let mut message = state.draft(interaction.channel, state.bot, kind);
    message.interaction = Some(id);
    message
}

/// What the interaction's token allows: read, edit and delete its answers, and write more.
pub(super) fn webhook(state: &mut State, call: &Call) -> Outcome {
    const ALL: &str = "/webhooks/{webhook_id}/{webhook_token}";
    let token = call.text("webhook_token");
    let found = state
        .interactions
        .iter()
        .find(|(_, one)| one.token == token);
    let (id, interaction) = found.ok_or_else(unknown_webhook)?;
    let (id, interaction) = (*id, interaction.clone());
    let expired = interaction.created.elapsed() > TOKEN_LIFE;
    if expired || call.id("webhook_id") != state.bot || interaction.acknowledged_after.is_none() {
        return Err(unknown_webhook());
    }
    let tail = call.template.strip_prefix(ALL).unwrap_or_default();
    if call.method == "POST" && tail.is_empty() {
        return follow_up(state, call, id, &interaction);
    }
    let message = if tail == "/messages/@original" {
        interaction.answer
    } else {
        Some(call.id("message_id"))
    };
    let message = message
        .and_then(|id| state.messages.get(&id))
        .filter(|message| message.interaction == Some(id))
        .ok_or_else(unknown_message)?
        .clone();
    match call.method {
        "GET" => Ok(Reply::Json(state.message_json(&message, true))),
        "PATCH" => edit(state, id, message, &call.body),
        "DELETE" => {
            state.messages.remove(&message.id);
            if message.flags & EPHEMERAL == 0 {
                state.message_deleted(&message);
            }
            Ok(Reply::Nothing)
        }
        _ => Err(not_in_double().blame()),
    }
}

fn edit(state: &mut State, interaction: u64, mut message: Message, body: &Value) -> Outcome {
    rules::message(body)?;
    messages::change(state, &mut message, body, &[])?;
    message.flags &= !LOADING;
    let json = state.message_json(&message, true);
    let (id, hidden) = (message.id, message.flags & EPHEMERAL != 0);
    if let Some(interaction) = state.interactions.get_mut(&interaction)
        && interaction.answer == Some(id)
    {
        interaction.answered = true;
        interaction
            .answered_after
            .get_or_insert(interaction.created.elapsed());
    }
    state.messages.insert(id, message);
    if !hidden {
        state.message_event("MESSAGE_UPDATE", id);
    }
    Ok(Reply::Json(json))
}

/// A further message. The first one after a deferral takes the deferral's place.
fn follow_up(state: &mut State, call: &Call, id: u64, interaction: &Interaction) -> Outcome {
    rules::message(&call.body)?;
    if call.files.is_empty() {
        rules::not_empty(&call.body)?;
    }
    let waiting = interaction.deferred && !interaction.answered;
    if waiting && let Some(message) = interaction.answer.and_then(|id| state.messages.get(&id)) {
        let message = message.clone();
        return edit(state, id, message, &call.body);
    }
    let mut message = draft(state, id, interaction, 0);
    messages::apply(&mut message, &call.body);
    state.notify(&mut message);
    let json = state.message_json(&message, true);
    state.publish(message);
    Ok(Reply::Json(json))
}
