//! The guild's application commands.

use serde_json::{Value, json};

use super::{
    super::{
        api::{Call, Reply},
        error::{ApiError, invalid, missing_access, not_in_double, unknown_command},
        rules,
        state::State,
        wire::merge,
    },
    Outcome,
};

pub(super) fn route(state: &mut State, call: &Call) -> Outcome {
    const ALL: &str = "/applications/{application_id}/guilds/{guild_id}/commands";
    if call.id("application_id") != state.bot || call.id("guild_id") != state.guild {
        return Err(missing_access());
    }
    let id = call.id("command_id");
    match (call.method, call.template.strip_prefix(ALL)) {
        ("GET", Some("")) => {}
        ("PUT", Some("")) => replace(state, &call.body)?,
        ("POST", Some("")) => {
            rules::command(&call.body, "")?;
            let (known, command) = stored(state, &call.body);
            state.commands.retain(|_, other| !alike(other, &call.body));
            state.commands.insert(id_of(&command), command.clone());
            return Ok(match known {
                true => Reply::Json(command),
                false => Reply::Created(command),
            });
        }
        ("GET", Some("/{command_id}")) => {
            let command = state.commands.get(&id).ok_or_else(unknown_command)?;
            return Ok(Reply::Json(command.clone()));
        }
        ("PATCH", Some("/{command_id}")) => {
            let mut command = state.commands.get(&id).ok_or_else(unknown_command)?.clone();
            merge(&mut command, call.body.clone());
            rules::command(&command, "")?;
            state.commands.insert(id, command.clone());
            return Ok(Reply::Json(command));
        }
        ("DELETE", Some("/{command_id}")) => {
            state.commands.remove(&id).ok_or_else(unknown_command)?;
            return Ok(Reply::Nothing);
        }
        _ => return Err(not_in_double().blame()),
    }
    Ok(Reply::Json(state.commands.values().cloned().collect()))
}

/// Puts the given commands in the place of all; those with a known name keep their id.
fn replace(state: &mut State, body: &Value) -> Result<(), ApiError> {
    let list = body.as_array().map_or(&[][..], Vec::as_slice);
    for (index, command) in list.iter().enumerate() {
        rules::command(command, &format!("{index}."))?;
        if list[..index].iter().any(|other| alike(other, command)) {
            let code = "APPLICATION_COMMANDS_DUPLICATE_NAME";
            let message = "Application command names must be unique";
            return Err(invalid(&format!("{index}.name"), code, message));
        }
    }
    let all: Vec<Value> = list
        .iter()
        .map(|command| stored(state, command).1)
        .collect();
    state.commands = all
        .into_iter()
        .map(|command| (id_of(&command), command))
        .collect();
    Ok(())
}

fn alike(one: &Value, other: &Value) -> bool {
    let kind = |command: &Value| command["type"].as_u64().unwrap_or(1);
    one["name"] == other["name"] && kind(one) == kind(other)
}

fn id_of(command: &Value) -> u64 {
    command["id"]
        .as_str()
        .and_then(|id| id.parse().ok())
        .unwrap_or(0)
}

/// The command as Discord keeps it, and whether it was known.
fn stored(state: &mut State, command: &Value) -> (bool, Value) {
    let known = state
        .commands
        .values()
        .find(|other| alike(other, command))
        .map(id_of);
    let id = known.unwrap_or_else(|| state.next_id());
    let mut kept = json!({
        "id": id.to_string(),
        "application_id": state.bot.to_string(),
        "guild_id": state.guild.to_string(),
        "version": state.next_id().to_string(),
        "type": 1,
        "default_member_permissions": null,
        "dm_permission": true,
        "contexts": null,
        "integration_types": [0],
        "description": "",
        "options": [],
        "nsfw": false,
    });
    merge(&mut kept, command.clone());
    kept["options"] = tidy(&kept["options"]);
    // Whatever it was sent as, it comes back as a string.
    if let Some(bits) = kept["default_member_permissions"].as_u64() {
        kept["default_member_permissions"] = json!(bits.to_string());
    }
    (known.is_some(), kept)
}

/// Options as Discord gives them back: without what was null or empty.
fn tidy(options: &Value) -> Value {
    let empty = |value: &Value| value.is_null() || *value == json!([]) || *value == json!({});
    let list = options.as_array().map_or(&[][..], Vec::as_slice);
    list.iter()
        .map(|option| {
            let mut option = option.clone();
            if let Some(fields) = option.as_object_mut() {
                fields.retain(|_, value| !empty(value));
            }
            for inner in ["options", "choices"] {
                if option[inner].is_array() {
                    option[inner] = tidy(&option[inner]);
                }
            }
            option
        })
        .collect()
}
