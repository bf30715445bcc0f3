//! Scheduled events of the guild.

use serde_json::{Map, Value, json};

use super::{
    super::{
        api::{Call, Reply},
        error::{
            ApiError, invalid, missing_permissions, not_in_double, unknown_event, unknown_guild,
        },
        gateway::intent,
        options::permission,
        rules,
        state::State,
        wire::merge,
    },
    Outcome,
};

pub(super) fn route(state: &mut State, call: &Call) -> Outcome {
    const ALL: &str = "/guilds/{guild_id}/scheduled-events";
    if call.id("guild_id") != state.guild {
        return Err(unknown_guild());
    }
    let id = call.id("guild_scheduled_event_id");
    match (call.method, call.template.strip_prefix(ALL)) {
        // What is over is listed no more.
        ("GET", Some("")) => {
            let open = state
                .events
                .values()
                .filter(|e| e["status"].as_u64() < Some(3));
            Ok(Reply::Json(open.cloned().collect()))
        }
        ("POST", Some("")) => create(state, &call.body),
        ("GET", Some("/{guild_scheduled_event_id}")) => Ok(Reply::Json(
            state.events.get(&id).ok_or_else(unknown_event)?.clone(),
        )),
        ("PATCH", Some("/{guild_scheduled_event_id}")) => edit(state, id, &call.body),
        ("DELETE", Some("/{guild_scheduled_event_id}")) => {
            let event = owned(state, id)?;
            state.events.remove(&id);
            tell(state, "GUILD_SCHEDULED_EVENT_DELETE", &event);
            Ok(Reply::Nothing)
        }
        _ => Err(not_in_double().blame()),
    }
}

fn tell(state: &mut State, kind: &str, event: &Value) {
    state.dispatch(kind, intent::GUILD_SCHEDULED_EVENTS, event);
}

/// The event, if the bot may change it.
fn owned(state: &State, id: u64) -> Result<Value, ApiError> {
    let event = state.events.get(&id).ok_or_else(unknown_event)?;
    let needed = if event["creator_id"].as_str() == Some(&state.bot.to_string()) {
        permission::CREATE_EVENTS | permission::MANAGE_EVENTS
    } else {
        permission::MANAGE_EVENTS
    };
    match state.options.permissions & needed {
        0 => Err(missing_permissions()),
        _ => Ok(event.clone()),
    }
}

fn create(state: &mut State, body: &Value) -> Outcome {
    if state.options.permissions & permission::CREATE_EVENTS == 0 {
        return Err(missing_permissions());
    }
    rules::event(body, true)?;
    rules::event_end(body)?;
    let id = state.next_id();
    let mut event = json!({
        "id": id.to_string(),
        "guild_id": state.guild.to_string(),
        "channel_id": null,
        "creator_id": state.bot.to_string(),
        "creator": state.user_json(state.bot),
        "description": null,
        "image": null,
        "scheduled_end_time": null,
        "status": 1,
        "entity_id": null,
        "recurrence_rule": null,
        "user_count": 0,
        "guild_scheduled_event_exceptions": [],
    });
    merge(&mut event, known(body));
    state.events.insert(id, event.clone());
    tell(state, "GUILD_SCHEDULED_EVENT_CREATE", &event);
    Ok(Reply::Json(event))
}

fn edit(state: &mut State, id: u64, body: &Value) -> Outcome {
    let mut event = owned(state, id)?;
    let (from, to) = (event["status"].as_u64(), body["status"].as_u64());
    // 1 scheduled, 2 active, 3 completed, 4 cancelled; the last two are final.
    let possible = to.is_none()
        || to == from
        || matches!((from, to), (Some(1), Some(2 | 4)) | (Some(2), Some(3)));
    if !possible || matches!(from, Some(3 | 4)) {
        let message = "Cannot change a finished event, or to this status";
        let code = "GUILD_SCHEDULED_EVENT_INVALID_STATUS_TRANSITION";
        return Err(invalid("status", code, message));
    }
    if from == Some(2) && !body["scheduled_start_time"].is_null() {
        let code = "GUILD_SCHEDULED_EVENT_START_TIME_OF_ACTIVE_EVENT";
        let message = "Cannot change the start time of an event that has begun";
        return Err(invalid("scheduled_start_time", code, message));
    }
    merge(&mut event, known(body));
    rules::event(&event, body["scheduled_start_time"].is_string())?;
    rules::event_end(body)?;
    state.events.insert(id, event.clone());
    tell(state, "GUILD_SCHEDULED_EVENT_UPDATE", &event);
    Ok(Reply::Json(event))
}

/// The fields of a body that are an event's own.
fn known(body: &Value) -> Value {
    let names = [
        "name",
        "description",
        "scheduled_start_time",
        "scheduled_end_time",
        "privacy_level",
        "entity_type",
        "entity_metadata",
        "channel_id",
        "status",
    ];
    let fields = names
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), body.get(name)?.clone())));
    Value::Object(fields.collect::<Map<_, _>>())
}
