//! What the bot can look up: itself, the gateway, the guild with its channels, roles and members.

use serde_json::{Value, json};

use super::{
    super::{
        api::{Call, Reply},
        error::{not_in_double, unknown_guild, unknown_member, unknown_user},
        state::State,
    },
    Outcome,
};

pub(super) fn get(state: &State, call: &Call) -> Outcome {
    if call.template.starts_with("/guilds/{guild_id}") {
        return in_guild(state, call);
    }
    let found = match call.template {
        "/gateway" => json!({"url": state.gateway_url}),
        "/gateway/bot" => json!({
            "url": state.gateway_url,
            "shards": 1,
            "session_start_limit": {
                "total": 1000,
                "remaining": 1000_usize.saturating_sub(state.identifies),
                "reset_after": 86_400_000,
                "max_concurrency": 1,
            },
        }),
        "/users/@me" => state.current_user_json(),
        "/users/@me/guilds" => json!([{
            "id": state.guild.to_string(),
            "name": state.guild_json()["name"],
            "icon": null,
            "banner": null,
            "owner": false,
            "permissions": state.options.permissions.to_string(),
            "features": [],
        }]),
        "/users/{user_id}" => {
            let user = call.id("user_id");
            state.people.get(&user).ok_or_else(unknown_user)?;
            state.user_json(user)
        }
        "/applications/@me" | "/oauth2/applications/@me" => state.application_json(),
        _ => return Err(not_in_double().blame()),
    };
    Ok(Reply::Json(found))
}

/// A channel with one person alone; asked for again it is the same.
pub(super) fn private(state: &mut State, call: &Call) -> Outcome {
    let user = call.body["recipient_id"]
        .as_str()
        .and_then(|id| id.parse().ok())
        .unwrap_or(0);
    state.people.get(&user).ok_or_else(unknown_user)?;
    let name = format!("with {user}");
    let known = state
        .channels
        .values()
        .find(|c| c.kind == 1 && c.name == name)
        .map(|c| c.id);
    let id = known.unwrap_or_else(|| {
        let id = state.next_id();
        state.new_channel(id, 1, &name, 0).id
    });
    Ok(Reply::Json(json!({
        "id": id.to_string(),
        "type": 1,
        "flags": 0,
        "last_message_id": null,
        "recipients": [state.user_json(user)],
    })))
}

fn in_guild(state: &State, call: &Call) -> Outcome {
    if call.id("guild_id") != state.guild {
        return Err(unknown_guild());
    }
    let found = match call.template {
        "/guilds/{guild_id}" => {
            let mut guild = state.guild_json();
            if call.query("with_counts") == Some("true") {
                guild["approximate_member_count"] = json!(state.people.len());
                guild["approximate_presence_count"] = json!(1);
            }
            guild
        }
        "/guilds/{guild_id}/channels" => {
            let places = state.channels.values().filter(|c| !c.is_thread());
            places.map(|c| state.channel_json(c)).collect::<Value>()
        }
        "/guilds/{guild_id}/roles" => state.roles_json(),
        "/guilds/{guild_id}/members/{user_id}" => {
            let user = call.id("user_id");
            state.people.get(&user).ok_or_else(unknown_member)?;
            state.member_json(user)
        }
        _ => return Err(not_in_double().blame()),
    };
    Ok(Reply::Json(found))
}

pub(super) fn channel(state: &State, call: &Call) -> Outcome {
    let channel = state.channel(call.id("channel_id"), 0)?;
    Ok(Reply::Json(state.channel_json(&channel)))
}
