//! Reactions under messages.

use serde_json::Value;

use super::{
    super::{
        api::{Call, Reply},
        error::{
            missing_permissions, not_in_double, thread_archived, too_many_reactions, unknown_emoji,
            unknown_message,
        },
        options::permission,
        state::{Reaction, State},
    },
    Outcome,
};

/// Different emoji allowed under one message.
const KINDS: usize = 20;

pub(super) fn route(state: &mut State, call: &Call) -> Outcome {
    const ALL: &str = "/channels/{channel_id}/messages/{message_id}/reactions";
    let channel = state.channel(call.id("channel_id"), permission::READ_MESSAGE_HISTORY)?;
    let message = state.message(channel.id, call.id("message_id"))?.clone();
    let moderator = state.permissions(&channel) & permission::MANAGE_MESSAGES != 0;
    let bot = state.bot;
    let tail = call.template.strip_prefix(ALL).unwrap_or_default();
    let emoji = if tail.is_empty() {
        String::new()
    } else {
        emoji(call.text("emoji_name")).ok_or_else(|| unknown_emoji().blame())?
    };
    if call.method != "GET" && channel.archived {
        return Err(thread_archived());
    }
    match (call.method, tail) {
        ("PUT", "/{emoji_name}/@me") => {
            let there = message.reactions.iter().any(|r| same(&r.emoji, &emoji));
            let may_add = state.permissions(&channel) & permission::ADD_REACTIONS != 0;
            if !there && !may_add {
                return Err(missing_permissions());
            }
            if !there && message.reactions.len() >= KINDS {
                return Err(too_many_reactions());
            }
            state.add_reaction(message.id, bot, &emoji);
        }
        ("DELETE", "/{emoji_name}/@me") => state.remove_reaction(message.id, bot, &emoji),
        ("DELETE", "/{emoji_name}/{user_id}") => {
            let user = call.id("user_id");
            if user != bot && !moderator {
                return Err(missing_permissions());
            }
            state.remove_reaction(message.id, user, &emoji);
        }
        ("GET", "/{emoji_name}") => {
            return Ok(Reply::Json(users(state, call, &message.reactions, &emoji)));
        }
        ("DELETE", "" | "/{emoji_name}") => {
            if !moderator {
                return Err(missing_permissions());
            }
            let message = state
                .messages
                .get_mut(&message.id)
                .ok_or_else(unknown_message)?;
            message
                .reactions
                .retain(|r| !tail.is_empty() && !same(&r.emoji, &emoji));
        }
        _ => return Err(not_in_double().blame()),
    }
    Ok(Reply::Nothing)
}

/// Who chose an emoji, by id, a page at a time.
fn users(state: &State, call: &Call, reactions: &[Reaction], emoji: &str) -> Value {
    let limit = call.query_id("limit").unwrap_or(25) as usize;
    let after = call.query_id("after").unwrap_or(0);
    let chosen = reactions
        .iter()
        .find(|reaction| same(&reaction.emoji, emoji));
    let mut users = chosen.map_or_else(Vec::new, |reaction| reaction.users.clone());
    users.sort_unstable();
    let page = users.into_iter().filter(|user| *user > after).take(limit);
    page.map(|user| state.user_json(user)).collect()
}

impl State {
    pub(in super::super) fn add_reaction(&mut self, id: u64, user: u64, emoji: &str) {
        let Some(message) = self.messages.get_mut(&id) else {
            return;
        };
        let at = message.reactions.iter().position(|r| same(&r.emoji, emoji));
        let at = at.unwrap_or_else(|| {
            message.reactions.push(Reaction {
                emoji: emoji.to_owned(),
                users: vec![],
            });
            message.reactions.len() - 1
        });
        let reaction = &mut message.reactions[at];
        if reaction.users.contains(&user) {
            return;
        }
        reaction.users.push(user);
        let (emoji, message) = (reaction.emoji.clone(), message.clone());
        self.reaction_event(true, &message, user, &emoji);
    }

    pub(in super::super) fn remove_reaction(&mut self, id: u64, user: u64, emoji: &str) {
        let Some(message) = self.messages.get_mut(&id) else {
            return;
        };
        let Some(reaction) = message.reactions.iter_mut().find(|r| same(&r.emoji, emoji)) else {
            return;
        };
        let before = reaction.users.len();
        reaction.users.retain(|other| *other != user);
        if reaction.users.len() == before {
            return;
        }
        let emoji = reaction.emoji.clone();
        message
            .reactions
            .retain(|reaction| !reaction.users.is_empty());
        let message = message.clone();
        self.reaction_event(false, &message, user, &emoji);
    }
}

/// The same emoji, whether or not it asks to be shown in colour.
fn same(one: &str, other: &str) -> bool {
    let plain = |text: &str| text.replace('\u{fe0f}', "");
    plain(one) == plain(other)
}

/// An emoji as a path names it: a Unicode one, or `name:id`.
fn emoji(text: &str) -> Option<String> {
    let custom = text
        .rsplit_once(':')
        .is_some_and(|(name, id)| !name.is_empty() && id.parse::<u64>().is_ok());
    // Letters of writing systems aren't emoji; those among the symbols may be.
    let letter =
        |c: char| c.is_alphabetic() && !('\u{2100}'..='\u{2bff}').contains(&c) && c < '\u{1f000}';
    let unicode = !text.is_ascii() && text.chars().count() <= 12 && !text.chars().any(letter);
    (custom || unicode).then(|| text.to_owned())
}
