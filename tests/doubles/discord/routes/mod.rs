//! What each operation does to the state.

mod commands;
mod events;
mod guild;
mod interactions;
mod messages;
mod pins;
mod reactions;
mod threads;

use super::{
    api::{Call, Reply},
    error::{ApiError, not_in_double},
    state::State,
};

pub(super) use interactions::ACKNOWLEDGE;

type Outcome = Result<Reply, ApiError>;

/// Carries out an operation. One that the description has but the double hasn't is a violation too,
/// so that it isn't overlooked.
pub(super) fn route(state: &mut State, call: &Call) -> Outcome {
    const CHANNEL: &str = "/channels/{channel_id}";
    const MESSAGE: &str = "/messages/{message_id}";
    let at = |tail: &[&str]| call.template.strip_prefix(CHANNEL) == Some(tail.concat().as_str());
    if call.template.starts_with("/channels/{channel_id}/messages") {
        return match call.method {
            "POST" if at(&["/messages"]) => messages::create(state, call),
            "GET" if at(&["/messages"]) => messages::list(state, call),
            "GET" if at(&[MESSAGE]) => messages::get(state, call),
            "PATCH" if at(&[MESSAGE]) => messages::edit(state, call),
            "DELETE" if at(&[MESSAGE]) => messages::delete(state, call),
            "POST" if at(&[MESSAGE, "/crosspost"]) => messages::crosspost(state, call),
            "POST" if at(&[MESSAGE, "/threads"]) => threads::from_message(state, call),
            "GET" if at(&["/messages/pins"]) => pins::list(state, call),
            "PUT" if at(&["/messages/pins/{message_id}"]) => pins::pin(state, call),
            "DELETE" if at(&["/messages/pins/{message_id}"]) => pins::unpin(state, call),
            _ if call.template.contains("/reactions") => reactions::route(state, call),
            _ => Err(not_in_double().blame()),
        };
    }
    match (call.method, call.template) {
        ("GET", "/channels/{channel_id}") => guild::channel(state, call),
        ("PATCH", "/channels/{channel_id}") => threads::edit_channel(state, call),
        ("POST", "/channels/{channel_id}/typing") => Ok(Reply::Nothing),
        ("GET", "/channels/{channel_id}/pins") => pins::list_old(state, call),
        ("PUT", "/channels/{channel_id}/pins/{message_id}") => pins::pin(state, call),
        ("DELETE", "/channels/{channel_id}/pins/{message_id}") => pins::unpin(state, call),
        ("POST", "/channels/{channel_id}/threads") => threads::create(state, call),
        ("GET", "/channels/{channel_id}/threads/archived/public") => threads::archived(state, call),
        ("GET", "/guilds/{guild_id}/threads/active") => threads::active(state, call),
        (_, template) if template.starts_with("/guilds/{guild_id}/scheduled-events") => {
            events::route(state, call)
        }
        (_, template) if template.contains("/commands") => commands::route(state, call),
        (_, template) if template.starts_with("/interactions/") => {
            interactions::callback(state, call)
        }
        (_, template) if template.starts_with("/webhooks/{webhook_id}/{webhook_token}") => {
            interactions::webhook(state, call)
        }
        ("POST", "/users/@me/channels") => guild::private(state, call),
        ("GET", _) => guild::get(state, call),
        _ => Err(not_in_double().blame()),
    }
}
